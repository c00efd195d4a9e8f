//! Looks at the provider as seen from outside: what they settle, when they come, and what stops them.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::truth::DETAILS_PATH;
use crate::support::{ACME, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a reader is told: status, whether it is final, whether it waits for confirmation, what moved it last.
async fn told(app: &TestApp, user: &str) -> (String, bool, bool, String) {
    let user = app.user(user).await;
    let text = |field: &str| user[field].as_str().unwrap().to_owned();
    let flag = |field: &str| user[field].as_bool().unwrap();
    (
        text("status"),
        flag("final"),
        flag("needsConfirmation"),
        text("source"),
    )
}

fn as_told(
    status: &str,
    is_final: bool,
    doubted: bool,
    source: &str,
) -> (String, bool, bool, String) {
    (status.to_owned(), is_final, doubted, source.to_owned())
}

async fn asked(app: &TestApp) -> usize {
    app.calls_to(DETAILS_PATH).await
}

async fn new_link(app: &TestApp, user: &str) -> u16 {
    let body = json!({"userId": user, "country": "DO", "forceNew": true});
    app.ask_for_link(ACME, &body).await.status.as_u16()
}

/// A user of acme who was verified by webhook and by the provider.
async fn verified(app: &TestApp, user: &str) {
    app.pending(user).await;
    app.truth.says(user, "APPROVED", "s1");
    app.deliver(VERIFIED, user).await;
    app.pass(HOUR).await;
    assert_eq!(app.status(user).await, "verified");
}

#[actix_web::test]
async fn a_verdict_whose_webhook_was_lost_is_found_within_a_minute_or_two() {
    for (word, status) in [("VERIFIED", "verified"), ("DECLINED", "rejected")] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.truth.says("u1", word, "s1");
        app.look().await;
        assert_eq!(app.status("u1").await, "pending");
        app.pass(MINUTE * 11 / 10).await;
        assert_eq!(
            told(&app, "u1").await,
            as_told(status, true, false, "provider")
        );
        let line = format!("1 pending>{status} by provider");
        assert_eq!(app.history("u1").await.last(), Some(&line));
    }
}

#[actix_web::test]
async fn looks_at_a_user_nobody_hears_of_become_rarer_and_weekly_after_a_month() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.pass(2 * HOUR).await;
    let first = asked(&app).await;
    assert!((4..=5).contains(&first), "{first}");
    app.pass(DAY).await;
    let daily = asked(&app).await - first;
    assert!((3..=5).contains(&daily), "{daily}");
    assert_eq!(app.looks("u1").await["stalled"], false);
    app.pass(29 * DAY + 7 * HOUR).await;
    assert_eq!(app.looks("u1").await["stalled"], true);
    let stalled = app.admin("/v1/admin/users?attention=stalled").await.json();
    assert_eq!(stalled["data"][0]["userId"], "u1");
    let before = asked(&app).await;
    app.pass(7 * DAY).await;
    assert!(asked(&app).await - before <= 1);
    app.truth.says("u1", "VERIFIED", "s1");
    app.deliver(CREATED, "u1").await;
    app.look().await;
    assert_eq!(app.status("u1").await, "verified");
    assert_eq!(app.looks("u1").await["stalled"], false);
}

#[actix_web::test]
async fn every_webhook_is_followed_by_four_looks_and_then_a_daily_one() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    let mut looks = vec![app.look().await];
    for seconds in [29, 5, 250, 50, 1700, 300] {
        app.pass(Duration::from_secs(seconds)).await;
        looks.push(asked(&app).await);
    }
    assert_eq!(looks, [1, 1, 2, 2, 3, 3, 4]);
    app.pass(DAY * 9 / 10).await;
    assert_eq!(asked(&app).await, 4);
    app.pass(DAY / 5).await;
    assert_eq!(asked(&app).await, 5);
}

#[actix_web::test]
async fn bad_news_that_the_provider_confirms_becomes_the_status() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("in_review", false, true, "webhook")
    );
    app.look().await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("rejected", true, false, "provider")
    );
}

#[actix_web::test]
async fn bad_news_that_the_provider_denies_is_lifted_only_by_a_later_look() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    app.deliver(REJECTED, "u1").await;
    assert_eq!(app.look().await, 1);
    assert_eq!(
        told(&app, "u1").await,
        as_told("in_review", false, true, "webhook")
    );
    app.pass(Duration::from_secs(34)).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", true, false, "provider")
    );
    assert_eq!(app.looks("u1").await["conflict"], false);
    app.pass(HOUR).await;
    assert_eq!(app.looks("u1").await["conflict"], true);
    let listed = app.admin("/v1/admin/users?attention=conflict").await.json();
    assert_eq!(listed["data"][0]["userId"], "u1");
    assert_eq!(app.status("u1").await, "verified");
}

#[actix_web::test]
async fn good_news_about_a_rejected_user_counts_when_the_provider_agrees() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("rejected", false, false, "webhook")
    );
    app.look().await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", true, false, "provider")
    );
}

