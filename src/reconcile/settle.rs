//! The two writes of a check: its ticket before the provider is asked, its answer afterwards.
//!
//! They are functions over a connection and know neither the network nor the gate. An unusable answer changes nothing but
//! when the next check is due and that the user is listed.

use std::time::Duration;

use super::read::{Read, Reading, read};
use super::schedule::{Moment, jittered};
use crate::capa::details::Unusable;
use crate::clock::{Clock, Timestamp};
use crate::db::looks::{self, Memory};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User, View};
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::{Ages, LATE, Lane, REPEAT_SPACING, STALLED, Ticket, settle as put};
use crate::kyc::sessions::Whose;
use crate::kyc::status::Status;
use crate::kyc::verification::{State, Trust};

/// The pause after the first check that brought nothing usable; it doubles with each further one.
const FAILED: Duration = Duration::from_secs(30);
/// While a `verified` is unconfirmed it is checked at least this often.
const FAILED_LONGEST_UNCONFIRMED: Duration = Duration::from_secs(60);
/// While the provider is unavailable, it is asked again at least this often.
const FAILED_LONGEST: Duration = Duration::from_secs(5 * 60);
/// What is wrong with one user's answers is seldom fixed soon.
const UNUSABLE_LONGEST: Duration = Duration::from_secs(6 * 3600);

/// A check in flight.
#[derive(Clone, Debug)]
pub struct Look {
    /// The key of the user.
    pub key: String,
    /// The provider's id of the user.
    pub user_id: String,
    /// Its place among the checks of this user.
    pub ticket: Ticket,
    /// When it began.
    pub at: Timestamp,
    /// From the last hint to its beginning, jumps of the clock left out; without any hint, endless.
    pub since_hint: Duration,
}

/// Takes a ticket for each of these users; run it in a write before the provider is asked.
pub fn begin(
    conn: &mut Conn,
    clock: &Clock,
    keys: &[String],
    now: Timestamp,
) -> QueryResult<Vec<Look>> {
    let mut begun = Vec::new();
    for key in keys {
        let user = users::by_key(conn, key)?;
        let before = looks::of(conn, key)?;
        let (after, ticket) = before.looks().begun();
        let mut after = Memory {
            looked_at: Some(now),
            ..before.with(after)
        };
        // The clock was set back since the last hint: the ladder begins again.
        if before.hinted_at.is_some_and(|at| at.is_ahead_of(now)) {
            after = after.with(after.looks().hinted_again());
            after.hinted_at = Some(now);
        }
        looks::save(conn, key, &before, &after)?;
        let since_hint = after.hinted_at.map_or(Duration::MAX, |at| {
            clock.elapsed(at, Duration::ZERO).min(now.since(at))
        });
        begun.push(Look {
            key: key.clone(),
            user_id: user.user_id,
            ticket,
            at: now,
            since_hint,
        });
    }
    Ok(begun)
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// A later check was settled before it.
    Fenced,
    /// It is unusable.
    Unusable(Unusable),
    /// It changed nothing that readers see.
    Unchanged,
    /// It moved the user.
    Moved {
        /// Whether a webhook had said so too.
        heard: bool,
    },
}

/// What a check brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What became of the answer.
    pub settlement: Settlement,
    /// How long a signed verdict had waited for this answer, which agrees with it.
    pub waited: Option<Duration>,
}

impl Settled {
    /// Nothing had waited for it.
    const fn of(settlement: Settlement) -> Settled {
        Settled {
            settlement,
            waited: None,
        }
    }
}

