//! How often something may be done: a bucket that time fills and each call takes from.
//!
//! Time is a parameter, by the steady clock: setting the wall clock brings no call and delays none. A level counts in
//! hundred-millionths of a call, because a hundredth of one call a second brings one of them in a microsecond. So whole
//! rates and hundredths of them are kept exactly.

use std::time::Duration;

use crate::clock::Steady;

const CALL: i64 = 100_000_000;
const THOUSANDTH: i64 = CALL / 1_000;

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

    /// `per_second` in thousandths of a call. A full bucket holds what one second brings.
    pub fn of_thousandths(per_second: i64) -> Rate {
        let per_second = per_second.saturating_mul(THOUSANDTH);
        Rate {
            per_second,
            at_once: per_second,
        }
    }

    /// A share of it, in hundredths. A full bucket holds one call more than half a second brings.
    fn share(self, hundredths: i64) -> Rate {
        let per_second = self.per_second / 100 * hundredths;
        Rate {
            per_second,
            at_once: per_second / 2 + CALL,
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

/// One rate for several claimants. Each has a share that the others cannot use up.
///
/// There is a bucket for all calls, and one for each claimant that fills at its share. A claimant may always use its own
/// bucket, and of the rest what is not reserved for the others. So the share of a claimant that wants nothing is not lost,
/// and a claimant alone gets the whole rate, if it asks twice a second at the least.
#[derive(Debug)]
pub struct Shared<const N: usize> {
    all: Bucket,
    own: [Bucket; N],
    /// The shares of the claimants, 100 together.
    hundredths: [i64; N],
}

impl<const N: usize> Shared<N> {
    /// All buckets full, with these shares in hundredths.
    pub const fn new(hundredths: [i64; N]) -> Shared<N> {
        Shared {
            all: Bucket::FULL,
            own: [Bucket::FULL; N],
            hundredths,
        }
    }

    /// How many calls that claimant may make now.
    pub fn free(&mut self, claimant: usize, now: Steady, rate: Rate) -> i64 {
        self.fill(now, rate);
        let own = self.own[claimant].level;
        (own.saturating_add(self.unreserved()) / CALL).max(0)
    }

    /// Takes `calls` for that claimant, from its own bucket first. It alone owes those that were not free.
    pub fn take(&mut self, claimant: usize, calls: i64, now: Steady, rate: Rate) {
        self.fill(now, rate);
        let taken = calls.saturating_mul(CALL);
        let unreserved = self.unreserved();
        self.all.level = self.all.level.saturating_sub(taken);
        let own = &mut self.own[claimant].level;
        let reserved = taken.min((*own).max(0));
        *own = own.saturating_sub(reserved.max(taken.saturating_sub(unreserved)));
    }

    fn fill(&mut self, now: Steady, rate: Rate) {
        let mut reserved = 0_i64;
        for (own, hundredths) in self.own.iter_mut().zip(self.hundredths) {
            let share = rate.share(hundredths);
            own.fill(now, share);
            reserved = reserved.saturating_add(share.at_once);
        }
        let whole = Rate {
            at_once: reserved.saturating_add(rate.per_second / 2),
            ..rate
        };
        self.all.fill(now, whole);
    }

    /// What all hold beyond what is reserved; never below zero.
    fn unreserved(&self) -> i64 {
        let reserved = self.own.iter().map(|own| own.level);
        self.all.level - reserved.sum::<i64>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    /// Answers how many calls each claimant made within 1,000 seconds, asking every `every` milliseconds. Those of `steady`
    /// take all they get each time; the others as many as `wants` says, one time after the other.
    fn calls_made(
        shares: [i64; 3],
        per_second: u32,
        every: u64,
        steady: [bool; 3],
        wants: &[i64],
    ) -> [i64; 3] {
        let (rate, mut shared) = (Rate::new(per_second, per_second), Shared::new(shares));
        let (mut made, mut wants) = ([0; 3], wants.iter().cycle());
        for (turn, millis) in (0..1_000_000)
            .step_by(every.try_into().unwrap())
            .enumerate()
        {
            for offset in 0..3 {
                let claimant = (turn + offset) % 3;
                let free = shared.free(claimant, after(millis), rate);
                let calls = match steady[claimant] {
                    true => free,
                    false => free.min(wants.next().copied().unwrap_or(0)),
                };
                shared.take(claimant, calls, after(millis), rate);
                assert!(shared.unreserved() >= 0);
                made[claimant] += calls;
            }
        }
        made
    }

    fn shares() -> impl Strategy<Value = [i64; 3]> {
        (1..98i64, 1..98i64)
            .prop_filter("more than all", |(one, two)| one + two < 100)
            .prop_map(|(one, two)| [one, two, 100 - one - two])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_claimant_that_always_wants_gets_its_share_whatever_others_do(
            shares in shares(),
            per_second in 1..60u32,
            every in 20..=500u64,
            steady in any::<[bool; 3]>(),
            wants in proptest::collection::vec(0..60i64, 1..20),
        ) {
            let made = calls_made(shares, per_second, every, steady, &wants);
            let rate = i64::from(per_second);
            for claimant in (0..3).filter(|claimant| steady[*claimant]) {
                // The last time to ask is up to half a second before the end.
                let share = shares[claimant] * rate * 995 / 100_000 * 100;
                prop_assert!(made[claimant] >= share - 1, "{made:?} {claimant}");
            }
            prop_assert!(made.iter().sum::<i64>() <= rate * 1_000 + rate + 3);
        }

        #[test]
        fn nothing_is_lost_while_others_want_nothing(
            shares in shares(),
            per_second in 1..60u32,
            every in 20..=500u64,
            alone in 0..3usize,
        ) {
            let mut steady = [false; 3];
            steady[alone] = true;
            let made = calls_made(shares, per_second, every, steady, &[0]);
            let least = i64::from(per_second) * 9_995 / 10 - 1;
            prop_assert!(made[alone] >= least, "{made:?}");
        }
    }

    #[test]
    fn calls_beyond_what_is_free_are_the_debt_of_who_took_them() {
        let (rate, mut shared) = (Rate::new(10, 10), Shared::new([50, 50]));
        // Reserved for each are one call and half a second of its share; half a second of the rate is free for both.
        assert_eq!(
            (shared.free(0, START, rate), shared.free(1, START, rate)),
            (8, 8)
        );
        // Its own call is used first, which takes nothing from the other.
        shared.take(0, 1, START, rate);
        assert_eq!(shared.free(1, START, rate), 8);
        shared.take(0, 17, START, rate);
        assert_eq!(
            (shared.free(0, START, rate), shared.free(1, START, rate)),
            (0, 3)
        );
        shared.take(1, 3, START, rate);
        // After a second the debt is not made up for, and the other one has its share and half a second's worth besides.
        let free = [0, 1].map(|claimant| shared.free(claimant, after(1_000), rate));
        assert_eq!(free, [0, 5]);
        let free = [0, 1].map(|claimant| shared.free(claimant, after(3_000), rate));
        assert_eq!(free, [8, 8]);
    }

    #[test]
    fn a_rate_that_changes_keeps_what_is_reserved() {
        let (fast, slow) = (Rate::new(100, 100), Rate::of_thousandths(1_500));
        let mut shared = Shared::new([90, 10]);
        let all = shared.free(0, START, fast);
        shared.take(0, all, START, fast);
        // Of the six that were reserved no more is kept than may be used at once.
        assert_eq!(shared.free(1, START, slow), 3);
        assert_eq!(shared.free(0, START, slow), 2);
        shared.take(0, 2, START, slow);
        assert_eq!(shared.free(0, START, slow), 0);
        assert_eq!(shared.free(1, START, slow), 1);
        assert_eq!(shared.free(0, after(10_000), slow), 2);
        assert_eq!(shared.free(1, after(10_000), slow), 1);
    }
}
