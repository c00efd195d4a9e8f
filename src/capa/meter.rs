//! What is counted of calls to the provider: how they ended, and how long they took.

use std::time::Instant;

use anyhow::Context;
use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, opts};

use super::client::Error;
use crate::metrics::BUCKETS;

/// The kinds of calls that the service makes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Link,
    Details,
    User,
    Notifications,
}

impl Call {
    const ALL: [Call; 4] = [Call::Link, Call::Details, Call::User, Call::Notifications];

    const fn as_str(self) -> &'static str {
        match self {
            Call::Link => "link",
            Call::Details => "details",
            Call::User => "user",
            Call::Notifications => "notifications",
        }
    }
}

/// The counts; clones share them.
#[derive(Clone)]
pub(super) struct Meter {
    calls: IntCounterVec,
    seconds: HistogramVec,
}

impl Meter {
    pub(super) fn new() -> anyhow::Result<Meter> {
        let calls = opts!(
            "kyc_tracker_provider_calls_total",
            "Calls to the provider, by kind and by how they ended: ok, or what was wrong."
        );
        let seconds = HistogramOpts::new(
            "kyc_tracker_provider_call_duration_seconds",
            "How long calls to the provider took, whatever came of them.",
        );
        let unusable = "the metrics of the provider cannot be set up";
        let meter = Meter {
            calls: IntCounterVec::new(calls, &["kind", "result"]).context(unusable)?,
            seconds: HistogramVec::new(seconds.buckets(BUCKETS.to_vec()), &["kind"])
                .context(unusable)?,
        };
        for call in Call::ALL.map(Call::as_str) {
            meter.seconds.with_label_values(&[call]);
            for result in ["ok"].into_iter().chain(Error::WORDS) {
                meter.calls.with_label_values(&[call, result]);
            }
        }
        Ok(meter)
    }

    /// Makes the call and counts it.
    pub(super) async fn count<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.count_by(call, work, |_| None).await
    }

    /// The same for a call whose success may hand on a refusal.
    pub(super) async fn count_by<T>(
        &self,
        call: Call,
        work: impl Future<Output = Result<T, Error>>,
        refusal: impl Fn(&T) -> Option<&Error>,
    ) -> Result<T, Error> {
        let began = Instant::now();
        let done = work.await;
        let error = match &done {
            Ok(done) => refusal(done),
            Err(error) => Some(error),
        };
        let result = error.map_or("ok", Error::word);
        let call = call.as_str();
        self.calls.with_label_values(&[call, result]).inc();
        let seconds = began.elapsed().as_secs_f64();
        self.seconds.with_label_values(&[call]).observe(seconds);
        done
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.calls.clone()), Box::new(self.seconds.clone())]
    }
}
