//! What the transitions of the last days come to: verdicts by day, how far attempts got, and how long a decision took.
//!
//! It knows neither store nor clock. Transitions are taken in the order of their numbers, each of which names the one of the
//! same user before it; so it is enough to keep of each transition where its attempt stood then, and no user needs to be known.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::db::transitions::Outline;
use crate::kyc::status::{Source, Status};

/// How many days are gone through, the present one included. They are those of UTC.
pub const DAYS: usize = 30;

/// How many of the last decisions say how long one takes.
pub const LAST: usize = 1000;

/// Of how many transitions it is kept where their attempts stood: 64 MB. An attempt that moves on after more others than this
/// have come is taken for one that was opened before the first day.
pub const KEPT: i64 = 4_000_000;

/// What happened in the last [`DAYS`] days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Month {
    /// Every day, the oldest first.
    pub days: Vec<Day>,
    /// How far the attempts got that were opened in these days.
    pub funnel: Funnel,
    /// How long the last [`LAST`] of them took that were decided otherwise than by hand, in the order of the decisions.
    decisions: VecDeque<Decision>,
}

/// The verdicts of a day: every change to one, by whomever, so that one that was taken back and is given again counts again.
/// Those with which users were imported are of other days, and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// When it began.
    pub begins: Timestamp,
    /// Users who became verified.
    pub verified: i64,
    /// Users who became rejected.
    pub rejected: i64,
}

/// How far attempts got, wherever they have come to stand afterwards. Each of these counts is part of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    /// All of them. Users who were imported further than pending have opened none.
    pub opened: i64,
    /// Those that were ever seen as submitted or further.
    pub submitted: i64,
    /// Those that ever had a verdict, an admin's among them.
    pub decided: i64,
}

/// How long attempts took from their opening to their first verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionTimes {
    /// At least half of them took no longer.
    pub median: Duration,
    /// At least nine in ten of them took no longer.
    pub ninetieth: Duration,
    /// How many there are; never 0.
    pub of: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Decision {
    at: Timestamp,
    took: Duration,
}

impl Month {
    /// When the first of the days began that end with the one of `now`.
    pub fn begins(now: Timestamp) -> Timestamp {
        Timestamp::of_day(now.day() - (DAYS as i64 - 1))
    }

    /// The days that end with the one of `now`, in which nothing has happened.
    pub fn empty(now: Timestamp) -> Month {
        let first = Month::begins(now).day();
        let day = |number: i64| Day {
            begins: Timestamp::of_day(first + number),
            verified: 0,
            rejected: 0,
        };
        Month {
            days: (0..DAYS as i64).map(day).collect(),
            funnel: Funnel::default(),
            decisions: VecDeque::new(),
        }
    }

    /// How long decisions took; `None` where there were none.
    pub fn decision_times(&self) -> Option<DecisionTimes> {
        let mut took: Vec<_> = self.decisions.iter().map(|made| made.took).collect();
        took.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (took.len() * percent).div_ceil(100);
            took.get(rank.checked_sub(1)?).copied()
        };
        Some(DecisionTimes {
            median: percentile(50)?,
            ninetieth: percentile(90)?,
            of: took.len(),
        })
    }

    /// Adds what happened elsewhere in the same days.
    pub fn add(&mut self, other: &Month) {
        for (day, more) in self.days.iter_mut().zip(&other.days) {
            day.verified += more.verified;
            day.rejected += more.rejected;
        }
        self.funnel.opened += other.funnel.opened;
        self.funnel.submitted += other.funnel.submitted;
        self.funnel.decided += other.funnel.decided;
        self.decisions.extend(&other.decisions);
        self.decisions.make_contiguous().sort_by_key(|made| made.at);
        self.keep_the_last();
    }

    fn keep_the_last(&mut self) {
        let more = self.decisions.len().saturating_sub(LAST);
        self.decisions.drain(..more);
    }

    /// The day of that moment; `None` where it is none of these.
    fn day(&mut self, at: Timestamp) -> Option<&mut Day> {
        let first = self.days.first()?.begins.day();
        let number = usize::try_from(at.day() - first).ok()?;
        self.days.get_mut(number)
    }
}

/// Goes through one partner's transitions.
pub struct Tally {
    month: Month,
    /// Where the attempts of the last transitions stood, each at its number modulo their count.
    attempts: Vec<Option<Attempt>>,
    /// The number of the first transition that was taken.
    first: i64,
}

