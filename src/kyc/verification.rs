//! The rule: how a signed event, a link request or an admin moves a user. [`super::looks`] has what the provider's answer does.
//!
//! The provider's webhooks carry no id, no time and no order, and a retry is byte for byte the event it repeats
//! (`docs/kyc-events`). So an event moves the user forward, and what would reverse a verdict is *held* for a check. A
//! verdict counts at once only where it is the first one ever heard of the user, in attempt 1. Until a check agrees with it,
//! it is *unconfirmed*. Every function here is total and knows neither clock nor database.

use std::time::Duration;

use serde::Deserialize;

use super::status::Status;

/// The setting `confirm`: when a signed verdict counts before the provider has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrustPolicy {
    /// The provider is never asked: what would be held is dropped as out of date.
    Never,
    /// A signed webhook decides, unless it reverses a verdict or may be an old one come back.
    OnConflict,
    /// A signed `VERIFIED_USER` never decides by itself.
    BeforeFinal,
}

impl TrustPolicy {
    /// The word used in the configuration and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            TrustPolicy::Never => "never",
            TrustPolicy::OnConflict => "on_conflict",
            TrustPolicy::BeforeFinal => "before_final",
        }
    }

    /// The policy of that word, if there is one.
    pub fn from_word(word: &str) -> Option<TrustPolicy> {
        [
            TrustPolicy::Never,
            TrustPolicy::OnConflict,
            TrustPolicy::BeforeFinal,
        ]
        .into_iter()
        .find(|policy| policy.as_str() == word)
    }

    /// Whether the provider is checked at all.
    pub fn checks(self) -> bool {
        self != TrustPolicy::Never
    }
}

/// How far one partner's webhooks are trusted: its `confirm` and the bounds on what stands unconfirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The partner's `confirm`, or the one of `[webhooks]`.
    pub policy: TrustPolicy,
    /// A `verified` that is unconfirmed for this long reads `in_review`.
    pub unconfirmed_for: Duration,
    /// How many users may read `verified` unconfirmed at once.
    pub unconfirmed_at_most: u32,
}

/// What is known against a verdict that a webhook set and no check of this attempt has confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unconfirmed {
    /// Nothing: readers see the verdict.
    Believed,
    /// `unconfirmed_for` has passed: a `verified` reads `in_review`.
    TimedOut,
    /// A check that began 30 s or more after the verdict found none: a `verified` reads `in_review`, and the user may have a
    /// link of the current attempt.
    Denied,
}

impl Unconfirmed {
    /// Every value.
    pub const ALL: [Unconfirmed; 3] = [
        Unconfirmed::Believed,
        Unconfirmed::TimedOut,
        Unconfirmed::Denied,
    ];

    /// The word used in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unconfirmed::Believed => "believed",
            Unconfirmed::TimedOut => "timed_out",
            Unconfirmed::Denied => "denied",
        }
    }

    /// The value of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Unconfirmed> {
        Unconfirmed::ALL
            .into_iter()
            .find(|unconfirmed| unconfirmed.as_str() == word)
    }
}

/// What the rule knows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Number of the current attempt, from 1.
    pub attempt: i64,
    /// The stored status. [`State::shown`] has what readers see.
    pub status: Status,
    /// What an event says that waits for a check.
    pub held: Option<Status>,
    /// Whether an admin has set the status of this attempt: then only an admin moves it.
    pub overridden: bool,
    /// Whether a verdict about the user was ever delivered, also before its registration, or read by a check.
    pub heard: bool,
    /// What is known against the verdict; `None` while there is none, and once it is confirmed.
    pub unconfirmed: Option<Unconfirmed>,
}

impl State {
    /// A user who is registered without a verdict; `heard` says whether one was delivered before.
    pub const fn registered(heard: bool) -> State {
        State {
            attempt: 1,
            status: Status::Pending,
            held: None,
            overridden: false,
            heard,
            unconfirmed: None,
        }
    }

    /// The user at the beginning of the next attempt. What was heard stays heard.
    pub const fn next_attempt(self) -> State {
        State {
            attempt: self.attempt + 1,
            ..State::registered(self.heard)
        }
    }

    /// The status readers are told: one who reads nothing else never sees `verified` under doubt.
    pub const fn shown(self) -> Status {
        if self.needs_confirmation() {
            Status::InReview
        } else {
            self.status
        }
    }

    /// Whether a `verified` is in doubt: bad news is held, or nothing confirmed it in time. Any other held news shows to admins
    /// alone, so that a replayed event changes no answer.
    pub const fn needs_confirmation(self) -> bool {
        matches!(self.status, Status::Verified) && (self.held.is_some() || self.is_doubted())
    }

    /// Whether the verdict was not confirmed in time.
    pub const fn is_doubted(self) -> bool {
        matches!(
            self.unconfirmed,
            Some(Unconfirmed::TimedOut | Unconfirmed::Denied)
        )
    }

    /// Whether readers see a verdict that is confirmed.
    pub const fn is_final(self) -> bool {
        self.shown().is_final() && self.unconfirmed.is_none()
    }

    /// Whether the user reads `verified` and no check has confirmed it. The cap counts these users.
    pub const fn is_believed(self) -> bool {
        matches!(self.status, Status::Verified)
            && matches!(self.unconfirmed, Some(Unconfirmed::Believed))
    }

