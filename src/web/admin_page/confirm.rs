//! `POST /admin/users/{user}/confirm`: has the provider asked about the user now.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::go_on;
use super::user::{address_after, find};
use super::visitor::Act;
use crate::error::{Code, Error};
use crate::reconcile;

/// Asks, and goes back to the user as it is then.
pub async fn confirm(act: Act, key: Path<String>) -> Result<HttpResponse, Error> {
    let app = &act.visitor;
    let user = find(app, &key).await?;
    let asked = match app.partner_place(&user.partner) {
        Some(place) => reconcile::now(app, place, &user, app.clock.now()).await,
        // A user of a partner who was taken out of the configuration cannot be asked about any more.
        None => Err(Error::new(Code::UserNotFound, "")),
    };
    let said = match &asked {
        Ok(()) => "confirmed",
        Err(error) => error.code().as_str(),
    };
    Ok(go_on(&address_after(&user.id, said)))
}
