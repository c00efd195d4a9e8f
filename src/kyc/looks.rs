//! The rule of checks: when the provider is checked, and what its answer does.
//!
//! Webhooks are lost, late, doubled and replayed. So each one is a *hint* to check the provider, now and again while the
//! provider's other machines may still lag behind; and a *sweep* checks every user from time to time. An answer counts only
//! if no later check was settled before it (the *fence*: tickets). It says `verified` only over no hint that came meanwhile
//! (*freshness*: the hint sequence), and against bad news only if the check began *late*, 30 s or more after the last hint.
//! Every function is total; spans of time come in and go out as values.

use std::time::Duration;

use super::sessions::Whose;
use super::status::Status;
use super::verification::{State, Unconfirmed};

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const DAY: Duration = minutes(24 * 60);

/// When a check follows a hint, counted from the hint.
pub const LADDER: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(30),
    minutes(5),
    minutes(35),
];

/// An answer that was asked for this long after an event is newer than it: by then the provider's machines agree.
pub const LATE: Duration = LADDER[1];

/// A hint that changed nothing causes no check sooner than this after the one before.
pub const REPEAT_SPACING: Duration = Duration::from_secs(10);

/// The pauses between checks of an undecided user without news; the last one repeats.
const UNDECIDED: [Duration; 5] = [
    minutes(1),
    minutes(5),
    minutes(15),
    minutes(60),
    minutes(6 * 60),
];

/// A user whose latest link is younger than this is in the lane of the young.
pub const YOUNG: Duration = minutes(60);

/// A user who is undecided for this long without any news is left to an admin and checked weekly.
pub const STALLED_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A confirmed `verified` of which the provider has had no verdict for this long is held as `in_review`.
const NO_VERDICT_FOR: Duration = DAY;

/// Steps below this are rungs of the ladder; from here on they are steps of the sweep.
const SWEEP: i64 = 4;
/// Where the sweep begins after a ladder, whose last rung was half an hour away.
const AFTER_LADDER: i64 = SWEEP + 3;
const LAST_SWEEP: i64 = SWEEP + 4;
/// The step of the users who are left to an admin.
pub const STALLED: i64 = LAST_SWEEP + 1;

/// What checks remember of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Looks {
    /// How many hints there have been.
    pub hint_seq: i64,
    /// What the last hint of this attempt said that was more than `submitted`.
    pub hint: Option<Status>,
    /// Whether the unconfirmed `verified` was applied to a user in review, with no other news above `submitted` since.
    pub after_review: bool,
    /// The last ticket given to a check.
    pub pull_ticket: i64,
    /// No check with this ticket or an earlier one may be applied any more.
    pub applied_ticket: i64,
    /// How far along: rungs of the ladder climbed since the last hint, then steps of the sweep.
    pub step: i64,
    /// The last verdict that the provider gave of this attempt.
    pub verdict: Option<Status>,
    /// Whether webhooks and the provider's answer disagree, so that an admin must see why.
    pub conflict: bool,
}

/// Why a check is due; each lane has a share of the partner's checks that no other takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The user reads `verified` and no check has confirmed it yet.
    Unconfirmed,
    /// A webhook changed what is known, or an admin or a caller asked.
    News,
    /// The user is undecided and its latest link is younger than an hour.
    Young,
    /// A webhook changed nothing. It may still be a genuine recurrence, but a flood of these must not hold up any other check.
    Repeat,
    /// The time of the next regular check has come.
    Sweep,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Lane; 5] = [
        Lane::Unconfirmed,
        Lane::News,
        Lane::Young,
        Lane::Repeat,
        Lane::Sweep,
    ];

    /// The word used in the database and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Lane::Unconfirmed => "unconfirmed",
            Lane::News => "news",
            Lane::Young => "young",
            Lane::Repeat => "repeat",
            Lane::Sweep => "sweep",
        }
    }

    /// The lane of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.as_str() == word)
    }

    /// The longest pause that a check in this lane may have, jitter included. A check that is due later was scheduled by a
    /// clock that has been set back since, and is due now.
    pub const fn longest_pause(self) -> Duration {
        match self {
            Lane::Unconfirmed => minutes(40),
            Lane::News | Lane::Young | Lane::Repeat => minutes(7 * 60),
            Lane::Sweep => Duration::from_secs(8 * 24 * 3600),
        }
    }
}

