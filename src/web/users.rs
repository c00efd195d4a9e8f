//! `GET /v1/kyc/users…`: what partners are told of their own users.

use std::time::Duration;

use actix_web::web::{Json, Path};
use serde::Deserialize;

use super::documents::{
    Cut, LinkedUserDocument, Page, TransitionDocument, UserDocument, Whole, word,
};
use super::extract::{Caller, NoParameters, Query};
use crate::clock::Timestamp;
use crate::db::users::{Filter, User};
use crate::db::{transitions, users};
use crate::error::{Code, Error};
use crate::kyc::status::Status;
use crate::kyc::verification::Confirm;
use crate::reconcile;

/// What narrows a list and says which page of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ListParameters {
    status: Option<String>,
    country: Option<String>,
    external_user_id: Option<String>,
    needs_confirmation: Option<bool>,
    updated_since: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl ListParameters {
    /// Splits them into what to show and which page of it.
    pub fn read(self) -> Result<(Filter, Cut), Error> {
        let filter = Filter {
            status: word("status", self.status, Status::from_word)?,
            country: self.country,
            external_user_id: self.external_user_id,
            needs_confirmation: self.needs_confirmation,
            updated_since: word("updatedSince", self.updated_since, |time| {
                time.parse::<Timestamp>().ok()
            })?,
            ..Filter::default()
        };
        Ok((filter, Cut::new(self.limit, self.cursor)?))
    }
}

/// The caller's users, the newest registration first.
pub async fn list(
    caller: Caller,
    query: Query<ListParameters>,
) -> Result<Json<Page<UserDocument>>, Error> {
    let (filter, cut) = query.0.read()?;
    let filter = Filter {
        partner: Some(caller.partner().id.clone()),
        ..filter
    };
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let rows = caller
        .db
        .read(move |conn| users::list(conn, &filter, after.as_deref(), fetch))
        .await?;
    Ok(Json(cut.page(rows, |user| &user.id, UserDocument::from)))
}

/// How fresh the answer about one user has to be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OneParameters {
    max_age: Option<u64>,
}

/// One of the caller's users, with the link. With `maxAge` the provider is asked first, unless it has confirmed the status
/// within so many seconds.
pub async fn one(
    caller: Caller,
    query: Query<OneParameters>,
    user_id: Path<String>,
) -> Result<Json<LinkedUserDocument>, Error> {
    let mut user = find(&caller, &user_id).await?;
    if let Some(seconds) = query.0.max_age {
        if caller.config.webhooks.confirm == Confirm::Never {
            return Err(Error::new(
                Code::InvalidQuery,
                "maxAge needs the provider, and webhooks.confirm is never.",
            ));
        }
        let since = caller.clock.now().minus(Duration::from_secs(seconds));
        reconcile::now(&caller, caller.place(), &user, since).await?;
        user = find(&caller, &user_id).await?;
    }
    Ok(Json(user.into()))
}

async fn find(caller: &Caller, user_id: &str) -> Result<User, Error> {
    let (partner, user_id) = (caller.partner().id.clone(), user_id.to_owned());
    let user = caller
        .db
        .fetch(move |conn| users::find(conn, &partner, &user_id))
        .await?;
    user.ok_or_else(Error::user_not_found)
}

/// The history of one of the caller's users.
pub async fn history(
    caller: Caller,
    _: Query<NoParameters>,
    user_id: Path<String>,
) -> Result<Json<Whole<TransitionDocument>>, Error> {
    let partner = caller.partner().id.clone();
    let history = caller
        .db
        .read(move |conn| match users::find(conn, &partner, &user_id)? {
            Some(user) => transitions::of_user(conn, &user).map(Some),
            None => Ok(None),
        })
        .await?
        .ok_or_else(Error::user_not_found)?;
    Ok(Json(Whole {
        data: history.into_iter().map(TransitionDocument::from).collect(),
    }))
}
