//! The only caller of the system clock, and the maker of ids.
//!
//! Times are naive UTC cut to microseconds, so that what was stored equals what was written on every database.
//! Ids are `UUIDv7`: they sort by the time they were made, and two made in the same instant still sort in the order made.
//! A driven clock stands still until it is told to move, so that tests step through hours without waiting.
//!
//! The wall clock can be set. A stored time may then lie ahead of it: [`Timestamp::age`] has each caller choose what such a
//! time means. What only this process has to measure is measured by [`Clock::steady`], which cannot be set. The clock
//! compares the two each time it is read, and so notices that it was set; [`Clock::take_jump`] reports it.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;
use uuid::timestamp::context::ContextV7;

const MICROS_A_DAY: i64 = 24 * 60 * 60 * 1_000_000;

/// A clock that moved by more than this against the steady one was set; a stored time further ahead shows that it was.
pub const SET_BACK: Duration = Duration::from_secs(5);
/// A smaller difference between the two clocks is not worth a new [`Era`].
const DRIFT: Duration = Duration::from_secs(1);
/// The eras that are remembered, and the jumps that may wait for [`Clock::take_jump`].
const REMEMBERED: usize = 16;
/// The two clocks count as read at the same moment when this is all that passed meanwhile.
const SAME_MOMENT: i64 = 1_000;

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `age` before this one.
    pub fn minus(self, age: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(micros(age)))
    }

    /// How long before this moment `earlier` was; zero if it was not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// How long before this moment `stored` was; `if_ahead` where it [is ahead](Timestamp::is_ahead_of), because the clock
    /// was set back since. The caller chooses what then doubts more: endless for a deadline, zero for a hint.
    pub fn age(self, stored: Timestamp, if_ahead: Duration) -> Duration {
        if stored.is_ahead_of(self) {
            if_ahead
        } else {
            self.since(stored)
        }
    }

    /// Whether this stored time lies so far ahead of `now` that the clock was set back since.
    pub fn is_ahead_of(self, now: Timestamp) -> bool {
        self.since(now) > SET_BACK
    }

    /// The number of its day in UTC, since 1970.
    pub fn day(self) -> i64 {
        self.0.div_euclid(MICROS_A_DAY)
    }

    /// When the day of that number since 1970 begins, in UTC.
    pub fn of_day(day: i64) -> Timestamp {
        Timestamp(day.saturating_mul(MICROS_A_DAY))
    }

    /// How long it takes until the next day begins, in UTC.
    pub fn until_tomorrow(self) -> Duration {
        Timestamp::of_day(self.day() + 1).since(self)
    }

    /// The least that an id can be that a clock makes within this millisecond or later; no whole id, but it compares with them.
    pub fn first_id(self) -> String {
        let millis = (self.0 / 1000).clamp(0, 0xffff_ffff_ffff);
        format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
    }

    /// The moment `wait` after this one.
    pub fn plus(self, wait: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(micros(wait)))
    }
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

