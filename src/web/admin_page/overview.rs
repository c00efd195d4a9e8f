//! `GET /admin`: how everything stands. It is made of the census, so that it is one answer however many users there are.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web;
use askama::Template;
use tokio::time::sleep;

use super::charts::{self, Bar, Step};
use super::times::{When, count, span};
use super::visitor::Visitor;
use super::words::{self, Badge};
use super::{Frame, Part, assets, live, show};
use crate::app::App;
use crate::census::month::Day;
use crate::census::{Counted, Figures, PATIENCE};
use crate::clock::Timestamp;
use crate::db::users::{Attention, Count};
use crate::error::Error;
use crate::kyc::status::Status;
use crate::kyc::verification::Outcome;
use crate::web::extract::{NoParameters, Query};
use crate::web::page::Language;
use crate::{catch_up, reconcile};

/// What was counted no longer ago than this is shown as it is.
const FRESH: Duration = Duration::from_secs(1);
/// What was counted no longer ago than this is shown where counting anew takes longer than a glance.
const RECENT: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(500);

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "overview.html")]
struct Shown {
    frame: Frame,
    counted: Option<Figured>,
}

/// All figures as they are shown.
struct Figured {
    at: When,
    statuses: Vec<(Badge, String)>,
    waits: Vec<Wait>,
    funnel: Vec<Step>,
    median: String,
    most: String,
    made_of: String,
    highest: String,
    bars: Vec<Bar>,
    chart_says: String,
    first_day: String,
    last_day: String,
    verified: String,
    rejected: String,
    outcomes: Vec<OutcomeRow>,
    partners: Vec<PartnerRow>,
}

/// Something that waits for a person.
struct Wait {
    label: &'static str,
    means: &'static str,
    address: Option<&'static str>,
    count: String,
    some: bool,
}

struct OutcomeRow {
    outcome: Badge,
    hour: String,
    day: String,
}

struct PartnerRow {
    id: String,
    statuses: Vec<(Badge, String)>,
    /// What there is to say of the provider, each with whether it is good.
    health: Vec<(bool, String)>,
    last_delivery: Option<When>,
    next_look: Option<When>,
}

/// The page.
pub async fn overview(visitor: Visitor, _: Query<NoParameters>) -> Result<HttpResponse, Error> {
    let app = visitor.app();
    let counted = counted(&app).await;
    let mut frame = Frame::new(&visitor, Part::Overview);
    frame.live = Some(live::ALL.to_owned());
    let language = visitor.language;
    let shown = Shown {
        counted: counted.map(|counted| figured(&app, language, &counted)),
        frame,
    };
    Ok(show(StatusCode::OK, language, &shown))
}

/// What is known now. Who has just looked need not wait until a large store has been counted again: where scripts run, the page
/// hears of it.
async fn counted(app: &web::Data<App>) -> Option<Arc<Counted>> {
    let at_once = app.census.no_older_than(app, FRESH, GLANCE).await;
    let now = app.clock.now();
    match at_once.filter(|counted| now.since(counted.at) < RECENT) {
        Some(counted) => Some(counted),
        None => app.census.no_older_than(app, FRESH, PATIENCE).await,
    }
}

/// Returns when what the page shows was counted after that moment.
pub async fn counted_since(app: &web::Data<App>, moment: Timestamp) {
    loop {
        let counted = app.census.no_older_than(app, FRESH, PATIENCE).await;
        if counted.is_some_and(|counted| counted.at >= moment) {
            return;
        }
        sleep(FRESH / 2).await;
    }
}

fn figured(app: &App, language: Language, counted: &Counted) -> Figured {
    let now = app.clock.now();
    let total = &counted.total;
    let days: Vec<_> = total.month.days.iter().map(day).collect();
    let (bars, highest) = charts::bars(&days);
    let verified = count(days.iter().map(|(_, verified, _)| verified).sum());
    let rejected = count(days.iter().map(|(_, _, rejected)| rejected).sum());
    let (first_day, last_day) = match &days[..] {
        [first, .., last] => (first.0.clone(), last.0.clone()),
        _ => (String::new(), String::new()),
    };
    let times = total.month.decision_times();
    let time = |time: Option<Duration>| time.map_or("—".to_owned(), span);
    let made_of = times.as_ref().map_or(0, |times| times.of);
    let partners = app.config.partners.iter().zip(&counted.partners);
    Figured {
        at: When::new(language, counted.at, now),
        statuses: statuses(language, &total.users),
        waits: waits(app, language, total),
        funnel: charts::funnel(language, &total.month.funnel),
        median: time(times.as_ref().map(|times| times.median)),
        most: time(times.as_ref().map(|times| times.ninetieth)),
        made_of: language.choose(
            format!("Decisions counted, without those by hand: {made_of}."),
            format!("Decisiones contadas, sin las tomadas a mano: {made_of}."),
        ),
        highest: count(highest),
        chart_says: language.choose(
            format!("From {first_day} to {last_day}: {verified} verified, {rejected} rejected."),
            format!(
                "Del {first_day} al {last_day}: {verified} verificados, {rejected} rechazados."
            ),
        ),
        bars,
        first_day,
        last_day,
        verified,
        rejected,
        outcomes: Outcome::ALL
            .into_iter()
            .map(|outcome| OutcomeRow {
                outcome: words::outcome_badge(language, outcome),
                hour: count(total.deliveries.hour.of(outcome)),
                day: count(total.deliveries.day.of(outcome)),
            })
            .collect(),
        partners: partners
            .enumerate()
            .map(|(place, (partner, figures))| PartnerRow {
                id: partner.id.clone(),
                statuses: statuses(language, &figures.users),
                health: health(app, language, place, figures.unconfirmed, now),
                last_delivery: app
                    .census
                    .last_delivery(&app.metrics, place)
                    .map(|at| When::new(language, at, now)),
                next_look: figures.next_check().map(|at| When::new(language, at, now)),
            })
            .collect(),
    }
}

