//! Reading where the provider says a user stands: `GET kyc/details`, the truth that webhooks only hint at
//! (`reference/kycpartnercontrollerv2_getuserverificationdetails`).
//!
//! The answer holds a person's whole identity. Four fields of it are read; the rest is dropped with the bytes.

use chrono::{DateTime, NaiveDateTime};
use secrecy::SecretString;
use serde_json::Value;

use super::client::{Client, Error};
use super::meter::Call;
use crate::kyc::looks::Session;

/// No word or id of the provider's is kept beyond this many bytes.
const LONGEST: usize = 128;

/// The provider's latest verification of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The verdict in the provider's own word; `None` while it gives none.
    pub result: Option<String>,
    /// Its id of the session.
    pub session_id: Option<String>,
    /// When the session was created, in microseconds of its clock.
    pub session_created_at: Option<i64>,
    /// Whom it is about, by the provider's id; it has to be who was asked for.
    pub reference_id: Option<String>,
}

impl Details {
    /// The session it speaks of.
    pub fn session(&self) -> Option<Session<'_>> {
        self.session_id.as_deref().map(|id| Session {
            id,
            created_at: self.session_created_at,
        })
    }
}

impl Client {
    /// Asks where a user stands; `None` when the provider has no verification of it, which it also answers for a user who
    /// has not begun (provider-side 404, its documented form for the business twin of this call).
    ///
    /// # Errors
    /// The provider's failures. A user it does not know is none of them.
    pub async fn details(
        &self,
        key: &SecretString,
        user_id: &str,
    ) -> Result<Option<Details>, Error> {
        let call = async {
            let answer = self.ask(key, "api/partner/v2/kyc/details", |mut url| {
                url.query_pairs_mut().append_pair("userId", user_id);
                self.http.get(url)
            });
            match answer.await {
                Ok(answer) => read(&answer).map(Some),
                Err(Error::UserNotFound) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.meter.count(Call::Details, call).await
    }
}

/// Reads the documented body, in its envelope or bare as in old samples; every field may be missing.
fn read(answer: &[u8]) -> Result<Details, Error> {
    let Ok(Value::Object(root)) = serde_json::from_slice(answer) else {
        return Err(unusable());
    };
    let data = match root.get("data") {
        None => &root,
        Some(Value::Object(data)) => data,
        Some(Value::Null) => return Ok(Details::default()),
        Some(_) => return Err(unusable()),
    };
    let text = |name| data.get(name).and_then(text);
    let summary = data.get("aipriseSummary");
    let result = summary.and_then(|summary| summary.get("verificationResult"));
    Ok(Details {
        result: result.and_then(self::text).map(printable),
        session_id: text("verificationSessionId")
            .map(printable)
            .filter(|id| !id.is_empty()),
        session_created_at: text("createdAt").as_deref().and_then(micros),
        reference_id: text("clientReferenceId"),
    })
}

fn unusable() -> Error {
    Error::InvalidResponse("its details are not the documented JSON".to_owned())
}

/// A text, or the JSON of whatever else stands there: it is unknown then, and must not be taken for absent.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn printable(text: String) -> String {
    let mut kept = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if kept.len() + c.len_utf8() > LONGEST {
            break;
        }
        kept.push(c);
    }
    kept
}

/// The form of the time is not stated; other pages show RFC 3339 and, without a zone, a space in the middle
/// (`reference/webhook-settings`), which is read as UTC.
fn micros(time: &str) -> Option<i64> {
    let zoned = DateTime::parse_from_rfc3339(time).map(|time| time.timestamp_micros());
    let zoneless = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f");
    zoned
        .or_else(|_| zoneless.map(|time| time.and_utc().timestamp_micros()))
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn four_fields_are_read_from_either_envelope_or_none() {
        let inner = r#"{"aipriseSummary":{"verificationResult":"APPROVED","x":1},"clientReferenceId":"u1",
            "clientReferenceData":{"personalInfo":{"taxId":"LOZG7802117B9"}},"verificationSessionId":"s1",
            "createdAt":"2026-01-15T10:30:00.000Z","idInfo":{"fullName":"A Person"},"amlInfo":{}}"#;
        let expected = Details {
            result: Some("APPROVED".to_owned()),
            session_id: Some("s1".to_owned()),
            session_created_at: Some(1_768_473_000_000_000),
            reference_id: Some("u1".to_owned()),
        };
        for answer in [
            inner.to_owned(),
            format!(r#"{{"status":"ok","data":{inner}}}"#),
            format!(r#"{{"success":true,"data":{inner}}}"#),
        ] {
            assert_eq!(read(answer.as_bytes()).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_absent_or_null_is_no_verdict_and_what_is_odd_is_no_known_word() {
        for nothing in [
            "{}",
            r#"{"data":null}"#,
            r#"{"data":{"aipriseSummary":null}}"#,
            r#"{"data":{"aipriseSummary":{"verificationResult":null}}}"#,
        ] {
            assert_eq!(read(nothing.as_bytes()).unwrap(), Details::default());
        }
        let odd = br#"{"aipriseSummary":{"verificationResult":["VERIFIED"]},"createdAt":7}"#;
        let odd = read(odd).unwrap();
        assert_eq!(odd.result.as_deref(), Some(r#"["VERIFIED"]"#));
        assert_eq!(odd.session_created_at, None);
        for broken in ["", "[]", "<html>", "{\"data\":[1]}", "{\"data\":{}"] {
            assert!(read(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn both_forms_of_time_are_read() {
        assert_eq!(
            micros("2024-04-05 13:45:27.063"),
            micros("2024-04-05T13:45:27.063Z")
        );
        assert!(micros("2024-04-05 13:45:27").is_some());
        assert_eq!(micros("yesterday"), None);
    }

    #[test]
    fn a_word_is_kept_short_and_printable() {
        let long = format!("A\u{7}\n{}", "é".repeat(200));
        let kept = printable(long);
        assert!(kept.len() <= LONGEST && kept.starts_with("Aé"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
