//! `kyc-tracker reconcile`: asks the provider now, beside a service that runs or instead of one.
//!
//! It works on the same database and by the same rule, so that it can do no harm to a service that looks at the same users:
//! the later answer counts. It does not say that the service is alive.

use std::path::Path;
use std::time::Duration;

use actix_web::rt;
use anyhow::{Context, bail};
use clap::Args;

use crate::app::App;
use crate::cli::partner;
use crate::clock::{Clock, Timestamp};
use crate::config::{self, Config, Partner};
use crate::db::looks;
use crate::db::users::{self, User};
use crate::kyc::looks::Lane;
use crate::reconcile::{self, asked};
use crate::{catch_up, logging};

/// How long to wait for the provider's rate to allow more.
const REST: Duration = Duration::from_millis(100);

/// About whom to ask.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct Arguments {
    /// The user with this userId
    #[arg(long, value_name = "ID", group = "whom")]
    user: Option<String>,
    /// Every user
    #[arg(long, group = "whom")]
    all: bool,
    /// The users whom the provider's list of failed webhooks names
    #[arg(long, group = "whom")]
    failed: bool,
    /// Of this partner only; needed for --user where several partners have one with that id
    #[arg(long, value_name = "ID")]
    partner: Option<String>,
}

impl Arguments {
    /// Whether the users of the partner with that id are meant.
    fn chooses(&self, id: &str) -> bool {
        self.partner.as_ref().is_none_or(|wanted| wanted == id)
    }
}

/// Returns when all have been asked about; what changed is printed.
pub fn run(config: Option<&Path>, arguments: &Arguments) -> anyhow::Result<()> {
    let config = Config::load(config, config::process_environment()?)?;
    logging::init(&config.log)?;
    if let Some(id) = &arguments.partner {
        partner(&config, id)?;
    }
    let chosen = |(_, partner): (_, &Partner)| arguments.chooses(&partner.id);
    if !config.checked_partners().any(chosen) {
        bail!("confirm is never, so the provider must not be asked");
    }
    let app = App::build(config, Clock::system())?;
    rt::System::new().block_on(async {
        match &arguments.user {
            Some(user_id) => one(&app, arguments, user_id).await,
            None => many(&app, arguments).await,
        }
    })
}

async fn one(app: &App, arguments: &Arguments, user_id: &str) -> anyhow::Result<()> {
    let user_id = user_id.to_owned();
    let found = app
        .db
        .read(move |conn| users::with_user_id(conn, &user_id))
        .await?;
    let chosen = |user: &User| arguments.chooses(&user.partner);
    let found: Vec<User> = found.into_iter().filter(chosen).collect();
    let [user] = &found[..] else {
        match found.len() {
            0 => bail!("there is no such user"),
            _ => bail!("several partners have a user with this id: say which with --partner"),
        }
    };
    let place = app
        .partner_place(&user.partner)
        .context("the user's partner is not in the configuration")?;
    let before = user.state_at(app.view()).shown();
    match asked::check(app, place, user, Duration::ZERO).await {
        Ok(None) => {}
        Ok(Some(unusable)) => bail!("the provider's answer is unusable: {unusable}"),
        Err(error) => bail!("{error}: {}", error.detail()),
    }
    let key = user.id.clone();
    let user = app.db.read(move |conn| users::by_key(conn, &key)).await?;
    println!("{before} -> {}", user.at(app.view()).state().shown());
    Ok(())
}

async fn many(app: &App, arguments: &Arguments) -> anyhow::Result<()> {
    let now = app.clock.now();
    let checked = app.config.checked_partners();
    let ids = checked.map(|(_, partner)| partner.id.clone());
    let partners: Vec<String> = ids.filter(|id| arguments.chooses(id)).collect();
    let opening = if arguments.all {
        catch_up::Scope::Everybody
    } else {
        catch_up::Scope::Failed
    };
    let opened = partners.clone();
    let behind = app
        .db
        .write(move |conn| {
            for partner in &opened {
                catch_up::open(conn, partner, opening, Timestamp(0), now)?;
            }
            crate::db::catch_ups::all(conn)
        })
        .await?;
    catch_up::adopt(app, behind);
    let mut looks = 0;
    loop {
        let made = reconcile::step(app, app.clock.now()).await?;
        looks += made;
        if made > 0 {
            continue;
        }
        if !is_open(app, &partners).await? {
            break;
        }
        tokio::time::sleep(REST).await;
    }
    println!("Looked {looks} times.");
    Ok(())
}

/// Whether anybody has still to be asked about.
async fn is_open(app: &App, partners: &[String]) -> anyhow::Result<bool> {
    let now = app.clock.now();
    for partner in partners {
        let place = app.partner_place(partner);
        let place = place.context("a partner is not in the configuration")?;
        if let Some(wait) = asked::closed(app, place) {
            let seconds = wait.as_secs() + 1;
            bail!(
                "the provider fails or refuses the key of {partner}; try again in {seconds} s. What is open stays open: a running service goes on with it at its next start"
            );
        }
        if catch_up::under_way(app, place).is_some() {
            return Ok(true);
        }
        let partner = partner.clone();
        let named = app
            .db
            .read(move |conn| looks::due(conn, &partner, Lane::News, now, 1))
            .await?;
        if !named.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
