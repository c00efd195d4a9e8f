//! How often something may be done: a bucket that time fills and each call takes from.
//!
//! Time is a parameter, by the steady clock, so that setting the wall clock brings no call and delays none. It counts in millionths of a call, which are what a rate of one call a second brings in a
//! microsecond, so that a whole rate is kept exactly.

use std::time::Duration;

use crate::clock::Steady;

const CALL: i64 = 1_000_000;

/// So many calls a second, and so many at once.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    per_second: i64,
    at_once: i64,
}

impl Rate {
    /// Neither may be 0.
    pub fn new(per_second: u32, at_once: u32) -> Rate {
        Rate {
            per_second: i64::from(per_second) * CALL,
            at_once: i64::from(at_once) * CALL,
        }
    }

    /// Half as often; one call at once is always possible.
    pub fn half(self) -> Rate {
        Rate {
            per_second: self.per_second / 2,
            at_once: (self.at_once / 2).max(CALL),
        }
    }

    /// How many calls a full bucket holds.
    pub fn at_once(self) -> i64 {
        self.at_once / CALL
    }

    /// How long it takes until so much more is there.
    fn brings(self, missing: i64) -> Duration {
        let missing = u128::from(missing.max(0).unsigned_abs());
        let per_second = u128::from(self.per_second.unsigned_abs().max(1));
        let micros = (missing * 1_000_000).div_ceil(per_second);
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }
}

/// What may be done now, at a rate that its owner knows.
#[derive(Debug)]
pub struct Bucket {
    /// Below zero when calls were lent.
    level: i64,
    filled_at: Option<Steady>,
}

impl Bucket {
    /// Full, whatever the rate is.
    pub const FULL: Bucket = Bucket {
        level: i64::MAX,
        filled_at: None,
    };

    /// Adds what the time since it was filled last has brought.
    pub fn fill(&mut self, now: Steady, rate: Rate) {
        let passed = self.filled_at.map_or(Duration::ZERO, |at| now.since(at));
        let passed = i128::try_from(passed.as_micros()).unwrap_or(i128::MAX);
        let brought = passed.saturating_mul(i128::from(rate.per_second)) / 1_000_000;
        let level = brought.saturating_add(i128::from(self.level));
        let level = level.min(i128::from(rate.at_once));
        self.level = i64::try_from(level).unwrap_or(rate.at_once);
        // Two threads may come with their times in the wrong order; no time counts twice.
        self.filled_at = self.filled_at.max(Some(now));
    }

    /// Whether it holds so many calls; below zero, whether no more than that was lent.
    pub fn holds(&self, calls: i64) -> bool {
        self.level >= calls.saturating_mul(CALL)
    }

    /// How many calls it holds.
    pub fn calls(&self) -> i64 {
        (self.level / CALL).max(0)
    }

    /// Takes so many calls, though it may hold fewer.
    pub fn take(&mut self, calls: i64) {
        self.level = self.level.saturating_sub(calls.saturating_mul(CALL));
    }

    /// How long it takes until it holds one call.
    pub fn until_one(&self, rate: Rate) -> Duration {
        rate.brings(CALL.saturating_sub(self.level))
    }

    /// How long it takes until it is full.
    pub fn until_full(&self, rate: Rate) -> Duration {
        rate.brings(rate.at_once.saturating_sub(self.level))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Timestamp};

    const START: Steady = Steady(Duration::from_secs(1_000));

    fn after(millis: u64) -> Steady {
        START.plus(Duration::from_millis(millis))
    }

    #[test]
    fn it_begins_full_and_fills_exactly_at_its_rate() {
        let rate = Rate::new(3, 5);
        let mut bucket = Bucket::FULL;
        bucket.fill(START, rate);
        assert_eq!(
            (bucket.calls(), bucket.until_full(rate)),
            (5, Duration::ZERO)
        );
        bucket.take(5);
        assert_eq!(bucket.until_one(rate), Duration::from_micros(333_334));
        assert_eq!(bucket.until_full(rate), Duration::from_micros(1_666_667));
        // However often it is looked at, nothing is rounded away.
        for micros in 1..=333_333 {
            bucket.fill(START.plus(Duration::from_micros(micros)), rate);
        }
        assert!(!bucket.holds(1));
        bucket.fill(START.plus(Duration::from_micros(333_334)), rate);
        assert!(bucket.holds(1));
        bucket.fill(after(3_600_000), rate);
        assert_eq!(bucket.calls(), 5);
    }

    #[test]
    fn what_was_lent_is_made_up_for_first() {
        let rate = Rate::new(2, 2);
        let mut bucket = Bucket::FULL;
        bucket.fill(START, rate);
        bucket.take(4);
        assert_eq!(
            (bucket.calls(), bucket.holds(-2), bucket.holds(-1)),
            (0, true, false)
        );
        assert_eq!(bucket.until_one(rate), Duration::from_millis(1_500));
        bucket.fill(after(1_500), rate);
        assert_eq!(bucket.calls(), 1);
    }

    #[test]
    fn an_earlier_time_brings_nothing_and_the_longest_no_more_than_full() {
        let rate = Rate::new(1_000_000, 1_000_000);
        let mut bucket = Bucket::FULL;
        bucket.fill(START, rate);
        bucket.take(1_000_000);
        bucket.fill(Steady::default(), rate);
        bucket.fill(START, rate);
        assert_eq!(bucket.calls(), 0);
        bucket.fill(Steady(Duration::MAX), rate);
        assert_eq!(bucket.calls(), 1_000_000);
    }

    #[test]
    fn a_clock_that_is_set_brings_nothing_and_delays_nothing() {
        let (rate, mut bucket) = (Rate::new(1, 10), Bucket::FULL);
        let clock = Clock::driven(Timestamp(1_800_000_000_000_000));
        bucket.fill(clock.steady(), rate);
        bucket.take(10);
        clock.set_ahead(Duration::from_secs(3_600));
        bucket.fill(clock.steady(), rate);
        assert_eq!(bucket.calls(), 0);
        clock.set_back(Duration::from_secs(7_200));
        clock.advance(Duration::from_secs(3));
        bucket.fill(clock.steady(), rate);
        assert_eq!(bucket.calls(), 3);
    }

    #[test]
    fn half_of_a_rate_still_lets_one_through() {
        let rate = Rate::new(1, 1).half();
        let mut bucket = Bucket::FULL;
        bucket.fill(START, rate);
        assert_eq!(bucket.calls(), 1);
        bucket.take(1);
        assert_eq!(bucket.until_one(rate), Duration::from_secs(2));
    }
}