#[actix_web::test]
async fn a_verdict_that_the_provider_took_back_without_a_word_is_found_within_a_day() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.pass(DAY * 11 / 10).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("rejected", true, false, "provider")
    );
}

#[actix_web::test]
async fn while_the_provider_is_down_a_contradicted_user_stays_in_doubt_and_settles_when_it_is_back()
{
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.truth.fails_with(ResponseTemplate::new(503));
    app.deliver(REJECTED, "u1").await;
    app.pass(3 * HOUR).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("in_review", false, true, "webhook")
    );
    assert!(app.looks("u1").await["failures"].as_i64().unwrap() > 20);
    app.truth.recovers();
    app.pass(MINUTE * 6).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("rejected", true, false, "provider")
    );
}

#[actix_web::test]
async fn with_confirm_before_final_verified_counts_once_the_provider_says_so() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "before_final")]).await;
    app.pending("u1").await;
    app.truth.says("u1", "UNKNOWN", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.look().await;
    assert_eq!(app.status("u1").await, "pending");
    app.truth.says("u1", "VERIFIED", "s1");
    app.pass(Duration::from_secs(34)).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", true, false, "provider")
    );
}

#[actix_web::test]
async fn a_verified_that_nothing_confirms_does_not_stand() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "UNKNOWN", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.pass(Duration::from_secs(29)).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", false, false, "webhook")
    );
    app.pass(Duration::from_secs(5)).await;
    let doubted = as_told("in_review", false, true, "provider");
    assert_eq!(told(&app, "u1").await, doubted);
    app.pass(DAY * 2).await;
    assert_eq!(told(&app, "u1").await, doubted);
    assert_eq!(app.looks("u1").await["unconfirmed"], "denied");
}

#[actix_web::test]
async fn a_newer_session_without_a_verdict_doubts_a_verified_user_after_a_day_only() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    app.truth.says("u1", "UNKNOWN", "s2");
    app.pass(DAY * 11 / 10).await;
    assert_eq!(app.status("u1").await, "verified");
    app.pass(DAY * 12 / 10).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("in_review", false, true, "provider")
    );
    app.truth.says("u1", "APPROVED", "s2");
    app.pass(DAY).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", true, false, "provider")
    );
}

#[actix_web::test]
async fn an_unknown_word_changes_nothing_and_lists_the_user_for_the_admin() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    let before = app.user("u1").await;
    app.truth.says("u1", "PARTIALLY_APPROVED", "s1");
    app.pass(2 * DAY).await;
    assert_eq!(app.user("u1").await, before);
    let looks = app.looks("u1").await;
    assert_eq!(looks["providerWord"], "APPROVED");
    assert_eq!(looks["unusable"], "unknown_word");
    assert!(looks["failures"].as_i64().unwrap() > 1, "{looks}");
    let listed = app.admin("/v1/admin/users?attention=unusable").await;
    assert_eq!(listed.json()["data"][0]["userId"], "u1");
    app.truth.says("u1", "APPROVED", "s1");
    app.pass(DAY).await;
    assert_eq!(app.looks("u1").await["unusable"], Value::Null);
    let listed = app.admin("/v1/admin/users?attention=unusable").await;
    assert_eq!(listed.json()["data"], json!([]));
}

#[actix_web::test]
async fn an_answer_about_another_user_or_an_outdated_one_is_discarded() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.answers(
        "u1",
        json!({"aipriseSummary": {"verificationResult": "APPROVED"}, "clientReferenceId": "u2", "verificationSessionId": "s1"}),
    );
    app.pass(HOUR).await;
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(app.looks("u1").await["unusable"], "other_reference");
    app.truth.says("u1", "REVIEW", "s2");
    app.deliver(CREATED, "u1").await;
    app.look().await;
    assert_eq!(app.status("u1").await, "in_review");
    app.truth.says("u1", "APPROVED", "s1");
    app.pass(HOUR).await;
    assert_eq!(app.status("u1").await, "in_review");
    assert_eq!(app.looks("u1").await["unusable"], "older_session");
}

#[actix_web::test]
async fn a_session_of_an_earlier_attempt_says_nothing_about_this_one() {
    let app = TestApp::new().await;
    verified(&app, "u1").await;
    assert_eq!(new_link(&app, "u1").await, 201);
    app.pass(DAY).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("pending", false, false, "link")
    );
    app.deliver(VERIFIED, "u1").await;
    app.pass(HOUR).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("pending", false, false, "link")
    );
    assert_eq!(app.looks("u1").await["held"], "verified");
    app.truth.says("u1", "APPROVED", "s2");
    app.pass(DAY).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("verified", true, false, "provider")
    );
}

#[actix_web::test]
async fn a_session_that_no_look_had_met_is_noted_before_the_next_link_is_asked_for() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.capa_gives_links().await;
    assert_eq!(new_link(&app, "u1").await, 201);
    let paths: Vec<String> = app
        .capa
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|r| r.url.path().to_owned())
        .collect();
    assert_eq!(paths, [DETAILS_PATH, crate::support::LINK_PATH]);
    app.pass(DAY).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("pending", false, false, "link")
    );
}

