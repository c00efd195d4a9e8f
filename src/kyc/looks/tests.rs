//! The rule of looks as tables, and what must hold for every input there is.

use proptest::prelude::*;

use super::*;
use Status::{InReview, Pending, Rejected, Submitted, Verified};

const EARLY: Duration = Duration::from_secs(1);
const LATER: Duration = Duration::from_secs(31);
const AT_THE_END: Duration = minutes(36);

fn state(status: Status, held: Option<Status>) -> State {
    State {
        status,
        held,
        ..State::opened(1)
    }
}

/// After one hint that said `hint`.
fn hinted(hint: Option<Status>) -> Looks {
    Looks::new().hinted(hint, false)
}

fn ages(since_hint: Duration) -> Ages {
    Ages {
        since_hint,
        unconfirmed: Duration::ZERO,
        quiet: Duration::ZERO,
        decided: Duration::ZERO,
    }
}

fn answer(verdict: Option<Status>) -> Answer {
    Answer {
        verdict,
        of_this_attempt: true,
    }
}

/// A look that began that long after the last hint, with nothing in between.
fn look(state: State, looks: Looks, verdict: Option<Status>, since_hint: Duration) -> Settled {
    let (looks, ticket) = looks.begun();
    settle(state, looks, ticket, answer(verdict), ages(since_hint)).unwrap()
}

fn told(settled: Settled) -> (Status, Option<Status>) {
    (settled.state.status, settled.state.held)
}

#[test]
fn a_verdict_of_the_provider_is_the_status_whatever_it_was() {
    for now in Status::ALL {
        for verdict in [InReview, Verified, Rejected] {
            let settled = look(state(now, None), Looks::new(), Some(verdict), Duration::MAX);
            assert_eq!(told(settled), (verdict, None), "{now} reads {verdict}");
            assert!(settled.agreed && settled.looks.confirmed);
            assert_eq!(settled.looks.verdict, Some(verdict));
        }
    }
}

#[test]
fn a_doubt_older_than_the_last_hint_is_not_lifted_early_by_what_agrees_with_the_doubt_alone() {
    for (now, last_hint) in [(InReview, InReview), (Rejected, Rejected)] {
        let doubted = state(now, Some(Verified));
        let looks = hinted(Some(Verified)).hinted(Some(last_hint), true);
        let early = look(doubted, looks, Some(Verified), EARLY);
        assert_eq!(told(early), (now, Some(Verified)), "{now}");
        let later = look(doubted, looks, Some(Verified), LATER);
        assert_eq!(told(later), (Verified, None), "{now}");
    }
}

#[test]
fn a_doubt_is_lifted_early_only_by_what_agrees_with_it() {
    for (now, held, verdict, early, later) in [
        (
            Verified,
            Rejected,
            Rejected,
            (Rejected, None),
            (Rejected, None),
        ),
        (
            Verified,
            Rejected,
            Verified,
            (Verified, Some(Rejected)),
            (Verified, None),
        ),
        (
            Verified,
            InReview,
            InReview,
            (InReview, None),
            (InReview, None),
        ),
        (
            Verified,
            InReview,
            Verified,
            (Verified, Some(InReview)),
            (Verified, None),
        ),
        (
            Verified,
            InReview,
            Rejected,
            (Rejected, Some(InReview)),
            (Rejected, None),
        ),
        (
            Rejected,
            Verified,
            Verified,
            (Verified, None),
            (Verified, None),
        ),
        (
            Rejected,
            Verified,
            Rejected,
            (Rejected, Some(Verified)),
            (Rejected, None),
        ),
        (
            Pending,
            Verified,
            Verified,
            (Verified, None),
            (Verified, None),
        ),
        (
            Pending,
            Verified,
            Rejected,
            (Rejected, Some(Verified)),
            (Rejected, None),
        ),
    ] {
        let doubted = state(now, Some(held));
        for (since_hint, wanted) in [(EARLY, early), (LATER, later)] {
            let settled = look(doubted, hinted(Some(held)), Some(verdict), since_hint);
            assert_eq!(
                told(settled),
                wanted,
                "{now} doubted by {held} reads {verdict}"
            );
        }
    }
}

#[test]
fn verified_waits_where_the_last_hint_was_bad_news() {
    for (hint, early) in [(Rejected, Rejected), (InReview, InReview)] {
        let now = state(hint, None);
        let settled = look(now, hinted(Some(hint)), Some(Verified), EARLY);
        assert_eq!((told(settled), settled.agreed), ((early, None), false));
        let settled = look(now, hinted(Some(hint)), Some(Verified), LATER);
        assert_eq!((told(settled), settled.agreed), ((Verified, None), true));
    }
    for hint in [None, Some(Submitted), Some(Verified)] {
        let settled = look(state(Pending, None), hinted(hint), Some(Verified), EARLY);
        assert_eq!(told(settled), (Verified, None), "{hint:?}");
    }
}

