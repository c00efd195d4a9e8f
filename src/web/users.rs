//! `GET /v1/kyc/users…`: what partners are told of their own users.

use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use actix_web::web::{Json, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::connection::Connection;
use super::documents::{Cut, Page, TransitionDocument, UserDocument, Whole, word};
use super::etag::{self, Known};
use super::extract::{Caller, JsonBody, NoParameters, Query};
use crate::clock::Timestamp;
use crate::db::news::Topic;
use crate::db::users::{Filter, UserNow};
use crate::db::{self, transitions, users};
use crate::error::{Code, Error};
use crate::kyc::link_request::Fault;
use crate::kyc::status::Status;
use crate::reconcile::asked;

/// The longest wait for a change, in seconds.
const LONGEST_WAIT: u64 = 60;
/// How long after a verdict comes into doubt a wait looks again at least.
const TICK: Duration = Duration::from_millis(1);
/// So many users may be asked for at once.
pub const MOST_AT_ONCE: usize = 500;

/// What narrows a list and says which page of it.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListParameters {
    /// Only users who stand there.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only users of that country.
    country: Option<String>,
    /// Only the user with that id of yours.
    external_user_id: Option<String>,
    /// Only users about whom bad news waits for confirmation, or only those about whom none does.
    needs_confirmation: Option<bool>,
    /// Only users who have changed since then; RFC 3339 with any offset.
    #[param(format = DateTime)]
    updated_since: Option<String>,
    /// How many users the page has at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[0-9a-f]{32}$")]
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
    let view = caller.view();
    let rows = caller
        .db
        .read(move |conn| users::list(conn, &filter, view, after.as_deref(), fetch))
        .await?;
    Ok(Json(cut.page(rows, |user| &user.id, UserDocument::from)))
}

/// How fresh the answer about one user has to be.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OneParameters {
    /// The provider is checked first, unless a check younger than this many seconds has confirmed the status; less than 5 means
    /// 5. 503 `not_confirmed` where no such check confirms it.
    #[param(format = Int64, maximum = 4_294_967_295u32)]
    max_age: Option<u32>,
    /// The answer is held for so many seconds, or until the user has another version than `If-None-Match` names.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u64>,
}

/// One of the caller's users, with the link, unless `If-None-Match` says that the caller has it as it stands. With `maxAge`
/// the provider is asked first, unless it has confirmed the status within so many seconds; with `wait` a caller who has it
/// is answered when that changes, or after so many seconds.
pub async fn one(
    http: HttpRequest,
    caller: Caller,
    query: Query<OneParameters>,
    user_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let known = Known::of(&http)?;
    let wait = query.0.wait.unwrap_or(0);
    if wait > LONGEST_WAIT {
        let detail = format!("wait may be {LONGEST_WAIT} seconds at most.");
        return Err(Error::new(Code::InvalidQuery, detail));
    }
    let mut user = find(&caller, &user_id).await?;
    if let Some(seconds) = query.0.max_age {
        if !caller.partner().trust.policy.checks() {
            return Err(Error::new(
                Code::InvalidQuery,
                "maxAge needs checks of the provider, and confirm is never.",
            ));
        }
        let max_age = Duration::from_secs(seconds.into());
        asked::confirm(&caller, caller.place(), &user, max_age).await?;
        user = find(&caller, &user_id).await?;
    }
    if wait > 0 && known.has(&user) {
        let connection = Connection::of(&http)?;
        user = change(&caller, &connection, &known, user, wait).await?;
    }
    Ok(etag::answer(&caller, &known, user))
}

/// The user as it stands when the caller does not know it any more, when so many seconds have passed, or when the service
/// stops.
async fn change(
    caller: &Caller,
    connection: &Rc<Connection>,
    known: &Known,
    user: UserNow,
    seconds: u64,
) -> Result<UserNow, Error> {
    let user_id = user.user_id.clone();
    let _seat = caller.seats.wait(caller.place())?;
    let over = Instant::now() + Duration::from_secs(seconds);
    let mut listener = caller.db.listen(Topic::User(user.id.clone()));
    loop {
        let user = find(caller, &user_id).await?;
        if !known.has(&user) {
            return Ok(user);
        }
        // An unconfirmed verdict comes into doubt by time alone, which no commit tells of.
        let doubted = match user.times_out_at(caller.view()) {
            Some(at) => at.since(caller.clock.now()) + TICK,
            None => Duration::from_secs(LONGEST_WAIT),
        };
        let parked = connection.park();
        let news = tokio::select! {
            () = listener.news() => true,
            () = tokio::time::sleep(doubted) => true,
            () = tokio::time::sleep_until(over) => false,
            () = connection.stopping() => false,
        };
        parked.resume()?;
        if !news {
            return find(caller, &user_id).await;
        }
    }
}

/// The caller's users among those asked for, and the ids of those who are not.
#[derive(Serialize, ToSchema)]
#[schema(as = Batch)]
pub struct BatchDocument {
    data: Vec<UserDocument>,
    /// The ids that are no user's of yours.
    missing: Vec<String>,
}

/// Many of the caller's users at once, each once and in the order asked for.
pub async fn batch(
    caller: Caller,
    _: Query<NoParameters>,
    body: JsonBody,
) -> Result<Json<BatchDocument>, Error> {
    let user_ids = asked_for(body.0).map_err(|fault| Error::invalid_request(vec![fault]))?;
    let (partner, view) = (caller.partner().id.clone(), caller.view());
    let found = move |conn: &mut db::Conn| {
        let (mut data, mut missing, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for user_id in user_ids {
            if !seen.insert(user_id.clone()) {
                continue;
            }
            match users::find(conn, &partner, &user_id)? {
                Some(user) => data.push(user.at(view).into()),
                None => missing.push(user_id),
            }
        }
        Ok(BatchDocument { data, missing })
    };
    Ok(Json(caller.db.read(found).await?))
}

/// The one field of a batch.
fn asked_for(body: Value) -> Result<Vec<String>, Fault> {
    let Value::Object(mut fields) = body else {
        let message = "Send a JSON object as the body.";
        return Err(Fault::new("", "not_an_object", message));
    };
    let user_ids = fields.remove("userIds");
    if !fields.is_empty() {
        return Err(Fault::new(
            "",
            "unknown_field",
            "Send userIds and nothing else.",
        ));
    }
    let user_ids =
        user_ids.ok_or_else(|| Fault::new("userIds", "required", "Send a list of texts."))?;
    let user_ids: Vec<String> = serde_json::from_value(user_ids)
        .map_err(|_| Fault::new("userIds", "wrong_type", "Send a list of texts."))?;
    if user_ids.len() > MOST_AT_ONCE {
        return Err(Fault::new(
            "userIds",
            "too_many",
            "Ask for 500 users at most.",
        ));
    }
    Ok(user_ids)
}

/// The caller's user with that provider's id.
///
/// # Errors
/// When there is none, or the store cannot be asked.
pub async fn find(caller: &Caller, user_id: &str) -> Result<UserNow, Error> {
    let (partner, user_id) = (caller.partner().id.clone(), user_id.to_owned());
    let user = caller
        .db
        .fetch(move |conn| users::find(conn, &partner, &user_id))
        .await?;
    let user = user.ok_or_else(Error::user_not_found)?;
    Ok(user.at(caller.view()))
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
