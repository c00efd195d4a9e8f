//! After a standstill of the service that outlasts the provider's patience, everybody's status is right again within ten
//! minutes: those whom the provider's own list names come first.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use actix_web::{HttpResponse, HttpServer, web};
use kyc_tracker::app::App;
use kyc_tracker::clock::{Clock, Timestamp};
use kyc_tracker::db::transitions::{self, Cause};
use kyc_tracker::db::users;
use kyc_tracker::kyc::status::Status;
use kyc_tracker::kyc::verification::State;
use kyc_tracker::reconcile;
use serde_json::json;
use tempfile::TempDir;

use crate::support::config;
use crate::support::store::register;

const USERS: usize = 10_000;
const CHANGED: usize = USERS / 10;
const SECOND: Duration = Duration::from_secs(1);

/// A provider that only remembers: where users stand, and what it could not deliver.
#[derive(Default)]
struct Provider {
    rejected: Mutex<Vec<String>>,
    /// For each state, whom each of its notifications is about; without it there is no such list.
    undelivered: Mutex<Option<HashMap<&'static str, Vec<String>>>>,
}

type Query = web::Query<HashMap<String, String>>;

async fn details(provider: web::Data<Provider>, query: Query) -> HttpResponse {
    let rejected = provider.rejected.lock().unwrap().contains(&query["userId"]);
    let result = if rejected { "REJECTED" } else { "VERIFIED" };
    HttpResponse::Ok().json(json!({"status": "ok", "data": {
        "aipriseSummary": {"verificationResult": result}, "clientReferenceId": query["userId"],
        "verificationSessionId": "s1", "createdAt": "2026-11-01T10:00:00.000Z",
    }}))
}

async fn list(provider: web::Data<Provider>, query: Query) -> HttpResponse {
    let Some(undelivered) = &*provider.undelivered.lock().unwrap() else {
        return HttpResponse::NotFound().finish();
    };
    let status = query["status"].as_str();
    let skip: usize = query["skip"].parse().unwrap();
    let limit: usize = query["limit"].parse().unwrap();
    assert!(limit <= 100, "the provider allows no more");
    let all = undelivered.get(status).map_or(0, Vec::len);
    let rows: Vec<_> = (skip..all.min(skip + limit))
        .map(|number| {
            let event = if number % 2 == 0 {
                "CREATED_KYC"
            } else {
                "REJECTED_KYC"
            };
            json!({"id": format!("{status}-{number}"), "status": status, "eventType": event,
                   "updatedAt": "2026-11-23T20:00:00.000Z"})
        })
        .collect();
    let data = json!({"count": rows.len(), "total": all, "data": rows});
    HttpResponse::Ok().json(json!({"success": true, "data": data}))
}

async fn one(provider: web::Data<Provider>, id: web::Path<String>) -> HttpResponse {
    let undelivered = provider.undelivered.lock().unwrap();
    let (status, number) = id.rsplit_once('-').unwrap();
    let number: usize = number.parse().unwrap();
    let whom = &undelivered.as_ref().unwrap()[status][number];
    let payload = json!({"type": "KYC", "event": "REJECTED_KYC", "externalUserId": whom});
    HttpResponse::Ok().json(json!({"success": true, "data": {"id": *id, "payload": payload}}))
}

fn serve(provider: web::Data<Provider>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        actix_web::App::new()
            .app_data(provider.clone())
            .route("/api/partner/v2/kyc/details", web::get().to(details))
            .route("/api/partner/v2/webhook-notifications", web::get().to(list))
            .route(
                "/api/partner/v2/webhook-notifications/{id}",
                web::get().to(one),
            )
    });
    let server = server
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap();
    actix_web::rt::spawn(server.run());
    url
}

/// The service on the file in that folder, as it is after a start.
fn start(folder: &TempDir, provider: &str, clock: &Clock) -> App {
    App::build(config(folder, provider, &[]), clock.clone()).unwrap()
}

/// Registers everybody, as verified and looked at a moment ago.
async fn populate(app: &App) {
    let clock = app.clock.clone();
    let populated = app.db.write(move |conn| {
        for number in 0..USERS {
            let user = register(conn, &clock, &format!("user-{number}"))?;
            let verified = State {
                status: Status::Verified,
                ..user.state()
            };
            let user = transitions::record(conn, &user, verified, Cause::Provider, clock.now())?;
            reconcile::watch(conn, &user, clock.now())?;
        }
        Ok(())
    });
    populated.await.unwrap();
}

