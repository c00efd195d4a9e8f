//! `GET /v1/admin/…`: what admins are told, of all partners' users. Never a link.

use std::collections::BTreeMap;

use actix_web::web::{Json, Path};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::documents::{Cut, DeliveryDocument, Page, TransitionDocument, UserDocument, word};
use super::extract::{Admin, JsonBody, NoParameters, Query};
use super::openapi::words::{counts_by_outcome, counts_by_status};
use crate::app::{App, RefusalCounts};
use crate::clock::Timestamp;
use crate::db::looks::{self, Memory};
use crate::db::overrides::{self, Override};
use crate::db::users::{Attention, Filter, UserNow};
use crate::db::{deliveries, transitions, users};
use crate::error::{Code, Error};
use crate::kyc::link_request::Fault;
use crate::kyc::looks::STALLED;
use crate::kyc::status::Status;
use crate::kyc::verification::{Outcome, Unconfirmed};
use crate::language::Language;
use crate::overrule::{self, Order};
use crate::{catch_up, confirm, why};

/// A user and whose it is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartnersUser {
    #[schema(examples("acme"))]
    partner_id: String,
    #[serde(flatten)]
    user: UserDocument,
}

impl From<UserNow> for PartnersUser {
    fn from(user: UserNow) -> PartnersUser {
        PartnersUser {
            partner_id: user.partner.clone(),
            user: user.into(),
        }
    }
}

