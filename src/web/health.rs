//! `GET /healthz` and `GET /readyz`.

use actix_web::web::{Data, Json};
use serde_json::{Value, json};

use super::extract::{NoParameters, Query};
use crate::app::App;
use crate::db::heartbeats;
use crate::error::Error;

/// The process answers.
pub async fn alive(_: Query<NoParameters>) -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The store takes a write, and so a webhook would be taken too. Those who ask at once share one flush of the disk.
pub async fn ready(app: Data<App>, _: Query<NoParameters>) -> Result<Json<Value>, Error> {
    let now = app.clock.now();
    app.db
        .write(move |conn| heartbeats::beat(conn, "readiness", now))
        .await
        .map_err(Error::not_ready)?;
    Ok(Json(json!({ "status": "ready" })))
}
