//! How often a key may be used. The time is driven, so that every number is exact.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use kyc_tracker::config::KeyHash;
use reqwest::Method;
use serde_json::json;

use crate::support::store::connect;
use crate::support::wire::Wire;
use crate::support::{ACME, ADMIN_KEY, Answer, OTHER, Partner, TestApp};

/// Another key of acme.
const SECOND: Partner = Partner {
    key: "kyc_partner_acme_second_0123456789",
    ..ACME
};
const LIST: &str = "/v1/kyc/users";

/// A service that takes two requests a second of each key, and three at once.
async fn service() -> TestApp {
    let keys = [ACME.key, SECOND.key].map(|key| KeyHash::of(key).as_setting());
    TestApp::with(&[
        ("KYC__LIMITS__REQUESTS_PER_SECOND", "2"),
        ("KYC__LIMITS__BURST", "3"),
        ("KYC__PARTNERS__0__API_KEYS", &format!("{keys:?}")),
    ])
    .await
}

/// Limit, remaining and reset, as the answer says them.
fn told(answer: &Answer) -> [&str; 3] {
    let names = ["limit", "remaining", "reset"];
    names.map(|name| answer.header(&format!("ratelimit-{name}")))
}

/// Uses the key until it is one time too many.
async fn exhaust(app: &TestApp, partner: Partner) {
    for _ in 0..4 {
        app.get(partner, LIST).await;
    }
}

