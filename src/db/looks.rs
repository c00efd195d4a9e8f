//! The columns of the users table that looks live on, and when whose look is due.
//!
//! They are apart from [`super::users::User`], which is what readers are told: a look that finds nothing new changes
//! these and makes no new version.

use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::kept;
use super::schema::users;
use super::{Conn, QueryResult, exactly_one};
use crate::clock::{SET_BACK, Timestamp};
use crate::kyc::looks::{Lane, Looks};
use crate::kyc::status::Status;

/// What looks remember of a user.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true, check_for_backend(Sqlite))]
pub struct Memory {
    /// How many hints there have been.
    pub hint_seq: i64,
    /// What the last hint of this attempt said that was more than `submitted`.
    pub hint: Option<Status>,
    /// Whether the unconfirmed `verified` was applied to a user in review, with no other news since.
    pub after_review: bool,
    /// When the last hint came.
    pub hinted_at: Option<Timestamp>,
    /// The last ticket given to a look.
    pub pull_ticket: i64,
    /// No look with this ticket or an earlier one may be applied any more.
    pub applied_ticket: i64,
    /// How far along the ladder or the sweep.
    pub step: i64,
    /// Why the next look is due.
    pub lane: Lane,
    /// When it is due; `None` where the provider is never asked.
    pub due_at: Option<Timestamp>,
    /// When the last look began that was answered.
    pub looked_at: Option<Timestamp>,
    /// When the last look began whose answer agreed with the status.
    pub confirmed_at: Option<Timestamp>,
    /// The provider's last word of this attempt, as it came.
    pub provider_word: Option<String>,
    /// Since when the provider has had no verdict of a verified user.
    pub no_verdict_since: Option<Timestamp>,
    /// Checks in a row that brought nothing usable.
    pub failures: i64,
    /// Why the last answer was unusable; `None` once one is usable.
    pub unusable: Option<String>,
    /// Whether a person must see why hints and provider disagree.
    pub conflict: bool,
}

impl Memory {
    /// The part that the rule knows.
    pub fn looks(&self) -> Looks {
        Looks {
            hint_seq: self.hint_seq,
            hint: self.hint,
            after_review: self.after_review,
            pull_ticket: self.pull_ticket,
            applied_ticket: self.applied_ticket,
            step: self.step,
            verdict: self.verdict(),
            conflict: self.conflict,
        }
    }

    /// The last verdict that the provider gave of this attempt.
    pub fn verdict(&self) -> Option<Status> {
        let word = self.provider_word.as_deref()?;
        Status::from_result(word).ok().flatten()
    }

    /// The memory with what the rule has changed of it.
    pub fn with(&self, looks: Looks) -> Memory {
        Memory {
            hint_seq: looks.hint_seq,
            hint: looks.hint,
            after_review: looks.after_review,
            pull_ticket: looks.pull_ticket,
            applied_ticket: looks.applied_ticket,
            step: looks.step,
            conflict: looks.conflict,
            ..self.clone()
        }
    }
}

/// What looks remember of the user with that key.
pub fn of(conn: &mut Conn, key: &str) -> QueryResult<Memory> {
    users::table
        .find(key)
        .select(Memory::as_select())
        .get_result(conn)
}

/// Writes what has changed since `before` was read.
///
/// # Errors
/// [`diesel::NotFound`] when a hint or a look has come in between.
pub fn save(conn: &mut Conn, key: &str, before: &Memory, after: &Memory) -> QueryResult<()> {
    if before == after {
        return Ok(());
    }
    let as_read = users::hint_seq
        .eq(before.hint_seq)
        .and(users::pull_ticket.eq(before.pull_ticket))
        .and(users::applied_ticket.eq(before.applied_ticket));
    let rows = kept::update(conn, users::table, users::id.eq(key).and(as_read), after)?;
    exactly_one(rows)
}

