//! Verdicts that a webhook set and no check has confirmed: how long they stand, how many, and who sees the doubt.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use kyc_tracker::db::users;
use kyc_tracker::import::{self, Entry};
use kyc_tracker::kyc::status::Status;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::{ACME, Answer, OTHER, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const REVIEW: &str = "REVIEW_NEEDED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const BEFORE_FINAL: (&str, &str) = ("KYC__WEBHOOKS__CONFIRM", "before_final");

/// What a reader is told: status, whether it is final, whether it needs confirmation.
async fn told(app: &TestApp, user: &str) -> (String, bool, bool) {
    read(&app.user(user).await)
}

fn read(user: &Value) -> (String, bool, bool) {
    let flag = |field: &str| user[field].as_bool().unwrap();
    let status = user["status"].as_str().unwrap().to_owned();
    (status, flag("final"), flag("needsConfirmation"))
}

fn as_told(status: &str, is_final: bool, doubted: bool) -> (String, bool, bool) {
    (status.to_owned(), is_final, doubted)
}

async fn link(app: &TestApp, user: &str) -> Answer {
    app.ask_for_link(ACME, &json!({"userId": user, "country": "DO"}))
        .await
}

async fn max_age(app: &TestApp, user: &str) -> Answer {
    app.get(ACME, &format!("/v1/kyc/users/{user}?maxAge=0"))
        .await
}

async fn attention(app: &TestApp, reason: &str) -> Vec<String> {
    let path = format!("/v1/admin/users?attention={reason}");
    let listed = app.admin(&path).await.json();
    let users = listed["data"].as_array().unwrap().iter();
    users
        .map(|user| user["userId"].as_str().unwrap().to_owned())
        .collect()
}

/// Delivers an event signed with the other secret, which is a signature that was not seen before.
async fn deliver_afresh(app: &TestApp, event: &str, user: &str) {
    let body = kyc_event(event, user);
    let signature = sign(ACME.old_secret, body.as_bytes());
    assert_eq!(
        app.deliver_raw(ACME.id, body, &[&signature]).await.status,
        204
    );
}

#[actix_web::test]
async fn a_forged_verified_that_the_provider_does_not_know_reads_in_review_after_40_seconds() {
    let null = json!({"aipriseSummary": {"verificationResult": null}, "clientReferenceId": "null",
        "verificationSessionId": "s1", "createdAt": "2026-11-23T11:00:00.000Z"});
    let app = TestApp::new().await;
    app.truth.says("unknown", "UNKNOWN", "s1");
    app.truth.answers("null", null);
    for user in ["absent", "unknown", "null"] {
        app.pending(user).await;
        app.deliver(VERIFIED, user).await;
        app.look().await;
        assert_eq!(told(&app, user).await, as_told("verified", false, false));
        assert_eq!(
            max_age(&app, user).await.problem(),
            (503, "not_confirmed".to_owned())
        );
    }
    app.pass(SECOND * 34).await;
    for user in ["absent", "unknown", "null"] {
        assert_eq!(
            told(&app, user).await,
            as_told("in_review", false, true),
            "{user}"
        );
        assert_eq!(
            max_age(&app, user).await.problem(),
            (503, "not_confirmed".to_owned())
        );
        assert_eq!(app.looks(user).await["unconfirmed"], "denied");
    }
    assert_eq!(attention(&app, "unconfirmed").await.len(), 3);
    let line = "1 verified>in_review by provider".to_owned();
    assert_eq!(app.history("absent").await.last(), Some(&line));
}

#[actix_web::test]
async fn a_forged_verified_reads_in_review_after_unconfirmed_for_where_no_answer_is_usable() {
    let app = TestApp::new().await;
    app.truth.says("word", "PARTIALLY_APPROVED", "s1");
    app.pending("word").await;
    app.deliver(VERIFIED, "word").await;
    app.pass(SECOND * 299).await;
    assert_eq!(told(&app, "word").await, as_told("verified", false, false));
    assert_eq!(
        max_age(&app, "word").await.problem(),
        (503, "not_confirmed".to_owned())
    );
    app.clock.advance(SECOND);
    assert_eq!(told(&app, "word").await, as_told("in_review", false, true));
    assert_eq!(attention(&app, "unusable").await, ["word"]);
    assert_eq!(app.looks("word").await["unusable"], "unknown_word");

    let app = TestApp::with(&[("KYC__WEBHOOKS__UNCONFIRMED_FOR", "45s")]).await;
    app.truth.fails_with(ResponseTemplate::new(503));
    app.pending("down").await;
    app.deliver(VERIFIED, "down").await;
    app.pass(SECOND * 44).await;
    assert_eq!(told(&app, "down").await.0, "verified");
    app.pass(SECOND).await;
    assert_eq!(told(&app, "down").await, as_told("in_review", false, true));
    assert_eq!(max_age(&app, "down").await.status, 503);
}

#[actix_web::test]
async fn the_doubt_by_time_is_seen_before_it_is_written_down_and_reads_the_same_after() {
    let app = TestApp::new().await;
    app.truth.fails_with(ResponseTemplate::new(503));
    app.pending("u1").await;
    app.deliver(VERIFIED, "u1").await;
    let before = app.get(ACME, "/v1/kyc/users/u1").await;
    app.clock.advance(MINUTE * 5);
    let unwritten = app.get(ACME, "/v1/kyc/users/u1").await;
    assert_eq!(read(&unwritten.json()), as_told("in_review", false, true));
    let version = |answer: &Answer| answer.json()["version"].as_i64().unwrap();
    assert_eq!(version(&unwritten), version(&before) + 1);
    assert_ne!(unwritten.header("etag"), before.header("etag"));
    for (filter, listed) in [
        ("status=verified", 0),
        ("status=in_review", 1),
        ("needsConfirmation=true", 1),
        ("needsConfirmation=false", 0),
        ("updatedSince=2026-11-23T19:24:30Z", 1),
        ("updatedSince=2026-11-23T19:25:01Z", 0),
    ] {
        let path = format!("/v1/kyc/users?{filter}");
        let list = app.get(ACME, &path).await.json();
        assert_eq!(list["data"].as_array().unwrap().len(), listed, "{filter}");
    }
    let batch = app.request(reqwest::Method::POST, "/v1/kyc/users/batch");
    let batch = batch.header("partner-api-key", ACME.key);
    let batch = app
        .send(batch.json(&json!({"userIds": ["u1"]})))
        .await
        .json();
    assert_eq!(batch["data"][0]["status"], "in_review");
    assert_eq!(attention(&app, "unconfirmed").await, ["u1"]);
    app.look().await;
    let written = app.get(ACME, "/v1/kyc/users/u1").await;
    assert_eq!(written.json(), unwritten.json());
    assert_eq!(written.header("etag"), unwritten.header("etag"));
    let line = "1 verified>in_review by provider".to_owned();
    assert_eq!(app.history("u1").await.last(), Some(&line));
}

#[actix_web::test]
async fn whatever_writes_a_user_first_writes_the_doubt_down_before() {
    let app = TestApp::new().await;
    app.truth.fails_with(ResponseTemplate::new(503));
    app.pending("u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.clock.advance(MINUTE * 5);
    app.deliver(REJECTED, "u1").await;
    let history = app.history("u1").await;
    assert_eq!(history[2..], ["1 verified>in_review by provider"]);
    assert_eq!(told(&app, "u1").await, as_told("in_review", false, true));
    assert_eq!(app.looks("u1").await["held"], "rejected");
}

#[actix_web::test]
async fn the_first_check_that_agrees_lifts_the_doubt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.pass(SECOND * 34).await;
    assert_eq!(told(&app, "u1").await.0, "in_review");
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.pass(SECOND * 11).await;
    assert_eq!(told(&app, "u1").await, as_told("verified", true, false));
    assert_eq!(max_age(&app, "u1").await.status, 200);
}

#[actix_web::test]
async fn a_verdict_is_final_once_a_check_agrees_and_that_makes_a_version() {
    for (event, word, status) in [
        (VERIFIED, "APPROVED", "verified"),
        (REJECTED, "DECLINED", "rejected"),
    ] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.truth.says("u1", word, "s1");
        app.deliver(event, "u1").await;
        let before = app.user("u1").await;
        assert_eq!(read(&before), as_told(status, false, false));
        app.look().await;
        let after = app.user("u1").await;
        assert_eq!(read(&after), as_told(status, true, false));
        assert_eq!(after["version"], before["version"].as_i64().unwrap() + 1);
        assert!(after["asOf"].is_string());
    }
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    app.pending("u1").await;
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(told(&app, "u1").await, as_told("verified", true, false));
}

