//! Receives a signed webhook: stores it and applies it to its user, in one transaction.
//!
//! Every KYC delivery, whatever its outcome, is a hint to check the provider. The caller acknowledges only after the commit,
//! because the provider never retries what was acknowledged
//! (`reference/webhooknotificationpartnerv2controller_retrynotification`).

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::capa::payload::{self, Payload};
use crate::capa::signature::{Signature, Verifier};
use crate::clock::{Clock, Timestamp};
use crate::db::deliveries::{self, Delivery};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User, View};
use crate::db::{Conn, QueryResult, attempts, overrides, unconfirmed};
use crate::kyc::status::Status;
use crate::kyc::verification::{Event, Outcome, State, Trust, TrustPolicy, apply};
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

/// What became of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its outcome.
    pub outcome: Outcome,
    /// Whether it is held because too many users of the partner read `verified` unconfirmed.
    pub over_the_cap: bool,
}

/// Stores the delivery and moves its user; run it in a write. Twice is a repeat.
pub fn delivery(
    conn: &mut Conn,
    clock: &Clock,
    trust: Trust,
    signed: Signed,
) -> QueryResult<Received> {
    let now = clock.now();
    let payload = payload::parse(&signed.body);
    let unknown = |p: &Payload| p.family == payload::KYC && Status::from_event(&p.event).is_none();
    if payload.as_ref().is_some_and(unknown) {
        log::warn!(
            "A KYC event with an unknown name arrived and moved no user. See the provider's list of events."
        );
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
    let mut applied = match decide(conn, trust, &delivery, now)? {
        Decided::Unmatched(outcome) => {
            delivery.outcome = outcome;
            deliveries::record_stray(conn, &delivery)?;
            return Ok(Received {
                outcome,
                over_the_cap: false,
            });
        }
        Decided::Applied(applied) => applied,
    };
    applied.user = transitions::on_time(conn, applied.user, View::new(now, trust))?;
    let user = &applied.user;
    delivery.user_key = Some(user.id.clone());
    delivery.attempt = Some(user.attempt);
    delivery.outcome = applied.outcome;
    delivery.previous = user.last_delivery.clone();
    let (delivery_id, new) = deliveries::record(conn, &delivery, user)?;
    let event = delivery.event.unwrap_or_default();
    let cause = Cause::Webhook {
        event: &event,
        delivery_id: &delivery_id,
    };
    if new {
        chain(conn, &mut applied, &delivery_id)?;
    }
    carry_out(conn, clock, trust, &applied, cause)?;
    Ok(Received {
        outcome: applied.outcome,
        over_the_cap: applied.over_the_cap,
    })
}

/// What a delivery does as things stand, decided and not done.
pub(crate) enum Decided {
    /// It belongs to no user; this is its outcome.
    Unmatched(Outcome),
    /// It is applied to a user.
    Applied(Box<Applied>),
}

/// A delivery applied to a user.
pub(crate) struct Applied {
    /// The user as it is stored.
    pub(crate) user: User,
    /// What the delivery says, if we know.
    pub(crate) target: Option<Status>,
    /// The user before it, as the rule sees it.
    pub(crate) before: State,
    /// The user after it.
    pub(crate) after: State,
    /// The delivery's outcome.
    pub(crate) outcome: Outcome,
    /// Whether it is held because of the cap.
    pub(crate) over_the_cap: bool,
}

/// Decides what a delivery does that arrives now, for the first time or again. It only reads, so that what it decides can be
/// shown without being done, and is the same as what is done.
pub(crate) fn decide(
    conn: &mut Conn,
    trust: Trust,
    delivery: &Delivery,
    now: Timestamp,
) -> QueryResult<Decided> {
    let Some(event) = &delivery.event else {
        return Ok(Decided::Unmatched(Outcome::Unreadable));
    };
    if delivery.family.as_deref() != Some(payload::KYC) {
        return Ok(Decided::Unmatched(Outcome::Ignored));
    }
    let target = Status::from_event(event);
    let user = match &delivery.external_user_id {
        Some(id) => users::by_external_id(conn, &delivery.partner, id)?,
        None => None,
    };
    let Some(user) = user else {
        return Ok(Decided::Unmatched(match target {
            Some(_) => Outcome::Unmatched,
            None => Outcome::Ignored,
        }));
    };
    let arrived = Arrived {
        target,
        signature: &delivery.signature,
        unmatched: false,
    };
    let applied = applied(conn, trust, user, arrived, now)?;
    Ok(Decided::Applied(Box::new(applied)))
}

/// What the rule asks of a delivery.
struct Arrived<'a> {
    target: Option<Status>,
    signature: &'a [u8],
    unmatched: bool,
}

