//! What the thread that writes counts of itself.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, opts};

use super::Trouble;
use crate::metrics::{BUCKETS, whole};

/// The counts; clones share them.
#[derive(Clone)]
pub(super) struct Meter {
    waiting: IntGauge,
    changes: IntCounter,
    commits: Histogram,
    troubles: IntCounterVec,
}

impl Meter {
    pub(super) fn new() -> prometheus::Result<Meter> {
        let commits = HistogramOpts::new(
            "kyc_tracker_store_commit_duration_seconds",
            "How long transactions took from their beginning until they were on the disk; their number is that of the commits.",
        );
        let troubles = opts!(
            "kyc_tracker_store_troubles_total",
            "Transactions that the store could not take, by what ailed it."
        );
        let meter = Meter {
            waiting: IntGauge::new(
                "kyc_tracker_store_changes_waiting",
                "Changes that wait for the thread that writes.",
            )?,
            changes: IntCounter::new(
                "kyc_tracker_store_changes_total",
                "Changes that were in a transaction which was committed.",
            )?,
            commits: Histogram::with_opts(commits.buckets(BUCKETS.to_vec()))?,
            troubles: IntCounterVec::new(troubles, &["trouble"])?,
        };
        for trouble in Trouble::ALL {
            meter.troubles.with_label_values(&[trouble.as_str()]);
        }
        Ok(meter)
    }

    /// A change is about to be put into the queue.
    pub(super) fn comes(&self) {
        self.waiting.inc();
    }

    /// So many have left the queue, or found no room in it.
    pub(super) fn leave(&self, changes: usize) {
        self.waiting.sub(whole(changes));
    }

    /// A transaction with so many changes was committed.
    pub(super) fn committed(&self, changes: usize, took: Duration) {
        self.changes.inc_by(changes as u64);
        self.commits.observe(took.as_secs_f64());
    }

    /// A transaction was not taken.
    pub(super) fn troubled(&self, trouble: Trouble) {
        let trouble = [trouble.as_str()];
        self.troubles.with_label_values(&trouble).inc();
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.waiting.clone()),
            Box::new(self.changes.clone()),
            Box::new(self.commits.clone()),
            Box::new(self.troubles.clone()),
        ]
    }
}