#[actix_web::test]
async fn no_more_than_the_cap_read_verified_unconfirmed_and_the_others_wait_for_their_check() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__UNCONFIRMED_AT_MOST", "3")]).await;
    let users: Vec<String> = (0..8).map(|number| format!("u{number}")).collect();
    for user in &users {
        app.pending(user).await;
    }
    for user in &users {
        assert_eq!(app.deliver(VERIFIED, user).await.status, 204);
    }
    let verified = app.get(ACME, "/v1/kyc/users?status=verified").await.json();
    assert_eq!(verified["data"].as_array().unwrap().len(), 3);
    assert_eq!(attention(&app, "held").await.len(), 5);
    // The cap is the partner's own.
    app.pending_of(OTHER, "u0").await;
    app.deliver_to(OTHER, VERIFIED, "u0").await;
    let other = app.get(OTHER, "/v1/kyc/users/u0").await.json();
    assert_eq!(other["status"], "verified");
    let metrics = app.admin("/metrics").await.text;
    assert!(metrics.contains(r#"kyc_tracker_unconfirmed_cap_reached_total{partner="acme"} 5"#));
    assert!(
        metrics.contains(r#"kyc_tracker_unconfirmed_users{partner="acme"} 3"#),
        "{metrics}"
    );
    // Those whom a check denied take their places for an hour.
    app.pass(MINUTE).await;
    app.pending("late").await;
    app.deliver(VERIFIED, "late").await;
    assert_eq!(app.status("late").await, "pending");
    app.pass(MINUTE * 61).await;
    app.pending("later").await;
    app.deliver(VERIFIED, "later").await;
    assert_eq!(app.status("later").await, "verified");
    // Whoever waits is verified by its check.
    app.truth.says("late", "APPROVED", "s1");
    app.deliver(CREATED, "late").await;
    app.pass(MINUTE).await;
    assert_eq!(told(&app, "late").await, as_told("verified", true, false));
}

#[actix_web::test]
async fn a_cap_of_none_lets_no_webhook_verify_anybody() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__UNCONFIRMED_AT_MOST", "0")]).await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(app.status("u1").await, "pending");
    app.look().await;
    assert_eq!(told(&app, "u1").await, as_told("verified", true, false));
}

#[actix_web::test]
async fn a_user_whose_verdict_the_provider_denies_may_have_a_link_of_the_current_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let start = app.user("u1").await["startUrl"].clone();
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(
        link(&app, "u1").await.problem(),
        (409, "already_verified".to_owned())
    );
    app.pass(SECOND * 34).await;
    let answer = link(&app, "u1").await;
    assert_eq!(answer.status, 201);
    let user = answer.json();
    assert_eq!(
        (&user["attempt"], &user["status"]),
        (&json!(1), &json!("in_review"))
    );
    assert!(user["kycLink"].is_string());
    assert_eq!(user["startUrl"], start);
    let path = start.as_str().unwrap().rsplit_once("/start/").unwrap().1;
    let page = app.request(reqwest::Method::GET, &format!("/start/{path}"));
    assert_eq!(app.send(page).await.status, 303);
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(CREATED, "u1").await;
    app.pass(SECOND * 34).await;
    let user = app.user("u1").await;
    assert_eq!(read(&user), as_told("verified", true, false));
    assert_eq!(user["kycLink"], Value::Null);
}

