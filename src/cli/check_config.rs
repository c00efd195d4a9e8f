//! `kyc-tracker check-config`: says whether the service would start with these settings.
//!
//! What is printed may be pasted into a ticket: no secret, no hash, no path of a secret. It neither opens the database nor
//! calls the provider.

use std::fmt::Write;
use std::path::Path;

use crate::capa::client::Client;
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config};

/// Loads the settings as `serve` would and prints a summary; a [`config::ConfigError`] goes up unchanged.
pub fn run(config: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    // It makes no call yet, but needs the CA certificates of the machine.
    Client::new(&config.provider)?;
    print!("{}", summary(&config, Clock::system().now())?);
    Ok(())
}

fn summary(config: &Config, now: Timestamp) -> Result<String, std::fmt::Error> {
    let (partners, trust) = (&config.partners, config.webhooks);
    let keys: usize = partners.iter().map(|partner| partner.api_keys.len()).sum();
    let secrets = partners.iter().map(|partner| partner.webhook_secrets.len());
    let secrets: usize = secrets.sum();
    let mut text = String::new();
    writeln!(text, "The configuration is usable.")?;
    writeln!(text, "bind      {}", config.server.bind)?;
    writeln!(text, "public    {}", config.server.public_url)?;
    writeln!(text, "database  {}", config.database.path.display())?;
    let host = config.provider.base_url.host_str().unwrap_or_default();
    let environment = config.provider.environment.as_str();
    writeln!(text, "provider  {host} ({environment})")?;
    writeln!(text, "confirm   {}", trust.policy.as_str())?;
    let unconfirmed_for = humantime::format_duration(trust.unconfirmed_for);
    let users = trust.unconfirmed_at_most;
    writeln!(
        text,
        "          unconfirmed for at most {unconfirmed_for}, by at most {users} users of a partner"
    )?;
    for partner in partners
        .iter()
        .filter(|one| one.trust.policy != trust.policy)
    {
        let policy = partner.trust.policy.as_str();
        writeln!(text, "confirm   {policy} for {}", partner.id)?;
    }
    writeln!(
        text,
        "partners  {} (API keys: {keys}, webhook secrets: {secrets})",
        partners.len()
    )?;
    writeln!(text, "admins    {}", config.admins.len())?;
    for warning in config.warnings(now) {
        writeln!(text, "warning: {warning}")?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_the_trust_in_webhooks_and_each_partner_that_differs() {
        let partner = |number: usize, id: &str| {
            let name = |key: &str| format!("KYC__PARTNERS__{number}__{key}");
            let hash = config::KeyHash::of(id).as_setting();
            [
                (name("ID"), id.to_owned()),
                (name("PROVIDER_API_KEY"), format!("capa_key_{id}_0123")),
                (name("WEBHOOK_SECRETS"), format!("whsec_{id}_0123456789")),
                (name("API_KEYS"), hash),
            ]
        };
        let set = |key: &str, value: &str| (format!("KYC__{key}"), value.to_owned());
        let more = [
            set("PARTNERS__1__CONFIRM", "never"),
            set("PARTNERS__2__CONFIRM", "before_final"),
            set("WEBHOOKS__CONFIRM", "before_final"),
            set("WEBHOOKS__UNCONFIRMED_FOR", "90s"),
        ];
        let partners = [partner(0, "one"), partner(1, "two"), partner(2, "three")];
        let env = partners.into_iter().flatten().chain(more);
        let config = Config::load(None, env).unwrap();
        let summary = summary(&config, Clock::system().now()).unwrap();
        let trust = "confirm   before_final
          unconfirmed for at most 1m 30s, by at most 100 users of a partner
confirm   never for two
partners  3";
        assert!(summary.contains(trust), "{summary}");
    }

    #[test]
    fn the_summary_shows_what_matters_and_no_secret() {
        let hash = config::KeyHash::of("a partner's key").as_setting();
        let env = [
            ("KYC__PARTNERS__0__ID", "acme"),
            ("KYC__PARTNERS__0__PROVIDER_API_KEY", "capa_key_0123456789"),
            ("KYC__PARTNERS__0__WEBHOOK_SECRETS", "capa_key_0123456789"),
            ("KYC__PARTNERS__0__API_KEYS", &hash),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = Config::load(None, env).unwrap();
        let summary = summary(&config, Clock::system().now()).unwrap();
        assert!(summary.contains("bind      127.0.0.1:8080\n"), "{summary}");
        assert!(
            summary.contains("provider  staging-api.capa.fi (staging)\nconfirm   on_conflict\n"),
            "{summary}"
        );
        assert!(
            summary.contains("partners  1 (API keys: 1, webhook secrets: 1)\nadmins    0\n"),
            "{summary}"
        );
        assert_eq!(summary.matches("\nwarning: ").count(), 3, "{summary}");
        assert!(
            !summary.contains("capa_key") && !summary.contains(&hash[10..]),
            "{summary}"
        );
    }
}
