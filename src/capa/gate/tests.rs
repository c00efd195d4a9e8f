//! The gate: rates, shares, closing, and the calls in flight.

use proptest::prelude::*;
use reqwest::StatusCode;

use super::*;
use crate::clock::{Clock, Timestamp};

const START: Steady = Steady(Duration::from_secs(1_000));

fn after(seconds: u64) -> Steady {
    START.plus(Duration::from_secs(seconds))
}

fn down() -> Error {
    Error::Unavailable {
        reason: String::new(),
        retry_after: None,
    }
}

fn limited() -> Error {
    Error::RateLimited(Some(1))
}

#[test]
fn the_shares_are_the_whole_rate() {
    assert_eq!(SHARES.iter().sum::<i64>(), 100);
    let places: Vec<usize> = Lane::ALL.into_iter().map(place_of).collect();
    assert_eq!(places, [0, 1, 2, 3, 4]);
}

#[test]
fn nothing_is_saved_up_beyond_a_second_and_one_call_of_each() {
    let mut gate = Gate::new(20);
    let all = |gate: &mut Gate, now| {
        let mut calls = 0;
        for lane in Lane::ALL {
            let free = gate.free(lane, now, 100);
            gate.take(lane, free, now);
            calls += free;
        }
        while gate.lend(now) {
            calls += 1;
        }
        calls
    };
    // Half a call of two claimants is left.
    assert_eq!(all(&mut gate, START), 25);
    assert_eq!(all(&mut gate, START), 0);
    assert_eq!(all(&mut gate, after(1)), 20);
    assert_eq!(all(&mut gate, after(3_600)), 25);
    assert_eq!(gate.free(Lane::News, after(7_200), 2), 2);
}

#[test]
fn a_flood_of_one_lane_or_of_callers_leaves_the_others_their_share() {
    for rate in [1, 2, 20] {
        let mut gate = Gate::new(rate);
        let (mut news, mut sweep) = (0, 0);
        for step in 0..10_000 {
            let now = START.plus(Duration::from_millis(100) * step);
            while gate.lend(now) {}
            let repeats = gate.free(Lane::Repeat, now, 1_000);
            gate.take(Lane::Repeat, repeats, now);
            for (lane, made) in [(Lane::News, &mut news), (Lane::Sweep, &mut sweep)] {
                let free = gate.free(lane, now, 1_000);
                gate.take(lane, free, now);
                *made += free;
            }
        }
        let rate = usize::try_from(rate).unwrap();
        assert!(
            news + 1 >= 200 * rate && sweep + 1 >= 100 * rate,
            "{rate}: {news} {sweep}"
        );
    }
}

#[test]
fn a_lane_alone_gets_the_whole_rate_and_callers_still_get_theirs() {
    let mut gate = Gate::new(20);
    let (mut swept, mut lent) = (0, 0);
    for step in 0..2_000 {
        let now = START.plus(Duration::from_millis(500) * step);
        let free = gate.free(Lane::Sweep, now, 1_000);
        gate.take(Lane::Sweep, free, now);
        swept += free;
        if step >= 1_000 {
            while gate.lend(now) {
                lent += 1;
            }
        }
    }
    // 500 seconds alone, and 500 seconds beside callers who want all they can get.
    assert!(lent >= 500 * 5 && swept >= 500 * 20, "{swept} {lent}");
    assert!(swept + lent <= 1_000 * 20 + 26);
}

#[test]
fn each_429_halves_the_rate_and_each_minute_without_one_adds_a_tenth() {
    let mut gate = Gate::new(20);
    gate.learn(Err(&limited()), "u1", START);
    assert_eq!(gate.rate(START), 10_000);
    // Those were on their way.
    gate.learn(Err(&limited()), "u2", after(9));
    assert_eq!(gate.rate(after(9)), 10_000);
    gate.learn(Err(&limited()), "u2", after(10));
    assert_eq!(gate.rate(after(10)), 5_000);
    gate.learn(Ok(()), "u1", after(12));
    for (seconds, rate) in [(69, 5_000), (70, 7_000), (130, 9_000), (700, 20_000)] {
        assert_eq!(gate.rate(after(seconds)), rate, "{seconds}");
    }
    assert_eq!(gate.rate(Steady(Duration::MAX)), 20_000);
    gate.learn(Err(&limited()), "u1", after(130));
    assert_eq!(gate.rate(after(130)), 4_500);
    gate.set_rate(50);
    assert_eq!(gate.rate(after(130)), 4_500);
    assert_eq!(gate.rate(after(190)), 9_500);
    let mut gate = Gate::new(1);
    gate.learn(Err(&limited()), "u1", START);
    assert_eq!(gate.rate(START), 1_000);
}

#[test]
fn a_gate_that_was_slowed_lets_fewer_calls_through() {
    let made = |slowed: bool| {
        let mut gate = Gate::new(20);
        if slowed {
            gate.learn(Err(&limited()), "u1", START);
            gate.learn(Ok(()), "u1", START);
        }
        let mut made = 0;
        for step in 0..100 {
            let now = START.plus(Duration::from_millis(500) * step);
            let free = gate.free(Lane::Sweep, now, 100);
            gate.take(Lane::Sweep, free, now);
            made += free;
        }
        made
    };
    assert!((990..=1_026).contains(&made(false)), "{}", made(false));
    assert!((495..=520).contains(&made(true)), "{}", made(true));
}

