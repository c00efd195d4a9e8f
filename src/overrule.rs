//! Sets a user's status by an admin's hand.
//!
//! It is written down who did it and why. From then on only an admin moves this attempt: what the provider sends or
//! answers against it is held or reported.

use crate::clock::Clock;
use crate::db::overrides::{self, Override};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User, View};
use crate::db::{Conn, QueryResult};
use crate::kyc::status::Status;
use crate::kyc::verification::{Trust, overrule};
use crate::reconcile;

/// What an admin wants.
#[derive(Clone, Debug)]
pub struct Order {
    /// The admin's name in the configuration.
    pub admin: String,
    /// The status to set.
    pub status: Status,
    /// Why, for whoever reads it later.
    pub reason: String,
}

/// Sets the status; run it in a write. `None` when the partner has no such user. Twice is written down twice and changes
/// nothing the second time.
pub fn user(
    conn: &mut Conn,
    clock: &Clock,
    trust: Trust,
    (partner, user_id): (&str, &str),
    order: Order,
) -> QueryResult<Option<User>> {
    let Some(user) = users::find(conn, partner, user_id)? else {
        return Ok(None);
    };
    let now = clock.now();
    let user = transitions::on_time(conn, user, View::new(now, trust))?;
    let after = overrule(user.state(), order.status);
    overrides::record(
        conn,
        &Override {
            id: clock.id(),
            user_key: user.id.clone(),
            attempt: user.attempt,
            admin: order.admin,
            reason: order.reason,
            from_status: user.state().shown(),
            to_status: after.shown(),
            at: now,
        },
    )?;
    let moved = transitions::record(conn, &user, after, Cause::Manual, now)?;
    if trust.policy.checks() {
        reconcile::overruled(conn, &moved, now)?;
    }
    users::find(conn, partner, user_id)
}
