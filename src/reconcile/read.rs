//! Reads an answer of the provider: whether it is usable, which attempt it is about, what it says.

use std::time::Duration;

use crate::capa::details::{Details, Unusable};
use crate::clock::Timestamp;
use crate::db::attempts::{self, KnownSession};
use crate::db::looks::{self, LinksAsked, Memory};
use crate::db::users::User;
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::Answer;
use crate::kyc::sessions::{Asked, Known, Note, Session, Whose};
use crate::kyc::status::Status;

use super::schedule::Moment;

/// The provider's answer about a user, as far as it arrived: its latest verification, that it has none, or why the answer is
/// unusable.
pub type Reading<'a> = Result<Option<&'a Details>, Unusable>;

/// What arrived, to be read.
pub fn reading(answer: &Result<Option<Details>, Unusable>) -> Reading<'_> {
    answer.as_ref().map(Option::as_ref).map_err(|error| *error)
}

/// A usable answer and the provider's own word for its verdict.
pub(super) struct Read {
    pub(super) answer: Answer,
    pub(super) word: Option<String>,
}

/// Tells which attempt an answer is about, and keeps the session that it names for this one.
pub(super) fn read(
    conn: &mut Conn,
    user: &User,
    reading: Reading<'_>,
) -> QueryResult<Result<Read, Unusable>> {
    let none = Read {
        answer: Answer::NONE,
        word: None,
    };
    let details = match reading {
        Ok(Some(details)) => details,
        Ok(None) => return Ok(Ok(none)),
        Err(unusable) => return Ok(Err(unusable)),
    };
    if let Err(unusable) = check(details, user) {
        return Ok(Err(unusable));
    }
    let sessions = attempts::of_user(conn, &user.id)?;
    let found = details.session();
    let known = known(&sessions, user);
    let whose = found.map_or(Whose::ThisAttempt, |found| known.whose(found));
    match whose {
        Whose::EarlierAttempt => return Ok(Ok(none)),
        Whose::Outdated => return Ok(Err(Unusable::OlderSession)),
        Whose::ThisAttempt | Whose::Unclear => {}
    }
    let word = details.result.clone();
    let Ok(verdict) = Status::from_result(word.as_deref().unwrap_or_default()) else {
        return Ok(Err(Unusable::UnknownWord));
    };
    if whose == Whose::ThisAttempt && found.is_some() && known.current != found {
        attempts::note(conn, &user.id, user.attempt, found)?;
    }
    let answer = Answer { verdict, whose };
    Ok(Ok(Read {
        answer,
        word: word.filter(|_| whose == Whose::ThisAttempt),
    }))
}

/// An answer must name the user who was asked about and, after attempt 1, the session.
fn check(details: &Details, user: &User) -> Result<(), Unusable> {
    match &details.reference_id {
        None => return Err(Unusable::NoReference),
        Some(id) if *id == user.user_id || *id == user.external_user_id => {}
        Some(_) => return Err(Unusable::OtherReference),
    }
    if user.attempt > 1 && details.session_id.is_none() {
        return Err(Unusable::NoSession);
    }
    Ok(())
}

/// What the rule needs to know of the user's sessions.
fn known<'a>(sessions: &'a [KnownSession], user: &User) -> Known<'a> {
    let of = |attempt: i64| sessions.iter().find(|known| known.attempt == attempt);
    let earlier = sessions.iter().filter(|known| known.attempt < user.attempt);
    let noted = user.attempt == 1 || of(user.attempt - 1).is_some();
    Known {
        earlier: earlier.filter_map(KnownSession::as_session).collect(),
        current: of(user.attempt).and_then(KnownSession::as_session),
        not_before: (!noted).then_some(user.opened_at.0),
    }
}

/// Notes what an answer says of the last session of the user's current attempt, which is to end.
///
/// Run it in a write. `asked_at` is when the provider was asked. The attempt ends only with [`Note::Session`] and [`Note::NoneTwice`].
pub fn note(
    conn: &mut Conn,
    user: &User,
    reading: Reading<'_>,
    (asked_at, now): (Timestamp, Timestamp),
) -> QueryResult<Result<Note, Unusable>> {
    let found: Option<Session<'_>> = match reading {
        Ok(Some(details)) => match check(details, user) {
            Ok(()) => details.session(),
            Err(unusable) => return list(conn, user, unusable),
        },
        Ok(None) => None,
        Err(unusable) => return list(conn, user, unusable),
    };
    let before = looks::links_asked(conn, &user.id)?;
    // A time ahead of the clock, which was set back since, counts as now.
    let not_ahead = |at: Option<Timestamp>| at.map(|at| if at.is_ahead_of(now) { now } else { at });
    let links = LinksAsked {
        link_asked_at: not_ahead(before.link_asked_at),
        no_session_at: not_ahead(before.no_session_at),
        ..before
    };
    let moment = Moment::new(asked_at, now);
    let since = |at: Timestamp| moment.age(at, Duration::ZERO);
    let asked = Asked {
        several_links: links.links_asked > 1,
        since_last_link: links.link_asked_at.map_or(Duration::MAX, since),
        since_none: links.no_session_at.map(since),
    };
    let sessions = attempts::of_user(conn, &user.id)?;
    let known = known(&sessions, user);
    let note = known.note(found, asked);
    let mut after = links;
    match note {
        Note::Session => attempts::note(conn, &user.id, user.attempt, found)?,
        Note::NoneTwice if known.current.is_none() => {
            attempts::note(conn, &user.id, user.attempt, None)?;
        }
        Note::NoneOnce => after.no_session_at = Some(asked_at),
        Note::Outdated => return list(conn, user, Unusable::OlderSession),
        Note::NoneTwice | Note::TooEarly => {}
    }
    if after != before {
        looks::save_links_asked(conn, &user.id, after)?;
    }
    Ok(Ok(note))
}

/// Lists the user as one whose last answer was unusable.
fn list(conn: &mut Conn, user: &User, unusable: Unusable) -> QueryResult<Result<Note, Unusable>> {
    let before = looks::of(conn, &user.id)?;
    let listed = Memory {
        unusable: Some(unusable.as_str().to_owned()),
        ..before.clone()
    };
    looks::save(conn, &user.id, &before, &listed)?;
    Ok(Err(unusable))
}