#[test]
fn slow_calls_of_one_lane_leave_slots_to_the_others() {
    let mut calls = InFlight::new(16);
    assert_eq!(calls.slots(Lane::Repeat), 12);
    calls.begin(Lane::Repeat, 12);
    assert_eq!(calls.slots(Lane::Repeat), 0);
    for lane in [Lane::Unconfirmed, Lane::News, Lane::Young, Lane::Sweep] {
        assert_eq!(calls.slots(lane), 1, "{lane:?}");
        calls.begin(lane, 1);
        assert_eq!(calls.slots(lane), 0, "{lane:?}");
    }
    // What the flood gives back goes to whichever lane comes first, but for the flood's own slot.
    calls.end(Lane::Repeat, 12);
    assert_eq!(calls.slots(Lane::News), 11);
    calls.end(Lane::Repeat, 1);
    assert_eq!(
        (
            calls.slots(Lane::Repeat),
            InFlight::new(3).slots(Lane::News)
        ),
        (12, 3)
    );
}

proptest! {
    #[test]
    fn no_more_calls_are_under_way_than_may_be_and_each_lane_has_its_slot(
        at_once in 5..60usize,
        steps in proptest::collection::vec((0..5usize, any::<bool>(), 0..60usize), 0..60),
    ) {
        let mut calls = InFlight::new(at_once);
        for (lane, begins, count) in steps {
            let lane = Lane::ALL[lane];
            match begins {
                true => calls.begin(lane, count.min(calls.slots(lane))),
                false => calls.end(lane, count),
            }
            prop_assert!(calls.calls.iter().sum::<usize>() <= at_once);
            for lane in Lane::ALL {
                prop_assert!(calls.slots(lane) + calls.calls[place_of(lane)] >= 1);
            }
        }
    }
}

#[test]
fn failures_in_a_row_close_it_and_one_call_tries_again() {
    let mut gate = Gate::new(5);
    for _ in 0..4 {
        gate.learn(Err(&down()), "u1", START);
    }
    assert_eq!(gate.closed(START), None);
    gate.learn(Err(&down()), "u1", START);
    assert_eq!(gate.closed(START), Some(CLOSED_FOR));
    assert_eq!(gate.free(Lane::News, after(29), 9), 0);
    assert_eq!(gate.free(Lane::News, after(30), 9), 1);
    gate.take(Lane::News, 1, after(30));
    assert_eq!(gate.free(Lane::Sweep, after(30), 9), 0);
    gate.learn(Err(&down()), "u1", after(30));
    assert_eq!(gate.free(Lane::News, after(59), 9), 0);
    gate.learn(Ok(()), "u1", after(60));
    assert_eq!(gate.free(Lane::News, after(60), 9), 4);
}

#[test]
fn one_foreign_user_does_not_close_it_and_two_refusals_do() {
    let refused = Error::Unauthorized(StatusCode::UNAUTHORIZED);
    let mut gate = Gate::new(5);
    for _ in 0..9 {
        gate.learn(Err(&refused), "foreign", START);
        gate.learn(Err(&Error::UserNotFound), "other", START);
    }
    for _ in 0..9 {
        gate.learn(Err(&refused), "foreign", START);
    }
    assert_eq!(gate.closed(START), None);
    gate.learn(Err(&refused), "other", START);
    assert_eq!(gate.closed(START), Some(REFUSED_FOR));
    gate.learn(Ok(()), "other", after(61));
    gate.learn(Err(&refused), "other", after(61));
    assert_eq!(gate.closed(after(61)), None);
}

#[test]
fn an_unusable_answer_shows_that_the_provider_is_there_unless_a_gateway_may_have_given_it() {
    for (answer, open) in [
        (Error::Unusable(Unusable::OtherReference), true),
        (Error::Unusable(Unusable::NoReference), true),
        (Error::Unusable(Unusable::NoJson), false),
        (Error::Unusable(Unusable::Status), false),
        (Error::InvalidResponse(String::new()), false),
    ] {
        let mut gate = Gate::new(5);
        for _ in 0..5 {
            gate.learn(Err(&down()), "u1", START);
        }
        gate.learn(Err(&answer), "u1", START);
        assert_eq!(gate.closed(START).is_none(), open, "{answer}");
    }
}

#[test]
fn a_clock_that_is_set_neither_opens_the_gate_nor_shuts_it() {
    let clock = Clock::driven(Timestamp(1_800_000_000_000_000));
    let mut gate = Gate::new(5);
    gate.learn(Err(&Error::RateLimited(Some(60))), "u1", clock.steady());
    clock.set_ahead(Duration::from_secs(3_600));
    assert_eq!(gate.closed(clock.steady()), Some(Duration::from_secs(60)));
    clock.set_back(Duration::from_secs(7_200));
    clock.advance(Duration::from_secs(60));
    assert_eq!(gate.closed(clock.steady()), None);
    assert_eq!(gate.free(Lane::News, clock.steady(), 9), 1);
}

#[test]
fn the_provider_says_when_to_come_again() {
    let mut gate = Gate::new(5);
    gate.learn(Err(&Error::RateLimited(Some(7))), "u1", START);
    assert_eq!(gate.closed(after(6)), Some(Duration::from_secs(1)));
    assert_eq!(gate.closed(after(7)), None);
    let busy = Error::Unavailable {
        reason: String::new(),
        retry_after: Some(120),
    };
    gate.learn(Err(&busy), "u1", after(7));
    assert_eq!(gate.closed(after(7)), Some(Duration::from_secs(120)));
}
