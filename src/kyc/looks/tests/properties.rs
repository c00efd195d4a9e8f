//! What must hold for every user, answer and age there is.

use proptest::prelude::*;

use super::*;

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

fn any_verdict() -> impl Strategy<Value = Status> {
    prop::sample::select(VERDICTS.to_vec())
}

/// Only a verdict can be unconfirmed, only a `verified` doubted, and an override ends either.
fn any_state() -> impl Strategy<Value = State> {
    let held = prop::option::of(any_status());
    let doubt = prop::option::of(prop::sample::select(Unconfirmed::ALL.to_vec()));
    let flags = (any::<bool>(), any::<bool>());
    (1..4_i64, any_status(), held, flags, doubt).prop_map(
        |(attempt, status, held, (overridden, heard), doubt)| State {
            attempt,
            status,
            held,
            overridden,
            heard,
            unconfirmed: doubt.filter(|doubt| {
                let possible = status == Verified || *doubt == Believed;
                status.is_final() && possible && !overridden
            }),
        },
    )
}

fn any_looks() -> impl Strategy<Value = Looks> {
    let hint = prop::option::of(any_verdict());
    let verdict = prop::option::of(any_verdict());
    let numbers = (0..9_i64, 0..9_i64, 0..9_i64, -1..12_i64);
    let flags = (any::<bool>(), any::<bool>());
    (numbers, hint, verdict, flags).prop_map(
        |((hint_seq, pull_ticket, applied_ticket, step), hint, verdict, flags)| Looks {
            hint_seq,
            hint,
            after_review: flags.0,
            pull_ticket,
            applied_ticket,
            step,
            verdict,
            conflict: flags.1,
        },
    )
}

/// A user and its checks: only an unconfirmed verdict can have followed a review.
fn any_user() -> impl Strategy<Value = (State, Looks)> {
    (any_state(), any_looks()).prop_map(|(state, looks)| {
        let after_review = looks.after_review && state.unconfirmed.is_some();
        (
            state,
            Looks {
                after_review,
                ..looks
            },
        )
    })
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let verdict = prop::option::of(any_verdict());
    let whose = vec![Whose::ThisAttempt, Whose::EarlierAttempt, Whose::Unclear];
    (verdict, prop::sample::select(whose)).prop_map(|(verdict, whose)| Answer { verdict, whose })
}

fn any_ages() -> impl Strategy<Value = Ages> {
    let spans = vec![
        JUST_NOW,
        EARLY,
        LATE,
        minutes(5),
        AT_THE_END,
        DAY,
        STALLED_AFTER,
        Duration::MAX,
    ];
    let span = move || prop::sample::select(spans.clone());
    (span(), span(), span(), span(), span(), span()).prop_map(
        |(since_hint, since_applied, no_verdict, quiet, decided, linked)| Ages {
            since_hint,
            since_applied,
            no_verdict,
            quiet,
            decided,
            linked,
        },
    )
}

/// The ticket of a check that no later one overtook.
fn ticket(seen: i64) -> Ticket {
    Ticket {
        number: 10,
        seen,
        applied: 0,
    }
}

