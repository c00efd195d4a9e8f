//! How far webhooks are trusted: leaked secrets, deliveries before registration, the policy of each partner and its change.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use kyc_tracker::distrust::{Distrust, Done};
use serde_json::{Value, json};

use crate::support::{ACME, OTHER, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const MINUTE: Duration = Duration::from_secs(60);
const NEVER: (&str, &str) = ("KYC__WEBHOOKS__CONFIRM", "never");
/// Acme's settings without the previous secret.
const CURRENT_ONLY: (&str, &str) = ("KYC__PARTNERS__0__WEBHOOK_SECRETS", ACME.secret);

async fn deliver_with(app: &TestApp, secret: &str, event: &str, user: &str) {
    let body = kyc_event(event, user);
    let signature = sign(secret, body.as_bytes());
    assert_eq!(
        app.deliver_raw(ACME.id, body, &[&signature]).await.status,
        204
    );
}

async fn told(app: &TestApp, user: &str) -> (String, bool) {
    let user = app.user(user).await;
    let status = user["status"].as_str().unwrap().to_owned();
    (status, user["final"].as_bool().unwrap())
}

async fn override_to(app: &TestApp, user: &str, status: &str) {
    let path = format!("/v1/admin/users/acme/{user}/override");
    let body = json!({"status": status, "reason": "Seen the papers."});
    assert_eq!(app.admin_posts(&path, &body).await.status, 200);
}

/// The label under which deliveries of the previous secret stand.
async fn label(app: &TestApp) -> String {
    let deliveries = app.admin("/v1/admin/deliveries").await.json();
    deliveries["data"][0]["secret"].as_str().unwrap().to_owned()
}

/// Distrusts what that secret of acme's has signed since then.
async fn distrust(app: &TestApp, label: &str, since: &str) -> Done {
    let distrust = Distrust {
        partner: ACME.id.to_owned(),
        secret: label.to_owned(),
        since: since.parse().unwrap(),
    };
    let (clock, trust) = (app.clock.clone(), app.app.config.webhooks);
    let all = move |conn: &mut _| {
        let (mut done, mut after) = (Done::default(), None);
        loop {
            let last: Option<String> = after;
            after = kyc_tracker::distrust::some(
                conn,
                &clock,
                trust,
                &distrust,
                last.as_deref(),
                &mut done,
            )?;
            if after.is_none() {
                return Ok(done);
            }
        }
    };
    app.db().write(all).await.unwrap()
}

#[actix_web::test]
async fn a_verified_that_was_planted_before_registration_verifies_nobody_without_a_check() {
    let app = TestApp::new().await;
    app.deliver(CREATED, "u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.pending("u1").await;
    assert_eq!(told(&app, "u1").await, ("submitted".to_owned(), false));
    assert_eq!(app.looks("u1").await["held"], "verified");
    app.pass(MINUTE).await;
    assert_ne!(app.status("u1").await, "verified");
    // It was heard, so that a further one waits for its check too.
    deliver_with(&app, ACME.old_secret, VERIFIED, "u1").await;
    assert_ne!(app.status("u1").await, "verified");
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.pass(MINUTE).await;
    assert_eq!(told(&app, "u1").await, ("verified".to_owned(), true));
}

#[actix_web::test]
async fn what_a_secret_signed_that_is_not_configured_any_more_is_never_applied() {
    let mut app = TestApp::new().await;
    deliver_with(&app, ACME.old_secret, CREATED, "u1").await;
    deliver_with(&app, ACME.old_secret, VERIFIED, "u1").await;
    app.restart_with(&[CURRENT_ONLY]).await;
    app.pending("u1").await;
    assert_eq!(told(&app, "u1").await, ("pending".to_owned(), false));
    assert_eq!(app.looks("u1").await["held"], Value::Null);
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(
        app.status("u1").await,
        "pending",
        "a verdict was heard before"
    );
}

#[actix_web::test]
async fn where_nothing_is_checked_an_unmatched_verdict_is_applied() {
    let app = TestApp::with(&[NEVER]).await;
    app.deliver(VERIFIED, "u1").await;
    app.capa_gives_links().await;
    let body = json!({"userId": "u1", "country": "DO"});
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.problem(), (409, "already_verified".to_owned()));
    assert_eq!(told(&app, "u1").await, ("verified".to_owned(), true));
}

#[actix_web::test]
async fn distrust_doubts_what_a_leaked_secret_said_and_nothing_that_a_check_confirmed() {
    let app = TestApp::new().await;
    for user in ["confirmed", "forged", "rejected", "mine"] {
        app.pending(user).await;
    }
    app.truth.says("confirmed", "APPROVED", "s1");
    deliver_with(&app, ACME.old_secret, VERIFIED, "confirmed").await;
    app.look().await;
    let label = label(&app).await;
    deliver_with(&app, ACME.old_secret, VERIFIED, "forged").await;
    deliver_with(&app, ACME.old_secret, REJECTED, "rejected").await;
    deliver_with(&app, ACME.old_secret, VERIFIED, "planted").await;
    app.deliver(VERIFIED, "mine").await;
    let done = distrust(&app, &label, "2026-11-24T00:00:00Z").await;
    assert_eq!((done.doubted, done.flagged, done.dropped), (0, 0, 1));
    let done = distrust(&app, &label, "2026-11-23T00:00:00Z").await;
    assert_eq!((done.doubted, done.flagged, done.dropped), (1, 1, 0));
    let done = distrust(&app, &label, "2026-11-23T00:00:00Z").await;
    assert_eq!((done.doubted, done.flagged, done.dropped), (0, 0, 0));
    let arguments = [
        "webhook",
        "distrust",
        "--partner",
        "acme",
        "--secret",
        &label,
        "--since",
        "2026-11-23T00:00:00Z",
    ];
    let output = app.command(&arguments).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let counts = "0 verified users are in doubt, 0 rejected users are flagged, 0 unmatched deliveries are dropped.";
    assert!(
        said.contains(counts) && said.contains("still configured"),
        "{said}"
    );
    assert_eq!(told(&app, "confirmed").await, ("verified".to_owned(), true));
    assert_eq!(told(&app, "mine").await, ("verified".to_owned(), false));
    let forged = app.user("forged").await;
    assert_eq!(
        (&forged["status"], &forged["needsConfirmation"]),
        (&json!("in_review"), &json!(true))
    );
    let path = "/v1/kyc/users/forged?maxAge=60";
    assert_eq!(
        app.get(ACME, path).await.problem(),
        (503, "not_confirmed".to_owned())
    );
    assert_eq!(app.looks("rejected").await["conflict"], true);
}

#[actix_web::test]
async fn each_partner_may_have_a_policy_of_its_own() {
    let app = TestApp::with(&[("KYC__PARTNERS__1__CONFIRM", "never")]).await;
    app.pending("u1").await;
    app.pending_of(OTHER, "u1").await;
    app.deliver_to(OTHER, VERIFIED, "u1").await;
    app.deliver(VERIFIED, "u1").await;
    app.pass(MINUTE).await;
    assert_eq!(told(&app, "u1").await, ("in_review".to_owned(), false));
    let other = app.get(OTHER, "/v1/kyc/users/u1").await.json();
    assert_eq!(
        (&other["status"], &other["final"]),
        (&json!("verified"), &json!(true))
    );
    let answer = app.get(OTHER, "/v1/kyc/users/u1?maxAge=60").await;
    assert_eq!(answer.problem(), (400, "invalid_query".to_owned()));
}

#[actix_web::test]
async fn a_change_to_never_ends_doubts_and_keeps_what_is_held() {
    let mut app = TestApp::new().await;
    for user in ["doubted", "fresh", "held"] {
        app.pending(user).await;
    }
    app.truth.says("held", "APPROVED", "s1");
    app.deliver(VERIFIED, "doubted").await;
    app.deliver(VERIFIED, "held").await;
    app.pass(MINUTE).await;
    app.deliver(VERIFIED, "fresh").await;
    app.deliver(REJECTED, "held").await;
    let before = app.user("doubted").await;
    assert_eq!(before["status"], "in_review");
    app.restart_with(&[NEVER]).await;
    assert_eq!(told(&app, "doubted").await, ("verified".to_owned(), true));
    assert_eq!(told(&app, "fresh").await, ("verified".to_owned(), true));
    assert_eq!(told(&app, "held").await, ("in_review".to_owned(), false));
    let version = |user: &Value| user["version"].as_i64().unwrap();
    assert_eq!(version(&app.user("doubted").await), version(&before) + 1);
    let listed = app.admin("/v1/admin/users?attention=held").await.json();
    assert_eq!(listed["data"][0]["userId"], "held");
}

#[actix_web::test]
async fn a_change_from_never_takes_verdicts_for_confirmed_and_heard_and_checks_every_user() {
    let mut app = TestApp::with(&[NEVER]).await;
    app.pending("u1").await;
    app.pending("u2").await;
    app.deliver(VERIFIED, "u1").await;
    app.restart_with(&[]).await;
    assert_eq!(told(&app, "u1").await, ("verified".to_owned(), true));
    app.truth.says("u1", "REVIEW", "s1");
    app.truth.says("u2", "APPROVED", "s1");
    app.pass(MINUTE).await;
    assert_eq!(told(&app, "u1").await, ("in_review".to_owned(), false));
    assert_eq!(told(&app, "u2").await, ("verified".to_owned(), true));
    deliver_with(&app, ACME.old_secret, VERIFIED, "u1").await;
    assert_eq!(
        app.status("u1").await,
        "in_review",
        "a verdict was heard before"
    );
}

#[actix_web::test]
async fn under_an_override_an_old_signature_changes_nothing_and_a_new_one_is_held_for_an_admin() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    override_to(&app, "u1", "verified").await;
    app.deliver(REJECTED, "u1").await;
    assert_eq!(told(&app, "u1").await, ("verified".to_owned(), true));
    deliver_with(&app, ACME.old_secret, REJECTED, "u1").await;
    assert_eq!(told(&app, "u1").await, ("in_review".to_owned(), false));
    app.truth.says("u1", "APPROVED", "s1");
    app.pass(MINUTE * 60).await;
    assert_eq!(
        told(&app, "u1").await,
        ("in_review".to_owned(), false),
        "only an admin settles it"
    );
    override_to(&app, "u1", "verified").await;
    assert_eq!(told(&app, "u1").await, ("verified".to_owned(), true));
    let answer = app.get(ACME, "/v1/kyc/users/u1?maxAge=0").await;
    assert_eq!(
        answer.status, 200,
        "the status is an admin's and the provider was asked"
    );
}

