//! What an answer does, as tables.

mod flags;
mod properties;
mod schedule;

use super::*;
use Status::{InReview, Pending, Rejected, Submitted, Verified};
use Unconfirmed::{Believed, Denied, TimedOut};

/// The longest span that is not late.
const EARLY: Duration = Duration::from_millis(29_999);
const AT_THE_END: Duration = minutes(35);
const JUST_NOW: Duration = Duration::ZERO;

fn state(status: Status, held: Option<Status>) -> State {
    State {
        status,
        held,
        ..State::registered(true)
    }
}

/// A `verified` that a webhook set.
fn unconfirmed(doubt: Unconfirmed, held: Option<Status>) -> State {
    State {
        unconfirmed: Some(doubt),
        ..state(Verified, held)
    }
}

fn overridden(status: Status, held: Option<Status>) -> State {
    State {
        overridden: true,
        ..state(status, held)
    }
}

/// After one hint that said `hint`.
fn hinted(hint: Option<Status>) -> Looks {
    let any = state(Pending, None);
    Looks::new().hinted(hint, any, any)
}

fn ages(since_hint: Duration) -> Ages {
    Ages {
        since_hint,
        since_applied: Duration::ZERO,
        no_verdict: Duration::ZERO,
        quiet: Duration::ZERO,
        decided: Duration::ZERO,
        linked: Duration::MAX,
    }
}

const fn says(verdict: Status) -> Answer {
    Answer {
        verdict: Some(verdict),
        whose: Whose::ThisAttempt,
    }
}

const fn no_verdict(whose: Whose) -> Answer {
    Answer {
        verdict: None,
        whose,
    }
}

/// A check with nothing in between.
fn check(state: State, looks: Looks, answer: Answer, ages: Ages) -> Settled {
    let (looks, ticket) = looks.begun();
    settle(state, looks, ticket, answer, ages).unwrap()
}

/// A check during which a hint came.
fn overtaken(state: State, looks: Looks, answer: Answer, ages: Ages) -> Settled {
    let (looks, ticket) = looks.begun();
    let looks = looks.hinted(None, state, state);
    settle(state, looks, ticket, answer, ages).unwrap()
}

fn told(settled: Settled) -> (Status, Option<Status>) {
    (settled.state.status, settled.state.held)
}

const VERDICTS: [Status; 3] = [InReview, Verified, Rejected];

#[test]
fn a_verdict_of_a_late_check_is_the_status_confirmed_and_drops_held_news() {
    for now in Status::ALL {
        for held in [
            None,
            Some(Submitted),
            Some(InReview),
            Some(Verified),
            Some(Rejected),
        ] {
            for doubt in [None, Some(Believed), Some(TimedOut), Some(Denied)] {
                for verdict in VERDICTS {
                    let before = State {
                        unconfirmed: doubt,
                        heard: false,
                        ..state(now, held)
                    };
                    let settled = check(before, hinted(held), says(verdict), ages(LATE));
                    let wanted = State {
                        heard: verdict.is_final(),
                        ..state(verdict, None)
                    };
                    assert_eq!(settled.state, wanted, "{before:?} reads {verdict}");
                    assert!(settled.agreed && !settled.overlapped);
                    assert_eq!(settled.looks.verdict, Some(verdict));
                }
            }
        }
    }
}

#[test]
fn verified_counts_at_once_only_where_neither_the_held_news_nor_the_last_hint_is_bad() {
    for (held, hint, counts) in [
        (None, None, true),
        (None, Some(Submitted), true),
        (None, Some(Verified), true),
        (None, Some(InReview), false),
        (None, Some(Rejected), false),
        (Some(Submitted), None, true),
        (Some(Verified), Some(Verified), true),
        (Some(Verified), Some(Rejected), false),
        (Some(InReview), None, false),
        (Some(Rejected), Some(Verified), false),
    ] {
        for now in [
            state(Pending, held),
            state(Rejected, held),
            unconfirmed(Denied, held),
        ] {
            let early = check(now, hinted(hint), says(Verified), ages(EARLY));
            let wanted = if counts { state(Verified, None) } else { now };
            assert_eq!(
                (early.state, early.agreed),
                (wanted, counts),
                "{held:?} {hint:?}"
            );
            let late = check(now, hinted(hint), says(Verified), ages(LATE));
            assert_eq!((late.state, late.agreed), (state(Verified, None), true));
        }
    }
}

