//! Says in one plain paragraph why a user stands where it stands: what is known and from where, what is waited for, when
//! the provider is asked next, and what a person can do.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::db::deliveries::{self, Delivery};
use crate::db::looks::{self, Memory};
use crate::db::overrides::{self, Override};
use crate::db::users::{self, User};
use crate::db::{Conn, QueryResult};
use crate::kyc::looks::STALLED;
use crate::kyc::status::{Source, Status};

/// All that the paragraph is made of.
#[derive(Clone, Debug)]
pub struct Known {
    user: User,
    memory: Memory,
    /// The delivery that came last.
    delivery: Option<Delivery>,
    /// The override of this attempt that counts.
    order: Option<Override>,
}

/// Reads what is known of a user; `None` when the partner has none with that id.
pub fn known(conn: &mut Conn, partner: &str, user_id: &str) -> QueryResult<Option<Known>> {
    let Some(user) = users::find(conn, partner, user_id)? else {
        return Ok(None);
    };
    let mut came = deliveries::of_user(conn, &user)?;
    came.sort_by_key(|delivery| delivery.last_received_at);
    let order = overrides::of_user(conn, &user.id)?.pop();
    Ok(Some(Known {
        memory: looks::of(conn, &user.id)?,
        delivery: came.pop(),
        order: order.filter(|order| order.attempt == user.attempt && user.overridden),
        user,
    }))
}

impl Known {
    /// The paragraph, as of `now`.
    pub fn explain(&self, now: Timestamp) -> String {
        let parts = [
            self.stands(),
            self.heard(),
            self.asked(),
            self.waited_for(),
            self.next(now),
            self.advice(),
        ];
        let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        said.join(" ")
    }

    fn stands(&self) -> String {
        let user = &self.user;
        let from = match (user.source, &self.order) {
            (_, Some(order)) => format!(
                "because {} set it by hand on {}, for this reason: “{}”",
                order.admin, order.at, order.reason
            ),
            (Source::Link, None) => {
                "because a link was asked for and nothing moved it since".to_owned()
            }
            (Source::Webhook, None) => "because a signed webhook said so".to_owned(),
            (Source::Provider, None) => {
                "because the provider answered so when it was asked".to_owned()
            }
            (Source::Manual, None) => "because it was imported so".to_owned(),
        };
        let shown = user.state().shown();
        format!(
            "In attempt {} the user is {shown} since {}, {from}.",
            user.attempt, user.updated_at
        )
    }

    fn heard(&self) -> String {
        let Some(delivery) = &self.delivery else {
            return "No webhook about the user has ever come.".to_owned();
        };
        let event = delivery.event.as_deref().unwrap_or("an unreadable event");
        let again = match delivery.repeats {
            0 => String::new(),
            times => format!(", for the {}. time", times + 1),
        };
        format!(
            "The last webhook was {event} on {}{again}; its outcome was “{}”.",
            delivery.last_received_at,
            delivery.outcome.as_str()
        )
    }

    fn asked(&self) -> String {
        let memory = &self.memory;
        let Some(looked_at) = memory.looked_at else {
            return "The provider has not been asked about the user yet.".to_owned();
        };
        let said = match &memory.provider_word {
            Some(word) if !word.is_empty() => format!("its last word of this attempt is “{word}”"),
            _ => "it has given no verdict of this attempt".to_owned(),
        };
        let failed = match memory.failures {
            0 => String::new(),
            1 => " That last time brought no usable answer.".to_owned(),
            times => format!(" The last {times} times brought no usable answer."),
        };
        format!("The provider was last asked on {looked_at}; {said}.{failed}")
    }

    fn waited_for(&self) -> String {
        let user = &self.user;
        if self.memory.conflict {
            return "What the provider sent and what it answers disagree, and that did not settle by itself.".to_owned();
        }
        match (user.held, user.status) {
            (Some(held), Status::Verified) => format!(
                "The user was verified, but there is word of {held}: until the provider confirms one or the other it reads in_review."
            ),
            (Some(held), _) => {
                format!("An event that says {held} waits for the provider to confirm it.")
            }
            (None, status) if status.is_final() => "Nothing is waited for.".to_owned(),
            (None, _) => "The provider's verdict is waited for.".to_owned(),
        }
    }

    fn next(&self, now: Timestamp) -> String {
        match self.memory.due_at {
            None => "The provider is never asked, because webhooks.confirm is never.".to_owned(),
            Some(due) if due <= now => "The next look at the provider is due now.".to_owned(),
            Some(due) => format!(
                "The next look at the provider is due in {}.",
                span(due.since(now))
            ),
        }
    }

    fn advice(&self) -> String {
        let user = &self.user;
        let advice = if self.memory.step == STALLED {
            "Nothing has been heard for a month: ask the user to try again with a new link, or set the status by hand."
        } else if self.memory.conflict || user.state().needs_confirmation() {
            "A person can have the provider asked at once (confirm), look the case up in the provider's dashboard, or set the status by hand with a reason (override)."
        } else if self.memory.failures > 3 {
            "A person can check the provider's state and this partner's provider key."
        } else if user.status == Status::Rejected {
            "A new link opens the next attempt."
        } else if !user.status.is_final() {
            "A person can have the provider asked at once (confirm), or the partner can ask for a new link."
        } else {
            return String::new();
        };
        advice.to_owned()
    }
}

/// Two units at most: what a person needs to know.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}
