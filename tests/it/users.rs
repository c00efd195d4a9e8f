//! `GET /v1/kyc/users…`: the document, the history, the list and its pages.

use std::time::Duration;

use kyc_tracker::clock::Timestamp;
use serde_json::{Value, json};
use url::form_urlencoded::byte_serialize;

use crate::support::{ACME, LINK, TestApp};

/// The fields of a user in a list, in the order of the alphabet.
const FIELDS: [&str; 14] = [
    "asOf",
    "attempt",
    "country",
    "createdAt",
    "decidedAt",
    "externalUserId",
    "final",
    "linkCreatedAt",
    "needsConfirmation",
    "source",
    "status",
    "updatedAt",
    "userId",
    "version",
];

/// The names of the fields, in the order of the alphabet.
fn fields(document: &Value) -> Vec<&str> {
    let names = document.as_object().unwrap().keys().map(String::as_str);
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}

/// Whether it is RFC 3339 in UTC with milliseconds.
fn is_time(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.parse::<Timestamp>()
        .is_ok_and(|time| time.to_string() == text)
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

async fn list(app: &TestApp, query: &str) -> Vec<String> {
    let answer = app.get(ACME, &format!("/v1/kyc/users?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    ids(&answer.json())
}

fn ids(page: &Value) -> Vec<String> {
    let id = |user: &Value| user["userId"].as_str().unwrap().to_owned();
    page["data"].as_array().unwrap().iter().map(id).collect()
}

async fn register(app: &TestApp, user: &str, external: &str, country: &str) {
    app.capa_gives_links().await;
    let body = json!({"userId": user, "externalUserId": external, "country": country});
    assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
}

#[actix_web::test]
async fn the_document_has_the_fields_of_the_contract_and_no_others() {
    let app = TestApp::new().await;
    register(&app, "u1", "customer-42", "DO").await;
    let mut document = app.user("u1").await;
    let start_url = document.as_object_mut().unwrap().remove("startUrl");
    assert!(start_url.unwrap().is_string());
    let registered = "2026-11-23T19:20:00.123Z";
    let version = document["version"].clone();
    assert!(version.as_i64().is_some_and(|version| version > 0));
    let expected = json!({
        "userId": "u1", "externalUserId": "customer-42", "country": "DO", "status": "pending", "final": false,
        "attempt": 1, "kycLink": LINK, "linkCreatedAt": registered, "needsConfirmation": false, "source": "link",
        "version": version, "createdAt": registered, "updatedAt": registered, "decidedAt": null,
        "asOf": null,
    });
    assert_eq!(document, expected);
}

#[actix_web::test]
async fn a_decided_document_says_when_and_has_no_link() {
    for (event, status, word) in [
        ("VERIFIED_USER", "verified", "APPROVED"),
        ("REJECTED_KYC", "rejected", "DECLINED"),
    ] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.clock.advance(Duration::from_millis(61_001));
        app.deliver(event, "u1").await;
        let user = app.user("u1").await;
        assert_eq!(
            (&user["status"], &user["final"]),
            (&json!(status), &json!(false))
        );
        assert_eq!(
            (&user["kycLink"], &user["source"]),
            (&Value::Null, &json!("webhook"))
        );
        let times = ["createdAt", "updatedAt", "decidedAt"].map(|field| &user[field]);
        let later = "2026-11-23T19:21:01.124Z";
        assert_eq!(times, ["2026-11-23T19:20:00.123Z", later, later]);
        app.clock.advance(Duration::from_secs(1));
        app.truth.says("u1", word, "s1");
        app.look().await;
        let confirmed = app.user("u1").await;
        assert_eq!(
            (&confirmed["status"], &confirmed["final"]),
            (&json!(status), &json!(true))
        );
        for field in ["createdAt", "decidedAt", "kycLink", "source"] {
            assert_eq!(confirmed[field], user[field], "{field}");
        }
        let checked = "2026-11-23T19:21:02.124Z";
        assert_eq!(
            (&confirmed["updatedAt"], &confirmed["asOf"]),
            (&json!(checked), &json!(checked))
        );
    }
}

#[actix_web::test]
async fn times_have_milliseconds_even_when_they_are_round() {
    let app = TestApp::new().await;
    app.clock.advance(Duration::from_micros(876_544));
    app.pending("u1").await;
    let user = app.user("u1").await;
    assert_eq!(user["createdAt"], "2026-11-23T19:20:01.000Z");
    for field in ["createdAt", "updatedAt", "linkCreatedAt"] {
        assert!(is_time(&user[field]), "{field}: {user}");
    }
}

#[actix_web::test]
async fn the_create_answer_is_the_document_and_whether_it_was_resumed() {
    let app = TestApp::new().await;
    let mut created = app.pending("u1").await;
    assert_eq!(created["resumed"], false);
    created.as_object_mut().unwrap().remove("resumed");
    assert_eq!(created, app.user("u1").await);
}

#[actix_web::test]
async fn the_link_stands_in_the_single_document_and_nowhere_else() {
    let app = TestApp::new().await;
    assert_eq!(app.pending("u1").await["kycLink"], LINK);
    app.deliver("CREATED_KYC", "u1").await;
    assert_eq!(app.user("u1").await["kycLink"], LINK);
    let partners = ["/v1/kyc/users", "/v1/kyc/users/u1/history"].map(|path| app.get(ACME, path));
    let admins = [
        "/v1/admin/users",
        "/v1/admin/users/acme/u1",
        "/v1/admin/deliveries",
    ];
    let admins = admins.map(|path| app.admin(path));
    let mut answers = futures_util::future::join_all(partners).await;
    answers.extend(futures_util::future::join_all(admins).await);
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert!(
            !answer.text.contains(LINK) && !answer.text.contains("kycLink"),
            "{answer:?}"
        );
        assert!(!answer.text.contains("startUrl"), "{answer:?}");
    }
}

#[actix_web::test]
async fn a_list_holds_the_documents_without_the_link() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let page = app.get(ACME, "/v1/kyc/users").await.json();
    assert_eq!(fields(&page), ["data", "nextCursor"]);
    assert_eq!(page["nextCursor"], Value::Null);
    assert_eq!(fields(&page["data"][0]), FIELDS);
    let document = app.user("u1").await;
    for field in &FIELDS {
        assert_eq!(page["data"][0][field], document[field], "{field}");
    }
}

