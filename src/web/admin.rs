//! `GET /v1/admin/…`: what admins are told, of all partners' users. Never a link.

use std::collections::BTreeMap;

use actix_web::web::{Json, Path};
use serde::{Deserialize, Serialize};

use super::documents::{Cut, DeliveryDocument, Page, TransitionDocument, UserDocument, word};
use super::extract::{Admin, NoParameters, Query};
use crate::app::RefusalCounts;
use crate::clock::Timestamp;
use crate::db::users::{Filter, User};
use crate::db::{deliveries, transitions, users};
use crate::error::{Code, Error};
use crate::kyc::status::Status;
use crate::kyc::verification::{Outcome, State};

/// A user and whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartnersUser {
    partner_id: String,
    #[serde(flatten)]
    user: UserDocument,
}

impl From<User> for PartnersUser {
    fn from(mut user: User) -> PartnersUser {
        PartnersUser {
            partner_id: std::mem::take(&mut user.partner),
            user: user.into(),
        }
    }
}

/// The parameters of a partner's list, and two more. (Written out: flattened ones cannot refuse unknown names.)
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UsersParameters {
    partner: Option<String>,
    q: Option<String>,
    status: Option<String>,
    country: Option<String>,
    external_user_id: Option<String>,
    needs_confirmation: Option<bool>,
    updated_since: Option<String>,
    limit: Option<i64>,
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
        status: word("status", query.status, Status::from_word)?,
        country: query.country,
        external_user_id: query.external_user_id,
        needs_confirmation: query.needs_confirmation,
        updated_since: word("updatedSince", query.updated_since, |time| {
            time.parse::<Timestamp>().ok()
        })?,
    };
    let (after, fetch) = (cut.after.clone(), cut.fetch());
    let rows = admin
        .db
        .read(move |conn| users::list(conn, &filter, after.as_deref(), fetch))
        .await?;
    Ok(Json(cut.page(rows, |user| &user.id, PartnersUser::from)))
}

/// A user with all that is known of it.
#[derive(Serialize)]
pub struct WholeUser {
    #[serde(flatten)]
    user: PartnersUser,
    history: Vec<TransitionDocument>,
    deliveries: Vec<DeliveryDocument>,
}

/// One user of one partner, with history and deliveries.
pub async fn user(
    admin: Admin,
    _: Query<NoParameters>,
    path: Path<(String, String)>,
) -> Result<Json<WholeUser>, Error> {
    let (partner, user_id) = path.into_inner();
    let found = admin
        .db
        .read(move |conn| {
            let Some(user) = users::find(conn, &partner, &user_id)? else {
                return Ok(None);
            };
            let history = transitions::of_user(conn, &user.id)?;
            let deliveries = deliveries::of_user(conn, &user.id)?;
            Ok(Some((user, history, deliveries)))
        })
        .await?;
    let not_found = || {
        Error::new(
            Code::UserNotFound,
            "That partner has no user with this userId.",
        )
    };
    let (user, history, deliveries) = found.ok_or_else(not_found)?;
    let user_id = user.user_id.clone();
    let of_this_user = |delivery| DeliveryDocument::new(delivery, Some(user_id.clone()));
    Ok(Json(WholeUser {
        history: history.into_iter().map(TransitionDocument::from).collect(),
        deliveries: deliveries.into_iter().map(of_this_user).collect(),
        user: user.into(),
    }))
}

/// What narrows the list of deliveries and says which page of it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeliveriesParameters {
    outcome: Option<String>,
    partner: Option<String>,
    since: Option<String>,
    limit: Option<i64>,
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
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    partners: BTreeMap<String, PartnerStats>,
    /// Deliveries refused for their signature since the start, of all partners and of none.
    signature_refusals: RefusalCounts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PartnerStats {
    users: BTreeMap<&'static str, i64>,
    needs_confirmation: i64,
    deliveries: BTreeMap<&'static str, i64>,
}

impl PartnerStats {
    fn new() -> PartnerStats {
        PartnerStats {
            users: Status::ALL.map(|status| (status.as_str(), 0)).into(),
            needs_confirmation: 0,
            deliveries: Outcome::ALL.map(|outcome| (outcome.as_str(), 0)).into(),
        }
    }
}

/// How many users and deliveries there are, by partner.
pub async fn stats(admin: Admin, _: Query<NoParameters>) -> Result<Json<Stats>, Error> {
    let (user_counts, delivery_counts) = admin
        .db
        .read(|conn| Ok((users::counts(conn)?, deliveries::counts(conn)?)))
        .await?;
    let configured = admin
        .config
        .partners
        .iter()
        .map(|partner| partner.id.clone());
    let mut partners: BTreeMap<_, _> = configured.map(|id| (id, PartnerStats::new())).collect();
    for count in user_counts {
        let stats = partners
            .entry(count.partner)
            .or_insert_with(PartnerStats::new);
        let state = State {
            status: count.status,
            held: count.held,
            ..State::opened(1)
        };
        *stats.users.entry(state.shown().as_str()).or_default() += count.users;
        if state.needs_confirmation() {
            stats.needs_confirmation += count.users;
        }
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
