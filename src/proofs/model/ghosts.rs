//! What only the properties ask for: a memory of the history that the tracker itself need not have.

use super::world::{Check, Reading, SinceHint, World};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Outcome, State};

use Status::{InReview, Rejected, Verified};

/// How far `verified`, another status, `verified` has come since the last delivery or change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Turns {
    #[default]
    None,
    Verified,
    AndOther,
    AndVerified,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ghosts {
    /// The provider said so of this attempt.
    pub(super) said_verified: bool,
    pub(super) said_rejected: bool,
    /// The last verdict answered of this attempt is `verified`.
    pub(super) last_answer_verified: bool,
    /// A true answer that began 30 s or more after the verdict was applied was settled.
    pub(super) checked: bool,
    /// A check said `verified`, and no bad news came since.
    pub(super) vouched: bool,
    /// `unconfirmed_for` has passed since the verdict was applied.
    pub(super) over: bool,
    /// Bad news about a verified user came, and no late check has said `verified` since.
    pub(super) bad_news: bool,
    /// The tracker was told of the review or rejection that is true now.
    pub(super) told: bool,
    /// And shows `verified` for a reason that is allowed.
    pub(super) excused: bool,
    /// A verdict was ever delivered or answered.
    pub(super) heard: bool,
    pub(super) heard_before: bool,
    /// A `verified` was delivered or answered since the registration.
    pub(super) grounded: bool,
    /// The event of what is true now was delivered.
    pub(super) delivered: bool,
    pub(super) turns: Turns,
}

impl Ghosts {
    pub(super) fn truth_was(&mut self, verdict: Option<Status>) {
        self.said_verified |= verdict == Some(Verified);
        self.said_rejected |= verdict == Some(Rejected);
    }

    pub(super) fn truth_changed(&mut self, verdict: Option<Status>) {
        self.truth_was(verdict);
        self.told = false;
        self.delivered = verdict.is_none();
        self.turns = Turns::None;
    }

    pub(super) fn event_arrived(
        mut self,
        before: &World,
        after: State,
        event: Event,
        outcome: Outcome,
    ) -> Ghosts {
        let bad = matches!(event.target, InReview | Rejected);
        let first = !self.heard && before.state.attempt == 1 && !event.unmatched;
        if event.target == Verified {
            let believed = first && outcome == Outcome::Applied;
            self.excused |= believed || before.may_be_read(Verified);
            self.grounded |= before.registered;
        }
        if before.verdict() == Some(event.target) {
            self.told = bad;
            self.excused = false;
            self.delivered = true;
        }
        if bad {
            self.vouched = false;
            self.bad_news |= before.state.status == Verified;
        }
        if before.state.status != after.status {
            self.checked = false;
            self.over = false;
        }
        self.heard |= event.target.is_final();
        self.turns = Turns::None;
        self
    }

    /// An answer of that check was settled.
    pub(super) fn answered(
        mut self,
        before: &World,
        after: State,
        check: &Check,
        reading: Reading,
    ) -> Ghosts {
        let verdict = reading
            .verdict
            .filter(|_| before.is_of_this_attempt(reading));
        let fresh = check.ticket.seen == before.looks.hint_seq;
        let late = fresh && check.since_hint != SinceHint::Nothing;
        self.checked |= check.true_reading && check.after_verdict;
        if let Some(verdict) = verdict {
            self.last_answer_verified = verdict == Verified;
            self.vouched = verdict == Verified && (fresh || self.vouched);
            self.grounded |= verdict == Verified;
            self.heard |= verdict.is_final();
        }
        if verdict == Some(Verified) && late || after.status != Verified {
            self.bad_news = false;
        }
        let contradicts = |later: &Check| {
            later.ticket.number > check.ticket.number
                && later.reading.is_some_and(|other| other != reading)
        };
        let disputed = before.checks.iter().flatten().any(contradicts);
        let bad = matches!(before.verdict(), Some(InReview | Rejected));
        // A review that is read too early may be older than the verdict that was believed.
        let believed = before.state.status == Verified && before.state.unconfirmed.is_some();
        let too_early = believed && verdict == Some(InReview) && !late && !check.after_verdict;
        if bad && reading == before.truth && before.outdated.is_none() && !disputed && !too_early {
            self.told = true;
            self.excused = false;
        }
        self
    }

    /// What readers see now, after each step.
    pub(super) fn shown(&mut self, verified: bool) {
        self.turns = match (self.turns, verified) {
            _ if !self.delivered => Turns::None,
            (Turns::None, true) => Turns::Verified,
            (Turns::Verified, false) => Turns::AndOther,
            (Turns::AndOther, true) => Turns::AndVerified,
            (turns, _) => turns,
        };
    }

    /// The next attempt begins.
    pub(super) fn attempt_opened(self) -> Ghosts {
        Ghosts {
            heard: self.heard,
            grounded: self.grounded,
            delivered: true,
            ..Ghosts::default()
        }
    }

    pub(super) fn overruled(self) -> Ghosts {
        self.attempt_opened()
    }

    /// The user was erased; `heard` is what is kept.
    pub(super) fn erased(self, heard: bool) -> Ghosts {
        Ghosts {
            heard: self.heard,
            heard_before: heard,
            said_verified: self.said_verified,
            said_rejected: self.said_rejected,
            ..Ghosts::default()
        }
    }
}