#[actix_web::test]
async fn a_key_may_be_used_so_often_at_once_and_every_answer_says_how_it_stands() {
    let app = service().await;
    for (remaining, reset) in [("2", "1"), ("1", "1"), ("0", "2")] {
        let answer = app.get(ACME, LIST).await;
        assert_eq!(answer.status, 200);
        assert_eq!(told(&answer), ["3", remaining, reset]);
        assert_eq!(answer.header("retry-after"), "");
    }
    for _ in 0..2 {
        let answer = app.get(ACME, LIST).await;
        assert_eq!(answer.problem(), (429, "rate_limited".to_owned()));
        assert_eq!(told(&answer), ["3", "0", "2"]);
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[actix_web::test]
async fn it_fills_again_with_the_time_and_not_beyond_the_burst() {
    let app = service().await;
    exhaust(&app, ACME).await;
    app.clock.advance(Duration::from_micros(499_999));
    assert_eq!(app.get(ACME, LIST).await.status, 429);
    app.clock.advance(Duration::from_micros(1));
    assert_eq!(app.get(ACME, LIST).await.status, 200);
    assert_eq!(app.get(ACME, LIST).await.status, 429);
    app.clock.advance(Duration::from_secs(3600));
    assert_eq!(told(&app.get(ACME, LIST).await), ["3", "2", "1"]);
}

#[actix_web::test]
async fn a_clock_that_is_set_brings_no_request_and_delays_none() {
    let app = service().await;
    exhaust(&app, ACME).await;
    app.clock.set_ahead(Duration::from_secs(3600));
    assert_eq!(app.get(ACME, LIST).await.status, 429);
    app.clock.set_back(Duration::from_secs(7200));
    app.clock.advance(Duration::from_millis(500));
    assert_eq!(app.get(ACME, LIST).await.status, 200);
}

#[actix_web::test]
async fn who_waits_as_long_as_told_is_let_in() {
    let slow = [
        ("KYC__LIMITS__REQUESTS_PER_SECOND", "1"),
        ("KYC__LIMITS__BURST", "1"),
    ];
    let app = TestApp::with(&slow).await;
    app.get(ACME, LIST).await;
    app.clock.advance(Duration::from_millis(1));
    let refused = app.get(ACME, LIST).await;
    assert_eq!(refused.status, 429);
    let wait = refused.header("retry-after").parse().unwrap();
    app.clock.advance(Duration::from_secs(wait));
    assert_eq!(app.get(ACME, LIST).await.status, 200);
}

#[actix_web::test]
async fn no_key_is_limited_by_the_noise_of_another() {
    let app = service().await;
    exhaust(&app, ACME).await;
    assert_eq!(told(&app.get(SECOND, LIST).await), ["3", "2", "1"]);
    assert_eq!(told(&app.get(OTHER, LIST).await), ["3", "2", "1"]);
    assert_eq!(told(&app.admin("/v1/admin/stats").await), ["3", "2", "1"]);
    assert_eq!(app.get(ACME, LIST).await.status, 429);
    for remaining in ["1", "0", "0"] {
        let answer = app.admin("/v1/admin/stats").await;
        assert_eq!(answer.header("ratelimit-remaining"), remaining);
    }
    let refused = app.admin("/v1/admin/stats").await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
}

#[actix_web::test]
async fn errors_say_it_too_and_a_wrong_key_hears_and_uses_nothing() {
    let app = service().await;
    let wrong = Partner {
        key: "kyc_partner_nobody_0123456789",
        ..ACME
    };
    for _ in 0..9 {
        let answer = app.get(wrong, LIST).await;
        assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
        assert_eq!(told(&answer), ["", "", ""]);
    }
    let answer = app.get(ACME, "/v1/kyc/users/nobody").await;
    assert_eq!(answer.problem(), (404, "user_not_found".to_owned()));
    assert_eq!(told(&answer), ["3", "2", "1"]);
    let answer = app.get(ACME, "/v1/kyc/users?colour=red").await;
    assert_eq!(answer.problem(), (400, "invalid_query".to_owned()));
    assert_eq!(told(&answer), ["3", "1", "1"]);
    let answer = app.ask_for_link(ACME, &json!({})).await;
    assert_eq!(answer.problem(), (422, "invalid_request".to_owned()));
    assert_eq!(told(&answer), ["3", "0", "2"]);
    // What the last request on a connection was told is not told to the next.
    let mut wire = Wire::to(&app.url).await;
    let key = OTHER.key;
    let heard = wire
        .ask(&format!(
            "GET {LIST} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\n\r\n"
        ))
        .await;
    assert!(heard.contains("ratelimit-limit: 3\r\n"), "{heard}");
    let heard = wire.ask("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    assert!(!heard.contains("ratelimit"), "{heard}");
}

#[actix_web::test]
async fn what_needs_no_key_is_not_limited() {
    let app = service().await;
    app.pending("u1").await;
    exhaust(&app, ACME).await;
    for _ in 0..9 {
        assert_eq!(app.deliver("CREATED_KYC", "u1").await.status, 204);
        let alive = app.send(app.request(Method::GET, "/healthz")).await;
        assert_eq!(alive.status, 200);
    }
}

#[actix_web::test]
async fn one_request_too_many_reaches_neither_the_store_nor_the_provider() {
    let app = service().await;
    app.capa_gives_links().await;
    for partner in [ACME, OTHER] {
        exhaust(&app, partner).await;
    }
    // Without the tables, whatever asks the store fails.
    let mut store = connect(&app.folder().join("kyc.db"));
    store
        .batch_execute("PRAGMA foreign_keys = OFF; ALTER TABLE users RENAME TO elsewhere")
        .unwrap();
    let body = json!({"userId": "u1", "country": "DO"});
    for path in [LIST, "/v1/kyc/users/u1", "/v1/kyc/users/u1/history"] {
        assert_eq!(app.get(ACME, path).await.status, 429, "{path}");
        assert_eq!(app.get(SECOND, path).await.status, 503, "{path}");
    }
    assert_eq!(app.ask_for_link(OTHER, &body).await.status, 429);
    assert_eq!(app.calls().await, 0);
    // Not even its body is waited for.
    let mut wire = Wire::to(&app.url).await;
    let key = ACME.key;
    let heard = wire
        .ask(&format!(
            "POST /v1/kyc/links HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
        ))
        .await;
    assert!(heard.starts_with("HTTP/1.1 429 "), "{heard}");
}

#[actix_web::test]
async fn the_defaults_limit_nobody_who_means_well() {
    let app = TestApp::new().await;
    let answer = app.get(ACME, LIST).await;
    assert_eq!(told(&answer), ["100000", "99999", "1"]);
    let request = app.request(Method::GET, "/v1/admin/stats");
    let answer = app.send(request.bearer_auth(ADMIN_KEY)).await;
    assert_eq!(told(&answer), ["100000", "99999", "1"]);
}
