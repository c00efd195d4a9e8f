//! How each answer of which the document tells comes about.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use kyc_tracker::capa::signature::sign;
use kyc_tracker::web::limits::Limits;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use wiremock::matchers::{any, method};
use wiremock::{Mock, ResponseTemplate};

use super::{PROBLEM, Told, USER, asking, filled, good, has_problems, keyed, plain, takes, verb};
use crate::dropin::USERS;
use crate::support::conforms::{self, DOCUMENT, validator};
use crate::support::process::free_address;
use crate::support::store::connect;
use crate::support::wire::Wire;
use crate::support::{ACME, ADMIN_KEY, Answer, TestApp};

/// Services in the states that answers need.
pub struct Worlds {
    well: TestApp,
    /// No place is left.
    busy: TestApp,
    /// Every key has been used too often.
    used_up: TestApp,
    /// The store has no tables.
    broken: TestApp,
    /// Nobody may be slow.
    hasty: TestApp,
}

impl Worlds {
    /// Makes them.
    pub async fn new() -> Worlds {
        let limits = Limits {
            in_flight: 0,
            ..Limits::default()
        };
        let short = Duration::from_millis(1500);
        let hasty = Limits {
            head: short,
            body: short,
            ..Limits::default()
        };
        let rate = [
            ("KYC__LIMITS__REQUESTS_PER_SECOND", "1"),
            ("KYC__LIMITS__BURST", "1"),
        ];
        let worlds = Worlds {
            well: well().await,
            busy: TestApp::with_limits(limits, &[]).await,
            used_up: TestApp::with(&rate).await,
            broken: TestApp::new().await,
            hasty: TestApp::with_limits(hasty, &[]).await,
        };
        worlds.used_up.get(ACME, "/v1/kyc/users").await;
        worlds.used_up.admin("/v1/admin/stats").await;
        let mut store = connect(&worlds.broken.folder().join("kyc.db"));
        let rename = "PRAGMA foreign_keys = OFF;";
        let tables = ["users", "transitions", "heartbeats", "deliveries"];
        let tables = tables.map(|table| format!("ALTER TABLE {table} RENAME TO no_{table};"));
        store
            .batch_execute(&format!("{rename}{}", tables.concat()))
            .unwrap();
        worlds
    }