/// Puts an answer in its place; run it in a write.
pub fn settle(
    conn: &mut Conn,
    trust: Trust,
    look: &Look,
    reading: Reading<'_>,
    now: Timestamp,
) -> QueryResult<Settled> {
    let user = users::by_key(conn, &look.key)?;
    let user = transitions::on_time(conn, user, View::new(now, trust))?;
    let before = looks::of(conn, &look.key)?;
    // The rule says so too, but the session of such an answer must not be taken for one of this attempt either.
    if look.ticket.number <= before.applied_ticket {
        follow_up(conn, &user, &before, now)?;
        return Ok(Settled::of(Settlement::Fenced));
    }
    let Read { answer, word } = match read(conn, &user, reading)? {
        Ok(read) => read,
        Err(unusable) => {
            fail(conn, &user, Some(unusable), now)?;
            return Ok(Settled::of(Settlement::Unusable(unusable)));
        }
    };
    let then = Ages {
        since_hint: look.since_hint,
        ..Moment::new(look.at, now).ages(&user, &before)
    };
    let state = user.state();
    let Some(settled) = put(state, before.looks(), look.ticket, answer, then) else {
        follow_up(conn, &user, &before, now)?;
        return Ok(Settled::of(Settlement::Fenced));
    };
    let moved = transitions::record(conn, &user, settled.state, Cause::Provider, now)?;
    let mut after = before.with(settled.looks);
    after.failures = 0;
    after.unusable = None;
    if settled.agreed {
        after.confirmed_at = Some(look.at);
    } else if moved.status != user.status || moved.state().shown() != state.shown() {
        after.confirmed_at = None;
    }
    if answer.whose == Whose::ThisAttempt {
        after.provider_word = word;
    }
    let no_verdict = answer.verdict.is_none() || answer.whose != Whose::ThisAttempt;
    let unfounded = no_verdict && moved.status == Status::Verified;
    after.no_verdict_since = before.no_verdict_since.or(Some(look.at));
    after.no_verdict_since = after.no_verdict_since.filter(|_| unfounded);
    if before.hint_seq == look.ticket.seen {
        let ages = Moment::new(now, now).ages(&moved, &after);
        let mut pause = settled.looks.pause(settled.state, ages);
        // The clock was set ahead since the hint: by it the next rung is due already, by the time that passed it is not.
        if pause.is_zero() && settled.looks.step == before.step {
            pause = REPEAT_SPACING;
        }
        after.due_at = Some(now.plus(jittered(pause, &look.key, look.ticket.number)));
        let lane = settled.looks.lane(settled.state, ages);
        if settled.looks.is_sweep() || lane == Lane::Unconfirmed {
            after.lane = lane;
        } else if after.lane == Lane::Unconfirmed {
            after.lane = Lane::News;
        }
    }
    if settled.overlapped {
        after.due_at = after.due_at.min(Some(now.plus(LATE)));
    }
    looks::save(conn, &user.id, &before, &after)?;
    alert(&user, &before, &after);
    let settlement = if moved.version == user.version {
        Settlement::Unchanged
    } else {
        let heard = !before.looks().is_sweep() || before.hint == Some(moved.status);
        Settlement::Moved { heard }
    };
    let waited_since = waited_since(state, settled.state, &user, &before);
    Ok(Settled {
        settlement,
        waited: waited_since
            .filter(|_| settled.agreed)
            .map(|since| now.since(since)),
    })
}

/// Since when the verdict has waited that this answer confirms.
fn waited_since(before: State, after: State, user: &User, memory: &Memory) -> Option<Timestamp> {
    let confirmed = after.is_final() && !before.is_final();
    if confirmed && before.unconfirmed.is_some() && before.status == after.status {
        user.unconfirmed_at
    } else if confirmed && before.held == Some(after.status) {
        memory.hinted_at
    } else {
        None
    }
}

fn alert(user: &User, before: &Memory, after: &Memory) {
    let user_key = &user.id;
    if after.conflict && !before.conflict {
        log::warn!(user_key; "Webhooks and the provider's answer disagree about a user. See attention=conflict.");
    }
    if after.step == STALLED && before.step != STALLED {
        log::warn!(user_key; "Nothing has been heard of a user for 30 days. See attention=stalled.");
    }
}

/// Two checks overlapped, and the one whose answer was dropped may have read the newer data: another follows.
fn follow_up(conn: &mut Conn, user: &User, before: &Memory, now: Timestamp) -> QueryResult<()> {
    let soon = now.plus(LATE);
    if before.due_at.is_some_and(|due| due <= soon) {
        return Ok(());
    }
    let after = Memory {
        due_at: Some(soon),
        ..before.clone()
    };
    looks::save(conn, &user.id, before, &after)
}

/// The provider gave no answer: the check is made again later, and the user stays as it is.
pub(super) fn unanswered(conn: &mut Conn, look: &Look, now: Timestamp) -> QueryResult<()> {
    let user = users::by_key(conn, &look.key)?;
    fail(conn, &user, None, now)
}

/// Makes the next check due after one that brought nothing usable.
pub(super) fn fail(
    conn: &mut Conn,
    user: &User,
    unusable: Option<Unusable>,
    now: Timestamp,
) -> QueryResult<()> {
    let before = looks::of(conn, &user.id)?;
    let longest = match unusable {
        _ if user.state().is_believed() => FAILED_LONGEST_UNCONFIRMED,
        Some(_) => UNUSABLE_LONGEST,
        None => FAILED_LONGEST,
    };
    let doublings = u32::try_from(before.failures.clamp(0, 16)).unwrap_or(16);
    let pause = FAILED.saturating_mul(1 << doublings).min(longest);
    let after = Memory {
        failures: before.failures + 1,
        due_at: Some(now.plus(jittered(pause, &user.id, before.pull_ticket))),
        unusable: unusable
            .map(|unusable| unusable.as_str().to_owned())
            .or(before.unusable.clone()),
        ..before.clone()
    };
    looks::save(conn, &user.id, &before, &after)
}
