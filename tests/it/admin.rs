//! `GET /v1/admin/…`: what admins are told, and that nobody else is.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded::byte_serialize;

use crate::support::{ACME, ADMIN_KEY, LINK, OTHER, TestApp, kyc_event};

const ROUTES: [&str; 4] = [
    "/v1/admin/users",
    "/v1/admin/users/acme/u1",
    "/v1/admin/deliveries",
    "/v1/admin/stats",
];

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// That field of every entry of a page.
fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let entries = page["data"].as_array().unwrap().iter();
    entries
        .map(|entry| entry[field].as_str().unwrap())
        .collect()
}

async fn page(app: &TestApp, path: &str) -> Value {
    let answer = app.admin(&format!("/v1/admin/{path}")).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

async fn signed(app: &TestApp, body: &str) {
    let signature = sign(ACME.secret, body.as_bytes());
    app.deliver_raw(ACME.id, body, &[&signature]).await;
}

/// One delivery of acme of each outcome, in the order of the contract, each a minute after the one before; then one of
/// the other partner.
async fn one_of_each(app: &TestApp) {
    app.pending("u1").await;
    let spaced = kyc_event("REVIEW_NEEDED_KYC", "u1").replace(':', ": ");
    for body in [
        &kyc_event("REVIEW_NEEDED_KYC", "u1"),
        &*spaced,
        &kyc_event("CREATED_KYC", "u1"),
        &kyc_event("VERIFIED_USER", "nobody"),
    ] {
        signed(app, body).await;
        app.clock.advance(Duration::from_secs(60));
    }
    app.pending("u2").await;
    app.deliver("REJECTED_KYC", "u2").await;
    for body in [
        &*kyc_event("VERIFIED_USER", "u2"),
        r#"{"type":"TRANSACTION","event":"X"}"#,
        "[]",
    ] {
        signed(app, body).await;
        app.clock.advance(Duration::from_secs(60));
    }
    app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
}

#[actix_web::test]
async fn nobody_but_an_admin_is_told_anything() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let right = format!("Bearer {ADMIN_KEY}");
    let wrong: [&[(&str, &str)]; 11] = [
        &[],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", &format!("{right}x"))],
        &[("authorization", &format!("Bearer {}", ACME.key))],
        &[("authorization", &format!("Basic {ADMIN_KEY}"))],
        &[("authorization", ADMIN_KEY)],
        &[("authorization", &right), ("authorization", &right)],
        &[("partner-api-key", ADMIN_KEY)],
        &[("partner-api-key", ACME.key)],
    ];
    for path in ROUTES {
        for headers in wrong {
            let mut request = app.request(Method::GET, path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let answer = app.send(request).await;
            assert_eq!(
                answer.problem(),
                (401, "unauthorized".to_owned()),
                "{path} {headers:?}"
            );
        }
    }
}

#[actix_web::test]
async fn a_key_in_the_query_is_no_key() {
    let app = TestApp::new().await;
    for path in ROUTES {
        for name in ["authorization", "api_key", "access_token"] {
            let request = app.request(Method::GET, &format!("{path}?{name}={ADMIN_KEY}"));
            let answer = app.send(request).await;
            assert_eq!(
                answer.problem(),
                (401, "unauthorized".to_owned()),
                "{path} {name}"
            );
        }
    }
}

#[actix_web::test]
async fn the_scheme_of_the_key_may_be_written_in_any_case() {
    let app = TestApp::new().await;
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let request = app.request(Method::GET, "/v1/admin/stats");
        let request = request.header("authorization", format!("{scheme} {ADMIN_KEY}"));
        assert_eq!(app.send(request).await.status, 200, "{scheme}");
    }
}

#[actix_web::test]
async fn users_of_all_partners_are_listed_with_whose_they_are() {
    let app = TestApp::new().await;
    app.pending_of(ACME, "u1").await;
    app.pending_of(OTHER, "u1").await;
    app.pending_of(OTHER, "u2").await;
    for (query, partners) in [
        ("", &["other", "other", "acme"][..]),
        ("?partner=acme", &["acme"]),
        ("?partner=other", &["other", "other"]),
        ("?partner=nobody", &[]),
        ("?partner=ACME", &[]),
        ("?partner=other&q=u2", &["other"]),
        ("?externalUserId=u1", &["other", "acme"]),
    ] {
        let users = page(&app, &format!("users{query}")).await;
        assert_eq!(each(&users, "partnerId"), partners, "{query}");
    }
}