    /// Has the answer given.
    pub async fn provoke(&self, told: &Told) -> Answer {
        let well = &self.well;
        let path = filled(&told.path, USER);
        let send = |request: RequestBuilder| well.send(request);
        let code = told.code.to_lowercase();
        let socket = told.media == PROBLEM && !has_problems(&told.path);
        match &*code {
            "method_not_allowed" => send(well.request(Method::PUT, &path)).await,
            "uri_too_long" => {
                let long = format!("{path}?{}", "x".repeat(4097));
                send(well.request(verb(&told.path), &long)).await
            }
            "headers_too_large" if socket => {
                let request = (0..97).fold(good(well, &told.path, USER), |request, number| {
                    request.header(format!("x-{number}"), "y")
                });
                send(request).await
            }
            "headers_too_large" => {
                send(good(well, &told.path, USER).header("x", "y".repeat(16_384))).await
            }
            "bad_request" if told.media == PROBLEM => {
                let mut wire = Wire::to(&well.url).await;
                let head = format!("{} {path} HTTP/1.1\r\n\r\n", verb(&told.path));
                written(told, &wire.ask(&head).await)
            }
            "bad_request" => {
                let mut wire = Wire::to(&well.url).await;
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
                );
                written(told, &wire.ask(&head).await)
            }
            "request_timeout" => {
                let mut wire = Wire::to(&self.hasty.url).await;
                let key = ACME.key;
                let head = format!(
                    "{} {path} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\nauthorization: Bearer {ADMIN_KEY}\r\n",
                    verb(&told.path)
                );
                wire.say(&head).await;
                if !socket && takes(&told.path).is_some() {
                    wire.say("content-type: application/json\r\ncontent-length: 60000\r\n\r\n")
                        .await;
                }
                written(told, &wire.dribble("x: y\r\n").await)
            }
            "unauthorized" => send(plain(well, &told.path, USER, "")).await,
            "not_acceptable" => {
                send(good(well, &told.path, USER).header("accept", "image/png")).await
            }
            "rate_limited" => {
                self.used_up
                    .send(good(&self.used_up, &told.path, USER))
                    .await
            }
            "overloaded" => self.busy.send(good(&self.busy, &told.path, USER)).await,
            "store_unavailable" => self.broken.send(good(&self.broken, &told.path, USER)).await,
            "body_too_large" => {
                send(good(well, &told.path, USER).body("x".repeat(64 * 1024 + 1))).await
            }
            "malformed_json" if told.path.starts_with("/webhooks/") => {
                well.deliver_raw(ACME.id, "{", &[&sign(ACME.secret, b"{")])
                    .await
            }
            "malformed_json" | "invalid_user_input_error" => {
                send(good(well, &told.path, USER).body("{")).await
            }
            "unsupported_media_type" => {
                let request = keyed(well.request(Method::POST, &path));
                send(request.header("content-type", "text/plain").body("{}")).await
            }
            "invalid_query" => send(asking(well, &told.path, USER, "?colour=red")).await,
            "invalid_cursor" if told.path.ends_with("/events") => {
                send(good(well, &told.path, USER).header("last-event-id", "x")).await
            }
            "invalid_cursor" => send(asking(well, &told.path, USER, "?cursor=x")).await,
            "not_found" => send(good(well, &told.path, "nothing")).await,
            "user_not_found" => send(good(well, &told.path, "nobody")).await,
            "invalid_request" => send(good(well, &told.path, USER).body("{}")).await,
            "already_verified" => send(good(well, &told.path, "verified")).await,
            "idempotency_key_reused" => {
                let with_key = |user| good(well, &told.path, user).header("idempotency-key", "k");
                send(with_key("open")).await;
                send(with_key("verified")).await
            }
            "request_in_progress" => {
                let app = self::well().await;
                let under_way = app.app.answering.begin(&format!("{}/k", ACME.id));
                assert!(under_way.is_ok());
                let request = good(&app, &told.path, USER);
                app.send(request.header("idempotency-key", "k")).await
            }
            "external_id_taken" => {
                let body = json!({"userId": "another", "country": "DO", "externalUserId": USER});
                send(good(well, &told.path, "another").json(&body)).await
            }
            "not_confirmed" => {
                let app = self::well().await;
                app.deliver("REVIEW_NEEDED_KYC", USER).await;
                app.send(asking(&app, &told.path, USER, "?maxAge=0")).await
            }
            "provider_user_not_found" | "not_found_error" => failing(told, 404).await,
            "provider_rejected" => {
                let own = !has_problems(&told.path);
                failing(
                    told,
                    told.status.parse().ok().filter(|_| own).unwrap_or(400),
                )
                .await
            }
            "provider_unauthorized" => failing(told, 401).await,
            // A redirect is no answer that could be handed back.
            "provider_invalid_response" => failing(told, 307).await,
            "provider_unavailable" if told.path == USERS => {
                let nowhere = format!("http://{}", free_address());
                let app = TestApp::with(&[("KYC__PROVIDER__BASE_URL", &nowhere)]).await;
                app.send(good(&app, USERS, USER)).await
            }
            "provider_unavailable" => failing(told, 500).await,
            "provider_rate_limited" | "too_many_requests" => failing(told, 429).await,
            "" => self.succeed(told).await,
            other => panic!("how does {other} come about?"),
        }
    }

    async fn succeed(&self, told: &Told) -> Answer {
        let well = &self.well;
        let request = good(well, &told.path, USER);
        match (&*told.path, &*told.status) {
            ("/v1/kyc/links", status) => {
                well.capa_gives_links().await;
                let user = if status == "201" { "new" } else { "open" };
                well.send(good(well, &told.path, user)).await
            }
            ("/v1/kyc/users/{userId}", "304") => {
                well.send(request.header("if-none-match", "*")).await
            }
            ("/v1/kyc/events", _) => first_event(request.header("last-event-id", "0")).await,
            (USERS, status) => {
                let status = status.parse().unwrap_or(418);
                let app = TestApp::new().await;
                let answer = ResponseTemplate::new(status).set_body_raw("<html>", "text/html");
                Mock::given(method("POST"))
                    .respond_with(answer)
                    .mount(&app.capa)
                    .await;
                app.send(good(&app, USERS, USER)).await
            }
            ("/webhooks/{partnerId}", _) => well.deliver("CREATED_KYC", USER).await,
            ("/start/{token}", status) => start(well, status).await,
            (path, _) if path.starts_with("/api/partner/") => {
                let app = TestApp::new().await;
                gives_any_link(&app).await;
                app.send(good(&app, path, "new")).await
            }
            _ => well.send(request).await,
        }
    }
}

