//! The world that the rule lives in: a provider with its copies, events on their way, a tracker and its looks.
//!
//! Each function here is one thing that can happen, or what a verb of the service does around the rule when it does; the
//! rule itself is asked, never told again. What cannot make a difference any more is forgotten by [`World::forget`], which
//! must never forget more than that, because the search would then miss what comes of it.

use std::time::Duration;

use super::Rule;
use crate::kyc::looks::{
    Ages, Answer, LATE, Looks, Session, Settled, Ticket, Whose, settle, whose,
};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, State, TrustPolicy, fold};

use Status::{InReview, Rejected, Submitted, Verified};

/// What the provider may say of a session.
pub(super) const VERDICTS: [Option<Status>; 4] =
    [None, Some(InReview), Some(Verified), Some(Rejected)];

/// An answer that says nothing about the current attempt.
const NOTHING: Answer = Answer {
    verdict: None,
    of_this_attempt: false,
};

const EVENTS: [Status; 4] = [Submitted, InReview, Verified, Rejected];

pub(super) const FIRST: u8 = 1;
pub(super) const SECOND: u8 = 2;

/// What a copy of the provider's data says: the latest session and its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub(super) session: u8,
    pub(super) verdict: Option<Status>,
}

/// How long ago the last hint was, as far as the rule can tell the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SinceHint {
    Nothing,
    Late,
    LadderEnd,
}

impl SinceHint {
    const fn span(self) -> Duration {
        match self {
            SinceHint::Nothing => Duration::ZERO,
            SinceHint::Late => LATE,
            SinceHint::LadderEnd => Duration::from_secs(36 * 60),
        }
    }
}

/// How long the provider has had no verdict of a verified user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Unconfirmed {
    No,
    Lately,
    ForADay,
}

/// A look on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Look {
    ticket: Ticket,
    /// Whether it began late after the last hint.
    late: bool,
    pub(super) reading: Option<Reading>,
}

/// How far the one new link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum NewLink {
    NotAskedFor,
    AttemptOpened,
    Made,
}

/// How the tracker has learnt what is true now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    No,
    ByAnswer,
    ByEvent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    /// What the provider says; its session decides which attempt it is about.
    pub(super) truth: Reading,
    /// What a copy that is less than 30 s behind may say instead: what was true before the last change.
    pub(super) outdated: Option<Reading>,
    /// Whether a `verified` event was ever sent. The others are taken to have been: that only adds histories.
    pub(super) verified_sent: bool,

    pub(super) state: State,
    pub(super) looks: Looks,
    earlier_session: Option<u8>,
    current_session: Option<u8>,
    since_hint: SinceHint,
    unconfirmed: Unconfirmed,
    pub(super) new_link: NewLink,
    /// In the order of their tickets.
    pub(super) on_their_way: [Option<Look>; 2],

    /// Only the properties ask for these three.
    pub(super) told: Told,
    pub(super) excused: bool,
    pub(super) answered_verified: bool,
}

const fn session(id: u8) -> Session<'static> {
    Session {
        id: if id == FIRST { "first" } else { "second" },
        created_at: Some(id as i64),
    }
}

impl World {
    pub(super) fn new(rule: Rule) -> World {
        World {
            truth: Reading {
                session: FIRST,
                verdict: None,
            },
            outdated: None,
            verified_sent: rule.confirm == TrustPolicy::BeforeFinal,
            state: State::opened(1),
            looks: Looks::new(),
            earlier_session: None,
            current_session: None,
            since_hint: SinceHint::LadderEnd,
            unconfirmed: Unconfirmed::No,
            new_link: NewLink::NotAskedFor,
            on_their_way: [None; 2],
            told: Told::No,
            excused: false,
            answered_verified: false,
        }
    }

    pub(super) fn is_of_this_attempt(&self, reading: Reading) -> bool {
        i64::from(reading.session) == self.state.attempt
    }

    /// The provider's verdict of the current attempt.
    pub(super) fn verdict(&self) -> Option<Status> {
        self.truth
            .verdict
            .filter(|_| self.is_of_this_attempt(self.truth))
    }

    pub(super) fn becomes_true(&mut self, truth: Reading) {
        self.outdated = Some(self.truth);
        self.truth = truth;
        self.verified_sent |= truth.verdict == Some(Verified);
        self.told = Told::No;
    }

