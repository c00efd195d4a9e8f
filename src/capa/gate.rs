//! Whether one provider account may be called now: how often, for which claimant, and whether the provider would answer.
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
mod tests;
