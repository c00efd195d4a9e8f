//! The shape of the settings file: which keys there are and of which type.
//!
//! Unknown keys are refused by serde, and every secret `x` has its `x_file` beside it. Serde's messages may quote the
//! value, so each is put into our own words: a secret is easily put into the wrong key.

use std::path::PathBuf;

use std::fmt;

use secrecy::SecretString;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use super::{ConfigError, Environment, LogFormat};
use crate::kyc::verification::TrustPolicy;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub server: RawServer,
    pub log: RawLog,
    pub database: RawDatabase,
    pub provider: RawProvider,
    pub links: RawLinks,
    pub webhooks: RawWebhooks,
    pub checks: RawChecks,
    pub limits: RawLimits,
    #[serde(default)]
    pub partners: Vec<RawPartner>,
    #[serde(default)]
    pub admins: Vec<RawAdmin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    pub bind: String,
    pub public_url: String,
    pub workers: usize,
    pub max_connections: usize,
    pub shutdown_timeout: String,
    pub public_metrics: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub format: LogFormat,
    pub filter: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDatabase {
    pub url: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawProvider {
    pub base_url: String,
    pub environment: Option<Environment>,
    pub timeout: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLinks {
    pub reuse_for: String,
    pub new_per_day: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWebhooks {
    pub confirm: TrustPolicy,
    pub unconfirmed_for: String,
    pub unconfirmed_at_most: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChecks {
    pub per_second: usize,
    pub catch_up_per_second: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub requests_per_second: usize,
    pub burst: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPartner {
    pub id: String,
    pub confirm: Option<TrustPolicy>,
    pub provider_api_key: Option<SecretString>,
    pub provider_api_key_file: Option<PathBuf>,
    pub webhook_secrets: Option<Vec<RawWebhookSecret>>,
    pub webhook_secrets_file: Option<PathBuf>,
    pub api_keys: Option<Vec<SecretString>>,
    pub api_keys_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAdmin {
    pub name: String,
    pub api_key: Option<SecretString>,
    pub api_key_file: Option<PathBuf>,
}

/// A secret alone, or a table with more about it.
pub(super) struct RawWebhookSecret {
    pub is_table: bool,
    pub secret: Option<SecretString>,
    pub secret_file: Option<PathBuf>,
    pub label: Option<String>,
    pub until: Option<String>,
}

impl RawWebhookSecret {
    /// A secret alone.
    pub(super) fn of(secret: SecretString) -> RawWebhookSecret {
        RawWebhookSecret {
            is_table: false,
            secret: Some(secret),
            secret_file: None,
            label: None,
            until: None,
        }
    }
}

impl<'de> Deserialize<'de> for RawWebhookSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            secret: Option<SecretString>,
            secret_file: Option<PathBuf>,
            label: Option<String>,
            until: Option<String>,
        }

        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = RawWebhookSecret;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a table")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(RawWebhookSecret::of(SecretString::from(text)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let table = Table::deserialize(MapAccessDeserializer::new(map))?;
                Ok(RawWebhookSecret {
                    is_table: true,
                    secret: table.secret,
                    secret_file: table.secret_file,
                    label: table.label,
                    until: table.until,
                })
            }
        }

        deserializer.deserialize_any(TextOrTable)
    }
}

/// Reads the types; every message is rewritten, because serde's may quote the value.
pub(super) fn deserialize(table: Table) -> Result<RawConfig, ConfigError> {
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = error.path().to_string();
        plain_words(&path, error.inner().message())
    })
}

/// Serde's message in our words. The value it quotes stands before the last ", expected ", so only what follows is kept.
fn plain_words(path: &str, message: &str) -> ConfigError {
    let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let names = || {
        expected
            .split('`')
            .skip(1)
            .step_by(2)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(field) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'))
    {
        return ConfigError::new(format!("{path}.{field}"), "is missing");
    }
    if found.starts_with("unknown field") {
        return ConfigError::new(path, format!("unknown key; known here: {}", names()));
    }
    if found.starts_with("unknown variant") {
        return ConfigError::new(path, format!("must be one of: {}", names()));
    }
    let expected = match expected {
        "usize" => "a whole number, 0 or more",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "path string" => "a text",
        "a string" => "a text",
        "a text or a table" => "a text, or a table with secret, label and until",
        other if other.starts_with("struct ") => "a table",
        _ => "another type",
    };
    ConfigError::new(path, format!("has the wrong type: must be {expected}"))
}
