//! The rule as seen from outside: attempts, repeats, stale and held events, and those that come before their user.

use kyc_tracker::capa::signature::sign;
use serde_json::json;

use crate::support::{ACME, TestApp, kyc_event};

/// The event with a signature that no other delivery of it has: the provider signs with another secret.
async fn deliver_resigned(app: &TestApp, event: &str, user: &str) {
    let body = kyc_event(event, user);
    let signature = sign(ACME.old_secret, body.as_bytes());
    assert_eq!(
        app.deliver_raw(ACME.id, body, &[&signature]).await.status,
        204
    );
}

async fn deliver_all(app: &TestApp, user: &str, events: &[&str]) {
    for event in events {
        assert_eq!(app.deliver(event, user).await.status, 204);
    }
}

async fn last_outcome(app: &TestApp) -> String {
    app.outcomes().await.pop().unwrap().0
}

#[actix_web::test]
async fn a_whole_life_is_told_by_the_history() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(
        &app,
        "u1",
        &["CREATED_KYC", "REVIEW_NEEDED_KYC", "REJECTED_KYC"],
    )
    .await;
    let second = app.pending("u1").await;
    assert_eq!(
        (&second["attempt"], &second["status"]),
        (&json!(2), &json!("pending"))
    );
    deliver_all(&app, "u1", &["VERIFIED_USER"]).await;
    let history = [
        "1 ->pending by link",
        "1 pending>submitted by CREATED_KYC",
        "1 submitted>in_review by REVIEW_NEEDED_KYC",
        "1 in_review>rejected by REJECTED_KYC",
        "2 ->pending by link",
        "2 pending>verified by VERIFIED_USER",
    ];
    assert_eq!(app.history("u1").await, history);
}

#[actix_web::test]
async fn the_same_rejection_in_a_new_attempt_is_held_because_it_may_be_a_late_repeat() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("REJECTED_KYC", "u1").await;
    app.pending("u1").await;
    app.deliver("REJECTED_KYC", "u1").await;
    assert_eq!(last_outcome(&app).await, "held");
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("pending"), &json!(true))
    );
    deliver_resigned(&app, "REJECTED_KYC", "u1").await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("rejected"), &json!(false))
    );
}

#[actix_web::test]
async fn a_captured_verified_does_not_verify_a_later_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    app.capa_gives_links().await;
    let body = json!({"userId": "u1", "country": "DO", "forceNew": true});
    let forced = app.ask_for_link(ACME, &body).await.json();
    assert_eq!(
        (&forced["attempt"], &forced["status"]),
        (&json!(2), &json!("pending"))
    );
    for _ in 0..10 {
        app.deliver("VERIFIED_USER", "u1").await;
        assert_eq!(app.status("u1").await, "pending");
    }
    deliver_resigned(&app, "REJECTED_KYC", "u1").await;
    let before = app.user("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(app.user("u1").await, before);
    assert_eq!(before["status"], "rejected");
}

#[actix_web::test]
async fn bad_news_about_a_verified_user_counts_at_once() {
    for bad in ["REJECTED_KYC", "REVIEW_NEEDED_KYC"] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        deliver_all(&app, "u1", &["VERIFIED_USER", bad, "VERIFIED_USER"]).await;
        let user = app.user("u1").await;
        assert_eq!(
            (&user["status"], &user["final"]),
            (&json!("in_review"), &json!(false))
        );
        assert_eq!(
            (&user["needsConfirmation"], &user["kycLink"]),
            (&json!(true), &json!(null))
        );
        assert_eq!(user["decidedAt"], json!(null));
        let told = app.history("u1").await.pop().unwrap();
        assert_eq!(told, format!("1 verified>in_review by {bad}"));
    }
}

#[actix_web::test]
async fn good_news_about_a_rejected_user_does_not_count_yet() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, "u1", &["REJECTED_KYC", "VERIFIED_USER"]).await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["final"]),
        (&json!("rejected"), &json!(true))
    );
    assert_eq!(user["needsConfirmation"], true);
    assert_eq!(app.history("u1").await.len(), 2);
}

