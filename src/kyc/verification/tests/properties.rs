//! What must hold for every user and every event there is.

use proptest::prelude::*;

use super::*;

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

/// Every state, also those that no history leads to.
fn any_state() -> impl Strategy<Value = State> {
    let held = prop::option::of(any_status());
    let unconfirmed = prop::option::of(prop::sample::select(Unconfirmed::ALL.to_vec()));
    let flags = (any::<bool>(), any::<bool>());
    (1..4_i64, any_status(), held, flags, unconfirmed).prop_map(
        |(attempt, status, held, (overridden, heard), unconfirmed)| State {
            attempt,
            status,
            held,
            overridden,
            heard,
            unconfirmed,
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (any_status(), flags).prop_map(|(target, (seen_before, session_noted, unmatched))| Event {
        target,
        seen_before,
        session_noted,
        unmatched,
    })
}

/// Events, and whether there is room at each.
fn any_events() -> impl Strategy<Value = Vec<(Event, bool)>> {
    prop::collection::vec((any_event(), any::<bool>()), 0..12)
}

fn any_policy() -> impl Strategy<Value = TrustPolicy> {
    prop::sample::select(POLICIES.to_vec())
}

proptest! {
    #[test]
    fn an_event_never_undoes_a_verdict_moves_an_override_or_opens_an_attempt(
        before in any_state(), event in any_event(), policy in any_policy(), room: bool,
    ) {
        let (after, _) = apply(before, event, policy, room);
        prop_assert_eq!(after.attempt, before.attempt);
        prop_assert_eq!(after.overridden, before.overridden);
        if before.status.is_final() || before.overridden {
            prop_assert_eq!(after.status, before.status);
            prop_assert_eq!(after.unconfirmed, before.unconfirmed);
            prop_assert!(after.held.is_some() || before.held.is_none());
        }
        prop_assert!(after.needs_confirmation() || !before.needs_confirmation());
    }

    #[test]
    fn an_event_is_applied_where_and_only_where_the_status_changes_and_its_rank_grows(
        before in any_state(), event in any_event(), policy in any_policy(), room: bool,
    ) {
        let (after, outcome) = apply(before, event, policy, room);
        prop_assert_eq!(after.status != before.status, outcome == Applied);
        prop_assert_eq!(after.status.rank() > before.status.rank(), outcome == Applied);
        prop_assert_eq!(after.heard, before.heard || event.target.is_final());
        match outcome {
            Applied => prop_assert_eq!(after.status, event.target),
            Held => prop_assert!(policy.checks() && after.held.is_some()),
            Repeated => prop_assert_eq!(before.status, event.target),
            other => prop_assert_eq!(other, Stale),
        }
    }

    #[test]
    fn repeated_and_stale_change_nothing_but_heard(
        before in any_state(), event in any_event(), policy in any_policy(), room: bool,
    ) {
        let (after, outcome) = apply(before, event, policy, room);
        if matches!(outcome, Repeated | Stale) {
            prop_assert_eq!(State { heard: before.heard, ..after }, before);
        }
    }

    #[test]
    fn the_same_event_twice_is_the_same_as_once(
        before in any_state(), event in any_event(), policy in any_policy(), room: bool,
    ) {
        let (once, _) = apply(before, event, policy, room);
        let (twice, _) = apply(once, event, policy, room);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn where_the_provider_is_checked_no_events_decide_a_further_attempt(
        attempt in 2..5_i64, heard: bool, events in any_events(), before_final: bool,
    ) {
        let policy = if before_final { BeforeFinal } else { OnConflict };
        let mut state = State { attempt, ..State::registered(heard) };
        for (event, room) in events {
            (state, _) = apply(state, event, policy, room);
            prop_assert!(!state.status.is_final());
        }
    }

    #[test]
    fn events_alone_show_verified_only_if_the_first_verdict_heard_says_so_and_only_unconfirmed(
        heard: bool, events in any_events(), policy in any_policy(),
    ) {
        let mut state = State::registered(heard);
        let mut first = None;
        for (event, room) in events {
            if event.target.is_final() && !heard {
                first = first.or(Some((event.target, event.unmatched, room)));
            }
            (state, _) = apply(state, event, policy, room);
            if policy.checks() && state.shown() == Verified {
                prop_assert_eq!(first, Some((Verified, false, true)));
                prop_assert_eq!((policy, state.is_final()), (OnConflict, false));
            }
        }
    }

    #[test]
    fn signatures_seen_before_never_decide_a_further_attempt(
        before in any_state(), events in any_events(), policy in any_policy(),
    ) {
        let mut state = State { attempt: 2, ..before };
        for (event, room) in events {
            (state, _) = apply(state, Event { seen_before: true, ..event }, policy, room);
        }
        prop_assert!(state.status == before.status || !state.status.is_final());
    }

    #[test]
    fn verified_is_shown_under_no_doubt_and_final_means_confirmed(state in any_state()) {
        let doubt = state.held.is_some() || state.is_doubted();
        prop_assert_eq!(state.shown() == Verified, state.status == Verified && !doubt);
        prop_assert!(state.shown() == state.status || state.shown() == InReview);
        if state.is_final() {
            prop_assert!(state.status.is_final() && state.unconfirmed.is_none());
            prop_assert_eq!(state.shown(), state.status);
        }
        prop_assert!(!state.timed_out().is_believed());
        prop_assert_eq!(state.timed_out().timed_out(), state.timed_out());
    }

    #[test]
    fn an_override_and_the_next_attempt_end_every_doubt(
        before in any_state(), status in any_status(),
    ) {
        let after = overrule(before, status);
        prop_assert_eq!((after.shown(), after.held, after.overridden), (status, None, true));
        prop_assert_eq!(after.is_final(), status.is_final());
        prop_assert_eq!((after.attempt, after.heard), (before.attempt, before.heard));
        let next = before.next_attempt();
        prop_assert_eq!(next.attempt, before.attempt + 1);
        prop_assert_eq!(State { attempt: 1, ..next }, State::registered(before.heard));
    }
}
