//! When checks come, in which lane, and what a hint does to them.

use super::*;

#[test]
fn every_hint_counts_and_begins_the_ladder_and_the_last_above_submitted_is_kept() {
    let any = state(Pending, None);
    let mut looks = Looks::new();
    for (seq, target, kept) in [
        (1, Some(Submitted), None),
        (2, Some(InReview), Some(InReview)),
        (3, None, Some(InReview)),
        (4, Some(Rejected), Some(Rejected)),
        (5, Some(Submitted), Some(Rejected)),
        (6, Some(Verified), Some(Verified)),
    ] {
        let stalled = Looks {
            step: STALLED,
            ..looks
        };
        looks = stalled.hinted(target, any, any);
        assert_eq!((looks.hint_seq, looks.hint, looks.step), (seq, kept, 0));
        assert_eq!(stalled.hinted_again(), Looks { step: 0, ..stalled });
    }
}

#[test]
fn a_check_takes_the_next_ticket_and_remembers_the_hints_and_what_was_applied() {
    let looks = Looks {
        pull_ticket: 6,
        applied_ticket: 4,
        ..hinted(None)
    };
    let (begun, ticket) = looks.begun();
    assert_eq!(
        begun,
        Looks {
            pull_ticket: 7,
            ..looks
        }
    );
    assert_eq!(
        ticket,
        Ticket {
            number: 7,
            seen: 1,
            applied: 4
        }
    );
}

/// The pauses in seconds between checks that all bring this, each made as soon as it is due.
fn pauses(now: State, looks: Looks, answer: Answer, count: usize) -> Vec<u64> {
    let (mut now, mut looks) = (now, looks);
    let (mut since, mut pauses) = (Duration::ZERO, Vec::new());
    for _ in 0..count {
        let at = Ages {
            since_applied: since,
            ..ages(since)
        };
        let pause = looks.pause(now, at);
        since += pause;
        let at = Ages {
            since_applied: since,
            ..ages(since)
        };
        let settled = check(now, looks, answer, at);
        (now, looks) = (settled.state, settled.looks);
        pauses.push(pause.as_secs());
    }
    pauses
}

#[test]
fn checks_follow_the_ladder_and_then_the_sweep() {
    let (minute, hour) = (60, 3600);
    let at = [0, 30, 5 * minute, 35 * minute].map(Duration::from_secs);
    assert_eq!(LADDER, at);
    let ladder = [0, 30, 270, 30 * minute];
    let day = 24 * hour;
    for (now, answer, sweep) in [
        (state(Verified, None), says(Verified), [day, day, day]),
        (unconfirmed(Believed, None), says(Verified), [day, day, day]),
        (state(Rejected, None), says(Rejected), [day, day, day]),
        (
            state(InReview, None),
            says(InReview),
            [hour, 6 * hour, 6 * hour],
        ),
        (
            state(Pending, None),
            Answer::NONE,
            [hour, 6 * hour, 6 * hour],
        ),
        (
            unconfirmed(Believed, None),
            Answer::NONE,
            [hour, 6 * hour, 6 * hour],
        ),
        (
            state(Rejected, Some(Verified)),
            Answer::NONE,
            [hour, 6 * hour, 6 * hour],
        ),
    ] {
        let found = pauses(now, hinted(Some(Verified)), answer, 7);
        assert_eq!(found, [&ladder[..], &sweep].concat(), "{now:?}");
    }
    let sweep = [minute, 5 * minute, 15 * minute, hour, 6 * hour, 6 * hour];
    for now in [state(Pending, None), state(Submitted, None)] {
        assert_eq!(pauses(now, Looks::new(), Answer::NONE, 6), sweep);
    }
    assert_eq!(
        pauses(unconfirmed(TimedOut, None), Looks::new(), Answer::NONE, 6),
        sweep
    );
}

#[test]
fn an_unconfirmed_verified_is_due_30_s_after_it_was_applied_whatever_hints_came_since() {
    let (now, second) = (unconfirmed(Believed, None), Duration::from_secs(1));
    for (step, since_hint, since_applied, pause) in [
        (1, 0, 0, 30),
        (1, 0, 10, 20),
        (1, 5, 28, 2),
        (1, 29, 29, 1),
        (0, 0, 10, 0),
        (3, 300, 20, 10),
        (SWEEP, 0, 29, 1),
        (1, 0, 30, 30),
        (2, 30, 30, 270),
    ] {
        let looks = Looks {
            step,
            ..Looks::new()
        };
        let at = Ages {
            since_applied: second * since_applied,
            ..ages(second * since_hint)
        };
        assert_eq!(
            looks.pause(now, at),
            second * pause,
            "{step} {since_hint} {since_applied}"
        );
        for other in [state(Verified, None), unconfirmed(TimedOut, None)] {
            let without = Ages {
                since_applied: JUST_NOW,
                ..at
            };
            assert_eq!(looks.pause(other, at), looks.pause(other, without));
        }
    }
}

