//! What checks learn of one partner's account at the provider while the service runs.

use std::time::Duration;

use super::{Settled, Settlement};
use crate::app::App;
use crate::capa::details::Unusable;
use crate::capa::gate::Gate;
use crate::catch_up::Ledger;
use crate::clock::Timestamp;
use crate::db::catch_ups::CatchUp;
use crate::kyc::looks::LATE;

/// After this many changes in a row of which no webhook spoke, our address is probably not known to the provider.
const UNHEARD: u32 = 3;
/// After this many answers in a row without a reference, where none ever had one, the provider has to be asked about it.
const WITHOUT_REFERENCE: u32 = 20;
/// After this many unusable answers in a row, the partner's provider is reported as a whole.
const UNUSABLE: u32 = 20;
/// How often the log says how many answers were unusable.
const REPORT: Duration = Duration::from_secs(60 * 60);
/// The last waits of signed verdicts for the agreeing answer, of which the 99th percentile is watched.
const WAITS: usize = 200;

/// One partner's account at the provider.
pub(crate) struct Account {
    pub(crate) gate: Gate,
    pub(crate) catch_up: Option<CatchUp>,
    pub(crate) ledger: Ledger,
    /// Changes since the last webhook of which no webhook spoke.
    pub(super) unheard: u32,
    /// When the last usable answer came; the start before the first.
    usable_at: Timestamp,
    unusable_in_a_row: u32,
    without_reference: u32,
    ever_referenced: bool,
    /// Unusable answers that the log has not told of yet.
    pub(super) untold: u64,
    pub(super) told_at: Option<Timestamp>,
    waits: Vec<Duration>,
}

impl Account {
    /// One of which nothing is known, for that many calls a second.
    pub(super) fn new(per_second: u32, started: Timestamp) -> Account {
        Account {
            gate: Gate::new(per_second),
            catch_up: None,
            ledger: Ledger::default(),
            unheard: 0,
            usable_at: started,
            unusable_in_a_row: 0,
            without_reference: 0,
            ever_referenced: false,
            untold: 0,
            told_at: None,
            waits: Vec::new(),
        }
    }

    /// Whether changes are learnt only by checks.
    pub(super) fn is_unheard(&self) -> bool {
        self.unheard >= UNHEARD
    }

    /// Since when there was no usable answer, where there were only unusable ones.
    pub(super) fn unusable_since(&self) -> Option<Timestamp> {
        (self.unusable_in_a_row >= UNUSABLE).then_some(self.usable_at)
    }

    /// How many unusable answers the log has not told of, once an hour.
    pub(super) fn untold_since(&mut self, now: Timestamp) -> Option<u64> {
        let resting = |at: Timestamp| now.age(at, Duration::MAX) < REPORT;
        if self.untold == 0 || self.told_at.is_some_and(resting) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    /// Learns from an unusable answer; the message that is due because of it.
    fn unusable(&mut self, unusable: Unusable) -> Option<&'static str> {
        self.untold += 1;
        self.unusable_in_a_row = self.unusable_in_a_row.saturating_add(1);
        match unusable {
            Unusable::NoReference => {
                self.without_reference = self.without_reference.saturating_add(1);
                let never = self.without_reference == WITHOUT_REFERENCE && !self.ever_referenced;
                if never {
                    return Some(
                        "No answer of the provider names the user it is about, so none can confirm a verdict. Ask the provider for clientReferenceId in kyc/details, or set confirm = \"never\" for this partner (docs/rule.md).",
                    );
                }
            }
            Unusable::Status | Unusable::NoJson | Unusable::NotSuccess | Unusable::DoubledName => {}
            _ => {
                self.ever_referenced = true;
                self.without_reference = 0;
            }
        }
        (self.unusable_in_a_row == UNUSABLE).then_some(
            "The provider gives no usable answer about any user of a partner, so no verdict is confirmed. See attention=unusable and docs/rule.md.",
        )
    }

    /// Learns from a usable answer.
    fn usable(&mut self, now: Timestamp) {
        self.usable_at = now;
        self.unusable_in_a_row = 0;
        self.without_reference = 0;
        self.ever_referenced = true;
    }

    /// Notes how long a verdict waited; whether the 99th percentile of the last waits has come near the time after which a
    /// verdict is doubted.
    fn waited(&mut self, wait: Duration) -> bool {
        self.waits.push(wait);
        if self.waits.len() < WAITS {
            return false;
        }
        self.waits.sort_unstable();
        let p99 = self.waits[WAITS * 99 / 100 - 1];
        self.waits.clear();
        p99 >= LATE * 2 / 3
    }
}

/// Learns from what became of an answer.
pub(super) fn learn(app: &App, place: usize, settled: Settled, now: Timestamp) {
    let partner = &app.config.partners[place].id;
    let mut account = app.lookout.account(place);
    if let Settlement::Unusable(unusable) = settled.settlement {
        app.metrics.unusable(unusable);
        if let Some(message) = account.unusable(unusable) {
            log::error!(partner, reason = unusable.as_str(); "{message}");
        }
        return;
    }
    account.usable(now);
    if let Some(wait) = settled.waited {
        app.metrics.confirmed_after(wait);
        if account.waited(wait) {
            log::warn!(partner; "Signed verdicts wait nearly 30 s for the provider's agreeing answer, after which they read in_review. Ask the provider how far its data lags behind.");
        }
    }
    if let Settlement::Moved { heard: false } = settled.settlement {
        account.unheard += 1;
        let changes = account.unheard;
        if changes >= UNHEARD && (changes == UNHEARD || changes.is_power_of_two()) {
            log::warn!(partner, changes; "Changes are learnt only by checks: the provider probably does not know our webhook address. See `kyc-tracker webhook register`.");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_answers_without_a_reference_are_reported_once_and_only_where_none_ever_had_one() {
        let start = Timestamp(0);
        let report = |account: &mut Account, count: u32| {
            let reported = (0..count).filter_map(|_| account.unusable(Unusable::NoReference));
            reported
                .filter(|text| text.contains("clientReferenceId"))
                .count()
        };
        let mut account = Account::new(1, start);
        assert_eq!(report(&mut account, 19), 0);
        assert_eq!(account.unusable_since(), None);
        assert_eq!(report(&mut account, 30), 1);
        assert_eq!(account.unusable_since(), Some(start));
        let mut account = Account::new(1, start);
        account.usable(start);
        assert_eq!(report(&mut account, 30), 0);
    }

    #[test]
    fn the_log_tells_of_unusable_answers_once_an_hour() {
        let mut account = Account::new(1, Timestamp(0));
        let at = |minutes: u64| Timestamp(0).plus(Duration::from_secs(minutes * 60));
        assert_eq!(account.untold_since(at(0)), None);
        account.unusable(Unusable::NoJson);
        assert_eq!(account.untold_since(at(0)), Some(1));
        account.unusable(Unusable::NoJson);
        account.unusable(Unusable::UnknownWord);
        assert_eq!(account.untold_since(at(59)), None);
        assert_eq!(account.untold_since(at(60)), Some(2));
    }

    #[test]
    fn waits_are_reported_when_their_99th_percentile_comes_near_thirty_seconds() {
        let mut account = Account::new(1, Timestamp(0));
        let mut reports = |slow: usize| {
            let wait = |number| Duration::from_secs(if number < slow { 25 } else { 1 });
            (0..WAITS)
                .filter(|number| account.waited(wait(*number)))
                .count()
        };
        assert_eq!((reports(1), reports(2), reports(3)), (0, 0, 1));
    }
}
