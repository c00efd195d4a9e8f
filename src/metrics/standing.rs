//! What only the store knows: how many users stand where, for whom somebody must see, and what is late.
//!
//! To count a million users takes a second, so this is read at most every [`FRESH`], never twice at the same time, on a thread
//! and a connection of its own, and so seldom that it takes no more than one part in [`SHARE`] of a processor. Who scrapes
//! waits for it no longer than [`PATIENCE`], and is told what was read before then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use actix_web::{rt, web};
use prometheus::{
    IntGauge, IntGaugeVec, Registry, register_int_gauge_vec_with_registry,
    register_int_gauge_with_registry,
};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::seconds;
use crate::app::App;
use crate::clock::Timestamp;
use crate::db::users::Count;
use crate::db::{self, QueryResult, deliveries, looks, users};
use crate::kyc::status::Status;

/// What was read this short a time ago is not read again.
const FRESH: Duration = Duration::from_secs(15);
/// It is not read again before so many times as long as it took have passed.
const SHARE: u32 = 20;
/// How long a scrape waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// The gauges, and when they were last set.
pub(super) struct Standing {
    users: IntGaugeVec,
    attention: IntGaugeVec,
    unmatched: IntGaugeVec,
    oldest_pending: IntGaugeVec,
    next_look: IntGaugeVec,
    read_at: IntGauge,
    last: Mutex<Option<Last>>,
}

struct Last {
    at: Timestamp,
    keep: Duration,
}

/// What a reading found of one partner.
struct Found {
    /// None where it has none.
    users: Option<Count>,
    unmatched: i64,
    next_look: Option<Timestamp>,
    /// Asked for only while no delivery was heard since the start.
    last_delivery: Option<Timestamp>,
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
                "kyc_tracker_next_look_timestamp_seconds",
                "When the earliest of all looks is due that wait to be made. Absent where none ever will be.",
                &["partner"],
            )?,
            read_at: register_int_gauge_with_registry!(
                "kyc_tracker_store_read_timestamp_seconds",
                "When the store was last read for the metrics that count what is in it; 0 before the first time.",
                r
            )?,
            last: Mutex::default(),
        })
    }

    /// Reads anew, unless somebody has just done so.
    async fn read(&self, app: &App) {
        let mut last = self.last.lock().await;
        let now = app.clock.now();
        let fresh = |last: &Last| last.at <= now && now.since(last.at) < last.keep;
        if last.as_ref().is_some_and(fresh) {
            return;
        }
        let partners = &app.metrics.partners;
        let ids = app.config.partners.iter().zip(partners);
        let ids: Vec<(String, bool)> = ids
            .map(|(partner, known)| (partner.id.clone(), known.last_delivery.get() == 0))
            .collect();
        let began = Instant::now();
        let found = app.db.read(move |conn| find(conn, &ids)).await;
        let keep = FRESH.max(began.elapsed() * SHARE);
        *last = Some(Last { at: now, keep });
        match found {
            Ok(found) => {
                for (place, found) in found.into_iter().enumerate() {
                    self.show(&app.config.partners[place].id, &found);
                    let gauge = &partners[place].last_delivery;
                    if let (Some(at), 0) = (found.last_delivery, gauge.get()) {
                        gauge.set(seconds(at));
                    }
                }
                self.read_at.set(seconds(now));
            }
            Err(error) => {
                log::warn!(error:%; "The store could not be read for the metrics, which keep what was read before.");
            }
        }
    }

    fn show(&self, partner: &str, found: &Found) {
        let users = found.users.as_ref();
        for status in Status::ALL {
            let gauge = self.users.with_label_values(&[partner, status.as_str()]);
            gauge.set(users.map_or(0, |count| count.shown(status)));
        }
        let attention = |word: &str, users: Option<i64>| {
            let gauge = self.attention.with_label_values(&[partner, word]);
            gauge.set(users.unwrap_or(0));
        };
        attention("held", users.map(|count| count.held));
        attention("conflict", users.map(|count| count.conflict));
        attention("stalled", users.map(|count| count.stalled));
        let unmatched = self.unmatched.with_label_values(&[partner]);
        unmatched.set(found.unmatched);
        let oldest = users.and_then(|count| count.oldest_pending);
        show_time(&self.oldest_pending, partner, oldest);
        show_time(&self.next_look, partner, found.next_look);
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

fn find(conn: &mut db::Conn, partners: &[(String, bool)]) -> QueryResult<Vec<Found>> {
    let mut users: HashMap<_, _> = users::counts(conn)?
        .into_iter()
        .map(|count| (count.partner.clone(), count))
        .collect();
    let unmatched: HashMap<_, _> = deliveries::unmatched_counts(conn)?.into_iter().collect();
    let found = partners.iter().map(|(partner, unheard)| {
        let last_delivery = match unheard {
            true => deliveries::last_received_at(conn, partner)?,
            false => None,
        };
        Ok(Found {
            users: users.remove(partner),
            unmatched: unmatched.get(partner).copied().unwrap_or(0),
            next_look: looks::next_due(conn, partner)?,
            last_delivery,
        })
    });
    found.collect()
}

/// Reads anew where that is due. It goes on when it takes too long to be waited for.
pub(super) async fn refresh(app: &web::Data<App>) {
    let app = app.clone();
    let reading = rt::spawn(async move { app.metrics.standing.read(&app).await });
    let _ = timeout(PATIENCE, reading).await;
}
