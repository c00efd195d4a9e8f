//! The table of deliveries: every webhook whose signature was right.
//!
//! One that is byte for byte an earlier one, in the same attempt and with the same outcome, is counted on that one's row,
//! so that a storm of repeats takes no space. Its row is never a reason to drop it: it may be the same thing truly
//! happening again. Those of one user are chained, each naming the one before.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel::sqlite::Sqlite;

use super::kept;
use super::schema::{deliveries, strays, users};
use super::users::User;
use super::{Conn, QueryResult, exactly_one};
use crate::clock::Timestamp;
use crate::kyc::verification::Outcome;

/// One signed webhook and its exact repeats.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = deliveries, check_for_backend(Sqlite))]
pub struct Delivery {
    /// Sorts by the time of arrival.
    pub id: String,
    /// The partner whose secret signed it.
    pub partner: String,
    /// The key of the user it was matched with.
    pub user_key: Option<String>,
    /// That user's attempt at the time.
    pub attempt: Option<i64>,
    /// Whom it is about.
    pub external_user_id: Option<String>,
    /// Its `type`.
    pub family: Option<String>,
    /// Its event.
    pub event: Option<String>,
    /// The signature it came with.
    pub signature: Vec<u8>,
    /// The exact bytes; absent for families other than KYC, and where they cannot be read.
    pub body: Option<Vec<u8>>,
    /// What became of it.
    pub outcome: Outcome,
    /// How often it came again.
    pub repeats: i64,
    /// When it came first.
    pub received_at: Timestamp,
    /// When it came last.
    pub last_received_at: Timestamp,
    /// The delivery of the same user before it.
    pub previous: Option<String>,
    /// The label of the webhook secret that verified it; absent in older rows.
    pub secret: Option<String>,
    /// How many bytes a body has that cannot be read.
    pub body_length: Option<i64>,
    /// SHA-256 of a body that cannot be read.
    pub body_sha256: Option<Vec<u8>>,
}

/// Which deliveries a list shows; what is `None` does not narrow it.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this partner only.
    pub partner: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// That came, for the first or a further time, at or after this moment.
    pub since: Option<Timestamp>,
}

/// Stores a delivery that belongs to no user, or counts it on the row it repeats.
pub fn record_stray(conn: &mut Conn, new: &Delivery) -> QueryResult<()> {
    let named = new.external_user_id.as_deref().unwrap_or_default();
    let repeated = deliveries::table
        .inner_join(strays::table.on(strays::delivery_id.eq(deliveries::id)))
        .filter(strays::partner.eq(&new.partner))
        .filter(strays::external_user_id.eq(named))
        .filter(deliveries::signature.eq(&new.signature))
        .filter(deliveries::outcome.eq(new.outcome))
        .select(deliveries::id)
        .load::<String>(conn)?;
    if let Some(id) = repeated.first() {
        return count(conn, id, new.last_received_at);
    }
    insert(conn, new)?;
    diesel::insert_into(strays::table)
        .values((
            strays::partner.eq(&new.partner),
            strays::external_user_id.eq(named),
            strays::delivery_id.eq(&new.id),
        ))
        .execute(conn)?;
    Ok(())
}

/// Stores a delivery of a user, or counts it on the row it repeats; answers the id of the row and whether it is a new one,
/// which the caller then writes down as the user's last.
///
/// A `repeated` one is counted on whatever row has its bytes, because that is the one it repeats.
pub fn record(conn: &mut Conn, new: &Delivery, user: &User) -> QueryResult<(String, bool)> {
    let repeats = |link: &Link| {
        let same = link.attempt == new.attempt && link.signature == new.signature;
        same && (new.outcome == Outcome::Repeated || link.outcome == new.outcome)
    };
    if new.outcome != Outcome::Applied {
        let this_attempt = |link: &Link| link.attempt == new.attempt;
        if let Some(id) = search(conn, user, this_attempt, repeats)? {
            count(conn, &id, new.last_received_at)?;
            return Ok((id, false));
        }
    }
    insert(conn, new)?;
    Ok((new.id.clone(), true))
}

