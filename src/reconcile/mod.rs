//! Looks at the provider and lets its answers settle what webhooks left open.
//!
//! A look is taken in two writes with the call between them: [`begin`] takes a ticket, [`settle()`] puts the answer in its
//! place by the rule in [`crate::kyc::looks`]. A crash in between loses nothing, because the look stays due until it is
//! settled. [`run_once`] makes the looks that are due; [`now`] makes one that somebody waits for. What happens after a
//! standstill is in [`crate::catch_up`].

mod schedule;
mod settle;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::web;
use futures_util::future::join_all;
use tokio::sync::Notify;

use crate::app::App;
use crate::capa;
use crate::capa::gate::Gate;
use crate::catch_up::{self, Ledger};
use crate::clock::Timestamp;
use crate::config::{self, Config};
use crate::db;
use crate::db::catch_ups::CatchUp;
use crate::db::looks;
use crate::db::users::User;
use crate::error::{Code, Error};
use crate::flights::{Flight, Flights};
use crate::kyc::looks::Lane;
use crate::kyc::verification::TrustPolicy;

pub use schedule::{hint, next_attempt, overruled, watch};
pub use settle::{Look, Settlement, begin, note, settle};

/// So many looks of one partner are on their way at a time.
const AT_ONCE: usize = 16;
/// How long the loop rests when nothing was due and nobody wakes it.
const REST: Duration = Duration::from_millis(500);
/// How long it then waits for what else becomes due, because each time is some queries.
const GATHER: Duration = Duration::from_millis(20);
/// Somebody who asks again within this time gets what the look before found.
const ASKED_SPACING: Duration = Duration::from_secs(5);
/// After so many changes in a row of which no webhook spoke, our address is probably not known to the provider.
const UNHEARD: u32 = 3;

/// What looks share while the service runs: nothing of it must outlive the process.
pub struct Lookout {
    accounts: Vec<Mutex<Account>>,
    /// The looks under way, by the key of the user.
    looks: Flights,
    wake: Notify,
    /// When the service last wrote down that it is alive.
    beaten_at: Mutex<Option<Timestamp>>,
}

/// One partner's account at the provider.
pub(crate) struct Account {
    pub(crate) gate: Gate,
    pub(crate) catch_up: Option<CatchUp>,
    pub(crate) ledger: Ledger,
    /// Changes since the last webhook of which no webhook spoke.
    unheard: u32,
}

impl Lookout {
    /// One that has seen nothing yet.
    pub fn new(config: &Config) -> Lookout {
        let account = |_| {
            Mutex::new(Account {
                gate: Gate::new(config.checks.per_second),
                catch_up: None,
                ledger: Ledger::default(),
                unheard: 0,
            })
        };
        Lookout {
            accounts: config.partners.iter().map(account).collect(),
            looks: Flights::default(),
            wake: Notify::new(),
            beaten_at: Mutex::default(),
        }
    }

    /// Lets the loop look at once, because a webhook has come.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Notes that webhooks of the partner arrive.
    pub fn heard(&self, place: usize) {
        self.account(place).unheard = 0;
    }

