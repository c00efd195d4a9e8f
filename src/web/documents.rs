//! What answers look like: the documents that stand in more than one of them.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::db::deliveries::Delivery;
use crate::db::transitions::Transition;
use crate::db::users::UserNow;
use crate::error::{Code, Error};
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::Outcome;
use crate::once::{Replay, ToldUser};
use crate::start_pages::StartPages;

/// A user as everybody is told it. The links are not in it: they stand only in a partner's answers about one user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserDocument {
    /// The provider's id of the person.
    #[schema(examples("2da954cd-2fda-49c2-ad77-6208c5ab71d6"))]
    user_id: String,
    /// Your own id of the person, by which the provider's webhooks name it.
    #[schema(examples("customer-42"))]
    external_user_id: String,
    /// Whose KYC template is used, as an ISO 3166-1 alpha-2 code.
    #[schema(examples("MX"))]
    country: String,
    /// Where the user stands.
    #[schema(value_type = Status)]
    status: &'static str,
    /// Whether the status is a verdict that is confirmed: by a check, by an admin or by an import. Wait for it before money
    /// moves.
    #[serde(rename = "final")]
    #[schema(examples(false))]
    is_final: bool,
    /// The number of the current run of verification; a link after a rejection opens the next one.
    #[schema(minimum = 1, examples(1))]
    attempt: i64,
    /// When the provider made the current link.
    #[schema(required, value_type = Option<String>, format = DateTime, examples("2026-11-23T19:20:00.123Z"))]
    link_created_at: Option<Timestamp>,
    /// Whether a `verified` is in doubt: bad news waits for a check, or no check has confirmed it in time. The status is
    /// `in_review` until then.
    #[schema(examples(false))]
    needs_confirmation: bool,
    /// What moved the status last.
    #[schema(value_type = Source)]
    source: &'static str,
    /// Grows by one with every change that a reader could see.
    #[schema(minimum = 1, examples(3))]
    version: i64,
    /// When the user was registered.
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:20:00.000Z"))]
    created_at: Timestamp,
    /// When the user last changed.
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:24:31.418Z"))]
    updated_at: Timestamp,
    /// When the verdict was reached; null while there is none.
    #[schema(required, value_type = Option<String>, format = DateTime, examples(json!(null)))]
    decided_at: Option<Timestamp>,
    /// When the provider last confirmed what is shown.
    #[schema(required, value_type = Option<String>, format = DateTime, examples("2026-11-23T19:24:32.007Z"))]
    as_of: Option<Timestamp>,
}

impl From<UserNow> for UserDocument {
    fn from(user: UserNow) -> UserDocument {
        let state = user.state();
        let shown = state.shown();
        let (decided_at, as_of) = (user.shown_decided_at(), user.as_of());
        let user = user.into_inner();
        UserDocument {
            user_id: user.user_id,
            external_user_id: user.external_user_id,
            country: user.country,
            status: shown.as_str(),
            is_final: state.is_final(),
            attempt: user.attempt,
            link_created_at: user.link_created_at,
            needs_confirmation: state.needs_confirmation(),
            source: user.source.as_str(),
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
            decided_at,
            as_of,
        }
    }
}

impl From<ToldUser> for UserDocument {
    fn from(user: ToldUser) -> UserDocument {
        UserDocument {
            user_id: user.user_id,
            external_user_id: user.external_user_id,
            country: user.country,
            status: user.status.as_str(),
            is_final: user.is_final,
            attempt: user.attempt,
            link_created_at: user.link_created_at,
            needs_confirmation: user.needs_confirmation,
            source: user.source.as_str(),
            version: user.version,
            created_at: user.created_at,
            updated_at: user.updated_at,
            decided_at: user.decided_at,
            as_of: user.as_of,
        }
    }
}

/// A user as its own partner is told it when it asks for that one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = LinkedUser)]
pub struct LinkedUserDocument {
    #[serde(flatten)]
    user: UserDocument,
    /// Where the person verifies itself; null once the attempt is decided. Whoever has it can act as the person.
    #[schema(required, format = Uri, examples("https://kyc.example/session/8f14e45f"))]
    kyc_link: Option<String>,
    /// Leads to an open link for as long as the attempt is open, and says afterwards how it ended. Whoever has it can act as
    /// the person.
    #[schema(format = Uri, examples("https://kyc.example/start/AZqwxV49ehCPAAEjRWeJqwAAAANp32whvtqh1nGYYhHaftGe"))]
    start_url: String,
}