#[actix_web::test]
async fn a_listed_user_is_what_its_partner_sees_in_a_list_and_whose_it_is() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    let list = app.get(ACME, "/v1/kyc/users").await.json();
    let mut expected = list["data"][0].clone();
    expected["partnerId"] = json!("acme");
    assert_eq!(page(&app, "users").await["data"], json!([expected]));
}

#[actix_web::test]
async fn a_search_finds_what_begins_so_by_either_id() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let users = [
        ("Ana-1", "x1"),
        ("ana-2", "Ana%9"),
        ("u_1", "a_b"),
        ("uX1", "axb"),
        ("p", "100% sure"),
        ("q", "Zoë"),
    ];
    for (user, external) in users {
        let body = json!({"userId": user, "externalUserId": external, "country": "DO"});
        assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
    }
    for (prefix, expected) in [
        ("Ana", &["ana-2", "Ana-1"][..]),
        ("ana", &["ana-2"]),
        ("ANA", &[]),
        ("na", &[]),
        ("u_", &["u_1"]),
        ("a_", &["u_1"]),
        ("Ana%", &["ana-2"]),
        ("100% s", &["p"]),
        ("%", &[]),
        ("_", &[]),
        ("*", &[]),
        ("Zo", &["q"]),
        ("Zoë", &["q"]),
        ("Zoé", &[]),
        ("Ana-1", &["Ana-1"]),
        ("Ana-12", &[]),
        ("' OR 1=1 --", &[]),
        ("", &["q", "p", "uX1", "u_1", "ana-2", "Ana-1"]),
    ] {
        let found = page(&app, &format!("users?q={}", encoded(prefix))).await;
        assert_eq!(each(&found, "userId"), expected, "{prefix:?}");
    }
}

#[actix_web::test]
async fn users_are_narrowed_as_a_partner_may_and_paged() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending_of(ACME, user).await;
        app.pending_of(OTHER, user).await;
    }
    app.deliver("VERIFIED_USER", "u2").await;
    app.deliver("REJECTED_KYC", "u2").await;
    for query in [
        "status=in_review",
        "needsConfirmation=true",
        "partner=acme&q=u2",
    ] {
        assert_eq!(
            each(&page(&app, &format!("users?{query}")).await, "userId"),
            ["u2"],
            "{query}"
        );
    }
    assert_eq!(page(&app, "users?status=verified").await["data"], json!([]));
    let (mut found, mut query) = (Vec::new(), "limit=4".to_owned());
    loop {
        let users = page(&app, &format!("users?{query}")).await;
        found.extend(each(&users, "userId").into_iter().map(str::to_owned));
        let Some(cursor) = users["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=4&cursor={cursor}");
    }
    assert_eq!(found, ["u3", "u3", "u2", "u2", "u1", "u1"]);
}

