//! The checks: how they begin, read and settle, and where they lead if nothing more comes.

use std::time::Duration;

use super::time::{Timer, Young};
use super::world::{Check, NO_SESSION, NoVerdict, Reading, SinceHint, World};
use super::{Piece, Search};
use crate::kyc::looks::{Ages, Answer, LATE, Settled, settle};
use crate::kyc::sessions::Whose;
use crate::kyc::status::Status;
use crate::kyc::verification::Event;

use Status::{InReview, Rejected, Submitted, Verified};

impl World {
    fn since_hint(&self) -> SinceHint {
        if self.young.has(Timer::Hint) {
            SinceHint::Nothing
        } else if self.ladder_over {
            SinceHint::LadderEnd
        } else {
            SinceHint::Late
        }
    }

    fn ages(&self, since_hint: SinceHint, after_verdict: bool) -> Ages {
        Ages {
            since_hint: since_hint.span(),
            since_applied: if after_verdict { LATE } else { Duration::ZERO },
            no_verdict: match self.no_verdict {
                NoVerdict::ForADay => Duration::from_secs(24 * 3600),
                NoVerdict::Lately | NoVerdict::No => Duration::ZERO,
            },
            quiet: Duration::ZERO,
            decided: Duration::ZERO,
            linked: Duration::ZERO,
        }
    }

    /// Whether the next check is due, in a world where no check comes before its time.
    pub(super) fn is_check_due(&self) -> bool {
        let after_verdict = !self.young.has(Timer::Applied);
        let ages = self.ages(self.since_hint(), after_verdict);
        let pause = self.looks.pause(self.state, ages);
        pause.is_zero() || self.looks.is_sweep() && self.young.is_empty()
    }

    /// A check begins; it reads later.
    pub(super) fn begin(&mut self) -> Check {
        let (looks, ticket) = self.looks.begun();
        self.looks = looks;
        Check {
            ticket,
            since_hint: self.since_hint(),
            after_verdict: self.state.unconfirmed.is_some() && !self.young.has(Timer::Applied),
            reading: None,
            true_reading: false,
        }
    }

    pub(super) fn read(&self, check: &mut Check, reading: Reading) {
        check.reading = Some(reading);
        check.true_reading = reading == self.truth;
    }

    /// Asks the rule what the answer does, without the piece that the search does without.
    pub(super) fn put(&self, check: Check, answer: Answer, search: &Search) -> Option<Settled> {
        let (mut looks, mut ticket) = (self.looks, check.ticket);
        let mut ages = self.ages(check.since_hint, check.after_verdict);
        if !search.has(Piece::Fence) {
            looks.applied_ticket = 0;
        }
        if !search.has(Piece::Freshness) {
            ticket.seen = looks.hint_seq;
        }
        if !search.has(Piece::Lateness) {
            ages.since_hint = ages.since_hint.max(LATE);
        }
        if !search.has(Piece::DoubtAt30s) {
            ages.since_applied = Duration::ZERO;
        }
        if !search.has(Piece::NoVerdictForADay) {
            ages.no_verdict = Duration::ZERO;
        }
        if !search.has(Piece::AfterReview) {
            looks.after_review = false;
        }
        let mut settled = settle(self.state, looks, ticket, answer, ages)?;
        if !search.has(Piece::FlagOnRejection) && answer.verdict.is_none() {
            settled.looks.conflict = looks.conflict;
        }
        Some(settled)
    }

    /// An answer is put in its place; one that is unusable or fenced off changes nothing.
    pub(super) fn settle(&mut self, check: Check, reading: Reading, search: &Search) {
        let answer = match World::whose(&self.known(search), reading, search) {
            None => Answer::NONE,
            Some(Whose::Outdated) => return,
            Some(whose) => Answer {
                verdict: reading.verdict,
                whose,
            },
        };
        let Some(settled) = self.put(check, answer, search) else {
            return;
        };
        let before = self.clone();
        (self.state, self.looks) = (settled.state, settled.looks);
        if answer.whose == Whose::ThisAttempt && reading.session != NO_SESSION {
            self.current = Some(reading.session);
        }
        let verdict = answer
            .verdict
            .filter(|_| answer.whose == Whose::ThisAttempt);
        self.no_verdict = if verdict.is_none() && self.state.status == Verified {
            self.no_verdict.max(NoVerdict::Lately)
        } else {
            NoVerdict::No
        };
        self.ghosts = before.ghosts.answered(&before, self.state, &check, reading);
    }

    fn check_now(&mut self, search: &Search) {
        let mut check = self.begin();
        self.read(&mut check, self.truth);
        self.settle(check, self.truth, search);
    }

    /// Where the checks that are due lead if nothing more comes.
    fn at_rest(&self, search: &Search) -> World {
        let mut world = self.clone();
        world.young = Young::default();
        world.outdated = None;
        while !world.looks.is_sweep() {
            world.check_now(search);
            world.ladder_over = true;
        }
        if search.has(Piece::Sweep) {
            world.check_now(search);
            world.time_out(search);
            if world.no_verdict == NoVerdict::Lately {
                world.no_verdict = NoVerdict::ForADay;
            }
            world.check_now(search);
        }
        world
    }

    pub(super) fn comes_to_rest(&self, search: &Search) -> bool {
        let rest = self.at_rest(search);
        let (state, flagged) = (rest.state, rest.looks.conflict);
        let held = state.held.filter(|held| held.is_final());
        match self.verdict() {
            Some(verdict) if state.overridden => verdict == state.status || flagged,
            None if state.overridden => true,
            Some(verdict) => {
                state.status == verdict && state.held.is_none() && state.unconfirmed.is_none()
            }
            None => {
                let stands = state.status == Rejected || held.is_some();
                state.shown() != Verified && (flagged || !stands)
            }
        }
    }

    /// The provider says verified: whether a check that begins 30 s from now shows it.
    pub(super) fn next_late_check_verifies(&self, search: &Search) -> bool {
        if self.verdict() != Some(Verified) || self.state.overridden {
            return true;
        }
        let mut world = self.clone();
        world.young = Young::default();
        world.outdated = None;
        world.check_now(search);
        world.state.is_final() && world.state.status == Verified && world.state.held.is_none()
    }

    /// An attempt of which nothing is known yet: whether its honest verdict is confirmed by the
    /// first check, after a review and without one.
    pub(super) fn honest_verdict_is_confirmed(&self, search: &Search) -> bool {
        let begins = self.state.status == Status::Pending
            && self.state.held.is_none()
            && self.looks.hint.is_none()
            && self.truth.session >= self.first
            && self.truth.verdict.is_none();
        let one = [Submitted, Verified];
        let two = [Submitted, InReview, Verified];
        !begins || self.honest(&one, search) && self.honest(&two, search)
    }

    fn honest(&self, targets: &[Status], search: &Search) -> bool {
        let seen = [false, true]
            .into_iter()
            .take(1 + usize::from(self.state.attempt > 1));
        let mut worlds = seen.map(|seen_before| {
            let mut world = self.clone();
            for target in targets {
                if *target != Submitted {
                    let verdict = Some(*target);
                    let truth = Reading {
                        verdict,
                        ..world.truth
                    };
                    world.becomes_true(truth, false);
                }
                let event = Event {
                    target: *target,
                    seen_before: seen_before && !target.is_final(),
                    session_noted: world.earlier[0].is_some(),
                    unmatched: false,
                };
                world.arrive(event, true, search);
            }
            world.check_now(search);
            world
        });
        worlds.all(|world| world.state.is_final() && world.state.status == Verified)
    }
}
