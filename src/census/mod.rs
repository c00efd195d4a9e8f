//! What only the store knows of all users together: how many stand where, for whom a person must see, what came lately, and
//! what the last days were like. The metrics and the admin page tell of it.
//!
//! To go through a million users and the three million transitions of their month takes two seconds, so nobody reads for
//! itself: there is one last reading, and never two under way. It is made on a thread and a connection of its own, and so
//! seldom that it takes no more than a twentieth of a processor. Who asks waits for it no longer than two seconds, and is told
//! what was read before then.

pub mod month;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::{rt, web};
use tokio::sync::{Mutex, OnceCell};
use tokio::time::timeout;

use crate::app::App;
use crate::clock::Timestamp;
use crate::db::deliveries::{self, Arrived};
use crate::db::users::{self, Count};
use crate::db::{Conn, QueryResult, looks, transitions, unconfirmed};
use crate::kyc::looks::Lane;
use crate::kyc::verification::Outcome;
use crate::metrics::Metrics;
use month::{KEPT, Month, Tally};

/// The store is not read again before so many times as long as a reading took have passed.
const SHARE: u32 = 20;
/// How long who asks waits for a reading at the most.
pub const PATIENCE: Duration = Duration::from_secs(2);

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Makes the first reading, so that whoever looks first need not wait for it.
pub fn begin(app: &web::Data<App>) {
    let app = app.clone();
    rt::spawn(async move { app.census.no_older_than(&app, PATIENCE, PATIENCE).await });
}

/// The last reading, and whose turn it is to make the next.
#[derive(Default)]
pub struct Census {
    /// Held by who reads.
    tried: Mutex<Option<Tried>>,
    last: RwLock<Option<Arc<Counted>>>,
    /// When the newest delivery came that each partner had at the start. From then on the metrics hear of each.
    last_deliveries: OnceCell<Vec<Option<Timestamp>>>,
}

/// A reading, whether it went well or not.
struct Tried {
    at: Timestamp,
    took: Duration,
}

/// What a reading found.
pub struct Counted {
    /// When the reading began.
    pub at: Timestamp,
    /// Of each partner, in the order of the configuration.
    pub partners: Vec<Figures>,
    /// Of all of these together.
    pub total: Figures,
}

/// What was counted of one partner, or of all.
pub struct Figures {
    /// Where users stand.
    pub users: Count,
    /// Deliveries that wait for their user to be registered.
    pub unmatched: i64,
    /// When the earliest check of each lane is due; `None` where none is.
    pub due: Vec<(Lane, Option<Timestamp>)>,
    /// Users who read `verified` though no check has confirmed it.
    pub unconfirmed: i64,
    /// What came, by when it came first.
    pub deliveries: Deliveries,
    /// What the last days were like.
    pub month: Month,
}

/// Different deliveries that came for the first time in a span of time up to the reading; what only came again is not counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// In its last hour.
    pub hour: Outcomes,
    /// In its last 24 hours.
    pub day: Outcomes,
}

/// A count for each outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes(HashMap<Outcome, i64>);

impl Outcomes {
    /// How many came to this.
    pub fn of(&self, outcome: Outcome) -> i64 {
        self.0.get(&outcome).copied().unwrap_or(0)
    }

    fn add(&mut self, other: &Outcomes) {
        for (outcome, count) in &other.0 {
            *self.0.entry(*outcome).or_default() += count;
        }
    }
}

impl Census {
    /// What the last reading found, after a new one unless the last is younger than `age`, or was too dear to be repeated yet.
    ///
    /// A reading that takes longer than `patience` goes on when nobody waits for it any more. One that fails leaves the last as
    /// it is. `None` where none has come to an end yet.
    pub async fn no_older_than(
        &self,
        app: &web::Data<App>,
        age: Duration,
        patience: Duration,
    ) -> Option<Arc<Counted>> {
        let app = app.clone();
        let reading = rt::spawn(async move {
            app.census.read(&app, age).await;
            app.census.search(&app).await;
        });
        let _ = timeout(patience, reading).await;
        self.last()
    }

    /// When the newest delivery came of the partner at that place of the configuration, be it after the last reading; `None`
    /// where none ever did, or the store is still searched for it.
    pub fn last_delivery(&self, metrics: &Metrics, place: usize) -> Option<Timestamp> {
        let stored = self.last_deliveries.get();
        let stored = stored.and_then(|stored| stored.get(place).copied().flatten());
        stored.max(metrics.last_delivery(place))
    }