/// What a check takes with it, so that its answer can be put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Its place among the checks of this user.
    pub number: i64,
    /// The hints that had come before it.
    pub seen: i64,
    /// The last ticket applied before it.
    pub applied: i64,
}

/// What a usable answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The verdict; `None` while there is none.
    pub verdict: Option<Status>,
    /// Which attempt it is about.
    pub whose: Whose,
}

impl Answer {
    /// The provider has no verification of the user.
    pub const NONE: Answer = Answer {
        verdict: None,
        whose: Whose::EarlierAttempt,
    };

    /// The verdict of this attempt.
    fn verdict_of_this_attempt(self) -> Option<Status> {
        self.verdict
            .filter(|_| matches!(self.whose, Whose::ThisAttempt))
    }
}

/// How long ago things were.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// From the last hint to the beginning of the check; without any hint, endless.
    pub since_hint: Duration,
    /// From the moment the unconfirmed verdict was applied to the beginning of the check; without one, zero.
    pub since_applied: Duration,
    /// How long the provider has had no verdict of a verified user.
    pub no_verdict: Duration,
    /// How long ago the user last changed or was heard of.
    pub quiet: Duration,
    /// How long ago the attempt was decided.
    pub decided: Duration,
    /// How long ago the user was registered or got its latest link.
    pub linked: Duration,
}

impl Looks {
    /// Of a user who has just been registered.
    pub const fn new() -> Looks {
        Looks {
            hint_seq: 0,
            hint: None,
            after_review: false,
            pull_ticket: 0,
            applied_ticket: 0,
            step: SWEEP,
            verdict: None,
            conflict: false,
        }
    }

    /// When the next attempt opens: checks in flight are about the one before and must not be applied.
    pub const fn next_attempt(self) -> Looks {
        Looks {
            hint_seq: self.hint_seq,
            pull_ticket: self.pull_ticket,
            applied_ticket: self.pull_ticket,
            ..Looks::new()
        }
    }

    /// When an admin has set the status: checks in flight know nothing of it.
    pub const fn overruled(self) -> Looks {
        Looks {
            applied_ticket: self.pull_ticket,
            after_review: false,
            conflict: false,
            ..self
        }
    }

    /// When a KYC event came, whatever its outcome; `target` is what it says, if we know.
    pub fn hinted(self, target: Option<Status>, before: State, after: State) -> Looks {
        let more = target.filter(|target| target.rank() > Status::Submitted.rank());
        let after_review = if before.status != after.status {
            after.is_believed() && before.status == Status::InReview
        } else {
            self.after_review && !is_bad(more)
        };
        Looks {
            hint_seq: self.hint_seq + 1,
            hint: more.or(self.hint),
            after_review,
            step: 0,
            ..self
        }
    }

    /// When the last hint lies ahead of the clock, which was set back since: it counts as one that came just now.
    pub const fn hinted_again(self) -> Looks {
        Looks { step: 0, ..self }
    }

    /// Before the provider is asked.
    pub const fn begun(self) -> (Looks, Ticket) {
        let number = self.pull_ticket + 1;
        let ticket = Ticket {
            number,
            seen: self.hint_seq,
            applied: self.applied_ticket,
        };
        let begun = Looks {
            pull_ticket: number,
            ..self
        };
        (begun, ticket)
    }

    /// How long the next check can wait from now on.
    pub fn pause(self, state: State, ages: Ages) -> Duration {
        let pause = self.regular_pause(state, ages);
        if state.is_believed() && ages.since_applied < LATE {
            return pause.min(LATE.saturating_sub(ages.since_applied));
        }
        pause
    }