/// RFC 3339 in UTC with milliseconds, the form of every time in an answer.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// Reads RFC 3339 with any offset.
impl FromStr for Timestamp {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|time| Timestamp(time.timestamp_micros()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A moment by the steady clock, as time since the [`Clock`] was made. It has no meaning outside this process.
///
/// Sessions, gates, buckets and deadlines in memory use it, because setting the wall clock moves none of them. Time during
/// which the machine is suspended does not count on Linux.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(pub Duration);

impl Steady {
    /// How long before this moment `earlier` was; zero if it was not.
    pub fn since(self, earlier: Steady) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `wait` after this one.
    pub fn plus(self, wait: Duration) -> Steady {
        Steady(self.0.saturating_add(wait))
    }
}

/// One time that the wall clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// Whether it was set back; else ahead.
    pub back: bool,
    /// How far.
    pub by: Duration,
}

/// Tells the time and makes ids; clones share one source.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

struct Source {
    hands: Hands,
    /// How far the wall clock is ahead of the steady one in the latest era.
    offset: AtomicI64,
    past: Mutex<Past>,
    ids: Mutex<ContextV7>,
}

/// Where the time comes from. All numbers are microseconds.
enum Hands {
    /// The system; the steady clock counts from this instant.
    System(Instant),
    /// A test. The wall clock shows the sum of the two.
    Driven {
        steady: AtomicI64,
        offset: AtomicI64,
    },
}

/// Both clocks, read at about the same moment.
#[derive(Clone, Copy)]
struct Reading {
    wall: i64,
    steady: i64,
}

impl Reading {
    const fn offset(self) -> i64 {
        self.wall.saturating_sub(self.steady)
    }
}

impl Hands {
    fn read(&self) -> Reading {
        let wall = match self {
            Hands::System(_) => system_now().timestamp_micros(),
            Hands::Driven { offset, .. } => {
                let steady = self.steady();
                let wall = steady.saturating_add(offset.load(Ordering::SeqCst));
                return Reading { wall, steady };
            }
        };
        let steady = self.steady();
        Reading { wall, steady }
    }

    fn steady(&self) -> i64 {
        match self {
            Hands::System(began) => micros(began.elapsed()),
            Hands::Driven { steady, .. } => steady.load(Ordering::SeqCst),
        }
    }

    /// Reads both at the same moment: a thread that is held up between the two readings would see a jump.
    fn read_together(&self) -> Reading {
        let once = || {
            let before = self.steady();
            let read = self.read();
            (read.steady.saturating_sub(before), read)
        };
        let mut best = once();
        for _ in 0..REMEMBERED {
            if best.0 <= SAME_MOMENT {
                break;
            }
            let next = once();
            if next.0 < best.0 {
                best = next;
            }
        }
        best.1
    }
}

/// A stretch of time in which nothing set the wall clock.
#[derive(Clone, Copy)]
struct Era {
    /// When it began, by the steady clock.
    began: i64,
    /// How far the wall clock is ahead of the steady one.
    offset: i64,
}

/// What is remembered of how the wall clock was set.
struct Past {
    /// The oldest first; there is always one.
    eras: VecDeque<Era>,
    /// Whether there were older ones.
    forgotten: bool,
    untold: VecDeque<Jump>,
}

impl Past {
    fn new(first: Reading) -> Past {
        let era = Era {
            began: first.steady,
            offset: first.offset(),
        };
        Past {
            eras: VecDeque::from([era]),
            forgotten: false,
            untold: VecDeque::new(),
        }
    }

    /// Begins an era if the wall clock no longer goes with the latest one, and notes a jump if it is a large one.
    fn observe(&mut self, read: Reading) {
        let Some(latest) = self.eras.back() else {
            return;
        };
        let moved = read.offset().saturating_sub(latest.offset);
        let by = Duration::from_micros(moved.unsigned_abs());
        if by <= DRIFT {
            return;
        }
        if by > SET_BACK {
            let back = moved < 0;
            push(&mut self.untold, Jump { back, by });
        }
        let era = Era {
            began: read.steady,
            offset: read.offset(),
        };
        self.forgotten |= push(&mut self.eras, era);
    }

    /// How long before `steady` the wall clock showed `since`, at the least, in whichever era that may have been.
    fn least(&self, since: Timestamp, steady: i64) -> i64 {
        let mut ended = steady;
        for era in self.eras.iter().rev() {
            let then = since.0.saturating_sub(era.offset);
            if then >= era.began {
                // A time that no era showed lies between two: it counts as the end of the earlier one.
                return steady.saturating_sub(then.min(ended));
            }
            ended = era.began;
        }
        // From before the process, or from an era that is forgotten.
        match self.eras.front() {
            Some(first) if !self.forgotten => {
                steady.saturating_sub(since.0.saturating_sub(first.offset))
            }
            _ => steady.saturating_sub(ended),
        }
    }
}

/// Answers whether the oldest had to make room.
fn push<T>(list: &mut VecDeque<T>, item: T) -> bool {
    let full = list.len() >= REMEMBERED;
    if full {
        list.pop_front();
    }
    list.push_back(item);
    full
}

impl Clock {
    /// Follows the system clock.
    pub fn system() -> Clock {
        Clock::new(Hands::System(Instant::now()))
    }