/// The page that a start URL leads to.
async fn start(well: &TestApp, status: &str) -> Answer {
    let open = async |app: &TestApp, user: &str| {
        let url = app.user(user).await["startUrl"]
            .as_str()
            .unwrap()
            .to_owned();
        let path = url.split_once("/start/").unwrap().1;
        app.send(app.request(Method::GET, &format!("/start/{path}")))
            .await
    };
    match status {
        "200" => open(well, "verified").await,
        "303" => open(well, "open").await,
        "404" => well.send(well.request(Method::GET, "/start/none")).await,
        "410" => {
            let app = TestApp::new().await;
            let first = app.pending("u1").await["startUrl"].clone();
            app.deliver("REJECTED_KYC", "u1").await;
            app.pending("u1").await;
            let path = first.as_str().unwrap().split_once("/start/").unwrap().1;
            app.send(app.request(Method::GET, &format!("/start/{path}")))
                .await
        }
        "429" => {
            let few = [
                ("KYC__LINKS__NEW_PER_DAY", "1"),
                ("KYC__LINKS__REUSE_FOR", "1m"),
            ];
            let app = TestApp::with(&few).await;
            app.pending("u1").await;
            app.clock.advance(Duration::from_secs(61));
            open(&app, "u1").await
        }
        status => {
            let refused = if status == "502" { 401 } else { 500 };
            let app = TestApp::new().await;
            app.capa.reset().await;
            let answer = Mock::given(any()).respond_with(ResponseTemplate::new(refused));
            answer.mount(&app.capa).await;
            app.ask_for_link(ACME, &json!({"userId": "u1", "country": "DO"}))
                .await;
            open(&app, "u1").await
        }
    }
}

/// The provider gives a link by either of its calls, and in the envelopes of both.
pub async fn gives_any_link(app: &TestApp) {
    app.capa.reset().await;
    let link =
        json!({"status": "ok", "success": true, "data": {"kycLink": "https://kyc.example/s"}});
    let answer = ResponseTemplate::new(201).set_body_json(link);
    let call = Mock::given(method("POST")).respond_with(answer);
    call.mount(&app.capa).await;
    app.truth.mount(&app.capa).await;
}

/// A service with a user of whom the provider knows, one with an open link, and one who is verified.
pub async fn well() -> TestApp {
    let app = TestApp::new().await;
    for user in [USER, "open", "verified"] {
        app.pending(user).await;
    }
    app.deliver("VERIFIED_USER", "verified").await;
    app.truth.says(USER, "UNKNOWN", "s1");
    app.deliver("CREATED_KYC", USER).await;
    app
}

/// The provider answers everything with this status.
async fn failing(told: &Told, status: u16) -> Answer {
    let app = well().await;
    app.capa.reset().await;
    let answer = ResponseTemplate::new(status).set_body_json(json!({}));
    Mock::given(any())
        .respond_with(answer)
        .mount(&app.capa)
        .await;
    let user = if takes(&told.path).is_some() {
        "new"
    } else {
        USER
    };
    let look = told.path == "/v1/kyc/users/{userId}";
    let query = if look { "?maxAge=0" } else { "" };
    app.send(asking(&app, &told.path, user, query)).await
}

/// The answer with as much of an endless body as has one event in it, which is checked.
async fn first_event(request: RequestBuilder) -> Answer {
    let mut response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let mut text = String::new();
    while !text.contains("\nevent: transition\n") || !text.ends_with("\n\n") {
        text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let data = text
        .lines()
        .find_map(|line| line.strip_prefix("data: "))
        .unwrap();
    let data = serde_json::from_str(data).unwrap();
    let fault = validator(&DOCUMENT["components"]["schemas"]["Event"])
        .validate(&data)
        .err()
        .map(|fault| fault.to_string());
    assert_eq!(fault, None, "{data}");
    let answer = Answer {
        status,
        headers,
        text,
    };
    conforms::check(&Method::GET, "/v1/kyc/events", &answer);
    answer
}

/// What was heard on the wire, checked as any answer is.
fn written(told: &Told, heard: &str) -> Answer {
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    let answer = Answer {
        status: StatusCode::from_bytes(&head.as_bytes()[9..12]).unwrap(),
        headers,
        text: body.to_owned(),
    };
    conforms::check(&verb(&told.path), &filled(&told.path, USER), &answer);
    answer
}
