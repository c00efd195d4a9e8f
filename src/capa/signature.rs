//! The webhook signature: HMAC-SHA-256 over the exact bytes of the body, as 64 hex digits in `capa-signature`
//! (`docs/step-by-step-process-for-hmac-signature-validation`).
//!
//! The bytes are verified as received and never re-serialised. Work and answer are the same for every partner, known or
//! not: each check makes the same number of HMACs and compares each in constant time.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::config::WebhookSecret;

/// The header that carries the signature.
pub const HEADER: &str = "capa-signature";

type HmacSha256 = Hmac<Sha256>;

/// A well-formed signature of a delivery; not yet known to be right.
pub type Signature = [u8; 32];

/// Signs as the provider does: lower-case hex, the key being the bytes of the secret's text.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = keyed(secret.as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

fn keyed(secret: &[u8]) -> HmacSha256 {
    HmacSha256::new_from_slice(secret).expect("HMAC takes a key of any length")
}

/// Reads the header's values: there must be one, of exactly 64 hex digits in either case.
///
/// # Errors
/// Says how it is malformed, for a count; the answer is the same whatever it was.
pub fn parse<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Signature, Refusal> {
    let value = values.next().ok_or(Refusal::Missing)?;
    if values.next().is_some() {
        return Err(Refusal::Doubled);
    }
    let mut signature = [0; 32];
    hex::decode_to_slice(value, &mut signature).map_err(|_| Refusal::Malformed)?;
    Ok(signature)
}

/// Why a delivery was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no signature header.
    Missing,
    /// There are several.
    Doubled,
    /// It is not 64 hex digits.
    Malformed,
    /// It was not made with a secret of this partner over these bytes, or there is no such partner.
    Wrong,
}

/// The secrets any of which may have signed a partner's deliveries.
pub struct Verifier {
    /// One for each secret, then dummies up to the number all verifiers share.
    macs: Vec<HmacSha256>,
    /// Of each secret its label, and from when on it verifies nothing.
    secrets: Vec<(String, Option<Timestamp>)>,
}

impl Verifier {
    /// Verifies with any of `secrets` that is valid, doing the work of `rounds` of them.
    pub fn new(secrets: &[WebhookSecret], rounds: usize) -> Verifier {
        let dummy = [0; 32];
        let real = secrets
            .iter()
            .map(|webhook| webhook.secret.expose_secret().as_bytes());
        let padding = rounds.saturating_sub(secrets.len());
        Verifier {
            macs: real
                .chain(std::iter::repeat_n(&dummy[..], padding))
                .map(keyed)
                .collect(),
            secrets: secrets
                .iter()
                .map(|webhook| (webhook.label(), webhook.until))
                .collect(),
        }
    }

    /// Refuses everything, at the cost of `rounds` secrets: for unknown partners.
    pub fn of_nobody(rounds: usize) -> Verifier {
        Verifier::new(&[], rounds)
    }

