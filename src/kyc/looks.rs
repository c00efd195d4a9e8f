//! The rule of looks: when the provider is asked about a user, and what its answer does.
//!
//! Webhooks are lost, late, doubled and replayed, so each one is only a *hint* to look at the provider, now and again while
//! its other machines may still lag behind; and a *sweep* looks at everybody from time to time, whatever was heard.
//! An answer counts only if no later look has been answered before it (the *fence*: tickets), it never says `verified`
//! over a hint that came while it was on its way (*freshness*: the hint sequence), and it lifts a doubt early only by
//! agreeing with it (*late lifting*). Every function is total; spans of time come in and go out as values.

use std::time::Duration;

use super::status::Status;
use super::verification::State;

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

const DAY: Duration = minutes(24 * 60);

/// When a look follows a hint, counted from the hint.
pub const LADDER: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(30),
    minutes(5),
    minutes(35),
];

/// What was read this long after the last hint is taken to be newer than it: by then the provider's machines agree.
pub const LATE: Duration = LADDER[1];

/// A hint that changed nothing causes no look sooner than this after the one before.
pub const REPEAT_SPACING: Duration = Duration::from_secs(10);

/// The pauses between looks at a user of whom nothing is decided and nothing is heard; the last one goes on.
const UNDECIDED: [Duration; 5] = [
    minutes(1),
    minutes(5),
    minutes(15),
    minutes(60),
    minutes(6 * 60),
];

/// Undecided for this long without any news, a user is left to a person and looked at weekly.
pub const STALLED_AFTER: Duration = Duration::from_secs(30 * 24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// A verified user of whom the provider has no verdict for this long is in doubt.
const UNCONFIRMED_AFTER: Duration = DAY;

/// Steps below this are rungs of the ladder; from here on they are steps of the sweep.
const SWEEP: i64 = 4;
/// Where the sweep begins after a ladder, whose last rung was half an hour away.
const AFTER_LADDER: i64 = SWEEP + 3;
const LAST_SWEEP: i64 = SWEEP + 4;
/// The step of the users who are left to a person.
pub const STALLED: i64 = LAST_SWEEP + 1;

/// What looks remember of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Looks {
    /// How many hints there have been.
    pub hint_seq: i64,
    /// What the last hint of this attempt said that was more than `submitted`.
    pub hint: Option<Status>,
    /// The last ticket given to a look.
    pub pull_ticket: i64,
    /// No look with this ticket or an earlier one may be applied any more.
    pub applied_ticket: i64,
    /// How far along: rungs of the ladder climbed since the last hint, then steps of the sweep.
    pub step: i64,
    /// The last verdict that the provider gave of this attempt.
    pub verdict: Option<Status>,
    /// Whether the provider has agreed with the status since it was last moved.
    pub confirmed: bool,
    /// Whether hint and provider still disagreed at the ladder's end; a person must see why.
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
}

/// What a look takes with it, so that its answer can be put in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// Its place among the looks at this user.
    pub number: i64,
    /// The hints that had come before it.
    pub seen: i64,
}

/// What the provider answered, as far as it is usable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Answer {
    /// The verdict; `None` while there is none.
    pub verdict: Option<Status>,
    /// Whether it speaks of a session of the current attempt.
    pub of_this_attempt: bool,
}

/// How long ago things were.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// From the last hint to the beginning of the look; without any hint, endless.
    pub since_hint: Duration,
    /// How long the provider has had no verdict of a verified user.
    pub unconfirmed: Duration,
    /// How long ago the user last changed or was heard of.
    pub quiet: Duration,
    /// How long ago the attempt was decided.
    pub decided: Duration,
}

impl Looks {
    /// Of a user who has just been registered.
    pub const fn new() -> Looks {
        Looks {
            hint_seq: 0,
            hint: None,
            pull_ticket: 0,
            applied_ticket: 0,
            step: SWEEP,
            verdict: None,
            confirmed: false,
            conflict: false,
        }
    }

    /// When the next attempt opens: looks on their way speak of the one before and must not be applied.
    pub const fn next_attempt(self) -> Looks {
        Looks {
            hint_seq: self.hint_seq,
            pull_ticket: self.pull_ticket,
            applied_ticket: self.pull_ticket,
            ..Looks::new()
        }
    }

    /// When an admin has set the status: looks on their way know nothing of it.
    pub const fn overruled(self) -> Looks {
        Looks {
            applied_ticket: self.pull_ticket,
            conflict: false,
            confirmed: false,
            ..self
        }
    }

    /// When a KYC event came, whatever became of it; `target` is what it says, if we know, and `moved` whether it moved the
    /// status.
    pub fn hinted(self, target: Option<Status>, moved: bool) -> Looks {
        let more = target.filter(|target| target.rank() > Status::Submitted.rank());
        Looks {
            hint_seq: self.hint_seq + 1,
            hint: more.or(self.hint),
            step: 0,
            confirmed: self.confirmed && !moved,
            ..self
        }
    }

    /// Before the provider is asked.
    pub const fn begun(self) -> (Looks, Ticket) {
        let number = self.pull_ticket + 1;
        let ticket = Ticket {
            number,
            seen: self.hint_seq,
        };
        let begun = Looks {
            pull_ticket: number,
            ..self
        };
        (begun, ticket)
    }

    /// How long the next look can wait from now on.
    pub fn pause(self, state: State, ages: Ages) -> Duration {
        if let Some(rung) = self.rung() {
            return LADDER[rung].saturating_sub(ages.since_hint);
        }
        let place = usize::try_from(self.step - SWEEP).unwrap_or(0);
        let undecided = UNDECIDED.get(place).copied().unwrap_or(WEEK);
        match state.status {
            _ if state.held.is_some() => undecided,
            Status::Verified => DAY,
            Status::Rejected if ages.decided < STALLED_AFTER => DAY,
            Status::Rejected => WEEK,
            Status::Pending | Status::Submitted | Status::InReview => undecided,
        }
    }