#[actix_web::test]
async fn never_drops_what_would_be_held() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    app.pending("u1").await;
    deliver_all(&app, "u1", &["VERIFIED_USER", "REJECTED_KYC"]).await;
    assert_eq!(last_outcome(&app).await, "stale");
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("verified"), &json!(false))
    );
}

#[actix_web::test]
async fn before_final_never_verifies_by_a_webhook_alone() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "before_final")]).await;
    app.pending("u1").await;
    deliver_all(&app, "u1", &["CREATED_KYC", "VERIFIED_USER"]).await;
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["needsConfirmation"]),
        (&json!("submitted"), &json!(true))
    );
    deliver_all(&app, "u1", &["REJECTED_KYC"]).await;
    assert_eq!(app.status("u1").await, "rejected");
}

#[actix_web::test]
async fn events_that_came_first_count_in_their_order_once_the_user_is_registered() {
    let app = TestApp::new().await;
    deliver_all(
        &app,
        "u1",
        &["CREATED_KYC", "REVIEW_NEEDED_KYC", "CREATED_KYC"],
    )
    .await;
    let user = app.pending("u1").await;
    assert_eq!(user["status"], "in_review");
    let history = [
        "1 ->pending by link",
        "1 pending>submitted by CREATED_KYC",
        "1 submitted>in_review by REVIEW_NEEDED_KYC",
    ];
    assert_eq!(app.history("u1").await, history);
    let outcomes = app.outcomes().await;
    assert_eq!(
        outcomes,
        [("applied".to_owned(), 1), ("applied".to_owned(), 0)]
    );
}

#[actix_web::test]
async fn a_verdict_that_came_first_decides_and_no_link_is_bought() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    deliver_all(&app, "u1", &["VERIFIED_USER"]).await;
    let answer = app
        .ask_for_link(ACME, &json!({"userId": "u1", "country": "DO"}))
        .await;
    assert_eq!(answer.problem(), (409, "already_verified".to_owned()));
    assert_eq!(app.status("u1").await, "verified");
    assert_eq!(app.calls().await, 0);
}

#[actix_web::test]
async fn events_that_waited_for_an_external_id_count_when_it_is_learnt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, "customer-42", &["CREATED_KYC"]).await;
    assert_eq!(app.status("u1").await, "pending");
    let body = json!({"userId": "u1", "country": "DO", "externalUserId": "customer-42"});
    assert_eq!(app.ask_for_link(ACME, &body).await.status, 200);
    assert_eq!(app.status("u1").await, "submitted");
}

#[actix_web::test]
async fn the_version_grows_by_one_with_each_change_a_reader_can_see_and_not_else() {
    let app = TestApp::new().await;
    let version = async || app.user("u1").await["version"].as_i64().unwrap();
    app.pending("u1").await;
    assert_eq!(version().await, 2, "registered, then linked");
    for (event, expected) in [
        ("CREATED_KYC", 3),
        ("CREATED_KYC", 3),
        ("VERIFIED_USER", 4),
        ("CREATED_KYC", 4),
        ("VERIFIED_USER", 4),
        ("PAUSED_KYC", 4),
        ("REJECTED_KYC", 5),
        ("REJECTED_KYC", 5),
    ] {
        app.deliver(event, "u1").await;
        assert_eq!(version().await, expected, "{event}");
    }
}

#[actix_web::test]
async fn a_registered_user_stands_alike_after_every_order_that_ends_the_same() {
    let app = TestApp::new().await;
    let events = ["CREATED_KYC", "REVIEW_NEEDED_KYC", "VERIFIED_USER"];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for (number, order) in orders.into_iter().enumerate() {
        let user = format!("u{number}");
        app.pending(&user).await;
        deliver_all(&app, &user, &order.map(|place| events[place])).await;
        let review_after_verdict =
            order.iter().position(|e| *e == 1) > order.iter().position(|e| *e == 2);
        let expected = if review_after_verdict {
            "in_review"
        } else {
            "verified"
        };
        assert_eq!(app.status(&user).await, expected, "{order:?}");
    }
}