#[actix_web::test]
async fn a_query_that_cannot_be_is_refused() {
    let app = TestApp::new().await;
    for (path, code) in [
        ("users?limit=0", "invalid_query"),
        ("users?limit=501", "invalid_query"),
        ("users?status=done", "invalid_query"),
        ("users?partner=acme&partner=acme", "invalid_query"),
        ("users?outcome=applied", "invalid_query"),
        ("users?cursor=x", "invalid_cursor"),
        ("deliveries?limit=0", "invalid_query"),
        ("deliveries?limit=501", "invalid_query"),
        ("deliveries?outcome=lost", "invalid_query"),
        ("deliveries?outcome=Applied", "invalid_query"),
        ("deliveries?outcome=applied&outcome=held", "invalid_query"),
        ("deliveries?since=yesterday", "invalid_query"),
        ("deliveries?q=u", "invalid_query"),
        ("deliveries?cursor=x", "invalid_cursor"),
        ("stats?partner=acme", "invalid_query"),
        ("users/acme/u1?limit=1", "invalid_query"),
    ] {
        let answer = app.admin(&format!("/v1/admin/{path}")).await;
        assert_eq!(answer.problem(), (400, code.to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn one_user_is_told_whole_with_history_and_deliveries() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for event in ["VERIFIED_USER", "VERIFIED_USER", "REJECTED_KYC"] {
        app.deliver(event, "u1").await;
    }
    let user = page(&app, "users/acme/u1").await;
    let listed = page(&app, "users").await["data"][0].clone();
    for (field, value) in listed.as_object().unwrap() {
        assert_eq!(&user[field], value, "{field}");
    }
    let history = app.get(ACME, "/v1/kyc/users/u1/history").await.json();
    assert_eq!(user["history"], history["data"]);
    let mut deliveries = page(&app, "deliveries").await["data"].clone();
    deliveries.as_array_mut().unwrap().reverse();
    assert_eq!(user["deliveries"], deliveries);
    assert_eq!(
        user.as_object().unwrap().len(),
        listed.as_object().unwrap().len() + 4
    );
}

#[actix_web::test]
async fn one_user_is_told_with_the_own_deliveries_only() {
    let app = TestApp::new().await;
    for user in ["u1", "u2"] {
        app.pending_of(ACME, user).await;
        app.pending_of(OTHER, user).await;
    }
    app.deliver_to(ACME, "VERIFIED_USER", "u2").await;
    app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
    let user = page(&app, "users/acme/u1").await;
    assert_eq!(
        (&user["status"], &user["deliveries"]),
        (&json!("pending"), &json!([]))
    );
    let user = page(&app, "users/other/u1").await;
    assert_eq!(
        (&user["status"], &user["partnerId"]),
        (&json!("verified"), &json!("other"))
    );
    assert_eq!(user["deliveries"][0]["partnerId"], "other");
}

#[actix_web::test]
async fn a_user_whom_that_partner_has_not_is_404() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for path in ["acme/nobody", "other/u1", "nobody/u1", "ACME/u1", "acme/U1"] {
        let answer = app.admin(&format!("/v1/admin/users/{path}")).await;
        assert_eq!(
            answer.problem(),
            (404, "user_not_found".to_owned()),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn a_delivery_is_told_with_its_bytes_and_whom_it_was_about() {
    let app = TestApp::new().await;
    let body = json!({"userId": "u1", "externalUserId": "customer-1", "country": "DO"});
    app.capa_gives_links().await;
    app.ask_for_link(ACME, &body).await;
    app.deliver("CREATED_KYC", "customer-1").await;
    let mut delivery = page(&app, "deliveries").await["data"][0].clone();
    assert!(delivery["id"].is_string());
    delivery.as_object_mut().unwrap().remove("id");
    let received = "2026-11-23T19:20:00.123Z";
    let expected = json!({
        "partnerId": "acme", "userId": "u1", "externalUserId": "customer-1", "type": "KYC", "event": "CREATED_KYC",
        "attempt": 1, "outcome": "applied", "repeats": 0, "receivedAt": received, "lastReceivedAt": received,
        "body": kyc_event("CREATED_KYC", "customer-1"), "bodyLength": null, "bodySha256": null,
        "secret": hex::encode(Sha256::digest(ACME.secret))[..8],
    });
    assert_eq!(delivery, expected);
}

#[actix_web::test]
async fn deliveries_are_narrowed_by_outcome_and_partner() {
    let app = TestApp::new().await;
    one_of_each(&app).await;
    for (query, expected) in [
        ("outcome=applied", &["applied", "applied"][..]),
        ("outcome=repeated", &["repeated"]),
        ("outcome=stale", &["stale"]),
        ("outcome=unmatched", &["unmatched", "unmatched"]),
        ("outcome=unmatched&partner=acme", &["unmatched"]),
        ("outcome=held", &["held"]),
        ("outcome=ignored", &["ignored"]),
        ("outcome=unreadable", &["unreadable"]),
        ("partner=other", &["unmatched"]),
        ("partner=other&outcome=held", &[]),
        ("partner=nobody", &[]),
    ] {
        let found = page(&app, &format!("deliveries?{query}")).await;
        assert_eq!(each(&found, "outcome"), expected, "{query}");
    }
}

#[actix_web::test]
async fn deliveries_are_narrowed_by_when_they_came_last() {
    let app = TestApp::new().await;
    for user in ["u1", "u2"] {
        app.deliver("CREATED_KYC", user).await;
        app.clock.advance(Duration::from_secs(60));
    }
    app.deliver("CREATED_KYC", "u1").await;
    for (since, expected) in [
        ("2026-11-23T19:20:00Z", &["u2", "u1"][..]),
        ("2026-11-23T19:21:00.123Z", &["u2", "u1"]),
        ("2026-11-23T19:21:00.124Z", &["u1"]),
        ("2026-11-23T20:22:00.123+01:00", &["u1"]),
        ("2026-11-23T19:22:00.124Z", &[]),
    ] {
        let found = page(&app, &format!("deliveries?since={}", encoded(since))).await;
        assert_eq!(each(&found, "externalUserId"), expected, "{since}");
    }
}

#[actix_web::test]
async fn pages_hold_every_delivery_exactly_once_while_more_come() {
    let app = TestApp::new().await;
    for number in 0..5 {
        app.deliver("CREATED_KYC", &format!("u{number}")).await;
    }
    let (mut found, mut query) = (Vec::new(), "limit=2".to_owned());
    loop {
        let deliveries = page(&app, &format!("deliveries?{query}")).await;
        found.extend(
            each(&deliveries, "externalUserId")
                .into_iter()
                .map(str::to_owned),
        );
        let Some(cursor) = deliveries["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=2&cursor={cursor}");
        app.deliver("CREATED_KYC", &format!("new{}", found.len()))
            .await;
    }
    assert_eq!(found, ["u4", "u3", "u2", "u1", "u0"]);
}

#[actix_web::test]
async fn the_counts_are_of_users_as_shown_and_of_stored_deliveries() {
    let app = TestApp::new().await;
    one_of_each(&app).await;
    app.pending("u3").await;
    app.deliver("VERIFIED_USER", "u3").await;
    app.deliver("REVIEW_NEEDED_KYC", "u3").await;
    app.deliver("REVIEW_NEEDED_KYC", "u3").await;
    app.deliver_raw(ACME.id, "{}", &[]).await;
    assert_eq!(
        page(&app, "stats").await,
        json!({
            "partners": {
                "acme": {
                    "users": {"pending": 0, "submitted": 0, "in_review": 2, "verified": 0, "rejected": 1},
                    "needsConfirmation": 1, "noWebhooksHeard": false, "catchingUpSince": null,
                    "deliveries": {"applied": 3, "repeated": 1, "stale": 1, "unmatched": 1, "held": 2,
                                   "ignored": 1, "unreadable": 1},
                },
                "other": {
                    "users": {"pending": 0, "submitted": 0, "in_review": 0, "verified": 0, "rejected": 0},
                    "needsConfirmation": 0, "noWebhooksHeard": false, "catchingUpSince": null,
                    "deliveries": {"applied": 0, "repeated": 0, "stale": 0, "unmatched": 1, "held": 0,
                                   "ignored": 0, "unreadable": 0},
                },
            },
            "signatureRefusals": {"missing": 1, "doubled": 0, "malformed": 0, "wrong": 0},
        })
    );
}

#[actix_web::test]
async fn no_answer_to_an_admin_has_a_link() {
    let app = TestApp::new().await;
    assert_eq!(app.pending("u1").await["kycLink"], LINK);
    app.deliver("CREATED_KYC", "u1").await;
    for path in ROUTES {
        let answer = app.admin(path).await;
        assert_eq!(answer.status, 200, "{path}");
        for secret in [
            LINK,
            "kycLink",
            "startUrl",
            ACME.secret,
            ACME.key,
            ACME.provider_key,
        ] {
            assert!(!answer.text.contains(secret), "{path}: {secret}");
        }
    }
}
