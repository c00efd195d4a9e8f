//! Where a user begins or goes on: the address of its start page, which is the same for as long as an attempt is open.
//!
//! The token in it names the user's row and the attempt, and is signed with a secret of the store. So nothing is stored for
//! it, nobody can guess one, and one that was guessed is refused before the store is asked. Whoever has it can act as the
//! user: it stands only where a `kycLink` stands.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::Url;
use uuid::Uuid;

use crate::db::secrets::Secret;
use crate::db::users::User;

/// Where the paths of start pages begin.
const PATH: &str = "/start/";

/// Signed before the rest, so that what is signed here means nothing elsewhere. With it all fits one block of the hash.
const PURPOSE: &[u8] = b"kyc-tracker start 1:";

/// The row's key of 16 bytes, and the attempt's number.
const NAMED: usize = 16 + 4;
/// So much of the signature is in the token: 128 bits cannot be guessed.
const SIGNED: usize = 16;
/// Characters of a token. There are no bits left over, so that no two texts mean the same.
const LENGTH: usize = (NAMED + SIGNED) / 3 * 4;

/// Makes the addresses of start pages, and reads their tokens.
pub struct StartPages {
    /// All of an address before the token.
    base: String,
    mac: Hmac<Sha256>,
}

/// Shows neither the secret nor anything made with it.
impl fmt::Debug for StartPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StartPages(…)")
    }
}

/// What a token of ours names.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The key of the user's row.
    pub user_key: String,
    /// The number of the attempt.
    pub attempt: i64,
}

impl StartPages {
    /// Those of the service that is seen from outside at `public_url`, signed with `secret`.
    pub fn new(public_url: &Url, secret: &Secret) -> StartPages {
        let root = public_url.as_str().trim_end_matches('/');
        // The hash's block is the key, which HMAC fills up with zeros.
        let mut key = [0; 64];
        key[..secret.0.len()].copy_from_slice(&secret.0);
        StartPages {
            base: format!("{root}{PATH}"),
            mac: Hmac::new(&key.into()),
        }
    }

    /// The address of the start page of the user's current attempt.
    pub fn url(&self, user: &User) -> String {
        self.url_of(&user.id, user.attempt)
    }

    /// The same for the attempt of that number of the user in the row with that key.
    pub fn url_of(&self, user_key: &str, attempt: i64) -> String {
        let mut token = [0; NAMED + SIGNED];
        // A row whose key is none of ours, or whose attempts are beyond counting, has a page that leads nowhere.
        let key = Uuid::try_parse(user_key).unwrap_or_default();
        let attempt = u32::try_from(attempt).unwrap_or(0);
        token[..16].copy_from_slice(key.as_bytes());
        token[16..NAMED].copy_from_slice(&attempt.to_be_bytes());
        let signature = self.sign(&token[..NAMED]).finalize().into_bytes();
        token[NAMED..].copy_from_slice(&signature[..SIGNED]);
        let mut url = String::with_capacity(self.base.len() + LENGTH);
        url.push_str(&self.base);
        BASE64_URL_SAFE_NO_PAD.encode_string(token, &mut url);
        url
    }

    /// What the token names; `None` for all that is no token of ours. Its signature is compared in constant time.
    pub fn read(&self, token: &str) -> Option<Named> {
        if token.len() != LENGTH {
            return None;
        }
        let token = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (named, signature) = token.split_at_checked(NAMED)?;
        self.sign(named).verify_truncated_left(signature).ok()?;
        let (key, attempt) = named.split_at_checked(16)?;
        Some(Named {
            user_key: Uuid::from_slice(key).ok()?.to_string(),
            attempt: i64::from(u32::from_be_bytes(attempt.try_into().ok()?)),
        })
    }

