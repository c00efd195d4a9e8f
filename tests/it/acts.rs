//! What people and partners can make happen by asking: a fresh answer, a look now, a status set by hand, an explanation.

use std::time::Duration;

use futures_util::future::join_all;
use kyc_tracker::capa::signature::sign;
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::support::truth::DETAILS_PATH;
use crate::support::{ACME, Answer, OTHER, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const REVIEW: &str = "REVIEW_NEEDED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const HOUR: Duration = Duration::from_secs(3600);

async fn asked(app: &TestApp) -> usize {
    app.calls_to(DETAILS_PATH).await
}

async fn fresh(app: &TestApp, seconds: u64) -> Answer {
    let path = format!("/v1/kyc/users/u1?maxAge={seconds}");
    app.get(ACME, &path).await
}

async fn confirm(app: &TestApp) -> Answer {
    app.admin_posts("/v1/admin/users/acme/u1/confirm", &json!({}))
        .await
}

async fn overrule(app: &TestApp, body: Value) -> Answer {
    app.admin_posts("/v1/admin/users/acme/u1/override", &body)
        .await
}

async fn set(app: &TestApp, status: &str) {
    let answer = overrule(app, json!({"status": status, "reason": "Seen the papers."})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["status"], status);
}

/// The event about `u1`, signed with the other secret: a signature that was not seen before.
async fn deliver_afresh(app: &TestApp, event: &str) {
    let body = kyc_event(event, "u1");
    let signature = sign(ACME.old_secret, body.as_bytes());
    let answer = app.deliver_raw(ACME.id, body, &[&signature]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn why(app: &TestApp) -> String {
    let answer = app.admin("/v1/admin/users/acme/u1/why").await.json();
    answer["why"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn a_partner_can_insist_on_a_fresh_answer_and_is_told_how_fresh_it_is() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    assert_eq!(app.user("u1").await["asOf"], Value::Null);
    app.truth.says("u1", "APPROVED", "s1");
    let user = fresh(&app, 60).await.json();
    assert_eq!(
        (&user["status"], &user["source"], &user["asOf"]),
        (
            &json!("verified"),
            &json!("provider"),
            &json!("2026-11-23T19:20:00.123Z")
        )
    );
    app.clock.advance(Duration::from_secs(59));
    fresh(&app, 60).await;
    assert_eq!(asked(&app).await, 1);
    app.clock.advance(Duration::from_secs(2));
    let user = fresh(&app, 60).await.json();
    assert_eq!(user["asOf"], "2026-11-23T19:21:01.123Z");
    assert_eq!(asked(&app).await, 2);
}

#[actix_web::test]
async fn whoever_insists_at_the_same_time_or_shortly_after_shares_one_look() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "UNKNOWN", "s1");
    let answers = join_all((0..20).map(|_| fresh(&app, 0))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    app.clock.advance(Duration::from_secs(4));
    assert_eq!(fresh(&app, 0).await.status, 200);
    assert_eq!(asked(&app).await, 1);
}

#[actix_web::test]
async fn a_fresh_answer_that_cannot_be_had_is_an_error_and_the_known_one_is_still_there() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.fails_with(ResponseTemplate::new(500));
    let answer = fresh(&app, 60).await;
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(app.status("u1").await, "pending");
    for path in [
        "?maxAge=-1",
        "?maxAge=soon",
        "?maxAge=",
        "?maxAge=1&maxAge=2",
        "?max_age=1",
    ] {
        let answer = app.get(ACME, &format!("/v1/kyc/users/u1{path}")).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_query".to_owned()),
            "{path}"
        );
    }
    let foreign = app.get(OTHER, "/v1/kyc/users/u1?maxAge=1").await;
    assert_eq!(foreign.problem(), (404, "user_not_found".to_owned()));
}

#[actix_web::test]
async fn fresh_answers_are_had_no_faster_than_the_provider_may_be_asked() {
    let app = TestApp::with(&[("KYC__CHECKS__PER_SECOND", "2")]).await;
    let users = ["u1", "u2", "u3", "u4", "u5"];
    for user in users {
        app.pending(user).await;
    }
    let mut answers = Vec::new();
    for user in users {
        answers.push(
            app.get(ACME, &format!("/v1/kyc/users/{user}?maxAge=1"))
                .await,
        );
    }
    let statuses: Vec<u16> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    // The share of callers who wait, and what no lane of checks has reserved: half a second of the rate.
    assert_eq!(statuses, [200, 200, 503, 503, 503]);
    assert_eq!(answers[4].problem().1, "provider_rate_limited");
    assert_eq!(answers[4].header("retry-after"), "1");
}

#[actix_web::test]
async fn an_admin_can_have_the_provider_asked_now() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    let user = confirm(&app).await.json();
    assert_eq!(
        (&user["status"], &user["looks"]["providerWord"]),
        (&json!("rejected"), &json!("DECLINED"))
    );
    app.clock.advance(HOUR);
    app.truth.fails_with(ResponseTemplate::new(401));
    assert_eq!(
        confirm(&app).await.problem(),
        (502, "provider_unauthorized".to_owned())
    );
    for path in [
        "/v1/admin/users/acme/u9/confirm",
        "/v1/admin/users/nobody/u1/confirm",
    ] {
        let answer = app.admin_posts(path, &json!({})).await;
        assert_eq!(answer.problem(), (404, "user_not_found".to_owned()));
    }
    let partners = app.request(reqwest::Method::POST, "/v1/admin/users/acme/u1/confirm");
    let answer = app.send(partners.header("partner-api-key", ACME.key)).await;
    assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
}

