//! Secrets of the settings: where they are read from, and what makes one unusable.
//!
//! A secret stands in the settings or in a file of its own. A webhook secret is used byte by byte, so one with a space, a
//! line break, a quote or a byte order mark in it was pasted wrongly and would refuse every webhook.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::raw::RawWebhookSecret;
use super::samples::{is_sample, is_sample_hash};
use super::{ConfigError, KeyHash};
use crate::clock::Timestamp;

/// A webhook secret is refused below this many bytes.
const LEAST_BYTES: usize = 16;
/// The longest label of a webhook secret, in characters.
const LONGEST_LABEL: usize = 64;

/// A secret with which the provider signs a partner's webhooks.
#[derive(Clone, Debug)]
pub struct WebhookSecret {
    /// The secret, byte by byte.
    pub secret: SecretString,
    /// What the settings call it.
    pub label: Option<String>,
    /// The moment from which on it verifies nothing: the end of the UTC day that the settings name.
    pub until: Option<Timestamp>,
}

impl WebhookSecret {
    /// A secret without a label, which is valid for good.
    pub fn new(secret: SecretString) -> WebhookSecret {
        WebhookSecret {
            secret,
            label: None,
            until: None,
        }
    }

    /// What it is called where it must not be shown: its label, or else the first 8 hex digits of its SHA-256.
    pub fn label(&self) -> String {
        let digest = || {
            let hash = Sha256::digest(self.secret.expose_secret().as_bytes());
            hex::encode(&hash[..4])
        };
        self.label.clone().unwrap_or_else(digest)
    }