    /// When the user is registered or gets a link: the sweep begins anew, unless a ladder is being climbed.
    pub fn watched(self) -> Looks {
        let step = self.step.min(SWEEP);
        Looks { step, ..self }
    }

    /// Whether the ladder is behind, so that looks come by the sweep's pauses.
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

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The user now.
    pub state: State,
    /// What looks remember now.
    pub looks: Looks,
    /// Whether the answer agrees with the status as it is now.
    pub agreed: bool,
}

/// Puts an answer in its place; `None` if a later look was answered before it.
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
        long_unconfirmed: ages.unconfirmed >= UNCONFIRMED_AFTER,
    };
    let verdict = answer.verdict.filter(|_| answer.of_this_attempt);
    let (state, agreed) = match verdict {
        Some(verdict) if state.overridden => overridden(state, &mut after, verdict, moment),
        Some(verdict) => explicit(state, &mut after, verdict, moment),
        None => undecided(state, &mut after, answer.of_this_attempt, moment),
    };
    after.confirmed |= agreed;
    Some(Settled {
        state,
        looks: after,
        agreed,
    })
}

#[derive(Clone, Copy)]
struct Moment {
    /// No hint came while the answer was on its way.
    fresh: bool,
    /// And the last one is long enough ago.
    late: bool,
    ladder_ends: bool,
    long_unconfirmed: bool,
}

/// The provider's verdict is the status; but `verified` has to wait where bad news may be younger than the answer.
fn explicit(state: State, after: &mut Looks, verdict: Status, moment: Moment) -> (State, bool) {
    after.verdict = Some(verdict);
    if moment.ladder_ends {
        after.conflict = after.hint.is_some_and(|hint| hint != verdict);
    } else if after.hint.is_none_or(|hint| hint == verdict) {
        after.conflict = false;
    }
    // That everything was handed in contradicts no verdict.
    let otherwise = |said: Option<Status>| {
        said.is_some_and(|said| said != verdict && said != Status::Submitted)
    };
    // A doubt may be older than the last hint: then agreeing with the doubt alone is agreeing with old news.
    let contradicted = otherwise(state.held) || otherwise(after.hint);
    if verdict == Status::Verified && (!moment.fresh || (contradicted && !moment.late)) {
        return (state, false);
    }
    let held = state
        .held
        .filter(|held| otherwise(Some(*held)) && !moment.late);
    let moved = State {
        status: verdict,
        held,
        ..state
    };
    (moved, true)
}

/// An admin's word is never undone by itself. Bad news since then is held, and the disagreement is reported.
fn overridden(state: State, after: &mut Looks, verdict: Status, moment: Moment) -> (State, bool) {
    let news = after.verdict != Some(verdict);
    let agreed = verdict == state.status;
    after.verdict = Some(verdict);
    after.conflict = !agreed;
    let held = if agreed {
        state.held.filter(|_| !moment.late)
    } else if news && state.status == Status::Verified {
        Some(verdict)
    } else {
        state.held
    };
    (State { held, ..state }, agreed)
}

/// No verdict changes no verdict; but `verified` that nothing confirms does not stand for ever.
fn undecided(
    state: State,
    after: &mut Looks,
    of_this_attempt: bool,
    moment: Moment,
) -> (State, bool) {
    let agreed = !state.status.is_final();
    if moment.ladder_ends && after.hint.is_some_and(Status::is_final) {
        after.conflict = true;
    }
    if state.overridden {
        return (state, agreed);
    }
    if of_this_attempt && state.status == Status::Pending && state.held == Some(Status::Submitted) {
        let submitted = State {
            status: Status::Submitted,
            held: None,
            ..state
        };
        return (submitted, true);
    }
    let unfounded = (moment.ladder_ends && !after.confirmed) || moment.long_unconfirmed;
    if state.status == Status::Verified && state.held.is_none() && unfounded {
        after.conflict = true;
        let doubted = State {
            held: Some(Status::InReview),
            ..state
        };
        return (doubted, false);
    }
    (state, agreed)
}

/// A session of the provider: one run of verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session<'a> {
    /// The provider's id of it.
    pub id: &'a str,
    /// When it was created, in microseconds of the provider's clock; `None` where that could not be read.
    pub created_at: Option<i64>,
}

/// Which attempt an answer speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The current one.
    ThisAttempt,
    /// One before it: it says nothing about this one.
    EarlierAttempt,
    /// The current one, but a session older than one known already: an outdated copy.
    Outdated,
}

/// Tells which attempt the session of an answer belongs to. `earlier` is the latest known of all attempts before, and
/// `current` the latest known of this one.
pub fn whose(
    found: Option<Session<'_>>,
    earlier: Option<Session<'_>>,
    current: Option<Session<'_>>,
) -> Whose {
    let Some(found) = found else {
        return match earlier {
            Some(_) => Whose::EarlierAttempt,
            None => Whose::ThisAttempt,
        };
    };
    let same = |known: Option<Session<'_>>| known.is_some_and(|known| known.id == found.id);
    let not_after = |known: Option<Session<'_>>, equal: bool| {
        let times = known.and_then(|known| known.created_at.zip(found.created_at));
        times.is_some_and(|(known, found)| found < known || (equal && found == known))
    };
    if same(current) {
        Whose::ThisAttempt
    } else if same(earlier) || not_after(earlier, true) {
        Whose::EarlierAttempt
    } else if not_after(current, false) {
        Whose::Outdated
    } else {
        Whose::ThisAttempt
    }
}

#[cfg(test)]
mod tests;
