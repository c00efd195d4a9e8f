//! Reading where the provider says a user stands: `GET kyc/details`, the truth that webhooks only hint at
//! (`reference/kycpartnercontrollerv2_getuserverificationdetails`).
//!
//! The answer holds a person's whole identity. Four fields of it are read; the rest is dropped with the bytes. An answer
//! that is not exactly what it should be is unusable, and nothing of it is kept: a verdict must not hang on a guess.

use std::fmt;

use chrono::{DateTime, NaiveDateTime};
use secrecy::SecretString;

use super::answer::Answer;
use super::client::{Client, Error, refusal};
use super::meter::Call;
use super::object::{self, Node};
use crate::kyc::sessions::Session;

/// No word or id of the provider's is kept beyond this many bytes.
const LONGEST: usize = 128;

/// Stands for a result that is no text, too long or not printable: an unknown word.
const NO_WORD: &str = "?";

/// The fields that are read, at whichever level they stand.
const READ: &[&str] = &[
    "success",
    "data",
    "aipriseSummary",
    "verificationResult",
    "clientReferenceId",
    "verificationSessionId",
    "createdAt",
];

/// The provider's latest verification of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The verdict in the provider's own word, printable and at most 128 bytes, or `?` for what is no such word; `None` while
    /// it gives none.
    pub result: Option<String>,
    /// Its id of the session.
    pub session_id: Option<String>,
    /// When the session was created, in microseconds of its clock.
    pub session_created_at: Option<i64>,
    /// The id of the user, which has to be the one in the question. An answer without it is unusable.
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

/// Why an answer about a user's verification cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unusable {
    /// Its status is a success other than 200.
    Status,
    /// It is no JSON object of the documented form, or a 404 without a JSON object.
    NoJson,
    /// It says `success: false`.
    NotSuccess,
    /// A name stands twice in an object that is read.
    DoubledName,
    /// It does not name the user.
    NoReference,
    /// It is about another user.
    OtherReference,
    /// Its result is a word without a meaning here.
    UnknownWord,
    /// It names no session where one is needed.
    NoSession,
    /// Its session is older than the one that is known.
    OlderSession,
}

impl Unusable {
    /// Every reason.
    pub const ALL: [Unusable; 9] = [
        Unusable::Status,
        Unusable::NoJson,
        Unusable::NotSuccess,
        Unusable::DoubledName,
        Unusable::NoReference,
        Unusable::OtherReference,
        Unusable::UnknownWord,
        Unusable::NoSession,
        Unusable::OlderSession,
    ];

    /// The word for it in metrics, columns and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unusable::Status => "status",
            Unusable::NoJson => "no_json",
            Unusable::NotSuccess => "not_success",
            Unusable::DoubledName => "doubled_name",
            Unusable::NoReference => "no_reference",
            Unusable::OtherReference => "other_reference",
            Unusable::UnknownWord => "unknown_word",
            Unusable::NoSession => "no_session",
            Unusable::OlderSession => "older_session",
        }
    }

    /// The reason of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Unusable> {
        Unusable::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Client {
    /// Asks for the latest verification of a user; `None` when the provider has none, which it also answers for a user who
    /// has not begun (a 404 with a JSON object, its documented form for the business twin of this call).
    ///
    /// # Errors
    /// The provider's failures, [`Error::Unusable`], and [`Error::UserNotFound`] for a user of another partner.
    pub async fn details(
        &self,
        key: &SecretString,
        user_id: &str,
    ) -> Result<Option<Details>, Error> {
        let call = async {
            let answer = self.call(key, "api/partner/v2/kyc/details", |mut url| {
                url.query_pairs_mut().append_pair("userId", user_id);
                self.http.get(url)
            });
            judge(answer.await, key)
        };
        self.meter.count(Call::Details, call).await
    }
}

fn judge(answer: Result<Answer, Error>, key: &SecretString) -> Result<Option<Details>, Error> {
    let answer = match answer {
        // The only one before its status is judged: the answer is longer than is read.
        Err(Error::InvalidResponse(_)) => return Err(Error::Unusable(Unusable::NoJson)),
        answer => answer?,
    };
    match answer.status.as_u16() {
        200 => read(&answer.body).map(Some).map_err(Error::Unusable),
        201..=299 => Err(Error::Unusable(Unusable::Status)),
        404 if answer.is_object() => Ok(None),
        404 => Err(Error::Unusable(Unusable::NoJson)),
        _ => Err(refusal(&answer, key)),
    }
}