#[actix_web::test]
async fn a_history_entry_has_the_fields_of_the_contract_and_no_others() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    let history = app.get(ACME, "/v1/kyc/users/u1/history").await.json();
    assert_eq!(fields(&history), ["data"]);
    for (entry, cause) in [(0, &["kind"][..]), (1, &["deliveryId", "event", "kind"])] {
        let entry = &history["data"][entry];
        assert_eq!(fields(entry), ["at", "attempt", "cause", "from", "to"]);
        assert_eq!(fields(&entry["cause"]), cause);
        assert!(is_time(&entry["at"]), "{entry}");
    }
}

#[actix_web::test]
async fn a_list_is_narrowed_by_the_status_that_is_shown() {
    let app = TestApp::new().await;
    let lives: [(&str, &[&str]); 7] = [
        ("pending", &[]),
        ("submitted", &["CREATED_KYC"]),
        ("reviewed", &["REVIEW_NEEDED_KYC"]),
        ("verified", &["VERIFIED_USER"]),
        ("rejected", &["REJECTED_KYC"]),
        ("doubted", &["VERIFIED_USER", "REJECTED_KYC"]),
        ("hoped", &["REJECTED_KYC", "VERIFIED_USER"]),
    ];
    for (user, events) in lives {
        app.pending(user).await;
        for event in events {
            app.deliver(event, user).await;
        }
    }
    for (query, expected) in [
        ("status=pending", &["pending"][..]),
        ("status=submitted", &["submitted"]),
        ("status=in_review", &["doubted", "reviewed"]),
        ("status=verified", &["verified"]),
        ("status=rejected", &["hoped", "rejected"]),
        ("needsConfirmation=true", &["doubted"]),
        ("needsConfirmation=true&status=in_review", &["doubted"]),
        ("needsConfirmation=false&status=in_review", &["reviewed"]),
        ("needsConfirmation=true&status=verified", &[]),
        ("needsConfirmation=false&limit=2", &["hoped", "rejected"]),
    ] {
        assert_eq!(list(&app, query).await, expected, "{query}");
    }
}

