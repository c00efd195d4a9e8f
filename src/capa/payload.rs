//! What a webhook's bytes say.
//!
//! A KYC event is `{"type":"KYC","event":…,"externalUserId":…}` and nothing else (`docs/kyc-events`); other types share
//! the URL, the secret and the first two fields (`docs/transaction-events`). Names have been added and changed without
//! notice, so types and events we do not know are kept as they came, and only these three fields are ever read.

use serde_json::Value;

/// The `type` of the events that move a user.
pub const KYC: &str = "KYC";

/// A webhook's content, as far as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The event's family, its `type`: `KYC`, `TRANSACTION` or one we do not know.
    pub family: String,
    /// The event's name.
    pub event: String,
    /// The partner's id of the user: the only thing that says whom it is about.
    pub external_user_id: Option<String>,
}

/// Reads a body; `None` when it is no JSON object with string `type` and `event`.
pub fn parse(body: &[u8]) -> Option<Payload> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let mut text = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    Some(Payload {
        family: text("type")?,
        event: text("event")?,
        external_user_id: text("externalUserId"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_documented_event_is_read() {
        let body = br#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
        let payload = parse(body).unwrap();
        assert_eq!(payload.family, KYC);
        assert_eq!(payload.event, "VERIFIED_USER");
        assert_eq!(payload.external_user_id.as_deref(), Some("user-0001"));
    }

    #[test]
    fn unknown_words_and_further_fields_are_kept_or_passed_over() {
        let body = br#"{"event":"NEW_THING","type":"OTHER","firstName":"x","n":{"a":[1]}}"#;
        let payload = parse(body).unwrap();
        assert_eq!(
            (payload.family.as_str(), payload.event.as_str()),
            ("OTHER", "NEW_THING")
        );
        assert_eq!(payload.external_user_id, None);
    }

    #[test]
    fn whatever_is_no_object_with_both_names_is_unreadable() {
        for body in [
            "",
            "null",
            "[]",
            "\"KYC\"",
            "{",
            "{}",
            r#"{"type":"KYC"}"#,
            r#"{"event":"VERIFIED_USER"}"#,
            r#"{"type":1,"event":"VERIFIED_USER"}"#,
            r#"{"type":"KYC","event":null}"#,
            "{\"type\":\"KYC\",\"event\":\"VERIFIED_USER\"} x",
            "\u{feff}{\"type\":\"KYC\",\"event\":\"X\"}",
        ] {
            assert_eq!(parse(body.as_bytes()), None, "{body:?}");
        }
        assert_eq!(parse(b"{\"type\":\"KYC\",\"event\":\"\xff\"}"), None);
        assert_eq!(parse("[".repeat(60_000).as_bytes()), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&body);
        }
    }
}