    /// The label of the secret that signed exactly these bytes, if one did that is valid at `now`.
    pub fn verify(&self, body: &[u8], signature: &Signature, now: Timestamp) -> Option<&str> {
        // Every secret is tried, also after one that fits and if its time has passed.
        let mut right = self.macs.len();
        for (place, mac) in self.macs.iter().enumerate() {
            let mut mac = mac.clone();
            mac.update(body);
            if mac.verify_slice(signature).is_ok() {
                right = place;
            }
        }
        let (label, until) = self.secrets.get(right)?;
        let valid = until.is_none_or(|until| now < until);
        valid.then_some(label.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_example_not_real";
    const BODY: &[u8] = br#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
    const SIGNED: &str = "b132133ea6a62a6973db324f6933271ef5077794862eb6f4c7abcdcfe0d39369";

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn webhook(secret: &str) -> WebhookSecret {
        WebhookSecret::new(secret.into())
    }

    fn verifier(secrets: &[&str]) -> Verifier {
        let secrets: Vec<_> = secrets.iter().map(|secret| webhook(secret)).collect();
        Verifier::new(&secrets, 3)
    }

    fn is_right(verifier: &Verifier, body: &[u8], signature: &Signature) -> bool {
        verifier.verify(body, signature, NOW).is_some()
    }

    fn read(values: &[&[u8]]) -> Result<Signature, Refusal> {
        parse(values.iter().copied())
    }

    #[test]
    fn it_agrees_with_two_independent_implementations() {
        assert_eq!(sign(SECRET, BODY), SIGNED);
        let spaced = br#"{"type":"KYC", "event":"VERIFIED_USER", "externalUserId":"user-0001"}"#;
        assert_eq!(
            sign(SECRET, spaced),
            "5715b2cbc6965f0abd5cf6e6a650b2bb9e8b25d1cdb992f204e7bb734d73cf56"
        );
    }

    #[test]
    fn any_secret_of_the_partner_verifies_and_no_other() {
        let signature = read(&[SIGNED.as_bytes()]).unwrap();
        let right = |verifier: &Verifier| is_right(verifier, BODY, &signature);
        assert!(right(&verifier(&[SECRET])));
        assert!(right(&verifier(&["whsec_something_newer", SECRET])));
        assert!(!right(&verifier(&["whsec_something_newer"])));
        assert!(!right(&Verifier::of_nobody(3)));
    }

    #[test]
    fn it_says_which_secret_verified_by_its_label_or_the_beginning_of_its_hash() {
        let signature = read(&[SIGNED.as_bytes()]).unwrap();
        let labelled = |label: &str, secret| WebhookSecret {
            label: Some(label.to_owned()),
            ..webhook(secret)
        };
        let newer = labelled("2026-12", "whsec_something_newer");
        let verifier = Verifier::new(&[newer.clone(), labelled("2026-11", SECRET)], 2);
        assert_eq!(verifier.verify(BODY, &signature, NOW), Some("2026-11"));
        let verifier = Verifier::new(&[webhook(SECRET), newer], 2);
        // printf %s whsec_example_not_real | sha256sum | cut -c 1-8
        assert_eq!(verifier.verify(BODY, &signature, NOW), Some("44a4a089"));
    }

    #[test]
    fn a_secret_verifies_to_the_end_of_its_time_and_others_go_on() {
        let signature = read(&[SIGNED.as_bytes()]).unwrap();
        let old = WebhookSecret {
            until: Some(NOW),
            ..webhook(SECRET)
        };
        let verifier = Verifier::new(&[old, webhook("whsec_something_newer")], 2);
        let before = Timestamp(NOW.0 - 1);
        assert!(verifier.verify(BODY, &signature, before).is_some());
        assert_eq!(verifier.verify(BODY, &signature, NOW), None);
        let newer = sign("whsec_something_newer", BODY);
        let newer = read(&[newer.as_bytes()]).unwrap();
        assert!(verifier.verify(BODY, &newer, NOW).is_some());
    }

    #[test]
    fn the_dummy_that_pads_the_work_verifies_nothing() {
        let mut mac = keyed(&[0; 32]);
        mac.update(BODY);
        let forged: Signature = mac.finalize().into_bytes().into();
        assert!(!is_right(&Verifier::of_nobody(2), BODY, &forged));
        assert!(!is_right(&verifier(&[SECRET]), BODY, &forged));
    }

    #[test]
    fn the_header_is_one_value_of_64_hex_digits_in_either_case() {
        assert!(read(&[SIGNED.as_bytes()]).is_ok());
        assert_eq!(
            read(&[SIGNED.to_uppercase().as_bytes()]),
            read(&[SIGNED.as_bytes()])
        );
        assert_eq!(read(&[]), Err(Refusal::Missing));
        assert_eq!(
            read(&[SIGNED.as_bytes(), SIGNED.as_bytes()]),
            Err(Refusal::Doubled)
        );
        let multi_byte = "é".repeat(32);
        let spaced = format!(" {SIGNED}");
        let prefixed = format!("sha256={SIGNED}");
        for wrong in [
            "",
            &SIGNED[..63],
            &SIGNED[..62],
            &format!("{SIGNED}0"),
            &format!("{SIGNED}00"),
            &"g".repeat(64),
            &multi_byte,
            &spaced,
            &prefixed,
        ] {
            assert_eq!(
                read(&[wrong.as_bytes()]),
                Err(Refusal::Malformed),
                "{wrong:?}"
            );
        }
        assert_eq!(read(&[&[0xff; 64]]), Err(Refusal::Malformed));
    }

    proptest! {
        #[test]
        fn one_changed_byte_of_body_or_signature_is_refused(
            body in prop::collection::vec(any::<u8>(), 1..200), at in any::<prop::sample::Index>(), flip in 1..=255_u8,
        ) {
            let verifier = verifier(&[SECRET]);
            let right: Signature = read(&[sign(SECRET, &body).as_bytes()]).unwrap();
            prop_assert!(is_right(&verifier, &body, &right));

            let mut signature = right;
            signature[at.index(32)] ^= flip;
            prop_assert!(!is_right(&verifier, &body, &signature));

            let mut changed = body.clone();
            changed[at.index(body.len())] ^= flip;
            prop_assert!(!is_right(&verifier, &changed, &right));
            prop_assert!(!is_right(&verifier, &body[..body.len() - 1], &right));
            prop_assert!(!is_right(&verifier, &[&body[..], b"\n"].concat(), &right));
        }

        #[test]
        fn reading_a_header_never_panics(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..3)) {
            let _ = parse(values.iter().map(Vec::as_slice));
        }
    }
}