#[test]
fn a_check_that_comes_late_climbs_all_the_rungs_it_has_passed_and_one_that_is_overtaken_none() {
    let now = state(Pending, None);
    for (since_hint, step) in [
        (JUST_NOW, 1),
        (EARLY, 1),
        (LATE, 2),
        (minutes(6), 3),
        (AT_THE_END, AFTER_LADDER),
        (Duration::MAX, AFTER_LADDER),
    ] {
        let settled = check(now, hinted(None), Answer::NONE, ages(since_hint));
        assert_eq!(settled.looks.step, step);
        let further = Looks {
            step: 3,
            ..hinted(None)
        };
        let settled = check(now, further, Answer::NONE, ages(since_hint));
        assert_eq!(settled.looks.step, step.max(3), "none is climbed again");
        let settled = overtaken(now, further, Answer::NONE, ages(since_hint));
        assert_eq!(settled.looks.step, 0);
    }
}

#[test]
fn a_month_of_silence_leaves_an_undecided_user_to_an_admin_and_news_or_a_link_bring_it_back() {
    assert_eq!((STALLED_AFTER, WEEK), (30 * DAY, 7 * DAY));
    let silent = |quiet| Ages {
        quiet,
        ..ages(Duration::MAX)
    };
    let now = state(Submitted, None);
    let almost = STALLED_AFTER - Duration::from_millis(1);
    let watched = check(now, Looks::new(), Answer::NONE, silent(almost));
    assert_ne!(watched.looks.step, STALLED);
    let stalled = check(now, Looks::new(), Answer::NONE, silent(STALLED_AFTER)).looks;
    assert_eq!(
        (stalled.step, stalled.pause(now, silent(STALLED_AFTER))),
        (STALLED, WEEK)
    );
    assert_eq!(
        check(now, stalled, Answer::NONE, silent(DAY)).looks.step,
        LAST_SWEEP
    );
    assert_eq!(stalled.hinted(None, now, now).step, 0);
    assert_eq!(
        stalled.watched(),
        Looks {
            step: SWEEP,
            ..stalled
        }
    );
    assert_eq!(hinted(None).watched(), hinted(None));
    for decided in [
        state(Verified, None),
        state(Rejected, None),
        unconfirmed(Denied, None),
    ] {
        let settled = check(decided, Looks::new(), Answer::NONE, silent(STALLED_AFTER));
        assert_ne!(settled.looks.step, STALLED);
    }
}

#[test]
fn a_rejected_user_is_checked_weekly_after_a_month() {
    let since = |decided| Ages {
        decided,
        ..ages(Duration::MAX)
    };
    let pause = |decided| Looks::new().pause(state(Rejected, None), since(decided));
    assert_eq!(pause(STALLED_AFTER - Duration::from_millis(1)), DAY);
    assert_eq!(pause(STALLED_AFTER), WEEK);
    assert_eq!(
        Looks::new().pause(state(Verified, None), since(STALLED_AFTER)),
        DAY
    );
}

#[test]
fn the_sweep_begins_where_the_ladder_ends() {
    for (step, rung) in [(0, Some(0)), (3, Some(3)), (SWEEP, None), (STALLED, None)] {
        let looks = Looks {
            step,
            ..Looks::new()
        };
        assert_eq!((looks.rung(), looks.is_sweep()), (rung, rung.is_none()));
    }
}

#[test]
fn the_lane_tells_why_a_regular_check_is_due() {
    assert_eq!(YOUNG, minutes(60));
    let almost = YOUNG - Duration::from_millis(1);
    for (now, linked, lane) in [
        (unconfirmed(Believed, None), JUST_NOW, Lane::Unconfirmed),
        (
            unconfirmed(Believed, Some(Rejected)),
            YOUNG,
            Lane::Unconfirmed,
        ),
        (unconfirmed(Denied, None), JUST_NOW, Lane::Sweep),
        (state(Verified, None), JUST_NOW, Lane::Sweep),
        (state(Rejected, None), JUST_NOW, Lane::Sweep),
        (state(Pending, None), almost, Lane::Young),
        (state(InReview, None), almost, Lane::Young),
        (state(Submitted, None), YOUNG, Lane::Sweep),
    ] {
        let at = Ages {
            linked,
            ..ages(Duration::MAX)
        };
        assert_eq!(Looks::new().lane(now, at), lane, "{now:?}");
    }
}

#[test]
fn no_lane_takes_a_pause_and_its_tenth_for_one_that_a_clock_set_back_has_made() {
    for (lane, longest) in [
        (Lane::Unconfirmed, LADDER[3]),
        (Lane::News, LADDER[3]),
        (Lane::Repeat, LADDER[3]),
        (Lane::Young, minutes(6 * 60)),
        (Lane::Sweep, WEEK),
    ] {
        assert!(longest + longest / 10 < lane.longest_pause());
        assert!(
            lane.longest_pause() < longest * 15,
            "{lane:?} notices a clock set back"
        );
    }
}

#[test]
fn every_lane_reads_back_as_itself_and_the_most_urgent_comes_first() {
    for lane in Lane::ALL {
        assert_eq!(Lane::from_word(lane.as_str()), Some(lane));
    }
    let words = ["unconfirmed", "news", "young", "repeat", "sweep"];
    assert_eq!(Lane::ALL.map(Lane::as_str), words);
    assert!(Lane::ALL.is_sorted());
    assert_eq!(Lane::from_word("urgent"), None);
}
