//! The table of deliveries: every webhook whose signature was right.
//!
//! One that is byte for byte an earlier one, in the same attempt and with the same outcome, is counted on that one's row,
//! so that a storm of repeats takes no space. Its row is never a reason to drop it: it may be the same thing truly
//! happening again.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::{deliveries, users};
use super::{Conn, QueryResult};
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
    /// The exact bytes; absent for families other than KYC.
    pub body: Option<Vec<u8>>,
    /// What became of it.
    pub outcome: Outcome,
    /// How often it came again.
    pub repeats: i64,
    /// When it came first.
    pub received_at: Timestamp,
    /// When it came last.
    pub last_received_at: Timestamp,
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

/// Stores a delivery, or counts it on the row it repeats; returns the id of the row.
///
/// A `repeated` one is counted on whatever row has its bytes, because that is the one it repeats.
pub fn record(conn: &mut Conn, new: Delivery) -> QueryResult<String> {
    if let Some(id) = repeated(conn, &new)? {
        diesel::update(deliveries::table.find(&id))
            .set((
                deliveries::repeats.eq(deliveries::repeats + 1),
                deliveries::last_received_at.eq(new.last_received_at),
            ))
            .execute(conn)?;
        return Ok(id);
    }
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
        ))
        .execute(conn)?;
    Ok(new.id)
}

fn repeated(conn: &mut Conn, new: &Delivery) -> QueryResult<Option<String>> {
    let same = deliveries::table
        .filter(deliveries::signature.eq(&new.signature))
        .order(deliveries::id.desc())
        .select(deliveries::id)
        .into_boxed();
    let same = match &new.user_key {
        Some(user) => same
            .filter(deliveries::user_key.eq(user))
            .filter(deliveries::attempt.eq(new.attempt)),
        None => same
            .filter(deliveries::user_key.is_null())
            .filter(deliveries::partner.eq(&new.partner))
            .filter(deliveries::external_user_id.is(&new.external_user_id)),
    };
    let same = match new.outcome {
        Outcome::Applied => return Ok(None),
        Outcome::Repeated => same,
        outcome => same.filter(deliveries::outcome.eq(outcome)),
    };
    same.first(conn).optional()
}

/// Whether the user received exactly this signature in an attempt before `attempt`.
pub fn seen_before_attempt(
    conn: &mut Conn,
    user_key: &str,
    attempt: i64,
    signature: &[u8],
) -> QueryResult<bool> {
    diesel::select(diesel::dsl::exists(
        deliveries::table
            .filter(deliveries::user_key.eq(user_key))
            .filter(deliveries::signature.eq(signature))
            .filter(deliveries::attempt.lt(attempt)),
    ))
    .get_result(conn)
}

/// The deliveries that wait for a user of that id to be registered, in the order received.
pub fn unmatched(
    conn: &mut Conn,
    partner: &str,
    external_user_id: &str,
) -> QueryResult<Vec<Delivery>> {
    deliveries::table
        .filter(deliveries::user_key.is_null())
        .filter(deliveries::partner.eq(partner))
        .filter(deliveries::external_user_id.eq(external_user_id))
        .filter(deliveries::outcome.eq(Outcome::Unmatched))
        .order(deliveries::id)
        .select(Delivery::as_select())
        .load(conn)
}

/// Writes down whom a delivery that had waited was matched with, and what became of it.
pub fn matched(
    conn: &mut Conn,
    id: &str,
    user_key: &str,
    attempt: i64,
    outcome: Outcome,
) -> QueryResult<()> {
    diesel::update(deliveries::table.find(id))
        .set((
            deliveries::user_key.eq(user_key),
            deliveries::attempt.eq(attempt),
            deliveries::outcome.eq(outcome),
        ))
        .execute(conn)?;
    Ok(())
}

/// All that came for a user, oldest first.
pub fn of_user(conn: &mut Conn, user_key: &str) -> QueryResult<Vec<Delivery>> {
    deliveries::table
        .filter(deliveries::user_key.eq(user_key))
        .order(deliveries::id)
        .select(Delivery::as_select())
        .load(conn)
}

/// A page of deliveries with the provider's id of the user each was matched with, the newest first: at most `limit` of
/// those received before the one with id `after`.
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
