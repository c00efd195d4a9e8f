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

use crate::kyc::loopback::is_loopback;
use crate::kyc::verification::Trust;

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
    /// The service as seen from outside: http or https, without credentials, query or fragment.
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
    /// Root of its API: https, or http to a loopback host; without credentials, query or fragment.
    pub base_url: Url,
    /// Limit of one call, from connecting to the last byte.
    pub timeout: Duration,
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
    /// Any of these verifies a webhook; never empty.
    pub webhook_secrets: Vec<SecretString>,
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

    /// What is allowed but probably not meant; one sentence each, without secrets.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.load_warnings.clone();
        if is_loopback(&self.server.public_url) && !is_loopback(&self.provider.base_url) {
            let only_here = "leads to this machine only, and so does every startUrl";
            warnings.push(format!("server.public_url: {only_here}"));
        }
        for (number, partner) in self.partners.iter().enumerate() {
            for (place, secret) in partner.webhook_secrets.iter().enumerate() {
                let key = format!("partners[{number}].webhook_secrets[{place}]");
                if secret.expose_secret() == partner.provider_api_key.expose_secret() {
                    warnings.push(format!(
                        "{key}: is the same as provider_api_key; the provider's pages leave open whether that is meant, so ask it"
                    ));
                }
                if secret.expose_secret().len() < SHORT_WEBHOOK_SECRET {
                    warnings.push(format!(
                        "{key}: is shorter than {SHORT_WEBHOOK_SECRET} bytes"
                    ));
                }
            }
        }
        warnings
    }
}

/// The variables of this process that [`Config::load`] looks at: those whose name begins with `KYC__`.
pub fn process_environment() -> Result<Vec<(String, String)>, ConfigError> {
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
