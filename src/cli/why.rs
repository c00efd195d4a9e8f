//! `kyc-tracker why PARTNER USER`: says in one paragraph why a user stands where it stands. It changes nothing.

use std::path::Path;

use actix_web::rt;
use anyhow::Context;
use clap::Args;

use crate::clock::Clock;
use crate::config::{self, Config};
use crate::db::Db;
use crate::db::users::View;
use crate::language::Language;
use crate::why;

/// Whom to explain.
#[derive(Args)]
pub struct Arguments {
    /// The partner's id in the settings
    #[arg(value_name = "PARTNER")]
    partner: String,
    /// The user's userId
    #[arg(value_name = "USER")]
    user: String,
}

/// Prints the paragraph.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    let db = Db::open(&config.database.path, config.provider.environment)?;
    let (partner, user) = (arguments.partner.clone(), arguments.user.clone());
    let now = Clock::system().now();
    let view = View::new(now, config.webhooks);
    let known = rt::System::new()
        .block_on(db.read(move |conn| why::known(conn, &partner, &user, view)))?
        .context("that partner has no user with this userId")?;
    let said = known.explain(Language::English, now);
    println!("{said}");
    Ok(())
}
