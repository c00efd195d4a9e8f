//! The table of transitions: every change of a status as readers see it, append-only.
//!
//! Whatever changes a user goes through [`record`] or [`touch`], which keep row, version and history in step.
//! A partner's sequence has no gaps and is in commit order, so that a reader who has seen number n has missed nothing
//! before it. Those of one user are chained: each names the one before.

use std::ops::RangeInclusive;

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sqlite::Sqlite;

use super::schema::{transitions, users as persons};
use super::users::{self, User, View};
use super::{Conn, QueryResult, news, unconfirmed};
use crate::clock::Timestamp;
use crate::kyc::status::{Source, Status};
use crate::kyc::verification::State;

/// One change of a user's status.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = transitions, check_for_backend(Sqlite))]
pub struct Transition {
    /// Its place among the partner's transitions.
    pub seq: i64,
    /// The attempt it belongs to.
    pub attempt: i64,
    /// What was shown before; `None` at the beginning of an attempt.
    pub from_status: Option<Status>,
    /// What was shown after.
    pub to_status: Status,
    /// What moved it.
    pub source: Source,
    /// The webhook's event.
    pub event: Option<String>,
    /// The webhook's delivery.
    pub delivery_id: Option<String>,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What is asked of each transition when a partner's are gone through.
#[derive(Clone, Copy, Debug, Queryable, Selectable)]
#[diesel(table_name = transitions, check_for_backend(Sqlite))]
pub struct Outline {
    /// Its place among the partner's transitions.
    pub seq: i64,
    /// The place of the one of the same user before it.
    pub previous: Option<i64>,
    /// What was shown before; `None` at the beginning of an attempt.
    pub from_status: Option<Status>,
    /// What was shown after.
    pub to_status: Status,
    /// What moved it.
    pub source: Source,
    /// When it was recorded.
    pub at: Timestamp,
}

/// What moved a user.
#[derive(Clone, Copy, Debug)]
pub enum Cause<'a> {
    /// A link that opened an attempt.
    Link,
    /// A signed webhook.
    Webhook {
        /// Its event.
        event: &'a str,
        /// The row it is stored in.
        delivery_id: &'a str,
    },
    /// The provider's answer to a check, or that none came in time.
    Provider,
    /// The partner's policy became `never`, so that what webhooks said counts as confirmed.
    Policy,
    /// A hand: an admin's, and who and why stands in the table of overrides, or that of an import.
    Manual,
}

impl Cause<'_> {
    fn source(self) -> Source {
        match self {
            Cause::Link => Source::Link,
            Cause::Webhook { .. } | Cause::Policy => Source::Webhook,
            Cause::Provider => Source::Provider,
            Cause::Manual => Source::Manual,
        }
    }
}

/// Registers a user and begins its history. One who stands further than pending was put there by hand.
pub fn register(conn: &mut Conn, new: &users::NewUser<'_>, now: Timestamp) -> QueryResult<User> {
    let cause = match new.status {
        Status::Pending => Cause::Link,
        _ => Cause::Manual,
    };
    let seq = next_seq(conn, new.partner)?;
    let user = users::insert(conn, new, (seq, cause.source()), now)?;
    append(conn, &user, None, (None, cause), now)?;
    news::note(&user);
    Ok(user)
}

/// Writes down that a verdict was not confirmed in time, where that has happened and is not written down yet; the first step
/// of whatever changes a user. Nothing happens a second time.
pub fn on_time(conn: &mut Conn, user: User, view: View) -> QueryResult<User> {
    if !user.has_timed_out(view) {
        return Ok(user);
    }
    let read = user.clone().at(view);
    let times = Times {
        at: view.now,
        updated_at: read.updated_at,
    };
    move_to(conn, &user, read.state(), Cause::Provider, times)
}

/// Moves a user to the state `after`, and writes down the transition if readers see another status or attempt.
///
/// What else they see of it makes a new version, and what they do not see, as news that are held for admins alone, makes none.
pub fn record(
    conn: &mut Conn,
    user: &User,
    after: State,
    cause: Cause<'_>,
    now: Timestamp,
) -> QueryResult<User> {
    let times = Times {
        at: now,
        updated_at: now,
    };
    move_to(conn, user, after, cause, times)
}

/// When a change is written down, and since when readers see it.
#[derive(Clone, Copy)]
struct Times {
    at: Timestamp,
    updated_at: Timestamp,
}

fn move_to(
    conn: &mut Conn,
    user: &User,
    after: State,
    cause: Cause<'_>,
    times: Times,
) -> QueryResult<User> {
    let (before, now) = (user.state(), times.at);
    if after == before {
        return Ok(user.clone());
    }
    let opened = after.attempt != before.attempt;
    let mut moved = User {
        attempt: after.attempt,
        status: after.status,
        held: after.held,
        overridden: after.overridden,
        heard: after.heard,
        unconfirmed: after.unconfirmed,
        unconfirmed_at: match (before.unconfirmed, after.unconfirmed) {
            (_, None) => None,
            (None, Some(_)) => Some(now),
            _ => user.unconfirmed_at,
        },
        opened_at: if opened { now } else { user.opened_at },
        ..user.clone()
    };
    unconfirmed::follow(conn, before, &moved, now)?;
    if opened || !after.may_have_link() {
        moved.kyc_link = None;
        moved.link_created_at = user.link_created_at.filter(|_| !opened);
    }
    if after.status.is_final() {
        moved.decided_at = user
            .decided_at
            .filter(|_| after.status == before.status)
            .or(Some(now));
    } else {
        moved.decided_at = None;
    }
    if !opened && after.shown() == before.shown() {
        let seen = after.needs_confirmation() != before.needs_confirmation()
            || after.is_final() != before.is_final()
            || moved.kyc_link != user.kyc_link;
        if seen {
            return touch(conn, user, moved, times.updated_at);
        }
        users::update(conn, user.version, &moved)?;
        return Ok(moved);
    }
    moved.source = cause.source();
    moved.last_transition = Some(next_seq(conn, &user.partner)?);
    let moved = touch(conn, user, moved, times.updated_at)?;
    let from = (!opened).then(|| before.shown());
    append(conn, &moved, user.last_transition, (from, cause), now)?;
    Ok(moved)
}

