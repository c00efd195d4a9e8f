//! The settings of the service: the built-in defaults, then a file, then the environment.
//!
//! `config/default.toml` is embedded and is the manual of every key. What comes out of [`Config::load`] is whole and
//! checked, so no other code looks for missing or sample values. An error is one line that names the key; neither errors
//! nor `Debug` ever hold a value from the settings, because any of them may be a secret put in the wrong place.
//! The process environment is read here only; what the settings mean to the rest of the program does not belong here.

mod check;
mod layers;
mod raw;
mod samples;
mod secrets;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;

use crate::clock::Timestamp;
use crate::kyc::loopback::is_loopback;
use crate::kyc::verification::{Trust, TrustPolicy};

pub use secrets::WebhookSecret;

/// The commented defaults, as text; also what a user reads to learn the settings.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");

/// Below this many bytes a webhook secret is accepted but warned about.
const SHORT_WEBHOOK_SECRET: usize = 24;

/// All settings, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// How the service is reached and run.
    pub server: Server,
    /// What is logged and how.
    pub log: Log,
    /// Where the data is.
    pub database: Database,
    /// How the provider is called.
    pub provider: Provider,
    /// How long links are handed out again.
    pub links: Links,
    /// How far webhooks are trusted where a partner says nothing else.
    pub webhooks: Trust,
    /// How often the provider is checked.
    pub checks: Checks,
    /// How often each API key may be used.
    pub limits: Limits,
    /// The tenants; never empty, ids unique.
    pub partners: Vec<Partner>,
    /// Who may use the admin face; may be empty, names unique.
    pub admins: Vec<Admin>,
    /// What was noticed while reading secret files. Read it through [`Config::warnings`].
    pub load_warnings: Vec<String>,
}

/// `[server]`: how the service is reached and run.
#[derive(Clone, Debug)]
pub struct Server {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// The service as seen from outside: http or https, without credentials, path, query or fragment.
    pub public_url: Url,
    /// Threads that answer requests; 0 means one for each core.
    pub workers: usize,
    /// Connections that may be open at the same time; further ones wait.
    pub max_connections: usize,
    /// How long requests under way may still take after a stop signal.
    pub shutdown_timeout: Duration,
    /// Whether the metrics can be read without a key.
    pub public_metrics: bool,
}

/// `[log]`: what is logged and how.
#[derive(Clone, Debug)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// Filter in the syntax of `env_logger`; `RUST_LOG` wins over it.
    pub filter: String,
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A sentence and `key=value` fields, for people.
    Text,
    /// One JSON object, for log collectors.
    Json,
}

/// `[database]`: where the data is.
#[derive(Clone, Debug)]
pub struct Database {
    /// The `SQLite` file; a relative path starts at the current directory.
    pub path: PathBuf,
}

/// `[provider]`: how the provider is called.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Root of its API: https, or http to a loopback host; without credentials, path, query or fragment.
    pub base_url: Url,
    /// What is real there.
    pub environment: Environment,
    /// Limit of one call, from connecting to the last byte.
    pub timeout: Duration,
}

/// Which of the provider's environments is used. Users of one are not users of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Environment {
    /// Real people.
    Production,
    /// The provider's place for tests.
    Staging,
    /// A stand-in for the provider.
    Sandbox,
}

impl Environment {
    /// The word for it in the settings and in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Environment::Production => "production",
            Environment::Staging => "staging",
            Environment::Sandbox => "sandbox",
        }
    }

    /// What the host of the provider tells of it.
    fn of(base_url: &Url) -> Option<Environment> {
        let host = base_url.host_str().unwrap_or_default();
        match host.trim_end_matches('.') {
            "production-api.capa.fi" => Some(Environment::Production),
            "staging-api.capa.fi" => Some(Environment::Staging),
            _ => is_loopback(base_url).then_some(Environment::Sandbox),
        }
    }
}

/// `[links]`: how long links are handed out again.
#[derive(Clone, Debug)]
pub struct Links {
    /// An open link younger than this is handed out again.
    pub reuse_for: Duration,
    /// New links of one user on one day in UTC, at the most.
    pub new_per_day: u32,
}

/// `[checks]`: how often the provider is checked for one partner's users.
#[derive(Clone, Debug)]
pub struct Checks {
    /// At most this many calls a second.
    pub per_second: u32,
    /// The same while catching up after a standstill.
    pub catch_up_per_second: u32,
}

