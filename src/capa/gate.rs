//! Whether one provider account may be called now: how often, by whom, and whether there is any sense in it.
//!
//! Each partner has an account of its own at the provider, and so a gate of its own. Time is a parameter, by the steady
//! clock, so that setting the wall clock neither opens a gate nor shuts one. Every [`Claimant`] has a share of the rate
//! that the others cannot use up: a flood of replayed webhooks delays no news, and callers who wait delay no check.
//! A 401 has two meanings that only its message tells apart, so a key counts as refused only when the calls about two
//! different users say so (`provider-capa.md` 0.4).

use std::time::Duration;

use super::client::Error;
use super::details::Unusable;
use crate::bucket::{Rate, Shared};
use crate::clock::Steady;
use crate::kyc::looks::Lane;

/// So many failures in a row close the gate.
const FAILURES: u32 = 5;
/// For so long; then one call tries whether the provider is back.
const CLOSED_FOR: Duration = Duration::from_secs(30);
/// For so long when the key was refused, since the operator has to fix that.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// The rate after a 429, and what each minute without another one adds, are fractions of this: one call a second.
const CALL: i64 = 1_000;
/// Calls that were on their way when a 429 came may get one too. Within this time the rate is halved once.
const ON_THEIR_WAY: Duration = Duration::from_secs(10);
const MINUTE: u64 = 60;

/// What calls the provider about users, each with a share of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// A caller who waits for the answer: `maxAge`, or an admin's confirm.
    Asked,
    /// The checks of a lane.
    Lane(Lane),
}

/// How many claimants there are.
const CLAIMANTS: usize = 1 + Lane::ALL.len();

/// The hundredths of the rate that no other claimant can use up, in the order of [`Claimant::place`].
const SHARES: [i64; CLAIMANTS] = [
    25, // asked: a caller waits
    20, // unconfirmed: the user reads `verified`, and nothing has confirmed it
    20, // news: a verdict may have come
    15, // young: the user is at it just now
    10, // repeat: most likely nothing new
    10, // sweep: the regular checks
];

impl Claimant {
    const fn place(self) -> usize {
        match self {
            Claimant::Asked => 0,
            Claimant::Lane(lane) => 1 + place_of(lane),
        }
    }
}

/// Its place in [`Lane::ALL`].
const fn place_of(lane: Lane) -> usize {
    match lane {
        Lane::Unconfirmed => 0,
        Lane::News => 1,
        Lane::Young => 2,
        Lane::Repeat => 3,
        Lane::Sweep => 4,
    }
}

/// The gate before one provider account.
#[derive(Debug)]
pub struct Gate {
    /// Calls a second, as configured.
    per_second: u32,
    slowed: Option<Slowed>,
    calls: Shared<CLAIMANTS>,
    failures: u32,
    /// Whose call was answered with a refusal of the key last, while no call succeeded since.
    refused: Option<String>,
    closed_until: Option<Steady>,
}

/// The provider has answered 429.
#[derive(Clone, Copy, Debug)]
struct Slowed {
    /// Thousandths of a call a second from the last 429 on.
    per_second: i64,
    at: Steady,
    halved_at: Steady,
}

impl Gate {
    /// An open gate for that many calls a second.
    pub const fn new(rate: u32) -> Gate {
        Gate {
            per_second: rate,
            slowed: None,
            calls: Shared::new(SHARES),
            failures: 0,
            refused: None,
            closed_until: None,
        }
    }

    /// Changes the rate from now on. What the provider refused before is still remembered.
    pub const fn set_rate(&mut self, rate: u32) {
        self.per_second = rate;
    }

    /// How many calls of that lane may be made now, at most `wanted`. They have to be taken before they are made.
    pub fn free(&mut self, lane: Lane, now: Steady, wanted: usize) -> usize {
        self.free_for(Claimant::Lane(lane), now, wanted)
    }

    /// Takes that many calls of the lane, no more than are free.
    pub fn take(&mut self, lane: Lane, calls: usize, now: Steady) {
        self.take_for(Claimant::Lane(lane), calls, now);
    }

    /// Takes one call for a caller who waits, if one is free.
    pub fn lend(&mut self, now: Steady) -> bool {
        let lent = self.free_for(Claimant::Asked, now, 1) > 0;
        if lent {
            self.take_for(Claimant::Asked, 1, now);
        }
        lent
    }

    fn free_for(&mut self, claimant: Claimant, now: Steady, wanted: usize) -> usize {
        if self.closed(now).is_some() {
            return 0;
        }
        let rate = Rate::of_thousandths(self.rate(now));
        let calls = self.calls.free(claimant.place(), now, rate);
        // After it was closed, one call is enough to learn whether the provider is back.
        let most = match self.closed_until {
            Some(_) => wanted.min(1),
            None => wanted,
        };
        usize::try_from(calls).map_or(0, |calls| calls.min(most))
    }