#[test]
fn a_hint_on_the_way_keeps_verified_from_being_believed_and_nothing_else() {
    for verdict in [InReview, Verified, Rejected] {
        let (looks, ticket) = Looks::new().begun();
        let looks = looks.hinted(Some(Submitted), false);
        let settled = settle(
            state(Pending, None),
            looks,
            ticket,
            answer(Some(verdict)),
            ages(LATER),
        )
        .unwrap();
        let wanted = if verdict == Verified {
            Pending
        } else {
            verdict
        };
        assert_eq!(settled.state.status, wanted);
        assert_eq!(settled.looks.step, 0, "the user stays due");
    }
}

#[test]
fn a_look_that_was_overtaken_by_a_later_one_is_dropped() {
    let (looks, first) = Looks::new().begun();
    let (looks, second) = looks.begun();
    let now = state(Pending, None);
    let later = settle(now, looks, second, answer(Some(Rejected)), ages(LATER)).unwrap();
    let late = settle(
        later.state,
        later.looks,
        first,
        answer(Some(Verified)),
        ages(LATER),
    );
    assert_eq!(late, None);
}

#[test]
fn looks_on_their_way_do_not_outlive_an_attempt_or_an_override() {
    let (looks, ticket) = Looks::new().begun();
    for fenced in [looks.next_attempt(), looks.overruled()] {
        let late = settle(
            state(Pending, None),
            fenced,
            ticket,
            answer(Some(Verified)),
            ages(LATER),
        );
        assert_eq!(late, None);
    }
    assert_eq!(looks.next_attempt().step, SWEEP);
}

#[test]
fn without_a_verdict_nothing_moves_but_what_is_unfounded() {
    for now in Status::ALL {
        for since_hint in [EARLY, LATER] {
            let settled = look(state(now, None), hinted(Some(now)), None, since_hint);
            assert_eq!(told(settled), (now, None), "{now}");
            assert_eq!(settled.agreed, !now.is_final());
        }
    }
    let verified = state(Verified, None);
    let end = look(verified, hinted(Some(Verified)), None, AT_THE_END);
    assert_eq!(
        (told(end), end.looks.conflict),
        ((Verified, Some(InReview)), true)
    );
    let confirmed = Looks {
        confirmed: true,
        ..hinted(Some(Verified))
    };
    let end = look(verified, confirmed, None, AT_THE_END);
    assert_eq!(told(end), (Verified, None));
    let (looks, ticket) = Looks::new().begun();
    let a_day = Ages {
        unconfirmed: DAY,
        ..ages(Duration::MAX)
    };
    let end = settle(verified, looks, ticket, answer(None), a_day).unwrap();
    assert_eq!(
        (told(end), end.looks.conflict),
        ((Verified, Some(InReview)), true)
    );
}

#[test]
fn a_created_that_may_be_old_counts_once_the_provider_has_a_session_of_this_attempt() {
    let now = state(Pending, Some(Submitted));
    let settled = look(now, hinted(Some(Submitted)), None, EARLY);
    assert_eq!(told(settled), (Submitted, None));
    let (looks, ticket) = hinted(Some(Submitted)).begun();
    let earlier = Answer {
        verdict: Some(Verified),
        of_this_attempt: false,
    };
    let settled = settle(now, looks, ticket, earlier, ages(LATER)).unwrap();
    assert_eq!(told(settled), (Pending, Some(Submitted)));
}

#[test]
fn the_ladders_end_flags_what_the_provider_denies() {
    for (hint, verdict, conflict) in [
        (Rejected, Some(Verified), true),
        (Rejected, Some(Rejected), false),
        (Verified, Some(InReview), true),
        (InReview, Some(Verified), true),
        (Rejected, None, true),
        (InReview, None, false),
    ] {
        let before = look(state(Rejected, None), hinted(Some(hint)), verdict, LATER);
        assert!(!before.looks.conflict, "{hint} against {verdict:?}");
        let end = look(before.state, before.looks, verdict, AT_THE_END);
        assert_eq!(end.looks.conflict, conflict, "{hint} against {verdict:?}");
        let agreed = look(end.state, end.looks, Some(hint), DAY);
        assert!(!agreed.looks.conflict);
    }
}

