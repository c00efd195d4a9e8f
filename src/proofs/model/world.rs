//! The world that the rule lives in: a provider with its copies, events on their way, a tracker
//! and its checks.
//!
//! Each function here is one thing that can happen, or what an action of the service does around
//! the rule when it does. The rule itself is called, never written again.

use std::time::Duration;

use super::ghosts::Ghosts;
use super::time::{Timer, Young};
use super::{May, Piece, Search};
use crate::kyc::looks::{LATE, Looks, Ticket};
use crate::kyc::sessions::{Asked, Known, Note, Session, Whose};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Link, Outcome, State, apply, link, overrule};

use Status::{InReview, Rejected, Submitted, Verified};

/// What the provider may say of a session.
pub(super) const VERDICTS: [Option<Status>; 4] =
    [None, Some(InReview), Some(Verified), Some(Rejected)];

const EVENTS: [Status; 4] = [Submitted, InReview, Verified, Rejected];

/// The session of an answer that names none.
pub(super) const NO_SESSION: u8 = 0;

/// The names of the sessions, in the order in which they were created.
const NAMES: [&str; 7] = ["", "a", "b", "c", "d", "e", "f"];

/// What a copy of the provider's data says: the latest session and its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) session: u8,
    pub(super) verdict: Option<Status>,
}

/// How long the provider has had no verdict of a verified user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum NoVerdict {
    No,
    Lately,
    ForADay,
}

/// How long before a check began the last hint was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SinceHint {
    Nothing,
    Late,
    LadderEnd,
}

impl SinceHint {
    pub(super) const fn span(self) -> Duration {
        match self {
            SinceHint::Nothing => Duration::ZERO,
            SinceHint::Late => LATE,
            SinceHint::LadderEnd => Duration::from_secs(36 * 60),
        }
    }
}

/// A check in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Check {
    pub(super) ticket: Ticket,
    pub(super) since_hint: SinceHint,
    /// Whether it began 30 s or more after the unconfirmed verdict was applied.
    pub(super) after_verdict: bool,
    pub(super) reading: Option<Reading>,
    /// Whether what it read was true at that moment.
    pub(super) true_reading: bool,
}

/// Everything that can make a difference to what comes next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// What the provider says.
    pub(super) truth: Reading,
    /// What a copy says that is less than 30 s behind: what was true before the last change.
    pub(super) outdated: Option<Reading>,
    /// Whether a `verified` event and a `rejected` event were ever sent. The others are taken to
    /// have been; that only adds histories.
    pub(super) verified_sent: bool,
    pub(super) rejected_sent: bool,
    /// The first session that is of the current attempt.
    pub(super) first: u8,

    pub(super) registered: bool,
    pub(super) state: State,
    pub(super) looks: Looks,
    /// The sessions noted for earlier attempts.
    pub(super) earlier: [Option<u8>; 2],
    /// The session of the current attempt, once a check has read it.
    pub(super) current: Option<u8>,
    /// How many links were asked for in the current attempt; two stands for several.
    pub(super) links: u8,
    /// Whether an answer without a session came, before an attempt that is to end.
    pub(super) none_once: bool,
    pub(super) young: Young,
    /// Whether the last hint is 35 min old.
    pub(super) ladder_over: bool,
    pub(super) no_verdict: NoVerdict,
    /// In the order of their tickets.
    pub(super) checks: [Option<Check>; 2],

    pub(super) ghosts: Ghosts,
}

impl World {
    pub(super) fn new(search: &Search) -> World {
        let begins = if search.may(May::Link) { NO_SESSION } else { 1 };
        let leaked = search.may(May::Leak);
        World {
            truth: Reading {
                session: begins,
                verdict: None,
            },
            outdated: None,
            verified_sent: leaked,
            rejected_sent: leaked,
            first: 1,
            registered: !search.may(May::EventBeforeRegistration),
            state: State::registered(false),
            looks: Looks::new(),
            earlier: [None; 2],
            current: None,
            links: begins,
            none_once: false,
            young: Young::default(),
            ladder_over: false,
            no_verdict: NoVerdict::No,
            checks: [None; 2],
            ghosts: Ghosts {
                delivered: true,
                ..Ghosts::default()
            },
        }
    }

    /// What is true of the current attempt.
    pub(super) fn verdict(&self) -> Option<Status> {
        self.truth
            .verdict
            .filter(|_| self.is_of_this_attempt(self.truth))
    }

    pub(super) const fn is_of_this_attempt(&self, reading: Reading) -> bool {
        reading.session >= self.first
    }