#[test]
fn a_hint_on_the_way_keeps_verified_from_counting_and_the_user_stays_due() {
    for since_hint in [EARLY, LATE, Duration::MAX] {
        for verdict in VERDICTS {
            let now = State::registered(false);
            let settled = overtaken(now, Looks::new(), says(verdict), ages(since_hint));
            let counts = verdict != Verified;
            let status = if counts { verdict } else { Pending };
            assert_eq!((settled.state.status, settled.agreed), (status, counts));
            assert_eq!(settled.state.heard, verdict.is_final());
            assert_eq!(settled.looks.verdict, Some(verdict));
            assert_eq!(
                settled.looks.pause(settled.state, ages(JUST_NOW)),
                Duration::ZERO
            );
        }
    }
}

#[test]
fn an_early_answer_drops_only_the_held_news_that_it_says_again() {
    for (now, held, verdict, early) in [
        (Verified, Rejected, Rejected, (Rejected, None)),
        (Verified, Rejected, Verified, (Verified, Some(Rejected))),
        (Verified, InReview, InReview, (InReview, None)),
        (Verified, InReview, Verified, (Verified, Some(InReview))),
        (Verified, InReview, Rejected, (Rejected, Some(InReview))),
        (Verified, Rejected, InReview, (InReview, Some(Rejected))),
        (Rejected, Verified, Verified, (Verified, None)),
        (Rejected, Verified, Rejected, (Rejected, Some(Verified))),
        (Rejected, Verified, InReview, (InReview, Some(Verified))),
        (Pending, Verified, Verified, (Verified, None)),
        (Pending, Verified, Rejected, (Rejected, Some(Verified))),
        (Pending, Rejected, Verified, (Pending, Some(Rejected))),
        (Pending, Submitted, InReview, (InReview, None)),
        (Pending, Submitted, Rejected, (Rejected, None)),
    ] {
        let before = state(now, Some(held));
        for since_hint in [EARLY, LATE] {
            let settled = check(before, hinted(Some(held)), says(verdict), ages(since_hint));
            let wanted = if since_hint == LATE {
                (verdict, None)
            } else {
                early
            };
            assert_eq!(told(settled), wanted, "{now}, held {held}, reads {verdict}");
        }
        if verdict != Verified {
            let settled = overtaken(before, hinted(Some(held)), says(verdict), ages(LATE));
            assert_eq!(
                told(settled),
                early,
                "a hint came, so the check is not late"
            );
        }
    }
}

/// A user in review to whom a `VERIFIED_USER` was applied.
fn verified_after_review() -> (State, Looks) {
    let now = unconfirmed(Believed, None);
    (
        now,
        hinted(Some(InReview)).hinted(Some(Verified), state(InReview, None), now),
    )
}

#[test]
fn a_review_that_may_be_older_than_the_verdict_counts_only_from_a_late_check() {
    let (now, looks) = verified_after_review();
    for (verdict, since_hint, counts) in [
        (InReview, EARLY, false),
        (InReview, LATE, true),
        (Rejected, EARLY, true),
        (Verified, EARLY, true),
    ] {
        for now in [now, unconfirmed(Denied, None)] {
            let settled = check(now, looks, says(verdict), ages(since_hint));
            let wanted = if counts { state(verdict, None) } else { now };
            assert_eq!((settled.state, settled.agreed), (wanted, counts));
            assert_eq!(settled.looks.after_review, !counts);
        }
    }
    let settled = overtaken(now, looks, says(InReview), ages(LATE));
    assert_eq!((settled.state, settled.agreed), (now, false));
    assert!(
        settled.looks.after_review,
        "a CREATED_KYC is no news above submitted"
    );
}

