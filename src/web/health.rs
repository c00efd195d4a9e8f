//! `GET /healthz` and `GET /readyz`.

use actix_web::web::{Data, Json};
use serde::Serialize;
use serde_json::{Value, json};

use super::extract::{NoParameters, Query};
use crate::app::App;
use crate::db::heartbeats;
use crate::error::Error;

/// What a process that runs says of itself.
#[derive(Serialize)]
pub struct Alive {
    status: &'static str,
    environment: &'static str,
}

/// The process answers, and says which environment of the provider it serves, so that a tool for trying things out can
/// refuse production.
pub async fn alive(app: Data<App>, _: Query<NoParameters>) -> Json<Alive> {
    Json(Alive {
        status: "ok",
        environment: app.config.provider.environment.as_str(),
    })
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
