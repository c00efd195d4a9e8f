//! Folds a stored delivery once more, because an admin wants it; and says beforehand what that would do.
//!
//! It is as if the same bytes came again. The function that decides about what comes decides here too, so an old verdict is
//! held and never applied, and a look at the provider follows. But the provider sent nothing: neither how often the delivery
//! came nor when it came last is touched. Both functions here share what is decided, so the one does what the other says
//! for as long as nothing else happens in between.

use crate::capa::payload;
use crate::clock::{Clock, Timestamp};
use crate::db::acts::{self, Act};
use crate::db::deliveries::{self, Delivery};
use crate::db::transitions::{self, Cause};
use crate::db::users::View;
use crate::db::{Conn, QueryResult};
use crate::ingest::{self, Applied, Decided};
use crate::kyc::status::Status;
use crate::kyc::verification::{Outcome, Trust};

/// What folding a delivery once more does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// Nothing at all.
    Nothing(WhyNot),
    /// It is folded into a user, whom that may move or not.
    Fold {
        /// The partner whose user it is.
        partner: String,
        /// The provider's id of the user.
        user_id: String,
        /// What becomes of the delivery this time.
        outcome: Outcome,
        /// What readers are shown before.
        before: Status,
        /// What readers are shown after.
        after: Status,
        /// Whether a look at the provider follows.
        look: bool,
    },
}

/// Why a delivery does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// It is of another type than KYC.
    OtherType,
    /// Its body is no JSON object with string `type` and `event`.
    Unreadable,
    /// Nobody knows what its event means, nor whom it is about.
    UnknownEvent,
    /// The partner has no user with its `externalUserId` yet, or not any more.
    Nobody,
    /// It was matched with a user who has another `externalUserId` by now, and the one it names is somebody else's.
    SomebodyElse,
}

/// What [`again`] would do with the delivery as things stand. It changes nothing.
pub fn would(
    conn: &mut Conn,
    trust: Trust,
    delivery: &Delivery,
    now: Timestamp,
) -> QueryResult<Would> {
    Ok(match decide(conn, trust, delivery, now)? {
        Ok(applied) => told(&applied, trust),
        Err(why_not) => Would::Nothing(why_not),
    })
}

/// Folds the delivery with that id once more; run it in a write, and wake the looks when one follows.
///
/// `None` when there is no such delivery. The admin of that name is written down where it is folded. A second time it does what a
/// repeat of the delivery would do.
///
/// A delivery that belonged to nobody belongs to its user from then on. One that was a user's already stays in the attempt
/// and at the place where it was, and its outcome changes only within that attempt and only to one that goes further, so
/// that what has moved a user is never called anything but `applied`.
pub fn again(
    conn: &mut Conn,
    clock: &Clock,
    trust: Trust,
    admin: &str,
    delivery_id: &str,
) -> QueryResult<Option<Would>> {
    let Some((delivery, _)) = deliveries::by_id(conn, delivery_id)? else {
        return Ok(None);
    };
    let now = clock.now();
    let mut folded = match decide(conn, trust, &delivery, now)? {
        Ok(folded) => folded,
        Err(why_not) => return Ok(Some(Would::Nothing(why_not))),
    };
    let told = told(&folded, trust);
    folded.user = transitions::on_time(conn, folded.user, View::new(now, trust))?;
    if delivery.user_key.is_none() {
        deliveries::matched(conn, &delivery, &folded.user, folded.outcome)?;
        ingest::chain(conn, &mut folded, &delivery.id)?;
    } else if delivery.attempt == Some(folded.user.attempt)
        && further(folded.outcome) > further(delivery.outcome)
    {
        deliveries::refolded(conn, &delivery, folded.outcome)?;
    }
    let cause = Cause::Webhook {
        event: delivery.event.as_deref().unwrap_or_default(),
        delivery_id: &delivery.id,
    };
    ingest::carry_out(conn, clock, trust, &folded, cause)?;
    let act = Act {
        id: clock.id(),
        user_key: folded.user.id.clone(),
        admin: admin.to_owned(),
        kind: acts::REFOLD.to_owned(),
        delivery_id: Some(delivery.id.clone()),
        at: now,
    };
    acts::record(conn, &act)?;
    Ok(Some(told))
}

fn decide(
    conn: &mut Conn,
    trust: Trust,
    delivery: &Delivery,
    now: Timestamp,
) -> QueryResult<Result<Box<Applied>, WhyNot>> {
    Ok(match ingest::decide(conn, trust, delivery, now)? {
        Decided::Applied(folded) => match &delivery.user_key {
            Some(key) if *key != folded.user.id => Err(WhyNot::SomebodyElse),
            _ => Ok(folded),
        },
        Decided::Unmatched(Outcome::Unreadable) => Err(WhyNot::Unreadable),
        Decided::Unmatched(Outcome::Unmatched) => Err(WhyNot::Nobody),
        Decided::Unmatched(_) => Err(match delivery.family.as_deref() {
            Some(payload::KYC) => WhyNot::UnknownEvent,
            _ => WhyNot::OtherType,
        }),
    })
}

fn told(folded: &Applied, trust: Trust) -> Would {
    let user = &folded.user;
    Would::Fold {
        partner: user.partner.clone(),
        user_id: user.user_id.clone(),
        outcome: folded.outcome,
        before: folded.before.shown(),
        after: folded.after.shown(),
        look: trust.policy.checks(),
    }
}

/// How far a delivery of that outcome has got.
fn further(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Unmatched | Outcome::Ignored | Outcome::Unreadable => 0,
        Outcome::Repeated | Outcome::Stale => 1,
        Outcome::Held => 2,
        Outcome::Applied => 3,
    }
}
