//! Reading without hammering: versions of a user, waiting for the next one, and many users at once.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, select_all};
use reqwest::Method;
use serde_json::{Value, json};

use crate::events::all_streams;
use crate::support::service::Service;
use crate::support::store::populate;
use crate::support::wire::Wire;
use crate::support::{ACME, Answer, OTHER, Partner, TestApp};

/// Long before any wait in these tests is over.
const AT_ONCE: Duration = Duration::from_secs(10);

/// GET in the name of a partner who has these versions.
async fn knowing(app: &TestApp, partner: Partner, path: &str, tags: &str) -> Answer {
    let request = app.request(Method::GET, path);
    let request = request.header("partner-api-key", partner.key);
    app.send(request.header("if-none-match", tags)).await
}

#[actix_web::test]
async fn who_has_the_version_that_is_there_is_told_so_and_no_more() {
    let app = TestApp::new().await;
    let created = app.pending("u1").await;
    assert_eq!(created["version"], 2);
    let path = "/v1/kyc/users/u1";
    let whole = app.get(ACME, path).await;
    assert_eq!(whole.header("etag"), r#""1.2""#);
    for tags in [r#""1.2""#, r#"W/"1.2""#, r#""0.0", "1.2""#, "*"] {
        let answer = knowing(&app, ACME, path, tags).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (304, ""), "{tags}");
        assert_eq!(answer.header("etag"), r#""1.2""#);
    }
    app.deliver("CREATED_KYC", "u1").await;
    let changed = knowing(&app, ACME, path, r#""1.2""#).await;
    assert_eq!(
        (changed.status.as_u16(), changed.header("etag")),
        (200, r#""1.3""#)
    );
    assert_eq!(changed.json()["status"], "submitted");
    for tags in ["1.2", r#""1.2"#, ""] {
        let refused = knowing(&app, ACME, path, tags).await;
        assert_eq!(refused.problem(), (400, "bad_request".to_owned()), "{tags}");
    }
    let foreign = knowing(&app, OTHER, path, "*").await;
    assert_eq!(foreign.problem(), (404, "user_not_found".to_owned()));
}

#[actix_web::test]
async fn a_link_is_answered_with_the_version_that_a_wait_begins_with() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let asked = json!({"userId": "u1", "country": "DO"});
    let created = app.ask_for_link(ACME, &asked).await;
    let resumed = app.ask_for_link(ACME, &asked).await;
    assert_eq!(
        (created.status.as_u16(), created.header("etag")),
        (201, r#""1.2""#)
    );
    assert_eq!(
        (resumed.status.as_u16(), resumed.header("etag")),
        (200, r#""1.2""#)
    );
}

#[actix_web::test]
async fn a_wait_is_ended_by_the_commit_of_the_change_and_by_no_other() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.pending("u2").await;
    app.pending_of(OTHER, "u1").await;
    let began = Instant::now();
    let wait = knowing(&app, ACME, "/v1/kyc/users/u1?wait=60", r#""1.2""#);
    let change = async {
        app.listened_for(1).await;
        app.deliver("VERIFIED_USER", "u2").await;
        app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
        app.listened_for(1).await;
        app.deliver("CREATED_KYC", "u1").await;
    };
    let (answer, ()) = join(wait, change).await;
    assert!(began.elapsed() < AT_ONCE);
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, r#""1.3""#)
    );
    assert_eq!(answer.json()["status"], "submitted");
    app.listened_for(0).await;
}

#[actix_web::test]
async fn a_wait_without_a_change_ends_when_its_time_is_over() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let began = Instant::now();
    let answer = knowing(&app, ACME, "/v1/kyc/users/u1?wait=1", r#""1.2""#).await;
    assert_eq!(answer.status, 304);
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[actix_web::test]
async fn there_is_no_wait_for_who_does_not_have_the_version_or_does_not_say_so() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let began = Instant::now();
    let path = "/v1/kyc/users/u1?wait=60";
    assert_eq!(knowing(&app, ACME, path, r#""1.1""#).await.status, 200);
    assert_eq!(app.get(ACME, path).await.status, 200);
    assert!(began.elapsed() < AT_ONCE);
    for wait in ["61", "-1", "1.5", "long", ""] {
        let path = format!("/v1/kyc/users/u1?wait={wait}");
        let refused = knowing(&app, ACME, &path, r#""1.2""#).await;
        assert_eq!(
            refused.problem(),
            (400, "invalid_query".to_owned()),
            "{wait}"
        );
    }
}

fn waiting(partner: Partner) -> String {
    format!(
        "GET /v1/kyc/users/u1?wait=60 HTTP/1.1\r\nhost: kyc\r\npartner-api-key: {}\r\nif-none-match: \"1.2\"\r\n\r\n",
        partner.key
    )
}

#[actix_web::test]
async fn two_thousand_may_wait_beside_two_hundred_streams_and_leave_all_others_fast_and_one_more_is_refused()
 {
    kyc_tracker::web::server::raise_file_limit();
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.pending_of(OTHER, "u1").await;
    let streams = all_streams(&app).await;
    let mut wires = Vec::new();
    for _ in 0..2001 {
        let mut wire = Wire::to(&app.url).await;
        wire.say(&waiting(ACME)).await;
        wires.push(wire);
    }
    // Which one it is does not matter.
    let first = select_all(wires.iter_mut().map(|wire| Box::pin(wire.hear())));
    let (refused, place, others) = first.await;
    drop(others);
    wires.swap_remove(place);
    let refused = refused.to_lowercase();
    assert!(refused.starts_with("http/1.1 429 "), "{refused}");
    assert!(refused.contains("retry-after: 1\r\n"), "{refused}");
    assert!(refused.contains(r#""code":"rate_limited""#), "{refused}");
    let mut other = Wire::to(&app.url).await;
    other.say(&waiting(OTHER)).await;
    app.listened_for(3).await;
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(app.status("u1").await, "pending");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    app.deliver("VERIFIED_USER", "u1").await;
    let answers = join_all(wires.iter_mut().map(Wire::hear)).await;
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.contains(r#""status":"verified""#), "{answer}");
    }
    for mut stream in streams {
        stream.until(r#""to":"verified""#).await;
    }
    app.listened_for(1).await;
}

#[actix_web::test]
async fn who_leaves_does_not_wait_any_more() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let mut wire = Wire::to(&app.url).await;
    wire.say(&waiting(ACME)).await;
    app.listened_for(1).await;
    drop(wire);
    app.listened_for(0).await;
}

#[actix_web::test]
async fn a_service_that_stops_answers_those_who_wait() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, 1);
    let mut service = Service::start(&database).await;
    let mut wire = Wire::to(&service.address).await;
    let text = waiting(ACME).replace("u1", "u0").replace("1.2", "1.1");
    // The second is heard only after the first, so that the service waits when it is told to stop.
    let both = format!("{}{text}", text.replace("wait=60", "wait=0"));
    assert!(wire.ask(&both).await.starts_with("HTTP/1.1 304 "));
    service.answers_reads().await;
    let began = Instant::now();
    service.process.terminate();
    let answer = wire.hear().await;
    assert!(answer.starts_with("HTTP/1.1 304 "), "{answer}");
    assert_eq!(service.process.exit_status().await.code(), Some(0));
    assert!(began.elapsed() < AT_ONCE);
}

async fn batch(app: &TestApp, body: &Value) -> Answer {
    let request = app.request(Method::POST, "/v1/kyc/users/batch");
    app.send(request.header("partner-api-key", ACME.key).json(body))
        .await
}

#[actix_web::test]
async fn many_users_are_answered_at_once_without_links_and_nobody_elses() {
    let app = TestApp::new().await;
    for user in ["u1", "u2"] {
        app.pending(user).await;
    }
    app.pending_of(OTHER, "u3").await;
    let asked = json!({"userIds": ["u2", "u3", "u1", "nobody", "u2", ""]});
    let answer = batch(&app, &asked).await.json();
    let ids: Vec<&Value> = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| &user["userId"])
        .collect();
    assert_eq!(ids, ["u2", "u1"]);
    assert_eq!(answer["missing"], json!(["u3", "nobody", ""]));
    assert!(answer["data"][0].get("kycLink").is_none(), "{answer}");
    assert_eq!(answer["data"][0]["status"], "pending");
    let none = batch(&app, &json!({"userIds": []})).await;
    assert_eq!(none.json(), json!({"data": [], "missing": []}));
}

#[actix_web::test]
async fn a_batch_of_five_hundred_is_answered_and_what_is_none_is_refused() {
    let app = TestApp::new().await;
    let ids = |count: usize| -> Vec<String> { (0..count).map(|id| id.to_string()).collect() };
    let most = batch(&app, &json!({"userIds": ids(500)})).await;
    assert_eq!(most.json()["missing"].as_array().unwrap().len(), 500);
    for (body, field, code) in [
        (json!({"userIds": ids(501)}), "userIds", "too_many"),
        (json!({"userIds": "u1"}), "userIds", "wrong_type"),
        (json!({"userIds": [1]}), "userIds", "wrong_type"),
        (json!({}), "userIds", "required"),
        (json!({"userIds": [], "more": 1}), "", "unknown_field"),
        (json!(["u1"]), "", "not_an_object"),
    ] {
        let refused = batch(&app, &body).await;
        assert_eq!(refused.problem(), (422, "invalid_request".to_owned()));
        let error = &refused.json()["errors"][0];
        assert_eq!(
            (&error["field"], &error["code"]),
            (&json!(field), &json!(code))
        );
    }
}
