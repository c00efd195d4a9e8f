//! Times, ids, and what the clock tells when it is set.

use proptest::prelude::*;

use super::*;

#[test]
fn times_are_shown_in_utc_with_milliseconds_and_read_with_any_offset() {
    let time: Timestamp = "2026-11-23T21:20:00.123456+02:00".parse().unwrap();
    assert_eq!(time.to_string(), "2026-11-23T19:20:00.123Z");
    assert_eq!(time.0 % 1_000_000, 123_456);
    assert!("2026-11-23".parse::<Timestamp>().is_err());
}

#[test]
fn ids_sort_in_the_order_made_even_when_the_clock_stands_still() {
    let clock = Clock::driven(Timestamp(1_800_000_000_000_000));
    let made: Vec<String> = (0..1_000).map(|_| clock.id()).collect();
    let mut sorted = made.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(made, sorted);
}

#[test]
fn ids_made_since_a_millisecond_began_are_told_from_those_made_before() {
    let clock = Clock::driven(Timestamp(1_800_000_000_123_999));
    let made = clock.id();
    for (micros, since) in [
        (i64::MIN, true),
        (0, true),
        (1_799_999_999_999_999, true),
        (1_800_000_000_122_999, true),
        (1_800_000_000_123_000, true),
        (1_800_000_000_123_999, true),
        (1_800_000_000_124_000, false),
        (1_800_000_001_000_000, false),
    ] {
        assert_eq!(made >= Timestamp(micros).first_id(), since, "{micros}");
    }
}

#[test]
fn ids_of_a_moment_and_later_sort_behind_its_first_and_those_of_before_do_not() {
    let clock = Clock::driven(Timestamp(1_800_000_000_000_999));
    let before: Vec<String> = (0..1_000).map(|_| clock.id()).collect();
    clock.advance(Duration::from_micros(1));
    let first = clock.now().first_id();
    assert!(before.iter().all(|id| *id < first));
    assert!((0..1_000).all(|_| clock.id() > first));
    let (never, last) = (Timestamp(-1).first_id(), Timestamp(i64::MAX).first_id());
    assert!(never < first && first < last);
}

const NOON: Timestamp = Timestamp(1_800_000_000_000_000);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_age_of_a_time_that_lies_ahead_is_what_the_caller_chooses() {
    let micro = Duration::from_micros(1);
    for (stored, expected) in [
        (Timestamp(i64::MIN), Duration::from_micros(u64::MAX >> 1)),
        (NOON.minus(seconds(90)), seconds(90)),
        (NOON, Duration::ZERO),
        (NOON.plus(seconds(5)), Duration::ZERO),
        (NOON.plus(seconds(5) + micro), seconds(77)),
        (Timestamp(i64::MAX), seconds(77)),
    ] {
        assert_eq!(NOON.age(stored, seconds(77)), expected, "{stored:?}");
        assert_eq!(stored.is_ahead_of(NOON), expected == seconds(77));
    }
}

#[test]
fn a_driven_clock_moves_both_times_and_a_jump_moves_the_wall_time_alone() {
    let clock = Clock::driven(NOON);
    let began = clock.steady();
    clock.advance(seconds(60));
    assert_eq!(clock.now(), NOON.plus(seconds(60)));
    clock.set_ahead(seconds(3600));
    assert_eq!(clock.now(), NOON.plus(seconds(3660)));
    clock.set_back(seconds(7200));
    clock.jump(-1);
    assert_eq!(clock.now(), Timestamp(NOON.0 - 3_540_000_001));
    assert_eq!(clock.steady().since(began), seconds(60));
    assert_eq!(began.since(clock.steady()), Duration::ZERO);
    assert_eq!(began.plus(seconds(60)), clock.steady());
    assert!(began < clock.steady());
}

#[test]
fn the_system_clock_goes_forward_and_its_two_times_agree() {
    let clock = Clock::system();
    let (wall, steady) = (clock.now(), clock.steady());
    assert!(clock.now() >= wall && clock.steady() >= steady);
    assert_eq!((clock.take_jump(), clock.past().eras.len()), (None, 1));
    let before = clock.steady();
    clock.advance(seconds(3600));
    clock.set_back(seconds(3600));
    assert!(clock.steady().since(before) < seconds(3600));
    assert!(!wall.is_ahead_of(clock.now()));
}

#[test]
fn a_jump_is_noticed_when_the_time_is_asked_for_and_told_once() {
    let clock = Clock::driven(NOON);
    clock.set_back(seconds(3600));
    assert_eq!(clock.take_jump(), None);
    clock.now();
    clock.advance(seconds(1));
    clock.set_ahead(seconds(6));
    clock.now();
    let jump = |back, by| {
        Some(Jump {
            back,
            by: seconds(by),
        })
    };
    assert_eq!(clock.take_jump(), jump(true, 3600));
    assert_eq!(clock.clone().take_jump(), jump(false, 6));
    assert_eq!(clock.take_jump(), None);
    clock.now();
    assert_eq!(clock.take_jump(), None);
}

