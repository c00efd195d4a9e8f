//! The rule of events, links and overrides as tables.

mod properties;

use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use super::*;
use Outcome::*;
use Status::*;
use TrustPolicy::{BeforeFinal, Never, OnConflict};
use Unconfirmed::*;

const POLICIES: [TrustPolicy; 3] = [Never, OnConflict, BeforeFinal];
const EVENTS: [Status; 4] = [Submitted, InReview, Verified, Rejected];

/// In attempt 1, with no verdict heard but the one that is there.
fn first_attempt(status: Status) -> State {
    State {
        status,
        heard: status.is_final(),
        ..State::registered(false)
    }
}

fn second_attempt(status: Status, held: Option<Status>) -> State {
    State {
        attempt: 2,
        status,
        held,
        ..State::registered(true)
    }
}

fn overridden(status: Status) -> State {
    overrule(first_attempt(Pending), status)
}

fn new(target: Status) -> Event {
    Event {
        target,
        seen_before: false,
        session_noted: true,
        unmatched: false,
    }
}

fn seen(target: Status) -> Event {
    Event {
        seen_before: true,
        ..new(target)
    }
}

/// The specification as a table: now, target, then the outcome in attempt 1 without a verdict
/// heard, in attempt 2, and in attempt 2 where the signature came in attempt 1, whose last session
/// is noted.
#[rustfmt::skip]
const TABLE: [(Status, Status, Outcome, Outcome, Outcome); 20] = [
    (Pending,   Submitted, Applied,  Applied,  Held),
    (Pending,   InReview,  Applied,  Applied,  Held),
    (Pending,   Verified,  Applied,  Held,     Held),
    (Pending,   Rejected,  Applied,  Held,     Held),
    (Submitted, Submitted, Repeated, Repeated, Repeated),
    (Submitted, InReview,  Applied,  Applied,  Held),
    (Submitted, Verified,  Applied,  Held,     Held),
    (Submitted, Rejected,  Applied,  Held,     Held),
    (InReview,  Submitted, Stale,    Stale,    Stale),
    (InReview,  InReview,  Repeated, Repeated, Repeated),
    (InReview,  Verified,  Applied,  Held,     Held),
    (InReview,  Rejected,  Applied,  Held,     Held),
    (Verified,  Submitted, Stale,    Stale,    Stale),
    (Verified,  InReview,  Held,     Held,     Held),
    (Verified,  Verified,  Repeated, Repeated, Repeated),
    (Verified,  Rejected,  Held,     Held,     Held),
    (Rejected,  Submitted, Stale,    Stale,    Stale),
    (Rejected,  InReview,  Held,     Held,     Held),
    (Rejected,  Verified,  Held,     Held,     Held),
    (Rejected,  Rejected,  Repeated, Repeated, Repeated),
];

/// Every row and column of the table as a user, an event and the outcome.
fn rows() -> impl Iterator<Item = (State, Event, Outcome)> {
    TABLE
        .into_iter()
        .flat_map(|(now, target, first, again, came_back)| {
            let second = second_attempt(now, None);
            [
                (first_attempt(now), new(target), first),
                (second, new(target), again),
                (second, seen(target), came_back),
            ]
        })
}

fn wanted(before: State, target: Status, outcome: Outcome, policy: TrustPolicy) -> State {
    let believed = target.is_final() && policy.checks();
    let heard = State {
        heard: before.heard || target.is_final(),
        ..before
    };
    match outcome {
        Applied => State {
            status: target,
            unconfirmed: believed.then_some(Believed),
            ..heard
        },
        Held => State {
            held: Some(target),
            ..heard
        },
        _ => heard,
    }
}

#[test]
fn on_conflict_follows_the_table() {
    for (before, event, outcome) in rows() {
        let after = wanted(before, event.target, outcome, OnConflict);
        let applied = apply(before, event, OnConflict, true);
        assert_eq!(applied, (after, outcome), "{before:?} hears {event:?}");
    }
}

#[test]
fn before_final_holds_every_verified_and_is_otherwise_on_conflict() {
    for (before, event, outcome) in rows() {
        let outcome = match outcome {
            Applied if event.target == Verified => Held,
            other => other,
        };
        let after = wanted(before, event.target, outcome, BeforeFinal);
        let applied = apply(before, event, BeforeFinal, true);
        assert_eq!(applied, (after, outcome), "{before:?} hears {event:?}");
    }
}

