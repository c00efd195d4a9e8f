//! The table of trust policies: the setting `confirm` that each partner had when the service last started, so that a change of
//! it is noticed.

use diesel::prelude::*;

use super::schema::{trust_policies, users};
use super::{Conn, QueryResult, unconfirmed};
use crate::clock::Timestamp;
use crate::kyc::looks::Lane;
use crate::kyc::status::Status;
use crate::kyc::verification::TrustPolicy;

/// The policy that the partner had; `None` in a new store, and in one of a version that did not write it down.
pub fn of(conn: &mut Conn, partner: &str) -> QueryResult<Option<TrustPolicy>> {
    trust_policies::table
        .find(partner)
        .select(trust_policies::policy)
        .get_result(conn)
        .optional()
}

/// Writes down the policy that the partner has.
pub fn save(conn: &mut Conn, partner: &str, policy: TrustPolicy) -> QueryResult<()> {
    let row = (
        trust_policies::partner.eq(partner),
        trust_policies::policy.eq(policy),
    );
    diesel::replace_into(trust_policies::table)
        .values(row)
        .execute(conn)?;
    Ok(())
}

/// Dates the unconfirmed verdicts of a store that did not know when they were applied, and makes their checks due.
pub fn date_verdicts(conn: &mut Conn, now: Timestamp) -> QueryResult<()> {
    unconfirmed::date(conn, now)?;
    let undated = users::table
        .filter(users::unconfirmed.is_not_null())
        .filter(users::unconfirmed_at.is_null());
    diesel::update(undated)
        .filter(users::status.eq(Status::Verified))
        .set(users::lane.eq(Lane::Unconfirmed))
        .execute(conn)?;
    diesel::update(undated)
        .set((users::unconfirmed_at.eq(now), users::due_at.eq(now)))
        .execute(conn)?;
    Ok(())
}

/// Takes every verdict of the partner for heard, because it was applied while no check could have read another.
pub fn hear_verdicts(conn: &mut Conn, partner: &str) -> QueryResult<()> {
    diesel::update(users::table)
        .filter(users::partner.eq(partner))
        .filter(
            users::status
                .eq(Status::Verified)
                .or(users::status.eq(Status::Rejected)),
        )
        .set(users::heard.eq(true))
        .execute(conn)?;
    Ok(())
}

/// The keys of the partner's users whose verdict is unconfirmed.
pub fn with_unconfirmed_verdict(conn: &mut Conn, partner: &str) -> QueryResult<Vec<String>> {
    users::table
        .filter(users::partner.eq(partner))
        .filter(users::unconfirmed.is_not_null())
        .select(users::id)
        .load(conn)
}
