//! Takes in a signed webhook: stores it and folds it into its user, in one transaction.
//!
//! Whatever becomes of a KYC delivery, it is a hint to look at the provider. The caller acknowledges only after the commit,
//! because the provider never sends again what was acknowledged
//! (`reference/webhooknotificationpartnerv2controller_retrynotification`).

use sha2::{Digest, Sha256};

use crate::capa::payload::{self, Payload};
use crate::capa::signature::Signature;
use crate::clock::{Clock, Timestamp};
use crate::db::attempts;
use crate::db::deliveries::{self, Delivery};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Outcome, State, TrustPolicy, fold};
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
    /// The label of the secret.
    pub secret: String,
}

/// Stores the delivery and moves its user; run it in a write. Twice is a repeat.
pub fn delivery(
    conn: &mut Conn,
    clock: &Clock,
    confirm: TrustPolicy,
    signed: Signed,
) -> QueryResult<Outcome> {
    let now = clock.now();
    let payload = payload::parse(&signed.body);
    let unknown = |p: &Payload| p.family == payload::KYC && Status::from_event(&p.event).is_none();
    if payload.as_ref().is_some_and(unknown) {
        log::warn!("A KYC event with an unknown name came and moved nobody.");
    }
    let unreadable = payload.is_none();
    let mut delivery = Delivery {
        id: clock.id(),
        partner: signed.partner,
        user_key: None,
        attempt: None,
        external_user_id: payload.as_ref().and_then(|p| p.external_user_id.clone()),
        family: payload.as_ref().map(|p| p.family.clone()),
        event: payload.as_ref().map(|p| p.event.clone()),
        signature: signed.signature.to_vec(),
        // What cannot be read may hold anything, so only its length and hash are kept.
        body_length: unreadable.then(|| i64::try_from(signed.body.len()).unwrap_or(i64::MAX)),
        body_sha256: unreadable.then(|| Sha256::digest(&signed.body).to_vec()),
        // Bodies of other families carry people's names (`docs/transaction-events`).
        body: payload
            .as_ref()
            .is_some_and(|p| p.family == payload::KYC)
            .then_some(signed.body),
        outcome: Outcome::Unreadable,
        repeats: 0,
        received_at: now,
        last_received_at: now,
        previous: None,
        secret: Some(signed.secret),
    };
    let mut folded = match decide(conn, confirm, &delivery)? {
        Decided::Stray(outcome) => {
            delivery.outcome = outcome;
            deliveries::record_stray(conn, &delivery)?;
            return Ok(outcome);
        }
        Decided::Folded(folded) => folded,
    };
    let user = &folded.user;
    delivery.user_key = Some(user.id.clone());
    delivery.attempt = Some(user.attempt);
    delivery.outcome = folded.outcome;
    delivery.previous = user.last_delivery.clone();
    let (delivery_id, new) = deliveries::record(conn, &delivery, user)?;
    let event = delivery.event.unwrap_or_default();
    let cause = Cause::Webhook {
        event: &event,
        delivery_id: &delivery_id,
    };
    if new {
        chain(conn, &mut folded, &delivery_id)?;
    }
    carry_out(conn, confirm, &folded, cause, now)?;
    Ok(folded.outcome)
}

/// What a delivery does as things stand, decided and not done.
pub(crate) enum Decided {
    /// It belongs to no user; this is what becomes of it.
    Stray(Outcome),
    /// It is folded into a user.
    Folded(Box<Folded>),
}

/// A delivery folded into a user.
pub(crate) struct Folded {
    /// The user as it stands.
    pub(crate) user: User,
    /// What the delivery says, if we know.
    pub(crate) target: Option<Status>,
    /// Where the user stands after it.
    pub(crate) after: State,
    /// What becomes of the delivery.
    pub(crate) outcome: Outcome,
}

/// Decides what a delivery does that comes now, for the first time or again. It only reads, so that what it decides can be
/// shown without being done, and is the same as what is done.
pub(crate) fn decide(
    conn: &mut Conn,
    confirm: TrustPolicy,
    delivery: &Delivery,
) -> QueryResult<Decided> {
    let Some(event) = &delivery.event else {
        return Ok(Decided::Stray(Outcome::Unreadable));
    };
    if delivery.family.as_deref() != Some(payload::KYC) {
        return Ok(Decided::Stray(Outcome::Ignored));
    }
    let target = Status::from_event(event);
    let user = match &delivery.external_user_id {
        Some(id) => users::by_external_id(conn, &delivery.partner, id)?,
        None => None,
    };
    let Some(user) = user else {
        return Ok(Decided::Stray(match target {
            Some(_) => Outcome::Unmatched,
            None => Outcome::Ignored,
        }));
    };
    let folded = folded(conn, confirm, user, target, &delivery.signature)?;
    Ok(Decided::Folded(Box::new(folded)))
}

fn folded(
    conn: &mut Conn,
    confirm: TrustPolicy,
    user: User,
    target: Option<Status>,
    signature: &[u8],
) -> QueryResult<Folded> {
    let (after, outcome) = match target {
        Some(target) => {
            let event = event(conn, &user, target, signature)?;
            fold(user.state(), event, confirm)
        }
        None => (user.state(), Outcome::Ignored),
    };
    Ok(Folded {
        user,
        target,
        after,
        outcome,
    })
}

/// Moves the user as was decided, and takes the delivery for a hint to look; answers the user as it then is.
pub(crate) fn carry_out(
    conn: &mut Conn,
    confirm: TrustPolicy,
    folded: &Folded,
    cause: Cause<'_>,
    now: Timestamp,
) -> QueryResult<User> {
    let moved = transitions::record(conn, &folded.user, folded.after, cause, now)?;
    if confirm != TrustPolicy::Never {
        reconcile::hint(conn, &folded.user, &moved, folded.target, now)?;
    }
    Ok(moved)
}

/// Makes the delivery the user's last. It is written down here unless the user is going to be written anyway, because it
/// moves.
pub(crate) fn chain(conn: &mut Conn, folded: &mut Folded, delivery_id: &str) -> QueryResult<()> {
    let user = &mut folded.user;
    user.last_delivery = Some(delivery_id.to_owned());
    if folded.after == user.state() {
        users::chain(conn, user)?;
    }
    Ok(())
}

/// Folds what waited for this user, in the order received; run it in the write that registers the user or learns its
/// `externalUserId`.
pub fn unmatched(
    conn: &mut Conn,
    user: User,
    confirm: TrustPolicy,
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
        let mut folded = folded(conn, confirm, user, Some(target), &delivery.signature)?;
        deliveries::matched(conn, &delivery, &folded.user, folded.outcome)?;
        chain(conn, &mut folded, &delivery.id)?;
        let cause = Cause::Webhook {
            event: &name,
            delivery_id: &delivery.id,
        };
        user = carry_out(conn, confirm, &folded, cause, now)?;
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