#[test]
fn never_applies_a_new_signature_in_any_attempt_and_drops_an_old_one_and_a_reversal() {
    for (before, event, outcome) in rows() {
        for unmatched in [false, true] {
            let moves = !before.status.is_final() && !event.seen_before;
            let outcome = match outcome {
                Applied | Held if moves => Applied,
                Applied | Held => Stale,
                other => other,
            };
            let event = Event { unmatched, ..event };
            let after = wanted(before, event.target, outcome, Never);
            let applied = apply(before, event, Never, false);
            assert_eq!(applied, (after, outcome), "{before:?} hears {event:?}");
        }
    }
}

#[test]
fn a_verdict_counts_at_once_only_where_it_is_the_first_in_attempt_1_of_a_registered_user() {
    let first = first_attempt(Submitted);
    let heard = State::registered(true);
    let unmatched = |target| Event {
        unmatched: true,
        ..new(target)
    };
    for verdict in [Verified, Rejected] {
        for (before, event, outcome) in [
            (first, new(verdict), Applied),
            (first, unmatched(verdict), Held),
            (heard, new(verdict), Held),
            (second_attempt(Pending, None), new(verdict), Held),
            (first.next_attempt(), new(verdict), Held),
        ] {
            let (after, became) = apply(before, event, OnConflict, true);
            assert_eq!(became, outcome, "{before:?} hears {event:?}");
            assert!(after.heard && !after.is_final());
            assert_eq!(apply(before, event, Never, true).1, Applied);
        }
    }
    for progress in [Submitted, InReview] {
        let (after, outcome) = apply(heard, unmatched(progress), OnConflict, true);
        assert_eq!((after.status, outcome), (progress, Applied));
    }
}

#[test]
fn over_the_cap_a_verified_is_held_and_a_rejected_is_not() {
    for now in [Pending, Submitted, InReview] {
        for (target, outcome) in [(Verified, Held), (Rejected, Applied), (now, Repeated)] {
            let before = first_attempt(now);
            let (_, became) = apply(before, new(target), OnConflict, false);
            assert_eq!(became, outcome, "{now} hears {target}");
        }
    }
}

#[test]
fn an_event_of_an_earlier_attempt_is_held_only_where_a_check_can_tell_it_from_a_new_one() {
    let untold = |target| Event {
        session_noted: false,
        ..seen(target)
    };
    let before = second_attempt(Pending, None);
    for (event, outcome) in [
        (untold(Submitted), Applied),
        (untold(InReview), Applied),
        (seen(Submitted), Held),
        (seen(InReview), Held),
        (untold(Verified), Held),
        (untold(Rejected), Held),
    ] {
        assert_eq!(apply(before, event, OnConflict, true).1, outcome);
        let (after, outcome) = apply(before, event, Never, true);
        assert_eq!((after.held, outcome), (None, Stale));
    }
}

#[test]
fn a_delivered_verdict_is_heard_whatever_its_outcome_and_no_other_event_is() {
    let unheard = |state| State {
        heard: false,
        ..state
    };
    let decided = unheard(first_attempt(Verified));
    for (before, event, policy, outcome) in [
        (first_attempt(Pending), new(Verified), OnConflict, Applied),
        (first_attempt(Pending), new(Verified), BeforeFinal, Held),
        (first_attempt(Pending), new(Rejected), Never, Applied),
        (decided, new(Verified), OnConflict, Repeated),
        (decided, new(Rejected), Never, Stale),
        (overridden(Pending), seen(Verified), OnConflict, Stale),
    ] {
        let (after, became) = apply(before, event, policy, true);
        assert_eq!((before.heard, after.heard, became), (false, true, outcome));
    }
    for progress in [Submitted, InReview] {
        for before in Status::ALL.map(first_attempt).map(unheard) {
            assert!(!apply(before, new(progress), OnConflict, true).0.heard);
        }
    }
}

