//! The form in which answers are kept. It belongs to this file alone, so that a change to a table or to a document of the
//! interface leaves kept answers readable. Fields may be added; a form that means something else gets another version.

use serde::{Deserialize, Serialize};

use super::before;
use crate::clock::Timestamp;
use crate::db::users::User;
use crate::error::{Error, Refusal};
use crate::issue::Issued;
use crate::kyc::status::{Source, Status};

/// The version that is written. Answers without a version are those of [`before`].
const VERSION: u32 = 2;

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Form {
    version: u32,
    answer: Kept,
}

/// What was answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kept {
    Issued { user: Box<ToldUser>, resumed: bool },
    Refused(Refusal),
}

/// A user as an answer told it, without the links: whoever has one can act as the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldUser {
    /// Our own key of the row.
    pub key: String,
    /// The provider's id.
    pub user_id: String,
    /// The partner's own id.
    pub external_user_id: String,
    /// The country whose KYC template is used.
    pub country: String,
    /// The status that was shown.
    pub status: Status,
    /// Whether it was final.
    pub is_final: bool,
    /// Whether it waited for confirmation.
    pub needs_confirmation: bool,
    /// What had moved the status last.
    pub source: Source,
    /// Number of the attempt.
    pub attempt: i64,
    /// The version of the user then.
    pub version: i64,
    /// When the provider gave the link.
    pub link_created_at: Option<Timestamp>,
    /// When the user was registered.
    pub created_at: Timestamp,
    /// When a reader could last see a change.
    pub updated_at: Timestamp,
    /// When the verdict was reached that was shown.
    pub decided_at: Option<Timestamp>,
    /// When the provider last confirmed what was shown.
    pub as_of: Option<Timestamp>,
}

impl ToldUser {
    fn of(user: &User) -> ToldUser {
        let state = user.state();
        ToldUser {
            key: user.id.clone(),
            user_id: user.user_id.clone(),
            external_user_id: user.external_user_id.clone(),
            country: user.country.clone(),
            status: state.shown(),
            is_final: state.is_final(),
            needs_confirmation: state.needs_confirmation(),
            source: user.source,
            attempt: user.attempt,
            version: user.version,
            link_created_at: user.link_created_at,
            created_at: user.created_at,
            updated_at: user.updated_at,
            decided_at: user.shown_decided_at(),
            as_of: user.as_of(),
        }
    }
}

/// What is to be written of an answer; `None` where none is to be kept.
pub(super) fn form(answer: &Result<Issued, Error>) -> Option<impl Serialize + use<>> {
    let answer = match answer {
        Ok(issued) => Kept::Issued {
            user: Box::new(ToldUser::of(&issued.user)),
            resumed: issued.resumed,
        },
        Err(error) => Kept::Refused(error.refusal()?),
    };
    let version = VERSION;
    Some(Form { version, answer })
}

/// An answer that was read back.
#[derive(Debug)]
pub(super) enum Read {
    /// In the form of this file.
    Ours(Kept),
    /// In the form of [`before`], with a MAC under another key.
    Before(Kept),
}

/// Reads what is kept; `None` when it cannot be read.
pub(super) fn read(kept: &str) -> Option<Read> {
    #[derive(Deserialize)]
    struct Versioned {
        version: Option<u32>,
    }
    let versioned: Versioned = serde_json::from_str(kept).ok()?;
    let read = match versioned.version {
        None => Read::Before(before::read(kept)?),
        Some(VERSION) => Read::Ours(serde_json::from_str::<Form>(kept).ok()?.answer),
        Some(_) => return None,
    };
    let (Read::Ours(answer) | Read::Before(answer)) = &read;
    match answer {
        Kept::Refused(refusal) if !refusal.is_known() => None,
        Kept::Refused(_) | Kept::Issued { .. } => Some(read),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kept() -> Value {
        json!({"version": 2, "answer": {"issued": {"resumed": false, "user": {
            "key": "019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f", "userId": "u1", "externalUserId": "c1", "country": "DO",
            "status": "pending", "isFinal": false, "needsConfirmation": false, "source": "link", "attempt": 1, "version": 2,
            "linkCreatedAt": "2026-11-23T19:20:00.123Z", "createdAt": "2026-11-23T19:20:00.123Z",
            "updatedAt": "2026-11-23T19:20:00.123Z", "decidedAt": null, "asOf": null,
        }}}})
    }

    #[test]
    fn the_form_is_read_as_it_is_written_and_with_fields_of_a_later_release() {
        let read_back = |value: &Value| match read(&value.to_string()) {
            Some(Read::Ours(Kept::Issued {
                user,
                resumed: false,
            })) => *user,
            other => panic!("{other:?}"),
        };
        let user = read_back(&kept());
        let written = serde_json::to_value(Form {
            version: VERSION,
            answer: Kept::Issued {
                user: Box::new(user.clone()),
                resumed: false,
            },
        });
        assert_eq!(written.unwrap(), kept());
        let mut later = kept();
        later["added"] = json!(1);
        later["answer"]["issued"]["added"] = json!(1);
        later["answer"]["issued"]["user"]["added"] = json!({"a": []});
        assert_eq!(read_back(&later), user);
    }

    #[test]
    fn what_cannot_be_understood_is_not_read() {
        let mut broken = vec![json!([]), json!({"version": 2}), json!({"version": "2"})];
        let mut other = kept();
        other["version"] = json!(3);
        broken.push(other);
        let mut other = kept();
        other["answer"]["issued"]["user"]["status"] = json!("novel");
        broken.push(other);
        let refused = json!({"code": "novel", "detail": "x", "providerCode": null});
        broken.push(json!({"version": 2, "answer": {"refused": refused}}));
        for broken in broken {
            assert!(read(&broken.to_string()).is_none(), "{broken}");
        }
        for broken in ["", "{", "nonsense"] {
            assert!(read(broken).is_none(), "{broken}");
        }
    }
}
