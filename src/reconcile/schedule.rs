//! When the next check of a user is due: what hints, links, new attempts and overrides change of it.
//!
//! Each of these belongs into the write that it tells of.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::db::looks::{self, Memory};
use crate::db::users::User;
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::{Ages, Lane, Looks, REPEAT_SPACING};
use crate::kyc::status::Status;
use crate::kyc::verification::State;

/// Takes a KYC event, whatever its outcome, for a hint to check; run it in the write that stored it. `target` is what it says,
/// if we know.
pub fn hint(
    conn: &mut Conn,
    before: &User,
    after: &User,
    target: Option<Status>,
    now: Timestamp,
) -> QueryResult<()> {
    let memory = looks::of(conn, &after.id)?;
    let (was, is) = (before.state(), after.state());
    let mut hinted = memory.with(memory.looks().hinted(target, was, is));
    hinted.hinted_at = Some(now);
    if was.shown() != is.shown() || was.status != is.status {
        hinted.confirmed_at = None;
    }
    let soonest = match memory.looked_at.filter(|at| !at.is_ahead_of(now)) {
        Some(at) => now.max(at.plus(REPEAT_SPACING)),
        None => now,
    };
    if is_news(was, is) {
        hinted.due_at = Some(now);
        hinted.lane = Lane::News;
        hinted.failures = 0;
    } else if memory.due_at.is_none_or(|due| due > soonest) {
        hinted.due_at = Some(soonest);
        hinted.lane = Lane::Repeat;
    }
    if is.is_believed() {
        hinted.lane = Lane::Unconfirmed;
    }
    looks::save(conn, &after.id, &memory, &hinted)
}

/// Whether a check could find out more by this: that a verdict was heard is no news by itself.
fn is_news(before: State, after: State) -> bool {
    let heard = before.heard;
    before != State { heard, ..after }
}

/// Begins to check a user from time to time, because it was registered or got a link; run it in that write.
pub fn watch(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let watched = before.looks().watched();
    schedule(conn, user, &before, before.with(watched), now)
}

/// Forgets what checks knew of the attempt before; run it in the write that opens the next one.
pub fn next_attempt(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let forgotten = Memory {
        hinted_at: None,
        provider_word: None,
        no_verdict_since: None,
        confirmed_at: None,
        unusable: None,
        failures: 0,
        lane: Lane::Sweep,
        ..before.with(before.looks().next_attempt())
    };
    schedule(conn, user, &before, forgotten, now)
}

/// Takes an admin's word for the status; run it in the write that sets it.
pub fn overruled(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let after = Memory {
        confirmed_at: None,
        ..before.with(before.looks().overruled())
    };
    schedule(conn, user, &before, after, now)
}

/// Makes the check of a user due at once, as if there had been news of it; run it in the write that puts it in doubt.
pub fn hurry(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let hurried = Memory {
        due_at: Some(now),
        lane: Lane::News,
        ..before.clone()
    };
    looks::save(conn, &user.id, &before, &hurried)
}

/// Checks a user from now on as one in doubt, because no check confirmed its verdict in time; run it in the write that says so.
pub(super) fn doubted(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let mut after = before.with(before.looks().watched());
    if after.lane == Lane::Unconfirmed {
        after.lane = Lane::News;
    }
    if after.looks().is_sweep() {
        let soon = now.plus(
            after
                .looks()
                .pause(user.state(), Moment::new(now, now).ages(user, &after)),
        );
        after.due_at = after.due_at.min(Some(soon));
    }
    looks::save(conn, &user.id, &before, &after)
}

/// Makes the next check due when the rule says, unless a hint has made one due already.
fn schedule(
    conn: &mut Conn,
    user: &User,
    before: &Memory,
    mut after: Memory,
    now: Timestamp,
) -> QueryResult<()> {
    let looks: Looks = after.looks();
    if looks.is_sweep() {
        let ages = Moment::new(now, now).ages(user, &after);
        let pause = looks.pause(user.state(), ages);
        after.due_at = Some(now.plus(jittered(pause, &user.id, looks.pull_ticket)));
        after.lane = looks.lane(user.state(), ages);
    }
    looks::save(conn, &user.id, before, &after)
}

/// When a check began, and the present moment, by which a stored time is judged to lie ahead of the clock.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    began: Timestamp,
    now: Timestamp,
}

impl Moment {
    pub(super) fn new(began: Timestamp, now: Timestamp) -> Moment {
        Moment { began, now }
    }

    /// How long before the check began `stored` was; a time ahead of the clock is taken for what doubts more.
    pub(super) fn age(self, stored: Timestamp, if_ahead: Duration) -> Duration {
        if stored.is_ahead_of(self.now) {
            if_ahead
        } else {
            self.began.since(stored)
        }
    }

    /// How long ago things were that the rule of checks asks for.
    pub(super) fn ages(self, user: &User, memory: &Memory) -> Ages {
        let age =
            |at: Option<Timestamp>, never, if_ahead| at.map_or(never, |at| self.age(at, if_ahead));
        let changed_at = memory
            .hinted_at
            .map_or(user.updated_at, |at| at.max(user.updated_at));
        let linked_at = user.link_created_at.unwrap_or(user.created_at);
        Ages {
            since_hint: age(memory.hinted_at, Duration::MAX, Duration::ZERO),
            since_applied: age(user.unconfirmed_at, Duration::ZERO, Duration::MAX),
            no_verdict: age(memory.no_verdict_since, Duration::ZERO, Duration::MAX),
            quiet: self.age(changed_at, Duration::ZERO),
            decided: age(user.decided_at, Duration::ZERO, Duration::ZERO),
            linked: self.age(linked_at, Duration::MAX),
        }
    }
}

/// Up to a tenth longer, so that users who were hinted at together are not checked together for ever.
pub(super) fn jittered(pause: Duration, key: &str, ticket: i64) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, ticket).hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 100).unwrap_or(0);
    pause + pause / 1000 * thousandths
}
