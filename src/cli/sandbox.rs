//! `kyc-tracker sandbox`: runs the sandbox provider alone, at the address where the service looks for its provider.
//!
//! It takes the place of a provider only on this machine: settings that name any other provider are refused.

use std::net::SocketAddr;
use std::path::Path;

use actix_web::rt;
use anyhow::{Context, ensure};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::capa::sandbox::{Account, Settings, start};
use crate::config::{self, Config};
use crate::kyc::loopback::is_loopback;
use crate::logging;

/// How the sandbox runs.
#[derive(Args)]
pub struct Arguments {
    /// How many times faster than documented failed webhooks are tried again.
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..))]
    pub speed: u32,
}

/// Returns after SIGTERM or SIGINT.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    logging::init(&config.log)?;
    let settings = settings(&config, arguments.speed)?;
    let _ = rustls::crypto::ring::default_provider().install_default();
    rt::System::new().block_on(async {
        let sandbox = start(settings).await?;
        println!("The sandbox provider listens on {}", sandbox.base_url());
        let (mut term, mut int) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
        sandbox.stop().await;
        Ok(())
    })
}

fn settings(config: &Config, speed: u32) -> anyhow::Result<Settings> {
    let base_url = &config.provider.base_url;
    ensure!(
        base_url.scheme() == "http" && is_loopback(base_url),
        "provider.base_url: the sandbox stands in for it only when it is http on this machine, as http://127.0.0.1:8081"
    );
    let bind: SocketAddr = base_url
        .socket_addrs(|| None)?
        .into_iter()
        .next()
        .context("provider.base_url: names no address")?;
    let mut accounts = Vec::new();
    for partner in &config.partners {
        accounts.push(Account {
            name: partner.id.clone(),
            api_key: partner.provider_api_key.clone(),
            webhook_secret: partner
                .webhook_secrets
                .first()
                .map(|webhook| webhook.secret.clone())
                .context("a partner has no webhook secret")?,
            webhook_url: Some(
                config
                    .server
                    .public_url
                    .join(&format!("webhooks/{}", partner.id))?,
            ),
        });
    }
    Ok(Settings {
        bind,
        accounts,
        speed,
    })
}
