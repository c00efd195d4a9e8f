//! All that a request can reach, built by one function for the service and for the tests alike.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};
use serde::Serialize;
use utoipa::ToSchema;

use crate::capa;
use crate::capa::signature::{Refusal, Verifier};
use crate::census::Census;
use crate::clock::Clock;
use crate::config::{Config, KeyHash, Partner};
use crate::db::Db;
use crate::db::users::View;
use crate::flights::Flights;
use crate::ingest::Believed;
use crate::keys::Keys;
use crate::kyc::verification::Trust;
use crate::metrics::Metrics;
use crate::reconcile::{Lookout, policies};
use crate::seats::Seats;
use crate::sessions::Sessions;
use crate::start_pages::StartPages;

/// The service without its sockets.
pub struct App {
    /// The settings it was built with.
    pub config: Config,
    /// The store.
    pub db: Db,
    /// The provider.
    pub capa: capa::client::Client,
    /// The time.
    pub clock: Clock,
    /// What is measured.
    pub metrics: Metrics,
    /// What was last counted of all users.
    pub census: Census,
    /// How many deliveries were refused.
    pub refusals: Refusals,
    /// The looks at the provider.
    pub lookout: Lookout,
    /// The links that the provider is being asked for.
    pub flights: Flights,
    /// The requests with an `Idempotency-Key` that are being answered.
    pub answering: Flights,
    /// Where requests wait on purpose.
    pub seats: Seats,
    /// Who is signed in on the admin page.
    pub sessions: Sessions,
    /// Where users begin.
    pub start_pages: StartPages,
    /// The API keys of partners.
    pub partner_keys: Keys,
    /// The API keys of admins.
    pub admin_keys: Keys,
    verifiers: HashMap<String, Arc<Verifier>>,
    nobody: Arc<Verifier>,
}

impl App {
    /// Opens the store, brings its schema up to date and prepares the keys. Reaches out to nobody.
    ///
    /// # Errors
    /// When the store or the client for the provider cannot be set up.
    pub fn build(config: Config, clock: Clock) -> anyhow::Result<App> {
        let rounds = config
            .partners
            .iter()
            .map(|partner| partner.webhook_secrets.len())
            .max();
        let rounds = rounds.unwrap_or(1);
        let partners = config.partners.iter().enumerate();
        let admins = config.admins.iter().enumerate();
        let started = clock.now();
        let metrics = Metrics::new(&config, started)?;
        let environment = config.provider.environment;
        let db = Db::open_and(&config.database.path, environment, |conn| {
            policies::take_up(conn, &config.partners, started)
        })?;
        metrics.take_in(db.collectors())?;
        let capa = capa::client::Client::new(&config.provider)?;
        metrics.take_in(capa.collectors())?;
        Ok(App {
            start_pages: StartPages::new(&config.server.public_url, db.start_pages_secret()),
            db,
            capa,
            clock,
            refusals: Refusals::new(&metrics.refused),
            metrics,
            census: Census::default(),
            lookout: Lookout::new(&config, started),
            flights: Flights::default(),
            answering: Flights::default(),
            seats: Seats::new(config.partners.len()),
            sessions: Sessions::default(),
            partner_keys: Keys::new(&config.limits, partners.flat_map(keys_of)),
            admin_keys: Keys::new(
                &config.limits,
                admins.map(|(place, admin)| (admin.api_key, place)),
            ),
            verifiers: config
                .partners
                .iter()
                .map(|partner| {
                    (
                        partner.id.clone(),
                        Arc::new(Verifier::new(&partner.webhook_secrets, rounds)),
                    )
                })
                .collect(),
            nobody: Arc::new(Verifier::of_nobody(rounds)),
            config,
        })
    }

    /// The place in the configuration of the partner with that id.
    pub fn partner_place(&self, id: &str) -> Option<usize> {
        self.config
            .partners
            .iter()
            .position(|partner| partner.id == id)
    }