/// The keys of at most `limit` of the partner's users whose check in that lane is due, the most overdue first. Those come last
/// that a clock has scheduled which was set back since.
pub fn due(
    conn: &mut Conn,
    partner: &str,
    lane: Lane,
    now: Timestamp,
    limit: i64,
) -> QueryResult<Vec<String>> {
    let in_lane = || {
        users::table
            .filter(users::partner.eq(partner))
            .filter(users::lane.eq(lane))
            .order(users::due_at)
            .select(users::id)
    };
    let mut due: Vec<String> = in_lane()
        .filter(users::due_at.le(now))
        .limit(limit)
        .load(conn)?;
    let left = limit.saturating_sub(i64::try_from(due.len()).unwrap_or(limit));
    if left > 0 {
        let misled = in_lane()
            .filter(users::due_at.gt(now.plus(lane.longest_pause())))
            .limit(left)
            .load(conn)?;
        due.extend(misled);
    }
    Ok(due)
}

/// When the most overdue check of the partner's in that lane was due.
pub fn oldest_due(conn: &mut Conn, partner: &str, lane: Lane) -> QueryResult<Option<Timestamp>> {
    users::table
        .filter(users::partner.eq(partner))
        .filter(users::lane.eq(lane))
        .select(diesel::dsl::min(users::due_at))
        .get_result(conn)
}

/// The keys of at most `limit` of the partner's users after `cursor` who were not looked at since `since`, in the order of
/// registration.
pub fn not_looked_at_since(
    conn: &mut Conn,
    partner: &str,
    cursor: &str,
    (since, now): (Timestamp, Timestamp),
    limit: i64,
) -> QueryResult<Vec<String>> {
    users::table
        .filter(users::partner.eq(partner))
        .filter(users::id.gt(cursor))
        .filter(
            users::looked_at
                .is_null()
                .or(users::looked_at.lt(since))
                .or(users::looked_at.gt(now.plus(SET_BACK))),
        )
        .order(users::id)
        .limit(limit)
        .select(users::id)
        .load(conn)
}

/// Makes the look at these users due at once, as if there had been news of them; answers how many they are.
pub fn hurry(
    conn: &mut Conn,
    partner: &str,
    external_user_ids: &[String],
    now: Timestamp,
) -> QueryResult<usize> {
    diesel::update(users::table)
        .filter(users::partner.eq(partner))
        .filter(users::external_user_id.eq_any(external_user_ids))
        .set((users::due_at.eq(now), users::lane.eq(Lane::News)))
        .execute(conn)
}

/// Makes due whoever was registered while the provider was never asked; answers how many they are.
pub fn take_up(conn: &mut Conn, partner: &str, now: Timestamp) -> QueryResult<usize> {
    diesel::update(users::table)
        .filter(users::partner.eq(partner))
        .filter(users::due_at.is_null())
        .set(users::due_at.eq(now))
        .execute(conn)
}

/// When the next check of any of the partner's users is due. Lane by lane, so that the index has the answer.
pub fn next_due(conn: &mut Conn, partner: &str) -> QueryResult<Option<Timestamp>> {
    let mut next: Option<Timestamp> = None;
    for lane in Lane::ALL {
        next = next
            .into_iter()
            .chain(oldest_due(conn, partner, lane)?)
            .min();
    }
    Ok(next)
}

/// What is known of the links of a user's current attempt, for the moment at which it ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable, Selectable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true, check_for_backend(Sqlite))]
pub struct LinksAsked {
    /// How many the provider was asked for; a call without an answer counts as one.
    pub links_asked: i64,
    /// When it was asked last.
    pub link_asked_at: Option<Timestamp>,
    /// When it first named no session while the attempt was about to end.
    pub no_session_at: Option<Timestamp>,
}

/// The links asked for in the current attempt of the user with that key.
pub fn links_asked(conn: &mut Conn, key: &str) -> QueryResult<LinksAsked> {
    users::table
        .find(key)
        .select(LinksAsked::as_select())
        .get_result(conn)
}

/// Writes down what is known of these links.
pub fn save_links_asked(conn: &mut Conn, key: &str, links: LinksAsked) -> QueryResult<()> {
    let rows = kept::update(conn, users::table, users::id.eq(key), links)?;
    exactly_one(rows)
}
