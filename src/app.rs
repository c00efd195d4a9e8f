//! All that a request can reach, built by one function for the service and for the tests alike.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use utoipa::ToSchema;

use crate::capa;
use crate::capa::signature::{Refusal, Verifier};
use crate::clock::Clock;
use crate::config::{Config, KeyHash, Partner};
use crate::db::Db;
use crate::flights::Flights;
use crate::keys::Keys;
use crate::reconcile::Lookout;
use crate::seats::Seats;

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
    /// How many deliveries were refused.
    pub refusals: Refusals,
    /// The looks at the provider.
    pub lookout: Lookout,
    /// The links that the provider is being asked for.
    pub flights: Flights,
    /// Where requests wait on purpose.
    pub seats: Seats,
    /// The API keys of partners.
    pub partner_keys: Keys,
    /// The API keys of admins.
    pub admin_keys: Keys,
    verifiers: HashMap<String, Verifier>,
    nobody: Verifier,
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
        Ok(App {
            db: Db::open(&config.database.path)?,
            capa: capa::client::Client::new(&config.provider)?,
            clock,
            refusals: Refusals::default(),
            lookout: Lookout::new(&config),
            flights: Flights::default(),
            seats: Seats::new(config.partners.len()),
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
                        Verifier::new(&partner.webhook_secrets, rounds),
                    )
                })
                .collect(),
            nobody: Verifier::of_nobody(rounds),
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
    pub fn verifier(&self, partner: &str) -> &Verifier {
        self.verifiers.get(partner).unwrap_or(&self.nobody)
    }
}

fn keys_of((place, partner): (usize, &Partner)) -> impl Iterator<Item = (KeyHash, usize)> {
    let keys = partner.api_keys.iter();
    keys.map(move |key| (*key, place))
}

/// Counts of deliveries refused since the start: all that is kept of them, so that a flood takes no space.
#[derive(Default)]
pub struct Refusals {
    missing: AtomicU64,
    doubled: AtomicU64,
    malformed: AtomicU64,
    wrong: AtomicU64,
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
    /// Counts one. A warning is logged each time a count doubles: soon enough to be seen, too rarely to fill a disk.
    pub fn note(&self, refusal: Refusal) {
        let (count, reason) = match refusal {
            Refusal::Missing => (&self.missing, "missing"),
            Refusal::Doubled => (&self.doubled, "doubled"),
            Refusal::Malformed => (&self.malformed, "malformed"),
            Refusal::Wrong => (&self.wrong, "wrong"),
        };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            log::warn!(reason, count; "Webhooks were refused for their signature.");
        }
    }

    /// The counts now.
    pub fn counts(&self) -> RefusalCounts {
        RefusalCounts {
            missing: self.missing.load(Ordering::Relaxed),
            doubled: self.doubled.load(Ordering::Relaxed),
            malformed: self.malformed.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
        }
    }
}
