//! Takes in a signed webhook: stores it and folds it into its user, in one transaction.
//!
//! The caller acknowledges only after the commit, because the provider never sends again what was acknowledged
//! (`reference/webhooknotificationpartnerv2controller_retrynotification`).

use crate::capa::payload::{self, Payload};
use crate::capa::signature::Signature;
use crate::clock::{Clock, Timestamp};
use crate::db::deliveries::{self, Delivery};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::kyc::status::Status;
use crate::kyc::verification::{Confirm, Event, Outcome, fold};

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
    };
    let Some(payload) = payload else {
        deliveries::record(conn, delivery)?;
        return Ok(Outcome::Unreadable);
    };
    let Some(target) = meaning(&payload) else {
        delivery.outcome = Outcome::Ignored;
        deliveries::record(conn, delivery)?;
        return Ok(Outcome::Ignored);
    };
    let user = match &payload.external_user_id {
        Some(id) => users::by_external_id(conn, &delivery.partner, id)?,
        None => None,
    };
    let Some(user) = user else {
        delivery.outcome = Outcome::Unmatched;
        deliveries::record(conn, delivery)?;
        return Ok(Outcome::Unmatched);
    };
    let (after, outcome) = fold(
        user.state(),
        event(conn, &user, target, &delivery.signature)?,
        confirm,
    );
    delivery.user_key = Some(user.id.clone());
    delivery.attempt = Some(user.attempt);
    delivery.outcome = outcome;
    let delivery_id = deliveries::record(conn, delivery)?;
    let cause = Cause::Webhook {
        event: &payload.event,
        delivery_id: &delivery_id,
    };
    transitions::record(conn, &user, after, cause, now)?;
    Ok(outcome)
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
        let name = delivery.event.unwrap_or_default();
        // Only events with a meaning are ever left waiting.
        let Some(target) = Status::from_event(&name) else {
            continue;
        };
        let (after, outcome) = fold(
            user.state(),
            event(conn, &user, target, &delivery.signature)?,
            confirm,
        );
        deliveries::matched(conn, &delivery.id, &user.id, user.attempt, outcome)?;
        let cause = Cause::Webhook {
            event: &name,
            delivery_id: &delivery.id,
        };
        user = transitions::record(conn, &user, after, cause, now)?;
    }
    Ok(user)
}

fn meaning(payload: &Payload) -> Option<Status> {
    if payload.family != payload::KYC {
        return None;
    }
    let status = Status::from_event(&payload.event);
    if status.is_none() {
        log::warn!("A KYC event with an unknown name came and changed nothing.");
    }
    status
}

fn event(conn: &mut Conn, user: &User, target: Status, signature: &[u8]) -> QueryResult<Event> {
    // The first attempt has none before it, which spares most deliveries the look.
    let seen_in_earlier_attempt = user.attempt > 1
        && target.is_final()
        && deliveries::seen_before_attempt(conn, &user.id, user.attempt, signature)?;
    Ok(Event {
        target,
        seen_in_earlier_attempt,
    })
}
