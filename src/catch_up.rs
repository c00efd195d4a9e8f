//! Catches up after a standstill of the service: webhooks that the provider gave up on meanwhile will never come.
//!
//! The service writes down that it is alive. When it finds that it was not, for longer than the provider tries, everybody
//! is looked at: first those whom the provider's own list of failed webhooks names, then all in the order of registration,
//! at a rate of its own. Where that has got to is on the disk, so that a restart goes on there.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;

use crate::app::App;
use crate::capa;
use crate::capa::notifications::{LOST, PAGE};
use crate::clock::Timestamp;
use crate::db::catch_ups::{self, CatchUp};
use crate::db::{self, heartbeats, looks, unconfirmed};
use crate::kyc::looks::Lane;

/// The heartbeat of looks.
const NAME: &str = "looks";
/// How often the service writes down that it is alive.
const BEAT: Duration = Duration::from_secs(30);
/// A shorter standstill loses nothing: the provider tries for about 31 minutes (`docs/how-our-webhooks-work`).
const GAP: Duration = Duration::from_secs(25 * 60);
/// The provider's clock may differ from ours by this much.
const SKEW: Duration = Duration::from_secs(60 * 60);
/// The list of failed webhooks is read no further than this many pages of each state.
const PAGES: usize = 500;

/// How far the provider's list of failed webhooks has been read. A restart reads it from the beginning.
#[derive(Default)]
pub(crate) struct Ledger {
    state: usize,
    page: usize,
    /// Rows whose user is not known yet.
    rows: Vec<String>,
    /// Users who were named already.
    named: HashSet<String>,
}

/// Writes down that the service is alive; finds out whether it was not, and then opens a catch-up for every partner.
///
/// # Errors
/// When the store fails.
pub(crate) async fn beat(app: &App, now: Timestamp) -> Result<(), db::Error> {
    let beaten_at = *app.lookout.beaten_at();
    if beaten_at.is_some_and(|at| now.age(at, Duration::MAX) < BEAT) {
        return Ok(());
    }
    let partners = checked_partners(app);
    let behind = app
        .db
        .write(move |conn| {
            let last = heartbeats::last(conn, NAME)?;
            heartbeats::beat(conn, NAME, now)?;
            unconfirmed::tidy(conn, now)?;
            if let Some(last) = last.filter(|last| now.age(*last, Duration::MAX) > GAP) {
                if last.is_ahead_of(now) {
                    log::warn!("The clock was set back since the service last ran: every user is checked.");
                } else {
                    log::warn!(minutes = now.since(last).as_secs() / 60; "The service stood still for longer than the provider retries: every user is checked.");
                }
                for partner in &partners {
                    open(conn, partner, Scope::Standstill, last.min(now), now)?;
                }
            }
            catch_ups::all(conn)
        })
        .await?;
    *app.lookout.beaten_at() = Some(now);
    adopt(app, behind);
    Ok(())
}

fn checked_partners(app: &App) -> Vec<String> {
    let partners = app.config.checked_partners();
    partners.map(|(_, partner)| partner.id.clone()).collect()
}

/// Opens a catch-up for every partner whose users are checked.
///
/// # Errors
/// When the store fails.
pub(crate) async fn open_for_all(app: &App, scope: Scope, now: Timestamp) -> Result<(), db::Error> {
    let partners = checked_partners(app);
    let behind = app
        .db
        .write(move |conn| {
            for partner in &partners {
                open(conn, partner, scope, now, now)?;
            }
            catch_ups::all(conn)
        })
        .await?;
    adopt(app, behind);
    Ok(())
}

/// Which users are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those whom the provider's list of failed webhooks names, then everybody.
    Standstill,
    /// Everybody.
    Everybody,
    /// Only those whom the list names.
    Failed,
}

/// Sorts after the key of every user.
const PAST_ALL: &str = "~";

