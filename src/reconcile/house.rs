//! What time alone brings: the heartbeat, verdicts that were not confirmed in time, a clock that was set back.

use std::time::Duration;

use super::schedule;
use crate::app::App;
use crate::catch_up::{self, Scope};
use crate::clock::Timestamp;
use crate::db::users::{self, View};
use crate::db::{self, Conn, QueryResult, transitions, unconfirmed};

/// How often it is done.
const PAUSE: Duration = Duration::from_millis(500);
/// How many verdicts are put in doubt in one write.
const AT_ONCE: i64 = 256;

/// Does it for ever.
pub(super) async fn run(app: &App) {
    let mut failing = false;
    loop {
        match keep(app, app.clock.now()).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                log::error!(error:% = error; "Verdicts that were not confirmed in time cannot be written down. Readers see the doubt all the same; see the store's errors.");
                failing = true;
            }
            Err(_) => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Does what is due now.
///
/// # Errors
/// When the store fails; what could not be done stays due.
pub(super) async fn keep(app: &App, now: Timestamp) -> Result<(), db::Error> {
    if app.config.checked_partners().next().is_none() {
        return Ok(());
    }
    if let Some(jump) = app.clock.take_jump() {
        let seconds = jump.by.as_secs();
        if jump.back {
            log::warn!(seconds; "The clock was set back. What was stored meanwhile counts as unconfirmed and due, and every user is checked.");
            catch_up::open_for_all(app, Scope::Everybody, now).await?;
        } else {
            log::warn!(seconds; "The clock jumped ahead. Check the machine's time source.");
        }
    }
    catch_up::beat(app, now).await?;
    let view = View::new(now, app.config.webhooks);
    let due = app
        .db
        .read(move |conn| unconfirmed::timed_out(conn, view, 1))
        .await?;
    if !due.is_empty() {
        app.db.write(move |conn| put_in_doubt(conn, view)).await?;
    }
    tell(app, now);
    Ok(())
}

/// Writes down which verdicts were not confirmed in time, some at once; their users are checked from then on as those in
/// doubt.
pub fn put_in_doubt(conn: &mut Conn, view: View) -> QueryResult<()> {
    for key in unconfirmed::timed_out(conn, view, AT_ONCE)? {
        let user = users::by_key(conn, &key)?;
        let doubted = transitions::on_time(conn, user, view)?;
        schedule::doubted(conn, &doubted, view.now)?;
    }
    Ok(())
}

/// Says once an hour how many answers were unusable.
fn tell(app: &App, now: Timestamp) {
    for (place, partner) in app.config.partners.iter().enumerate() {
        let count = app.lookout.account(place).untold_since(now);
        if let Some(count) = count {
            let partner = &partner.id;
            log::warn!(partner, count; "Answers of the provider were unusable. See attention=unusable.");
        }
    }
}
