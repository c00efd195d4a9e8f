//! `POST /admin/deliveries/{delivery}/refold`: has a stored delivery folded once more.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::delivery::{address_after, not_found};
use super::go_on;
use super::visitor::Act;
use crate::error::Error;
use crate::refold::{self, Would};

/// Folds it, and goes back to the delivery.
pub async fn refold(act: Act, id: Path<String>) -> Result<HttpResponse, Error> {
    let (app, id) = (&act.visitor, id.into_inner());
    let (clock, confirm) = (app.clock.clone(), app.config.webhooks.confirm);
    let (admin, delivery) = (app.name().to_owned(), id.clone());
    let change = move |conn: &mut _| refold::again(conn, &clock, confirm, &admin, &delivery);
    let would = app.db.write(change).await?.ok_or_else(not_found)?;
    let said = match would {
        Would::Nothing(_) => "nothing",
        Would::Fold { look, .. } => {
            if look {
                app.lookout.wake();
            }
            "refolded"
        }
    };
    Ok(go_on(&address_after(&id, said)))
}