fn insert(conn: &mut Conn, new: &Delivery) -> QueryResult<()> {
    diesel::insert_into(deliveries::table)
        .values((
            deliveries::id.eq(&new.id),
            deliveries::partner.eq(&new.partner),
            deliveries::user_key.eq(&new.user_key),
            deliveries::attempt.eq(new.attempt),
            deliveries::external_user_id.eq(&new.external_user_id),
            deliveries::family.eq(&new.family),
            deliveries::event.eq(&new.event),
            deliveries::signature.eq(&new.signature),
            deliveries::body.eq(&new.body),
            deliveries::outcome.eq(new.outcome),
            deliveries::repeats.eq(new.repeats),
            deliveries::received_at.eq(new.received_at),
            deliveries::last_received_at.eq(new.last_received_at),
            deliveries::previous.eq(&new.previous),
            deliveries::secret.eq(&new.secret),
        ))
        .execute(conn)?;
    if new.body_length.is_some() {
        note_body(conn, new)?;
    }
    Ok(())
}

/// Writes down what is noted of a body that cannot be read; apart from the rest, because hardly any delivery has such a body.
fn note_body(conn: &mut Conn, new: &Delivery) -> QueryResult<()> {
    let rows = diesel::update(deliveries::table.find(&new.id))
        .set((
            deliveries::body_length.eq(new.body_length),
            deliveries::body_sha256.eq(&new.body_sha256),
        ))
        .execute(conn)?;
    exactly_one(rows)
}

fn count(conn: &mut Conn, id: &str, now: Timestamp) -> QueryResult<()> {
    let rows = kept::update(
        conn,
        deliveries::table,
        deliveries::id.eq(id),
        (
            deliveries::repeats.eq(deliveries::repeats + 1),
            deliveries::last_received_at.eq(now),
        ),
    )?;
    exactly_one(rows)
}

/// What is asked of each delivery when a user's are gone through.
#[derive(Queryable, Selectable)]
#[diesel(table_name = deliveries, check_for_backend(Sqlite))]
struct Link {
    id: String,
    attempt: Option<i64>,
    signature: Vec<u8>,
    outcome: Outcome,
    previous: Option<String>,
}

/// The last of the user's deliveries that is `wanted`, among those back to the first one that is not `near`.
///
/// They are as many as the provider sent different ones, because exact repeats are counted on one row.
fn search(
    conn: &mut Conn,
    user: &User,
    near: impl Fn(&Link) -> bool,
    wanted: impl Fn(&Link) -> bool,
) -> QueryResult<Option<String>> {
    let mut next = user.last_delivery.clone();
    while let Some(id) = next {
        let link = deliveries::table.find(id).select(Link::as_select());
        let Some(link) = link.get_result(conn).optional()?.filter(&near) else {
            break;
        };
        if wanted(&link) {
            return Ok(Some(link.id));
        }
        next = link.previous;
    }
    Ok(None)
}

/// Whether the user received exactly this signature in an attempt before `attempt`.
pub fn seen_before_attempt(
    conn: &mut Conn,
    user: &User,
    attempt: i64,
    signature: &[u8],
) -> QueryResult<bool> {
    let seen = |link: &Link| link.attempt < Some(attempt) && link.signature == signature;
    Ok(search(conn, user, |_| true, seen)?.is_some())
}

/// Whether the user received exactly this signature before the delivery or act with that id.
pub fn seen_before(conn: &mut Conn, user: &User, id: &str, signature: &[u8]) -> QueryResult<bool> {
    let seen = |link: &Link| link.id.as_str() < id && link.signature == signature;
    Ok(search(conn, user, |_| true, seen)?.is_some())
}

