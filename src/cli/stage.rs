//! What `demo` and `chaos` play on: partners with throw-away keys, a sandbox provider that knows them, and the settings of
//! a service between the two.
//!
//! Everything is on this machine and nothing of it is real. The service is set up as any service is, so that its settings
//! pass the same checks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::key;
use crate::capa::sandbox::{Account, Sandbox, Settings, start};
use crate::config::{Config, KeyHash};

/// A partner, with the keys in clear.
pub struct Partner {
    /// Its name here and at the provider.
    pub id: String,
    /// With which it calls the service.
    pub api_key: String,
    /// With which the service calls the provider.
    pub provider_key: String,
    /// With which the provider signs.
    pub webhook_secret: String,
}

impl Partner {
    /// One whose other keys are made for this run.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new(id: &str, api_key: String) -> anyhow::Result<Partner> {
        Ok(Partner {
            id: id.to_owned(),
            api_key,
            provider_key: key::new_key("provider")?,
            webhook_secret: key::new_key("webhook")?,
        })
    }
}

/// A running sandbox provider and all that a service needs to know to stand before it.
pub struct Stage {
    /// Where the service is to listen.
    pub tracker: SocketAddr,
    /// The provider.
    pub sandbox: Sandbox,
    /// The partners, as both sides know them.
    pub partners: Vec<Partner>,
    /// The key of the one admin.
    pub admin_key: String,
}

impl Stage {
    /// Starts the sandbox; the service is the caller's to start.
    ///
    /// # Errors
    /// When the sandbox cannot start.
    pub async fn build(
        tracker: SocketAddr,
        sandbox: SocketAddr,
        speed: u32,
        partners: Vec<Partner>,
    ) -> anyhow::Result<Stage> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut accounts = Vec::new();
        for partner in &partners {
            accounts.push(Account {
                name: partner.id.clone(),
                api_key: partner.provider_key.clone().into(),
                webhook_secret: partner.webhook_secret.clone().into(),
                webhook_url: Some(format!("http://{tracker}/webhooks/{}", partner.id).parse()?),
            });
        }
        let sandbox = start(Settings {
            bind: sandbox,
            accounts,
            speed,
        });
        Ok(Stage {
            tracker,
            sandbox: sandbox.await?,
            partners,
            admin_key: key::new_key("admin")?,
        })
    }

    /// The base URL of the service, without a slash at its end.
    pub fn tracker_url(&self) -> String {
        format!("http://{}", self.tracker)
    }

    /// The base URL of the provider, without a slash at its end.
    pub fn provider_url(&self) -> String {
        let url = self.sandbox.base_url();
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The settings of the service, with `more` besides, named as in the environment.
    ///
    /// # Errors
    /// When they do not pass the checks.
    pub fn config(&self, database: &Path, more: &[(&str, &str)]) -> anyhow::Result<Config> {
        let mut settings = vec![
            ("KYC__SERVER__BIND".to_owned(), self.tracker.to_string()),
            ("KYC__SERVER__PUBLIC_URL".to_owned(), self.tracker_url()),
            (
                "KYC__DATABASE__URL".to_owned(),
                format!("sqlite://{}", database.display()),
            ),
            ("KYC__PROVIDER__BASE_URL".to_owned(), self.provider_url()),
            ("KYC__ADMINS__0__NAME".to_owned(), "stage".to_owned()),
            (
                "KYC__ADMINS__0__API_KEY".to_owned(),
                KeyHash::of(&self.admin_key).as_setting(),
            ),
        ];
        for (number, partner) in self.partners.iter().enumerate() {
            let name = |key: &str| format!("KYC__PARTNERS__{number}__{key}");
            let api_key = KeyHash::of(&partner.api_key).as_setting();
            settings.push((name("ID"), partner.id.clone()));
            settings.push((name("PROVIDER_API_KEY"), partner.provider_key.clone()));
            settings.push((name("WEBHOOK_SECRETS"), partner.webhook_secret.clone()));
            settings.push((name("API_KEYS"), api_key));
        }
        let more = more.iter();
        settings.extend(more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        Ok(Config::load(None, settings)?)
    }
}

/// That port of this machine; 0 is any free one.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
