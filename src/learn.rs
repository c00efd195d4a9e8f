//! Passes a new user on to the provider, and learns by which `externalUserId` its webhooks will name it.

use serde_json::Value;

use crate::app::App;
use crate::capa::users::Passed;
use crate::config::Partner;
use crate::db::learnt_ids;
use crate::error::Error;

/// Hands the request's body to the provider as it is, and gives its answer. Twice may make two users there.
///
/// The answer is given even if the pair could not be stored: nobody can ask the provider for that `userId` again.
///
/// # Errors
/// When the provider gave no answer that could be handed back.
pub async fn pass_on(
    app: &App,
    partner: &Partner,
    body: Vec<u8>,
    read: &Value,
) -> Result<Passed, Error> {
    let key = &partner.provider_api_key;
    let passed = app.capa.create_user(key, body).await;
    let passed = passed.map_err(Error::from_passing_on)?;
    if passed.refuses_our_key() {
        log::warn!(partner = partner.id.as_str(); "The provider refused the partner's key when a user was created.");
    }
    if let Some(pair) = passed.teaches(read) {
        let partner = partner.id.clone();
        let learn = move |conn: &mut _| {
            learnt_ids::learn(conn, &partner, &pair.user_id, &pair.external_user_id)
        };
        if let Err(error) = app.db.write(learn).await {
            log::error!(error:% = error; "An externalUserId that was learnt could not be stored.");
        }
    }
    Ok(passed)
}