/// The deliveries that wait for a user of that id to be registered, in the order received.
pub fn unmatched(
    conn: &mut Conn,
    partner: &str,
    external_user_id: &str,
) -> QueryResult<Vec<Delivery>> {
    deliveries::table
        .inner_join(strays::table.on(strays::delivery_id.eq(deliveries::id)))
        .filter(strays::partner.eq(partner))
        .filter(strays::external_user_id.eq(external_user_id))
        .filter(deliveries::outcome.eq(Outcome::Unmatched))
        .order(strays::delivery_id)
        .select(Delivery::as_select())
        .load(conn)
}

/// Writes down whom a delivery that had waited was matched with and what became of it. The caller then writes it down as
/// the user's last.
pub fn matched(
    conn: &mut Conn,
    delivery: &Delivery,
    user: &User,
    outcome: Outcome,
) -> QueryResult<()> {
    let rows = diesel::update(deliveries::table.find(&delivery.id))
        .set((
            deliveries::user_key.eq(&user.id),
            deliveries::attempt.eq(user.attempt),
            deliveries::outcome.eq(outcome),
            deliveries::previous.eq(&user.last_delivery),
        ))
        .execute(conn)?;
    exactly_one(rows)?;
    let stray = (&delivery.partner, &user.external_user_id, &delivery.id);
    let rows = diesel::delete(strays::table.find(stray)).execute(conn)?;
    exactly_one(rows)
}

/// At most `limit` of the partner's applied deliveries that the secret with that label verified, received at `since` or later,
/// after the one with id `after`.
pub fn applied_with(
    conn: &mut Conn,
    (partner, secret): (&str, &str),
    since: Timestamp,
    after: &str,
    limit: i64,
) -> QueryResult<Vec<Delivery>> {
    deliveries::table
        .filter(deliveries::id.gt(after))
        .filter(deliveries::partner.eq(partner))
        .filter(deliveries::secret.eq(secret))
        .filter(deliveries::outcome.eq(Outcome::Applied))
        .filter(deliveries::received_at.ge(since))
        .order(deliveries::id)
        .limit(limit)
        .select(Delivery::as_select())
        .load(conn)
}

/// Deletes at most `limit` of the partner's unmatched deliveries that the secret with that label verified; answers how many.
pub fn drop_unmatched_with(
    conn: &mut Conn,
    (partner, secret): (&str, &str),
    limit: i64,
) -> QueryResult<usize> {
    let found: Vec<(String, String)> = deliveries::table
        .inner_join(strays::table.on(strays::delivery_id.eq(deliveries::id)))
        .filter(strays::partner.eq(partner))
        .filter(deliveries::secret.eq(secret))
        .filter(deliveries::outcome.eq(Outcome::Unmatched))
        .select((strays::external_user_id, deliveries::id))
        .limit(limit)
        .load(conn)?;
    for (external_user_id, id) in &found {
        diesel::delete(strays::table.find((partner, external_user_id, id))).execute(conn)?;
        diesel::delete(deliveries::table.find(id)).execute(conn)?;
    }
    Ok(found.len())
}

/// Writes down what became of a user's delivery when it was folded once more. All else of the row stays as it came.
pub fn refolded(conn: &mut Conn, delivery: &Delivery, outcome: Outcome) -> QueryResult<()> {
    let rows = diesel::update(deliveries::table.find(&delivery.id))
        .set(deliveries::outcome.eq(outcome))
        .execute(conn)?;
    exactly_one(rows)
}

/// The delivery with that id, if there is one, with the user that it was matched with.
pub fn by_id(conn: &mut Conn, id: &str) -> QueryResult<Option<(Delivery, Option<User>)>> {
    deliveries::table
        .left_join(users::table.on(deliveries::user_key.eq(users::id.nullable())))
        .filter(deliveries::id.eq(id))
        .select((Delivery::as_select(), Option::<User>::as_select()))
        .get_result(conn)
        .optional()
}

/// All that came for a user, oldest first.
pub fn of_user(conn: &mut Conn, user: &User) -> QueryResult<Vec<Delivery>> {
    let mut came = Vec::new();
    let mut next = user.last_delivery.clone();
    while let Some(id) = next {
        let delivery = deliveries::table.find(id).select(Delivery::as_select());
        let Some(delivery) = delivery.get_result(conn).optional()? else {
            break;
        };
        next = delivery.previous.clone();
        came.push(delivery);
    }
    // What had waited for its user may have come before what is chained before it.
    came.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(came)
}