#[actix_web::test]
async fn an_override_sets_the_status_and_is_written_down() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(REVIEW, "u1").await;
    set(&app, "verified").await;
    let user = app.user("u1").await;
    assert_eq!(
        (
            &user["status"],
            &user["final"],
            &user["source"],
            &user["kycLink"]
        ),
        (
            &json!("verified"),
            &json!(true),
            &json!("manual"),
            &Value::Null
        )
    );
    assert_eq!(
        app.history("u1").await.last().unwrap(),
        "1 in_review>verified by manual"
    );
    let whole = app.admin("/v1/admin/users/acme/u1").await.json();
    assert_eq!(
        whole["overrides"],
        json!([{
            "at": "2026-11-23T19:20:00.123Z", "attempt": 1, "admin": "ops", "reason": "Seen the papers.",
            "from": "in_review", "to": "verified",
        }])
    );
    let history = app.get(ACME, "/v1/kyc/users/u1/history").await;
    assert!(!history.text.contains("papers") && !history.text.contains("ops"));
}

#[actix_web::test]
async fn an_override_that_is_no_clear_order_is_refused_with_all_its_faults() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for (body, fields) in [
        (json!({}), &["status", "reason"][..]),
        (json!({"status": "golden", "reason": "x"}), &["status"]),
        (
            json!({"status": "VERIFIED", "reason": " "}),
            &["status", "reason"],
        ),
        (
            json!({"status": "verified", "reason": "x".repeat(501)}),
            &["reason"],
        ),
        (
            json!({"status": "verified", "reason": "two\nlines"}),
            &["reason"],
        ),
        (
            json!({"status": 1, "reason": null, "who": "me"}),
            &["who", "status", "reason"],
        ),
        (json!([]), &[""]),
    ] {
        let answer = overrule(&app, body.clone()).await;
        assert_eq!(
            answer.problem(),
            (422, "invalid_request".to_owned()),
            "{body}"
        );
        let faults = answer.json()["errors"].clone();
        let named: Vec<&str> = faults
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["field"].as_str().unwrap())
            .collect();
        assert_eq!(named, fields, "{body}");
    }
    assert_eq!(app.status("u1").await, "pending");
    let answer = app
        .admin_posts(
            "/v1/admin/users/other/u1/override",
            &json!({"status": "verified", "reason": "x"}),
        )
        .await;
    assert_eq!(answer.problem(), (404, "user_not_found".to_owned()));
}

#[actix_web::test]
async fn what_comes_against_an_override_is_held_and_never_applied_by_itself() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    app.pass(HOUR).await;
    set(&app, "verified").await;
    app.pass(72 * HOUR).await;
    assert_eq!(app.status("u1").await, "verified");
    assert_eq!(app.looks("u1").await["conflict"], true);
    app.deliver(REJECTED, "u1").await;
    assert_eq!(
        app.status("u1").await,
        "verified",
        "it came before the override"
    );
    deliver_afresh(&app, REJECTED).await;
    app.pass(72 * HOUR).await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("in_review"), &json!(true))
    );
    set(&app, "rejected").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.pass(72 * HOUR).await;
    assert_eq!(app.status("u1").await, "rejected");
    assert_eq!(app.looks("u1").await["conflict"], true);
}