fn applied(
    conn: &mut Conn,
    trust: Trust,
    user: User,
    arrived: Arrived<'_>,
    now: Timestamp,
) -> QueryResult<Applied> {
    let view = View::new(now, trust);
    let before = user.state_at(view);
    let mut over_the_cap = false;
    let (after, outcome) = match arrived.target {
        Some(target) => {
            let event = event(conn, &user, target, &arrived, trust.policy)?;
            match apply(before, event, trust.policy, true) {
                // The cap is counted only where it matters.
                (after, _) if takes_a_place(before, after) => {
                    let cap = i64::from(trust.unconfirmed_at_most);
                    over_the_cap = unconfirmed::taken(conn, &user.partner, view, cap)? >= cap;
                    apply(before, event, trust.policy, !over_the_cap)
                }
                applied => applied,
            }
        }
        None => (before, Outcome::Ignored),
    };
    Ok(Applied {
        user,
        target: arrived.target,
        before,
        after,
        outcome,
        over_the_cap,
    })
}

/// Whether the user reads `verified` unconfirmed by this.
fn takes_a_place(before: State, after: State) -> bool {
    after.is_believed() && !before.is_believed()
}

/// Moves the user as was decided, and takes the delivery for a hint to check the provider; answers the user as it then is.
pub(crate) fn carry_out(
    conn: &mut Conn,
    clock: &Clock,
    trust: Trust,
    applied: &Applied,
    cause: Cause<'_>,
) -> QueryResult<User> {
    let now = clock.now();
    let moved = transitions::record(conn, &applied.user, applied.after, cause, now)?;
    if trust.policy.checks() {
        reconcile::hint(conn, &applied.user, &moved, applied.target, now)?;
    }
    Ok(moved)
}

/// Makes the delivery the user's last. It is written down here unless the user is going to be written anyway, because it
/// changes.
pub(crate) fn chain(conn: &mut Conn, applied: &mut Applied, delivery_id: &str) -> QueryResult<()> {
    let user = &mut applied.user;
    user.last_delivery = Some(delivery_id.to_owned());
    if applied.after == user.state() {
        users::chain(conn, user)?;
    }
    Ok(())
}

/// Applies the deliveries that waited for this user, in the order received.
///
/// Run it in the write that registers the user or learns its `externalUserId`. A delivery whose secret is not configured any
/// more stays unmatched.
pub fn unmatched(
    conn: &mut Conn,
    clock: &Clock,
    believed: &Believed,
    user: User,
) -> QueryResult<User> {
    let now = clock.now();
    let waiting = deliveries::unmatched(conn, &user.partner, &user.external_user_id)?;
    let mut user = user;
    // A verdict was heard even where it is not applied, because its secret is not configured any more.
    if waiting.iter().any(is_verdict) && !user.heard {
        let heard = State {
            heard: true,
            ..user.state()
        };
        user = transitions::record(conn, &user, heard, Cause::Link, now)?;
    }
    for delivery in waiting {
        let name = delivery.event.clone().unwrap_or_default();
        // Only events with a meaning are ever left waiting.
        let Some(target) = Status::from_event(&name) else {
            continue;
        };
        if !believed.signed(&delivery, now) {
            continue;
        }
        user = transitions::on_time(conn, user, View::new(now, believed.trust))?;
        let arrived = Arrived {
            target: Some(target),
            signature: &delivery.signature,
            unmatched: true,
        };
        let mut applied = applied(conn, believed.trust, user, arrived, now)?;
        deliveries::matched(conn, &delivery, &applied.user, applied.outcome)?;
        chain(conn, &mut applied, &delivery.id)?;
        let cause = Cause::Webhook {
            event: &name,
            delivery_id: &delivery.id,
        };
        user = carry_out(conn, clock, believed.trust, &applied, cause)?;
    }
    Ok(user)
}

fn is_verdict(delivery: &Delivery) -> bool {
    let event = delivery.event.as_deref();
    event
        .and_then(Status::from_event)
        .is_some_and(Status::is_final)
}

/// How far a partner's deliveries are trusted that arrived before their user was registered.
#[derive(Clone)]
pub struct Believed {
    /// How far its webhooks are trusted.
    pub trust: Trust,
    /// The secrets that are configured now.
    pub verifier: Arc<Verifier>,
}

impl Believed {
    /// Whether a secret that is configured now signed the delivery.
    fn signed(&self, delivery: &Delivery, now: Timestamp) -> bool {
        let signature = Signature::try_from(delivery.signature.as_slice());
        let (Ok(signature), Some(body)) = (signature, &delivery.body) else {
            return false;
        };
        self.verifier.verify(body, &signature, now).is_some()
    }
}

fn event(
    conn: &mut Conn,
    user: &User,
    target: Status,
    arrived: &Arrived<'_>,
    policy: TrustPolicy,
) -> QueryResult<Event> {
    // A check tells a verdict of an earlier attempt by its session, so that its signature matters only where there is no
    // check, or where a check moves nothing.
    let seen_before = if user.overridden {
        match overrides::last_of_attempt(conn, &user.id, user.attempt)? {
            Some(act) => deliveries::seen_before(conn, user, &act, arrived.signature)?,
            None => false,
        }
    } else {
        let matters = user.attempt > 1 && (policy == TrustPolicy::Never || !target.is_final());
        matters && deliveries::seen_before_attempt(conn, user, user.attempt, arrived.signature)?
    };
    let session_noted = seen_before && attempts::knows_one_before(conn, &user.id, user.attempt)?;
    Ok(Event {
        target,
        seen_before,
        session_noted,
        unmatched: arrived.unmatched,
    })
}