/// Where an attempt stood after a transition. It was opened in these days.
#[derive(Clone, Copy)]
struct Attempt {
    opened_at: Timestamp,
    reached: Reached,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Opened,
    Submitted,
    Decided,
}

impl Reached {
    fn by(status: Status) -> Reached {
        match status {
            Status::Pending => Reached::Opened,
            Status::Submitted | Status::InReview => Reached::Submitted,
            Status::Verified | Status::Rejected => Reached::Decided,
        }
    }
}

impl Tally {
    /// None taken yet. The days end with the one of `now`; `first` is the number of the first transition that will come, and
    /// of so many of the last ones it is kept where their attempts stood.
    pub fn new(now: Timestamp, first: i64, kept: usize) -> Tally {
        Tally {
            month: Month::empty(now),
            attempts: vec![None; kept.max(1)],
            first,
        }
    }

    /// Takes the next transition.
    pub fn take(&mut self, transition: &Outline) {
        let by_hand = transition.source == Source::Manual;
        let opens = transition.from_status.is_none();
        let day = self
            .month
            .day(transition.at)
            .filter(|_| !(opens && by_hand));
        let known = day.is_some();
        match (day, transition.to_status) {
            (Some(day), Status::Verified) => day.verified += 1,
            (Some(day), Status::Rejected) => day.rejected += 1,
            _ => {}
        }
        let attempt = match opens {
            true => known.then(|| self.opened(transition.at)),
            false => self.attempt(transition),
        };
        let moved = attempt.map(|attempt| self.moved(attempt, transition, by_hand));
        let place = self.place(transition.seq);
        self.attempts[place] = moved;
    }

    /// What has been taken comes to this.
    pub fn month(self) -> Month {
        self.month
    }

    fn opened(&mut self, at: Timestamp) -> Attempt {
        self.month.funnel.opened += 1;
        Attempt {
            opened_at: at,
            reached: Reached::Opened,
        }
    }

    /// The attempt that the transition goes on with, as it stood before.
    fn attempt(&self, transition: &Outline) -> Option<Attempt> {
        let kept = transition.seq.saturating_sub(self.attempts.len() as i64);
        let before = transition
            .previous
            .filter(|seq| *seq >= self.first.max(kept))?;
        self.attempts[self.place(before)]
    }

    fn moved(&mut self, before: Attempt, transition: &Outline, by_hand: bool) -> Attempt {
        let reached = before.reached.max(Reached::by(transition.to_status));
        let now = |step: Reached| before.reached < step && step <= reached;
        if now(Reached::Submitted) {
            self.month.funnel.submitted += 1;
        }
        if now(Reached::Decided) {
            self.month.funnel.decided += 1;
            if !by_hand {
                self.month.decisions.push_back(Decision {
                    at: transition.at,
                    took: transition.at.since(before.opened_at),
                });
                self.month.keep_the_last();
            }
        }
        Attempt { reached, ..before }
    }