#[actix_web::test]
async fn max_age_is_answered_by_a_check_that_confirms_and_asks_no_more_often_than_every_5_seconds()
{
    let app = TestApp::new().await;
    app.pending("u1").await;
    let asked = async || app.calls_to(crate::support::truth::DETAILS_PATH).await;
    let path = "/v1/kyc/users/u1?maxAge=0";
    assert_eq!(
        app.get(ACME, path).await.status,
        200,
        "no verification confirms pending"
    );
    assert_eq!(asked().await, 1);
    app.clock.advance(Duration::from_secs(4));
    assert_eq!(app.get(ACME, path).await.status, 200);
    assert_eq!(asked().await, 1);
    app.clock.advance(Duration::from_secs(2));
    assert_eq!(app.get(ACME, path).await.status, 200);
    assert_eq!(asked().await, 2);
    app.truth.says("u1", "UNKNOWN", "s1");
    override_to(&app, "u1", "in_review").await;
    app.clock.advance(Duration::from_secs(6));
    assert_eq!(app.get(ACME, path).await.status, 200, "an admin's status");
    assert_eq!(asked().await, 3);
}

#[actix_web::test]
async fn a_clock_that_is_put_right_makes_nothing_look_fresh_and_everything_due() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let app = TestApp::new().await;
    app.clock.set_ahead(DAY * 3);
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.look().await;
    app.pending("u2").await;
    app.deliver(VERIFIED, "u2").await;
    app.clock.set_back(DAY * 3);
    let asked = async || app.calls_to(crate::support::truth::DETAILS_PATH).await;
    let before = asked().await;
    assert_eq!(
        app.status("u2").await,
        "in_review",
        "unconfirmed_for counts as passed"
    );
    assert_eq!(
        app.get(ACME, "/v1/kyc/users/u1?maxAge=60").await.status,
        200
    );
    assert_eq!(
        asked().await,
        before + 1,
        "the answer of another day is not fresh"
    );
    app.truth.says("u2", "APPROVED", "s1");
    app.look().await;
    app.pass(MINUTE).await;
    assert_eq!(told(&app, "u2").await, ("verified".to_owned(), true));
}