#[test]
fn against_an_override_bad_news_is_held_once_and_everything_is_reported() {
    let verified = State {
        overridden: true,
        ..state(Verified, None)
    };
    let news = look(verified, Looks::new(), Some(Rejected), Duration::MAX);
    assert_eq!(
        (told(news), news.looks.conflict),
        ((Verified, Some(Rejected)), true)
    );
    let known = Looks {
        verdict: Some(Rejected),
        ..Looks::new()
    };
    let settled = look(verified, known, Some(Rejected), Duration::MAX);
    assert_eq!(
        (told(settled), settled.looks.conflict),
        ((Verified, None), true)
    );
    let agreed = look(news.state, news.looks, Some(Verified), Duration::MAX);
    assert_eq!(
        (told(agreed), agreed.looks.conflict),
        ((Verified, None), false)
    );
    let rejected = State {
        overridden: true,
        ..state(Rejected, None)
    };
    let settled = look(rejected, Looks::new(), Some(Verified), Duration::MAX);
    assert_eq!(
        (told(settled), settled.looks.conflict),
        ((Rejected, None), true)
    );
}

/// The pauses between looks that all bring this, each made as soon as it is due.
fn pauses(now: State, mut looks: Looks, verdict: Option<Status>, count: usize) -> Vec<u64> {
    let (mut since_hint, mut pauses) = (Duration::ZERO, Vec::new());
    let mut now = now;
    for _ in 0..count {
        let pause = looks.pause(now, ages(since_hint));
        since_hint += pause;
        let settled = look(now, looks, verdict, since_hint);
        (now, looks) = (settled.state, settled.looks);
        pauses.push(pause.as_secs() / 30);
    }
    pauses
}

#[test]
fn looks_follow_the_ladder_and_then_the_sweep() {
    let (minute, hour) = (2, 120);
    let ladder = [0, 1, 9, 60];
    assert_eq!(
        pauses(
            state(Verified, None),
            hinted(Some(Verified)),
            Some(Verified),
            6
        ),
        [&ladder[..], &[24 * hour, 24 * hour]].concat()
    );
    assert_eq!(
        pauses(state(InReview, None), hinted(Some(InReview)), None, 7),
        [&ladder[..], &[hour, 6 * hour, 6 * hour]].concat()
    );
    assert_eq!(
        pauses(state(Pending, None), Looks::new(), None, 6),
        [minute, 5 * minute, 15 * minute, hour, 6 * hour, 6 * hour]
    );
}

#[test]
fn a_look_that_comes_late_climbs_all_the_rungs_it_has_passed() {
    let settled = look(state(Pending, None), hinted(None), None, minutes(6));
    assert_eq!(settled.looks.step, 3);
    let settled = look(state(Pending, None), hinted(None), None, DAY);
    assert_eq!(settled.looks.step, AFTER_LADDER);
}

#[test]
fn a_month_of_silence_leaves_the_user_to_a_person_and_a_hint_brings_it_back() {
    let (looks, ticket) = Looks::new().begun();
    let silent = Ages {
        quiet: STALLED_AFTER,
        ..ages(Duration::MAX)
    };
    let now = state(Submitted, None);
    let stalled = settle(now, looks, ticket, answer(None), silent).unwrap();
    assert_eq!(stalled.looks.step, STALLED);
    assert_eq!(stalled.looks.pause(now, silent), WEEK);
    assert_eq!(stalled.looks.hinted(None, false).step, 0);
    let decided = settle(state(Verified, None), looks, ticket, answer(None), silent).unwrap();
    assert_ne!(decided.looks.step, STALLED);
}

#[test]
fn the_rejected_are_looked_at_weekly_after_a_month() {
    let mut age = ages(Duration::MAX);
    assert_eq!(Looks::new().pause(state(Rejected, None), age), DAY);
    age.decided = STALLED_AFTER;
    assert_eq!(Looks::new().pause(state(Rejected, None), age), WEEK);
}

#[test]
fn the_session_tells_which_attempt_an_answer_speaks_of() {
    let session = |id, created_at| Some(Session { id, created_at });
    let (first, second) = (session("s1", Some(10)), session("s2", Some(20)));
    for (found, earlier, current, wanted) in [
        (first, None, None, Whose::ThisAttempt),
        (None, None, None, Whose::ThisAttempt),
        (None, first, None, Whose::EarlierAttempt),
        (first, first, None, Whose::EarlierAttempt),
        (session("s0", Some(9)), first, None, Whose::EarlierAttempt),
        (session("s0", Some(10)), first, None, Whose::EarlierAttempt),
        (second, first, None, Whose::ThisAttempt),
        (second, first, second, Whose::ThisAttempt),
        (session("s1b", Some(15)), first, second, Whose::Outdated),
        (session("s3", Some(30)), first, second, Whose::ThisAttempt),
        (session("s1", None), first, None, Whose::EarlierAttempt),
        (session("s3", None), first, second, Whose::ThisAttempt),
    ] {
        assert_eq!(whose(found, earlier, current), wanted, "{found:?}");
    }
}