    fn place(&self, seq: i64) -> usize {
        usize::try_from(seq).unwrap_or(0) % self.attempts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::*;

    const NOW: Timestamp = Timestamp(1_795_461_600_123_456);
    const MINUTE: Duration = Duration::from_secs(60);

    fn ago(minutes: u32) -> Timestamp {
        NOW.minus(MINUTE * minutes)
    }

    fn opening(seq: i64, at: Timestamp) -> Outline {
        Outline {
            seq,
            previous: None,
            from_status: None,
            to_status: Pending,
            source: Source::Link,
            at,
        }
    }

    fn change(seq: i64, previous: i64, to_status: Status, at: Timestamp) -> Outline {
        Outline {
            previous: Some(previous),
            // Which one it was makes no difference.
            from_status: Some(Pending),
            to_status,
            source: Source::Webhook,
            ..opening(seq, at)
        }
    }

    fn tally(kept: usize, transitions: &[Outline]) -> Month {
        let mut tally = Tally::new(NOW, transitions[0].seq, kept);
        transitions.iter().for_each(|one| tally.take(one));
        tally.month()
    }

    fn funnel(month: &Month) -> [i64; 3] {
        let funnel = month.funnel;
        [funnel.opened, funnel.submitted, funnel.decided]
    }

    #[test]
    fn thirty_days_of_utc_end_with_the_present_one() {
        let days = Month::empty(NOW).days;
        let begins = |day: &Day| day.begins.to_string();
        assert_eq!(days.len(), 30);
        assert_eq!(begins(&days[0]), "2026-10-25T00:00:00.000Z");
        assert_eq!(begins(&days[29]), "2026-11-23T00:00:00.000Z");
        assert_eq!(Month::begins(NOW), days[0].begins);
    }

    #[test]
    fn what_lies_on_either_side_of_the_days_is_of_none_of_them() {
        let begins = Month::begins(NOW);
        let tomorrow = NOW.plus(NOW.until_tomorrow());
        let before = begins.minus(Duration::from_micros(1));
        let month = tally(
            9,
            &[
                opening(1, before),
                change(2, 1, Verified, before),
                opening(3, begins),
                change(4, 3, Verified, begins),
                opening(5, tomorrow),
                change(6, 5, Verified, tomorrow),
            ],
        );
        let verified: Vec<_> = month.days.iter().map(|day| day.verified).collect();
        assert_eq!((verified[0], verified.iter().sum()), (1, 1));
        assert_eq!(funnel(&month), [1, 1, 1]);
    }

    #[test]
    fn an_attempt_counts_once_for_each_step_that_it_reached() {
        let month = tally(
            9,
            &[
                opening(1, ago(90)),
                change(2, 1, Submitted, ago(80)),
                change(3, 2, Pending, ago(70)),
                change(4, 3, Submitted, ago(60)),
                change(5, 4, Verified, ago(50)),
                change(6, 5, InReview, ago(40)),
                change(7, 6, Rejected, ago(30)),
                opening(8, ago(20)),
                opening(9, ago(10)),
                change(10, 8, Verified, ago(0)),
            ],
        );
        assert_eq!(funnel(&month), [3, 2, 2]);
        let times = month.decision_times().unwrap();
        assert_eq!((times.median, times.of), (MINUTE * 20, 2));
    }

    #[test]
    fn what_goes_on_with_an_attempt_from_before_the_first_transition_counts_as_a_verdict_only() {
        let month = tally(9, &[opening(10, ago(9)), change(11, 1, Verified, ago(1))]);
        assert_eq!((funnel(&month), month.decision_times()), ([1, 0, 0], None));
        assert_eq!(month.days[29].verified, 1);
    }

    #[test]
    fn no_attempt_is_taken_for_another_whose_place_it_has_got() {
        let history = [
            opening(1, ago(9)),
            opening(2, ago(8)),
            opening(3, ago(7)),
            change(4, 1, Verified, ago(6)),
            change(5, 3, Verified, ago(5)),
        ];
        assert_eq!(funnel(&tally(2, &history)), [3, 1, 1]);
        assert_eq!(funnel(&tally(3, &history)), [3, 2, 2]);
        assert_eq!(funnel(&tally(0, &history)), [3, 0, 0]);
    }

    #[test]
    fn percentiles_are_times_that_were_taken() {
        let of = |minutes: &[u32]| {
            let mut month = Month::empty(NOW);
            let decision = |took: &u32| Decision {
                at: NOW,
                took: MINUTE * *took,
            };
            month.decisions = minutes.iter().map(decision).collect();
            let times = month.decision_times()?;
            let minutes = |time: Duration| time.as_secs() / 60;
            Some((minutes(times.median), minutes(times.ninetieth), times.of))
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some((7, 7, 1)));
        assert_eq!(of(&[9, 1]), Some((1, 9, 2)));
        assert_eq!(of(&[9, 1, 5]), Some((5, 9, 3)));
        assert_eq!(of(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), Some((5, 9, 10)));
    }

    #[test]
    fn only_the_last_thousand_decisions_are_timed_of_one_partner_and_of_all() {
        let slow_then_quick = |slow: u32, quick: u32| {
            let mut history = Vec::new();
            for number in 0..slow + quick {
                let (seq, opened) = (
                    i64::from(number) * 2 + 1,
                    if number < slow { 60 } else { 5 },
                );
                history.push(opening(seq, ago(opened)));
                let decided = if number < slow { 4 } else { 3 };
                history.push(change(seq + 1, seq, Verified, ago(decided)));
            }
            tally(9, &history)
        };
        let mut one = slow_then_quick(600, 700);
        let times = one.decision_times().unwrap();
        assert_eq!((times.of, times.median), (LAST, MINUTE * 2));
        assert_eq!(times.ninetieth, MINUTE * 56);
        // Of both together the quick ones are the last, although those of the other come behind its slow ones.
        one.add(&slow_then_quick(600, 300));
        let times = one.decision_times().unwrap();
        assert_eq!((times.of, times.ninetieth), (LAST, MINUTE * 2));
        assert_eq!(funnel(&one), [2200, 2200, 2200]);
    }
}
