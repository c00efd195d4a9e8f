//! The table of unconfirmed users, which the cap on unconfirmed verdicts is counted from.
//!
//! It has the users who read `verified` though no check has confirmed it, and those that a check denied lately. The cap is
//! counted here and nowhere else, so that it is no counter that can drift. A user with bad news besides counts too.

use std::cell::RefCell;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::schema::unconfirmed;
use super::users::{User, View};
use super::{Conn, QueryResult};
use crate::clock::{SET_BACK, Timestamp};
use crate::kyc::verification::{State, Unconfirmed};

/// For how long a user that a check denied takes a place of the cap.
const DENIED_FOR: Duration = Duration::from_secs(60 * 60);

thread_local! {
    /// What was counted for the present batch of the thread that writes; there is none on other threads.
    static COUNTED: RefCell<Option<Vec<(String, i64)>>> = const { RefCell::new(None) };
}

/// Forgets what was counted, because a transaction begins, or a change of it was taken back.
pub(super) fn forget_counts() {
    COUNTED.set(Some(Vec::new()));
}

/// Keeps the table in step with a user that has changed from `before`; [`super::transitions::record`] calls it.
pub(super) fn follow(
    conn: &mut Conn,
    before: State,
    user: &User,
    now: Timestamp,
) -> QueryResult<()> {
    let place = |state: State| state.unconfirmed.filter(|_| counts(state));
    let after = user.state();
    match (place(before), place(after)) {
        (old, new) if old == new => {}
        (_, None) => {
            diesel::delete(unconfirmed::table.find((&user.partner, &user.id))).execute(conn)?;
        }
        (old, new) => {
            let row = (
                unconfirmed::partner.eq(&user.partner),
                unconfirmed::user_key.eq(&user.id),
                unconfirmed::applied_at.eq(user.unconfirmed_at.unwrap_or(now)),
                unconfirmed::denied_at.eq(Some(now).filter(|_| new == Some(Unconfirmed::Denied))),
            );
            diesel::replace_into(unconfirmed::table)
                .values(row)
                .execute(conn)?;
            if old.is_none() {
                one_more(&user.partner);
            }
        }
    }
    Ok(())
}

/// Whether such a user may take a place of the cap.
fn counts(state: State) -> bool {
    state.is_believed() || state.unconfirmed == Some(Unconfirmed::Denied)
}

fn one_more(partner: &str) {
    COUNTED.with_borrow_mut(|counted| {
        let known = counted.iter_mut().flatten();
        for (_, count) in known.filter(|(known, _)| known == partner) {
            *count += 1;
        }
    });
}

/// How many places of the partner's cap are taken, counted no further than `cap`. On the thread that writes it is counted once
/// for each transaction; what that transaction has applied meanwhile is added.
pub fn taken(conn: &mut Conn, partner: &str, view: View, cap: i64) -> QueryResult<i64> {
    let known = COUNTED.with_borrow(|counted| {
        let known = counted.iter().flatten();
        known
            .filter(|(known, _)| known == partner)
            .map(|(_, count)| *count)
            .next()
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let count = count(conn, partner, view, cap)?;
    COUNTED.with_borrow_mut(|counted| {
        if let Some(counted) = counted {
            counted.push((partner.to_owned(), count));
        }
    });
    Ok(count)
}

/// How many of the partner's users read `verified` unconfirmed or were denied lately, at most `cap`.
pub fn count(conn: &mut Conn, partner: &str, view: View, cap: i64) -> QueryResult<i64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let count: Count = diesel::sql_query(
        "SELECT COUNT(*) AS count FROM (
             SELECT 1 FROM unconfirmed
             WHERE partner = ? AND (denied_at > ? OR denied_at IS NULL AND applied_at > ?) LIMIT ?)",
    )
    .bind::<Text, _>(partner)
    .bind::<BigInt, _>(view.now.minus(DENIED_FOR))
    .bind::<BigInt, _>(view.now.minus(view.unconfirmed_for))
    .bind::<BigInt, _>(cap)
    .get_result(conn)?;
    Ok(count.count)
}

/// How many of the partner's users have a `verified` that no check has confirmed or denied yet.
pub fn believed(conn: &mut Conn, partner: &str) -> QueryResult<i64> {
    unconfirmed::table
        .filter(unconfirmed::partner.eq(partner))
        .filter(unconfirmed::denied_at.is_null())
        .count()
        .get_result(conn)
}

/// The keys of at most `limit` users whose `verified` has been unconfirmed for too long.
pub fn timed_out(conn: &mut Conn, view: View, limit: i64) -> QueryResult<Vec<String>> {
    let passed = view.now.minus(view.unconfirmed_for);
    let ahead = view.now.plus(SET_BACK);
    unconfirmed::table
        .filter(unconfirmed::denied_at.is_null())
        .filter(
            unconfirmed::applied_at
                .le(passed)
                .or(unconfirmed::applied_at.gt(ahead)),
        )
        .select(unconfirmed::user_key)
        .limit(limit)
        .load(conn)
}

/// Takes out the users that a check denied too long ago to count.
pub fn tidy(conn: &mut Conn, now: Timestamp) -> QueryResult<usize> {
    diesel::delete(unconfirmed::table)
        .filter(unconfirmed::denied_at.le(now.minus(DENIED_FOR)))
        .execute(conn)
}

/// After the migration that brought this table: its verdicts count as applied now.
pub(super) fn date(conn: &mut Conn, now: Timestamp) -> QueryResult<()> {
    diesel::update(unconfirmed::table)
        .filter(unconfirmed::applied_at.eq(Timestamp(0)))
        .set(unconfirmed::applied_at.eq(now))
        .execute(conn)?;
    Ok(())
}