async fn rejected(app: &App) -> usize {
    let counts = app.db.read(users::counts).await.unwrap();
    let rejected = counts.iter().map(|count| count.shown(Status::Rejected));
    usize::try_from(rejected.sum::<i64>()).unwrap()
}

/// Lets a driven second go by in which the service makes the looks that it may make.
async fn one_second(app: &App) {
    while reconcile::run_once(app, app.clock.now()).await.unwrap() > 0 {}
    app.clock.advance(SECOND);
}

/// Lets driven seconds go by until everybody whose status has changed is right; answers how many they were.
async fn seconds_until_right(app: &App) -> usize {
    for second in 0..1200 {
        if rejected(app).await == CHANGED {
            return second;
        }
        one_second(app).await;
    }
    panic!(
        "only {} of {CHANGED} are right after twenty minutes",
        rejected(app).await
    );
}

/// Stands still for forty minutes, while a tenth of the users change; answers the service after its next start.
async fn stand_still(folder: &TempDir, provider: &web::Data<Provider>) -> App {
    let url = serve(provider.clone());
    let clock = Clock::driven("2026-11-23T19:20:00Z".parse::<Timestamp>().unwrap());
    let app = start(folder, &url, &clock);
    populate(&app).await;
    assert_eq!(reconcile::run_once(&app, clock.now()).await.unwrap(), 0);
    drop(app);
    clock.advance(SECOND * 40 * 60);
    // Spread over all, and never the first ones in the order of registration.
    let changed = (0..CHANGED).map(|number| format!("user-{}", number * 10 + 9));
    provider.rejected.lock().unwrap().extend(changed);
    start(folder, &url, &clock)
}

#[actix_web::test]
async fn after_forty_minutes_of_standstill_those_the_provider_names_are_right_within_three() {
    let folder = tempfile::tempdir().unwrap();
    let provider = web::Data::new(Provider::default());
    let app = stand_still(&folder, &provider).await;
    let twice = |names: &[String]| {
        names
            .iter()
            .flat_map(|name| [name.clone(), name.clone()])
            .collect()
    };
    let lost = {
        let rejected = provider.rejected.lock().unwrap();
        let (failed, not_sent) = rejected.split_at(CHANGED * 9 / 10);
        HashMap::from([("FAILED", twice(failed)), ("NOT_SENT", twice(not_sent))])
    };
    *provider.undelivered.lock().unwrap() = Some(lost);
    let seconds = seconds_until_right(&app).await;
    assert!(seconds <= 180, "{seconds} s");
}

#[actix_web::test]
async fn after_a_standstill_without_the_providers_list_everybody_is_right_within_ten_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let provider = web::Data::new(Provider::default());
    let app = stand_still(&folder, &provider).await;
    // A restart in the middle goes on where it was.
    for _ in 0..60 {
        one_second(&app).await;
    }
    let (clock, url) = (app.clock.clone(), app.config.provider.base_url.to_string());
    let before = rejected(&app).await;
    assert!((1..CHANGED).contains(&before), "{before}");
    drop(app);
    let app = start(&folder, &url, &clock);
    let seconds = seconds_until_right(&app).await;
    assert!(seconds + 60 <= 600, "{seconds} s");
    for _ in 0..30 {
        one_second(&app).await;
    }
    assert_eq!(kyc_tracker::catch_up::under_way(&app, 0), None);
}

#[actix_web::test]
async fn who_was_registered_while_the_provider_was_never_asked_is_taken_up_when_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let provider = web::Data::new(Provider::default());
    provider.rejected.lock().unwrap().push("u1".to_owned());
    let url = serve(provider);
    let clock = Clock::driven("2026-11-23T19:20:00Z".parse::<Timestamp>().unwrap());
    let app = start(&folder, &url, &clock);
    one_second(&app).await;
    drop(app);
    let never = config(&folder, &url, &[("KYC__WEBHOOKS__CONFIRM", "never")]);
    let app = App::build(never, clock.clone()).unwrap();
    let forgotten = clock.clone();
    let registered = app.db.write(move |conn| register(conn, &forgotten, "u1"));
    registered.await.unwrap();
    one_second(&app).await;
    assert_eq!(rejected(&app).await, 0);
    drop(app);
    let app = start(&folder, &url, &clock);
    one_second(&app).await;
    assert_eq!(rejected(&app).await, 1);
}