/// `[limits]`: how often each API key may be used.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests a second, on the long run.
    pub requests_per_second: u32,
    /// Requests at once, after a rest.
    pub burst: u32,
}

/// One `[[partners]]` table: a tenant.
#[derive(Clone, Debug)]
pub struct Partner {
    /// Name in URLs and logs: `^[a-z0-9][a-z0-9_-]{0,63}$`.
    pub id: String,
    /// How far its webhooks are trusted.
    pub trust: Trust,
    /// Key of the provider's API; visible ASCII, so it always fits a header. No two partners share one.
    pub provider_api_key: SecretString,
    /// Any of these verifies a webhook while it is valid; never empty, secrets and labels unique.
    pub webhook_secrets: Vec<WebhookSecret>,
    /// Keys with which the partner calls this service; never empty.
    pub api_keys: Vec<KeyHash>,
}

/// One `[[admins]]` table.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Who it is, as written in audit entries.
    pub name: String,
    /// The key with which the admin calls this service.
    pub api_key: KeyHash,
}

/// SHA-256 of the text of an API key. No hash stands twice in a [`Config`], so it identifies its owner.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

/// Why the settings cannot be used: one line with the key and the reason, and no value from the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    key: String,
    reason: String,
}

impl Config {
    /// Reads the defaults, `file` if there is one, and the variables of `env` that begin with `KYC__`.
    ///
    /// The environment is a parameter so that tests need not touch the real one; see [`process_environment`].
    pub fn load(
        file: Option<&Path>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Config, ConfigError> {
        let layered = layers::read(file, env)?;
        raw::deserialize(layered.table)
            .and_then(check::check)
            .map_err(|mut error| {
                if let Some(variable) = layered.variables.get(&error.key) {
                    error.reason.push_str(&format!(" (from {variable})"));
                }
                error
            })
    }

    /// The partner with that id.
    pub fn partner(&self, id: &str) -> Option<&Partner> {
        self.partners.iter().find(|partner| partner.id == id)
    }

    /// The partners whose users are checked with the provider, each with its place in the list.
    pub fn checked_partners(&self) -> impl Iterator<Item = (usize, &Partner)> {
        let partners = self.partners.iter().enumerate();
        partners.filter(|(_, partner)| partner.trust.policy.checks())
    }

    /// What is allowed but probably not meant, as things stand at `now`; one sentence each, without secrets.
    pub fn warnings(&self, now: Timestamp) -> Vec<String> {
        let mut warnings = self.load_warnings.clone();
        self.warn_of_places(&mut warnings);
        self.warn_of_trust(&mut warnings);
        for (number, partner) in self.partners.iter().enumerate() {
            let key = format!("partners[{number}].webhook_secrets");
            for (place, webhook) in partner.webhook_secrets.iter().enumerate() {
                let key = format!("{key}[{place}]");
                let secret = webhook.secret.expose_secret();
                if secret == partner.provider_api_key.expose_secret() {
                    warnings.push(format!(
                        "{key}: is the same as provider_api_key; the provider's pages leave open whether that is meant, so ask it"
                    ));
                }
                if secret.len() < SHORT_WEBHOOK_SECRET {
                    warnings.push(format!(
                        "{key}: is shorter than {SHORT_WEBHOOK_SECRET} bytes"
                    ));
                }
                if !webhook.is_valid(now) {
                    warnings.push(format!(
                        "{key}: verifies nothing any more, because its `until` has passed; remove it"
                    ));
                }
            }
            if !partner.webhook_secrets.iter().any(|one| one.is_valid(now)) {
                warnings.push(format!(
                    "{key}: the `until` of every secret of {} has passed, so each of its webhooks is refused; add the current secret",
                    partner.id
                ));
            }
        }
        warnings
    }

    /// Of addresses that do not go together.
    fn warn_of_places(&self, warnings: &mut Vec<String>) {
        let (public, provider) = (&self.server.public_url, &self.provider);
        let environment = provider.environment;
        let named = environment.as_str();
        if is_loopback(public) && !is_loopback(&provider.base_url) {
            let only_here = "leads to this machine only, and so does every startUrl";
            warnings.push(format!("server.public_url: {only_here}"));
        }
        if public.scheme() == "https"
            && !is_loopback(public)
            && environment != Environment::Production
        {
            warnings.push(format!(
                "provider.environment: is {named} behind the public address of server.public_url; nothing verified there is real, so use production where it counts"
            ));
        }
        let host = Environment::of(&provider.base_url).filter(|_| !is_loopback(&provider.base_url));
        if let Some(host) = host.filter(|host| *host != environment) {
            warnings.push(format!(
                "provider.environment: is {named}, but provider.base_url is the provider's {}; correct one of them",
                host.as_str()
            ));
        }
    }

    /// Of partners whose webhooks are believed although they are about real people.
    fn warn_of_trust(&self, warnings: &mut Vec<String>) {
        if self.provider.environment != Environment::Production {
            return;
        }
        let never = |trust: &Trust| trust.policy == TrustPolicy::Never;
        let unchecked = "is never with the provider's production: a leaked webhook secret verifies anybody for good; use before_final or on_conflict";
        let partners = self.partners.iter().enumerate();
        let mut unchecked_partners = partners.filter(|(_, partner)| never(&partner.trust));
        if never(&self.webhooks) {
            if unchecked_partners.next().is_some() {
                warnings.push(format!("webhooks.confirm: {unchecked}"));
            }
        } else {
            let of_partner = |(number, _)| format!("partners[{number}].confirm: {unchecked}");
            warnings.extend(unchecked_partners.map(of_partner));
        }
    }
}

/// The variable that wins over `log.filter`.
const RUST_LOG: &str = "RUST_LOG";

/// What `RUST_LOG` says, where it is set and not empty.
///
/// # Errors
/// When it cannot be used as a filter: the logger would pass over what it cannot read.
pub fn rust_log() -> Result<Option<String>, ConfigError> {
    let Some(filter) = std::env::var_os(RUST_LOG).filter(|filter| !filter.is_empty()) else {
        return Ok(None);
    };
    let filter = filter
        .into_string()
        .map_err(|_| ConfigError::new(RUST_LOG, "the value is not UTF-8"))?;
    check::check_filter(&filter).map_err(|reason| ConfigError::new(RUST_LOG, reason))?;
    Ok(Some(filter))
}

/// The variables of this process that [`Config::load`] reads: those whose name begins with `KYC__`.
///
/// # Errors
/// When one of them is not UTF-8, or `RUST_LOG` cannot be used.
pub fn process_environment() -> Result<Vec<(String, String)>, ConfigError> {
    rust_log()?;
    let mut found = Vec::new();
    for (name, value) in std::env::vars_os() {
        if !name
            .as_encoded_bytes()
            .starts_with(layers::PREFIX.as_bytes())
        {
            continue;
        }
        let error = |what| ConfigError::new(name.to_string_lossy(), what);
        let text = name
            .to_str()
            .ok_or_else(|| error("the name is not UTF-8"))?;
        let value = value
            .to_str()
            .ok_or_else(|| error("the value is not UTF-8"))?;
        found.push((text.to_owned(), value.to_owned()));
    }
    Ok(found)
}

impl KeyHash {
    /// The hash of a key as a caller sends it.
    pub fn of(key: &str) -> KeyHash {
        KeyHash(Sha256::digest(key.as_bytes()).into())
    }

    /// Reads the form of the settings, `sha256:` and 64 hex digits; anything else is `None`.
    pub fn parse(text: &str) -> Option<KeyHash> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text.strip_prefix("sha256:")?, &mut hash).ok()?;
        Some(KeyHash(hash))
    }

    /// The form of the settings: `sha256:` and 64 hex digits.
    pub fn as_setting(&self) -> String {
        format!("sha256:{}", hex::encode(self.0))
    }
}

/// Only the first four bytes, enough to tell two keys apart in a log.
impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({}…)", hex::encode(&self.0[..4]))
    }
}

impl ConfigError {
    /// `key` is the full path of the setting, or the file or variable that cannot be read at all.
    fn new(key: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError {
            key: key.into(),
            reason: reason.into(),
        }
    }

    /// The full path of the setting at fault, as `partners[0].id`.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A quoted TOML key or a file name may hold a line break, and the promise is one line.
        for c in format!("{}: {}", self.key, self.reason).chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
