//! Takes in a signed webhook: stores it and folds it into its user, in one transaction.
//!
//! Whatever becomes of a KYC delivery, it is a hint to look at the provider. The caller acknowledges only after the commit,
//! because the provider never sends again what was acknowledged
//! (`reference/webhooknotificationpartnerv2controller_retrynotification`).

use crate::capa::payload;
use crate::capa::signature::Signature;
use crate::clock::{Clock, Timestamp};
use crate::db::attempts;
use crate::db::deliveries::{self, Delivery};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::kyc::status::Status;
use crate::kyc::verification::{Confirm, Event, Outcome, State, fold};
use crate::reconcile;

/// A webhook whose signature was right.
#[derive(Debug)]
pub struct Signed {
    /// The partner whose secret signed it.
    pub partner: String,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// The signature.
    pub signature: Signature,
}

/// Stores the delivery and moves its user; run it in a write. Twice is a repeat.
pub fn delivery(
    conn: &mut Conn,
    clock: &Clock,
    confirm: Confirm,
    signed: Signed,
) -> QueryResult<Outcome> {
    let now = clock.now();
    let payload = payload::parse(&signed.body);
    let mut delivery = Delivery {
        id: clock.id(),
        partner: signed.partner,
        user_key: None,
        attempt: None,
        external_user_id: payload.as_ref().and_then(|p| p.external_user_id.clone()),
        family: payload.as_ref().map(|p| p.family.clone()),
        event: payload.as_ref().map(|p| p.event.clone()),
        signature: signed.signature.to_vec(),
        // Bodies of other families carry people's names (`docs/transaction-events`), which are nobody's business here.
        body: payload
            .as_ref()
            .is_none_or(|p| p.family == payload::KYC)
            .then_some(signed.body),
        outcome: Outcome::Unreadable,
        repeats: 0,
        received_at: now,
        last_received_at: now,
        previous: None,
    };
    let Some(payload) = payload else {
        deliveries::record_stray(conn, &delivery)?;
        return Ok(Outcome::Unreadable);
    };
    if payload.family != payload::KYC {
        delivery.outcome = Outcome::Ignored;
        deliveries::record_stray(conn, &delivery)?;
        return Ok(Outcome::Ignored);
    }
    let target = Status::from_event(&payload.event);
    if target.is_none() {
        log::warn!("A KYC event with an unknown name came and moved nobody.");
    }
    let user = match &payload.external_user_id {
        Some(id) => users::by_external_id(conn, &delivery.partner, id)?,
        None => None,
    };
    let Some(user) = user else {
        delivery.outcome = match target {
            Some(_) => Outcome::Unmatched,
            None => Outcome::Ignored,
        };
        deliveries::record_stray(conn, &delivery)?;
        return Ok(delivery.outcome);
    };
    let (after, outcome) = match target {
        Some(target) => {
            let event = event(conn, &user, target, &delivery.signature)?;
            fold(user.state(), event, confirm)
        }
        None => (user.state(), Outcome::Ignored),
    };
    delivery.user_key = Some(user.id.clone());
    delivery.attempt = Some(user.attempt);
    delivery.outcome = outcome;
    delivery.previous = user.last_delivery.clone();
    let (delivery_id, new) = deliveries::record(conn, &delivery, &user)?;
    let user = match new {
        true => chained(conn, user, &delivery_id, after)?,
        false => user,
    };
    let cause = Cause::Webhook {
        event: &payload.event,
        delivery_id: &delivery_id,
    };
    let moved = transitions::record(conn, &user, after, cause, now)?;
    if confirm != Confirm::Never {
        reconcile::hint(conn, &user, &moved, target, now)?;
    }
    Ok(outcome)
}

/// Makes the delivery the user's last. It is written down here unless the user is going to be written anyway, because it
/// moves to `after`.
fn chained(conn: &mut Conn, user: User, delivery_id: &str, after: State) -> QueryResult<User> {
    let user = User {
        last_delivery: Some(delivery_id.to_owned()),
        ..user
    };
    if after == user.state() {
        users::chain(conn, &user)?;
    }
    Ok(user)
}

/// Folds what waited for this user, in the order received; run it in the write that registers the user or learns its
/// `externalUserId`.
pub fn unmatched(
    conn: &mut Conn,
    user: User,
    confirm: Confirm,
    now: Timestamp,
) -> QueryResult<User> {
    let waiting = deliveries::unmatched(conn, &user.partner, &user.external_user_id)?;
    let mut user = user;
    for delivery in waiting {
        let name = delivery.event.clone().unwrap_or_default();
        // Only events with a meaning are ever left waiting.
        let Some(target) = Status::from_event(&name) else {
            continue;
        };
        let (after, outcome) = fold(
            user.state(),
            event(conn, &user, target, &delivery.signature)?,
            confirm,
        );
        deliveries::matched(conn, &delivery, &user, outcome)?;
        user = chained(conn, user, &delivery.id, after)?;
        let cause = Cause::Webhook {
            event: &name,
            delivery_id: &delivery.id,
        };
        let moved = transitions::record(conn, &user, after, cause, now)?;
        if confirm != Confirm::Never {
            reconcile::hint(conn, &user, &moved, Some(target), now)?;
        }
        user = moved;
    }
    Ok(user)
}

fn event(conn: &mut Conn, user: &User, target: Status, signature: &[u8]) -> QueryResult<Event> {
    // A verdict that was heard in this attempt and does not stand was taken back by the provider, and may be a repeat too.
    // Nothing can have been seen before the first attempt, which spares most deliveries the look.
    let taken_back = target.is_final() && !user.status.is_final();
    let before = user.attempt + i64::from(taken_back);
    let seen_before = before > 1 && deliveries::seen_before_attempt(conn, user, before, signature)?;
    let distinguishable = seen_before && attempts::knows_one_before(conn, &user.id, user.attempt)?;
    Ok(Event {
        target,
        seen_before,
        distinguishable,
    })
}
