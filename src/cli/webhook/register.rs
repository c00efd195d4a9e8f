//! `kyc-tracker webhook register URL`: tells the provider where to send a partner's webhooks.
//!
//! The provider has one address for each account, sends nothing to make sure of it, and cannot be asked for it
//! (`reference/webhook-settings`). So what would surely not work is refused here.

use std::path::Path;

use actix_web::rt;
use anyhow::{bail, ensure};
use url::Url;

use crate::capa::client::Client;
use crate::cli::partner;
use crate::config::{self, Config, Partner};
use crate::kyc::loopback::is_loopback;

/// Arguments of `webhook register`.
#[derive(Debug, clap::Args)]
pub struct Register {
    /// The partner's id in the settings; may be left out where there is only one
    #[arg(long, value_name = "ID")]
    partner: Option<String>,
    /// The address as the provider reaches it, as <https://your.host/webhooks/acme>
    #[arg(value_name = "URL")]
    url: Url,
}

impl Register {
    /// Makes the call; the provider's former address of this partner is forgotten.
    pub fn run(&self, config: Option<&Path>) -> anyhow::Result<()> {
        let config = Config::load(config, config::process_environment()?)?;
        let partner = self.partner(&config)?;
        self.check(&partner.id)?;
        let client = Client::new(&config.provider)?;
        rt::System::new()
            .block_on(client.register_webhook(&partner.provider_api_key, &self.url))?;
        println!(
            "The provider sends the webhooks of {} to {} from now on. A first one shows in GET /v1/admin/deliveries.",
            partner.id, self.url
        );
        Ok(())
    }

    fn partner<'a>(&self, config: &'a Config) -> anyhow::Result<&'a Partner> {
        match (&self.partner, &config.partners[..]) {
            (None, [only]) => Ok(only),
            (None, _) => bail!("there are several partners: say which with --partner"),
            (Some(id), _) => partner(config, id),
        }
    }

    fn check(&self, partner: &str) -> anyhow::Result<()> {
        let url = &self.url;
        ensure!(
            url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)),
            "the address must begin with https://; http:// is only for this machine"
        );
        ensure!(
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
            "the address must not have a user name, a password or a fragment in it"
        );
        let ending = format!("/webhooks/{partner}");
        ensure!(
            url.path().ends_with(&ending),
            "the address must end with {ending}, or nobody would listen there"
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_work_is_refused() {
        let check = |url: &str| {
            let register = Register {
                partner: None,
                url: url.parse().unwrap(),
            };
            register.check("acme").is_ok()
        };
        assert!(check("https://kyc.example.com/webhooks/acme"));
        assert!(check("https://kyc.example.com/below/webhooks/acme"));
        assert!(check("http://127.0.0.1:8080/webhooks/acme"));
        for wrong in [
            "http://kyc.example.com/webhooks/acme",
            "https://kyc.example.com/webhooks/other",
            "https://kyc.example.com/",
            "https://me:secret@kyc.example.com/webhooks/acme",
            "https://kyc.example.com/webhooks/acme#x",
        ] {
            assert!(!check(wrong), "{wrong}");
        }
    }
}