proptest! {
    #[test]
    fn no_answer_moves_an_override_opens_an_attempt_or_passes_the_fence(
        (before, looks) in any_user(), number in 0..9_i64, seen in 0..9_i64, applied in 0..9_i64,
        answer in any_answer(), ages in any_ages(),
    ) {
        let settled = settle(before, looks, Ticket { number, seen, applied }, answer, ages);
        prop_assert_eq!(settled.is_none(), number <= looks.applied_ticket);
        if let Some(Settled { state, looks: after, overlapped, .. }) = settled {
            prop_assert_eq!((state.attempt, state.overridden), (before.attempt, before.overridden));
            prop_assert_eq!((after.applied_ticket, after.hint_seq), (number, looks.hint_seq));
            prop_assert_eq!((after.pull_ticket, after.hint), (looks.pull_ticket, looks.hint));
            prop_assert_eq!(overlapped, applied != looks.applied_ticket);
            prop_assert!(state.heard || !before.heard);
            if before.overridden {
                prop_assert_eq!(state.status, before.status);
                prop_assert_eq!(state.unconfirmed, before.unconfirmed);
                prop_assert!(state.held.is_some() || before.held.is_none());
            }
        }
    }

    #[test]
    fn only_a_verdict_of_this_attempt_that_no_hint_overtook_makes_a_user_shown_verified_or_final(
        (before, looks) in any_user(), seen in 0..9_i64, answer in any_answer(), ages in any_ages(),
    ) {
        let settled = settle(before, looks, ticket(seen), answer, ages).unwrap();
        let (state, late) = (settled.state, ages.since_hint >= LATE);
        let news = before.shown() != Verified || state.unconfirmed != before.unconfirmed;
        if news && state.shown() == Verified {
            prop_assert_eq!((answer, seen), (says(Verified), looks.hint_seq));
            prop_assert!(late || !is_bad(before.held) && !is_bad(looks.hint));
            prop_assert!(state.is_final());
        }
        if state.status != before.status && state.status != Submitted {
            prop_assert_eq!(answer, says(state.status));
        }
        if state.is_final() && !before.is_final() {
            prop_assert_eq!(answer, says(state.status));
        }
    }

    #[test]
    fn without_a_verdict_of_this_attempt_no_answer_reaches_one_drops_bad_news_or_lifts_a_doubt(
        (before, looks) in any_user(), seen in 0..9_i64, answer in any_answer(), ages in any_ages(),
    ) {
        let settled = settle(before, looks, ticket(seen), answer, ages).unwrap();
        if answer.verdict_of_this_attempt().is_none() {
            let status = settled.state.status;
            prop_assert!(status == before.status || status == Submitted);
            prop_assert!(settled.state.held == before.held || !is_bad(before.held));
            prop_assert_eq!(settled.state.heard, before.heard);
            prop_assert_eq!(settled.looks.verdict, looks.verdict);
            prop_assert!(settled.looks.conflict || !looks.conflict);
            prop_assert!(settled.state.is_doubted() || !before.is_doubted());
        }
    }

    #[test]
    fn a_late_verdict_of_this_attempt_settles_everything_but_an_override(
        (before, looks) in any_user(), verdict in any_verdict(), ages in any_ages(),
    ) {
        let late = Ages { since_hint: ages.since_hint.max(LATE), ..ages };
        let settled = settle(before, looks, ticket(looks.hint_seq), says(verdict), late).unwrap();
        if !before.overridden {
            prop_assert_eq!((told(settled), settled.agreed), ((verdict, None), true));
            prop_assert_eq!(settled.state.shown(), verdict);
            prop_assert_eq!(settled.state.is_final(), verdict.is_final());
            prop_assert!(!settled.looks.after_review);
        }
    }

    #[test]
    fn a_rejected_of_this_attempt_counts_whatever_came_before_or_meanwhile(
        (before, looks) in any_user(), seen in 0..9_i64, ages in any_ages(),
    ) {
        let settled = settle(before, looks, ticket(seen), says(Rejected), ages).unwrap();
        prop_assert_eq!(settled.agreed, !before.overridden || before.status == Rejected);
        prop_assert!(before.overridden || settled.state.is_final());
        prop_assert!(settled.state.heard);
    }

    #[test]
    fn an_unconfirmed_verified_is_doubted_by_any_answer_30_s_later_without_a_verdict(
        (before, looks) in any_user(), seen in 0..9_i64, answer in any_answer(), ages in any_ages(),
    ) {
        let late = Ages { since_applied: ages.since_applied.max(LATE), ..ages };
        let settled = settle(before, looks, ticket(seen), answer, late).unwrap();
        if before.is_believed() && answer.verdict_of_this_attempt().is_none() {
            prop_assert_eq!(settled.state.unconfirmed, Some(Denied));
            prop_assert_eq!(settled.state.shown(), InReview);
            prop_assert!(settled.state.may_have_link());
        }
    }

    #[test]
    fn the_same_answer_again_changes_nothing_more(
        (before, looks) in any_user(), answer in any_answer(), ages in any_ages(),
    ) {
        let again = |state, looks: Looks, number| {
            let ticket = Ticket { number, ..ticket(looks.hint_seq) };
            settle(state, looks, ticket, answer, ages).unwrap()
        };
        let once = again(before, looks, 20);
        let twice = again(once.state, once.looks, 21);
        prop_assert_eq!(once.state, twice.state);
        prop_assert!(!twice.looks.conflict || once.looks.conflict);
    }

    #[test]
    fn the_next_check_comes_within_a_week_and_within_30_s_of_applying_an_unconfirmed_verified(
        (state, looks) in any_user(), ages in any_ages(),
    ) {
        let pause = looks.pause(state, ages);
        prop_assert!(pause <= WEEK);
        if state.is_believed() && ages.since_applied < LATE {
            prop_assert!(pause + ages.since_applied <= LATE);
        } else if let Some(rung) = looks.rung() {
            prop_assert_eq!(pause, LADDER[rung].saturating_sub(ages.since_hint));
        }
        let undecided = !state.status.is_final() || state.needs_confirmation();
        if undecided && looks.is_sweep() && looks.step < STALLED {
            prop_assert!(pause <= minutes(6 * 60));
        }
    }

    #[test]
    fn a_hint_makes_the_user_due_and_overtakes_the_checks_on_their_way(
        (state, looks) in any_user(), target in prop::option::of(any_status()), ages in any_ages(),
    ) {
        let (_, ticket) = looks.begun();
        let hinted = looks.hinted(target, state, state);
        prop_assert_eq!(hinted.pause(state, ages), Duration::ZERO);
        prop_assert!(ticket.seen < hinted.hint_seq);
        let tickets = (looks.applied_ticket, looks.pull_ticket);
        prop_assert_eq!((hinted.applied_ticket, hinted.pull_ticket), tickets);
        prop_assert_eq!((hinted.verdict, hinted.conflict), (looks.verdict, looks.conflict));
    }
}