#[actix_web::test]
async fn bad_news_that_the_provider_did_not_know_at_the_override_counts_even_without_a_webhook() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "REVIEW", "s1");
    app.deliver(REVIEW, "u1").await;
    app.look().await;
    set(&app, "verified").await;
    app.pass(48 * HOUR).await;
    assert_eq!(app.status("u1").await, "verified");
    app.truth.says("u1", "DECLINED", "s1");
    app.pass(48 * HOUR).await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("in_review"), &json!(true))
    );
}

#[actix_web::test]
async fn a_new_attempt_ends_an_override() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    set(&app, "rejected").await;
    app.pending("u1").await;
    assert_eq!(app.user("u1").await["attempt"], 2);
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    app.look().await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["source"]),
        (&json!("verified"), &json!("provider"))
    );
}

#[actix_web::test]
async fn an_override_of_what_is_so_already_settles_the_doubt_and_is_written_down_too() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for event in [VERIFIED, REJECTED] {
        app.deliver(event, "u1").await;
    }
    set(&app, "in_review").await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("in_review"), &json!(false))
    );
    set(&app, "in_review").await;
    assert_eq!(
        app.user("u1").await["version"],
        user["version"].as_i64().unwrap()
    );
    let whole = app.admin("/v1/admin/users/acme/u1").await.json();
    assert_eq!(whole["overrides"].as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn what_waits_for_a_person_can_be_listed() {
    let app = TestApp::new().await;
    for user in ["held", "calm"] {
        app.pending(user).await;
        app.deliver(REJECTED, user).await;
    }
    app.deliver(VERIFIED, "held").await;
    app.deliver(VERIFIED, "nobody").await;
    let listed = app.admin("/v1/admin/users?attention=held").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["userId"], "held");
    for empty in ["conflict", "stalled"] {
        let listed = app
            .admin(&format!("/v1/admin/users?attention={empty}"))
            .await
            .json();
        assert_eq!(listed["data"], json!([]));
    }
    let unmatched = app
        .admin("/v1/admin/deliveries?outcome=unmatched")
        .await
        .json();
    assert_eq!(unmatched["data"][0]["externalUserId"], "nobody");
    let answer = app.admin("/v1/admin/users?attention=please").await;
    assert_eq!(answer.problem(), (400, "invalid_query".to_owned()));
}

#[actix_web::test]
async fn why_tells_what_is_known_what_is_waited_for_and_what_can_be_done() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    assert_eq!(
        why(&app).await,
        "In attempt 1 the user is pending since 2026-11-23T19:20:00.123Z, because a link was asked for and nothing moved it \
         since. No webhook about the user has ever come. The provider has not been asked about the user yet. The provider's \
         verdict is waited for. The next look at the provider is due in 1 min 0 s. A person can have the provider asked at \
         once (confirm), or the partner can ask for a new link."
            .replace("1 min 0 s", &due(&app).await)
    );
    app.truth.says("u1", "APPROVED", "s1");
    for event in [CREATED, VERIFIED, REJECTED, REJECTED] {
        app.deliver(event, "u1").await;
    }
    app.look().await;
    let doubted = why(&app).await;
    for part in [
        "the user is in_review since",
        "because a signed webhook said so",
        "The last webhook was REJECTED_KYC on 2026-11-23T19:20:00.123Z, which came 2 times so far; its outcome was “held”.",
        "its last word of this attempt is “APPROVED”",
        "A webhook set the verdict and no check has confirmed it yet.",
        "The user was verified, but an event says rejected: until a check confirms one or the other it reads in_review.",
        "(override)",
    ] {
        assert!(doubted.contains(part), "{part}: {doubted}");
    }
    set(&app, "verified").await;
    let settled = why(&app).await;
    assert!(settled.contains("because ops set it by hand on 2026-11-23T19:20:00.123Z, for this reason: “Seen the papers.”"), "{settled}");
    let answer = app.admin("/v1/admin/users/acme/u9/why").await;
    assert_eq!(answer.problem(), (404, "user_not_found".to_owned()));
}

/// In how long the next look comes, as the explanation says it: the exact time is spread.
async fn due(app: &TestApp) -> String {
    let next = app.looks("u1").await["nextLookAt"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(&next[..17], "2026-11-23T19:21:");
    let (seconds, millis): (u64, u64) =
        (next[17..19].parse().unwrap(), next[20..23].parse().unwrap());
    // The clock stands at 123 ms after a full second.
    let wait = (seconds * 1000 + millis - 123) / 1000;
    format!("1 min {wait} s")
}
