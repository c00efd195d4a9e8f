//! The rule: how a signed event, a request for a link or an admin moves a user. What the provider's own answer does is in
//! [`super::looks`].
//!
//! The provider's webhooks carry no id, no time and no order, and a repeat is byte for byte the event it repeats
//! (`docs/kyc-events`). So an event moves the user forward at once, and whatever would reverse a verdict, or might be
//! an old event come back, is *held* until it is confirmed. Bad news about a verified user counts while it is held;
//! good news about a rejected one does not. Every function here is total and knows neither clock nor database.

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

/// What the rule knows of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// Number of the current attempt, from 1.
    pub attempt: i64,
    /// What is believed, the doubt aside.
    pub status: Status,
    /// The doubt: what an unconfirmed event says the status is.
    pub held: Option<Status>,
    /// Whether an admin has set the status of this attempt: then nothing but an admin moves it.
    pub overridden: bool,
}

impl State {
    /// A user at the beginning of the attempt of that number.
    pub const fn opened(attempt: i64) -> State {
        State {
            attempt,
            status: Status::Pending,
            held: None,
            overridden: false,
        }
    }

    /// The status a reader is told: who reads nothing else never sees `verified` under doubt.
    pub const fn shown(self) -> Status {
        match (self.status, self.held) {
            (Status::Verified, Some(_)) => Status::InReview,
            (status, _) => status,
        }
    }

    /// Whether readers are told of a doubt: bad news about a verified user waits for confirmation. Any other doubt shows
    /// to nobody but admins, so that who replays an old event changes no answer.
    pub const fn needs_confirmation(self) -> bool {
        matches!((self.status, self.held), (Status::Verified, Some(_)))
    }
}

/// A signed event whose meaning is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The status it says the user has.
    pub target: Status,
    /// Whether this exact signature was received in an earlier attempt of the user, or in this one before the provider
    /// took that verdict back: then it may be a late repeat, a replay, or the same thing truly happening again.
    pub seen_before: bool,
    /// Whether a look can tell these apart, because the provider's session of an earlier attempt is known.
    pub distinguishable: bool,
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

/// Folds a signed event into the state; the outcome is one of applied, repeated, stale and held.
pub fn fold(state: State, event: Event, confirm: TrustPolicy) -> (State, Outcome) {
    let target = event.target;
    if target == state.status {
        return (state, Outcome::Repeated);
    }
    let settled = state.status.is_final() || state.overridden;
    let oldest_news = if settled {
        Status::InReview.rank()
    } else {
        state.status.rank()
    };
    if target.rank() < oldest_news {
        return (state, Outcome::Stale);
    }
    let may_be_old = event.seen_before && (target.is_final() || event.distinguishable);
    let doubtful = settled || may_be_old;
    match confirm {
        TrustPolicy::Never if doubtful => (state, Outcome::Stale),
        TrustPolicy::BeforeFinal if target == Status::Verified => hold(state, target),
        _ if doubtful => hold(state, target),
        _ => apply(state, target),
    }
}

/// While nothing is decided, what goes less far than the doubt there is adds nothing to it.
fn hold(state: State, target: Status) -> (State, Outcome) {
    let further = |held: &Status| !state.status.is_final() && held.rank() > target.rank();
    let held = State {
        held: state.held.filter(further).or(Some(target)),
        ..state
    };
    (held, Outcome::Held)
}

/// A doubt that says the same is settled by this, and one that goes less far is passed by; any other goes on.
fn apply(state: State, target: Status) -> (State, Outcome) {
    let goes_on = |held: &Status| *held != target && held.rank() >= target.rank();
    let moved = State {
        status: target,
        held: state.held.filter(goes_on),
        ..state
    };
    (moved, Outcome::Applied)
}

/// Which attempt a request for a link belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The current attempt goes on.
    Current,
    /// The next attempt opens, in this state.
    Next(State),
    /// The user is verified and no new link was insisted on.
    AlreadyVerified,
}

/// Decides what a request for a link does to a user; `force_new` insists on a new link, whatever the status.
pub fn link(state: State, force_new: bool) -> Link {
    match state.status {
        Status::Pending | Status::Submitted | Status::InReview => Link::Current,
        Status::Verified if !force_new => Link::AlreadyVerified,
        Status::Verified | Status::Rejected => Link::Next(State::opened(state.attempt + 1)),
    }
}

