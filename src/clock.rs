//! The only caller of the system clock, and the maker of ids.
//!
//! Times are naive UTC cut to microseconds, so that what was stored equals what was written on every database.
//! Ids are `UUIDv7`: they sort by the time they were made, and two made in the same instant still sort in the order made.
//! A driven clock stands still until it is told to move, so that tests step through hours without waiting.
//!
//! The wall clock can be set. A stored time may then lie ahead of it: [`Timestamp::age`] has each caller choose what such a
//! time means. What only this process has to measure is measured by [`Clock::steady`], which nobody can set. The clock
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
mod tests {
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
}