#[test]
fn a_review_counts_once_the_verdict_is_30_s_old_whatever_hints_came_since() {
    let (now, looks) = verified_after_review();
    for (since_applied, counts) in [(EARLY, false), (LATE, true)] {
        let at = Ages {
            since_applied,
            ..ages(EARLY)
        };
        let settled = check(now, looks, says(InReview), at);
        let wanted = if counts { state(InReview, None) } else { now };
        assert_eq!((settled.state, settled.agreed), (wanted, counts));
    }
}

#[test]
fn a_review_says_something_new_where_the_verdict_was_not_applied_to_one_or_other_news_came() {
    let (now, looks) = verified_after_review();
    let again = |news| looks.hinted(news, now, now);
    for (news, remains) in [
        (None, true),
        (Some(Submitted), true),
        (Some(Verified), true),
        (Some(InReview), false),
        (Some(Rejected), false),
    ] {
        assert_eq!(again(news).after_review, remains, "{news:?}");
        let settled = check(now, again(news), says(InReview), ages(EARLY));
        assert_eq!(settled.agreed, !remains);
    }
    for (before, after) in [
        (state(Pending, None), now),
        (state(Submitted, None), now),
        (state(InReview, None), state(InReview, Some(Verified))),
        (state(InReview, None), state(Verified, None)),
        (state(Pending, None), state(InReview, None)),
    ] {
        let looks = Looks::new().hinted(Some(Verified), before, after);
        assert!(!looks.after_review, "{before:?} {after:?}");
    }
    assert!(!looks.overruled().after_review && !looks.next_attempt().after_review);
}

#[test]
fn an_unconfirmed_verified_is_doubted_by_an_answer_without_a_verdict_30_s_after_it_was_applied() {
    let nothing = [
        Answer::NONE,
        no_verdict(Whose::ThisAttempt),
        no_verdict(Whose::Unclear),
        Answer {
            whose: Whose::EarlierAttempt,
            ..says(Verified)
        },
    ];
    for answer in nothing {
        for doubt in Unconfirmed::ALL {
            for held in [None, Some(InReview), Some(Rejected)] {
                let now = unconfirmed(doubt, held);
                let at = |since_applied| Ages {
                    since_applied,
                    ..ages(JUST_NOW)
                };
                let early = check(now, hinted(Some(Verified)), answer, at(EARLY));
                assert_eq!((early.state, early.agreed), (now, false));
                for settled in [
                    check(now, hinted(Some(Verified)), answer, at(LATE)),
                    overtaken(now, hinted(Some(Verified)), answer, at(LATE)),
                ] {
                    let wanted = unconfirmed(Denied, held);
                    assert_eq!((settled.state, settled.agreed), (wanted, false));
                }
            }
        }
        let at = Ages {
            since_applied: LATE,
            ..ages(JUST_NOW)
        };
        let rejected = State {
            unconfirmed: Some(Believed),
            ..state(Rejected, None)
        };
        for now in [state(Verified, None), rejected, overridden(Verified, None)] {
            assert_eq!(check(now, hinted(None), answer, at).state, now);
        }
    }
}

#[test]
fn only_an_answer_that_counts_and_agrees_lifts_a_doubt() {
    for doubt in [TimedOut, Denied] {
        let (doubted, looks) = (unconfirmed(doubt, None), hinted(Some(Verified)));
        let agreed = check(doubted, looks, says(Verified), ages(EARLY));
        assert_eq!(agreed.state, state(Verified, None));
        let overtaken = overtaken(doubted, looks, says(Verified), ages(LATE));
        assert_eq!(overtaken.state, doubted);
        for held in [InReview, Rejected] {
            let doubted = unconfirmed(doubt, Some(held));
            let early = check(doubted, looks, says(Verified), ages(EARLY));
            assert_eq!(early.state, doubted);
            let late = check(doubted, looks, says(Verified), ages(LATE));
            assert_eq!(late.state, state(Verified, None));
        }
    }
}

