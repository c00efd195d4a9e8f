//! `POST /admin/users/{user}/override`: sets the user's status by hand, for a reason that is written down.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde_json::json;

use super::go_on;
use super::user::{address_after, find};
use super::visitor::Act;
use crate::error::Error;
use crate::overrule;
use crate::web::admin;

/// Sets it, and goes back to the user.
pub async fn overrule(act: Act, key: Path<String>) -> Result<HttpResponse, Error> {
    let app = &act.visitor;
    let user = find(app, &key).await?;
    let body = json!({"status": act.form.field("status"), "reason": act.form.field("reason")});
    let Ok(order) = admin::order(app.name(), &body) else {
        return Ok(go_on(&address_after(&user.id, "reason")));
    };
    let (clock, confirm) = (app.clock.clone(), app.config.webhooks.confirm);
    let key = user.id.clone();
    let change = move |conn: &mut _| {
        let names = (&*user.partner, &*user.user_id);
        overrule::user(conn, &clock, confirm, names, order)
    };
    app.db.write(change).await?;
    Ok(go_on(&address_after(&key, "overridden")))
}