/// The parameters of a partner's list, and two more. (Written out: flattened ones cannot refuse unknown names.)
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsersParameters {
    /// Only users of that partner.
    partner: Option<String>,
    /// Only users one of whose ids begins so.
    q: Option<String>,
    /// Only users who wait for a person, for that reason.
    #[param(value_type = Option<Attention>)]
    attention: Option<String>,
    /// Only users who stand there.
    #[param(value_type = Option<Status>)]
    status: Option<String>,
    /// Only users of that country.
    country: Option<String>,
    /// Only users with that id of a partner's.
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

/// The users of all partners, the newest registration first.
pub async fn users(
    admin: Admin,
    query: Query<UsersParameters>,
) -> Result<Json<Page<PartnersUser>>, Error> {
    let query = query.0;
    let cut = Cut::new(query.limit, query.cursor)?;
    let filter = Filter {
        partner: query.partner,
        prefix: query.q,
        attention: word("attention", query.attention, Attention::from_word)?,
        status: word("status", query.status, Status::from_word)?,
        country: query.country,
        external_user_id: query.external_user_id,
        needs_confirmation: query.needs_confirmation,
        updated_since: word("updatedSince", query.updated_since, |time| {
            time.parse::<Timestamp>().ok()
        })?,
        ..Filter::default()
    };
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let view = admin.view();
    let rows = admin
        .db
        .read(move |conn| users::list(conn, &filter, view, after.as_deref(), fetch))
        .await?;
    Ok(Json(cut.page(rows, |user| &user.id, PartnersUser::from)))
}

/// A user with all that is known of it.
#[derive(Serialize, ToSchema)]
pub struct WholeUser {
    #[serde(flatten)]
    user: PartnersUser,
    looks: LooksDocument,
    history: Vec<TransitionDocument>,
    overrides: Vec<OverrideDocument>,
    deliveries: Vec<DeliveryDocument>,
}

/// What looks at the provider have brought, and when the next one comes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Looks)]
struct LooksDocument {
    /// What an event says that waits for a check, whether readers are told of it or not.
    #[schema(required, value_type = Option<Status>)]
    held: Option<&'static str>,
    /// Whether the provider and what it sent disagree.
    #[schema(examples(false))]
    conflict: bool,
    /// Whether nothing has been heard for so long that the user is only looked at weekly.
    #[schema(examples(false))]
    stalled: bool,
    /// Whether an admin has set the status, so that only an admin moves this attempt.
    #[schema(examples(false))]
    overridden: bool,
    /// The provider's last word of this attempt, as it came.
    #[schema(required, examples("REVIEW"))]
    provider_word: Option<String>,
    #[schema(required, value_type = Option<String>, format = DateTime, examples("2026-11-23T19:24:32.007Z"))]
    looked_at: Option<Timestamp>,
    #[schema(required, value_type = Option<String>, format = DateTime, examples("2026-11-23T20:24:32.007Z"))]
    next_look_at: Option<Timestamp>,
    /// Checks in a row that brought nothing usable.
    #[schema(minimum = 0, examples(0))]
    failures: i64,
    /// What is known against a verdict that a webhook set and no check has confirmed: `believed`, `timed_out` or `denied`; null
    /// where the verdict is confirmed, and without a verdict.
    #[schema(required, examples(json!(null)))]
    unconfirmed: Option<&'static str>,
    /// Why the provider's last answer was unusable; null once one is usable.
    #[schema(required, examples(json!(null)))]
    unusable: Option<String>,
}

impl LooksDocument {
    fn new(user: &UserNow, memory: Memory) -> LooksDocument {
        LooksDocument {
            held: user.held.map(Status::as_str),
            conflict: memory.conflict,
            stalled: memory.step == STALLED,
            overridden: user.overridden,
            provider_word: memory.provider_word,
            looked_at: memory.looked_at,
            next_look_at: memory.due_at,
            failures: memory.failures,
            unconfirmed: user.unconfirmed.map(Unconfirmed::as_str),
            unusable: memory.unusable,
        }
    }
}

/// A status that an admin set by hand.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Override)]
struct OverrideDocument {
    #[schema(value_type = String, format = DateTime, examples("2026-11-23T19:30:00.000Z"))]
    at: Timestamp,
    #[schema(minimum = 1, examples(1))]
    attempt: i64,
    /// Who did it, by the name in the configuration.
    #[schema(examples("ops"))]
    admin: String,
    #[schema(examples("Seen the papers."))]
    reason: String,
    #[schema(value_type = Status)]
    from: &'static str,
    #[schema(value_type = Status)]
    to: &'static str,
}

impl From<Override> for OverrideDocument {
    fn from(act: Override) -> OverrideDocument {
        OverrideDocument {
            at: act.at,
            attempt: act.attempt,
            admin: act.admin,
            reason: act.reason,
            from: act.from_status.as_str(),
            to: act.to_status.as_str(),
        }
    }
}

/// One user of one partner, with history and deliveries.
pub async fn user(
    admin: Admin,
    _: Query<NoParameters>,
    path: Path<(String, String)>,
) -> Result<Json<WholeUser>, Error> {
    whole(&admin, path.into_inner()).await.map(Json)
}

async fn whole(app: &App, (partner, user_id): (String, String)) -> Result<WholeUser, Error> {
    let found = app
        .db
        .read(move |conn| {
            let Some(user) = users::find(conn, &partner, &user_id)? else {
                return Ok(None);
            };
            let memory = looks::of(conn, &user.id)?;
            let history = transitions::of_user(conn, &user)?;
            let overrides = overrides::of_user(conn, &user.id)?;
            let deliveries = deliveries::of_user(conn, &user)?;
            Ok(Some((user, memory, history, overrides, deliveries)))
        })
        .await?;
    let (user, memory, history, overrides, deliveries) = found.ok_or_else(not_found)?;
    let user = user.at(app.view());
    let user_id = user.user_id.clone();
    let of_this_user = |delivery| DeliveryDocument::new(delivery, Some(user_id.clone()));
    Ok(WholeUser {
        looks: LooksDocument::new(&user, memory),
        history: history.into_iter().map(TransitionDocument::from).collect(),
        overrides: overrides.into_iter().map(OverrideDocument::from).collect(),
        deliveries: deliveries.into_iter().map(of_this_user).collect(),
        user: user.into(),
    })
}

fn not_found() -> Error {
    Error::new(
        Code::UserNotFound,
        "That partner has no user with this userId.",
    )
}

/// Why a user stands where it stands, in one paragraph.
#[derive(Serialize, ToSchema)]
pub struct Explanation {
    #[schema(examples("The user is pending in attempt 1, since the link that opened it."))]
    why: String,
}

/// Says what is known of a user and from where, what is waited for, when the provider is asked next, what can be done.
pub async fn why(
    admin: Admin,
    _: Query<NoParameters>,
    path: Path<(String, String)>,
) -> Result<Json<Explanation>, Error> {
    let (partner, user_id) = path.into_inner();
    let view = admin.view();
    let known = admin
        .db
        .read(move |conn| why::known(conn, &partner, &user_id, view))
        .await?;
    let known = known.ok_or_else(not_found)?;
    Ok(Json(Explanation {
        why: known.explain(Language::English, admin.clock.now()),
    }))
}

/// Asks the provider about a user now, and answers the user as it is then.
pub async fn confirm(
    admin: Admin,
    _: Query<NoParameters>,
    path: Path<(String, String)>,
) -> Result<Json<WholeUser>, Error> {
    let (partner, user_id) = path.into_inner();
    let names = (partner.clone(), user_id.clone());
    let user = admin
        .db
        .read(move |conn| users::find(conn, &partner, &user_id))
        .await?
        .ok_or_else(not_found)?;
    confirm::user(&admin, admin.name(), &user).await?;
    whole(&admin, names).await.map(Json)
}

/// Sets a user's status by hand, for a reason that is written down.
pub async fn overrule(
    admin: Admin,
    _: Query<NoParameters>,
    path: Path<(String, String)>,
    body: JsonBody,
) -> Result<Json<WholeUser>, Error> {
    let order = order(admin.name(), &body.0).map_err(Error::invalid_request)?;
    let names = path.into_inner();
    let (partner, user_id) = names.clone();
    let (clock, trust) = (admin.clock.clone(), admin.trust(&partner));
    let done = admin
        .db
        .write(move |conn| overrule::user(conn, &clock, trust, (&partner, &user_id), order))
        .await?;
    done.ok_or_else(not_found)?;
    whole(&admin, names).await.map(Json)
}

/// No reason is longer than this many characters.
pub const REASON: usize = 500;

/// What an admin of that name wants, or all that is wrong with it.
pub fn order(admin: &str, body: &Value) -> Result<Order, Vec<Fault>> {
    let Value::Object(fields) = body else {
        return Err(vec![Fault::new("", "not_an_object", "must be an object")]);
    };
    let mut faults = Vec::new();
    for name in fields.keys() {
        if !matches!(name.as_str(), "status" | "reason") {
            faults.push(Fault::new(name, "unknown_field", "is not known here"));
        }
    }
    let mut text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Some(text.as_str()),
        Some(_) => {
            faults.push(Fault::new(name, "wrong_type", "must be a text"));
            None
        }
        None => {
            faults.push(Fault::new(name, "required", "is required"));
            None
        }
    };
    let (status, reason) = (text("status"), text("reason"));
    let word = status.and_then(Status::from_word);
    if status.is_some() && word.is_none() {
        let words = Status::ALL.map(Status::as_str).join(", ");
        faults.push(Fault::new(
            "status",
            "not_allowed",
            format!("must be one of {words}"),
        ));
    }
    let plain = |reason: &str| {
        !reason.trim().is_empty()
            && reason.chars().count() <= REASON
            && !reason.chars().any(char::is_control)
    };
    if reason.is_some_and(|reason| !plain(reason)) {
        let message = "must say something, in at most 500 characters without control characters";
        faults.push(Fault::new("reason", "length", message));
    }
    match (word, reason) {
        (Some(status), Some(reason)) if faults.is_empty() => Ok(Order {
            admin: admin.to_owned(),
            status,
            reason: reason.trim().to_owned(),
        }),
        _ => Err(faults),
    }
}