/// The state after an admin has set the status. It settles every doubt, and holds until the next attempt.
pub fn overrule(state: State, status: Status) -> State {
    State {
        status,
        held: None,
        overridden: true,
        ..state
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use Outcome::*;
    use Status::*;

    fn state(status: Status, held: Option<Status>) -> State {
        State {
            attempt: 2,
            status,
            held,
            overridden: false,
        }
    }

    fn fresh(target: Status) -> Event {
        Event {
            target,
            seen_before: false,
            distinguishable: false,
        }
    }

    fn seen(target: Status) -> Event {
        Event {
            target,
            seen_before: true,
            distinguishable: false,
        }
    }

    /// The specification as a table: now, target, then the outcome for a new signature and for one seen in an earlier
    /// attempt, and the status after either.
    const TABLE: [(Status, Status, Outcome, Outcome); 20] = [
        (Pending, Submitted, Applied, Applied),
        (Pending, InReview, Applied, Applied),
        (Pending, Verified, Applied, Held),
        (Pending, Rejected, Applied, Held),
        (Submitted, Submitted, Repeated, Repeated),
        (Submitted, InReview, Applied, Applied),
        (Submitted, Verified, Applied, Held),
        (Submitted, Rejected, Applied, Held),
        (InReview, Submitted, Stale, Stale),
        (InReview, InReview, Repeated, Repeated),
        (InReview, Verified, Applied, Held),
        (InReview, Rejected, Applied, Held),
        (Verified, Submitted, Stale, Stale),
        (Verified, InReview, Held, Held),
        (Verified, Verified, Repeated, Repeated),
        (Verified, Rejected, Held, Held),
        (Rejected, Submitted, Stale, Stale),
        (Rejected, InReview, Held, Held),
        (Rejected, Verified, Held, Held),
        (Rejected, Rejected, Repeated, Repeated),
    ];

    #[test]
    fn on_conflict_follows_the_table() {
        for (now, target, new, again) in TABLE {
            for (event, expected) in [(fresh(target), new), (seen(target), again)] {
                let before = state(now, None);
                let (after, outcome) = fold(before, event, TrustPolicy::OnConflict);
                assert_eq!(outcome, expected, "{now} hears {target}");
                let wanted = match expected {
                    Applied => state(target, None),
                    Held => state(now, Some(target)),
                    _ => before,
                };
                assert_eq!(after, wanted, "{now} hears {target}");
            }
        }
    }

    #[test]
    fn never_drops_what_would_be_held() {
        for (now, target, new, again) in TABLE {
            for (event, expected) in [(fresh(target), new), (seen(target), again)] {
                let (after, outcome) = fold(state(now, None), event, TrustPolicy::Never);
                let expected = if expected == Held { Stale } else { expected };
                assert_eq!(outcome, expected, "{now} hears {target}");
                assert_eq!(after.held, None);
            }
        }
    }

    #[test]
    fn before_final_holds_every_verified_and_is_otherwise_on_conflict() {
        for (now, target, new, again) in TABLE {
            for (event, expected) in [(fresh(target), new), (seen(target), again)] {
                let (_, outcome) = fold(state(now, None), event, TrustPolicy::BeforeFinal);
                let expected = if target == Verified && expected == Applied {
                    Held
                } else {
                    expected
                };
                assert_eq!(outcome, expected, "{now} hears {target}");
            }
        }
    }

    #[test]
    fn bad_news_about_a_verified_user_shows_at_once_and_good_news_about_a_rejected_one_does_not() {
        let (doubted, _) = fold(
            state(Verified, None),
            fresh(Rejected),
            TrustPolicy::OnConflict,
        );
        assert_eq!(
            (doubted.shown(), doubted.needs_confirmation()),
            (InReview, true)
        );
        let (hoped, _) = fold(
            state(Rejected, None),
            fresh(Verified),
            TrustPolicy::OnConflict,
        );
        assert_eq!(
            (hoped.shown(), hoped.needs_confirmation(), hoped.held),
            (Rejected, false, Some(Verified))
        );
    }

    #[test]
    fn a_verdict_that_agrees_with_the_doubt_settles_it_and_another_does_not() {
        let (agreed, _) = fold(
            state(Pending, Some(Verified)),
            fresh(Verified),
            TrustPolicy::OnConflict,
        );
        assert_eq!(agreed, state(Verified, None));
        let (doubted, _) = fold(
            state(Pending, Some(Rejected)),
            fresh(Verified),
            TrustPolicy::OnConflict,
        );
        assert_eq!(doubted, state(Verified, Some(Rejected)));
        assert_eq!(doubted.shown(), InReview);
    }

    #[test]
    fn a_doubt_that_goes_less_far_is_passed_by() {
        for (held, target, left) in [
            (Submitted, InReview, None),
            (Submitted, Verified, None),
            (InReview, Verified, None),
            (InReview, Rejected, None),
            (InReview, Submitted, Some(InReview)),
            (Verified, InReview, Some(Verified)),
            (Rejected, Submitted, Some(Rejected)),
        ] {
            let (after, outcome) = fold(
                state(Pending, Some(held)),
                fresh(target),
                TrustPolicy::OnConflict,
            );
            assert_eq!((after, outcome), (state(target, left), Applied));
        }
    }

    #[test]
    fn a_link_opens_the_next_attempt_only_after_a_verdict() {
        for open in [Pending, Submitted, InReview] {
            for held in [None, Some(Verified)] {
                assert_eq!(link(state(open, held), false), Link::Current);
                assert_eq!(link(state(open, held), true), Link::Current);
            }
        }
        let next = Link::Next(State::opened(3));
        assert_eq!(link(state(Rejected, None), false), next);
        assert_eq!(link(state(Rejected, Some(Verified)), true), next);
        assert_eq!(link(state(Verified, None), false), Link::AlreadyVerified);
        assert_eq!(
            link(state(Verified, Some(Rejected)), false),
            Link::AlreadyVerified
        );
        assert_eq!(link(state(Verified, None), true), next);
    }

    #[test]
    fn every_outcome_reads_back_as_itself() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
        }
    }

    fn any_status() -> impl Strategy<Value = Status> {
        prop::sample::select(Status::ALL.to_vec())
    }

    fn any_state() -> impl Strategy<Value = State> {
        (1..5_i64, any_status(), prop::option::of(any_status())).prop_map(
            |(attempt, status, held)| State {
                attempt,
                status,
                held,
                overridden: false,
            },
        )
    }

    fn any_event() -> impl Strategy<Value = Event> {
        let target = prop::sample::select(vec![Submitted, InReview, Verified, Rejected]);
        (target, any::<bool>(), any::<bool>()).prop_map(|(target, seen_before, distinguishable)| {
            Event {
                target,
                seen_before,
                distinguishable,
            }
        })
    }

    fn any_confirm() -> impl Strategy<Value = TrustPolicy> {
        prop::sample::select(vec![
            TrustPolicy::Never,
            TrustPolicy::OnConflict,
            TrustPolicy::BeforeFinal,
        ])
    }

    proptest! {
        #[test]
        fn an_event_never_undoes_a_verdict_or_opens_an_attempt(
            before in any_state(), event in any_event(), confirm in any_confirm(),
        ) {
            let (after, outcome) = fold(before, event, confirm);
            prop_assert_eq!(after.attempt, before.attempt);
            if before.status.is_final() {
                prop_assert_eq!(after.status, before.status);
            }
            prop_assert_eq!(after.status != before.status, outcome == Applied);
            if outcome == Applied {
                prop_assert!(after.status.rank() > before.status.rank());
            }
            prop_assert!(matches!(outcome, Applied | Repeated | Stale | Held));
        }

        #[test]
        fn repeated_and_stale_change_nothing_at_all(
            before in any_state(), event in any_event(), confirm in any_confirm(),
        ) {
            let (after, outcome) = fold(before, event, confirm);
            if matches!(outcome, Repeated | Stale) {
                prop_assert_eq!(after, before);
            }
        }

        #[test]
        fn the_same_event_twice_is_the_same_as_once(
            before in any_state(), event in any_event(), confirm in any_confirm(),
        ) {
            let (once, _) = fold(before, event, confirm);
            let (twice, _) = fold(once, event, confirm);
            prop_assert_eq!(once, twice);
        }

        #[test]
        fn signatures_of_earlier_attempts_never_decide(
            before in any_state(), events in prop::collection::vec(any_event(), 0..12), confirm in any_confirm(),
        ) {
            let mut state = before;
            for event in events {
                (state, _) = fold(state, Event { seen_before: true, ..event }, confirm);
            }
            prop_assert!(state.status == before.status || !state.status.is_final());
        }

        #[test]
        fn before_final_never_verifies_by_events_alone(
            attempt in 1..5_i64, events in prop::collection::vec(any_event(), 0..12),
        ) {
            let mut state = State::opened(attempt);
            for event in events {
                (state, _) = fold(state, event, TrustPolicy::BeforeFinal);
                prop_assert_ne!(state.shown(), Verified);
            }
        }

        #[test]
        fn nobody_is_shown_verified_while_in_doubt(
            before in any_state(), event in any_event(), confirm in any_confirm(),
        ) {
            let (after, _) = fold(before, event, confirm);
            prop_assert!(!(after.shown() == Verified && after.needs_confirmation()));
        }
    }
}