    /// Whether a copy that lags behind says so of this attempt.
    pub(super) fn may_be_read(&self, verdict: Status) -> bool {
        let says =
            |reading: Reading| self.is_of_this_attempt(reading) && reading.verdict == Some(verdict);
        self.outdated.is_some_and(says)
    }

    /// The provider's data changes; where `quickly`, the copy that may lag behind stays the one of
    /// before an earlier change, as long as that is young.
    pub(super) fn becomes_true(&mut self, truth: Reading, quickly: bool) {
        if !quickly {
            self.outdated = Some(self.truth);
            self.young.start(Timer::Change);
        }
        self.truth = truth;
        self.verified_sent |= truth.verdict == Some(Verified);
        self.rejected_sent |= truth.verdict == Some(Rejected);
        let verdict = self.verdict();
        self.ghosts.truth_changed(verdict);
    }

    /// Every event that may arrive now. Whether one came before is left open where both matter,
    /// which again only adds histories.
    pub(super) fn events(&self, search: &Search) -> Vec<Event> {
        let may_come = |target: &Status| match target {
            Submitted if search.may(May::OnlyInOrder) => self.state.status == Status::Pending,
            _ if search.may(May::OnlyInOrder) => {
                self.verdict() == Some(*target) && !self.ghosts.delivered
            }
            InReview => search.may(May::Review),
            Verified => self.verified_sent,
            Rejected => self.rejected_sent,
            _ => true,
        };
        let mut events = Vec::new();
        for target in EVENTS.into_iter().filter(may_come) {
            let new = Event {
                target,
                seen_before: false,
                session_noted: self.earlier.iter().any(Option::is_some),
                unmatched: !self.registered && search.has(Piece::Unmatched),
            };
            let again = Event {
                seen_before: true,
                ..new
            };
            events.push(new);
            let first_time = target.is_final() || self.state.attempt == 1;
            if self.state.overridden || !first_time {
                events.push(again);
            }
        }
        events
    }

    pub(super) fn apply(&self, event: Event, room: bool, search: &Search) -> (State, Outcome) {
        let heard = self.state.heard;
        let before = State {
            heard: heard && search.has(Piece::NothingHeard),
            ..self.state
        };
        let (after, outcome) = apply(before, event, search.policy, room);
        let after = State {
            heard: heard || after.heard,
            ..after
        };
        (after, outcome)
    }

    /// An event arrives, for a registered user or before the registration.
    pub(super) fn arrive(&mut self, event: Event, room: bool, search: &Search) {
        let before = self.clone();
        let (after, outcome) = self.apply(event, room, search);
        self.state = after;
        self.looks = self.looks.hinted(Some(event.target), before.state, after);
        self.ladder_over = false;
        if self.registered {
            self.young.start(Timer::Hint);
        }
        if before.state.status != after.status && after.is_believed() {
            self.young.start(Timer::Applied);
            for check in self.checks.iter_mut().flatten() {
                check.after_verdict = false;
            }
        }
        let ghosts = self.ghosts;
        self.ghosts = ghosts.event_arrived(&before, after, event, outcome);
    }

    /// The user is registered; what came before has been applied one by one.
    pub(super) fn register(&mut self, search: &Search) {
        self.registered = true;
        if !search.has(Piece::Unmatched) {
            self.state.heard = self.ghosts.heard_before;
        }
        self.young.start(Timer::Hint);
        if self.state.is_believed() {
            self.young.start(Timer::Applied);
        }
    }

    /// An admin erases the user: of all that was known only `heard` stays.
    pub(super) fn erase(&mut self, search: &Search) {
        let heard = self.state.heard && search.has(Piece::HeardAfterErasure);
        let mut young = Young::default();
        if self.outdated.is_some() {
            young.start(Timer::Change);
        }
        *self = World {
            first: 1,
            registered: false,
            state: State::registered(heard),
            looks: Looks::new(),
            earlier: [None; 2],
            current: None,
            links: 0,
            none_once: false,
            young,
            ladder_over: false,
            no_verdict: NoVerdict::No,
            checks: [None; 2],
            ghosts: self.ghosts.erased(heard),
            ..*self
        };
        for reading in [Some(self.truth), self.outdated].into_iter().flatten() {
            self.ghosts.truth_was(reading.verdict);
        }
    }

    /// The thing that is young for the longest time becomes 30 s old.
    pub(super) fn grow_old(&mut self) {
        if self.young.expire() == Some(Timer::Change) {
            self.outdated = None;
        }
    }