/// What narrows the list of deliveries and says which page of it.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveriesParameters {
    /// Only deliveries of which that became.
    #[param(value_type = Option<Outcome>)]
    outcome: Option<String>,
    /// Only deliveries to that partner's address.
    partner: Option<String>,
    /// Only deliveries that came since then; RFC 3339 with any offset.
    #[param(format = DateTime)]
    since: Option<String>,
    /// How many deliveries the page has at most.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<i64>,
    /// The `nextCursor` of the page before.
    #[param(pattern = "^[0-9a-f]{32}$")]
    cursor: Option<String>,
}

/// The deliveries of all partners, the newest first.
pub async fn deliveries(
    admin: Admin,
    query: Query<DeliveriesParameters>,
) -> Result<Json<Page<DeliveryDocument>>, Error> {
    let query = query.0;
    let cut = Cut::new(query.limit, query.cursor)?;
    let filter = deliveries::Filter {
        partner: query.partner,
        outcome: word("outcome", query.outcome, Outcome::from_word)?,
        since: word("since", query.since, |time| time.parse::<Timestamp>().ok())?,
    };
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let rows = admin
        .db
        .read(move |conn| deliveries::list(conn, &filter, after.as_deref(), fetch))
        .await?;
    Ok(Json(cut.page(
        rows,
        |(delivery, _)| &delivery.id,
        |(delivery, user_id)| DeliveryDocument::new(delivery, user_id),
    )))
}