#[actix_web::test]
async fn a_doubt_by_time_alone_gives_no_link() {
    let app = TestApp::new().await;
    app.truth.fails_with(ResponseTemplate::new(503));
    app.pending("u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.pass(MINUTE * 6).await;
    assert_eq!(told(&app, "u1").await.0, "in_review");
    assert_eq!(
        link(&app, "u1").await.problem(),
        (409, "already_verified".to_owned())
    );
}

#[actix_web::test]
async fn a_late_verified_of_attempt_1_never_verifies_attempt_2() {
    for settings in [&[][..], &[BEFORE_FINAL]] {
        let app = TestApp::with(settings).await;
        app.pending("u1").await;
        app.truth.says("u1", "DECLINED", "s1");
        app.deliver(REJECTED, "u1").await;
        app.look().await;
        assert_eq!(link(&app, "u1").await.status, 201);
        app.truth.says("u1", "UNKNOWN", "s2");
        app.deliver(VERIFIED, "u1").await;
        for _ in 0..60 {
            assert_ne!(app.status("u1").await, "verified");
            app.pass(MINUTE).await;
        }
        app.truth.says("u1", "APPROVED", "s2");
        app.deliver(VERIFIED, "u1").await;
        app.look().await;
        assert_eq!(told(&app, "u1").await, as_told("verified", true, false));
    }
}

#[actix_web::test]
async fn a_late_rejection_of_attempt_1_does_not_reject_attempt_2() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.pass(MINUTE * 2).await;
    assert_eq!(told(&app, "u1").await, as_told("rejected", true, false));
    assert_eq!(link(&app, "u1").await.status, 201);
    app.deliver(REJECTED, "u1").await;
    app.pass(MINUTE).await;
    assert_eq!(app.user("u1").await["attempt"], 2);
    assert_eq!(told(&app, "u1").await, as_told("pending", false, false));
}