#[actix_web::test]
async fn a_list_is_narrowed_by_country_and_external_id() {
    let app = TestApp::new().await;
    let strange = "Zoë & 100%/+1=?#";
    for (user, external, country) in [("u1", "x", "DO"), ("u2", "X", "US"), ("u3", strange, "US")] {
        register(&app, user, external, country).await;
    }
    for (query, expected) in [
        ("country=US", &["u3", "u2"][..]),
        ("country=DO", &["u1"]),
        ("country=FR", &[]),
        ("country=us", &[]),
        ("externalUserId=x", &["u1"]),
        ("externalUserId=X", &["u2"]),
        ("externalUserId=x%25", &[]),
        ("externalUserId=X&country=DO", &[]),
        (&format!("externalUserId={}", encoded(strange)), &["u3"]),
    ] {
        assert_eq!(list(&app, query).await, expected, "{query}");
    }
}

#[actix_web::test]
async fn a_list_is_narrowed_by_the_last_change() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending(user).await;
        app.clock.advance(Duration::from_secs(60));
    }
    app.deliver("CREATED_KYC", "u1").await;
    for (since, expected) in [
        ("2026-11-23T19:20:00Z", &["u3", "u2", "u1"][..]),
        ("2026-11-23T19:21:00.124Z", &["u3", "u1"]),
        ("2026-11-23T19:22:00.123Z", &["u3", "u1"]),
        ("2026-11-23T19:23:00.123Z", &["u1"]),
        ("2026-11-23T19:23:00.124Z", &[]),
        ("2026-11-23T21:23:00.123+02:00", &["u1"]),
    ] {
        let query = format!("updatedSince={}", encoded(since));
        assert_eq!(list(&app, &query).await, expected, "{since}");
    }
}

#[actix_web::test]
async fn whoever_asks_for_changes_since_the_last_one_seen_misses_none_of_the_same_moment() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let since = app.user("u1").await["updatedAt"]
        .as_str()
        .unwrap()
        .to_owned();
    app.pending("u2").await;
    assert_eq!(
        list(&app, &format!("updatedSince={since}")).await,
        ["u2", "u1"]
    );
}

#[actix_web::test]
async fn a_page_has_fifty_users_unless_told_otherwise_and_500_at_most() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    for number in 0..51 {
        let body = json!({"userId": format!("u{number}"), "country": "DO"});
        assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
    }
    for (query, size, more) in [
        ("", 50, true),
        ("limit=1", 1, true),
        ("limit=50", 50, true),
        ("limit=51", 51, false),
        ("limit=500", 51, false),
    ] {
        let page = app
            .get(ACME, &format!("/v1/kyc/users?{query}"))
            .await
            .json();
        assert_eq!(
            (ids(&page).len(), page["nextCursor"].is_string()),
            (size, more),
            "{query}"
        );
    }
}

#[actix_web::test]
async fn pages_hold_every_user_exactly_once_while_more_are_registered() {
    let app = TestApp::new().await;
    for number in 0..7 {
        app.pending(&format!("u{number}")).await;
    }
    let (mut found, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = app
            .get(ACME, &format!("/v1/kyc/users?{query}"))
            .await
            .json();
        found.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=3&cursor={}", encoded(cursor));
        app.pending(&format!("new{}", found.len())).await;
        app.deliver("CREATED_KYC", "u0").await;
    }
    assert_eq!(found, ["u6", "u5", "u4", "u3", "u2", "u1", "u0"]);
}