/// Counts of everything.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// By the id of the partner.
    partners: BTreeMap<String, PartnerStats>,
    /// Deliveries refused for their signature since the start, of all partners and of none.
    signature_refusals: RefusalCounts,
}

/// Counts of one partner.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PartnerStats {
    #[schema(schema_with = counts_by_status)]
    users: BTreeMap<&'static str, i64>,
    /// Verified users about whom there is bad news.
    #[schema(minimum = 0, examples(1))]
    needs_confirmation: i64,
    #[schema(schema_with = counts_by_outcome)]
    deliveries: BTreeMap<&'static str, i64>,
    /// Whether changes are learnt only by looking, so that our webhook address is probably not known to the provider.
    #[schema(examples(false))]
    no_webhooks_heard: bool,
    /// Since when the service knew nothing of what happened, while it still catches up with that.
    #[schema(required, value_type = Option<String>, format = DateTime, examples(json!(null)))]
    catching_up_since: Option<Timestamp>,
}

impl PartnerStats {
    fn new() -> PartnerStats {
        PartnerStats {
            users: Status::ALL.map(|status| (status.as_str(), 0)).into(),
            needs_confirmation: 0,
            deliveries: Outcome::ALL.map(|outcome| (outcome.as_str(), 0)).into(),
            no_webhooks_heard: false,
            catching_up_since: None,
        }
    }
}

/// How many users and deliveries there are, by partner.
pub async fn stats(admin: Admin, _: Query<NoParameters>) -> Result<Json<Stats>, Error> {
    let (user_counts, delivery_counts) = admin
        .db
        .read(|conn| Ok((users::counts(conn)?, deliveries::counts(conn)?)))
        .await?;
    let mut partners = BTreeMap::new();
    for (place, partner) in admin.config.partners.iter().enumerate() {
        let mut stats = PartnerStats::new();
        stats.no_webhooks_heard = admin.lookout.is_unheard(place);
        stats.catching_up_since = catch_up::under_way(&admin, place);
        partners.insert(partner.id.clone(), stats);
    }
    for count in user_counts {
        let stats = partners
            .entry(count.partner.clone())
            .or_insert_with(PartnerStats::new);
        stats.users = Status::ALL
            .map(|status| (status.as_str(), count.shown(status)))
            .into();
        stats.needs_confirmation = count.doubted;
    }
    for (partner, outcome, count) in delivery_counts {
        let stats = partners.entry(partner).or_insert_with(PartnerStats::new);
        *stats.deliveries.entry(outcome.as_str()).or_default() += count;
    }
    Ok(Json(Stats {
        partners,
        signature_refusals: admin.refusals.counts(),
    }))
}
