//! `POST /admin/deliveries/{delivery}/refold`: has a stored delivery folded once more.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::delivery::{address, not_found, seen, trusts};
use super::go_on_saying;
use super::visitor::Act;
use crate::db::deliveries;
use crate::error::Error;
use crate::refold::{self, Would};

/// Folds it, unless it would do something else by now than the admin has read, and goes back to the delivery.
pub async fn refold(act: Act, id: Path<String>) -> Result<HttpResponse, Error> {
    let (app, id) = (&act.visitor, id.into_inner());
    let clock = app.clock.clone();
    let trusts = trusts(app);
    let (admin, delivery) = (app.name().to_owned(), id.clone());
    let was_seen = act.form.field("seen").map(str::to_owned);
    let change = move |conn: &mut _| {
        let Some((stored, _)) = deliveries::by_id(conn, &delivery)? else {
            return Ok(None);
        };
        let trust = trusts(&stored.partner);
        let would = refold::would(conn, trust, &stored, clock.now())?;
        if was_seen.is_none() || seen(&would) != was_seen {
            return Ok(Some(Err(())));
        }
        let done = refold::again(conn, &clock, trust, &admin, &delivery)?;
        Ok(done.map(Ok))
    };
    let done = app.db.write(change).await?.ok_or_else(not_found)?;
    if let Ok(Would::Fold {
        look: true,
        partner,
        ..
    }) = &done
        && let Some(place) = app.partner_place(partner)
    {
        app.lookout.wake(place);
    }
    let said = if done.is_ok() { "refolded" } else { "moved" };
    Ok(go_on_saying(&address(&id), said))
}