#[test]
fn jumps_that_nothing_takes_are_kept_up_to_a_number() {
    let clock = Clock::driven(NOON);
    for by in 10..60 {
        clock.set_ahead(seconds(by));
        clock.now();
    }
    let told: Vec<Jump> = std::iter::from_fn(|| clock.take_jump()).collect();
    assert_eq!(told.len(), REMEMBERED);
    assert_eq!(told.last().map(|jump| jump.by), Some(seconds(59)));
    assert_eq!(clock.past().eras.len(), REMEMBERED);
}

#[test]
fn what_was_before_all_remembered_jumps_is_at_least_as_old_as_they_are() {
    let clock = Clock::driven(NOON);
    let before = clock.now();
    for _ in 0..REMEMBERED + 5 {
        clock.advance(seconds(10));
        clock.set_ahead(seconds(3600));
        clock.now();
    }
    clock.advance(seconds(7));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(157));
    let latest = clock.past().eras.back().map(|era| era.offset);
    assert_eq!(latest, Some(clock.0.offset.load(Ordering::Relaxed)));
}

#[test]
fn a_clock_that_drifts_is_followed_and_did_not_jump() {
    let clock = Clock::driven(NOON);
    for _ in 0..1_000 {
        clock.advance(seconds(60));
        clock.jump(-30_000);
        clock.now();
    }
    assert_eq!(clock.take_jump(), None);
    assert_eq!(clock.steady(), Steady(seconds(60_000)));
    assert_eq!(clock.now(), NOON.plus(seconds(60_000 - 30)));
    clock.set_ahead(seconds(7));
    clock.now();
    assert!(clock.take_jump().is_some_and(|jump| !jump.back));
}

#[test]
fn what_was_before_a_jump_ahead_is_no_older_for_it() {
    let clock = Clock::driven(NOON);
    let before = clock.now();
    clock.advance(seconds(10));
    clock.set_ahead(seconds(3600));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(10));
    let after = clock.now();
    clock.advance(seconds(25));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(35));
    assert_eq!(clock.elapsed(after, Duration::MAX), seconds(25));
    assert_eq!(clock.now().age(before, Duration::MAX), seconds(3635));
    // What was stored before the process began is as old as it was then, and what has passed since.
    let stored = NOON.minus(seconds(100));
    assert_eq!(clock.elapsed(stored, Duration::MAX), seconds(135));
    // No clock of this process has shown it.
    let between = NOON.plus(seconds(1800));
    assert_eq!(clock.elapsed(between, Duration::MAX), seconds(25));
}

#[test]
fn a_jump_that_is_taken_back_leaves_ages_right() {
    let clock = Clock::driven(NOON);
    let before = clock.now();
    clock.advance(seconds(10));
    clock.set_ahead(seconds(3600));
    let meanwhile = clock.now();
    clock.advance(seconds(10));
    clock.set_back(seconds(3600));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(20));
    assert_eq!(clock.elapsed(meanwhile, seconds(77)), seconds(77));
    clock.advance(seconds(3600));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(3620));
    assert_eq!(clock.elapsed(meanwhile, Duration::MAX), seconds(10));
}

#[test]
fn after_a_jump_back_the_wall_clock_says_the_lesser_age() {
    let clock = Clock::driven(NOON);
    let before = clock.now();
    clock.advance(seconds(600));
    clock.set_back(seconds(300));
    assert_eq!(clock.elapsed(before, Duration::MAX), seconds(300));
    clock.set_back(seconds(600));
    assert_eq!(clock.elapsed(before, Duration::ZERO), Duration::ZERO);
    assert_eq!(clock.elapsed(before, Duration::MAX), Duration::MAX);
}

proptest! {
    #[test]
    fn no_age_is_more_than_either_clock_says(
        steps in proptest::collection::vec((0..100i64, -4_000..4_000i64), 0..40),
        taken in 0usize..40,
    ) {
        let clock = Clock::driven(NOON);
        let mut found = None;
        for (step, (passed, by)) in steps.into_iter().enumerate() {
            clock.advance(seconds(passed.unsigned_abs()));
            // The odd ones are set, the even ones are not.
            clock.jump(by % 2 * by.abs() * 1_000_000);
            let now = clock.now();
            if step == taken {
                found = Some((now, clock.steady()));
            }
            if let Some((then, steady)) = found {
                let age = clock.elapsed(then, Duration::ZERO);
                prop_assert!(age <= now.since(then));
                prop_assert!(age <= clock.steady().since(steady) + DRIFT);
            }
        }
    }
}