/// Reads the documented body, in its envelope or bare as in old samples.
fn read(body: &[u8]) -> Result<Details, Unusable> {
    let root = object::read(body, READ).ok_or(Unusable::NoJson)?;
    if root.doubled {
        return Err(Unusable::DoubledName);
    }
    if root.get("success") == Some(&Node::False) {
        return Err(Unusable::NotSuccess);
    }
    let data = match root.get("data") {
        None if root.is_null("data") => return Err(Unusable::NoReference),
        None => &root,
        Some(Node::Object(data)) => data,
        Some(_) => return Err(Unusable::NoJson),
    };
    let (summary, result) = match data.get("aipriseSummary") {
        None => (None, None),
        Some(Node::Object(summary)) => (Some(summary), summary.get("verificationResult")),
        Some(_) => (None, Some(&Node::Other)),
    };
    if data.doubled || summary.is_some_and(|summary| summary.doubled) {
        return Err(Unusable::DoubledName);
    }
    let reference_id = match data.get("clientReferenceId") {
        None => return Err(Unusable::NoReference),
        Some(Node::Text(id)) => id.clone(),
        Some(_) => return Err(Unusable::OtherReference),
    };
    let session_id = data.get("verificationSessionId").and_then(printable);
    let created_at = data.get("createdAt").and_then(printable);
    Ok(Details {
        result: result.map(|result| printable(result).unwrap_or(NO_WORD).to_owned()),
        session_id: session_id.filter(|id| !id.is_empty()).map(str::to_owned),
        session_created_at: created_at.and_then(micros),
        reference_id: Some(reference_id),
    })
}

