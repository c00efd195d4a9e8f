//! `kyc-tracker serve`: runs the service until it is told to stop.

use std::path::Path;

use actix_web::{rt, web};

use crate::app::App;
use crate::census;
use crate::clock::Clock;
use crate::config::{self, Config, Environment};
use crate::db::file;
use crate::kyc::verification::TrustPolicy;
use crate::logging;
use crate::reconcile;
use crate::web::server;

/// Returns after SIGTERM or SIGINT, when the requests that were taken have been answered.
pub fn run(config: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    logging::init(&config.log)?;
    for warning in config.warnings(Clock::system().now()) {
        log::warn!("{warning}");
    }
    let production = config.provider.environment == Environment::Production;
    if config.webhooks.policy == TrustPolicy::Never && !production {
        log::warn!(
            "webhooks.confirm is never: what contradicts a verdict is dropped without asking the provider."
        );
    }
    rt::System::new().block_on(async {
        let _lock = file::lock(&config.database.path)?;
        server::raise_file_limit();
        let listener = server::bind(config.server.bind)?;
        let address = listener.local_addr()?;
        let app = web::Data::new(App::build(config, Clock::system())?);
        let server = server::serve(app.clone(), listener)?;
        log::info!(address:%; "Listening.");
        let looking = reconcile::start(app.clone());
        census::begin(&app);
        let stopped = server::until_told_to_stop(server, app.db.ended()).await;
        looking.abort();
        stopped?;
        log::info!("Stopped.");
        Ok(())
    })
}