    fn sign(&self, named: &[u8]) -> Hmac<Sha256> {
        self.mac.clone().chain_update(PURPOSE).chain_update(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::db::users::{self, NewUser};
    use crate::db::{in_memory, transitions};
    use crate::kyc::status::Status;

    const KEY: &str = "019ab0c5-5e3d-7a10-8f00-0123456789ab";

    fn pages(secret: u8) -> StartPages {
        StartPages::new(
            &"https://kyc.example/".parse().unwrap(),
            &Secret([secret; 32]),
        )
    }

    fn user(id: &str, attempt: i64) -> User {
        let new = NewUser {
            id: id.to_owned(),
            partner: "acme",
            user_id: "u1",
            external_user_id: "e1",
            country: "DO",
            redirect_uri: None,
            status: Status::Pending,
            heard: false,
        };
        let mut conn = in_memory();
        transitions::register(&mut conn, &new, Timestamp(0)).unwrap();
        let user = users::by_key(&mut conn, id).unwrap();
        User { attempt, ..user }
    }

    fn token(pages: &StartPages, id: &str, attempt: i64) -> String {
        let url = pages.url(&user(id, attempt));
        url.strip_prefix("https://kyc.example/start/")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_token_names_the_user_and_the_attempt_for_ever() {
        // Made by another implementation of HMAC-SHA-256.
        let golden = "AZqwxV49ehCPAAEjRWeJqwAAAANp32whvtqh1nGYYhHaftGe";
        assert_eq!(token(&pages(7), KEY, 3), golden);
        let named = pages(7).read(golden).unwrap();
        assert_eq!((named.user_key.as_str(), named.attempt), (KEY, 3));
    }

    #[test]
    fn every_token_has_48_characters_that_need_no_escaping_and_reads_back() {
        for attempt in [1, 2, 255, 256, i64::from(u32::MAX)] {
            let token = token(&pages(7), KEY, attempt);
            assert_eq!(token.len(), 48);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
            assert!(token.bytes().all(plain), "{token}");
            assert_eq!(pages(7).read(&token).unwrap().attempt, attempt);
        }
    }

    #[test]
    fn a_token_with_any_bit_flipped_is_refused() {
        let token = BASE64_URL_SAFE_NO_PAD
            .decode(token(&pages(7), KEY, 3))
            .unwrap();
        for bit in 0..token.len() * 8 {
            let mut flipped = token.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let flipped = BASE64_URL_SAFE_NO_PAD.encode(flipped);
            assert_eq!(pages(7).read(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_token_of_another_secret_or_of_another_form_is_refused() {
        let right = token(&pages(7), KEY, 3);
        assert_eq!(pages(8).read(&right), None);
        let longer = format!("{right}AAAA");
        let padded = format!("{}=", &right[..47]);
        let spaced = format!("{} ", &right[..47]);
        let mut tokens = (1..).map(|attempt| token(&pages(7), KEY, attempt));
        let special = tokens.find(|token| token.contains(['-', '_'])).unwrap();
        let standard = special.replace('-', "+").replace('_', "/");
        let wide = "é".repeat(24);
        for wrong in [
            "",
            &right[..44],
            &right[..47],
            &longer,
            &padded,
            &spaced,
            &standard,
            &wide,
        ] {
            assert_eq!(pages(7).read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_signature_cut_short_is_refused() {
        let token = BASE64_URL_SAFE_NO_PAD
            .decode(token(&pages(7), KEY, 3))
            .unwrap();
        for length in 0..token.len() {
            let cut = BASE64_URL_SAFE_NO_PAD.encode(&token[..length]);
            assert_eq!(pages(7).read(&cut), None, "{length}");
        }
    }

    #[test]
    fn a_row_that_no_token_can_name_has_one_that_names_nobody() {
        let pages = pages(7);
        for (id, attempt) in [("k1", 1), (KEY, i64::from(u32::MAX) + 1), (KEY, -1)] {
            let named = pages.read(&token(&pages, id, attempt)).unwrap();
            assert_ne!((named.user_key.as_str(), named.attempt), (id, attempt));
        }
    }

    #[test]
    fn the_address_goes_on_after_the_path_of_the_public_one() {
        let pages = StartPages::new(
            &"https://host.example/kyc/".parse().unwrap(),
            &Secret([7; 32]),
        );
        let url = pages.url(&user(KEY, 1));
        assert!(url.starts_with("https://host.example/kyc/start/"), "{url}");
    }

    #[test]
    fn the_secret_does_not_show() {
        assert_eq!(format!("{:?}", pages(7)), "StartPages(…)");
    }
}
