//! What is flagged for an admin, and held against a confirmed verdict or an override.

use super::*;

#[test]
fn a_late_check_flags_a_rejected_and_a_held_verdict_of_which_the_provider_has_none() {
    use Whose::{EarlierAttempt, ThisAttempt, Unclear};
    let verified = unconfirmed(Believed, Some(Rejected));
    for (now, whose, flagged) in [
        (state(Rejected, None), ThisAttempt, true),
        (state(Rejected, None), EarlierAttempt, true),
        (state(Pending, Some(Verified)), EarlierAttempt, true),
        (state(Submitted, Some(Rejected)), ThisAttempt, true),
        (verified, EarlierAttempt, true),
        (state(Pending, None), Unclear, true),
        (state(Pending, None), EarlierAttempt, false),
        (state(Pending, Some(InReview)), ThisAttempt, false),
        (state(InReview, None), ThisAttempt, false),
        (state(Verified, None), EarlierAttempt, false),
        (state(Verified, Some(InReview)), EarlierAttempt, false),
        (overridden(Rejected, None), EarlierAttempt, false),
        (overridden(Pending, Some(Verified)), Unclear, false),
    ] {
        let (looks, answer) = (hinted(now.held), no_verdict(whose));
        let late = check(now, looks, answer, ages(LATE));
        assert_eq!((late.state, late.looks.conflict), (now, flagged), "{now:?}");
        let early = check(now, looks, answer, ages(EARLY));
        assert_eq!((early.state, early.looks.conflict), (now, false));
        let overtaken = overtaken(now, looks, answer, ages(LATE));
        assert_eq!((overtaken.state, overtaken.looks.conflict), (now, false));
        let again = check(now, late.looks, answer, ages(EARLY));
        assert_eq!(
            again.looks.conflict, flagged,
            "no such answer takes it away"
        );
    }
}

#[test]
fn at_the_ladders_end_the_providers_verdict_stands_flagged_where_the_last_hint_differs() {
    for (hint, verdict, flagged) in [
        (Some(Rejected), Verified, true),
        (Some(Verified), InReview, true),
        (Some(InReview), Verified, true),
        (Some(Verified), Rejected, true),
        (Some(Rejected), Rejected, false),
        (Some(Submitted), Verified, false),
        (None, Rejected, false),
    ] {
        let now = state(Rejected, None);
        let before = check(
            now,
            hinted(hint),
            says(verdict),
            ages(AT_THE_END - minutes(1)),
        );
        assert!(!before.looks.conflict, "{hint:?} against {verdict}");
        let end = check(before.state, before.looks, says(verdict), ages(AT_THE_END));
        assert_eq!((told(end), end.looks.conflict), ((verdict, None), flagged));
        let swept = check(end.state, end.looks, says(verdict), ages(DAY));
        assert_eq!(swept.looks.conflict, flagged, "the sweep leaves the flag");
        let once = check(now, hinted(hint), says(verdict), ages(DAY));
        assert_eq!(once.looks.conflict, flagged, "all rungs at once");
    }
    let swept = Looks {
        step: SWEEP,
        ..hinted(Some(Verified))
    };
    let news = check(state(Verified, None), swept, says(Rejected), ages(DAY));
    assert!(
        !news.looks.conflict,
        "later the provider may well say something new"
    );
}

#[test]
fn the_answer_that_the_last_hint_said_an_override_and_the_next_attempt_take_the_flag_away() {
    let flagged = |hint| Looks {
        conflict: true,
        ..hinted(hint)
    };
    for (hint, answer, remains) in [
        (Some(Rejected), says(Rejected), false),
        (Some(Rejected), says(Verified), true),
        (Some(Rejected), says(InReview), true),
        (Some(Verified), says(Verified), false),
        (None, says(Verified), false),
        (None, says(InReview), false),
        (Some(Rejected), Answer::NONE, true),
        (None, Answer::NONE, true),
        (
            Some(Verified),
            Answer {
                whose: Whose::EarlierAttempt,
                ..says(Verified)
            },
            true,
        ),
    ] {
        for at in [EARLY, LATE, AT_THE_END] {
            let settled = check(state(Pending, None), flagged(hint), answer, ages(at));
            assert_eq!(settled.looks.conflict, remains, "{hint:?} {answer:?}");
        }
    }
    let looks = flagged(Some(Rejected));
    assert!(!looks.overruled().conflict && !looks.next_attempt().conflict);
    assert!(
        looks
            .hinted(None, state(Pending, None), state(Pending, None))
            .conflict
    );
}

