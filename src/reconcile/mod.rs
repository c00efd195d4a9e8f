//! Checks the provider and lets its answers settle what webhooks left open.
//!
//! A check is taken in two writes with the call between them: [`begin`] takes a ticket, [`settle()`] puts the answer in its
//! place by the rule in [`crate::kyc::looks`]. A crash in between loses nothing, because the check stays due until it is
//! settled. [`run_once`] makes the checks that are due, [`asked`] one that a caller waits for. `house.rs` does what time alone
//! brings; what follows a standstill is in [`crate::catch_up`].

mod account;
pub mod asked;
mod house;
pub mod policies;
mod read;
mod schedule;
mod settle;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;
use futures_util::future::{join_all, join3, select_all};
use tokio::sync::Notify;

use crate::app::App;
use crate::capa::client::Error as Capa;
use crate::capa::gate::InFlight;
use crate::catch_up;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::db;
use crate::db::looks;
use crate::flights::{Flight, Flights};
use crate::kyc::looks::Lane;

pub(crate) use account::Account;
pub use house::put_in_doubt;
pub use read::{Reading, note, reading};
pub use schedule::{hint, hurry, next_attempt, overruled, watch};
pub use settle::{Look, Settled, Settlement, begin, settle};

/// How many checks of one partner are in flight at most.
pub(crate) const AT_ONCE: usize = 16;
/// How long the loop rests when nothing was due and nothing wakes it.
const REST: Duration = Duration::from_millis(500);
/// How long it then waits for what else becomes due, because each time is some queries.
const GATHER: Duration = Duration::from_millis(20);

/// What checks share while the service runs: nothing of it must outlive the process.
pub struct Lookout {
    accounts: Vec<Mutex<Account>>,
    /// Wakes the loop of each partner.
    wakes: Vec<Notify>,
    /// The checks in flight, by the key of the user.
    looks: Flights,
    /// When the service last wrote down that it is alive.
    beaten_at: Mutex<Option<Timestamp>>,
}

impl Lookout {
    /// One that has seen nothing yet.
    pub fn new(config: &Config, started: Timestamp) -> Lookout {
        let account = |_| Mutex::new(Account::new(config.checks.per_second, started));
        Lookout {
            accounts: config.partners.iter().map(account).collect(),
            wakes: config.partners.iter().map(|_| Notify::new()).collect(),
            looks: Flights::default(),
            beaten_at: Mutex::default(),
        }
    }

    /// Lets the loop of the partner check at once, because a webhook has come.
    pub fn wake(&self, place: usize) {
        self.wakes[place].notify_one();
    }

    /// Notes that webhooks of the partner arrive.
    pub fn heard(&self, place: usize) {
        self.account(place).unheard = 0;
    }

    /// Whether changes of the partner's users are learnt only by checks.
    pub fn is_unheard(&self, place: usize) -> bool {
        self.account(place).is_unheard()
    }

    /// Since when the partner's provider has given no usable answer, where it gave only unusable ones.
    pub fn unusable_since(&self, place: usize) -> Option<Timestamp> {
        self.account(place).unusable_since()
    }