#[actix_web::test]
async fn a_page_that_ends_with_the_last_user_has_no_next() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending(user).await;
    }
    app.deliver("CREATED_KYC", "u2").await;
    let page = app.get(ACME, "/v1/kyc/users?limit=3").await.json();
    assert_eq!((ids(&page).len(), &page["nextCursor"]), (3, &Value::Null));
    let page = app
        .get(ACME, "/v1/kyc/users?status=pending&limit=1")
        .await
        .json();
    let cursor = page["nextCursor"].as_str().unwrap();
    let query = format!("status=pending&limit=1&cursor={cursor}");
    let page = app
        .get(ACME, &format!("/v1/kyc/users?{query}"))
        .await
        .json();
    assert_eq!(
        (ids(&page), &page["nextCursor"]),
        (vec!["u1".to_owned()], &Value::Null)
    );
}

#[actix_web::test]
async fn a_cursor_that_we_never_gave_is_refused() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.pending("u2").await;
    let page = app.get(ACME, "/v1/kyc/users?limit=1").await.json();
    let right = page["nextCursor"].as_str().unwrap().to_owned();
    let upper = right.to_uppercase();
    let longer = format!("{right}0");
    for cursor in [
        "x",
        "",
        "0",
        "u1",
        "-1",
        "%00",
        "é",
        &right[1..],
        &upper,
        &longer,
    ] {
        let path = format!("/v1/kyc/users?cursor={}", encoded(cursor));
        let answer = app.get(ACME, &path).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_cursor".to_owned()),
            "{cursor}"
        );
    }
    assert_eq!(list(&app, &format!("cursor={right}")).await, ["u1"]);
}

#[actix_web::test]
async fn a_query_with_a_value_that_cannot_be_is_refused() {
    let app = TestApp::new().await;
    for query in [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=ten",
        "limit=",
        "limit=1.5",
        "limit=99999999999999999999",
        "status=done",
        "status=Pending",
        "status=",
        "needsConfirmation=yes",
        "needsConfirmation=",
        "updatedSince=yesterday",
        "updatedSince=2026-11-23",
        "updatedSince=2026-13-23T00:00:00Z",
        "limit=1&limit=1",
        "status=pending&status=verified",
        "external_user_id=u1",
        "Status=pending",
        "=",
    ] {
        let answer = app.get(ACME, &format!("/v1/kyc/users?{query}")).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_query".to_owned()),
            "{query}"
        );
    }
}

#[actix_web::test]
async fn an_unknown_parameter_is_refused_on_every_route() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let refused = (400, "invalid_query".to_owned());
    for query in [
        "colour=blue",
        "colour",
        "status=pending&colour=blue",
        "%63olour=",
    ] {
        for path in ["", "/u1", "/u1/history", "/nobody"] {
            let answer = app.get(ACME, &format!("/v1/kyc/users{path}?{query}")).await;
            assert_eq!(answer.problem(), refused, "{path}?{query}");
        }
        for path in ["users", "users/acme/u1", "deliveries", "stats"] {
            let answer = app.admin(&format!("/v1/admin/{path}?{query}")).await;
            assert_eq!(answer.problem(), refused, "{path}?{query}");
        }
    }
}

#[actix_web::test]
async fn an_id_may_be_percent_encoded_in_the_path() {
    let app = TestApp::new().await;
    app.pending("a:b@c~d.e_f-1").await;
    for path in [
        "a:b@c~d.e_f-1",
        "a%3Ab%40c%7Ed%2Ee%5Ff%2D1",
        "a%3ab%40c~d.e_f-%31",
    ] {
        assert_eq!(app.user(path).await["userId"], "a:b@c~d.e_f-1", "{path}");
        assert_eq!(app.history(path).await, ["1 ->pending by link"], "{path}");
    }
}

#[actix_web::test]
async fn a_user_who_is_not_there_is_404() {
    let app = TestApp::new().await;
    register(&app, "u1", "customer-1", "DO").await;
    let long = "u".repeat(900);
    for user in [
        "nobody",
        "U1",
        "u1%20",
        "%75%31%00",
        "customer-1",
        "u%25",
        "%C3%A9",
        "u1'--",
        &long,
    ] {
        for rest in ["", "/history"] {
            let answer = app.get(ACME, &format!("/v1/kyc/users/{user}{rest}")).await;
            assert_eq!(
                answer.problem(),
                (404, "user_not_found".to_owned()),
                "{user}{rest}"
            );
        }
    }
}
