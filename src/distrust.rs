//! Puts in doubt what a leaked webhook secret said: the unconfirmed verdicts that its deliveries set, and its unmatched
//! deliveries.
//!
//! A verdict that a check has confirmed is the provider's own word and stays. It works beside a running service, in small
//! writes; a second time finds nothing more to do.

use crate::clock::{Clock, Timestamp};
use crate::db::deliveries::{self, Delivery};
use crate::db::looks::{self, Memory};
use crate::db::transitions::{self, Cause};
use crate::db::users::{self, User, View};
use crate::db::{Conn, QueryResult};
use crate::kyc::status::Status;
use crate::kyc::verification::Trust;
use crate::reconcile;

/// How many deliveries are gone through in one write.
const AT_ONCE: i64 = 200;

/// Which deliveries are distrusted.
#[derive(Clone, Debug)]
pub struct Distrust {
    /// The partner, by its id.
    pub partner: String,
    /// The label of the secret that verified them.
    pub secret: String,
    /// Received at this moment or later.
    pub since: Timestamp,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Users whose `verified` was put in doubt.
    pub doubted: usize,
    /// Users whose `rejected` was flagged.
    pub flagged: usize,
    /// Unmatched deliveries that were dropped.
    pub dropped: usize,
}

/// Goes through some of the deliveries after the one with id `after`, and after the last of them drops some of the unmatched
/// ones; run it in a write. Answers where to go on, or `None` at the end.
pub fn some(
    conn: &mut Conn,
    clock: &Clock,
    trust: Trust,
    distrust: &Distrust,
    after: Option<&str>,
    done: &mut Done,
) -> QueryResult<Option<String>> {
    let Distrust {
        partner,
        secret,
        since,
    } = distrust;
    let begin = after.map_or_else(|| since.first_id(), str::to_owned);
    let page = deliveries::applied_with(conn, (partner, secret), *since, &begin, AT_ONCE)?;
    for delivery in &page {
        verdict(conn, trust, delivery, clock.now(), done)?;
    }
    if let Some(last) = page.last() {
        return Ok(Some(last.id.clone()));
    }
    let dropped = deliveries::drop_unmatched_with(conn, (partner, secret), AT_ONCE)?;
    done.dropped += dropped;
    Ok((dropped > 0).then_some(begin))
}

/// Puts the verdict of that delivery in doubt, if it is the user's and no check has confirmed it.
fn verdict(
    conn: &mut Conn,
    trust: Trust,
    delivery: &Delivery,
    now: Timestamp,
    done: &mut Done,
) -> QueryResult<()> {
    let Some(user) = set_by(conn, delivery)? else {
        return Ok(());
    };
    let user = transitions::on_time(conn, user, View::new(now, trust))?;
    if user.status == Status::Verified {
        let doubted = user.state().timed_out();
        if doubted != user.state() {
            transitions::record(conn, &user, doubted, Cause::Manual, now)?;
            done.doubted += 1;
        }
    } else {
        let before = looks::of(conn, &user.id)?;
        if !before.conflict {
            let after = Memory {
                conflict: true,
                ..before.clone()
            };
            looks::save(conn, &user.id, &before, &after)?;
            done.flagged += 1;
        }
    }
    if trust.policy.checks() {
        reconcile::hurry(conn, &user, now)?;
    }
    Ok(())
}

/// The user whose unconfirmed verdict the delivery set.
fn set_by(conn: &mut Conn, delivery: &Delivery) -> QueryResult<Option<User>> {
    let Some(key) = &delivery.user_key else {
        return Ok(None);
    };
    let Some(user) = users::find_by_key(conn, key)? else {
        return Ok(None);
    };
    let says = delivery.event.as_deref().and_then(Status::from_event);
    let set = user.unconfirmed.is_some()
        && delivery.attempt == Some(user.attempt)
        && says == Some(user.status);
    Ok(Some(user).filter(|_| set))
}
