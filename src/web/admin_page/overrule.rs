//! `POST /admin/users/{user}/override`: sets the user's status by hand, for a reason that is written down.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde_json::json;

use super::go_on_saying;
use super::user::{address, find, seen};
use super::visitor::Act;
use crate::db::users;
use crate::error::Error;
use crate::overrule;
use crate::web::admin;

/// Sets it, unless the user has moved since the admin looked, and goes back to the user.
pub async fn overrule(act: Act, key: Path<String>) -> Result<HttpResponse, Error> {
    let app = &act.visitor;
    let user = find(app, &key).await?;
    let body = json!({"status": act.form.field("status"), "reason": act.form.field("reason")});
    let Ok(order) = admin::order(app.name(), &body) else {
        return Ok(go_on_saying(&address(&user.id), "reason"));
    };
    let (clock, trust, view) = (app.clock.clone(), app.trust(&user.partner), app.view());
    let (key, was_seen) = (user.id.clone(), act.form.field("seen").map(str::to_owned));
    let change = move |conn: &mut _| {
        let user = users::by_key(conn, &user.id)?.at(view);
        if was_seen != Some(seen(&user)) {
            return Ok("moved");
        }
        let names = (&*user.partner, &*user.user_id);
        overrule::user(conn, &clock, trust, names, order)?;
        Ok("overridden")
    };
    let said = app.db.write(change).await?;
    Ok(go_on_saying(&address(&key), said))
}