/// A text that may be kept: never cut, because the rest of it could change what it says.
fn printable(node: &Node) -> Option<&str> {
    match node {
        Node::Text(text) if text.len() <= LONGEST && !text.contains(char::is_control) => Some(text),
        _ => None,
    }
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
    use reqwest::StatusCode;

    use super::*;
    use crate::kyc::status::Status;

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

    /// An answer about `u1` with these fields besides.
    fn about(more: &str) -> Result<Details, Unusable> {
        read(format!(r#"{{"data":{{"clientReferenceId":"u1"{more}}}}}"#).as_bytes())
    }

    #[test]
    fn what_is_absent_or_null_is_no_verdict() {
        let nothing = Details {
            reference_id: Some("u1".to_owned()),
            ..Details::default()
        };
        for absent in [
            "",
            r#","aipriseSummary":null"#,
            r#","aipriseSummary":{}"#,
            r#","aipriseSummary":{"verificationResult":null}"#,
            r#","verificationSessionId":null,"createdAt":null"#,
            r#","verificationSessionId":"""#,
        ] {
            assert_eq!(about(absent).as_ref(), Ok(&nothing), "{absent}");
        }
    }

    #[test]
    fn a_result_that_is_odd_is_an_unknown_word() {
        let padded = format!("\"APPROVED{}NOT\"", " ".repeat(LONGEST));
        for odd in [
            r#"["VERIFIED"]"#,
            r#"{"VERIFIED":1}"#,
            "true",
            "false",
            "7",
            r#""APPR\u0000OVED""#,
            r#""APPROVED\n""#,
            &padded,
        ] {
            let found = about(&format!(
                r#","aipriseSummary":{{"verificationResult":{odd}}}"#
            ));
            let found = found.unwrap().result.unwrap();
            assert_eq!(found, NO_WORD, "{odd}");
            assert!(Status::from_result(&found).is_err());
        }
        for odd in [r#""APPROVED""#, r#"["APPROVED"]"#, "false"] {
            let summary = about(&format!(r#","aipriseSummary":{odd}"#)).unwrap();
            assert_eq!(summary.result.as_deref(), Some(NO_WORD), "{odd}");
        }
        let kept = about(r#","aipriseSummary":{"verificationResult":" partly "}"#).unwrap();
        assert_eq!(kept.result.as_deref(), Some(" partly "));
    }

    #[test]
    fn a_session_or_time_that_is_no_plain_text_is_absent() {
        let long = format!("\"{}\"", "s".repeat(LONGEST + 1));
        for odd in ["7", "{}", "[\"s1\"]", "false", r#""s\u00001""#, &long] {
            let more = format!(r#","verificationSessionId":{odd},"createdAt":{odd}"#);
            let found = about(&more).unwrap();
            assert_eq!((found.session_id, found.session_created_at), (None, None));
        }
    }

    #[test]
    fn each_kind_of_unusable_answer_has_its_reason() {
        for (answer, reason) in [
            ("", Unusable::NoJson),
            ("[]", Unusable::NoJson),
            ("<html>", Unusable::NoJson),
            (r#"{"data":[1]}"#, Unusable::NoJson),
            (r#"{"data":{}"#, Unusable::NoJson),
            (
                r#"{"success":false,"error":{},"data":{"clientReferenceId":"u1"}}"#,
                Unusable::NotSuccess,
            ),
            ("{}", Unusable::NoReference),
            (r#"{"data":null}"#, Unusable::NoReference),
            (
                r#"{"data":null,"clientReferenceId":"u1"}"#,
                Unusable::NoReference,
            ),
            (
                r#"{"data":{"clientReferenceId":null}}"#,
                Unusable::NoReference,
            ),
            (
                r#"{"data":{"clientReferenceId":7}}"#,
                Unusable::OtherReference,
            ),
            (
                r#"{"data":{"clientReferenceId":{"id":"u1"}}}"#,
                Unusable::OtherReference,
            ),
            (
                r#"{"data":{"clientReferenceId":"u2","clientReferenceId":"u1"}}"#,
                Unusable::DoubledName,
            ),
            (
                r#"{"x":1,"x":1,"clientReferenceId":"u1"}"#,
                Unusable::DoubledName,
            ),
            (
                r#"{"data":{"clientReferenceId":"u1"},"data":{"clientReferenceId":"u1"}}"#,
                Unusable::DoubledName,
            ),
            (
                r#"{"clientReferenceId":"u1","aipriseSummary":{"verificationResult":"DECLINED","verificationResult":"APPROVED"}}"#,
                Unusable::DoubledName,
            ),
        ] {
            assert_eq!(read(answer.as_bytes()), Err(reason), "{answer}");
        }
        // Where nothing is read, nothing depends on which of two is meant.
        assert!(about(r#","idInfo":{"a":1,"a":2}"#).is_ok());
    }

    #[test]
    fn only_a_200_is_read_and_only_a_404_with_an_object_says_that_there_is_none() {
        let key = SecretString::from("the-partners-key");
        let good = r#"{"data":{"clientReferenceId":"u1"}}"#;
        let judge = |status: u16, body: &str| {
            let answer = Answer {
                status: StatusCode::from_u16(status).unwrap(),
                retry_after: None,
                content_type: None,
                body: body.into(),
            };
            judge(Ok(answer), &key)
        };
        assert!(matches!(judge(200, good), Ok(Some(_))));
        for status in [201, 202, 203, 204, 206, 226] {
            let judged = judge(status, good);
            let reason = Unusable::Status;
            assert!(matches!(judged, Err(Error::Unusable(found)) if found == reason));
        }
        assert!(matches!(judge(404, "{}"), Ok(None)));
        for page in ["", "<html>", "[]", "null"] {
            let judged = judge(404, page);
            let reason = Unusable::NoJson;
            assert!(matches!(judged, Err(Error::Unusable(found)) if found == reason));
        }
        let foreign = r#"{"message":"User is not associated with the partner"}"#;
        assert!(matches!(judge(401, foreign), Err(Error::UserNotFound)));
        assert!(matches!(judge(302, good), Err(Error::InvalidResponse(_))));
        let long = super::judge(Err(Error::InvalidResponse(String::new())), &key);
        assert!(matches!(long, Err(Error::Unusable(Unusable::NoJson))));
    }

    #[test]
    fn every_reason_reads_back_as_itself() {
        for reason in Unusable::ALL {
            assert_eq!(Unusable::from_word(reason.as_str()), Some(reason));
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

    proptest! {
        #[test]
        fn reading_never_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
