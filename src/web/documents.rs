//! What answers look like: the documents that stand in more than one of them.

use serde::Serialize;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::deliveries::Delivery;
use crate::db::transitions::Transition;
use crate::db::users::User;
use crate::error::{Code, Error};
use crate::kyc::status::Status;
use crate::start_pages::StartPages;

/// A user as everybody is told it. The links are not in it: they stand only in a partner's answers about one user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserDocument {
    user_id: String,
    external_user_id: String,
    country: String,
    status: &'static str,
    #[serde(rename = "final")]
    is_final: bool,
    attempt: i64,
    link_created_at: Option<Timestamp>,
    needs_confirmation: bool,
    source: &'static str,
    version: i64,
    created_at: Timestamp,
    updated_at: Timestamp,
    decided_at: Option<Timestamp>,
    /// When the provider last confirmed what is shown.
    as_of: Option<Timestamp>,
}

impl From<User> for UserDocument {
    fn from(user: User) -> UserDocument {
        let state = user.state();
        let shown = state.shown();
        UserDocument {
            user_id: user.user_id,
            external_user_id: user.external_user_id,
            country: user.country,
            status: shown.as_str(),
            is_final: shown.is_final(),
            attempt: user.attempt,
            link_created_at: user.link_created_at,
            needs_confirmation: state.needs_confirmation(),
            source: user.source.as_str(),
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
            decided_at: user.decided_at.filter(|_| shown.is_final()),
            as_of: user.confirmed_at.filter(|_| !state.needs_confirmation()),
        }
    }
}

/// A user as its own partner is told it when it asks for that one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkedUserDocument {
    #[serde(flatten)]
    user: UserDocument,
    kyc_link: Option<String>,
    /// Leads to an open link for as long as the attempt is open, and says afterwards how it ended.
    start_url: String,
}

impl LinkedUserDocument {
    /// The document of the user, whose start page is one of these.
    pub fn new(start_pages: &StartPages, mut user: User) -> LinkedUserDocument {
        LinkedUserDocument {
            start_url: start_pages.url(&user),
            kyc_link: user.kyc_link.take(),
            user: user.into(),
        }
    }
}

/// One entry of a user's history.
#[derive(Serialize)]
pub struct TransitionDocument {
    at: Timestamp,
    attempt: i64,
    from: Option<&'static str>,
    to: &'static str,
    cause: CauseDocument,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CauseDocument {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
}

impl From<Transition> for TransitionDocument {
    fn from(transition: Transition) -> TransitionDocument {
        TransitionDocument {
            at: transition.at,
            attempt: transition.attempt,
            from: transition.from_status.map(Status::as_str),
            to: transition.to_status.as_str(),
            cause: CauseDocument {
                kind: transition.source.as_str(),
                event: transition.event,
                delivery_id: transition.delivery_id,
            },
        }
    }
}

/// A delivery as admins are told it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDocument {
    id: String,
    partner_id: String,
    /// The provider's id of the user it was matched with.
    user_id: Option<String>,
    external_user_id: Option<String>,
    #[serde(rename = "type")]
    family: Option<String>,
    event: Option<String>,
    attempt: Option<i64>,
    outcome: &'static str,
    /// How often it came again.
    repeats: i64,
    received_at: Timestamp,
    last_received_at: Timestamp,
    /// The body as text, where it was kept.
    body: Option<String>,
}

impl DeliveryDocument {
    /// The document of a delivery that was matched with the user of that provider's id.
    pub fn new(delivery: Delivery, user_id: Option<String>) -> DeliveryDocument {
        DeliveryDocument {
            id: delivery.id,
            partner_id: delivery.partner,
            user_id,
            external_user_id: delivery.external_user_id,
            family: delivery.family,
            event: delivery.event,
            attempt: delivery.attempt,
            outcome: delivery.outcome.as_str(),
            repeats: delivery.repeats,
            received_at: delivery.received_at,
            last_received_at: delivery.last_received_at,
            body: delivery
                .body
                .map(|body| String::from_utf8_lossy(&body).into_owned()),
        }
    }
}

/// A list that is never cut into pages.
#[derive(Serialize)]
pub struct Whole<T> {
    /// Its entries.
    pub data: Vec<T>,
}

/// A page of a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    data: Vec<T>,
    next_cursor: Option<String>,
}

/// How many entries a page has at most, and how many if nobody says.
const PAGE: std::ops::RangeInclusive<i64> = 1..=500;
const PAGE_DEFAULT: i64 = 50;

/// Where a page begins and how long it may be.
pub struct Cut {
    /// The key of the last entry of the page before.
    pub after: Option<String>,
    limit: i64,
}

impl Cut {
    /// Reads the parameters `limit` and `cursor`.
    pub fn new(limit: Option<i64>, cursor: Option<String>) -> Result<Cut, Error> {
        let limit = limit.unwrap_or(PAGE_DEFAULT);
        if !PAGE.contains(&limit) {
            return Err(Error::new(
                Code::InvalidQuery,
                "limit must be from 1 to 500.",
            ));
        }
        let after = match cursor {
            None => None,
            Some(cursor) => match Uuid::try_parse(&cursor) {
                Ok(key) if key.simple().to_string() == cursor => Some(key.to_string()),
                _ => {
                    return Err(Error::new(
                        Code::InvalidCursor,
                        "Send the nextCursor of the page before.",
                    ));
                }
            },
        };
        Ok(Cut { after, limit })
    }

    /// How many rows to fetch: one more than the page has, to know whether another follows.
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// Makes the page of what was fetched.
    pub fn page<R, T>(
        &self,
        mut rows: Vec<R>,
        key: impl Fn(&R) -> &str,
        document: impl Fn(R) -> T,
    ) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| more)
            .map(|row| key(row).replace('-', ""));
        Page {
            data: rows.into_iter().map(document).collect(),
            next_cursor,
        }
    }
}

/// Reads a parameter that holds one of our words or a time.
pub fn word<T>(
    name: &str,
    value: Option<String>,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(value) = value else {
        return Ok(None);
    };
    match read(&value) {
        Some(word) => Ok(Some(word)),
        None => Err(Error::new(
            Code::InvalidQuery,
            format!("{name} has a value that it cannot have."),
        )),
    }
}