    /// Whether changes of the partner's users are learnt only by looking.
    pub fn is_unheard(&self, place: usize) -> bool {
        self.account(place).unheard >= UNHEARD
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

/// Begins to look at whoever is due, until the handle is aborted. A look that is cut off stays due.
pub fn start(app: web::Data<App>) -> actix_web::rt::task::JoinHandle<()> {
    actix_web::rt::spawn(async move { run(&app).await })
}

async fn run(app: &App) {
    let mut failing = false;
    loop {
        match run_once(app, app.clock.now()).await {
            Ok(looks) if looks > 0 => continue,
            Ok(_) if app.config.webhooks.policy == TrustPolicy::Never => return,
            Ok(_) => failing = false,
            Err(error) if !failing => {
                log::error!(error:% = error; "Looks cannot be written down. They stay due.");
                failing = true;
            }
            Err(_) => {}
        }
        let _ = tokio::time::timeout(REST, app.lookout.wake.notified()).await;
        tokio::time::sleep(GATHER).await;
    }
}

/// Makes the looks that are due now, as far as the provider may be asked; answers how many it made. Never makes any where
/// `webhooks.confirm` is `never`.
///
/// # Errors
/// When the store fails; the looks stay due.
pub async fn run_once(app: &App, now: Timestamp) -> Result<usize, db::Error> {
    if app.config.webhooks.policy == TrustPolicy::Never {
        catch_up::forget(app).await?;
        return Ok(0);
    }
    catch_up::beat(app, now).await?;
    step(app, now).await
}

/// [`run_once`] without saying that the service is alive: for a command that works beside it.
pub(crate) async fn step(app: &App, now: Timestamp) -> Result<usize, db::Error> {
    let places = 0..app.config.partners.len();
    let steps = join_all(places.map(|place| step_of(app, place, now))).await;
    let mut looks = 0;
    for step in steps {
        looks += step?;
    }
    Ok(looks)
}

async fn step_of(app: &App, place: usize, now: Timestamp) -> Result<usize, db::Error> {
    let mut claims: Vec<Flight<'_>> = Vec::new();
    for lane in Lane::ALL {
        let free = free(app, place, lane, AT_ONCE - claims.len());
        let due = due(app, place, lane, now, free).await?;
        // Whoever is being looked at already is left out.
        let claimed = due
            .iter()
            .filter_map(|key| app.lookout.looks.begin(key).ok());
        let before = claims.len();
        claims.extend(claimed.take(free));
        app.lookout
            .account(place)
            .gate
            .take(lane, claims.len() - before, app.clock.steady());
    }
    catch_up::read_ledger(app, place, now).await?;
    let free = free(app, place, Lane::Sweep, AT_ONCE - claims.len());
    let further = catch_up::next(app, place, free).await?;
    app.lookout
        .account(place)
        .gate
        .take(Lane::Sweep, further.len(), app.clock.steady());
    claims.extend(
        further
            .iter()
            .filter_map(|key| app.lookout.looks.begin(key).ok()),
    );
    if claims.is_empty() {
        return Ok(0);
    }
    let keys: Vec<String> = claims.iter().map(|claim| claim.name().to_owned()).collect();
    let begun = app.db.write(move |conn| begin(conn, &keys, now)).await?;
    let looks = begun.into_iter().map(|look| finish(app, place, look));
    for settled in join_all(looks).await {
        // What the provider would not do has been learnt from already; the looks stay due.
        let _: Result<(), capa::client::Error> = settled?;
    }
    Ok(claims.len())
}

fn free(app: &App, place: usize, lane: Lane, wanted: usize) -> usize {
    let now = app.clock.steady();
    app.lookout.account(place).gate.free(lane, now, wanted)
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
    // Those under way are still due, so that many more rows are fetched.
    let limit = i64::try_from(free + AT_ONCE).unwrap_or(i64::MAX);
    app.db
        .read(move |conn| looks::due(conn, &partner, lane, now, limit))
        .await
}

/// Looks at one user because somebody waits for it, unless the provider has confirmed the status since `since`. Callers
/// who ask at the same time share one look.
///
/// # Errors
/// When the provider or the store fails; the user then stays as it is.
pub async fn now(app: &App, place: usize, user: &User, since: Timestamp) -> Result<(), Error> {
    if app.config.webhooks.policy == TrustPolicy::Never {
        let never = "The provider is never asked: webhooks.confirm is never.";
        return Err(Error::new(Code::BadRequest, never));
    }
    loop {
        let claim = app.lookout.looks.begin(&user.id);
        let key = user.id.clone();
        let memory = app.db.read(move |conn| looks::of(conn, &key)).await?;
        let now = app.clock.now();
        let just_looked = memory.failures == 0
            && memory
                .looked_at
                .is_some_and(|at| now.since(at) < ASKED_SPACING);
        let confirmed = memory.confirmed_at.is_some_and(|at| at >= since);
        let _claim = match claim {
            Ok(_) if confirmed || just_looked => return Ok(()),
            Ok(claim) => claim,
            Err(another) => {
                another.landed().await;
                continue;
            }
        };
        admit(app, place)?;
        let key = user.id.clone();
        let begun = app.db.write(move |conn| begin(conn, &[key], now)).await?;
        for look in begun {
            finish(app, place, look).await?.map_err(Error::from_look)?;
        }
        return Ok(());
    }
}

/// For how long it makes no sense to ask the provider about the users of the partner at that place, if so.
pub fn closed(app: &App, place: usize) -> Option<Duration> {
    app.lookout.account(place).gate.closed(app.clock.steady())
}

/// Somebody who waits is let through as long as the rate allows, and told when to come again where it does not.
fn admit(app: &App, place: usize) -> Result<(), Error> {
    let now = app.clock.steady();
    let mut account = app.lookout.account(place);
    if let Some(wait) = account.gate.closed(now) {
        return Err(Error::provider_closed(wait));
    }
    if account.gate.lend(now) {
        Ok(())
    } else {
        Err(Error::provider_busy())
    }
}

/// Asks the provider and puts its answer in its place.
async fn finish(
    app: &App,
    place: usize,
    look: Look,
) -> Result<Result<(), capa::client::Error>, db::Error> {
    let key = &app.config.partners[place].provider_api_key;
    let (answer, done) = match app.capa.details(key, &look.user_id).await {
        Ok(details) => (Some(details), Ok(())),
        Err(error) => (None, Err(error)),
    };
    match done {
        Ok(()) => app.metrics.looks_answered.inc(),
        Err(_) => app.metrics.looks_failed.inc(),
    }
    let now = app.clock.now();
    app.lookout
        .account(place)
        .gate
        .learn(done.as_ref().copied(), &look.key, app.clock.steady());
    if let Err(error) = &done {
        log::debug!(user_key = look.key, reason:% = error; "A look was not answered.");
    }
    let settled = app
        .db
        .write(move |conn| match answer {
            Some(details) => settle(conn, &look, details.as_ref(), now),
            None => settle::unanswered(conn, &look, now).map(|()| Settlement::Unusable),
        })
        .await?;
    report(app, place, settled);
    Ok(done)
}

fn report(app: &App, place: usize, settled: Settlement) {
    let Settlement::Moved { heard: false } = settled else {
        return;
    };
    let unheard = {
        let mut account = app.lookout.account(place);
        account.unheard += 1;
        account.unheard
    };
    if unheard >= UNHEARD && (unheard == UNHEARD || unheard.is_power_of_two()) {
        let partner = &app.config.partners[place].id;
        log::warn!(partner, changes = unheard; "Changes are learnt only by looking: the provider probably does not know our webhook address. See `kyc-tracker webhook register`.");
    }
}

/// Notes the latest session that the provider knows before the first link of a further attempt is asked for: what it
/// answers about that session later says nothing about this attempt.
///
/// # Errors
/// When the provider or the store fails. No link must be asked for then, because its session could not be told apart.
pub async fn note_session(app: &App, partner: &config::Partner, user: &User) -> Result<(), Error> {
    let found = app
        .capa
        .details(&partner.provider_api_key, &user.user_id)
        .await?;
    let Some(details) = found else {
        return Ok(());
    };
    let user = user.clone();
    app.db
        .write(move |conn| note(conn, &user, &details))
        .await?;
    Ok(())
}