#[actix_web::test]
async fn without_knowing_the_session_before_no_further_link_is_asked_for() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    app.capa_gives_links().await;
    app.truth.fails_with(ResponseTemplate::new(500));
    let body = json!({"userId": "u1", "country": "DO"});
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(app.calls().await, 0);
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["attempt"], &user["kycLink"]),
        (&json!("rejected"), &json!(1), &Value::Null)
    );
    app.truth.recovers();
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(app.calls().await, 0);
    assert_eq!(app.ask_for_link_at_last(ACME, &body).await.status, 201);
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn an_attempt_whose_link_could_not_be_made_does_not_inherit_the_verdict_of_the_one_before() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    app.capa_answers(500, "{}").await;
    assert_eq!(new_link(&app, "u1").await, 503);
    assert_eq!(app.user("u1").await["attempt"], 2);
    app.truth.says("u1", "APPROVED", "s1");
    app.pass(DAY).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("pending", false, false, "link")
    );
    assert_eq!(app.user("u1").await["attempt"], 2);
}

#[actix_web::test]
async fn an_old_created_counts_in_the_next_attempt_only_if_the_provider_has_a_new_session() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    for event in [CREATED, REJECTED] {
        app.deliver(event, "u1").await;
    }
    app.look().await;
    assert_eq!(new_link(&app, "u1").await, 201);
    let before = app.user("u1").await;
    app.deliver(CREATED, "u1").await;
    app.look().await;
    let mut after = app.user("u1").await;
    after["asOf"] = before["asOf"].clone();
    assert_eq!(after, before);
    app.truth.says("u1", "UNKNOWN", "s2");
    app.deliver(CREATED, "u1").await;
    app.pass(Duration::from_secs(11)).await;
    assert_eq!(
        told(&app, "u1").await,
        as_told("submitted", false, false, "provider")
    );
}

#[actix_web::test]
async fn a_thousand_repeats_in_ten_seconds_cause_six_looks_at_most() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    let body = kyc_event(VERIFIED, "u1");
    let signature = sign(ACME.secret, body.as_bytes());
    for _ in 0..1000 {
        let answer = app.deliver_raw(ACME.id, body.clone(), &[&signature]).await;
        assert_eq!(answer.status, 204);
        app.clock.advance(Duration::from_millis(10));
        app.look().await;
    }
    let during = asked(&app).await;
    app.pass(HOUR).await;
    let all = asked(&app).await;
    assert!(during <= 2 && (3..=6).contains(&all), "{during} then {all}");
    assert_eq!(app.history("u1").await.len(), 2);
}

#[actix_web::test]
async fn with_confirm_never_the_provider_is_never_asked_about_anybody() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    app.pending("u1").await;
    for event in [CREATED, REJECTED, VERIFIED] {
        app.deliver(event, "u1").await;
    }
    assert_eq!(new_link(&app, "u1").await, 201);
    app.pass(DAY).await;
    assert_eq!(asked(&app).await, 0);
    let answer = app.get(ACME, "/v1/kyc/users/u1?maxAge=1").await;
    assert_eq!(answer.problem(), (400, "invalid_query".to_owned()));
}

#[actix_web::test]
async fn a_foreign_user_does_not_keep_the_others_from_being_looked_at() {
    let app = TestApp::new().await;
    for user in ["u1", "u2"] {
        app.pending(user).await;
    }
    app.truth.says("u2", "APPROVED", "s1");
    let foreign = json!({"success": false, "error": {"code": "UNAUTHORIZED", "message": "Partner information"}});
    app.truth
        .fails_with(ResponseTemplate::new(401).set_body_json(&foreign));
    app.deliver(CREATED, "u1").await;
    for _ in 0..20 {
        app.pass(MINUTE / 2).await;
        app.deliver(CREATED, "u1").await;
        app.truth.recovers();
        if app.status("u2").await == "verified" {
            return;
        }
    }
    panic!("u2 was never looked at");
}

#[actix_web::test]
async fn the_provider_is_left_alone_for_as_long_as_it_asks_for() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let busy = ResponseTemplate::new(429).insert_header("retry-after", "600");
    app.truth.fails_with(busy);
    app.deliver(CREATED, "u1").await;
    app.look().await;
    app.pass(MINUTE * 9).await;
    assert_eq!(asked(&app).await, 1);
    app.pass(MINUTE * 2).await;
    assert_eq!(asked(&app).await, 2);
}

#[actix_web::test]
async fn changes_of_which_no_webhook_speaks_are_reported_until_one_comes() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending(user).await;
        app.truth.says(user, "APPROVED", "s1");
    }
    let silent = async || {
        let stats = app.admin("/v1/admin/stats").await.json();
        stats["partners"]["acme"]["noWebhooksHeard"]
            .as_bool()
            .unwrap()
    };
    assert!(!silent().await);
    app.pass(MINUTE * 2).await;
    assert!(silent().await);
    app.deliver(VERIFIED, "u1").await;
    assert!(!silent().await);
}
