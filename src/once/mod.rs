//! Answers a request for a link that is sent again, under the same `Idempotency-Key`, as it was answered the first time.
//!
//! An answer is kept in the same write as what it tells, so that the one is never on the disk without the other. Kept is what
//! was decided: a link, or a refusal that stays one. Answers that ask for a retry (429, 5xx) are not, nor
//! what was refused before anything began. The link itself is not kept: an answer that is given again has it as long as it is the
//! user's. Of the body there is a MAC under a secret of the store, so that a rotated provider key changes nothing.

mod before;
mod kept;

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde_json::Value;
use sha2::Sha256;

use crate::app::App;
use crate::clock::Timestamp;
use crate::config::Partner;
use crate::db::secrets::Secret;
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult, kept_answers};
use crate::error::{Code, Error};
use crate::flights::Flight;
use crate::issue::{self, Issued};
use crate::kyc::link_request::LinkRequest;
pub use kept::ToldUser;
use kept::{Kept, Read};

/// For how long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that is answered once.
#[derive(Clone)]
pub struct Once {
    partner: String,
    name: String,
    body_mac: [u8; 32],
    /// As the release before made it.
    body_mac_before: [u8; 32],
}

/// An answer, and whether it was given before.
pub enum Answered {
    /// It was decided now.
    New(Box<Issued>),
    /// The same request was answered so before.
    Again(Box<Replay>),
}

/// An answer that is given again.
pub struct Replay {
    /// The user as it was told then.
    pub user: ToldUser,
    /// The link that was told, while it is still the user's.
    pub kyc_link: Option<String>,
    /// Whether the link was there already.
    pub resumed: bool,
}

/// What is known of the request.
enum Found {
    Nothing,
    Refused(Error),
    Issued(Box<Replay>),
}

impl Once {
    /// The partner's request with that name, an `Idempotency-Key` of its choice, and that body. `secret` is the store's.
    pub fn new(secret: &Secret, partner: &Partner, name: String, mut body: Value) -> Once {
        // Sorted and without spaces, so that only what the body says counts.
        body.sort_all_objects();
        let body = body.to_string();
        let mac = Hmac::<Sha256>::new_from_slice(&secret.0);
        let mac = mac.expect("HMAC takes a key of any length");
        // Equal bodies of two partners have nothing in common in the store.
        let mac = mac.chain_update(&partner.id).chain_update([0]);
        Once {
            body_mac: mac.chain_update(&body).finalize().into_bytes().into(),
            body_mac_before: before::body_mac(partner.provider_api_key.expose_secret(), &body),
            partner: partner.id.clone(),
            name,
        }
    }

    /// Keeps the answer, if it is one to be kept.
    pub(crate) fn keep(
        &self,
        conn: &mut Conn,
        answer: &Result<Issued, Error>,
        now: Timestamp,
    ) -> QueryResult<()> {
        let Some(form) = kept::form(answer) else {
            return Ok(());
        };
        let name = (self.partner.as_str(), self.name.as_str());
        let since = now.minus(KEPT_FOR);
        kept_answers::keep(conn, name, (&self.body_mac, &form), now, since)
    }

    /// What was answered, if anything was; an error where it was to another body or cannot be read.
    fn find(&self, conn: &mut Conn, now: Timestamp) -> QueryResult<Result<Found, Error>> {
        let since = now.minus(KEPT_FOR);
        let Some(row) = kept_answers::find(conn, &self.partner, &self.name, since)? else {
            return Ok(Ok(Found::Nothing));
        };
        let answer = match kept::read(&row.answer) {
            None => return Ok(Err(Error::unreadable_answer(&self.partner))),
            Some(Read::Ours(answer)) if row.body_mac == self.body_mac => answer,
            Some(Read::Before(answer)) if row.body_mac == self.body_mac_before => answer,
            Some(Read::Before(_)) => return Ok(Ok(Found::Nothing)),
            Some(Read::Ours(_)) => {
                return Ok(Err(Error::new(
                    Code::IdempotencyKeyReused,
                    "This Idempotency-Key was sent with another body within the last day. Take a new key for a new request.",
                )));
            }
        };
        Ok(Ok(match answer {
            Kept::Refused(refusal) => Found::Refused(Error::from(refusal).replayed()),
            Kept::Issued { user, resumed } => Found::Issued(Box::new(Replay {
                kyc_link: live_link(conn, &self.partner, &user)?,
                user: *user,
                resumed,
            })),
        }))
    }
}

/// The link that the user had then, if it has it still.
fn live_link(conn: &mut Conn, partner: &str, then: &ToldUser) -> QueryResult<Option<String>> {
    let now = users::find(conn, partner, &then.user_id)?;
    let text = |made: Timestamp| made.to_string();
    let made = then.link_created_at.map(text);
    let same = |now: &User| now.attempt == then.attempt && now.link_created_at.map(text) == made;
    Ok(now.filter(same).and_then(|user| user.kyc_link))
}

/// Gives a link as [`issue::link_for`] does, or what the same request was answered before. Requests with the same key at
/// the same time wait for each other.
///
/// # Errors
/// As [`issue::link_for`], when the key was sent with another body, when what was answered cannot be read, and when another
/// request with the key is under way for longer than the provider may take.
pub async fn link_for(
    app: &App,
    partner: &Partner,
    request: LinkRequest,
    once: Once,
) -> Result<Answered, Error> {
    let name = format!("{}/{}", once.partner, once.name);
    let _alone = turn(app, &name).await?;
    let (wanted, now) = (once.clone(), app.clock.now());
    let found = app.db.fetch(move |conn| wanted.find(conn, now)).await?;
    match found? {
        Found::Nothing => {
            let issued = issue::link_for(app, partner, request, Some(&once)).await?;
            Ok(Answered::New(Box::new(issued)))
        }
        Found::Refused(error) => Err(error),
        Found::Issued(replay) => Ok(Answered::Again(replay)),
    }
}

/// Waits until no other request with that key is under way.
async fn turn<'a>(app: &'a App, name: &str) -> Result<Flight<'a>, Error> {
    let begun = async {
        loop {
            if let Ok(flight) = app.answering.board(name).await {
                return flight;
            }
        }
    };
    let begun = tokio::time::timeout(app.config.provider.timeout, begun).await;
    begun.map_err(|_| {
        let detail = "A request with this Idempotency-Key is still being answered. Send it again in some seconds.";
        Error::new(Code::RequestInProgress, detail)
    })
}
