//! The only caller of the system clock, and the maker of ids.
//!
//! Times are naive UTC cut to microseconds, so that what was stored equals what was written on every database.
//! Ids are `UUIDv7`: they sort by the time they were made, and two made in the same instant still sort in the order made.
//! A driven clock stands still until it is told to move, so that tests step through hours without waiting.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;
use uuid::timestamp::context::ContextV7;

const MICROS_A_DAY: i64 = 24 * 60 * 60 * 1_000_000;

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

/// Tells the time and makes ids; clones share one source.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

struct Source {
    /// Microseconds since 1970 of a driven clock; `None` follows the system.
    driven: Option<AtomicI64>,
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// Follows the system clock.
    pub fn system() -> Clock {
        Clock(Arc::new(Source {
            driven: None,
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// Stands at `start` until [`Clock::advance`] moves it.
    pub fn driven(start: Timestamp) -> Clock {
        Clock(Arc::new(Source {
            driven: Some(AtomicI64::new(start.0)),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        match &self.0.driven {
            Some(at) => Timestamp(at.load(Ordering::SeqCst)),
            None => Timestamp(system_now().timestamp_micros()),
        }
    }

    /// Moves a driven clock forward; a system clock cannot be moved and ignores it.
    pub fn advance(&self, by: Duration) {
        if let Some(at) = &self.0.driven {
            at.fetch_add(micros(by), Ordering::SeqCst);
        }
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
mod tests {
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
}
