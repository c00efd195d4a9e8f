//! The provider's sessions: which attempt an answer is about, and the last session of an attempt that ends.
//!
//! A session is the only thing in an answer that tells one attempt from the next. Ids come before times, because the
//! provider's times may be equal, absent or unreadable.

use std::time::Duration;

use super::looks::LATE;

/// A session of the provider: one run of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// The provider's id of it.
    pub id: &'a str,
    /// When it was created, in microseconds of the provider's clock; `None` where that could not be read.
    pub created_at: Option<i64>,
}

impl Session<'_> {
    fn is(&self, other: &Session<'_>) -> bool {
        self.id == other.id
    }

    /// Whether it was created before the other; equal times say nothing.
    fn is_before(&self, other: &Session<'_>) -> bool {
        let times = self.created_at.zip(other.created_at);
        times.is_some_and(|(this, other)| this < other)
    }
}

/// Which attempt an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Whose {
    /// The current one.
    ThisAttempt,
    /// One before it: it says nothing about this one.
    EarlierAttempt,
    /// The current one, but a session older than one known already: an outdated copy, so the answer is unusable.
    Outdated,
    /// Nothing was noted of the attempt before, and the session is not younger than this attempt: it says nothing.
    Unclear,
}

/// What is known of a user's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<'a> {
    /// Those of earlier attempts.
    pub earlier: Vec<Session<'a>>,
    /// The latest one of the current attempt.
    pub current: Option<Session<'a>>,
    /// Since when a session must have been created to be of this attempt, in microseconds: set in an attempt after the
    /// first, where nothing was noted before it opened.
    pub not_before: Option<i64>,
}

impl Known<'_> {
    /// Tells which attempt an answer with that session is about.
    pub fn whose(&self, found: Session<'_>) -> Whose {
        let is_current = self.current.is_some_and(|current| current.is(&found));
        let is_earlier = |known: &Session<'_>| known.is(&found) || found.is_before(known);
        if is_current {
            Whose::ThisAttempt
        } else if self.earlier.iter().any(is_earlier) {
            Whose::EarlierAttempt
        } else if self
            .current
            .is_some_and(|current| found.is_before(&current))
        {
            Whose::Outdated
        } else if self.not_before.is_some_and(|opened| {
            let created = found.created_at;
            created.is_none_or(|created| created <= opened)
        }) {
            Whose::Unclear
        } else {
            Whose::ThisAttempt
        }
    }

    /// What an answer says of the last session of the current attempt, which is about to end.
    ///
    /// An answer that names no session may come from data that lags behind. So it takes two such answers, 30 s apart; and where
    /// several links were asked for, the session may be that of an earlier one until 30 s after the last.
    pub fn note(&self, found: Option<Session<'_>>, asked: Asked) -> Note {
        match found.map(|found| self.whose(found)) {
            None | Some(Whose::EarlierAttempt) => match asked.since_none {
                None => Note::NoneOnce,
                Some(since) if since < LATE => Note::TooEarly,
                Some(_) => Note::NoneTwice,
            },
            Some(Whose::Outdated) => Note::Outdated,
            Some(Whose::ThisAttempt | Whose::Unclear) => {
                if asked.several_links && asked.since_last_link < LATE {
                    Note::TooEarly
                } else {
                    Note::Session
                }
            }
        }
    }
}

/// What was asked of the provider in the attempt that ends.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Whether more than one link was asked for; a call without an answer counts as one.
    pub several_links: bool,
    /// From the last such call to the question for the session.
    pub since_last_link: Duration,
    /// From the first answer that named no session to this question; `None` where there was none.
    pub since_none: Option<Duration>,
}

/// What becomes of an attempt that is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It ends with the session that was found.
    Session,
    /// It ends without another session than the one known already, if there is one.
    NoneTwice,
    /// It does not end yet; the time of this answer is kept.
    NoneOnce,
    /// It does not end yet.
    TooEarly,
    /// It does not end: the answer is outdated.
    Outdated,
}

#[cfg(test)]
mod tests;