    /// Stands at `start` until [`Clock::advance`] moves it.
    pub fn driven(start: Timestamp) -> Clock {
        Clock::new(Hands::Driven {
            steady: AtomicI64::new(0),
            offset: AtomicI64::new(start.0),
        })
    }

    fn new(hands: Hands) -> Clock {
        let first = hands.read_together();
        Clock(Arc::new(Source {
            hands,
            offset: AtomicI64::new(first.offset()),
            past: Mutex::new(Past::new(first)),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        let source = &self.0;
        let mut read = source.hands.read();
        let moved = read
            .offset()
            .saturating_sub(source.offset.load(Ordering::Relaxed));
        if Duration::from_micros(moved.unsigned_abs()) > DRIFT {
            let mut past = self.past();
            read = source.hands.read_together();
            past.observe(read);
            if let Some(latest) = past.eras.back() {
                source.offset.store(latest.offset, Ordering::Relaxed);
            }
        }
        Timestamp(read.wall)
    }

    /// The present moment by a clock that only goes forward, whatever the wall clock is set to.
    pub fn steady(&self) -> Steady {
        Steady(Duration::from_micros(self.0.hands.steady().unsigned_abs()))
    }

    /// How long ago `since` was, by the wall clock and by the steady one: the lesser of the two. `if_ahead` where it
    /// [is ahead](Timestamp::is_ahead_of).
    ///
    /// A time of a minute before the clock was set ahead by an hour is a minute old. In which process it was taken makes no
    /// difference; what happened before this one is not known to it.
    pub fn elapsed(&self, since: Timestamp, if_ahead: Duration) -> Duration {
        let now = self.now();
        if since.is_ahead_of(now) {
            return if_ahead;
        }
        let steady = self.0.hands.steady();
        let least = self.past().least(since, steady);
        let least = Duration::from_micros(u64::try_from(least).unwrap_or(0));
        now.since(since).min(least)
    }

    /// The oldest jump of the wall clock that nothing has taken yet. One is noticed when the time is asked for.
    pub fn take_jump(&self) -> Option<Jump> {
        self.past().untold.pop_front()
    }

    /// Each change is complete before anything could panic, so poison is ignored.
    fn past(&self) -> MutexGuard<'_, Past> {
        self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves a driven clock forward; a system clock cannot be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Hands::Driven { steady, .. } = &self.0.hands {
            steady.fetch_add(micros(by), Ordering::SeqCst);
        }
    }

    /// Sets the wall time of a driven clock, ahead or back by that many microseconds; the steady time stays.
    pub fn jump(&self, by_micros: i64) {
        if let Hands::Driven { offset, .. } = &self.0.hands {
            offset.fetch_add(by_micros, Ordering::SeqCst);
        }
    }

    /// [`Clock::jump`] ahead.
    pub fn set_ahead(&self, by: Duration) {
        self.jump(micros(by));
    }

    /// [`Clock::jump`] back.
    pub fn set_back(&self, by: Duration) {
        self.jump(-micros(by));
    }

    /// A new id that sorts after every id this clock made before.
    pub fn id(&self) -> String {
        let now = self.now().0.max(0);
        let seconds = u64::try_from(now / 1_000_000).unwrap_or(0);
        let nanos = u32::try_from(now % 1_000_000 * 1_000).unwrap_or(0);
        let time = uuid::Timestamp::from_unix(&self.0.ids, seconds, nanos);
        Uuid::new_v7(time).to_string()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place that asks the system"
)]
fn system_now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests;