#[test]
fn a_confirmed_verified_of_which_the_provider_has_had_no_verdict_for_a_day_is_held() {
    let at = |no_verdict| Ages {
        no_verdict,
        ..ages(Duration::MAX)
    };
    let almost = DAY - Duration::from_millis(1);
    let now = state(Verified, None);
    for answer in [Answer::NONE, no_verdict(Whose::ThisAttempt)] {
        let before = check(now, Looks::new(), answer, at(almost));
        assert_eq!((before.state, before.looks.conflict), (now, false));
        let held = check(now, Looks::new(), answer, at(DAY));
        assert_eq!(held.state, state(Verified, Some(InReview)));
        assert_eq!((held.state.shown(), held.agreed), (InReview, false));
        assert!(held.looks.conflict);
        let back = check(held.state, held.looks, says(Verified), at(JUST_NOW));
        assert_eq!((back.state, back.looks.conflict), (now, false));
        let late = Ages {
            since_applied: LATE,
            ..at(DAY)
        };
        let denied = check(unconfirmed(Believed, None), Looks::new(), answer, late);
        assert_eq!(denied.state, unconfirmed(Denied, None));
        let early = check(unconfirmed(Believed, None), Looks::new(), answer, at(DAY));
        assert_eq!(early.state, unconfirmed(Believed, None));
        for other in [
            state(Verified, Some(Rejected)),
            state(Rejected, None),
            state(InReview, None),
            overridden(Verified, None),
        ] {
            assert_eq!(check(other, Looks::new(), answer, at(DAY)).state, other);
        }
    }
}

/// Of an override: the status, the held news, the verdict known before, and the one answered; then
/// the held news and the flag.
type Overridden = (
    Status,
    Option<Status>,
    Option<Status>,
    Status,
    Option<Status>,
    bool,
);

#[rustfmt::skip]
const OVERRIDES: [Overridden; 10] = [
    (Verified, None,           None,           Rejected, Some(Rejected), true),
    (Verified, None,           None,           InReview, Some(InReview), true),
    (Verified, None,           Some(Rejected), Rejected, None,           true),
    (Verified, None,           Some(InReview), Rejected, Some(Rejected), true),
    (Verified, None,           None,           Verified, None,           false),
    (Verified, Some(Rejected), None,           Verified, Some(Rejected), false),
    (Rejected, None,           None,           Verified, None,           true),
    (Rejected, None,           None,           Rejected, None,           false),
    (Pending,  None,           None,           Verified, None,           true),
    (InReview, Some(Verified), None,           Verified, Some(Verified), true),
];

#[test]
fn against_an_override_a_different_verdict_is_flagged_and_held_only_once_and_of_a_verified() {
    for (now, held, known, verdict, left, flagged) in OVERRIDES {
        for conflict in [false, true] {
            let looks = Looks {
                verdict: known,
                conflict,
                ..hinted(Some(Verified))
            };
            let before = State {
                heard: false,
                ..overridden(now, held)
            };
            let after = State {
                held: left,
                heard: verdict.is_final(),
                ..before
            };
            for settled in [
                check(before, looks, says(verdict), ages(EARLY)),
                check(before, looks, says(verdict), ages(AT_THE_END)),
                overtaken(before, looks, says(verdict), ages(LATE)),
            ] {
                assert_eq!(settled.state, after, "{now} reads {verdict}");
                assert_eq!(settled.looks.conflict, flagged);
                assert_eq!(settled.agreed, !flagged);
                assert_eq!(settled.looks.verdict, Some(verdict));
            }
        }
    }
}

#[test]
fn a_verdict_that_was_answered_before_the_override_is_flagged_and_not_held() {
    let rejected = check(
        state(Pending, None),
        Looks::new(),
        says(Rejected),
        ages(LATE),
    );
    let verified = overridden(Verified, None);
    let settled = check(
        verified,
        rejected.looks.overruled(),
        says(Rejected),
        ages(LATE),
    );
    assert_eq!((settled.state, settled.looks.conflict), (verified, true));
    let next = check(
        verified,
        rejected.looks.next_attempt(),
        says(Rejected),
        ages(LATE),
    );
    assert_eq!(told(next), (Verified, Some(Rejected)));
}