    /// `unconfirmed_for` has passed. A doubt that is computed is the same as one that is stored.
    pub(super) fn time_out(&mut self, search: &Search) {
        self.ghosts.over = true;
        if search.has(Piece::UnconfirmedFor) {
            self.state = self.state.timed_out();
        }
    }

    /// The clock is set back, and what is stored lies ahead of it.
    pub(super) fn set_clock_back(&mut self, search: &Search) {
        self.looks = self.looks.hinted_again();
        self.young.start(Timer::Hint);
        self.ladder_over = false;
        for check in self.checks.iter_mut().flatten() {
            check.since_hint = SinceHint::Nothing;
            check.after_verdict = true;
        }
        self.young.stop(Timer::Applied);
        if self.state.unconfirmed.is_some() {
            self.time_out(search);
        }
        if self.none_once {
            self.young.start(Timer::NoneOnce);
        }
        if self.links > 1 {
            self.young.start(Timer::Link);
        }
    }

    fn session(search: &Search, id: u8) -> Option<Session<'static>> {
        let created_at = if search.may(May::EqualTimes) {
            1
        } else {
            i64::from(id)
        };
        (id != NO_SESSION).then_some(Session {
            id: NAMES[usize::from(id)],
            created_at: Some(created_at),
        })
    }

    pub(super) fn known(&self, search: &Search) -> Known<'static> {
        let earlier = self.earlier.iter().flatten();
        Known {
            earlier: earlier
                .filter_map(|id| World::session(search, *id))
                .collect(),
            current: self.current.and_then(|id| World::session(search, id)),
            not_before: None,
        }
    }

    /// Which attempt the rule takes an answer to be about; `None` where it names no session.
    pub(super) fn whose(known: &Known<'_>, reading: Reading, search: &Search) -> Option<Whose> {
        let found = World::session(search, reading.session)?;
        if search.has(Piece::IdsBeforeTimes) {
            return Some(known.whose(found));
        }
        let not_after = |noted: &Session<'_>| found.created_at <= noted.created_at;
        if known.earlier.iter().any(not_after) {
            Some(Whose::EarlierAttempt)
        } else {
            Some(Whose::ThisAttempt)
        }
    }

    /// A link is asked for: it belongs to the current attempt, or the provider is asked for the
    /// last session of the attempt that ends.
    pub(super) fn ask_for_link(&mut self, force_new: bool, reading: Reading, search: &Search) {
        if let Link::Next(opened) = link(self.state, force_new) {
            let found = World::session(search, reading.session);
            let age = |timer| {
                if self.young.has(timer) {
                    Duration::ZERO
                } else {
                    LATE
                }
            };
            let asked = Asked {
                several_links: self.links > 1,
                since_last_link: age(Timer::Link),
                since_none: self.none_once.then(|| age(Timer::NoneOnce)),
            };
            let ended_with = match self.known(search).note(found, asked) {
                Note::Session => Some(reading.session),
                Note::NoneTwice => self.current,
                Note::NoneOnce if !search.has(Piece::NotingTwice) => self.current,
                Note::NoneOnce => {
                    self.none_once = true;
                    self.young.start(Timer::NoneOnce);
                    return;
                }
                Note::TooEarly | Note::Outdated => return,
            };
            self.open_attempt(opened, ended_with);
        }
    }

    fn open_attempt(&mut self, opened: State, ended_with: Option<u8>) {
        if let Some(free) = self.earlier.iter_mut().find(|place| place.is_none()) {
            *free = ended_with;
        }
        self.state = opened;
        self.looks = self.looks.next_attempt();
        self.first = self.truth.session + 1;
        self.current = None;
        self.links = 0;
        self.none_once = false;
        self.young.stop(Timer::Link);
        self.young.stop(Timer::NoneOnce);
        self.young.stop(Timer::Applied);
        self.no_verdict = NoVerdict::No;
        self.ghosts = self.ghosts.attempt_opened();
    }

    /// The provider is asked for a link of the current attempt; `made` is false where it made none,
    /// which the service cannot tell.
    pub(super) fn call_for_link(&mut self, made: bool, quickly: bool) {
        self.links = (self.links + 1).min(2);
        self.looks = self.looks.watched();
        if made {
            let truth = Reading {
                session: self.truth.session + 1,
                verdict: None,
            };
            self.becomes_true(truth, quickly);
        }
        self.none_once = false;
        // The time counts from the end of the call: by then the provider has made the session.
        self.young.start(Timer::Link);
    }

    /// An admin sets the status.
    pub(super) fn overrule(&mut self, status: Status) {
        self.state = overrule(self.state, status);
        self.looks = self.looks.overruled();
        self.ghosts = self.ghosts.overruled();
    }
}
