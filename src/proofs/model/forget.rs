//! Forgets what can make no difference any more, so that fewer places have to be told apart.
//!
//! It must never forget more than that, because the search would then miss what comes of it.

use super::ghosts::{Ghosts, Turns};
use super::time::Timer;
use super::world::{Check, NoVerdict, Reading, SinceHint, World};
use super::{May, Piece, Property, Search};
use crate::kyc::looks::{Looks, Ticket};
use crate::kyc::sessions::Whose;
use crate::kyc::status::Status;
use crate::kyc::verification::Unconfirmed;

use Status::{InReview, Rejected, Verified};

impl World {
    pub(super) fn forget(&mut self, search: &Search) {
        self.forget_readings(search);
        self.forget_looks(search);
        self.forget_ghosts(search);
        self.forget_times(search);
        self.forget_checks(search);
    }

    /// What a session of an earlier attempt says, once the rule knows that it is one.
    fn forget_readings(&mut self, search: &Search) {
        if self.earlier[0].is_some() && !search.may(May::Erasure) {
            let (first, known) = (self.first, self.known(search));
            let forget = |reading: &mut Reading| {
                let whose = World::whose(&known, *reading, search);
                if whose == Some(Whose::EarlierAttempt) && reading.session < first {
                    reading.verdict = None;
                }
            };
            forget(&mut self.truth);
            let outdated = self.outdated.iter_mut();
            let checks = self.checks.iter_mut().flatten();
            let read = checks.filter_map(|check| check.reading.as_mut());
            outdated.chain(read).for_each(forget);
        }
        if self.outdated == Some(self.truth) {
            self.outdated = None;
        }
        if self.outdated.is_none() {
            self.young.stop(Timer::Change);
        }
    }

    fn forget_times(&mut self, search: &Search) {
        let waits = self.state.status == Verified
            && matches!(
                self.state.unconfirmed,
                Some(Unconfirmed::Believed | Unconfirmed::TimedOut)
            );
        if !waits {
            self.young.stop(Timer::Applied);
            for check in self.checks.iter_mut().flatten() {
                check.after_verdict = false;
            }
        }
        let confirmed = self.state.status == Verified && self.state.unconfirmed.is_none();
        if !confirmed || self.state.overridden {
            self.no_verdict = NoVerdict::No;
        }
        let news = [self.state.held, self.looks.hint];
        let bad = news.contains(&Some(InReview)) || news.contains(&Some(Rejected));
        let lateness_matters = bad
            || self.state.held.is_some()
            || self.looks.after_review
            || self.no_verdict != NoVerdict::No
            || self.ghosts.bad_news;
        if !lateness_matters && !search.may(May::OnlyInOrder) {
            self.young.stop(Timer::Hint);
            for check in self.checks.iter_mut().flatten() {
                check.since_hint = SinceHint::Nothing;
            }
        }
        if !self.none_once {
            self.young.stop(Timer::NoneOnce);
        }
        if self.links < 2 {
            self.young.stop(Timer::Link);
        }
    }

    /// Numbers but for their order, and checks that are fenced off.
    fn forget_checks(&mut self, search: &Search) {
        let applied = self.looks.applied_ticket;
        let fenced = |check: &Check| check.ticket.number <= applied;
        let mut last = 1;
        for place in &mut self.checks {
            *place = place.filter(|check| !fenced(check) || !search.has(Piece::Fence));
            if let Some(check) = place {
                last += i64::from(!fenced(check));
                let fresh = check.ticket.seen == self.looks.hint_seq;
                check.ticket = Ticket {
                    number: if fenced(check) { 1 } else { last },
                    seen: i64::from(fresh),
                    applied: 1,
                };
                check.true_reading &= check.after_verdict;
                if !fresh {
                    check.since_hint = SinceHint::Nothing;
                }
                if check.since_hint == SinceHint::LadderEnd && self.looks.is_sweep() {
                    check.since_hint = SinceHint::Late;
                }
            }
        }
        if self.checks[0].is_none() {
            self.checks.swap(0, 1);
        }
        self.looks.hint_seq = 1;
        self.looks.applied_ticket = 1;
        self.looks.pull_ticket = last;
    }

    fn forget_looks(&mut self, search: &Search) {
        // The ladder makes no difference but to the flag, and to when checks are due. With the
        // sweep a check may come at any time, and the flag is asked for at rest alone.
        let ladder_matters = search.may(May::OnlyInOrder) || !search.has(Piece::Sweep);
        let sweep = self.looks.is_sweep() || !ladder_matters;
        if sweep {
            self.looks.step = Looks::new().step;
        } else if !search.may(May::OnlyInOrder) {
            self.looks.step = Looks::new().hinted_again().step;
        }
        self.ladder_over &= !sweep;
        self.looks.conflict = false;
        if !search.may(May::Override) {
            self.looks.verdict = None;
        }
        if self.state.unconfirmed.is_none() {
            self.looks.after_review = false;
        }
        if self.state.status == Rejected {
            // What is known against a rejection makes no difference to anything but `final`.
            self.state.unconfirmed = None;
        }
        if self.state.attempt > 1 && !search.may(May::Erasure) {
            self.state.heard = true;
            self.ghosts.heard = true;
        }
    }

    fn forget_ghosts(&mut self, search: &Search) {
        let asks = |property| search.asks(property);
        let ghosts = &mut self.ghosts;
        if !search.may(May::Erasure) && search.has(Piece::NothingHeard) {
            ghosts.heard = self.state.heard;
        }
        let verified = self.state.status == Verified;
        let unconfirmed = verified && self.state.unconfirmed.is_some();
        ghosts.said_verified &= asks(Property::S0);
        ghosts.said_rejected &= asks(Property::Rj);
        ghosts.last_answer_verified &= asks(Property::S1);
        ghosts.checked &= asks(Property::S1) && unconfirmed;
        ghosts.over &= asks(Property::S2) && unconfirmed;
        ghosts.vouched &= asks(Property::S2) && ghosts.over;
        ghosts.bad_news &= asks(Property::S3);
        ghosts.told &= asks(Property::T);
        ghosts.excused &= ghosts.told;
        ghosts.heard_before &= !self.registered;
        ghosts.grounded &= asks(Property::S4);
        if !search.may(May::OnlyInOrder) {
            ghosts.delivered = false;
            ghosts.turns = Turns::None;
        }
        if self.state.overridden {
            *ghosts = Ghosts {
                heard: ghosts.heard,
                heard_before: ghosts.heard_before,
                ..Ghosts::default()
            };
        }
    }
}