    /// Whether the current attempt may have a link: it is undecided, or the provider denies the verdict.
    pub const fn may_have_link(self) -> bool {
        !self.status.is_final() || matches!(self.unconfirmed, Some(Unconfirmed::Denied))
    }

    /// The state once `unconfirmed_for` has passed.
    pub fn timed_out(self) -> State {
        let unconfirmed = if self.is_believed() {
            Some(Unconfirmed::TimedOut)
        } else {
            self.unconfirmed
        };
        State {
            unconfirmed,
            ..self
        }
    }

    /// The state once the verdict counts as confirmed, by a check or because the partner's policy became `never`.
    pub const fn confirmed(self) -> State {
        State {
            unconfirmed: None,
            ..self
        }
    }
}

/// A signed event whose meaning is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The status it says the user has.
    pub target: Status,
    /// Whether it may be old: this exact signature came before the override, or else in an earlier attempt.
    pub seen_before: bool,
    /// Whether a check can tell an old event from a new one, because the last session of the attempt before is noted.
    pub session_noted: bool,
    /// Whether it was delivered before the user was registered.
    pub unmatched: bool,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It moved the user.
    Applied,
    /// It says what is known already.
    Repeated,
    /// It is older than what is known.
    Stale,
    /// It waits for confirmation.
    Held,
    /// No user has its `externalUserId` yet.
    Unmatched,
    /// It is of another type than KYC, or its event is unknown.
    Ignored,
    /// Its signature was right and its body no JSON object with string `type` and `event`.
    Unreadable,
}

impl Outcome {
    /// Every outcome, in the order of the public interface.
    pub const ALL: [Outcome; 7] = [
        Outcome::Applied,
        Outcome::Repeated,
        Outcome::Stale,
        Outcome::Unmatched,
        Outcome::Held,
        Outcome::Ignored,
        Outcome::Unreadable,
    ];

    /// The word used in answers, logs and the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Applied => "applied",
            Outcome::Repeated => "repeated",
            Outcome::Stale => "stale",
            Outcome::Held => "held",
            Outcome::Unmatched => "unmatched",
            Outcome::Ignored => "ignored",
            Outcome::Unreadable => "unreadable",
        }
    }

    /// The outcome of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Outcome> {
        Outcome::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
    }
}

/// Applies a signed event; the outcome is one of applied, repeated, stale and held. `room` says whether one more user may read
/// `verified` unconfirmed.
pub fn apply(state: State, event: Event, policy: TrustPolicy, room: bool) -> (State, Outcome) {
    let target = event.target;
    let heard = State {
        heard: state.heard || target.is_final(),
        ..state
    };
    if target == state.status {
        return (heard, Outcome::Repeated);
    }
    let decided = state.status.is_final() || state.overridden;
    let oldest_news = if decided {
        Status::InReview.rank()
    } else {
        state.status.rank()
    };
    if target.rank() < oldest_news {
        return (heard, Outcome::Stale);
    }
    let first = state.attempt == 1 && !state.heard && !event.unmatched;
    match policy {
        TrustPolicy::Never if decided || event.seen_before => (heard, Outcome::Stale),
        TrustPolicy::Never => (advance(heard, target, None), Outcome::Applied),
        _ if state.overridden && event.seen_before => (heard, Outcome::Stale),
        _ if decided => hold(heard, target),
        _ if !target.is_final() && event.seen_before && event.session_noted => hold(heard, target),
        _ if !target.is_final() => (advance(heard, target, None), Outcome::Applied),
        _ if !first => hold(heard, target),
        _ if target == Status::Verified && (policy == TrustPolicy::BeforeFinal || !room) => {
            hold(heard, target)
        }
        _ => (
            advance(heard, target, Some(Unconfirmed::Believed)),
            Outcome::Applied,
        ),
    }
}

/// Of an undecided user the news of higher or equal rank stays held, else the later one.
fn hold(state: State, target: Status) -> (State, Outcome) {
    let further = |held: &Status| !state.status.is_final() && held.rank() > target.rank();
    let held = State {
        held: state.held.filter(further).or(Some(target)),
        ..state
    };
    (held, Outcome::Held)
}

/// Held news that says the same or goes less far is dropped; any other stays.
fn advance(state: State, target: Status, unconfirmed: Option<Unconfirmed>) -> State {
    let stays = |held: &Status| *held != target && held.rank() >= target.rank();
    State {
        status: target,
        held: state.held.filter(stays),
        unconfirmed,
        ..state
    }
}

/// Which attempt a link request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The current one.
    Current,
    /// The next one, which begins in this state.
    Next(State),
    /// None: the user is verified and the request does not insist on a new link.
    AlreadyVerified,
}

/// Decides what a link request does to a user; `force_new` insists on a new link, whatever the status.
pub fn link(state: State, force_new: bool) -> Link {
    match state.status {
        Status::Verified if force_new => Link::Next(state.next_attempt()),
        Status::Rejected => Link::Next(state.next_attempt()),
        _ if state.may_have_link() => Link::Current,
        _ => Link::AlreadyVerified,
    }
}

/// The state after an admin has set the status. That ends every doubt, and holds until the next attempt.
pub fn overrule(state: State, status: Status) -> State {
    State {
        status,
        held: None,
        overridden: true,
        unconfirmed: None,
        ..state
    }
}

#[cfg(test)]
mod tests;
