//! The webhook signature: HMAC-SHA-256 over the exact bytes of the body, as 64 hex digits in `capa-signature`
//! (`docs/step-by-step-process-for-hmac-signature-validation`).
//!
//! The bytes are verified as received and never re-serialised. Work and answer are the same for every partner, known or
//! not: each check makes the same number of HMACs and compares each in constant time.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

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
    secrets: usize,
}

impl Verifier {
    /// Verifies with any of `secrets`, doing the work of `rounds` of them.
    pub fn new(secrets: &[SecretString], rounds: usize) -> Verifier {
        let dummy = [0; 32];
        let real = secrets
            .iter()
            .map(|secret| secret.expose_secret().as_bytes());
        let padding = rounds.saturating_sub(secrets.len());
        Verifier {
            macs: real
                .chain(std::iter::repeat_n(&dummy[..], padding))
                .map(keyed)
                .collect(),
            secrets: secrets.len(),
        }
    }

    /// Refuses everything, at the cost of `rounds` secrets: for partners there are not.
    pub fn of_nobody(rounds: usize) -> Verifier {
        Verifier::new(&[], rounds)
    }

    /// Whether one of the secrets signed exactly these bytes.
    pub fn verify(&self, body: &[u8], signature: &Signature) -> bool {
        let mut right = false;
        for (index, mac) in self.macs.iter().enumerate() {
            let mut mac = mac.clone();
            mac.update(body);
            let equal = mac.verify_slice(signature).is_ok();
            right |= equal & (index < self.secrets);
        }
        right
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECRET: &str = "whsec_example_not_real";
    const BODY: &[u8] = br#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
    const SIGNED: &str = "b132133ea6a62a6973db324f6933271ef5077794862eb6f4c7abcdcfe0d39369";

    fn verifier(secrets: &[&str]) -> Verifier {
        let secrets: Vec<SecretString> = secrets.iter().map(|s| SecretString::from(*s)).collect();
        Verifier::new(&secrets, 3)
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
        assert!(verifier(&[SECRET]).verify(BODY, &signature));
        assert!(verifier(&["whsec_something_newer", SECRET]).verify(BODY, &signature));
        assert!(!verifier(&["whsec_something_newer"]).verify(BODY, &signature));
        assert!(!Verifier::of_nobody(3).verify(BODY, &signature));
    }

    #[test]
    fn the_dummy_that_pads_the_work_verifies_nothing() {
        let mut mac = keyed(&[0; 32]);
        mac.update(BODY);
        let forged: Signature = mac.finalize().into_bytes().into();
        assert!(!Verifier::of_nobody(2).verify(BODY, &forged));
        assert!(!verifier(&[SECRET]).verify(BODY, &forged));
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
            prop_assert!(verifier.verify(&body, &right));

            let mut signature = right;
            signature[at.index(32)] ^= flip;
            prop_assert!(!verifier.verify(&body, &signature));

            let mut changed = body.clone();
            changed[at.index(body.len())] ^= flip;
            prop_assert!(!verifier.verify(&changed, &right));
            prop_assert!(!verifier.verify(&body[..body.len() - 1], &right));
            prop_assert!(!verifier.verify(&[&body[..], b"\n"].concat(), &right));
        }

        #[test]
        fn reading_a_header_never_panics(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..3)) {
            let _ = parse(values.iter().map(Vec::as_slice));
        }
    }
}
