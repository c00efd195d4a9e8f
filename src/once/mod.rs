//! Answers a request for a link that is sent again, under the same `Idempotency-Key`, as it was answered the first time.
//!
//! An answer is kept in the same write as what it tells, so that the one is never on the disk without the other. Kept is what
//! was decided: a link, or a refusal that stays one. What says to come again (429, 5xx) is not, nor what was
//! refused before anything began. The link itself is not kept: an answer that is given again has it as long as it is the
//! user's. Of the body there is a MAC under the provider's key, which is not in the store, because it holds personal data that
//! could be guessed from a plain hash.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::Sha256;

use crate::app::App;
use crate::clock::Timestamp;
use crate::config::Partner;
use crate::db::kept_answers::{self, KeptAnswer};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::error::{Code, Error, Refusal};
use crate::issue::{self, Issued};
use crate::kyc::link_request::LinkRequest;

/// For how long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that is answered once.
#[derive(Clone)]
pub struct Once {
    partner: String,
    name: String,
    body_mac: [u8; 32],
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kept {
    Issued { user: Box<User>, resumed: bool },
    Refused(Refusal),
}

impl Once {
    /// The partner's request with that name, an `Idempotency-Key` of its choice, and that body.
    pub fn new(partner: &Partner, name: String, mut body: Value) -> Once {
        let key = partner.provider_api_key.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        // Sorted and without spaces, so that only what the body says counts.
        body.sort_all_objects();
        mac.update(body.to_string().as_bytes());
        Once {
            partner: partner.id.clone(),
            name,
            body_mac: mac.finalize().into_bytes().into(),
        }
    }

    /// Keeps the answer, if it is one to be kept.
    pub(crate) fn keep(
        &self,
        conn: &mut Conn,
        answer: &Result<Issued, Error>,
        now: Timestamp,
    ) -> QueryResult<()> {
        let kept = match answer {
            Ok(issued) => Kept::Issued {
                user: Box::new(issued.user.clone()),
                resumed: issued.resumed,
            },
            Err(error) => match error.refusal() {
                Some(refusal) => Kept::Refused(refusal),
                None => return Ok(()),
            },
        };
        let kept = KeptAnswer {
            body_mac: self.body_mac.to_vec(),
            answer: serde_json::to_string(&kept).unwrap_or_default(),
        };
        let name = (self.partner.as_str(), self.name.as_str());
        kept_answers::keep(conn, name, &kept, now, now.minus(KEPT_FOR))
    }

    /// The answer that is kept, if one is; an error where it is to another body.
    fn find(&self, conn: &mut Conn, now: Timestamp) -> QueryResult<Result<Option<Kept>, Error>> {
        let since = now.minus(KEPT_FOR);
        let Some(found) = kept_answers::find(conn, &self.partner, &self.name, since)? else {
            return Ok(Ok(None));
        };
        if found.body_mac != self.body_mac {
            return Ok(Err(Error::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key was sent with another body within the last day. Take a new key for a new request.",
            )));
        }
        // One that cannot be read was kept by a version that wrote it otherwise.
        let Ok(mut kept) = serde_json::from_str(&found.answer) else {
            return Ok(Ok(None));
        };
        if let Kept::Issued { user, .. } = &mut kept {
            user.kyc_link = live_link(conn, user)?;
        }
        Ok(Ok(Some(kept)))
    }
}

/// The link that the user had then, if it has it still.
fn live_link(conn: &mut Conn, then: &User) -> QueryResult<Option<String>> {
    let now = users::find(conn, &then.partner, &then.user_id)?;
    let made = |user: &User| user.link_created_at.map(|made| made.to_string());
    let same = now.filter(|now| now.attempt == then.attempt && made(now) == made(then));
    Ok(same.and_then(|user| user.kyc_link))
}

/// Gives a link as [`issue::link_for`] does, or what the same request was answered before, and says which of both it is.
/// Requests with the same key at the same time wait for each other.
///
/// # Errors
/// As [`issue::link_for`], and when the key was sent with another body.
pub async fn link_for(
    app: &App,
    partner: &Partner,
    request: LinkRequest,
    once: Once,
) -> Result<(Issued, bool), Error> {
    let name = format!("{}/{}", once.partner, once.name);
    let _alone = loop {
        if let Ok(flight) = app.answering.board(&name).await {
            break flight;
        }
    };
    let (wanted, now) = (once.clone(), app.clock.now());
    let found = app.db.fetch(move |conn| wanted.find(conn, now)).await?;
    match found? {
        None => {
            let issued = issue::link_for(app, partner, request, Some(&once)).await?;
            Ok((issued, false))
        }
        Some(Kept::Refused(refusal)) => Err(Error::from(refusal).replayed()),
        Some(Kept::Issued { user, resumed }) => {
            let user = *user;
            Ok((Issued { user, resumed }, true))
        }
    }
}
