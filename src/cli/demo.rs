//! `kyc-tracker demo`: the service and a sandbox provider in one process, on this machine only.
//!
//! The keys are made for this run and thrown away with it, but for the partner's API key, which is always the same so
//! that the lines of the README can be copied; it opens nothing but this demo.

use std::path::{Path, PathBuf};

use actix_web::{rt, web};
use anyhow::Context;
use clap::Args;

use super::stage::{Partner, Stage, local};
use crate::app::App;
use crate::census;
use crate::clock::Clock;
use crate::db::file;
use crate::logging;
use crate::reconcile;
use crate::web::server;

const PARTNER: &str = "demo";
const PARTNER_KEY: &str = "demo_partner_key";

/// Where the demo listens and keeps its data.
#[derive(Args)]
pub struct Arguments {
    /// Port of the service.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Port of the sandbox provider.
    #[arg(long, default_value_t = 8081)]
    pub sandbox_port: u16,
    /// Folder to keep the data in; without it a temporary one, removed at the end.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// How many times faster than documented failed webhooks are tried again.
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..))]
    pub speed: u32,
}

/// Returns after SIGTERM or SIGINT.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let folder = arguments
        .data
        .clone()
        .unwrap_or_else(|| temporary.path().to_owned());
    rt::System::new().block_on(async {
        let listener = server::bind(local(arguments.port))
            .context("the port is taken: choose another with --port")?;
        let partner = Partner::new(PARTNER, PARTNER_KEY.to_owned())?;
        let stage = Stage::build(
            listener.local_addr()?,
            local(arguments.sandbox_port),
            arguments.speed,
            vec![partner],
        )
        .await
        .context("the sandbox cannot start: choose another port with --sandbox-port")?;
        let database = folder.join("kyc.db");
        let _lock = file::lock(&database)?;
        let config = stage.config(&database, &[("KYC__LOG__FILTER", "warn")])?;
        logging::init(&config.log)?;
        server::raise_file_limit();
        let app = web::Data::new(App::build(config, Clock::system())?);
        let running = server::serve(app.clone(), listener)?;
        let looking = reconcile::start(app.clone());
        census::begin(&app);
        print!("{}", greeting(&stage, &database));
        server::until_told_to_stop(running, app.db.ended()).await?;
        looking.abort();
        stage.sandbox.stop().await;
        Ok(())
    })
}

fn greeting(stage: &Stage, database: &Path) -> String {
    let (tracker, provider) = (stage.tracker_url(), stage.provider_url());
    let (admin, database) = (&stage.admin_key, database.display());
    let webhook_secret = &stage.partners[0].webhook_secret;
    format!(
        r#"kyc-tracker demo: the service on {tracker}, a sandbox provider on {provider}.
Everything is on this machine and nothing is real. Stop it with Ctrl-C.

1. Ask for a link. The user is pending:
   curl -sw '\n' {tracker}/v1/kyc/links -H 'partner-api-key: {PARTNER_KEY}' -H 'content-type: application/json' -d '{{"userId":"customer-42","country":"DO"}}'
2. Be the user: open the startUrl in a browser and click Verify, or:
   curl -sw '\n' -X POST {provider}/sandbox/users/customer-42/verify
3. Ask where the user stands. The webhook has made it verified:
   curl -sw '\n' {tracker}/v1/kyc/users/customer-42 -H 'partner-api-key: {PARTNER_KEY}'

See it as an admin, and sign in with the admin key below: {tracker}/admin
What happened, for programs:
   curl -sw '\n' {tracker}/v1/kyc/users/customer-42/history -H 'partner-api-key: {PARTNER_KEY}'
   curl -sw '\n' {tracker}/v1/admin/deliveries -H 'authorization: Bearer {admin}'
Let the provider fail (error_500, slow, lag, drop, duplicate, reorder, delay, corrupt, …, none):
   curl -sw '\n' {provider}/sandbox/faults -H 'content-type: application/json' -d '{{"mode":"error_500","count":1}}'

Partner API key  {PARTNER_KEY}
Admin key        {admin}
Webhook secret   {webhook_secret}
Data             {database}
"#
    )
}