/// Writes a change that readers can see and that moves no status; returns the user with its new version.
pub fn touch(conn: &mut Conn, before: &User, mut after: User, now: Timestamp) -> QueryResult<User> {
    after.version = before.version + 1;
    after.updated_at = now;
    users::update(conn, before.version, &after)?;
    if users::description(&after) != users::description(before) {
        users::describe(conn, &after)?;
    }
    news::note(&after);
    Ok(after)
}

/// Writes down the transition by which the user has come to stand as it does.
fn append(
    conn: &mut Conn,
    user: &User,
    previous: Option<i64>,
    (from, cause): (Option<Status>, Cause<'_>),
    now: Timestamp,
) -> QueryResult<()> {
    let (event, delivery_id) = match cause {
        Cause::Link | Cause::Provider | Cause::Policy | Cause::Manual => (None, None),
        Cause::Webhook { event, delivery_id } => (Some(event), Some(delivery_id)),
    };
    diesel::insert_into(transitions::table)
        .values((
            transitions::partner.eq(&user.partner),
            transitions::seq.eq(user.last_transition.unwrap_or_default()),
            transitions::user_key.eq(&user.id),
            transitions::previous.eq(previous),
            transitions::version.eq(user.version),
            transitions::attempt.eq(user.attempt),
            transitions::from_status.eq(from),
            transitions::to_status.eq(user.state().shown()),
            transitions::source.eq(cause.source()),
            transitions::event.eq(event),
            transitions::delivery_id.eq(delivery_id),
            transitions::at.eq(now),
        ))
        .execute(conn)?;
    Ok(())
}

/// One more than the last, because transitions are never taken away: so numbers are given out in the order of commits and
/// never skip.
fn next_seq(conn: &mut Conn, partner: &str) -> QueryResult<i64> {
    Ok(last_seq(conn, partner)? + 1)
}

/// The number of the partner's last transition; 0 before the first.
pub fn last_seq(conn: &mut Conn, partner: &str) -> QueryResult<i64> {
    let last: Option<i64> = transitions::table
        .filter(transitions::partner.eq(partner))
        .select(diesel::dsl::max(transitions::seq))
        .get_result(conn)?;
    Ok(last.unwrap_or(0))
}

/// At most `limit` of the partner's transitions after number `seq`, in the order of commits, each with the `userId` and the
/// `externalUserId` of whom it is about.
pub fn after(
    conn: &mut Conn,
    partner: &str,
    seq: i64,
    limit: i64,
) -> QueryResult<Vec<(Transition, String, String)>> {
    transitions::table
        .inner_join(persons::table.on(persons::id.eq(transitions::user_key)))
        .filter(transitions::partner.eq(partner))
        .filter(transitions::seq.gt(seq))
        .order(transitions::seq)
        .limit(limit)
        .select((
            Transition::as_select(),
            persons::user_id,
            persons::external_user_id,
        ))
        .load(conn)
}

/// The number of the partner's first transition at or after `since`; one more than the last where there is none.
///
/// Times grow with the numbers, so some twenty rows say it. Where the system's clock was set back they do not quite, and it is
/// off by what was written in the meantime.
pub fn first_since(conn: &mut Conn, partner: &str, since: Timestamp) -> QueryResult<i64> {
    let (mut first, mut end) = (1, last_seq(conn, partner)? + 1);
    while first < end {
        let middle = first + (end - first) / 2;
        let at: Timestamp = transitions::table
            .find((partner, middle))
            .select(transitions::at)
            .get_result(conn)?;
        if at < since {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    Ok(first)
}

/// Lets `take` have the partner's transitions of these numbers one by one, in the order of commits: three million in a second
/// and a half.
pub fn outlines(
    conn: &mut Conn,
    partner: &str,
    numbers: RangeInclusive<i64>,
    mut take: impl FnMut(Outline),
) -> QueryResult<()> {
    let outlines = transitions::table
        .filter(transitions::partner.eq(partner))
        .filter(transitions::seq.between(*numbers.start(), *numbers.end()))
        .order(transitions::seq)
        .select(Outline::as_select())
        .load_iter::<Outline, DefaultLoadingMode>(conn)?;
    for outline in outlines {
        take(outline?);
    }
    Ok(())
}

/// A user's history, oldest first.
pub fn of_user(conn: &mut Conn, user: &User) -> QueryResult<Vec<Transition>> {
    let mut history = Vec::new();
    let mut next = user.last_transition;
    while let Some(seq) = next {
        let found: Option<(Transition, Option<i64>)> = transitions::table
            .find((&user.partner, seq))
            .select((Transition::as_select(), transitions::previous))
            .get_result(conn)
            .optional()?;
        let Some((transition, previous)) = found else {
            break;
        };
        history.push(transition);
        next = previous;
    }
    history.reverse();
    Ok(history)
}