    /// Every event that may arrive now. Whether one was received in an earlier attempt is left open where there is one,
    /// as far as it matters, which again only adds histories.
    pub(super) fn events(&self, confirm: TrustPolicy) -> Vec<Event> {
        let mut events = Vec::new();
        for target in EVENTS {
            if target == Verified && !self.verified_sent {
                continue;
            }
            let new = Event {
                target,
                seen_before: false,
                distinguishable: false,
            };
            let again = Event {
                target,
                seen_before: true,
                distinguishable: self.earlier_session.is_some(),
            };
            events.push(new);
            let matters = || fold(self.state, new, confirm) != fold(self.state, again, confirm);
            if self.state.attempt > 1 && matters() {
                events.push(again);
            }
        }
        events
    }

    /// As `ingest::delivery` and `reconcile::hint` take it.
    pub(super) fn arrive(&mut self, event: Event, confirm: TrustPolicy) {
        let before = self.state;
        (self.state, _) = fold(before, event, confirm);
        let moved = self.state.status != before.status;
        self.looks = self.looks.hinted(Some(event.target), moved);
        self.since_hint = SinceHint::Nothing;
        for look in self.on_their_way.iter_mut().flatten() {
            look.late = false;
        }
        if event.target == Verified {
            let good = |reading: Reading| reading.verdict == Some(Verified);
            let believed = confirm == TrustPolicy::OnConflict && !before.status.is_final();
            self.excused |= believed || self.outdated.is_some_and(good);
        }
        if self.verdict() == Some(event.target) {
            self.told = Told::ByEvent;
            self.excused = false;
        }
    }

    /// 30 s, then the rest of the ladder, then a day.
    pub(super) fn pass_time(&mut self) {
        self.outdated = None;
        match self.since_hint {
            SinceHint::Nothing => self.since_hint = SinceHint::Late,
            SinceHint::Late => self.since_hint = SinceHint::LadderEnd,
            SinceHint::LadderEnd if self.unconfirmed == Unconfirmed::Lately => {
                self.unconfirmed = Unconfirmed::ForADay;
            }
            SinceHint::LadderEnd => {}
        }
    }

    pub(super) fn begin(&mut self) -> Look {
        let (looks, ticket) = self.looks.begun();
        self.looks = looks;
        Look {
            ticket,
            late: self.since_hint != SinceHint::Nothing,
            reading: None,
        }
    }

    /// As `reconcile::read` does it.
    fn read(&mut self, reading: Reading) -> Option<Answer> {
        if self.new_link == NewLink::AttemptOpened {
            return Some(NOTHING);
        }
        match whose(
            Some(session(reading.session)),
            self.earlier_session.map(session),
            self.current_session.map(session),
        ) {
            Whose::EarlierAttempt => return Some(NOTHING),
            Whose::Outdated => return None,
            Whose::ThisAttempt => {}
        }
        self.current_session = Some(reading.session);
        Some(Answer {
            verdict: reading.verdict,
            of_this_attempt: true,
        })
    }

    /// Asks the rule what the answer does, with the parts taken out that the search is to do without.
    fn put(&self, look: Look, answer: Answer, rule: Rule) -> Option<Settled> {
        let (mut looks, mut ticket) = (self.looks, look.ticket);
        if !rule.fence {
            looks.applied_ticket = 0;
        }
        if !rule.freshness {
            ticket.seen = looks.hint_seq;
        }
        let since_hint = match (look.late, rule.late_lifting) {
            (true, _) => self.since_hint.span(),
            (false, true) => Duration::ZERO,
            (false, false) => LATE,
        };
        let unconfirmed = match self.unconfirmed {
            Unconfirmed::ForADay => Duration::from_secs(24 * 3600),
            Unconfirmed::Lately | Unconfirmed::No => Duration::ZERO,
        };
        let ages = Ages {
            since_hint,
            unconfirmed,
            quiet: Duration::ZERO,
            decided: Duration::ZERO,
        };
        settle(self.state, looks, ticket, answer, ages)
    }

    /// As `reconcile::settle` does it.
    pub(super) fn settle(&mut self, look: Look, reading: Reading, rule: Rule) {
        let Some(answer) = self.read(reading) else {
            return;
        };
        let Some(settled) = self.put(look, answer, rule) else {
            return;
        };
        (self.state, self.looks) = (settled.state, settled.looks);
        self.unconfirmed = match answer.verdict {
            None if self.state.status == Verified => self.unconfirmed.max(Unconfirmed::Lately),
            _ => Unconfirmed::No,
        };
        self.answered_verified |=
            reading.verdict == Some(Verified) && self.is_of_this_attempt(reading);
        let contradicts = |later: &Look| {
            later.ticket.number > look.ticket.number
                && later.reading.is_some_and(|other| other != reading)
        };
        let undisputed = !self.on_their_way.iter().flatten().any(contradicts);
        if reading == self.truth
            && self.outdated.is_none()
            && self.verdict().is_some()
            && undisputed
        {
            self.told = match self.told {
                Told::ByEvent => Told::ByEvent,
                Told::No | Told::ByAnswer => Told::ByAnswer,
            };
            self.excused = false;
        }
    }

