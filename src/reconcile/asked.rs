//! Checks that a caller waits for: with `maxAge`, by an admin's `confirm`, before a further attempt, and the probe at the start.

use std::time::Duration;

use super::{begin, finish};
use crate::app::App;
use crate::capa::client::Error as Capa;
use crate::capa::details::{Details, Unusable};
use crate::config::Partner;
use crate::db::looks::{self, Memory};
use crate::db::users::{self, User};
use crate::error::{Code, Error};
use crate::kyc::status::Source;

/// One user is checked at most once in this time because callers ask.
pub const SPACING: Duration = Duration::from_secs(5);
/// A caller is asked to wait no longer than this for a check that may confirm.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// Checks one user, unless a check younger than `max_age` has confirmed the status or any check is younger than [`SPACING`].
/// Callers who ask at the same time share one check.
///
/// Answers why the provider's answer was unusable, if it was.
///
/// # Errors
/// When the provider or the store fails; the user then stays as it is.
pub async fn check(
    app: &App,
    place: usize,
    user: &User,
    max_age: Duration,
) -> Result<Option<Unusable>, Error> {
    if !app.config.partners[place].trust.policy.checks() {
        let never = "The provider is never asked about this partner's users: confirm is never.";
        return Err(Error::new(Code::BadRequest, never));
    }
    loop {
        let claim = app.lookout.looks.begin(&user.id);
        let memory = memory(app, &user.id).await?;
        let now = app.clock.now();
        let younger = |at: Option<_>, than| at.is_some_and(|at| now.age(at, Duration::MAX) < than);
        let just_checked = memory.failures == 0 && younger(memory.looked_at, SPACING);
        let _claim = match claim {
            Ok(_) if just_checked || younger(memory.confirmed_at, max_age) => return Ok(None),
            Ok(claim) => claim,
            Err(another) => {
                another.landed().await;
                continue;
            }
        };
        admit(app, place)?;
        let (key, clock) = (user.id.clone(), app.clock.clone());
        let begun = app
            .db
            .write(move |conn| begin(conn, &clock, &[key], now))
            .await?;
        for look in begun {
            match finish(app, place, look).await? {
                Ok(()) => {}
                Err(Capa::Unusable(unusable)) => return Ok(Some(unusable)),
                Err(error) => return Err(Error::from_look(error)),
            }
        }
        return Ok(None);
    }
}

/// [`check`], and whether it confirmed the status: a check younger than `max_age` agreed with it, or the status is an admin's
/// and the provider was asked.
///
/// # Errors
/// As [`check`], and [`Code::NotConfirmed`] where no such check confirmed the status.
pub async fn confirm(app: &App, place: usize, user: &User, max_age: Duration) -> Result<(), Error> {
    let max_age = max_age.max(SPACING);
    check(app, place, user, max_age).await?;
    let key = user.id.clone();
    let read = move |conn: &mut _| Ok((users::by_key(conn, &key)?, looks::of(conn, &key)?));
    let (user, memory) = app.db.read(read).await?;
    let now = app.clock.now();
    let user = user.at(app.view());
    let young = |at: Option<_>| at.is_some_and(|at| now.age(at, Duration::MAX) <= max_age);
    let by_hand = user.source == Source::Manual && !user.state().needs_confirmation();
    let by_hand = by_hand && young(memory.looked_at);
    if young(user.as_of()) || by_hand {
        return Ok(());
    }
    let due = memory.due_at.map_or(SPACING, |due| due.since(now));
    Err(Error::not_confirmed(due.clamp(SPACING, LONGEST_RETRY)))
}

async fn memory(app: &App, key: &str) -> Result<Memory, Error> {
    let key = key.to_owned();
    Ok(app.db.read(move |conn| looks::of(conn, &key)).await?)
}

/// For how long it makes no sense to ask the provider about the users of the partner at that place, if so.
pub fn closed(app: &App, place: usize) -> Option<Duration> {
    let steady = app.clock.steady();
    app.lookout.account(place).gate.closed(steady)
}

/// Lets a waiting caller through as far as the rate allows; otherwise says when to retry.
fn admit(app: &App, place: usize) -> Result<(), Error> {
    let steady = app.clock.steady();
    let mut account = app.lookout.account(place);
    if let Some(wait) = account.gate.closed(steady) {
        return Err(Error::provider_closed(wait));
    }
    if account.gate.lend(steady) {
        Ok(())
    } else {
        Err(Error::provider_busy())
    }
}

/// Asks for the latest session that the provider knows of a user, before the next attempt opens.
///
/// # Errors
/// When the provider gives no answer. An answer that is unusable is none of them.
pub async fn session(
    app: &App,
    partner: &Partner,
    user: &User,
) -> Result<Result<Option<Details>, Unusable>, Error> {
    let details = app.capa.details(&partner.provider_api_key, &user.user_id);
    match details.await {
        Ok(details) => Ok(Ok(details)),
        Err(Capa::Unusable(unusable)) => {
            app.metrics.unusable(unusable);
            Ok(Err(unusable))
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks about a user who does not exist, so that an operator learns at the start whether answers of this provider are usable.
pub(super) async fn probe(app: &App, place: usize) {
    let partner = &app.config.partners[place];
    let key = &partner.provider_api_key;
    let answer = app.capa.details(key, &app.clock.id()).await;
    if let Err(Capa::Unusable(unusable)) = answer {
        let (partner, reason) = (&partner.id, unusable.as_str());
        log::error!(partner, reason; "The provider's answer about an unknown user is unusable: it should be a 404 with a JSON object. Check provider.base_url, and a proxy before it; docs/rule.md says what is usable.");
    }
}