    /// When the service last wrote down that it is alive; a time alone, so poison is ignored.
    pub(crate) fn beaten_at(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.beaten_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The account of the partner at that place of the configuration. No change is made in two steps that could panic
    /// between, so poison is ignored.
    pub(crate) fn account(&self, place: usize) -> MutexGuard<'_, Account> {
        self.accounts[place]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to check the users who are due, until the handle is aborted. A check that is cut off stays due.
pub fn start(app: web::Data<App>) -> actix_web::rt::task::JoinHandle<()> {
    actix_web::rt::spawn(async move {
        let places = || app.config.checked_partners().map(|(place, _)| place);
        let loops = join_all(places().map(|place| run(&app, place)));
        let probes = join_all(places().map(|place| asked::probe(&app, place)));
        join3(house::run(&app), loops, probes).await;
    })
}

/// Makes the checks of one partner. A slow answer holds up nothing but its own place among those in flight.
async fn run(app: &App, place: usize) {
    let mut failing = false;
    let (mut in_flight, mut lanes) = (Vec::new(), InFlight::new(AT_ONCE));
    loop {
        match claim(app, place, app.clock.now(), lanes).await {
            Ok(claimed) => {
                failing = false;
                in_flight.extend(claimed.into_iter().map(|claimed| {
                    let lane = claimed.lane;
                    lanes.begin(lane, 1);
                    (lane, Box::pin(finish_claimed(app, place, claimed)))
                }));
            }
            Err(error) if !failing => {
                log::error!(error:% = error; "Checks cannot be written down. They stay due; see the store's errors.");
                failing = true;
            }
            Err(_) => {}
        }
        let rest = async {
            let _ = tokio::time::timeout(REST, app.lookout.wakes[place].notified()).await;
            tokio::time::sleep(GATHER).await;
        };
        if in_flight.is_empty() {
            rest.await;
            continue;
        }
        let ended = select_all(in_flight.iter_mut().map(|(_, check)| check));
        tokio::select! {
            (_, index, _) = ended => {
                let (lane, _) = in_flight.swap_remove(index);
                lanes.end(lane, 1);
            }
            () = rest => {}
        }
    }
}

async fn finish_claimed(app: &App, place: usize, claimed: Claimed<'_>) {
    if let Err(error) = finish(app, place, claimed.look).await {
        log::debug!(error:% = error; "The answer of a check cannot be written down. The check stays due.");
    }
}

/// Makes the checks that are due now, as far as the provider may be asked; answers how many it made. It makes none for a
/// partner whose `confirm` is `never`.
///
/// # Errors
/// When the store fails; the checks stay due.
pub async fn run_once(app: &App, now: Timestamp) -> Result<usize, db::Error> {
    house::keep(app, now).await?;
    step(app, now).await
}

/// [`run_once`] without what time alone brings: for a command that works beside a service.
pub(crate) async fn step(app: &App, now: Timestamp) -> Result<usize, db::Error> {
    let checked = app.config.checked_partners();
    let steps = join_all(checked.map(|(place, _)| step_of(app, place, now))).await;
    let mut looks = 0;
    for step in steps {
        looks += step?;
    }
    Ok(looks)
}

async fn step_of(app: &App, place: usize, now: Timestamp) -> Result<usize, db::Error> {
    let claimed = claim(app, place, now, InFlight::new(AT_ONCE)).await?;
    let count = claimed.len();
    let looks = claimed.into_iter().map(|claimed| async move {
        let _flight = claimed.flight;
        finish(app, place, claimed.look).await
    });
    for settled in join_all(looks).await {
        // What the provider would not do has been learnt from already; the checks stay due.
        let _: Result<(), Capa> = settled?;
    }
    Ok(count)
}

/// A check that has begun, which nothing else begins for the same user meanwhile.
struct Claimed<'a> {
    lane: Lane,
    flight: Flight<'a>,
    look: Look,
}

/// Begins the checks that are due, as far as the rate and those in flight allow.
async fn claim<'a>(
    app: &'a App,
    place: usize,
    now: Timestamp,
    mut in_flight: InFlight,
) -> Result<Vec<Claimed<'a>>, db::Error> {
    let mut claims: Vec<(Lane, Flight<'a>)> = Vec::new();
    for lane in Lane::ALL {
        let free = free(app, place, lane, &in_flight);
        let due = due(app, place, lane, now, free).await?;
        // A user who is being checked already is left out.
        let claimed = due
            .iter()
            .filter_map(|key| app.lookout.looks.begin(key).ok())
            .take(free);
        take(app, place, lane, claimed, &mut claims, &mut in_flight);
    }
    catch_up::read_ledger(app, place, now).await?;
    let free = free(app, place, Lane::Sweep, &in_flight);
    let further = catch_up::next(app, place, free, now).await?;
    let claimed = further
        .iter()
        .filter_map(|key| app.lookout.looks.begin(key).ok());
    take(
        app,
        place,
        Lane::Sweep,
        claimed,
        &mut claims,
        &mut in_flight,
    );
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = claims
        .iter()
        .map(|(_, flight)| flight.name().to_owned())
        .collect();
    let clock = app.clock.clone();
    let begun = app
        .db
        .write(move |conn| begin(conn, &clock, &keys, now))
        .await?;
    let claimed = claims.into_iter().zip(begun);
    Ok(claimed
        .map(|((lane, flight), look)| Claimed { lane, flight, look })
        .collect())
}

fn take<'a>(
    app: &App,
    place: usize,
    lane: Lane,
    claimed: impl Iterator<Item = Flight<'a>>,
    claims: &mut Vec<(Lane, Flight<'a>)>,
    in_flight: &mut InFlight,
) {
    let before = claims.len();
    claims.extend(claimed.map(|flight| (lane, flight)));
    let taken = claims.len() - before;
    in_flight.begin(lane, taken);
    let steady = app.clock.steady();
    app.lookout.account(place).gate.take(lane, taken, steady);
}

/// How many checks of the lane may begin now.
fn free(app: &App, place: usize, lane: Lane, in_flight: &InFlight) -> usize {
    let slots = in_flight.slots(lane);
    let steady = app.clock.steady();
    app.lookout.account(place).gate.free(lane, steady, slots)
}

async fn due(
    app: &App,
    place: usize,
    lane: Lane,
    now: Timestamp,
    free: usize,
) -> Result<Vec<String>, db::Error> {
    if free == 0 {
        return Ok(Vec::new());
    }
    let partner = app.config.partners[place].id.clone();
    // Those in flight are still due, so that many more rows are fetched.
    let limit = i64::try_from(free + AT_ONCE).unwrap_or(i64::MAX);
    app.db
        .read(move |conn| looks::due(conn, &partner, lane, now, limit))
        .await
}

/// Asks the provider and puts its answer in its place.
async fn finish(app: &App, place: usize, look: Look) -> Result<Result<(), Capa>, db::Error> {
    let partner = &app.config.partners[place];
    let key = &partner.provider_api_key;
    let (answer, done) = match app.capa.details(key, &look.user_id).await {
        Ok(details) => (Some(Ok(details)), Ok(())),
        Err(Capa::Unusable(unusable)) => (Some(Err(unusable)), Err(Capa::Unusable(unusable))),
        Err(error) => (None, Err(error)),
    };
    match done {
        Ok(()) => app.metrics.looks_answered.inc(),
        Err(_) => app.metrics.looks_failed.inc(),
    }
    let now = app.clock.now();
    let learnt = done.as_ref().copied();
    let steady = app.clock.steady();
    app.lookout
        .account(place)
        .gate
        .learn(learnt, &look.key, steady);
    if let Err(error) = &done {
        log::debug!(user_key = look.key, reason:% = error; "A check brought no usable answer.");
    }
    let trust = partner.trust;
    let settled = app
        .db
        .write(move |conn| match answer {
            Some(answer) => settle(conn, trust, &look, reading(&answer), now).map(Some),
            None => settle::unanswered(conn, &look, now).map(|()| None),
        })
        .await?;
    if let Some(settled) = settled {
        account::learn(app, place, settled, now);
        if let Settlement::Unusable(unusable) = settled.settlement {
            return Ok(Err(Capa::Unusable(unusable)));
        }
    }
    Ok(done)
}
