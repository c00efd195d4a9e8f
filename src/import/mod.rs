//! Loads users whom a partner has already, as its file says that they stand.
//!
//! What an import has loaded is as good as registered: it has a history, webhooks that waited for it count, and the
//! provider is asked about it. Whoever is here already is left exactly as it is, so that an import may be repeated, in
//! whole or after it was cut off.

pub mod lines;

use crate::clock::Clock;
use crate::db::transitions;
use crate::db::users::{self, NewUser};
use crate::db::{Conn, QueryResult};
use crate::ingest::{self, Believed};
use crate::kyc::status::Status;
use crate::reconcile;

/// A user as a line of the file tells of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The provider's id.
    pub user_id: String,
    /// The partner's own id.
    pub external_user_id: String,
    /// The country whose KYC template is used.
    pub country: &'static str,
    /// Where the user stands.
    pub status: Status,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The user is new.
    New,
    /// The user was here; it may stand elsewhere by now.
    There,
    /// Nothing was loaded, because the ids are not those of one user. The reason names no id.
    Refused(&'static str),
}

/// Loads these users of a partner; run it in a write. Answers what became of each.
pub fn users(
    conn: &mut Conn,
    clock: &Clock,
    believed: &Believed,
    partner: &str,
    entries: &[Entry],
) -> QueryResult<Vec<Loaded>> {
    let mut loaded = Vec::with_capacity(entries.len());
    for entry in entries {
        loaded.push(user(conn, clock, believed, partner, entry)?);
    }
    Ok(loaded)
}

fn user(
    conn: &mut Conn,
    clock: &Clock,
    believed: &Believed,
    partner: &str,
    entry: &Entry,
) -> QueryResult<Loaded> {
    if let Some(user) = users::find(conn, partner, &entry.user_id)? {
        return Ok(if user.external_user_id == entry.external_user_id {
            Loaded::There
        } else {
            Loaded::Refused("userId is here with another externalUserId")
        });
    }
    if users::by_external_id(conn, partner, &entry.external_user_id)?.is_some() {
        return Ok(Loaded::Refused("externalUserId belongs to another user"));
    }
    let now = clock.now();
    let new = NewUser {
        id: clock.id(),
        partner,
        user_id: &entry.user_id,
        external_user_id: &entry.external_user_id,
        country: entry.country,
        redirect_uri: None,
        status: entry.status,
        // The user was at the provider before, so that a verdict may have been delivered elsewhere.
        heard: true,
    };
    let user = transitions::register(conn, &new, now)?;
    if believed.trust.policy.checks() {
        reconcile::watch(conn, &user, now)?;
    }
    ingest::unmatched(conn, clock, believed, user)?;
    Ok(Loaded::New)
}