    /// Whether it may verify a webhook at that moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// The one secret of `key`, from the setting or from its file.
pub(super) fn secret(
    key: &str,
    given: Option<SecretString>,
    file: Option<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<SecretString, ConfigError> {
    match (given, file) {
        (Some(_), Some(_)) => Err(given_twice(key)),
        (Some(secret), None) => Ok(secret),
        (None, Some(path)) => {
            let text = read_secret_file(key, &path, warnings)?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            Ok(SecretString::from(line.strip_suffix('\r').unwrap_or(line)))
        }
        (None, None) => Err(ConfigError::new(key, "is missing")),
    }
}

/// The list of `key`, from the setting or from the lines of its file; at least one.
fn list<T>(
    key: &str,
    given: Option<Vec<T>>,
    file: Option<PathBuf>,
    of_line: impl Fn(SecretString) -> T,
    warnings: &mut Vec<String>,
) -> Result<Vec<T>, ConfigError> {
    let list = match (given, file) {
        (Some(_), Some(_)) => return Err(given_twice(key)),
        (Some(list), None) => list,
        (None, Some(path)) => read_secret_file(key, &path, warnings)?
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| of_line(SecretString::from(line)))
            .collect(),
        (None, None) => return Err(ConfigError::new(key, "is missing")),
    };
    if list.is_empty() {
        return Err(ConfigError::new(key, "is empty; at least one is needed"));
    }
    Ok(list)
}

fn given_twice(key: &str) -> ConfigError {
    ConfigError::new(
        key,
        format!("is given twice, here and by {key}_file; keep one of them"),
    )
}

fn read_secret_file(
    key: &str,
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<String, ConfigError> {
    let key = format!("{key}_file");
    let error = |reason: std::io::Error| {
        ConfigError::new(&key, format!("cannot read {}: {reason}", path.display()))
    };
    let mut file = File::open(path).map_err(error)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = file.metadata().map_err(error)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = path.display();
            let warning = format!(
                "{key}: {path} is open to other users (mode {mode:03o}); chmod 600 closes it"
            );
            warnings.push(warning);
        }
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(error)?;
    Ok(text)
}

/// The key of the provider's API, checked.
pub(super) fn provider_key(
    key: &str,
    given: Option<SecretString>,
    file: Option<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<SecretString, ConfigError> {
    let secret = secret(key, given, file, warnings)?;
    let text = secret.expose_secret();
    refuse_sample(key, text)?;
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(ConfigError::new(
            key,
            "must be visible ASCII without spaces, since it goes into a header",
        ));
    }
    Ok(secret)
}

/// The hashes of API keys, checked.
pub(super) fn key_hashes(
    key: &str,
    given: Option<Vec<SecretString>>,
    file: Option<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<Vec<KeyHash>, ConfigError> {
    list(key, given, file, |line| line, warnings)?
        .iter()
        .enumerate()
        .map(|(place, text)| key_hash(&format!("{key}[{place}]"), text))
        .collect()
}

/// The webhook secrets of a partner, checked.
pub(super) fn webhook_secrets(
    key: &str,
    given: Option<Vec<RawWebhookSecret>>,
    file: Option<PathBuf>,
    warnings: &mut Vec<String>,
) -> Result<Vec<WebhookSecret>, ConfigError> {
    let mut checked: Vec<WebhookSecret> = Vec::new();
    let list = list(key, given, file, RawWebhookSecret::of, warnings)?;
    for (place, raw) in list.into_iter().enumerate() {
        let at = format!("{key}[{place}]");
        let new = webhook_secret(&at, raw, warnings)?;
        let same = |first: usize| format!("is the same as {key}[{first}]");
        let text = new.secret.expose_secret();
        let mut earlier = checked.iter();
        if let Some(first) = earlier.position(|other| other.secret.expose_secret() == text) {
            return Err(ConfigError::new(at, same(first)));
        }
        let label = new.label();
        if let Some(first) = checked.iter().position(|other| other.label() == label) {
            return Err(ConfigError::new(
                format!("{at}.label"),
                format!(
                    "{}.label; without a label it is the first 8 hex digits of the secret's SHA-256",
                    same(first)
                ),
            ));
        }
        checked.push(new);
    }
    Ok(checked)
}

fn webhook_secret(
    at: &str,
    raw: RawWebhookSecret,
    warnings: &mut Vec<String>,
) -> Result<WebhookSecret, ConfigError> {
    let key = match raw.is_table {
        true => format!("{at}.secret"),
        false => at.to_owned(),
    };
    let secret = secret(&key, raw.secret, raw.secret_file, warnings)?;
    let text = secret.expose_secret();
    refuse_sample(&key, text)?;
    if let Some(reason) = pasted_wrongly(text) {
        return Err(ConfigError::new(key, reason));
    }
    if text.len() < LEAST_BYTES {
        let reason = format!("is shorter than {LEAST_BYTES} bytes");
        return Err(ConfigError::new(key, reason));
    }
    if let Some(label) = &raw.label {
        let visible = label.chars().all(|c| c.is_ascii_graphic());
        let reason = if label.is_empty() || label.len() > LONGEST_LABEL || !visible {
            Some("must be 1 to 64 visible ASCII characters, without spaces")
        } else if label == text {
            Some("is the secret itself, but a label is shown to admins; choose another name")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(ConfigError::new(format!("{at}.label"), reason));
        }
    }
    let until = raw.until.map(|day| {
        end_of_day(&day).ok_or_else(|| {
            let reason =
                "must be a day such as 2026-12-31; the secret is valid through that day (UTC)";
            ConfigError::new(format!("{at}.until"), reason)
        })
    });
    Ok(WebhookSecret {
        secret,
        label: raw.label,
        until: until.transpose()?,
    })
}

/// What shows that a secret was not copied as it is.
fn pasted_wrongly(text: &str) -> Option<&'static str> {
    let is_mark = |c: char| matches!(c, '"' | '\'' | '‘' | '’' | '“' | '”');
    let at_an_end = |is: &dyn Fn(char) -> bool| text.starts_with(is) || text.ends_with(is);
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some("has a space, a line break or a control character in it; give the secret alone")
    } else if at_an_end(&|c| c == '\u{feff}') {
        Some("begins or ends with a byte order mark; save it as plain UTF-8")
    } else if at_an_end(&is_mark) {
        Some("begins or ends with a quote; give the secret without quotes around it")
    } else {
        None
    }
}

fn end_of_day(day: &str) -> Option<Timestamp> {
    let begin: Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
    // Nothing but a plain day, whatever else the reader of times takes.
    let plain = begin.to_string().get(..10) == Some(day);
    plain.then(|| Timestamp::of_day(begin.day() + 1))
}

fn refuse_sample(key: &str, text: &str) -> Result<(), ConfigError> {
    if text.trim().is_empty() {
        return Err(ConfigError::new(key, "is empty"));
    }
    if is_sample(text) {
        return Err(ConfigError::new(
            key,
            "is a sample value; put the real secret here",
        ));
    }
    Ok(())
}

/// The hash of one API key, checked.
pub(super) fn key_hash(key: &str, text: &SecretString) -> Result<KeyHash, ConfigError> {
    let Some(hash) = KeyHash::parse(text.expose_secret()) else {
        let reason = "is not sha256: and 64 hex digits; `kyc-tracker key new` prints a key and this form of it";
        return Err(ConfigError::new(key, reason));
    };
    if is_sample_hash(hash) {
        return Err(ConfigError::new(
            key,
            "is the hash of an empty or sample key; make one with `kyc-tracker key new`",
        ));
    }
    Ok(hash)
}