#[test]
fn of_an_undecided_user_the_news_that_goes_further_stays_held_and_else_the_later() {
    for (now, held, target, left) in [
        (Pending, Submitted, Submitted, Submitted),
        (Pending, Submitted, InReview, InReview),
        (Pending, InReview, Submitted, InReview),
        (Pending, InReview, Verified, Verified),
        (Pending, Verified, Submitted, Verified),
        (Submitted, Verified, InReview, Verified),
        (InReview, Verified, Rejected, Rejected),
        (InReview, Rejected, Verified, Verified),
        (Verified, Rejected, InReview, InReview),
        (Verified, InReview, Rejected, Rejected),
        (Rejected, Verified, InReview, InReview),
        (Rejected, InReview, Verified, Verified),
    ] {
        let before = second_attempt(now, Some(held));
        let (after, outcome) = apply(before, seen(target), OnConflict, true);
        let wanted = second_attempt(now, Some(left));
        assert_eq!((after, outcome), (wanted, Held), "{held}, then {target}");
    }
}

#[test]
fn an_applied_event_drops_held_news_that_says_the_same_or_goes_less_far() {
    let (checks, never) = (OnConflict, Never);
    for (held, target, policy, left) in [
        (Submitted, Submitted, checks, None),
        (Submitted, InReview, checks, None),
        (Submitted, Verified, checks, None),
        (InReview, InReview, checks, None),
        (InReview, Rejected, checks, None),
        (InReview, Submitted, checks, Some(InReview)),
        (Verified, InReview, checks, Some(Verified)),
        (Rejected, Submitted, checks, Some(Rejected)),
        (Verified, Verified, never, None),
        (Verified, Rejected, never, Some(Verified)),
        (Rejected, Verified, never, Some(Rejected)),
    ] {
        let before = State {
            held: Some(held),
            ..State::registered(false)
        };
        let (after, outcome) = apply(before, new(target), policy, true);
        let found = (after.status, after.held, outcome);
        assert_eq!(found, (target, left, Applied), "{held}, then {target}");
    }
}

#[test]
fn bad_news_about_a_verified_user_counts_at_once_and_good_news_about_a_rejected_one_does_not() {
    for policy in [OnConflict, BeforeFinal] {
        for news in [InReview, Rejected] {
            let (after, _) = apply(second_attempt(Verified, None), new(news), policy, true);
            assert!(after.needs_confirmation() && !after.is_final());
            assert_eq!((after.status, after.shown()), (Verified, InReview));
        }
        for news in [InReview, Verified] {
            let (after, _) = apply(second_attempt(Rejected, None), new(news), policy, true);
            assert!(after.is_final() && !after.needs_confirmation());
            assert_eq!((after.shown(), after.held), (Rejected, Some(news)));
        }
    }
}

#[test]
fn readers_see_a_status_that_follows_from_the_stored_one_the_held_news_and_the_doubt() {
    let (believed, timed_out) = (Some(Believed), Some(TimedOut));
    let (denied, news) = (Some(Denied), Some(Rejected));
    for (status, held, unconfirmed, shown, is_final, link) in [
        (Pending, None, None, Pending, false, true),
        (Pending, news, None, Pending, false, true),
        (Submitted, None, None, Submitted, false, true),
        (InReview, news, None, InReview, false, true),
        (Verified, None, None, Verified, true, false),
        (Verified, None, believed, Verified, false, false),
        (Verified, None, timed_out, InReview, false, false),
        (Verified, None, denied, InReview, false, true),
        (Verified, news, None, InReview, false, false),
        (Verified, news, believed, InReview, false, false),
        (Verified, news, denied, InReview, false, true),
        (Rejected, None, None, Rejected, true, false),
        (Rejected, Some(Verified), None, Rejected, true, false),
        (Rejected, None, believed, Rejected, false, false),
    ] {
        let state = State {
            unconfirmed,
            ..second_attempt(status, held)
        };
        let found = (state.shown(), state.is_final(), state.may_have_link());
        assert_eq!(found, (shown, is_final, link), "{state:?}");
        assert_eq!(state.needs_confirmation(), shown != status, "{state:?}");
        let counts = (status, unconfirmed) == (Verified, believed);
        assert_eq!(state.is_believed(), counts, "{state:?}");
    }
}