    /// As `issue::begin` and `reconcile::next_attempt` do it.
    pub(super) fn open_attempt(&mut self, opened: State) {
        self.state = opened;
        self.looks = self.looks.next_attempt();
        self.earlier_session = self.current_session.take();
        self.since_hint = SinceHint::LadderEnd;
        for look in self.on_their_way.iter_mut().flatten() {
            look.late = true;
        }
        self.unconfirmed = Unconfirmed::No;
        self.new_link = NewLink::AttemptOpened;
        self.told = Told::No;
        self.answered_verified = false;
    }

    /// As `reconcile::note_session` does it, before the link is asked for.
    pub(super) fn note_session(&mut self) {
        let known = self.current_session.or(self.earlier_session);
        let found = self.truth.session;
        if whose(Some(session(found)), None, known.map(session)) != Whose::Outdated {
            self.earlier_session = Some(found);
        }
        self.new_link = NewLink::Made;
    }

    /// Forgets what makes no difference to anything that can still come: numbers but for their order, looks that are
    /// fenced off, verdicts of an earlier session, what only admins are shown, and what no property will ask for.
    pub(super) fn forget(&mut self, rule: Rule) {
        if self.new_link == NewLink::Made {
            // The session of the attempt before is known for good, so that another one can only be of this one.
            self.current_session = None;
            self.truth.verdict = self.verdict();
            let readings = self.on_their_way.iter_mut().flatten();
            let readings = readings.filter_map(|look| look.reading.as_mut());
            for reading in readings.chain(&mut self.outdated) {
                reading.verdict = reading.verdict.filter(|_| reading.session == SECOND);
            }
        }
        self.outdated = self.outdated.filter(|reading| *reading != self.truth);
        let good = self.truth.verdict == Some(Verified);
        if good && self.told == Told::ByAnswer {
            self.told = Told::No;
        }
        self.excused &= !good && self.told != Told::No;
        self.answered_verified &= rule.confirm == TrustPolicy::BeforeFinal;

        let applied = self.looks.applied_ticket;
        let mut last = 1;
        let mut on_their_way = self.on_their_way;
        for place in &mut on_their_way {
            // Whether a look is fenced off is for the rule to say.
            *place = place.filter(|look| self.put(*look, NOTHING, rule).is_some());
            if let Some(look) = place {
                last += i64::from(look.ticket.number > applied);
                look.ticket = Ticket {
                    number: if look.ticket.number > applied {
                        last
                    } else {
                        1
                    },
                    seen: i64::from(look.ticket.seen == self.looks.hint_seq),
                };
            }
        }
        self.on_their_way = on_their_way;
        if self.on_their_way[0].is_none() {
            self.on_their_way.swap(0, 1);
        }
        let ladder = Looks::new().hinted(None, false).step;
        self.looks = Looks {
            hint_seq: 1,
            applied_ticket: 1,
            pull_ticket: last,
            step: if self.looks.is_sweep() {
                Looks::new().step
            } else {
                ladder
            },
            verdict: None,
            confirmed: self.looks.confirmed && self.state.status == Verified,
            conflict: false,
            ..self.looks
        };
    }

    fn look_now(&mut self, rule: Rule) {
        let look = self.begin();
        self.settle(look, self.truth, rule);
    }

    /// Whether all ends well if nothing more comes but looks that are due.
    pub(super) fn comes_to_rest(&self, rule: Rule) -> bool {
        let mut world = self.clone();
        while !world.looks.is_sweep() {
            world.pass_time();
            world.look_now(rule);
        }
        if self.told == Told::ByEvent && !world.is_settled() {
            return false;
        }
        if rule.sweep {
            for _ in 0..3 {
                world.pass_time();
                world.look_now(rule);
            }
        }
        world.is_settled()
    }

    fn is_settled(&self) -> bool {
        match self.verdict() {
            Some(verdict) => self.state.status == verdict && self.state.held.is_none(),
            None => self.state.shown() != Verified,
        }
    }
}
