//! `kyc-tracker demo`: the service and a sandbox provider in one process, on this machine only.
//!
//! The keys are made for this run and thrown away with it, but for the partner's API key, which is always the same so
//! that the lines of the README can be copied; it opens nothing but this demo.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use actix_web::{rt, web};
use anyhow::Context;
use clap::Args;

use super::key;
use crate::app::App;
use crate::capa::sandbox::{Account, Settings, start};
use crate::clock::Clock;
use crate::config::{Config, KeyHash};
use crate::logging;
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
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    rt::System::new().block_on(async {
        let listener = server::bind(local(arguments.port))
            .context("the port is taken: choose another with --port")?;
        let tracker = format!("http://{}", listener.local_addr()?);
        let keys = Keys {
            provider: key::new_key("provider")?,
            webhook_secret: key::new_key("webhook")?,
            admin: key::new_key("admin")?,
        };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sandbox = start(Settings {
            bind: local(arguments.sandbox_port),
            accounts: vec![Account {
                name: PARTNER.to_owned(),
                api_key: keys.provider.clone().into(),
                webhook_secret: keys.webhook_secret.clone().into(),
                webhook_url: Some(format!("{tracker}/webhooks/{PARTNER}").parse()?),
            }],
            speed: arguments.speed,
        })
        .await
        .context("the sandbox cannot start: choose another port with --sandbox-port")?;
        let provider = sandbox.base_url().to_string();
        let provider = provider.trim_end_matches('/');
        let database = folder.join("kyc.db");
        let config = config(&tracker, provider, &database.to_string_lossy(), &keys)?;
        logging::init(&config.log);
        let app = web::Data::new(App::build(config, Clock::system())?);
        let running = server::serve(app, listener)?;
        print!(
            "{}",
            greeting(&tracker, provider, &database.to_string_lossy(), &keys)
        );
        server::until_told_to_stop(running).await?;
        sandbox.stop().await;
        Ok(())
    })
}

struct Keys {
    provider: String,
    webhook_secret: String,
    admin: String,
}

/// The demo is set up as any service is, so that its settings pass the same checks.
fn config(tracker: &str, provider: &str, database: &str, keys: &Keys) -> anyhow::Result<Config> {
    let settings = [
        (
            "KYC__SERVER__BIND",
            tracker.trim_start_matches("http://").to_owned(),
        ),
        ("KYC__SERVER__PUBLIC_URL", tracker.to_owned()),
        ("KYC__LOG__FILTER", "warn".to_owned()),
        ("KYC__DATABASE__URL", format!("sqlite://{database}")),
        ("KYC__PROVIDER__BASE_URL", provider.to_owned()),
        ("KYC__PARTNERS__0__ID", PARTNER.to_owned()),
        ("KYC__PARTNERS__0__PROVIDER_API_KEY", keys.provider.clone()),
        (
            "KYC__PARTNERS__0__WEBHOOK_SECRETS",
            keys.webhook_secret.clone(),
        ),
        (
            "KYC__PARTNERS__0__API_KEYS",
            KeyHash::of(PARTNER_KEY).as_setting(),
        ),
        ("KYC__ADMINS__0__NAME", "demo".to_owned()),
        (
            "KYC__ADMINS__0__API_KEY",
            KeyHash::of(&keys.admin).as_setting(),
        ),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value));
    Ok(Config::load(None, settings)?)
}

fn greeting(tracker: &str, provider: &str, database: &str, keys: &Keys) -> String {
    let Keys {
        admin,
        webhook_secret,
        ..
    } = keys;
    format!(
        r#"kyc-tracker demo: the service on {tracker}, a sandbox provider on {provider}.
Everything is on this machine and nothing is real. Stop it with Ctrl-C.

1. Ask for a link. The user is pending:
   curl -s {tracker}/v1/kyc/links -H 'partner-api-key: {PARTNER_KEY}' -H 'content-type: application/json' -d '{{"userId":"customer-42","country":"DO"}}'
2. Be the user: open the kycLink in a browser and click Verify, or:
   curl -s -X POST {provider}/sandbox/users/customer-42/verify
3. Ask where the user stands. The webhook has made it verified:
   curl -s {tracker}/v1/kyc/users/customer-42 -H 'partner-api-key: {PARTNER_KEY}'

What happened, and the same as an admin:
   curl -s {tracker}/v1/kyc/users/customer-42/history -H 'partner-api-key: {PARTNER_KEY}'
   curl -s {tracker}/v1/admin/deliveries -H 'authorization: Bearer {admin}'
Let the provider fail (error_500, slow, drop, duplicate, reorder, …, none):
   curl -s {provider}/sandbox/faults -H 'content-type: application/json' -d '{{"mode":"error_500","count":1}}'

Partner API key  {PARTNER_KEY}
Admin key        {admin}
Webhook secret   {webhook_secret}
Data             {database}
"#
    )
}
