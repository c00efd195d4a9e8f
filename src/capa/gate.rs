//! Whether one provider account may be asked now: how often, and whether there is any sense in it.
//!
//! Each partner has an account of its own at the provider, and so a gate of its own. Time is a parameter, by the steady
//! clock, so that setting the wall clock neither opens a gate nor shuts one. Repeats of what
//! was heard already may use at most half of the rate, so that who replays an old webhook cannot keep other users waiting.
//! A 401 has two meanings that only its message tells apart, so a key counts as refused only when the calls about two
//! different users say so (`provider-capa.md` 0.4).

use std::time::Duration;

use super::client::Error;
use crate::bucket::{Bucket, Rate};
use crate::clock::Steady;
use crate::kyc::looks::Lane;

/// So many failures in a row close the gate.
const FAILURES: u32 = 5;
/// For so long; then one call tries whether the provider is back.
const CLOSED_FOR: Duration = Duration::from_secs(30);
/// For so long when the key was refused, since somebody has to mend that.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// The gate before one provider account.
#[derive(Debug)]
pub struct Gate {
    /// What one second brings may be used at once.
    rate: Rate,
    all: Bucket,
    repeats: Bucket,
    failures: u32,
    /// Whose call was answered with a refusal of the key last, while no call succeeded since.
    refused: Option<String>,
    closed_until: Option<Steady>,
}

impl Gate {
    /// An open gate for that many calls a second.
    pub fn new(rate: u32) -> Gate {
        Gate {
            rate: Rate::new(rate, rate),
            all: Bucket::FULL,
            repeats: Bucket::FULL,
            failures: 0,
            refused: None,
            closed_until: None,
        }
    }

    /// Changes the rate from now on.
    pub fn set_rate(&mut self, rate: u32) {
        self.rate = Rate::new(rate, rate);
    }

    /// How many calls of that lane may be made now, at most `wanted`. They have to be taken before they are made.
    pub fn free(&mut self, lane: Lane, now: Steady, wanted: usize) -> usize {
        if self.closed(now).is_some() {
            return 0;
        }
        self.all.fill(now, self.rate);
        self.repeats.fill(now, self.rate.half());
        let calls = match lane {
            Lane::Repeat => self.all.calls().min(self.repeats.calls()),
            Lane::Unconfirmed | Lane::News | Lane::Young | Lane::Sweep => self.all.calls(),
        };
        // After it was closed, one call is enough to learn whether the provider is back.
        let most = match self.closed_until {
            Some(_) => wanted.min(1),
            None => wanted,
        };
        usize::try_from(calls).map_or(0, |calls| calls.min(most))
    }

    /// Takes that many calls of the lane, no more than are free.
    pub fn take(&mut self, lane: Lane, calls: usize, now: Steady) {
        let taken = i64::try_from(calls).unwrap_or(i64::MAX);
        self.all.take(taken);
        if lane == Lane::Repeat {
            self.repeats.take(taken);
        }
        // While it tries whether the provider is back, no other call follows until that one is answered.
        if calls > 0 && self.closed_until.is_some() {
            self.close(now, CLOSED_FOR);
        }
    }

    /// Takes one call for somebody who waits, though others have used up what is free: those that come later make up for it.
    /// No more than a second's worth is lent.
    pub fn lend(&mut self, now: Steady) -> bool {
        if self.closed(now).is_some() {
            return false;
        }
        self.all.fill(now, self.rate);
        let lent = self.all.holds(1 - self.rate.at_once());
        if lent {
            self.take(Lane::News, 1, now);
        }
        lent
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
            Ok(()) | Err(Error::UserNotFound | Error::Rejected { .. }) => {
                self.failures = 0;
                self.refused = None;
                self.closed_until = None;
            }
            Err(Error::Unauthorized(_)) => match &self.refused {
                Some(other) if other != whom => {
                    log::error!(
                        "The provider refuses a partner's key. It is asked again once a minute."
                    );
                    self.close(now, REFUSED_FOR);
                }
                Some(_) => {}
                None => self.refused = Some(whom.to_owned()),
            },
            Err(Error::RateLimited(wait)) => {
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
            // Nonsense about one user says nothing about the others.
            Err(Error::InvalidResponse(_)) => {}
        }
    }

    fn close(&mut self, now: Steady, wait: Duration) {
        self.closed_until = Some(now.plus(wait));
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn the_rate_is_kept_and_nothing_is_saved_up_beyond_a_second() {
        let mut gate = Gate::new(5);
        assert_eq!(gate.free(Lane::Sweep, START, 100), 5);
        gate.take(Lane::Sweep, 5, START);
        assert_eq!(gate.free(Lane::News, START, 100), 0);
        assert_eq!(
            gate.free(Lane::News, START.plus(Duration::from_millis(400)), 100),
            2
        );
        assert_eq!(gate.free(Lane::News, after(3600), 100), 5);
        assert_eq!(gate.free(Lane::News, after(3600), 2), 2);
    }

    #[test]
    fn who_waits_is_served_before_the_rate_allows_it_and_others_make_up_for_it() {
        let mut gate = Gate::new(2);
        let lent = (0..9).filter(|_| gate.lend(START)).count();
        assert_eq!(lent, 4);
        assert_eq!(gate.free(Lane::News, after(1), 9), 0);
        assert_eq!(gate.free(Lane::News, after(2), 9), 2);
    }

    #[test]
    fn repeats_get_half_and_leave_the_other_half() {
        let mut gate = Gate::new(10);
        assert_eq!(gate.free(Lane::Repeat, START, 100), 5);
        gate.take(Lane::Repeat, 5, START);
        assert_eq!(gate.free(Lane::Repeat, START, 100), 0);
        assert_eq!(gate.free(Lane::Sweep, START, 100), 5);
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
        assert_eq!(gate.free(Lane::News, after(60), 9), 5);
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