/// A page of deliveries with the provider's id of the user each was matched with, the newest first: at most `limit` of
/// those received before the one with id `after`.
///
/// With a million deliveries in memory a page takes less than a millisecond where many belong on it, and 0.2 s where hardly any
/// does, for a walk through all of them.
pub fn list(
    conn: &mut Conn,
    filter: &Filter,
    after: Option<&str>,
    limit: i64,
) -> QueryResult<Vec<(Delivery, Option<String>)>> {
    let mut query = deliveries::table
        .left_join(users::table.on(deliveries::user_key.eq(users::id.nullable())))
        .select((Delivery::as_select(), users::user_id.nullable()))
        .order(deliveries::id.desc())
        .limit(limit)
        .into_boxed();
    if let Some(partner) = &filter.partner {
        query = query.filter(deliveries::partner.eq(partner));
    }
    if let Some(outcome) = filter.outcome {
        query = query.filter(deliveries::outcome.eq(outcome));
    }
    if let Some(since) = filter.since {
        query = query.filter(deliveries::last_received_at.ge(since));
    }
    if let Some(after) = after {
        query = query.filter(deliveries::id.lt(after.to_owned()));
    }
    query.load(conn)
}

/// How many deliveries there are by partner and outcome: rows, and how often they came again.
pub fn counts(conn: &mut Conn) -> QueryResult<Vec<(String, Outcome, i64)>> {
    deliveries::table
        .group_by((deliveries::partner, deliveries::outcome))
        .select((
            deliveries::partner,
            deliveries::outcome,
            diesel::dsl::count_star(),
        ))
        .load(conn)
}

/// How many deliveries of each partner wait for their user to be registered.
pub fn unmatched_counts(conn: &mut Conn) -> QueryResult<Vec<(String, i64)>> {
    strays::table
        .inner_join(deliveries::table.on(deliveries::id.eq(strays::delivery_id)))
        .filter(deliveries::outcome.eq(Outcome::Unmatched))
        .group_by(strays::partner)
        .select((strays::partner, diesel::dsl::count_star()))
        .load(conn)
}

/// How many deliveries of a partner with one outcome have come.
#[derive(QueryableByName)]
pub struct Arrived {
    /// Whose they are.
    #[diesel(sql_type = Text)]
    pub partner: String,
    /// What became of them.
    #[diesel(sql_type = Text)]
    pub outcome: Outcome,
    /// All of them.
    #[diesel(sql_type = BigInt)]
    pub all: i64,
    /// Those of the end of the time.
    #[diesel(sql_type = BigInt)]
    pub late: i64,
}

/// Counts the deliveries that came for the first time at or after `since`, and those of them at or after `late`.
///
/// The ids tell where to begin, so it takes as long as there are such: 25 ms for sixty thousand.
pub fn arrived(conn: &mut Conn, since: Timestamp, late: Timestamp) -> QueryResult<Vec<Arrived>> {
    let arrived = "SELECT partner, outcome, COUNT(*) AS \"all\", SUM(received_at >= ?) AS late
        FROM deliveries WHERE id >= ? AND received_at >= ? GROUP BY partner, outcome";
    diesel::sql_query(arrived)
        .bind::<BigInt, _>(late)
        .bind::<Text, _>(since.first_id())
        .bind::<BigInt, _>(since)
        .load(conn)
}

/// When the newest of the partner's deliveries came. Quick where there is a new one, and a search through all where there is
/// none.
pub fn last_received_at(conn: &mut Conn, partner: &str) -> QueryResult<Option<Timestamp>> {
    deliveries::table
        .filter(deliveries::partner.eq(partner))
        .order(deliveries::id.desc())
        .select(deliveries::received_at)
        .first(conn)
        .optional()
}
