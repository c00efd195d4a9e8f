//! Partners are apart: none sees, moves or learns of another's users.

use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{ACME, ADMIN_KEY, Answer, OTHER, Partner, TestApp, kyc_event};

const PARTNER_ROUTES: [&str; 3] = [
    "/v1/kyc/users",
    "/v1/kyc/users/u1",
    "/v1/kyc/users/u1/history",
];
const ADMIN_ROUTES: [&str; 4] = [
    "/v1/admin/users",
    "/v1/admin/users/acme/u1",
    "/v1/admin/deliveries",
    "/v1/admin/stats",
];

async fn document(app: &TestApp, partner: Partner, user: &str) -> Value {
    let answer = app.get(partner, &format!("/v1/kyc/users/{user}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// GET with these headers and no others.
async fn get_with(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.request(Method::GET, path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.send(request).await
}

/// All that tells one answer from another when the request's id is the same.
async fn seen(app: &TestApp, path: &str) -> (u16, String, Vec<String>) {
    let headers = [("partner-api-key", ACME.key), ("x-request-id", "same")];
    let answer = get_with(app, path, &headers).await;
    let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status.as_u16(), answer.text, names)
}

fn ids(page: &Value) -> Vec<&str> {
    let users = page["data"].as_array().unwrap().iter();
    users.map(|user| user["userId"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn a_webhook_moves_only_the_user_of_the_partner_who_was_named() {
    let app = TestApp::new().await;
    app.pending_of(ACME, "u1").await;
    let others = app.pending_of(OTHER, "u1").await;
    app.deliver_to(ACME, "VERIFIED_USER", "u1").await;
    assert_eq!(document(&app, ACME, "u1").await["status"], "verified");
    let untouched = document(&app, OTHER, "u1").await;
    assert_eq!(
        (&untouched["status"], &untouched["version"]),
        (&json!("pending"), &others["version"])
    );
    app.deliver_to(OTHER, "REJECTED_KYC", "u1").await;
    assert_eq!(document(&app, OTHER, "u1").await["status"], "rejected");
    let verified = document(&app, ACME, "u1").await;
    assert_eq!(
        (&verified["status"], &verified["needsConfirmation"]),
        (&json!("verified"), &json!(false))
    );
}

#[actix_web::test]
async fn histories_of_users_of_the_same_name_are_apart() {
    let app = TestApp::new().await;
    app.pending_of(OTHER, "u1").await;
    app.deliver_to(OTHER, "REJECTED_KYC", "u1").await;
    app.pending_of(ACME, "u1").await;
    assert_eq!(app.history("u1").await, ["1 ->pending by link"]);
    let others = app.get(OTHER, "/v1/kyc/users/u1/history").await.json();
    assert_eq!(others["data"].as_array().map(Vec::len), Some(2));
}

#[actix_web::test]
async fn an_event_that_waits_for_a_user_is_not_given_to_anothers() {
    let app = TestApp::new().await;
    app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
    assert_eq!(app.pending_of(ACME, "u1").await["status"], "pending");
    assert_eq!(app.outcomes().await, [("unmatched".to_owned(), 0)]);
}

#[actix_web::test]
async fn an_external_id_of_another_partner_is_free_and_leads_to_the_own_user() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    for (partner, user) in [(ACME, "a1"), (OTHER, "o1")] {
        let body = json!({"userId": user, "externalUserId": "customer-1", "country": "DO"});
        assert_eq!(app.ask_for_link(partner, &body).await.status, 201);
    }
    app.deliver_to(OTHER, "VERIFIED_USER", "customer-1").await;
    assert_eq!(document(&app, ACME, "a1").await["status"], "pending");
    assert_eq!(document(&app, OTHER, "o1").await["status"], "verified");
}

#[actix_web::test]
async fn anothers_user_looks_exactly_like_none() {
    let app = TestApp::new().await;
    app.pending_of(OTHER, "theirs").await;
    app.deliver_to(OTHER, "VERIFIED_USER", "theirs").await;
    for rest in ["", "/history"] {
        let foreign = seen(&app, &format!("/v1/kyc/users/theirs{rest}")).await;
        let absent = seen(&app, &format!("/v1/kyc/users/nobody{rest}")).await;
        assert_eq!(foreign, absent);
        assert_eq!(foreign.0, 404);
        assert!(
            foreign.1.contains(r#""code":"user_not_found""#),
            "{foreign:?}"
        );
    }
}

#[actix_web::test]
async fn a_link_for_anothers_userid_begins_a_user_of_ones_own() {
    let app = TestApp::new().await;
    app.pending_of(OTHER, "u1").await;
    app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
    let own = app.pending_of(ACME, "u1").await;
    assert_eq!(
        (&own["attempt"], &own["resumed"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(document(&app, OTHER, "u1").await["status"], "verified");
}

#[actix_web::test]
async fn a_list_shows_the_own_users_only_whatever_it_is_asked() {
    let app = TestApp::new().await;
    for number in 0..3 {
        app.pending_of(ACME, &format!("a{number}")).await;
        app.pending_of(OTHER, &format!("o{number}")).await;
    }
    let page = app.get(OTHER, "/v1/kyc/users?limit=2").await.json();
    let cursor = page["nextCursor"].as_str().unwrap();
    for (query, expected) in [
        (String::new(), &["a2", "a1", "a0"][..]),
        ("?status=pending&country=DO".to_owned(), &["a2", "a1", "a0"]),
        (format!("?cursor={cursor}"), &["a1", "a0"]),
        ("?externalUserId=o1".to_owned(), &[]),
    ] {
        let list = app.get(ACME, &format!("/v1/kyc/users{query}")).await.json();
        assert_eq!(ids(&list), expected, "{query}");
    }
}

#[actix_web::test]
async fn nobody_can_name_the_partner_whose_users_to_list() {
    let app = TestApp::new().await;
    for query in ["partner=other", "partnerId=other", "q=o"] {
        let answer = app.get(ACME, &format!("/v1/kyc/users?{query}")).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_query".to_owned()),
            "{query}"
        );
    }
}

#[actix_web::test]
async fn anothers_secret_opens_no_webhook_of_mine() {
    let app = TestApp::new().await;
    app.pending_of(ACME, "u1").await;
    app.pending_of(OTHER, "u1").await;
    let body = kyc_event("VERIFIED_USER", "u1");
    for (path, secret) in [
        (ACME, OTHER.secret),
        (ACME, OTHER.old_secret),
        (OTHER, ACME.secret),
        (OTHER, ACME.old_secret),
    ] {
        let signature = sign(secret, body.as_bytes());
        let answer = app.deliver_raw(path.id, body.clone(), &[&signature]).await;
        assert_eq!(answer.status, 401, "{secret} at {}", path.id);
    }
    for partner in [ACME, OTHER] {
        assert_eq!(document(&app, partner, "u1").await["status"], "pending");
    }
}

#[actix_web::test]
async fn partners_and_admins_keys_open_only_their_own_routes() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let refused = (401, "unauthorized".to_owned());
    let bearer = |key: &str| format!("Bearer {key}");
    for path in PARTNER_ROUTES {
        assert_eq!(
            get_with(&app, path, &[("partner-api-key", ADMIN_KEY)])
                .await
                .problem(),
            refused
        );
        assert_eq!(app.admin(path).await.problem(), refused, "{path}");
        assert_eq!(app.get(ACME, path).await.status, 200, "{path}");
    }
    for path in ADMIN_ROUTES {
        let as_partner = [
            ("authorization", &*bearer(ACME.key)),
            ("partner-api-key", ACME.key),
        ];
        assert_eq!(
            get_with(&app, path, &as_partner).await.problem(),
            refused,
            "{path}"
        );
        assert_eq!(app.get(ACME, path).await.problem(), refused, "{path}");
        assert_eq!(app.admin(path).await.status, 200, "{path}");
    }
}

#[actix_web::test]
async fn a_partners_key_counts_only_once_whole_and_in_its_header() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let (bearer, long) = (format!("Bearer {}", ACME.key), format!("{}x", ACME.key));
    let upper = ACME.key.to_uppercase();
    let wrong: [&[(&str, &str)]; 9] = [
        &[],
        &[("partner-api-key", "")],
        &[("partner-api-key", &ACME.key[1..])],
        &[("partner-api-key", &long)],
        &[("partner-api-key", &upper)],
        &[("partner-api-key", ACME.provider_key)],
        &[("partner-api-key", ACME.key), ("partner-api-key", ACME.key)],
        &[
            ("partner-api-key", ACME.key),
            ("partner-api-key", OTHER.key),
        ],
        &[("authorization", &bearer)],
    ];
    for path in PARTNER_ROUTES {
        for headers in wrong {
            let answer = get_with(&app, path, headers).await;
            assert_eq!(
                answer.problem(),
                (401, "unauthorized".to_owned()),
                "{path} {headers:?}"
            );
        }
        let in_query = format!("{path}?partner-api-key={}", ACME.key);
        let answer = get_with(&app, &in_query, &[]).await;
        assert_eq!(answer.problem(), (401, "unauthorized".to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn a_link_without_a_right_key_is_refused_and_registers_nobody() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let body = json!({"userId": "u1", "country": "DO"});
    let both = [ACME.key, OTHER.key];
    for keys in [&[][..], &["wrong"], &[ADMIN_KEY], &both] {
        let mut request = app.request(Method::POST, "/v1/kyc/links").json(&body);
        for key in keys {
            request = request.header("partner-api-key", *key);
        }
        assert_eq!(
            app.send(request).await.problem(),
            (401, "unauthorized".to_owned())
        );
    }
    let users = app.admin("/v1/admin/users").await.json();
    assert_eq!((&users["data"], app.calls().await), (&json!([]), 0));
}
