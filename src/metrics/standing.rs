//! What only the store knows, as it was last counted: how many users stand where, for whom somebody must see, and what is late.

use std::time::Duration;

use actix_web::web;
use prometheus::{
    IntGauge, IntGaugeVec, Registry, register_int_gauge_vec_with_registry,
    register_int_gauge_with_registry,
};

use super::seconds;
use crate::app::App;
use crate::census::{Counted, Figures, PATIENCE};
use crate::clock::Timestamp;
use crate::kyc::status::Status;

/// What was counted this short a time ago is not counted again for a scrape.
const FRESH: Duration = Duration::from_secs(15);

/// The gauges.
pub(super) struct Standing {
    users: IntGaugeVec,
    attention: IntGaugeVec,
    unmatched: IntGaugeVec,
    oldest_pending: IntGaugeVec,
    next_look: IntGaugeVec,
    lateness: IntGaugeVec,
    unconfirmed: IntGaugeVec,
    read_at: IntGauge,
}

impl Standing {
    /// Nothing read yet.
    pub(super) fn new(r: &Registry) -> prometheus::Result<Standing> {
        let gauge = |name: &str, help: &str, labels: &[&str]| {
            let help = format!(
                "{help} Read from the store every 15 s at most; see kyc_tracker_store_read_timestamp_seconds."
            );
            register_int_gauge_vec_with_registry!(name, help, labels, r)
        };
        Ok(Standing {
            users: gauge(
                "kyc_tracker_users",
                "Users by partner and by the status that readers are shown.",
                &["partner", "status"],
            )?,
            attention: gauge(
                "kyc_tracker_users_needing_attention",
                "Users for whom a person might have to see, by partner and reason.",
                &["partner", "attention"],
            )?,
            unmatched: gauge(
                "kyc_tracker_unmatched_deliveries",
                "Webhooks that wait for their user to be registered.",
                &["partner"],
            )?,
            oldest_pending: gauge(
                "kyc_tracker_oldest_pending_timestamp_seconds",
                "Since when the user who is pending for the longest time is so, or has its last link. Absent where nobody is pending.",
                &["partner"],
            )?,
            next_look: gauge(
                "kyc_tracker_next_check_timestamp_seconds",
                "When the earliest check is due. Absent where none is.",
                &["partner"],
            )?,
            lateness: gauge(
                "kyc_tracker_check_lateness_seconds",
                "How overdue the most overdue check of each lane is; 0 where none is.",
                &["partner", "lane"],
            )?,
            unconfirmed: gauge(
                "kyc_tracker_unconfirmed_users",
                "Users who read verified though no check has confirmed it yet; at most unconfirmed_at_most for each partner.",
                &["partner"],
            )?,
            read_at: register_int_gauge_with_registry!(
                "kyc_tracker_store_read_timestamp_seconds",
                "When the store was last read for the metrics that count what is in it; 0 before the first time.",
                r
            )?,
        })
    }

    fn show(&self, app: &App, counted: &Counted) {
        let partners = app.config.partners.iter().zip(&counted.partners);
        for (place, (partner, figures)) in partners.enumerate() {
            self.show_partner(&partner.id, figures, counted.at);
            let gauge = &app.metrics.partners[place].last_delivery;
            if let (Some(at), 0) = (app.census.last_delivery(&app.metrics, place), gauge.get()) {
                gauge.set(seconds(at));
            }
        }
        self.read_at.set(seconds(counted.at));
    }

    fn show_partner(&self, partner: &str, figures: &Figures, at: Timestamp) {
        let users = &figures.users;
        for status in Status::ALL {
            let gauge = self.users.with_label_values(&[partner, status.as_str()]);
            gauge.set(users.shown(status));
        }
        let attention = |word: &str, count: i64| {
            let gauge = self.attention.with_label_values(&[partner, word]);
            gauge.set(count);
        };
        attention("held", users.held);
        attention("conflict", users.conflict);
        attention("stalled", users.stalled);
        attention("unconfirmed", users.unconfirmed);
        attention("unusable", users.unusable);
        for (lane, due) in &figures.due {
            let late = due.map_or(Duration::ZERO, |due| at.since(due));
            let gauge = self.lateness.with_label_values(&[partner, lane.as_str()]);
            gauge.set(i64::try_from(late.as_secs()).unwrap_or(i64::MAX));
        }
        let unconfirmed = self.unconfirmed.with_label_values(&[partner]);
        unconfirmed.set(figures.unconfirmed);
        let unmatched = self.unmatched.with_label_values(&[partner]);
        unmatched.set(figures.unmatched);
        show_time(&self.oldest_pending, partner, users.oldest_pending);
        show_time(&self.next_look, partner, figures.next_check());
    }
}

fn show_time(gauge: &IntGaugeVec, partner: &str, time: Option<Timestamp>) {
    match time {
        Some(time) => gauge.with_label_values(&[partner]).set(seconds(time)),
        None => {
            // It may not have been there.
            let _ = gauge.remove_label_values(&[partner]);
        }
    }
}

/// Sets the gauges to what was counted last, and counts anew where that is due.
pub(super) async fn refresh(app: &web::Data<App>) {
    if let Some(counted) = app.census.no_older_than(app, FRESH, PATIENCE).await {
        app.metrics.standing.show(app, &counted);
    }
}
