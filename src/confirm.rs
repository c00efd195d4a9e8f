//! Has the provider asked about a user now, because an admin wants it. Who wants it is written down first, so that it stands there
//! whatever comes of it.

use std::time::Duration;

use crate::app::App;
use crate::capa::client::Error as Capa;
use crate::db::acts::{self, Act};
use crate::db::users::User;
use crate::error::{Code, Error};
use crate::reconcile::asked;

/// Asks; the answer is put in its place as that of any look. Twice within some seconds asks once.
///
/// # Errors
/// When the provider or the store fails, or the user's partner was taken out of the configuration.
pub async fn user(app: &App, admin: &str, user: &User) -> Result<(), Error> {
    let gone = || Error::new(Code::UserNotFound, "Its partner is not known any more.");
    let place = app.partner_place(&user.partner).ok_or_else(gone)?;
    let now = app.clock.now();
    let act = Act {
        id: app.clock.id(),
        user_key: user.id.clone(),
        admin: admin.to_owned(),
        kind: acts::CONFIRM.to_owned(),
        delivery_id: None,
        at: now,
    };
    app.db.write(move |conn| acts::record(conn, &act)).await?;
    match asked::check(app, place, user, Duration::ZERO).await? {
        None => Ok(()),
        Some(unusable) => Err(Error::from_look(Capa::Unusable(unusable))),
    }
}