#[test]
fn every_lane_reads_back_as_itself() {
    for lane in Lane::ALL {
        assert_eq!(Lane::from_word(lane.as_str()), Some(lane));
    }
}

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

fn any_state() -> impl Strategy<Value = State> {
    let held = prop::option::of(any_status());
    (1..5_i64, any_status(), held, any::<bool>()).prop_map(|(attempt, status, held, overridden)| {
        State {
            attempt,
            status,
            held,
            overridden,
        }
    })
}

fn any_looks() -> impl Strategy<Value = Looks> {
    let hint = prop::option::of(any_status());
    let verdict = prop::option::of(any_status());
    let numbers = (0..9_i64, 0..9_i64, 0..9_i64, -1..12_i64);
    (numbers, hint, verdict, any::<bool>(), any::<bool>()).prop_map(
        |((hint_seq, pull_ticket, applied_ticket, step), hint, verdict, confirmed, conflict)| {
            Looks {
                hint_seq,
                hint,
                pull_ticket,
                applied_ticket,
                step,
                verdict,
                confirmed,
                conflict,
            }
        },
    )
}

fn any_answer() -> impl Strategy<Value = Answer> {
    let verdict = prop::option::of(prop::sample::select(vec![InReview, Verified, Rejected]));
    (verdict, any::<bool>()).prop_map(|(verdict, of_this_attempt)| Answer {
        verdict,
        of_this_attempt,
    })
}

fn any_ages() -> impl Strategy<Value = Ages> {
    let span = || prop::sample::select(vec![0, 1, 29, 30, 300, 2100, 86_400, 2_592_000, u64::MAX]);
    (span(), span(), span(), span()).prop_map(|(since_hint, unconfirmed, quiet, decided)| Ages {
        since_hint: Duration::from_secs(since_hint),
        unconfirmed: Duration::from_secs(unconfirmed),
        quiet: Duration::from_secs(quiet),
        decided: Duration::from_secs(decided),
    })
}

proptest! {
    #[test]
    fn no_answer_moves_an_override_or_opens_an_attempt(
        before in any_state(), looks in any_looks(), number in 0..9_i64, seen in 0..9_i64,
        answer in any_answer(), ages in any_ages(),
    ) {
        let ticket = Ticket { number, seen };
        let settled = settle(before, looks, ticket, answer, ages);
        prop_assert_eq!(settled.is_none(), number <= looks.applied_ticket);
        if let Some(settled) = settled {
            prop_assert_eq!(settled.state.attempt, before.attempt);
            prop_assert_eq!(settled.state.overridden, before.overridden);
            prop_assert_eq!(settled.looks.applied_ticket, number);
            if before.overridden {
                prop_assert_eq!(settled.state.status, before.status);
            }
        }
    }

    #[test]
    fn only_a_verdict_of_this_attempt_that_no_hint_overtook_makes_anybody_verified(
        before in any_state(), looks in any_looks(), seen in 0..9_i64, answer in any_answer(), ages in any_ages(),
    ) {
        let ticket = Ticket { number: 10, seen };
        if let Some(settled) = settle(before, looks, ticket, answer, ages)
            && before.shown() != Verified && settled.state.shown() == Verified
        {
            prop_assert_eq!(answer, Answer { verdict: Some(Verified), of_this_attempt: true });
            prop_assert_eq!(seen, looks.hint_seq);
        }
    }

    #[test]
    fn the_same_answer_again_changes_nothing_more(
        before in any_state(), looks in any_looks(), answer in any_answer(),
    ) {
        let last = |state, looks: Looks, number| {
            let ticket = Ticket { number, seen: looks.hint_seq };
            settle(state, looks, ticket, answer, ages(Duration::MAX)).unwrap()
        };
        let once = last(before, looks, 20);
        let twice = last(once.state, once.looks, 21);
        prop_assert_eq!(once.state, twice.state);
    }

    #[test]
    fn there_is_always_a_next_look_within_a_week(
        state in any_state(), looks in any_looks(), ages in any_ages(),
    ) {
        prop_assert!(looks.pause(state, ages) <= WEEK);
    }
}
