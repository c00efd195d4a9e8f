//! `POST /admin/users/{user}/confirm`: has the provider asked about the user now.

use actix_web::HttpResponse;
use actix_web::web::Path;

use super::go_on_saying;
use super::user::{address, find};
use super::visitor::Act;
use crate::confirm;
use crate::error::Error;

/// Asks, and goes back to the user as it is then.
pub async fn confirm(act: Act, key: Path<String>) -> Result<HttpResponse, Error> {
    let admin = &act.visitor;
    let user = find(admin, &key).await?;
    let said = match confirm::user(admin, admin.name(), &user).await {
        Ok(()) => "confirmed",
        Err(error) => error.code().as_str(),
    };
    Ok(go_on_saying(&address(&user.id), said))
}