    fn last(&self) -> Option<Arc<Counted>> {
        self.last
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads anew, unless somebody has just done so.
    async fn read(&self, app: &App, age: Duration) {
        let mut tried = self.tried.lock().await;
        let now = app.clock.now();
        let fresh =
            |last: &Tried| last.at <= now && now.since(last.at) < age.max(last.took * SHARE);
        if tried.as_ref().is_some_and(fresh) {
            return;
        }
        let partners = partners(app);
        let began = Instant::now();
        let found = app.db.read(move |conn| count(conn, now, &partners)).await;
        *tried = Some(Tried {
            at: now,
            took: began.elapsed(),
        });
        match found {
            Ok(counted) => {
                let mut last = self.last.write().unwrap_or_else(PoisonError::into_inner);
                *last = Some(Arc::new(counted));
            }
            Err(error) => {
                log::warn!(error:%; "The store could not be counted; the metrics and the admin page tell what was counted before.");
            }
        }
    }

    /// Finds the newest deliveries, once. It is apart from the reading because it is a search through all deliveries for a
    /// partner who has none: two millions take from one second to twenty.
    async fn search(&self, app: &App) {
        let find = || {
            let partners = partners(app);
            app.db.read(move |conn| last_deliveries(conn, &partners))
        };
        if let Err(error) = self.last_deliveries.get_or_try_init(find).await {
            log::warn!(error:%; "The store could not be searched for the last deliveries.");
        }
    }
}

fn partners(app: &App) -> Vec<String> {
    let partners = app.config.partners.iter();
    partners.map(|partner| partner.id.clone()).collect()
}

impl Figures {
    /// When the earliest check is due; `None` where none ever will be.
    pub fn next_check(&self) -> Option<Timestamp> {
        self.due.iter().filter_map(|(_, due)| *due).min()
    }

    /// Of nobody.
    fn none(now: Timestamp) -> Figures {
        Figures {
            users: Count::default(),
            unmatched: 0,
            due: Lane::ALL.map(|lane| (lane, None)).into(),
            unconfirmed: 0,
            deliveries: Deliveries::default(),
            month: Month::empty(now),
        }
    }

    fn add(&mut self, other: &Figures) {
        self.users.add(&other.users);
        self.unmatched += other.unmatched;
        for ((_, due), (_, other)) in self.due.iter_mut().zip(&other.due) {
            *due = due.iter().chain(other).min().copied();
        }
        self.unconfirmed += other.unconfirmed;
        self.deliveries.hour.add(&other.deliveries.hour);
        self.deliveries.day.add(&other.deliveries.day);
        self.month.add(&other.month);
    }
}

fn due(conn: &mut Conn, partner: &str) -> QueryResult<Vec<(Lane, Option<Timestamp>)>> {
    let lanes = Lane::ALL.into_iter();
    lanes
        .map(|lane| Ok((lane, looks::oldest_due(conn, partner, lane)?)))
        .collect()
}

fn last_deliveries(conn: &mut Conn, partners: &[String]) -> QueryResult<Vec<Option<Timestamp>>> {
    let partners = partners.iter();
    partners
        .map(|partner| deliveries::last_received_at(conn, partner))
        .collect()
}

fn count(conn: &mut Conn, now: Timestamp, partners: &[String]) -> QueryResult<Counted> {
    let mut users: HashMap<_, _> = users::counts(conn)?
        .into_iter()
        .map(|count| (count.partner.clone(), count))
        .collect();
    let unmatched: HashMap<_, _> = deliveries::unmatched_counts(conn)?.into_iter().collect();
    let mut came = came(deliveries::arrived(conn, now.minus(DAY), now.minus(HOUR))?);
    let figures = partners.iter().map(|partner| {
        Ok(Figures {
            users: users.remove(partner).unwrap_or_default(),
            unmatched: unmatched.get(partner).copied().unwrap_or(0),
            due: due(conn, partner)?,
            unconfirmed: unconfirmed::believed(conn, partner)?,
            deliveries: came.remove(partner).unwrap_or_default(),
            month: month(conn, now, partner)?,
        })
    });
    let partners = figures.collect::<QueryResult<Vec<_>>>()?;
    let mut total = Figures::none(now);
    partners.iter().for_each(|figures| total.add(figures));
    Ok(Counted {
        at: now,
        partners,
        total,
    })
}

fn came(arrived: Vec<Arrived>) -> HashMap<String, Deliveries> {
    let mut came: HashMap<String, Deliveries> = HashMap::new();
    for group in arrived {
        let deliveries = came.entry(group.partner).or_default();
        deliveries.day.0.insert(group.outcome, group.all);
        deliveries.hour.0.insert(group.outcome, group.late);
    }
    came
}

fn month(conn: &mut Conn, now: Timestamp, partner: &str) -> QueryResult<Month> {
    let first = transitions::first_since(conn, partner, Month::begins(now))?;
    let last = transitions::last_seq(conn, partner)?;
    let kept = (last - first + 1).clamp(0, KEPT);
    let mut tally = Tally::new(now, first, usize::try_from(kept).unwrap_or(0));
    transitions::outlines(conn, partner, first..=last, |transition| {
        tally.take(&transition);
    })?;
    Ok(tally.month())
}