/// Opens a catch-up for a partner; one that is open already begins anew, for its whole time.
pub(crate) fn open(
    conn: &mut db::Conn,
    partner: &str,
    scope: Scope,
    from: Timestamp,
    now: Timestamp,
) -> db::QueryResult<()> {
    let open = catch_ups::all(conn)?;
    let before = open.iter().find(|open| open.partner == partner);
    let cursor = match scope {
        Scope::Failed if before.is_none() => PAST_ALL,
        _ => "",
    };
    let catch_up = CatchUp {
        partner: partner.to_owned(),
        gap_from: before.map_or(from, |before| before.gap_from.min(from)),
        gap_to: now,
        ledger_read: scope == Scope::Everybody,
        cursor: cursor.to_owned(),
    };
    catch_ups::save(conn, &catch_up)
}

/// Takes up the catch-ups that are open on the disk and were not known.
pub(crate) fn adopt(app: &App, behind: Vec<CatchUp>) {
    for (place, partner) in app.config.partners.iter().enumerate() {
        let mut account = app.lookout.account(place);
        let found = behind.iter().find(|behind| behind.partner == partner.id);
        let known = account.catch_up.as_ref().map(|known| known.gap_to);
        if let Some(found) = found.filter(|found| known != Some(found.gap_to)) {
            account.gate.set_rate(app.config.checks.catch_up_per_second);
            account.ledger = Ledger::default();
            account.catch_up = Some(found.clone());
        }
    }
}

/// Whether the partner's users are being caught up with, and what has been going on since when.
pub fn under_way(app: &App, place: usize) -> Option<Timestamp> {
    let account = app.lookout.account(place);
    account.catch_up.as_ref().map(|behind| behind.gap_from)
}

/// Reads on in the provider's list of failed webhooks, as far as it may be asked now, and makes the looks at those it
/// names due at once.
///
/// # Errors
/// When the store fails.
pub(crate) async fn read_ledger(app: &App, place: usize, now: Timestamp) -> Result<(), db::Error> {
    while let Some(read) = read_some(app, place).await {
        let partner = app.config.partners[place].id.clone();
        let names: Vec<String> = {
            let ledger = &mut app.lookout.account(place).ledger;
            let fresh = read.names.into_iter();
            fresh
                .filter(|name| ledger.named.insert(name.clone()))
                .collect()
        };
        if !names.is_empty() {
            app.db
                .write(move |conn| looks::hurry(conn, &partner, &names, now))
                .await?;
        }
        if read.ended {
            let catch_up = {
                let mut account = app.lookout.account(place);
                account.ledger = Ledger::default();
                let catch_up = account.catch_up.as_mut();
                catch_up.map(|catch_up| {
                    catch_up.ledger_read = true;
                    catch_up.clone()
                })
            };
            if let Some(catch_up) = catch_up {
                app.db
                    .write(move |conn| catch_ups::save(conn, &catch_up))
                    .await?;
            }
        }
    }
    Ok(())
}

struct SomeRead {
    names: Vec<String>,
    ended: bool,
}

