//! The two writes of a look: its ticket before the provider is asked, its answer afterwards.
//!
//! They are functions over a connection and know neither the network nor the gate. Whatever cannot be used changes nothing
//! but when the next look is due.

use std::time::Duration;

use super::schedule::{ages, jittered};
use crate::capa::details::Details;
use crate::clock::Timestamp;
use crate::db::attempts::{self, KnownSession};
use crate::db::looks::{self, Memory};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::{Answer, Lane, STALLED, Ticket, Whose, settle as put, whose};
use crate::kyc::status::Status;

/// The pause after the first look that brought nothing usable; it doubles with each further one.
const FAILED: Duration = Duration::from_secs(30);
/// While the provider is not there, it is asked again at least this often once it may be back.
const FAILED_LONGEST: Duration = Duration::from_secs(5 * 60);
/// What is wrong with one user's answers is seldom mended soon.
const UNUSABLE_LONGEST: Duration = Duration::from_secs(6 * 3600);

/// A look on its way.
#[derive(Clone, Debug)]
pub struct Look {
    /// The key of the user.
    pub key: String,
    /// The provider's id of the user.
    pub user_id: String,
    /// Its place among the looks at this user.
    pub ticket: Ticket,
    /// When it began.
    pub at: Timestamp,
}

/// Takes a ticket for each of these users; run it in a write before the provider is asked.
pub fn begin(conn: &mut Conn, keys: &[String], now: Timestamp) -> QueryResult<Vec<Look>> {
    let mut begun = Vec::new();
    for key in keys {
        let user = users::by_key(conn, key)?;
        let before = looks::of(conn, key)?;
        let (after, ticket) = before.looks().begun();
        let after = Memory {
            looked_at: Some(now),
            ..before.with(after)
        };
        looks::save(conn, key, &before, &after)?;
        begun.push(Look {
            key: key.clone(),
            user_id: user.user_id,
            ticket,
            at: now,
        });
    }
    Ok(begun)
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// A later look was answered before it.
    Fenced,
    /// It cannot be used: another user's, outdated, or in a word that we do not know.
    Unusable,
    /// It changed nothing that readers see.
    Unchanged,
    /// It moved the user.
    Moved {
        /// Whether a webhook had said so too.
        heard: bool,
    },
}

/// Puts an answer in its place; run it in a write. `None` is the answer that there is no verification of the user.
pub fn settle(
    conn: &mut Conn,
    look: &Look,
    details: Option<&Details>,
    now: Timestamp,
) -> QueryResult<Settlement> {
    let user = users::by_key(conn, &look.key)?;
    let before = looks::of(conn, &look.key)?;
    // The rule says so too, but the session of such an answer must not be taken for one of this attempt either.
    if look.ticket.number <= before.applied_ticket {
        return Ok(Settlement::Fenced);
    }
    let (answer, word) = match read(conn, &user, details)? {
        Ok(read) => read,
        Err(unusable) => {
            log::warn!(user_key = user.id, reason = unusable.0; "An answer of the provider cannot be used.");
            if let Some(word) = unusable.1 {
                let kept = Memory {
                    provider_word: Some(word),
                    ..before.clone()
                };
                looks::save(conn, &user.id, &before, &kept)?;
            }
            fail(conn, &user.id, UNUSABLE_LONGEST, now)?;
            return Ok(Settlement::Unusable);
        }
    };
    let then = ages(&user, &before, look.at);
    let Some(settled) = put(user.state(), before.looks(), look.ticket, answer, then) else {
        return Ok(Settlement::Fenced);
    };
    let moved = transitions::record(conn, &user, settled.state, Cause::Provider, now)?;
    let mut after = before.with(settled.looks);
    after.failures = 0;
    if settled.agreed {
        after.confirmed_at = Some(look.at);
    }
    if answer.of_this_attempt {
        after.provider_word = word;
    }
    let unfounded = answer.verdict.is_none() && moved.status == Status::Verified;
    after.unconfirmed_since = before.unconfirmed_since.or(Some(look.at));
    after.unconfirmed_since = after.unconfirmed_since.filter(|_| unfounded);
    if before.hint_seq == look.ticket.seen {
        let pause = settled
            .looks
            .pause(settled.state, ages(&moved, &after, now));
        after.due_at = Some(now.plus(jittered(pause, &look.key, look.ticket.number)));
        if settled.looks.is_sweep() {
            after.lane = Lane::Sweep;
        }
    }
    looks::save(conn, &user.id, &before, &after)?;
    alert(&user, &before, &after);
    if moved.version == user.version {
        return Ok(Settlement::Unchanged);
    }
    let heard = !before.looks().is_sweep() || before.hint == Some(moved.status);
    Ok(Settlement::Moved { heard })
}

fn alert(user: &User, before: &Memory, after: &Memory) {
    let user_key = &user.id;
    if after.conflict && !before.conflict {
        log::warn!(user_key; "What the provider sent and what it answers disagree: see to it.");
    }
    if after.step == STALLED && before.step != STALLED {
        log::warn!(user_key; "Nothing has been heard of a user for a month.");
    }
}