impl LinkedUserDocument {
    /// The document of the user, whose start page is one of these.
    pub fn new(start_pages: &StartPages, user: UserNow) -> LinkedUserDocument {
        LinkedUserDocument {
            start_url: start_pages.url(&user),
            kyc_link: user.kyc_link.clone(),
            user: user.into(),
        }
    }

    /// The document that was answered before.
    pub fn again(start_pages: &StartPages, replay: Replay) -> LinkedUserDocument {
        let user = replay.user;
        LinkedUserDocument {
            start_url: start_pages.url_of(&user.key, user.attempt),
            kyc_link: replay.kyc_link,
            user: user.into(),
        }
    }
}

/// One change of a user's status.
#[derive(Serialize, ToSchema)]
#[schema(as = Transition)]
pub struct TransitionDocument {
    /// When it was.
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:22:10.500Z"))]
    at: Timestamp,
    /// The attempt that it belongs to.
    #[schema(minimum = 1, examples(1))]
    attempt: i64,
    /// The status before; null where an attempt begins.
    #[schema(required, value_type = Option<Status>)]
    from: Option<&'static str>,
    /// The status after.
    #[schema(value_type = Status)]
    to: &'static str,
    cause: CauseDocument,
}

/// What brought a change about.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Cause)]
struct CauseDocument {
    #[schema(value_type = Source)]
    kind: &'static str,
    /// The provider's word for it, of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, examples("CREATED_KYC"))]
    event: Option<String>,
    /// Our id of the delivery, of a webhook.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = Uuid, examples("019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f"))]
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
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Delivery)]
pub struct DeliveryDocument {
    #[schema(format = Uuid, examples("019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f"))]
    id: String,
    /// To whose address it was sent.
    #[schema(examples("acme"))]
    partner_id: String,
    /// The provider's id of the user it was matched with.
    #[schema(required, examples("2da954cd-2fda-49c2-ad77-6208c5ab71d6"))]
    user_id: Option<String>,
    /// Whom it names.
    #[schema(required, examples("customer-42"))]
    external_user_id: Option<String>,
    /// The provider's word for the kind of webhook.
    #[serde(rename = "type")]
    #[schema(required, examples("KYC"))]
    family: Option<String>,
    /// The provider's word for what happened.
    #[schema(required, examples("CREATED_KYC"))]
    event: Option<String>,
    /// The attempt of the user that it came in.
    #[schema(required, minimum = 1, examples(1))]
    attempt: Option<i64>,
    #[schema(value_type = Outcome)]
    outcome: &'static str,
    /// How often it came again.
    #[schema(minimum = 0, examples(0))]
    repeats: i64,
    /// When it came first.
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:22:10.500Z"))]
    received_at: Timestamp,
    /// When it came last.
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:22:10.500Z"))]
    last_received_at: Timestamp,
    /// The body as text, where it was kept.
    #[schema(
        required,
        examples(r#"{"type":"KYC","event":"CREATED_KYC","externalUserId":"customer-42"}"#)
    )]
    body: Option<String>,
    /// How many bytes a body has that cannot be read; of such a body nothing else is kept than this and the next.
    #[schema(required, minimum = 0, examples(17))]
    body_length: Option<i64>,
    /// SHA-256 of a body that cannot be read.
    #[schema(
        required,
        pattern = "^[0-9a-f]{64}$",
        examples("2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae")
    )]
    body_sha256: Option<String>,
    /// The label of the webhook secret that verified it; null in a delivery from before labels.
    #[schema(required, examples("2026-11"))]
    secret: Option<String>,
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
            body_length: delivery.body_length,
            body_sha256: delivery.body_sha256.map(hex::encode),
            secret: delivery.secret,
        }
    }
}

/// A list that is never cut into pages.
#[derive(Serialize, ToSchema)]
pub struct Whole<T> {
    /// Its entries.
    pub data: Vec<T>,
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// Its entries.
    pub data: Vec<T>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(
        required,
        pattern = "^[0-9a-f]{32}$",
        examples("019ab2f47c1e7d3a9b526a0f4c1d2e3f")
    )]
    pub next_cursor: Option<String>,
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
