//! `kyc-tracker key new`: makes an API key for a partner or an admin.
//!
//! The key is printed once and kept nowhere; the configuration holds only its SHA-256. A key has at least 256 bits from
//! the system's random source, which is why a plain hash is enough: there is nothing to guess.

use std::fs::File;
use std::io::{self, Read};

use anyhow::Context;

use crate::config::KeyHash;

/// Digits and letters only, so that a key survives any shell, URL or header and is selected by a double click.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 characters of 62 kinds are 256.03 bits.
const LENGTH: usize = 43;

/// Commands about API keys.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a key: prints it once, with the sha256: form that belongs in the configuration
    New(New),
}

/// Arguments of `key new`.
#[derive(Debug, clap::Args)]
pub struct New {
    /// A key for a partner's servers (the default)
    #[arg(long, conflicts_with = "admin")]
    partner: bool,
    /// A key for the admin pages
    #[arg(long)]
    admin: bool,
}

/// Prints to standard output; fails only when the system gives no random bytes.
pub fn run(command: &Command) -> anyhow::Result<()> {
    let Command::New(new) = command;
    let kind = if new.admin { "admin" } else { "partner" };
    let key = new_key(kind)?;
    println!("key:    {key}");
    println!("config: {}", KeyHash::of(&key).as_setting());
    println!();
    if new.admin {
        println!("The key goes to the admin, who sends it as \"Authorization: Bearer <key>\".");
        println!("The config line goes into the admin's [[admins]] table, as api_key.");
    } else {
        println!("The key goes to the partner, who sends it in the header partner-api-key.");
        println!(
            "The config line goes into the partner's [[partners]] table, in the list api_keys."
        );
    }
    println!("The key is kept nowhere and cannot be shown again.");
    Ok(())
}

/// A key of that kind that nobody has seen before.
pub fn new_key(kind: &str) -> anyhow::Result<String> {
    let random =
        File::open("/dev/urandom").context("cannot open the random source /dev/urandom")?;
    make(kind, random).context("cannot read the random source /dev/urandom")
}

fn make(kind: &str, mut random: impl Read) -> io::Result<String> {
    let mut key = format!("kyc_{kind}_");
    let whole = key.len() + LENGTH;
    while key.len() < whole {
        let mut bytes = [0; 64];
        random.read_exact(&mut bytes)?;
        // 248 is the last multiple of 62 in a byte: taking the rest as well would favour the first eight characters.
        let fair = bytes.iter().filter(|&&byte| byte < 248);
        key.extend(
            fair.take(whole - key.len())
                .map(|byte| char::from(BASE62[usize::from(byte % 62)])),
        );
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_kind_and_43_characters_and_is_never_the_same() {
        let new = || make("partner", File::open("/dev/urandom").unwrap()).unwrap();
        let key = new();
        let random = key.strip_prefix("kyc_partner_").unwrap();
        assert_eq!(random.len(), 43);
        assert!(random.bytes().all(|byte| BASE62.contains(&byte)), "{key}");
        assert_ne!(key, new());
    }

    #[test]
    fn bytes_that_would_favour_some_characters_are_left_out() {
        let random: Vec<u8> = (0..=255).rev().collect();
        let key = make("admin", random.as_slice()).unwrap();
        let first: Vec<u8> = (0..43)
            .map(|n| BASE62[usize::from((247 - n) % 62u8)])
            .collect();
        assert_eq!(key.as_bytes(), [b"kyc_admin_", first.as_slice()].concat());
    }

    #[test]
    fn too_few_random_bytes_are_an_error() {
        assert!(make("admin", &[1, 2, 3][..]).is_err());
    }
}