    fn regular_pause(self, state: State, ages: Ages) -> Duration {
        if let Some(rung) = self.rung() {
            return LADDER[rung].saturating_sub(ages.since_hint);
        }
        let place = usize::try_from(self.step - SWEEP).unwrap_or(0);
        let undecided = UNDECIDED.get(place).copied().unwrap_or(WEEK);
        match state.status {
            _ if state.held.is_some() || state.is_doubted() => undecided,
            Status::Verified => DAY,
            Status::Rejected if ages.decided < STALLED_AFTER => DAY,
            Status::Rejected => WEEK,
            Status::Pending | Status::Submitted | Status::InReview => undecided,
        }
    }

    /// The lane of the next check, where no hint has chosen one.
    pub fn lane(self, state: State, ages: Ages) -> Lane {
        if state.is_believed() {
            Lane::Unconfirmed
        } else if !state.status.is_final() && ages.linked < YOUNG {
            Lane::Young
        } else {
            Lane::Sweep
        }
    }

    /// When the user is registered or gets a link: the sweep begins anew, unless a ladder is being climbed.
    pub fn watched(self) -> Looks {
        let step = self.step.min(SWEEP);
        Looks { step, ..self }
    }

    /// Whether the ladder is behind, so that checks come by the sweep's pauses.
    pub const fn is_sweep(self) -> bool {
        self.step >= SWEEP
    }

    /// The rung of the ladder that comes next, if the ladder has not come to its end.
    fn rung(self) -> Option<usize> {
        usize::try_from(self.step)
            .ok()
            .filter(|rung| *rung < LADDER.len())
    }

    fn climbed(self, state: State, ages: Ages) -> i64 {
        if self.step < SWEEP {
            let passed = LADDER.iter().filter(|rung| **rung <= ages.since_hint);
            let passed = i64::try_from(passed.count()).unwrap_or(SWEEP);
            let climbed = self.step.max(passed);
            return if climbed < SWEEP {
                climbed
            } else {
                AFTER_LADDER
            };
        }
        if !state.status.is_final() && ages.quiet >= STALLED_AFTER {
            STALLED
        } else {
            (self.step + 1).min(LAST_SWEEP)
        }
    }
}

impl Default for Looks {
    fn default() -> Looks {
        Looks::new()
    }
}

/// Whether news is bad for a verified user.
const fn is_bad(news: Option<Status>) -> bool {
    matches!(news, Some(Status::InReview | Status::Rejected))
}

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The user now.
    pub state: State,
    /// What checks remember now.
    pub looks: Looks,
    /// Whether the answer agrees with the status as it is now.
    pub agreed: bool,
    /// Whether another check was settled since this one began: then another one has to follow after 30 s.
    pub overlapped: bool,
}

/// Puts an answer in its place; `None` if a later check was settled before it.
pub fn settle(
    state: State,
    looks: Looks,
    ticket: Ticket,
    answer: Answer,
    ages: Ages,
) -> Option<Settled> {
    if ticket.number <= looks.applied_ticket {
        return None;
    }
    let fresh = looks.hint_seq == ticket.seen;
    let mut after = Looks {
        applied_ticket: ticket.number,
        ..looks
    };
    if fresh {
        after.step = looks.climbed(state, ages);
    }
    let moment = Moment {
        fresh,
        late: fresh && ages.since_hint >= LATE,
        ladder_ends: looks.step < SWEEP && after.step >= SWEEP,
        late_after_verdict: ages.since_applied >= LATE,
        long_without_verdict: ages.no_verdict >= NO_VERDICT_FOR,
    };
    let (state, agreed) = match answer.verdict_of_this_attempt() {
        Some(verdict) if state.overridden => overridden(state, &mut after, verdict),
        Some(verdict) => explicit(state, &mut after, verdict, moment),
        None => undecided(state, &mut after, answer.whose, moment),
    };
    if state.unconfirmed.is_none() {
        after.after_review = false;
    }
    if state.status.is_final() && after.step == STALLED {
        after.step = LAST_SWEEP;
    }
    Some(Settled {
        state,
        looks: after,
        agreed,
        overlapped: ticket.applied != looks.applied_ticket,
    })
}