fn day(day: &Day) -> (String, i64, i64) {
    let name = day.begins.to_string()[..10].to_owned();
    (name, day.verified, day.rejected)
}

fn statuses(language: Language, users: &Count) -> Vec<(Badge, String)> {
    Status::ALL
        .into_iter()
        .map(|status| {
            let badge = words::status_badge(language, status);
            (badge, count(users.shown(status)))
        })
        .collect()
}

fn waits(app: &App, language: Language, total: &Figures) -> Vec<Wait> {
    let users = |attention, number: i64, address| Wait {
        label: words::attention(language, attention),
        means: words::attention_means(language, attention),
        address: Some(address),
        count: count(number),
        some: number > 0,
    };
    let refused = app.refusals.total();
    vec![
        users(
            Attention::Held,
            total.users.held,
            "/admin/users?attention=held",
        ),
        users(
            Attention::Conflict,
            total.users.conflict,
            "/admin/users?attention=conflict",
        ),
        users(
            Attention::Stalled,
            total.users.stalled,
            "/admin/users?attention=stalled",
        ),
        users(
            Attention::Unconfirmed,
            total.users.unconfirmed,
            "/admin/users?attention=unconfirmed",
        ),
        users(
            Attention::Unusable,
            total.users.unusable,
            "/admin/users?attention=unusable",
        ),
        Wait {
            label: words::outcome(language, Outcome::Unmatched),
            means: language.choose(
                "Deliveries that wait for their user to be registered",
                "Entregas que esperan a que se registre su usuario",
            ),
            address: Some("/admin/deliveries?outcome=unmatched"),
            count: count(total.unmatched),
            some: total.unmatched > 0,
        },
        Wait {
            label: language.choose("Signature failures", "Firmas rechazadas"),
            means: language.choose(
                "Webhooks refused since the start of the service; nothing else is kept of them",
                "Webhooks rechazados desde el inicio del servicio; no se guarda nada más de ellos",
            ),
            address: None,
            count: count(i64::try_from(refused).unwrap_or(i64::MAX)),
            some: refused > 0,
        },
    ]
}

fn health(
    app: &App,
    language: Language,
    place: usize,
    unconfirmed: i64,
    now: Timestamp,
) -> Vec<(bool, String)> {
    let mut health = Vec::new();
    if !app.config.partners[place].trust.policy.checks() {
        let never = language.choose("Is never asked", "No se consulta nunca");
        health.push((false, never.to_owned()));
    } else if let Some(wait) = reconcile::asked::closed(app, place) {
        let wait = span(wait + Duration::from_secs(1));
        health.push((
            false,
            language.choose(
                format!("Failed lately; asked again in {wait}"),
                format!("Ha fallado; se consulta de nuevo en {wait}"),
            ),
        ));
    } else {
        let asked = language.choose("No failures lately", "Sin fallos recientes");
        health.push((true, asked.to_owned()));
    }
    if let Some(since) = app.lookout.unusable_since(place) {
        let since = When::new(language, since, now).plain;
        let some = unconfirmed;
        health.push((
            false,
            language.choose(
                format!("No usable answer since {since}; {some} verdicts unconfirmed"),
                format!("Sin respuesta utilizable desde {since}; {some} veredictos sin confirmar"),
            ),
        ));
    }
    if app.lookout.is_unheard(place) {
        let unheard = language.choose(
            "Sends no webhooks: it probably does not know our address",
            "No envía webhooks: quizá no conoce nuestra dirección",
        );
        health.push((false, unheard.to_owned()));
    }
    if let Some(since) = catch_up::under_way(app, place) {
        let since = When::new(language, since, now).plain;
        health.push((
            false,
            language.choose(
                format!("Catching up since {since}"),
                format!("Poniéndose al día desde {since}"),
            ),
        ));
    }
    health
}
