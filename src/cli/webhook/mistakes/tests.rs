//! Every mistake alone, the usual pairs, and what no mistake explains.

//! Each usual mistake, made on purpose.

use super::*;

const SECRET: &str = "whsec_example_not_real";
const BODY: &str = r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
/// Computed by the provider's documented method with two independent programs.
const SIGNATURE: &str = "b132133ea6a62a6973db324f6933271ef5077794862eb6f4c7abcdcfe0d39369";

fn sign(secret: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> String {
    hex::encode(hmac(secret.as_ref(), body.as_ref()))
}

fn find(secrets: &[&str], body: impl AsRef<[u8]>, header: &str) -> Finding {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| SecretString::from(*secret))
        .collect();
    explain(&secrets, body.as_ref(), header)
}

fn to_base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    bits.as_bytes()
        .chunks(6)
        .map(|six| format!("{:0<6}", str::from_utf8(six).unwrap()))
        .map(|six| char::from(ALPHABET[usize::from_str_radix(&six, 2).unwrap()]))
        .collect()
}

#[test]
fn a_right_signature_is_right_in_either_case_and_names_its_secret() {
    assert_eq!(find(&[SECRET], BODY, SIGNATURE), Finding::Right(1));
    assert_eq!(
        find(&["other", SECRET], BODY, &SIGNATURE.to_uppercase()),
        Finding::Right(2)
    );
}

#[test]
fn every_mistake_in_the_header_is_named() {
    let base64 = to_base64(&hex::decode(SIGNATURE).unwrap());
    let rows = [
        (format!(" {SIGNATURE}\n"), vec![Mistake::HeaderSpaces]),
        (format!("\"{SIGNATURE}\""), vec![Mistake::HeaderQuotes]),
        (format!("sha256={SIGNATURE}"), vec![Mistake::HeaderPrefix]),
        (format!("SHA256: {SIGNATURE}"), vec![Mistake::HeaderPrefix]),
        (base64.clone(), vec![Mistake::HeaderBase64]),
        (format!("{base64}="), vec![Mistake::HeaderBase64]),
        (
            base64.replace('+', "-").replace('/', "_"),
            vec![Mistake::HeaderBase64],
        ),
        (
            format!(" sha256={base64}="),
            vec![
                Mistake::HeaderSpaces,
                Mistake::HeaderPrefix,
                Mistake::HeaderBase64,
            ],
        ),
    ];
    for (header, mistakes) in rows {
        assert_eq!(
            find(&[SECRET], BODY, &header),
            Finding::Wrong(mistakes, 1),
            "{header:?}"
        );
    }
}

#[test]
fn a_header_that_is_no_signature_is_said_to_be_none() {
    let rows = [
        (String::new(), Unreadable::Empty),
        ("  ".to_owned(), Unreadable::Empty),
        ("sha256=".to_owned(), Unreadable::Empty),
        (SIGNATURE[..63].to_owned(), Unreadable::Length(63)),
        (SIGNATURE[..40].to_owned(), Unreadable::Length(40)),
        (SIGNATURE.repeat(2), Unreadable::Length(128)),
        (SIGNATURE.replace('b', "g"), Unreadable::NotHex),
        ("ä".repeat(32), Unreadable::NotHex),
    ];
    for (header, unreadable) in rows {
        let finding = find(&[SECRET], BODY, &header);
        assert_eq!(finding, Finding::Unreadable(unreadable), "{header:?}");
    }
}

