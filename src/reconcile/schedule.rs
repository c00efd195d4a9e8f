//! When the next look at a user is due: what hints, links, new attempts and overrides change of it.
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

/// Takes a KYC event, whatever became of it, for a hint to look; run it in the write that stored it. `target` is what it
/// says, if we know.
pub fn hint(
    conn: &mut Conn,
    before: &User,
    after: &User,
    target: Option<Status>,
    now: Timestamp,
) -> QueryResult<()> {
    let memory = looks::of(conn, &after.id)?;
    let moved = before.status != after.status;
    let mut hinted = memory.with(memory.looks().hinted(target, moved));
    hinted.hinted_at = Some(now);
    let soonest = match memory.looked_at {
        Some(at) => now.max(at.plus(REPEAT_SPACING)),
        None => now,
    };
    if before.state() != after.state() {
        hinted.due_at = Some(now);
        hinted.lane = Lane::News;
        hinted.failures = 0;
    } else if memory.due_at.is_none_or(|due| due > soonest) {
        hinted.due_at = Some(soonest);
        hinted.lane = Lane::Repeat;
    }
    looks::save(conn, &after.id, &memory, &hinted)
}

/// Begins to look at a user from time to time, because it was registered or got a link; run it in that write.
pub fn watch(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let watched = before.looks().watched();
    schedule(conn, user, &before, before.with(watched), now)
}

/// Forgets what looks knew of the attempt before; run it in the write that opens the next one.
pub fn next_attempt(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let forgotten = Memory {
        hinted_at: None,
        provider_word: None,
        unconfirmed_since: None,
        failures: 0,
        lane: Lane::Sweep,
        ..before.with(before.looks().next_attempt())
    };
    schedule(conn, user, &before, forgotten, now)
}

/// Takes an admin's word for the status; run it in the write that sets it.
pub fn overruled(conn: &mut Conn, user: &User, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let after = before.with(before.looks().overruled());
    schedule(conn, user, &before, after, now)
}

/// Makes the next look due when the rule says, unless a hint has made one due already.
fn schedule(
    conn: &mut Conn,
    user: &User,
    before: &Memory,
    mut after: Memory,
    now: Timestamp,
) -> QueryResult<()> {
    let looks: Looks = after.looks();
    if looks.is_sweep() {
        let pause = looks.pause(user.state(), ages(user, &after, now));
        after.due_at = Some(now.plus(jittered(pause, &user.id, looks.pull_ticket)));
        after.lane = Lane::Sweep;
    }
    looks::save(conn, &user.id, before, &after)
}

/// How long ago things were that the rule of looks asks for.
pub(super) fn ages(user: &User, memory: &Memory, now: Timestamp) -> Ages {
    let since = |at: Option<Timestamp>, never| at.map_or(never, |at| now.since(at));
    Ages {
        since_hint: since(memory.hinted_at, Duration::MAX),
        unconfirmed: since(memory.unconfirmed_since, Duration::ZERO),
        quiet: now.since(
            memory
                .hinted_at
                .map_or(user.updated_at, |at| at.max(user.updated_at)),
        ),
        decided: since(user.decided_at, Duration::ZERO),
    }
}

/// Up to a tenth longer, so that users who were hinted at together are not looked at together for ever.
pub(super) fn jittered(pause: Duration, key: &str, ticket: i64) -> Duration {
    let mut hasher = DefaultHasher::new();
    (key, ticket).hash(&mut hasher);
    let thousandths = u32::try_from(hasher.finish() % 100).unwrap_or(0);
    pause + pause / 1000 * thousandths
}
