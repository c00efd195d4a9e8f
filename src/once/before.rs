//! Answers that the release before kept: rows of the table of users, with a MAC of the body under the provider's key.
//!
//! They live for a day after the upgrade. While the provider's key is the same, the request that they answer gets them
//! again. Where the MAC differs, the key was rotated or the body is another, and nothing can tell which: the request is
//! answered as a new one, never as one whose key was reused.

use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use sha2::Sha256;

use super::kept::{Kept, ToldUser};
use crate::clock::Timestamp;
use crate::error::Refusal;
use crate::kyc::status::{Source, Status};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Form {
    Issued { user: Box<Row>, resumed: bool },
    Refused(Refusal),
}

#[derive(Deserialize)]
struct Row {
    id: String,
    user_id: String,
    external_user_id: String,
    country: String,
    attempt: i64,
    status: Status,
    held: Option<Status>,
    source: Source,
    version: i64,
    link_created_at: Option<Timestamp>,
    created_at: Timestamp,
    updated_at: Timestamp,
    decided_at: Option<Timestamp>,
    confirmed_at: Option<Timestamp>,
}

impl Row {
    /// As that release told it.
    fn told(self) -> ToldUser {
        let doubted = self.status == Status::Verified && self.held.is_some();
        let status = if doubted {
            Status::InReview
        } else {
            self.status
        };
        ToldUser {
            key: self.id,
            user_id: self.user_id,
            external_user_id: self.external_user_id,
            country: self.country,
            status,
            is_final: status.is_final(),
            needs_confirmation: doubted,
            source: self.source,
            attempt: self.attempt,
            version: self.version,
            link_created_at: self.link_created_at,
            created_at: self.created_at,
            updated_at: self.updated_at,
            decided_at: self.decided_at.filter(|_| status.is_final()),
            as_of: self.confirmed_at.filter(|_| !doubted),
        }
    }
}

/// Reads what that release kept; `None` when it cannot be read.
pub(super) fn read(kept: &str) -> Option<Kept> {
    Some(match serde_json::from_str(kept).ok()? {
        Form::Refused(refusal) => Kept::Refused(refusal),
        Form::Issued { user, resumed } => Kept::Issued {
            user: Box::new(user.told()),
            resumed,
        },
    })
}

/// The MAC of a body as that release made it.
pub(super) fn body_mac(provider_key: &str, body: &str) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(provider_key.as_bytes());
    let mac = mac.expect("HMAC takes a key of any length");
    mac.chain_update(body).finalize().into_bytes().into()
}