/// Why an answer cannot be used, and the word in it that we do not know.
struct Unusable(&'static str, Option<String>);

type Read = (Answer, Option<String>);

/// Tells whom and which attempt an answer is about, and keeps the session it names.
fn read(
    conn: &mut Conn,
    user: &User,
    details: Option<&Details>,
) -> QueryResult<Result<Read, Unusable>> {
    let nothing = Answer {
        verdict: None,
        of_this_attempt: false,
    };
    let Some(details) = details else {
        return Ok(Ok((nothing, None)));
    };
    let other = |id: &String| *id != user.user_id;
    if details.reference_id.as_ref().is_some_and(other) {
        return Ok(Err(Unusable("it is about another user", None)));
    }
    // The session of the attempt before may not be noted yet.
    if user.awaits_its_first_link() {
        return Ok(Ok((nothing, None)));
    }
    let known = attempts::of_user(conn, &user.id)?;
    let latest = |of: &dyn Fn(i64) -> bool| known.iter().rev().find(|known| of(known.attempt));
    let earlier = latest(&|attempt| attempt < user.attempt);
    let current = latest(&|attempt| attempt == user.attempt);
    let found = details.session();
    match whose(
        found,
        earlier.map(KnownSession::as_session),
        current.map(KnownSession::as_session),
    ) {
        Whose::EarlierAttempt => return Ok(Ok((nothing, None))),
        Whose::Outdated => {
            return Ok(Err(Unusable("it is older than what is known", None)));
        }
        Whose::ThisAttempt => {}
    }
    let word = details.result.clone();
    let Ok(verdict) = Status::from_result(word.as_deref().unwrap_or_default()) else {
        return Ok(Err(Unusable("it says an unknown word", word)));
    };
    if let Some(found) = found
        && current.is_none_or(|current| current.as_session() != found)
    {
        attempts::note(conn, &user.id, user.attempt, found)?;
    }
    let answer = Answer {
        verdict,
        of_this_attempt: true,
    };
    Ok(Ok((answer, word)))
}

/// The provider was not there: the look is made again later, and the user stays as it is.
pub(super) fn unanswered(conn: &mut Conn, look: &Look, now: Timestamp) -> QueryResult<()> {
    fail(conn, &look.key, FAILED_LONGEST, now)
}

fn fail(conn: &mut Conn, key: &str, longest: Duration, now: Timestamp) -> QueryResult<()> {
    let before = looks::of(conn, key)?;
    let doublings = u32::try_from(before.failures.clamp(0, 16)).unwrap_or(16);
    let pause = FAILED.saturating_mul(1 << doublings).min(longest);
    let after = Memory {
        failures: before.failures + 1,
        due_at: Some(now.plus(jittered(pause, key, before.pull_ticket))),
        ..before.clone()
    };
    looks::save(conn, key, &before, &after)
}

/// Keeps the session of that answer as the latest of the attempt before.
pub fn note(conn: &mut Conn, user: &User, details: &Details) -> QueryResult<()> {
    let Some(session) = details.session() else {
        return Ok(());
    };
    let known = attempts::of_user(conn, &user.id)?;
    let known = known.last().map(KnownSession::as_session);
    // An answer from an outdated copy must not take the place of what is known better.
    match whose(Some(session), None, known) {
        Whose::Outdated => Ok(()),
        _ => attempts::note(conn, &user.id, user.attempt - 1, session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::db::in_memory;
    use crate::db::users::NewUser;
    use crate::kyc::verification::State;
    use crate::reconcile::next_attempt;

    #[test]
    fn an_answer_from_before_the_attempt_leaves_no_session_behind() {
        let (mut conn, clock) = (in_memory(), Clock::driven(Timestamp(1_800_000_000_000_000)));
        let (conn, now) = (&mut conn, clock.now());
        let new = NewUser {
            id: clock.id(),
            partner: "acme",
            user_id: "u1",
            external_user_id: "u1",
            country: "DO",
            redirect_uri: None,
            status: Status::Pending,
        };
        let user = transitions::register(conn, &new, now).unwrap();
        let look = begin(conn, std::slice::from_ref(&user.id), now).unwrap();
        let opened = State::opened(2);
        let user = transitions::record(conn, &user, opened, Cause::Link, now).unwrap();
        next_attempt(conn, &user, now).unwrap();
        let linked = User {
            link_created_at: Some(now),
            ..user.clone()
        };
        transitions::touch(conn, &user, linked, now).unwrap();
        let details = Details {
            result: Some("APPROVED".to_owned()),
            session_id: Some("s1".to_owned()),
            ..Details::default()
        };
        let settled = settle(conn, &look[0], Some(&details), now).unwrap();
        assert_eq!(settled, Settlement::Fenced);
        assert_eq!(attempts::of_user(conn, &user.id).unwrap(), []);
    }
}