#[test]
fn an_undecided_session_of_this_attempt_applies_a_held_submitted_and_nothing_else() {
    for whose in [Whose::ThisAttempt, Whose::EarlierAttempt, Whose::Unclear] {
        for held in [None, Some(Submitted), Some(InReview), Some(Verified)] {
            for now in [Pending, Submitted, InReview, Rejected] {
                let before = State {
                    attempt: 2,
                    ..state(now, held)
                };
                let (answer, at) = (no_verdict(whose), ages(JUST_NOW));
                let settled = check(before, hinted(held), answer, at);
                let moves = (whose, now, held) == (Whose::ThisAttempt, Pending, Some(Submitted));
                let wanted = if moves {
                    (Submitted, None)
                } else {
                    (now, held)
                };
                assert_eq!(told(settled), wanted, "{whose:?}");
                let says_something = whose != Whose::Unclear;
                let confirmed = matches!(now, Pending | Submitted) && says_something;
                assert_eq!(settled.agreed, confirmed, "{whose:?}");
            }
        }
    }
    let before = state(Pending, Some(Submitted));
    let settled = check(before, Looks::new(), Answer::NONE, ages(LATE));
    assert_eq!(settled.state, before, "no verification names no session");
    let before = overridden(Pending, Some(Submitted));
    let settled = check(
        before,
        Looks::new(),
        no_verdict(Whose::ThisAttempt),
        ages(LATE),
    );
    assert_eq!(settled.state, before);
}

#[test]
fn a_verdict_of_another_session_says_nothing_about_this_attempt() {
    for whose in [Whose::EarlierAttempt, Whose::Unclear] {
        for verdict in VERDICTS {
            for now in [Pending, Submitted, InReview, Rejected].map(|now| State {
                heard: false,
                ..state(now, None)
            }) {
                let answer = Answer {
                    whose,
                    ..says(verdict)
                };
                let settled = check(now, Looks::new(), answer, ages(LATE));
                assert_eq!((settled.state, settled.looks.verdict), (now, None));
            }
        }
    }
}

#[test]
fn an_answer_is_dropped_where_a_later_one_was_settled_an_attempt_opened_or_an_admin_decided() {
    let (looks, first) = hinted(Some(Verified)).begun();
    let (looks, second) = looks.begun();
    let now = state(Pending, None);
    let settle = |state, looks, ticket| settle(state, looks, ticket, says(Rejected), ages(LATE));
    let later = settle(now, looks, second).unwrap();
    assert_eq!(later.looks.applied_ticket, second.number);
    for ticket in [first, second] {
        assert_eq!(settle(later.state, later.looks, ticket), None);
        assert_eq!(settle(now, looks.next_attempt(), ticket), None);
        assert_eq!(settle(now, looks.overruled(), ticket), None);
    }
    for fenced in [looks.next_attempt(), looks.overruled()] {
        let settled = check(now, fenced, says(Rejected), ages(LATE));
        assert_eq!(settled.looks.applied_ticket, second.number + 1);
        assert_eq!((fenced.hint_seq, settled.overlapped), (1, false));
    }
    let next = looks.next_attempt();
    assert_eq!((next.hint, next.verdict, next.step), (None, None, SWEEP));
}

#[test]
fn of_two_checks_that_overlap_the_later_says_so() {
    let (looks, first) = Looks::new().begun();
    let (looks, second) = looks.begun();
    let now = state(Pending, None);
    let settled = settle(now, looks, first, Answer::NONE, ages(LATE)).unwrap();
    assert!(!settled.overlapped);
    let settled = settle(now, settled.looks, second, Answer::NONE, ages(LATE)).unwrap();
    assert!(settled.overlapped);
}
