//! Further attempts: they open only once the provider has said which session was the last one.

use std::time::Duration;

use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::{ACME, Answer, TestApp};

const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const BEFORE_FINAL: (&str, &str) = ("KYC__WEBHOOKS__CONFIRM", "before_final");
const SECOND: Duration = Duration::from_secs(1);

async fn link(app: &TestApp, user: &str) -> Answer {
    app.ask_for_link(ACME, &json!({"userId": user, "country": "DO"}))
        .await
}

async fn another_link(app: &TestApp, user: &str) -> Answer {
    let body = json!({"userId": user, "country": "DO", "forceNew": true});
    app.ask_for_link(ACME, &body).await
}

fn assert_waits(answer: &Answer) {
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), "30");
}

/// What the provider says of a session that was created at that minute.
fn session(user: &str, result: &str, id: &str, minute: u32) -> Value {
    json!({"aipriseSummary": {"verificationResult": result}, "clientReferenceId": user,
        "verificationSessionId": id, "createdAt": format!("2026-11-23T12:{minute:02}:00.000Z")})
}

/// A user whose first attempt, with one link, an admin has rejected: no session of it is known.
async fn rejected_by_hand(app: &TestApp) {
    app.pending("u1").await;
    let body = json!({"status": "rejected", "reason": "Seen the papers."});
    let path = "/v1/admin/users/acme/u1/override";
    assert_eq!(app.admin_posts(path, &body).await.status, 200);
}

#[actix_web::test]
async fn an_attempt_opens_when_the_provider_has_said_twice_that_there_was_no_session() {
    let app = TestApp::new().await;
    rejected_by_hand(&app).await;
    assert_waits(&link(&app, "u1").await);
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["attempt"]),
        (&json!("rejected"), &json!(1))
    );
    app.clock.advance(SECOND * 29);
    assert_waits(&link(&app, "u1").await);
    app.clock.advance(SECOND);
    let answer = link(&app, "u1").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["attempt"]),
        (201, &json!(2))
    );
    app.truth.answers("u1", session("u1", "APPROVED", "s2", 1));
    app.deliver(VERIFIED, "u1").await;
    app.look().await;
    assert_eq!(app.user("u1").await["final"], true);
}

#[actix_web::test]
async fn after_several_links_the_session_counts_30_seconds_after_the_last() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    assert_eq!(another_link(&app, "u1").await.status, 201);
    app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    assert_waits(&link(&app, "u1").await);
    app.clock.advance(SECOND * 30);
    assert_eq!(link(&app, "u1").await.status, 201);
}

#[actix_web::test]
async fn a_call_for_a_link_without_an_answer_counts_as_one_and_a_refused_one_does_not() {
    for (status, waits) in [(504, true), (400, false)] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.capa_answers(status, "{}").await;
        let failed = another_link(&app, "u1").await;
        assert!(!failed.status.is_success());
        app.capa_gives_links().await;
        app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
        app.deliver(REJECTED, "u1").await;
        app.look().await;
        let answer = link(&app, "u1").await;
        assert_eq!(answer.status == 503, waits, "{status}");
    }
}

#[actix_web::test]
async fn an_unusable_answer_opens_no_attempt_and_lists_the_user() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    let other = session("somebody-else", "DECLINED", "s1", 1);
    app.truth.answers("u1", other);
    for _ in 0..3 {
        app.clock.advance(SECOND * 31);
        assert_waits(&link(&app, "u1").await);
    }
    let listed = app.admin("/v1/admin/users?attention=unusable").await.json();
    assert_eq!(listed["data"][0]["userId"], "u1");
    app.truth
        .fails_with(ResponseTemplate::new(404).set_body_string("<html>"));
    assert_waits(&link(&app, "u1").await);
    app.truth.recovers();
    app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
    assert_eq!(link(&app, "u1").await.status, 201);
}

#[actix_web::test]
async fn while_the_provider_is_down_no_attempt_opens() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    app.truth.fails_with(ResponseTemplate::new(500));
    assert_eq!(link(&app, "u1").await.status, 503);
    assert_eq!(app.user("u1").await["attempt"], 1);
}

#[actix_web::test]
async fn a_session_with_another_id_and_an_equal_time_is_of_the_next_attempt() {
    for settings in [&[][..], &[BEFORE_FINAL]] {
        let app = TestApp::with(settings).await;
        app.pending("u1").await;
        app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
        app.deliver(REJECTED, "u1").await;
        app.look().await;
        assert_eq!(link(&app, "u1").await.status, 201);
        app.truth.answers("u1", session("u1", "APPROVED", "s2", 1));
        app.deliver(VERIFIED, "u1").await;
        app.look().await;
        assert_eq!(app.user("u1").await["final"], true);
    }
}

#[actix_web::test]
async fn an_answer_without_a_session_is_unusable_after_the_first_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.answers("u1", session("u1", "DECLINED", "s1", 1));
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    assert_eq!(link(&app, "u1").await.status, 201);
    let mut nameless = session("u1", "APPROVED", "s2", 2);
    nameless["verificationSessionId"] = Value::Null;
    app.truth.answers("u1", nameless);
    app.deliver(VERIFIED, "u1").await;
    app.pass(SECOND * 40).await;
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(app.looks("u1").await["unusable"], "no_session");
}

#[actix_web::test]
async fn after_a_change_from_never_only_a_session_created_after_the_attempt_opened_counts() {
    let never = [("KYC__WEBHOOKS__CONFIRM", "never")];
    let mut app = TestApp::with(&never).await;
    app.pending("u1").await;
    app.deliver(REJECTED, "u1").await;
    assert_eq!(link(&app, "u1").await.status, 201);
    app.restart_with(&[]).await;
    app.truth.answers("u1", session("u1", "APPROVED", "s1", 1));
    app.deliver(VERIFIED, "u1").await;
    app.pass(SECOND * 40).await;
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(app.looks("u1").await["conflict"], true);
    let mut younger = session("u1", "APPROVED", "s2", 1);
    younger["createdAt"] = json!("2026-11-23T19:20:10.000Z");
    app.truth.answers("u1", younger);
    app.pass(SECOND * 600).await;
    assert_eq!(app.user("u1").await["final"], true);
}
