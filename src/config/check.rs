//! Turns the settings as read into a [`Config`], or says which key is wrong.
//!
//! Everything that the types of `raw.rs` do not say is checked here. No message may repeat a value. Secrets are checked in
//! `secrets.rs`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;
use url::Url;

use crate::kyc::loopback::is_loopback;
use crate::kyc::verification::Trust;

use super::raw::{RawAdmin, RawConfig, RawPartner};
use super::secrets::{self, key_hash, secret};
use super::{
    Admin, Checks, Config, ConfigError, Database, Environment, Limits, Links, Log, Partner,
    Provider, Server,
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks everything that the types do not say, the first fault in the order of the file.
pub(super) fn check(raw: RawConfig) -> Result<Config, ConfigError> {
    let bad = |key: &str, reason: &str| ConfigError::new(key, reason);
    let bind = raw.server.bind.parse().map_err(|_| {
        bad(
            "server.bind",
            "is not an address with a port, such as 127.0.0.1:8080 or [::1]:8080",
        )
    })?;
    if raw.server.workers > 512 {
        return Err(bad(
            "server.workers",
            "must be at most 512; 0 means one for each core",
        ));
    }
    if !(1..=100_000).contains(&raw.server.max_connections) {
        return Err(bad("server.max_connections", "must be from 1 to 100000"));
    }
    check_filter(&raw.log.filter).map_err(|reason| bad("log.filter", reason))?;

    let mut load_warnings = Vec::new();
    let server = Server {
        bind,
        public_url: web_url("server.public_url", &raw.server.public_url)?,
        workers: raw.server.workers,
        max_connections: raw.server.max_connections,
        shutdown_timeout: duration(
            "server.shutdown_timeout",
            &raw.server.shutdown_timeout,
            (Duration::from_secs(1), "1s"),
            (5 * MINUTE, "5m"),
        )?,
        public_metrics: raw.server.public_metrics,
    };
    let database = Database {
        path: sqlite_path(&raw.database.url).map_err(|reason| bad("database.url", reason))?,
    };
    let base_url = provider_url(&raw.provider.base_url)?;
    let provider = Provider {
        environment: environment(raw.provider.environment, &base_url)?,
        base_url,
        timeout: duration(
            "provider.timeout",
            &raw.provider.timeout,
            (Duration::from_secs(1), "1s"),
            (MINUTE, "60s"),
        )?,
    };
    let links = Links {
        reuse_for: duration(
            "links.reuse_for",
            &raw.links.reuse_for,
            (MINUTE, "1m"),
            (30 * DAY, "30d"),
        )?,
        new_per_day: u32::try_from(raw.links.new_per_day)
            .ok()
            .filter(|links| (1..=10_000).contains(links))
            .ok_or_else(|| bad("links.new_per_day", "must be from 1 to 10000 links"))?,
    };
    let trust = Trust {
        policy: raw.webhooks.confirm,
        unconfirmed_for: duration(
            "webhooks.unconfirmed_for",
            &raw.webhooks.unconfirmed_for,
            (Duration::from_secs(45), "45s"),
            (DAY, "24h"),
        )?,
        unconfirmed_at_most: u32::try_from(raw.webhooks.unconfirmed_at_most)
            .ok()
            .filter(|users| *users <= 1_000_000)
            .ok_or_else(|| {
                bad(
                    "webhooks.unconfirmed_at_most",
                    "must be from 0 to 1000000 users",
                )
            })?,
    };
    let checks = Checks {
        per_second: rate("checks.per_second", raw.checks.per_second)?,
        catch_up_per_second: rate("checks.catch_up_per_second", raw.checks.catch_up_per_second)?,
    };
    let limits = Limits {
        requests_per_second: limit("limits.requests_per_second", raw.limits.requests_per_second)?,
        burst: limit("limits.burst", raw.limits.burst)?,
    };
    if raw.partners.is_empty() {
        return Err(bad(
            "partners",
            "none is configured; add a [[partners]] table with id, provider_api_key, webhook_secrets and api_keys",
        ));
    }
    let partners = raw
        .partners
        .into_iter()
        .enumerate()
        .map(|(number, partner)| {
            check_partner(
                &format!("partners[{number}]"),
                partner,
                trust,
                &mut load_warnings,
            )
        })
        .collect::<Result<Vec<_>, _>>()?;
    let admins = raw
        .admins
        .into_iter()
        .enumerate()
        .map(|(number, admin)| check_admin(&format!("admins[{number}]"), admin, &mut load_warnings))
        .collect::<Result<Vec<_>, _>>()?;
    check_unique(&partners, &admins)?;
    Ok(Config {
        server,
        log: Log {
            format: raw.log.format,
            filter: raw.log.filter,
        },
        database,
        provider,
        links,
        webhooks: trust,
        checks,
        limits,
        partners,
        admins,
        load_warnings,
    })
}

fn check_partner(
    at: &str,
    raw: RawPartner,
    trust: Trust,
    warnings: &mut Vec<String>,
) -> Result<Partner, ConfigError> {
    let mut bytes = raw.id.bytes();
    let letter_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if raw.id.len() > 64
        || !bytes.next().is_some_and(letter_or_digit)
        || !bytes.all(|byte| letter_or_digit(byte) || byte == b'-' || byte == b'_')
    {
        return Err(ConfigError::new(
            format!("{at}.id"),
            "must begin with a-z or 0-9, go on with a-z, 0-9, - or _, and have at most 64 characters",
        ));
    }

    let provider_api_key = secrets::provider_key(
        &format!("{at}.provider_api_key"),
        raw.provider_api_key,
        raw.provider_api_key_file,
        warnings,
    )?;
    let webhook_secrets = secrets::webhook_secrets(
        &format!("{at}.webhook_secrets"),
        raw.webhook_secrets,
        raw.webhook_secrets_file,
        warnings,
    )?;
    let api_keys = secrets::key_hashes(
        &format!("{at}.api_keys"),
        raw.api_keys,
        raw.api_keys_file,
        warnings,
    )?;
    Ok(Partner {
        id: raw.id,
        trust: Trust {
            policy: raw.confirm.unwrap_or(trust.policy),
            ..trust
        },
        provider_api_key,
        webhook_secrets,
        api_keys,
    })
}

fn check_admin(at: &str, raw: RawAdmin, warnings: &mut Vec<String>) -> Result<Admin, ConfigError> {
    if raw.name.trim().is_empty() || raw.name.chars().any(char::is_control) {
        return Err(ConfigError::new(
            format!("{at}.name"),
            "must not be empty or have control characters",
        ));
    }
    let key = format!("{at}.api_key");
    let text = secret(&key, raw.api_key, raw.api_key_file, warnings)?;
    Ok(Admin {
        name: raw.name,
        api_key: key_hash(&key, &text)?,
    })
}

/// One key must name one owner, and one provider account has one webhook URL, hence one partner.
fn check_unique(partners: &[Partner], admins: &[Admin]) -> Result<(), ConfigError> {
    let (mut ids, mut provider_keys, mut names) = (HashMap::new(), HashMap::new(), HashMap::new());
    let (mut webhook_secrets, mut hashes) = (HashMap::new(), HashMap::new());
    let same = |key: String, first: String, why: &str| {
        Err(ConfigError::new(
            key,
            format!("is the same as {first}{why}"),
        ))
    };
    for (number, partner) in partners.iter().enumerate() {
        let at = format!("partners[{number}]");
        if let Some(first) = ids.insert(partner.id.as_str(), format!("{at}.id")) {
            return same(format!("{at}.id"), first, "");
        }
        let key = format!("{at}.provider_api_key");
        if let Some(first) =
            provider_keys.insert(partner.provider_api_key.expose_secret(), key.clone())
        {
            return same(
                key,
                first,
                "; a provider account has one webhook URL, so it can be only one partner",
            );
        }
        for (place, webhook) in partner.webhook_secrets.iter().enumerate() {
            let key = format!("{at}.webhook_secrets[{place}]");
            let secret = webhook.secret.expose_secret();
            if let Some(first) = webhook_secrets.insert(secret, key.clone()) {
                return same(
                    key,
                    first,
                    "; with one secret for two partners either could sign for the other",
                );
            }
        }
        for (place, hash) in partner.api_keys.iter().enumerate() {
            let key = format!("{at}.api_keys[{place}]");
            if let Some(first) = hashes.insert(hash, key.clone()) {
                return same(key, first, "; a key has one owner");
            }
        }
    }
    for (number, admin) in admins.iter().enumerate() {
        let at = format!("admins[{number}]");
        if let Some(first) = names.insert(admin.name.as_str(), format!("{at}.name")) {
            return same(format!("{at}.name"), first, "");
        }
        if let Some(first) = hashes.insert(&admin.api_key, format!("{at}.api_key")) {
            return same(format!("{at}.api_key"), first, "; a key has one owner");
        }
    }
    Ok(())
}

fn web_url(key: &str, text: &str) -> Result<Url, ConfigError> {
    let error = |reason: &str| ConfigError::new(key, reason);
    let url =
        Url::parse(text).map_err(|_| error("is not a URL such as https://kyc.example.com"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(error("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(error("must not have a user name or password in it"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(error("must not have a query (?) or a fragment (#)"));
    }
    if !matches!(url.path(), "" | "/") {
        return Err(error(
            "must not have a path; give scheme, host and port only",
        ));
    }
    Ok(url)
}

/// The provider's key goes with every call, so it may travel unencrypted only inside this machine.
fn provider_url(text: &str) -> Result<Url, ConfigError> {
    let url = web_url("provider.base_url", text)?;
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(ConfigError::new(
            "provider.base_url",
            "must begin with https://; http:// is only for localhost, 127.0.0.1 and [::1]",
        ));
    }
    Ok(url)
}

/// Users of one environment mean nothing in another, so a host that is not known must say which one it is.
fn environment(named: Option<Environment>, base_url: &Url) -> Result<Environment, ConfigError> {
    named.or(Environment::of(base_url)).ok_or_else(|| {
        ConfigError::new(
            "provider.environment",
            "is missing, and the host of provider.base_url does not tell; set it to production, staging or sandbox",
        )
    })
}

/// The text may hold a database password, so no reason repeats any of it.
fn sqlite_path(url: &str) -> Result<PathBuf, &'static str> {
    if url.trim() != url {
        return Err("begins or ends with a space; take it out");
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Err("PostgreSQL is not supported by this build yet");
    }
    let path = url
        .strip_prefix("sqlite://")
        .ok_or("must begin with sqlite://, as in sqlite://data/kyc.db or sqlite:///var/lib/kyc-tracker/kyc.db")?;
    if path.is_empty() || path.ends_with('/') {
        return Err("must name a file after sqlite://");
    }
    if path.trim() != path {
        return Err("has a space after sqlite://; take it out");
    }
    if path.starts_with(":memory:") {
        return Err(
            "must name a file; a database in memory would forget every user at the next start",
        );
    }
    if path.contains(['?', '#']) || path.contains(char::is_control) {
        return Err("must be a plain path after sqlite://, without ?, # or control characters");
    }
    Ok(PathBuf::from(path))
}

fn duration(
    key: &str,
    text: &str,
    (least, least_text): (Duration, &str),
    (most, most_text): (Duration, &str),
) -> Result<Duration, ConfigError> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| ConfigError::new(key, "is not a length of time such as 10s, 5m or 12h"))?;
    if duration < least || duration > most {
        return Err(ConfigError::new(
            key,
            format!("must be from {least_text} to {most_text}"),
        ));
    }
    Ok(duration)
}

fn rate(key: &str, rate: usize) -> Result<u32, ConfigError> {
    u32::try_from(rate)
        .ok()
        .filter(|rate| (1..=1000).contains(rate))
        .ok_or_else(|| ConfigError::new(key, "must be from 1 to 1000 calls a second"))
}

/// 0 would let nobody in, and is more likely meant to limit nobody.
fn limit(key: &str, limit: usize) -> Result<u32, ConfigError> {
    u32::try_from(limit)
        .ok()
        .filter(|limit| (1..=1_000_000).contains(limit))
        .ok_or_else(|| {
            ConfigError::new(
                key,
                "must be from 1 to 1000000 requests; where nobody is to be limited, leave it out",
            )
        })
}

/// `env_logger` skips what it cannot read, so a misspelt level would silently change what is logged.
pub(super) fn check_filter(filter: &str) -> Result<(), &'static str> {
    let directives = filter.split('/').next().unwrap_or_default();
    for directive in directives
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        // A word alone may also be a part of the program, but a single plain word is most likely a misspelt level.
        let word = match directive.rsplit_once('=') {
            Some((_, level)) => level.trim(),
            None if directive.contains("::") || directive.contains('_') => continue,
            None => directive,
        };
        if word.parse::<log::LevelFilter>().is_err() {
            return Err(
                "has a level that is none of: off, error, warn, info, debug, trace (for one part: part=level)",
            );
        }
    }
    Ok(())
}
