//! What is measured, in the form in which Prometheus reads it.
//!
//! The values of all labels are known at the start: routes, partners, outcomes, codes. So nobody makes a new series by what
//! they send, and none says who a person is. What is counted for each request is a handle that was looked up before.
//! What the store alone knows is told by `standing.rs`, and what the system knows of the process in `process.rs`.

mod process;
mod standing;

use std::time::Duration;

use actix_web::web;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder, histogram_opts, opts, register_histogram_vec_with_registry,
    register_histogram_with_registry, register_int_counter_vec_with_registry,
    register_int_gauge_vec_with_registry, register_int_gauge_with_registry,
};

use crate::app::App;
use crate::capa::details::Unusable;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Code;
use crate::kyc::verification::Outcome;
use process::Process;
use standing::Standing;

/// The route of requests for which there is none, or of which it was not looked for any more.
pub const NO_ROUTE: &str = "none";

/// The bounds of all times that are measured, in seconds.
pub const BUCKETS: [f64; 6] = [0.000_1, 0.001, 0.01, 0.1, 1.0, 10.0];

const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// All that the service counts of itself since its start.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    errors: IntCounterVec,
    unusable: IntCounterVec,
    /// Deliveries that were refused for their signature, by the reason.
    pub refused: IntCounterVec,
    /// Requests that no route is known of.
    pub unrouted: Route,
    partners: Vec<Partner>,
    /// Looks at the provider that were answered.
    pub looks_answered: IntCounter,
    /// Checks that were not.
    pub looks_failed: IntCounter,
    confirmed_after: Histogram,
    standing: Standing,
}

/// What is measured of one route's requests.
pub struct Route {
    by_class: [IntCounter; 4],
    seconds: Histogram,
}

impl Route {
    /// Counts a request with that status, which took so many seconds.
    pub fn count(&self, status: u16, seconds: f64) {
        let class = usize::from(status / 100).clamp(2, 5) - 2;
        self.by_class[class].inc();
        self.seconds.observe(seconds);
    }
}

/// What is measured of one partner, in the order of the configuration.
struct Partner {
    deliveries: Vec<(Outcome, IntCounter)>,
    last_delivery: IntGauge,
    waits: IntGauge,
    streams: IntGauge,
    unheard: IntGauge,
    over_the_cap: IntCounter,
}

