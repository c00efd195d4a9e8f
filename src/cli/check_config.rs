//! `kyc-tracker check-config`: says whether the service would start with these settings.
//!
//! What is printed may be pasted into a ticket: no secret, no hash, no path of a secret. It neither opens the database nor
//! calls the provider.

use std::path::Path;

use crate::config::{self, Config};
use crate::kyc::verification::TrustPolicy;

/// Loads the settings as `serve` would and prints a summary; a [`config::ConfigError`] goes up unchanged.
pub fn run(config: Option<&Path>) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    print!("{}", summary(&config));
    Ok(())
}

fn summary(config: &Config) -> String {
    let confirm = match config.webhooks.policy {
        TrustPolicy::Never => "never",
        TrustPolicy::OnConflict => "on_conflict",
        TrustPolicy::BeforeFinal => "before_final",
    };
    let keys: usize = config
        .partners
        .iter()
        .map(|partner| partner.api_keys.len())
        .sum();
    let secrets: usize = config
        .partners
        .iter()
        .map(|partner| partner.webhook_secrets.len())
        .sum();
    let mut text = format!(
        "The configuration is usable.\n\
         bind      {}\n\
         public    {}\n\
         database  {}\n\
         provider  {}\n\
         confirm   {confirm}\n\
         partners  {} (API keys: {keys}, webhook secrets: {secrets})\n\
         admins    {}\n",
        config.server.bind,
        config.server.public_url,
        config.database.path.display(),
        config.provider.base_url.host_str().unwrap_or_default(),
        config.partners.len(),
        config.admins.len(),
    );
    for warning in config.warnings() {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let summary = summary(&Config::load(None, env).unwrap());
        assert!(summary.contains("bind      127.0.0.1:8080\n"), "{summary}");
        assert!(
            summary.contains("provider  staging-api.capa.fi\nconfirm   on_conflict\n"),
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