#[test]
fn only_a_verified_that_is_believed_times_out_and_a_confirmation_or_an_override_ends_the_doubt() {
    for (status, before, after) in [
        (Verified, Some(Believed), Some(TimedOut)),
        (Verified, Some(TimedOut), Some(TimedOut)),
        (Verified, Some(Denied), Some(Denied)),
        (Verified, None, None),
        (Rejected, Some(Believed), Some(Believed)),
        (Pending, None, None),
    ] {
        for held in [None, Some(InReview)] {
            let with = |unconfirmed| State {
                unconfirmed,
                ..second_attempt(status, held)
            };
            assert_eq!(with(before).timed_out(), with(after));
            assert_eq!(with(before).confirmed(), with(None));
            let overridden = State {
                overridden: true,
                ..second_attempt(status, None)
            };
            assert_eq!(overrule(with(before), status), overridden);
        }
    }
}

#[test]
fn a_link_opens_the_next_attempt_only_after_a_verdict() {
    let next = Link::Next(State {
        attempt: 3,
        ..State::registered(true)
    });
    for held in [None, Some(InReview)] {
        for open in [Pending, Submitted, InReview].map(|open| second_attempt(open, held)) {
            for open in [open, overrule(open, open.status)] {
                assert_eq!(link(open, false), Link::Current);
                assert_eq!(link(open, true), Link::Current);
            }
        }
        let (rejected, verified) = (
            second_attempt(Rejected, held),
            second_attempt(Verified, held),
        );
        for (doubt, unforced) in [
            (None, Link::AlreadyVerified),
            (Some(Believed), Link::AlreadyVerified),
            (Some(TimedOut), Link::AlreadyVerified),
            (Some(Denied), Link::Current),
        ] {
            let doubted = |state| State {
                unconfirmed: doubt,
                ..state
            };
            assert_eq!(link(doubted(verified), false), unforced);
            assert_eq!(link(doubted(verified), true), next);
        }
        for rejected in [rejected, overrule(rejected, Rejected)] {
            assert_eq!(link(rejected, false), next);
            assert_eq!(link(rejected, true), next);
        }
    }
    assert!(!first_attempt(Pending).next_attempt().heard);
}

#[test]
fn against_an_override_an_old_signature_does_nothing_and_other_news_is_held_for_an_admin() {
    for now in Status::ALL {
        for target in EVENTS {
            let known = if target == now { Repeated } else { Stale };
            let news = match target {
                Submitted => known,
                _ if target == now => Repeated,
                _ => Held,
            };
            for (event, policy, outcome) in [
                (new(target), OnConflict, news),
                (new(target), BeforeFinal, news),
                (seen(target), OnConflict, known),
                (seen(target), BeforeFinal, known),
                (new(target), Never, known),
                (seen(target), Never, known),
            ] {
                let before = overridden(now);
                let after = wanted(before, target, outcome, policy);
                let applied = apply(before, event, policy, true);
                assert_eq!(applied, (after, outcome), "{now} hears {event:?}");
            }
        }
    }
    let (after, _) = apply(overridden(Verified), new(Rejected), OnConflict, true);
    assert_eq!((after.shown(), after.is_final()), (InReview, false));
}

#[test]
fn every_word_reads_back_as_itself() {
    for outcome in Outcome::ALL {
        assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
    }
    for unconfirmed in Unconfirmed::ALL {
        let word = unconfirmed.as_str();
        assert_eq!(Unconfirmed::from_word(word), Some(unconfirmed));
    }
    for policy in POLICIES {
        assert_eq!(TrustPolicy::from_word(policy.as_str()), Some(policy));
        assert_eq!(policy.checks(), policy != Never);
    }
    assert_eq!(TrustPolicy::from_word("always"), None);
}

#[test]
fn the_words_are_those_of_the_public_interface_and_the_configuration() {
    let words = [
        "applied",
        "repeated",
        "stale",
        "unmatched",
        "held",
        "ignored",
        "unreadable",
    ];
    assert_eq!(Outcome::ALL.map(Outcome::as_str), words);
    let words = ["believed", "timed_out", "denied"];
    assert_eq!(Unconfirmed::ALL.map(Unconfirmed::as_str), words);
    let words = ["never", "on_conflict", "before_final"];
    assert_eq!(POLICIES.map(TrustPolicy::as_str), words);
    for (word, policy) in words.into_iter().zip(POLICIES) {
        let word: StrDeserializer<'_, ValueError> = word.into_deserializer();
        assert_eq!(TrustPolicy::deserialize(word), Ok(policy));
    }
}