impl Metrics {
    /// Nothing counted yet.
    ///
    /// # Errors
    /// When a name or a label is not as Prometheus wants it, which no setting can bring about.
    pub fn new(config: &Config, started: Timestamp) -> prometheus::Result<Metrics> {
        let registry = Registry::new();
        let r = &registry;
        let build = register_int_gauge_with_registry!(
            opts!("kyc_tracker_build_info", "1, with the version that runs.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
            r
        )?;
        build.set(1);
        let requests = register_int_counter_vec_with_registry!(
            "kyc_tracker_http_requests_total",
            "Requests that were answered, by route and class of status. The route is none where no route has the path, or the request was refused before it was looked for. What cannot be read as a request is not counted.",
            &["route", "status"],
            r
        )?;
        let seconds = register_histogram_vec_with_registry!(
            histogram_opts!(
                "kyc_tracker_http_request_duration_seconds",
                "How long requests were in hand until their answers began, without the time that they waited on purpose or for the client's body.",
                BUCKETS.to_vec()
            ),
            &["route"],
            r
        )?;
        let errors = register_int_counter_vec_with_registry!(
            "kyc_tracker_http_errors_total",
            "Requests that were answered with an error, by its code.",
            &["code"],
            r
        )?;
        for code in Code::ALL {
            errors.with_label_values(&[code.as_str()]);
        }
        let unusable = register_int_counter_vec_with_registry!(
            "kyc_tracker_provider_unusable_total",
            "Answers about a user's verification that could not be used, by the reason. They changed nothing.",
            &["reason"],
            r
        )?;
        for reason in Unusable::ALL {
            unusable.with_label_values(&[reason.as_str()]);
        }
        let refused = register_int_counter_vec_with_registry!(
            "kyc_tracker_deliveries_refused_total",
            "Webhooks that were refused for their signature, of all partners and of none, by what was wrong with it.",
            &["reason"],
            r
        )?;
        let looks = register_int_counter_vec_with_registry!(
            "kyc_tracker_checks_total",
            "Checks of the provider, by whether the answer was usable.",
            &["result"],
            r
        )?;
        let confirmed_after = register_histogram_with_registry!(
            histogram_opts!(
                "kyc_tracker_verdict_confirmation_seconds",
                "How long signed verdicts waited for the provider's answer that agrees with them. One that waits for 30 s reads in_review.",
                vec![0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 300.0]
            ),
            r
        )?;
        let unrouted = route(&requests, &seconds, NO_ROUTE);
        let metrics = Metrics {
            partners: partners(config, r)?,
            unrouted,
            requests,
            seconds,
            errors,
            unusable,
            refused,
            looks_answered: looks.with_label_values(&["answered"]),
            looks_failed: looks.with_label_values(&["failed"]),
            confirmed_after,
            standing: Standing::new(r)?,
            registry,
        };
        metrics.take_in(vec![Box::new(Process::new(started)?)])?;
        Ok(metrics)
    }

    /// Takes in what another part counts of itself.
    ///
    /// # Errors
    /// When it is there already.
    pub fn take_in(&self, collectors: Vec<Box<dyn Collector>>) -> prometheus::Result<()> {
        let mut collectors = collectors.into_iter();
        collectors.try_for_each(|collector| self.registry.register(collector))
    }

    /// What is measured of the requests of that route, to be kept and used for each of them.
    pub fn route(&self, path: &str) -> Route {
        route(&self.requests, &self.seconds, path)
    }

    /// Counts an answer with that code.
    pub fn error(&self, code: Code) {
        self.errors.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts an answer of the provider that could not be used.
    pub fn unusable(&self, reason: Unusable) {
        self.unusable.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a delivery of the partner at that place of the configuration, once it is stored.
    pub fn delivered(&self, place: usize, outcome: Outcome, now: Timestamp) {
        let partner = &self.partners[place];
        let counts = &partner.deliveries;
        if let Some((_, count)) = counts.iter().find(|(known, _)| *known == outcome) {
            count.inc();
        }
        partner.last_delivery.set(seconds(now));
    }

    /// Counts a verdict of the partner at that place of the configuration that waits because of the cap; answers how many there
    /// have been.
    pub fn cap_reached(&self, place: usize) -> u64 {
        let count = &self.partners[place].over_the_cap;
        count.inc();
        count.get()
    }

    /// Counts a signed verdict that has waited so long for the provider's agreeing answer.
    pub fn confirmed_after(&self, wait: Duration) {
        self.confirmed_after.observe(wait.as_secs_f64());
    }

    /// When the last delivery of the partner at that place of the configuration came, to the second; `None` where none has
    /// since the start, or the one before it is not known yet.
    pub fn last_delivery(&self, place: usize) -> Option<Timestamp> {
        let at = self.partners.get(place)?.last_delivery.get();
        (at != 0).then(|| Timestamp(at.saturating_mul(1_000_000)))
    }
}

fn route(requests: &IntCounterVec, seconds: &HistogramVec, path: &str) -> Route {
    Route {
        by_class: CLASSES.map(|class| requests.with_label_values(&[path, class])),
        seconds: seconds.with_label_values(&[path]),
    }
}

fn partners(config: &Config, r: &Registry) -> prometheus::Result<Vec<Partner>> {
    let gauge = |name: &str, help: &str| -> prometheus::Result<IntGaugeVec> {
        register_int_gauge_vec_with_registry!(name, help, &["partner"], r)
    };
    let deliveries = register_int_counter_vec_with_registry!(
        "kyc_tracker_deliveries_total",
        "Webhooks with a right signature that were stored, by partner and by what became of them.",
        &["partner", "outcome"],
        r
    )?;
    let last_delivery = gauge(
        "kyc_tracker_last_delivery_timestamp_seconds",
        "When the partner's last webhook with a right signature was stored; 0 where none ever was.",
    )?;
    let waits = gauge("kyc_tracker_waits", "Requests that wait for a change.")?;
    let streams = gauge("kyc_tracker_streams", "Streams of events that are open.")?;
    let unheard = gauge(
        "kyc_tracker_webhooks_unheard",
        "1 while changes are learnt only by looking, so that the provider probably does not know our address.",
    )?;
    let over_the_cap = register_int_counter_vec_with_registry!(
        "kyc_tracker_unconfirmed_cap_reached_total",
        "Signed verdicts that waited for their check because unconfirmed_at_most users of the partner read verified unconfirmed.",
        &["partner"],
        r
    )?;
    let partner = |partner: &crate::config::Partner| {
        let id = &[partner.id.as_str()];
        let count = |outcome: Outcome| deliveries.with_label_values(&[id[0], outcome.as_str()]);
        Partner {
            deliveries: Outcome::ALL.map(|outcome| (outcome, count(outcome))).into(),
            last_delivery: last_delivery.with_label_values(id),
            waits: waits.with_label_values(id),
            streams: streams.with_label_values(id),
            unheard: unheard.with_label_values(id),
            over_the_cap: over_the_cap.with_label_values(id),
        }
    };
    Ok(config.partners.iter().map(partner).collect())
}

/// All metrics as text. What is in the store is read anew where that is due and is quick enough; see [`crate::census`].
///
/// # Errors
/// When they cannot be written down.
pub async fn scrape(app: &web::Data<App>) -> prometheus::Result<String> {
    standing::refresh(app).await;
    for (place, partner) in app.metrics.partners.iter().enumerate() {
        let (waits, streams) = app.seats.taken(place);
        partner.waits.set(whole(waits));
        partner.streams.set(whole(streams));
        partner
            .unheard
            .set(i64::from(app.lookout.is_unheard(place)));
    }
    TextEncoder::new().encode_to_string(&app.metrics.registry.gather())
}

/// A count as gauges have it.
pub(crate) fn whole(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Since 1970.
fn seconds(time: Timestamp) -> i64 {
    time.0.div_euclid(1_000_000)
}