#[test]
fn every_mistake_in_the_body_is_named() {
    let pretty = "{\n  \"type\" : \"KYC\",\n  \"a b\": [1, \"x, \\\" : y\"]\n}";
    let compact = "{\"type\":\"KYC\",\"a b\":[1,\"x, \\\" : y\"]}";
    let spaced = "{\"type\": \"KYC\", \"a b\": [1, \"x, \\\" : y\"]}";
    let rows = [
        (
            format!("{BODY}\n"),
            BODY.to_owned(),
            Mistake::BodyNewlineAdded,
        ),
        (
            format!("{BODY}\r\n"),
            BODY.to_owned(),
            Mistake::BodyNewlineAdded,
        ),
        (
            BODY.to_owned(),
            format!("{BODY}\n"),
            Mistake::BodyNewlineLost,
        ),
        (
            BODY.to_owned(),
            format!("{BODY}\r\n"),
            Mistake::BodyNewlineLost,
        ),
        (
            pretty.to_owned(),
            pretty.replace('\n', "\r\n"),
            Mistake::BodyLineEndings,
        ),
        (
            pretty.replace('\n', "\r\n"),
            pretty.to_owned(),
            Mistake::BodyLineEndings,
        ),
        (format!("\u{feff}{BODY}"), BODY.to_owned(), Mistake::BodyBom),
        (
            pretty.to_owned(),
            compact.to_owned(),
            Mistake::BodyReformatted,
        ),
        (compact.to_owned(), spaced.to_owned(), Mistake::BodySpaced),
        (
            r#"{"n":"Jos\u00e9 a\/b"}"#.to_owned(),
            r#"{"n":"José a/b"}"#.to_owned(),
            Mistake::BodyReserialised,
        ),
        (BODY.to_owned(), String::new(), Mistake::BodyEmpty),
    ];
    for (given, signed, mistake) in rows {
        let finding = find(&[SECRET], &given, &sign(SECRET, &signed));
        assert_eq!(
            finding,
            Finding::Wrong(vec![mistake], 1),
            "{given:?} signed as {signed:?}"
        );
    }
}

#[test]
fn every_mistake_in_the_secret_is_named() {
    let hex_secret = "00112233445566778899aabbccddeeff";
    let bytes = hex::decode(hex_secret).unwrap();
    let base64_secret = format!("whsec_{}==", to_base64(&bytes));
    let rows: [(&str, Vec<u8>, Mistake); 6] = [
        (
            " spaced secret\t",
            b"spaced secret".to_vec(),
            Mistake::SecretSpaces,
        ),
        (
            SECRET,
            format!("{SECRET}\n").into_bytes(),
            Mistake::SecretNewline,
        ),
        (
            SECRET,
            format!("{SECRET}\r\n").into_bytes(),
            Mistake::SecretNewline,
        ),
        ("\"quoted\"", b"quoted".to_vec(), Mistake::SecretQuotes),
        (hex_secret, bytes.clone(), Mistake::SecretHex),
        (&base64_secret, bytes, Mistake::SecretBase64),
    ];
    for (given, used, mistake) in rows {
        let finding = find(&["other", given], BODY, &sign(used, BODY));
        assert_eq!(finding, Finding::Wrong(vec![mistake], 2), "{given:?}");
    }
}

#[test]
fn mistakes_in_several_places_are_named_together() {
    let header = format!("sha256={}", sign(format!("{SECRET}\n"), BODY));
    let mistakes = vec![
        Mistake::HeaderPrefix,
        Mistake::BodyNewlineAdded,
        Mistake::SecretNewline,
    ];
    assert_eq!(
        find(&[SECRET], format!("{BODY}\n"), &header),
        Finding::Wrong(mistakes, 1)
    );
}

#[test]
fn another_secret_or_body_is_left_unexplained() {
    let unexplained = |empty_body| Finding::Unexplained { empty_body };
    assert_eq!(find(&["other"], BODY, SIGNATURE), unexplained(false));
    assert_eq!(
        find(&[SECRET], BODY.replace("0001", "0002"), SIGNATURE),
        unexplained(false)
    );
    assert_eq!(
        find(&[SECRET], "not JSON \"", SIGNATURE),
        unexplained(false)
    );
    assert_eq!(find(&[SECRET], "", SIGNATURE), unexplained(true));
}

#[test]
fn no_sentence_gives_the_right_signature_or_the_secret_away() {
    for (secret, body, header) in [
        (SECRET, BODY, SIGNATURE.replace('b', "c")),
        (SECRET, BODY, format!("sha256={SIGNATURE}")),
        (SECRET, BODY, "x".to_owned()),
        (SECRET, "", SIGNATURE.to_owned()),
        (SECRET, BODY, SIGNATURE.to_owned()),
    ] {
        let text = find(&[secret], body, &header).sentences().join("\n");
        assert!(!text.is_empty());
        assert!(
            !text.contains(&sign(secret, body)[..8]) && !text.contains(SECRET),
            "{text}"
        );
    }
}