    /// What verifies the partner's webhooks; for an unknown partner one that refuses all at the same cost.
    pub fn verifier(&self, partner: &str) -> &Arc<Verifier> {
        self.verifiers.get(partner).unwrap_or(&self.nobody)
    }

    /// How far deliveries of the partner are trusted that arrived before their user was registered.
    pub fn believed(&self, partner: &Partner) -> Believed {
        Believed {
            trust: partner.trust,
            verifier: self.verifier(&partner.id).clone(),
        }
    }

    /// How far the webhooks of the partner with that id are trusted; as the settings say for all where it is not configured
    /// any more.
    pub fn trust(&self, partner: &str) -> Trust {
        self.trust_at(self.partner_place(partner))
    }

    /// [`App::trust`] of the partner at that place of the configuration.
    pub fn trust_at(&self, place: Option<usize>) -> Trust {
        place.map_or(self.config.webhooks, |place| {
            self.config.partners[place].trust
        })
    }

    /// A verdict waits because too many users of the partner read `verified` unconfirmed. That is logged each time a count
    /// doubles: soon enough to be seen, too rarely to fill a disk.
    pub fn cap_reached(&self, place: usize) {
        let count = self.metrics.cap_reached(place);
        if count.is_power_of_two() {
            let partner = &self.config.partners[place].id;
            log::error!(partner, count; "Too many users read `verified` unconfirmed, so further verdicts wait for their check. A leaked webhook secret looks like this: see `kyc-tracker webhook distrust --help`.");
        }
    }

    /// The present moment, from which users are read.
    pub fn view(&self) -> View {
        View::new(self.clock.now(), self.config.webhooks)
    }
}

fn keys_of((place, partner): (usize, &Partner)) -> impl Iterator<Item = (KeyHash, usize)> {
    let keys = partner.api_keys.iter();
    keys.map(move |key| (*key, place))
}

/// Counts of deliveries refused since the start: all that is kept of them, so that a flood takes no space.
pub struct Refusals {
    missing: IntCounter,
    doubled: IntCounter,
    malformed: IntCounter,
    wrong: IntCounter,
}

/// How many deliveries have been refused since the start, by what was wrong with their signature.
#[derive(Serialize, ToSchema)]
pub struct RefusalCounts {
    #[schema(examples(0))]
    missing: u64,
    #[schema(examples(0))]
    doubled: u64,
    #[schema(examples(0))]
    malformed: u64,
    #[schema(examples(2))]
    wrong: u64,
}

impl Refusals {
    /// Counted among the metrics.
    fn new(counts: &IntCounterVec) -> Refusals {
        let count = |reason| counts.with_label_values(&[reason]);
        Refusals {
            missing: count("missing"),
            doubled: count("doubled"),
            malformed: count("malformed"),
            wrong: count("wrong"),
        }
    }

    /// Counts one. A warning is logged each time a count doubles: soon enough to be seen, too rarely to fill a disk. (When two
    /// are counted at the same moment one warning may be left out.)
    pub fn note(&self, refusal: Refusal) {
        let (count, reason) = match refusal {
            Refusal::Missing => (&self.missing, "missing"),
            Refusal::Doubled => (&self.doubled, "doubled"),
            Refusal::Malformed => (&self.malformed, "malformed"),
            Refusal::Wrong => (&self.wrong, "wrong"),
        };
        count.inc();
        let count = count.get();
        if count.is_power_of_two() {
            log::warn!(reason, count; "Webhooks were refused for their signature.");
        }
    }

    /// How many there are, whatever was wrong.
    pub fn total(&self) -> u64 {
        let all = [&self.missing, &self.doubled, &self.malformed, &self.wrong];
        all.map(IntCounter::get).iter().sum()
    }

    /// The counts now.
    pub fn counts(&self) -> RefusalCounts {
        RefusalCounts {
            missing: self.missing.get(),
            doubled: self.doubled.get(),
            malformed: self.malformed.get(),
            wrong: self.wrong.get(),
        }
    }
}