#[derive(Clone, Copy)]
struct Moment {
    /// No hint came while the answer was on its way.
    fresh: bool,
    /// And the check began long enough after the last one.
    late: bool,
    ladder_ends: bool,
    /// The check began long enough after the unconfirmed verdict was applied, whatever hints came since.
    late_after_verdict: bool,
    long_without_verdict: bool,
}

/// The provider's verdict is the status, but where older data may have answered: `verified` against bad news, and a review that
/// is older than the verdict.
fn explicit(state: State, after: &mut Looks, verdict: Status, moment: Moment) -> (State, bool) {
    after.verdict = Some(verdict);
    if moment.ladder_ends {
        after.conflict = after.hint.is_some_and(|hint| hint != verdict);
    } else if after.hint.is_none_or(|hint| hint == verdict) {
        after.conflict = false;
    }
    let state = State {
        heard: state.heard || verdict.is_final(),
        ..state
    };
    // Held news may be older than the last hint: then agreeing with the held news alone is agreeing with old news.
    let contradicted = is_bad(state.held) || is_bad(after.hint);
    let counts = match verdict {
        Status::Verified => moment.fresh && (moment.late || !contradicted),
        Status::InReview => moment.late || moment.late_after_verdict || !after.after_review,
        _ => true,
    };
    if !counts {
        return (state, false);
    }
    let stays = |held: &Status| *held != verdict && *held != Status::Submitted && !moment.late;
    let moved = State {
        status: verdict,
        held: state.held.filter(stays),
        unconfirmed: None,
        ..state
    };
    (moved, true)
}

/// No check moves what an admin has set. A disagreement is flagged, and of a verified user a new verdict is held too.
fn overridden(state: State, after: &mut Looks, verdict: Status) -> (State, bool) {
    let news = after.verdict != Some(verdict);
    let agreed = verdict == state.status;
    after.verdict = Some(verdict);
    after.conflict = !agreed;
    let held = if !agreed && news && state.status == Status::Verified {
        Some(verdict)
    } else {
        state.held
    };
    let state = State {
        held,
        heard: state.heard || verdict.is_final(),
        ..state
    };
    (state, agreed)
}

/// No verdict changes no confirmed verdict; but a `verified` that nothing confirms does not stand.
fn undecided(state: State, after: &mut Looks, whose: Whose, moment: Moment) -> (State, bool) {
    let agreed = matches!(state.status, Status::Pending | Status::Submitted);
    if state.overridden {
        return (state, agreed);
    }
    let denied = state.status == Status::Rejected || state.held.is_some_and(Status::is_final);
    let said_to_the_end = moment.ladder_ends && after.hint.is_some_and(Status::is_final);
    if said_to_the_end || (moment.late && (denied || whose == Whose::Unclear)) {
        after.conflict = true;
    }
    if whose == Whose::ThisAttempt
        && state.status == Status::Pending
        && state.held == Some(Status::Submitted)
    {
        let submitted = State {
            status: Status::Submitted,
            held: None,
            ..state
        };
        return (submitted, true);
    }
    let moved = match (state.status, state.unconfirmed) {
        (Status::Verified, Some(_)) if moment.late_after_verdict => State {
            unconfirmed: Some(Unconfirmed::Denied),
            ..state
        },
        (Status::Verified, None) if state.held.is_none() && moment.long_without_verdict => {
            after.conflict = true;
            State {
                held: Some(Status::InReview),
                ..state
            }
        }
        _ => state,
    };
    (moved, agreed && whose != Whose::Unclear)
}

#[cfg(test)]
mod tests;
