//! `kyc-tracker webhook distrust`: after a webhook secret has leaked, puts in doubt what was said with it.

use std::path::Path;

use actix_web::rt;
use anyhow::Context;

use crate::cli::partner;
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config};
use crate::db::Db;
use crate::distrust::{self, Done};

/// Arguments of `webhook distrust`.
#[derive(Debug, clap::Args)]
pub struct Distrust {
    /// The partner's id in the settings
    #[arg(long, value_name = "ID")]
    partner: String,
    /// The label of the leaked secret, or the first 8 hex digits of its SHA-256; GET /v1/admin/deliveries shows it
    #[arg(long, value_name = "LABEL")]
    secret: String,
    /// Since when it may have been in other hands, as 2026-11-28T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: String,
}

impl Distrust {
    /// Prints how many users are in doubt or flagged from then on, and how many unmatched deliveries were dropped.
    pub fn run(&self, config: Option<&Path>) -> anyhow::Result<()> {
        let config = Config::load(config, config::process_environment()?)?;
        let partner = partner(&config, &self.partner)?;
        let since: Timestamp = self
            .since
            .parse()
            .context("--since is not a time such as 2026-11-28T08:00:00Z")?;
        let wanted = distrust::Distrust {
            partner: partner.id.clone(),
            secret: self.secret.clone(),
            since,
        };
        let db = Db::open(&config.database.path, config.provider.environment)?;
        let (clock, trust) = (Clock::system(), partner.trust);
        let done = rt::System::new().block_on(async {
            let (mut done, mut after) = (Done::default(), None);
            loop {
                let (clock, wanted, mut so_far) = (clock.clone(), wanted.clone(), done);
                let some = move |conn: &mut _| {
                    let after: Option<String> = after;
                    let last = distrust::some(
                        conn,
                        &clock,
                        trust,
                        &wanted,
                        after.as_deref(),
                        &mut so_far,
                    )?;
                    Ok((last, so_far))
                };
                (after, done) = db.write(some).await?;
                if after.is_none() {
                    return Ok::<_, anyhow::Error>(done);
                }
            }
        })?;
        println!(
            "{} verified users are in doubt, {} rejected users are flagged, {} unmatched deliveries are dropped.",
            done.doubted, done.flagged, done.dropped
        );
        if partner
            .webhook_secrets
            .iter()
            .any(|known| known.label() == self.secret)
        {
            println!(
                "The secret is still configured: take it out and restart the service, or forged webhooks are accepted again."
            );
        }
        Ok(())
    }
}