#[actix_web::test]
async fn once_any_verdict_was_heard_a_further_one_waits_for_its_check() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.truth.says("u1", "REVIEW", "s1");
    app.pass(MINUTE).await;
    assert_eq!(app.status("u1").await, "in_review");
    deliver_afresh(&app, VERIFIED, "u1").await;
    assert_eq!(app.status("u1").await, "in_review");
    assert_eq!(app.looks("u1").await["held"], "verified");
}

#[actix_web::test]
async fn an_old_review_says_nothing_new_of_a_verdict_until_a_late_check() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "REVIEW", "s1");
    app.deliver(REVIEW, "u1").await;
    app.look().await;
    app.deliver(VERIFIED, "u1").await;
    app.look().await;
    assert_eq!(told(&app, "u1").await, as_told("verified", false, false));
    app.pass(SECOND * 34).await;
    assert_eq!(told(&app, "u1").await, as_told("in_review", false, false));
}

#[actix_web::test]
async fn a_rejection_that_the_provider_does_not_know_is_flagged_by_a_late_check() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    assert!(attention(&app, "conflict").await.is_empty());
    app.pass(SECOND * 34).await;
    assert_eq!(attention(&app, "conflict").await, ["u1"]);
    app.truth.says("u1", "DECLINED", "s1");
    app.pass(MINUTE * 10).await;
    assert!(attention(&app, "conflict").await.is_empty());
    assert_eq!(told(&app, "u1").await, as_told("rejected", true, false));
}

#[actix_web::test]
async fn every_imported_verified_user_still_reads_verified_after_ten_minutes() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__UNCONFIRMED_AT_MOST", "0")]).await;
    let entries: Vec<Entry> = (0..10_000)
        .map(|number| Entry {
            user_id: format!("u{number}"),
            external_user_id: format!("e{number}"),
            country: "DO",
            status: Status::Verified,
        })
        .collect();
    let (clock, believed) = (
        app.clock.clone(),
        app.app.believed(&app.app.config.partners[0]),
    );
    let load = move |conn: &mut _| import::users(conn, &clock, &believed, ACME.id, &entries);
    app.db().write(load).await.unwrap();
    app.pass(MINUTE * 10).await;
    let counted = app.db().read(users::counts).await.unwrap();
    assert_eq!(counted[0].shown(Status::Verified), 10_000);
    let user = app.user("u9999").await;
    assert_eq!(read(&user), as_told("verified", true, false));
}