    fn take_for(&mut self, claimant: Claimant, calls: usize, now: Steady) {
        let rate = Rate::of_thousandths(self.rate(now));
        let taken = i64::try_from(calls).unwrap_or(i64::MAX);
        self.calls.take(claimant.place(), taken, now, rate);
        // While it tries whether the provider is back, no other call follows until that one is answered.
        if calls > 0 && self.closed_until.is_some() {
            self.close(now, CLOSED_FOR);
        }
    }

    /// For how long no call makes sense, if so.
    pub fn closed(&self, now: Steady) -> Option<Duration> {
        self.closed_until
            .map(|until| until.since(now))
            .filter(|left| !left.is_zero())
    }

    /// Learns from an answer; `whom` tells calls about different users apart.
    pub fn learn(&mut self, answer: Result<(), &Error>, whom: &str, now: Steady) {
        match answer {
            // Nonsense about one user says nothing about the others, nor whether a gateway stands in between.
            Err(
                Error::InvalidResponse(_) | Error::Unusable(Unusable::Status | Unusable::NoJson),
            ) => {}
            // The other kinds of unusable answers can only come from the provider itself.
            Ok(()) | Err(Error::UserNotFound | Error::Rejected { .. } | Error::Unusable(_)) => {
                self.failures = 0;
                self.refused = None;
                self.closed_until = None;
            }
            Err(Error::Unauthorized(_)) => match &self.refused {
                Some(other) if other != whom => {
                    log::error!(
                        "The provider refuses a partner's key. It is called again once a minute."
                    );
                    self.close(now, REFUSED_FOR);
                }
                Some(_) => {}
                None => self.refused = Some(whom.to_owned()),
            },
            Err(Error::RateLimited(wait)) => {
                self.slow(now);
                self.close(now, wait.map_or(CLOSED_FOR, Duration::from_secs));
            }
            Err(Error::Unavailable { retry_after, .. }) => {
                self.failures = self.failures.saturating_add(1);
                if let Some(seconds) = retry_after {
                    self.close(now, Duration::from_secs(*seconds));
                } else if self.failures >= FAILURES {
                    self.close(now, CLOSED_FOR);
                }
            }
        }
    }

    /// Thousandths of a call that may be made a second. After a 429 it is half as many, at least one call; each minute
    /// without another 429 adds a tenth of what is configured.
    fn rate(&self, now: Steady) -> i64 {
        let configured = i64::from(self.per_second) * CALL;
        let Some(slowed) = self.slowed else {
            return configured;
        };
        let minutes = now.since(slowed.at).as_secs() / MINUTE;
        let more = i64::try_from(minutes).map_or(configured, |minutes| {
            (configured / 10).saturating_mul(minutes)
        });
        slowed.per_second.saturating_add(more).min(configured)
    }

    fn slow(&mut self, now: Steady) {
        let rate = self.rate(now);
        let halved_at = self.slowed.map(|slowed| slowed.halved_at);
        let just_halved = halved_at.filter(|at| now.since(*at) < ON_THEIR_WAY);
        let per_second = match just_halved {
            Some(_) => rate,
            None => (rate / 2).max(CALL),
        };
        self.slowed = Some(Slowed {
            per_second,
            at: now,
            halved_at: just_halved.unwrap_or(now),
        });
    }

    fn close(&mut self, now: Steady, wait: Duration) {
        self.closed_until = Some(now.plus(wait));
    }
}

/// The calls under way for each lane, of those that may be under way at once.
///
/// Half of them are reserved by share, at least one call for each lane. So calls of one lane that are answered slowly leave
/// room for the others.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    at_once: usize,
    calls: [usize; Lane::ALL.len()],
}

impl InFlight {
    /// None under way.
    pub const fn new(at_once: usize) -> InFlight {
        InFlight {
            at_once,
            calls: [0; Lane::ALL.len()],
        }
    }

    /// How many more calls of that lane may be under way now.
    pub fn slots(&self, lane: Lane) -> usize {
        let others = Lane::ALL.into_iter().filter(|other| *other != lane);
        let reserved: usize = others.map(|other| self.reserved(other)).sum();
        let under_way: usize = self.calls.iter().sum();
        self.at_once.saturating_sub(under_way + reserved)
    }

    /// Notes that so many calls of that lane begin.
    pub fn begin(&mut self, lane: Lane, calls: usize) {
        self.calls[place_of(lane)] += calls;
    }

    /// Notes that so many calls of that lane have ended.
    pub fn end(&mut self, lane: Lane, calls: usize) {
        let under_way = &mut self.calls[place_of(lane)];
        *under_way = under_way.saturating_sub(calls);
    }

    /// What is kept free for a lane besides the calls that it has under way.
    fn reserved(&self, lane: Lane) -> usize {
        if self.at_once < Lane::ALL.len() {
            return 0;
        }
        let share = usize::try_from(SHARES[Claimant::Lane(lane).place()]).unwrap_or(0);
        let reserved = (share * self.at_once / 200).max(1);
        reserved.saturating_sub(self.calls[place_of(lane)])
    }
}

#[cfg(test)]
mod tests {
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
}