/// Makes as many calls as are free; `None` if there is nothing to read or none is.
async fn read_some(app: &App, place: usize) -> Option<SomeRead> {
    let steady = app.clock.steady();
    let (since, state, page, rows) = {
        let mut account = app.lookout.account(place);
        let since = match &account.catch_up {
            Some(catch_up) if !catch_up.ledger_read => catch_up.gap_from.minus(SKEW),
            _ => return None,
        };
        let wanted = account.ledger.rows.len().clamp(1, 16);
        let free = account.gate.free(Lane::News, steady, wanted);
        if free == 0 {
            return None;
        }
        account.gate.take(Lane::News, free, steady);
        let ledger = &mut account.ledger;
        let left = ledger.rows.len().saturating_sub(free);
        (
            since,
            ledger.state,
            ledger.page,
            ledger.rows.split_off(left),
        )
    };
    if rows.is_empty() && state == LOST.len() {
        return Some(SomeRead {
            names: Vec::new(),
            ended: true,
        });
    }
    let key = &app.config.partners[place].provider_api_key;
    if !rows.is_empty() {
        let asked = rows.iter().map(|row| app.capa.notified_user(key, row));
        let mut names = Vec::new();
        for (row, answer) in rows.iter().zip(join_all(asked).await) {
            match learn(app, place, answer) {
                Ok(name) => names.extend(name),
                Err(Again::Later) => app.lookout.account(place).ledger.rows.push(row.clone()),
                Err(Again::Never) => {}
            }
        }
        return Some(SomeRead {
            names,
            ended: false,
        });
    }
    let answer = app.capa.notifications(key, LOST[state], page * PAGE).await;
    let (full, rows) = match learn(app, place, answer) {
        Ok(rows) => (rows.len() >= PAGE, rows),
        Err(Again::Later) => return None,
        Err(Again::Never) => {
            log::warn!(
                "The provider's list of failed webhooks cannot be read; everybody is looked at in turn."
            );
            return Some(SomeRead {
                names: Vec::new(),
                ended: true,
            });
        }
    };
    let mut account = app.lookout.account(place);
    let ledger = &mut account.ledger;
    let lately = |updated_at: Option<i64>| updated_at.is_none_or(|at| at >= since.0);
    let rows = rows
        .into_iter()
        .filter(|row| row.is_kyc && lately(row.updated_at));
    ledger.rows.extend(rows.map(|row| row.id));
    if full && page + 1 < PAGES {
        ledger.page += 1;
    } else {
        ledger.page = 0;
        ledger.state += 1;
    }
    Some(SomeRead {
        names: Vec::new(),
        ended: false,
    })
}

enum Again {
    Later,
    Never,
}

fn learn<T>(app: &App, place: usize, answer: Result<T, capa::client::Error>) -> Result<T, Again> {
    use capa::client::Error as Capa;
    let steady = app.clock.steady();
    let learnt = answer.as_ref().map(|_| ());
    app.lookout.account(place).gate.learn(learnt, NAME, steady);
    answer.map_err(|error| match error {
        Capa::Unavailable { .. } | Capa::RateLimited(_) | Capa::Unauthorized(_) => Again::Later,
        Capa::Rejected { .. }
        | Capa::UserNotFound
        | Capa::InvalidResponse(_)
        | Capa::Unusable(_) => Again::Never,
    })
}

/// The keys of the next `limit` users who were not looked at since the service came back; when there are none, the partner
/// has caught up.
///
/// # Errors
/// When the store fails.
pub(crate) async fn next(
    app: &App,
    place: usize,
    limit: usize,
    now: Timestamp,
) -> Result<Vec<String>, db::Error> {
    let catch_up = app.lookout.account(place).catch_up.clone();
    let Some(mut catch_up) = catch_up.filter(|behind| behind.ledger_read && limit > 0) else {
        return Ok(Vec::new());
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let (keys, catch_up) = app
        .db
        .write(move |conn| {
            let CatchUp {
                partner,
                cursor,
                gap_to,
                ..
            } = &catch_up;
            let keys = looks::not_looked_at_since(conn, partner, cursor, (*gap_to, now), limit)?;
            match keys.last() {
                Some(last) => {
                    // Those before the cursor have been looked at; these have not yet.
                    catch_ups::save(conn, &catch_up)?;
                    catch_up.cursor.clone_from(last);
                    Ok((keys, Some(catch_up)))
                }
                None => {
                    catch_ups::done(conn, partner)?;
                    Ok((keys, None))
                }
            }
        })
        .await?;
    let mut account = app.lookout.account(place);
    if catch_up.is_none() {
        log::info!(partner = app.config.partners[place].id; "Caught up: everybody has been looked at.");
        account.gate.set_rate(app.config.checks.per_second);
    }
    account.catch_up = catch_up;
    Ok(keys)
}
