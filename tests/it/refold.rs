//! A stored delivery folded once more by an admin, through the store of a running service.

use kyc_tracker::db::deliveries::{self, Delivery, Filter};
use kyc_tracker::db::users::User;
use kyc_tracker::kyc::status::Status;
use kyc_tracker::kyc::verification::Outcome;
use kyc_tracker::refold::{self, WhyNot, Would};
use reqwest::Method;
use serde_json::json;

use crate::support::{ACME, OTHER, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";

/// The delivery that came at that place, counted from 0, with the user that it was matched with.
async fn stored(app: &TestApp, place: usize) -> (Delivery, Option<User>) {
    let read = app.app.db.read(move |conn| {
        let mut all = deliveries::list(conn, &Filter::default(), None, 100)?;
        all.reverse();
        deliveries::by_id(conn, &all[place].0.id)
    });
    read.await.unwrap().unwrap()
}

/// Folds that delivery once more, after it has been asked what that would do.
async fn again(app: &TestApp, place: usize) -> Would {
    let ((delivery, _), trust) = (stored(app, place).await, app.app.config.webhooks);
    let now = app.clock.now();
    let id = delivery.id.clone();
    let would = app
        .app
        .db
        .read(move |conn| refold::would(conn, trust, &delivery, now));
    let (would, clock) = (would.await.unwrap(), app.clock.clone());
    let again = app
        .app
        .db
        .write(move |conn| refold::again(conn, &clock, trust, "ops", &id));
    assert_eq!(again.await.unwrap().as_ref(), Some(&would));
    would
}

fn fold(outcome: Outcome, before: Status, after: Status) -> Would {
    Would::Fold {
        partner: "acme".to_owned(),
        user_id: "u1".to_owned(),
        outcome,
        before,
        after,
        look: true,
    }
}

/// Verified in the first attempt, of which the provider knows no session, and in the second since.
async fn second_attempt(app: &TestApp) {
    app.pending("u1").await;
    for event in [CREATED, VERIFIED] {
        app.deliver(event, "u1").await;
    }
    let request = json!({"userId": "u1", "country": "DO", "forceNew": true});
    let answer = app.ask_for_link_at_last(ACME, &request).await;
    assert_eq!(answer.status, 201);
}

#[actix_web::test]
async fn a_verdict_of_an_earlier_attempt_is_held_and_the_check_that_follows_denies_it() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "on_conflict")]).await;
    second_attempt(&app).await;
    app.truth.says("u1", "DECLINED", "s2");
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    let did = again(&app, 1).await;
    assert_eq!(did, fold(Outcome::Held, Status::Rejected, Status::Rejected));
    assert_eq!(app.looks("u1").await["held"], "verified");
    assert_eq!(app.look().await, 1);
    assert_eq!(app.looks("u1").await["held"], "verified");
    app.pass(std::time::Duration::from_secs(60)).await;
    assert_eq!(app.looks("u1").await["held"], json!(null));
    assert_eq!(app.status("u1").await, "rejected");
    assert_eq!(app.outcomes().await[1], ("applied".to_owned(), 0));
}

#[actix_web::test]
async fn it_is_told_as_the_webhook_that_it_is_and_wakes_who_waits() {
    let app = TestApp::new().await;
    second_attempt(&app).await;
    let (_, etag) = (
        app.user("u1").await,
        app.get(ACME, "/v1/kyc/users/u1").await,
    );
    let waiting = app.request(Method::GET, "/v1/kyc/users/u1?wait=30");
    let waiting = waiting.header("partner-api-key", ACME.key);
    let waiting = app.send(waiting.header("if-none-match", etag.header("etag")));
    let moved = async {
        app.listened_for(1).await;
        again(&app, 0).await
    };
    let (answer, did) = futures_util::join!(waiting, moved);
    assert_eq!(
        did,
        fold(Outcome::Applied, Status::Pending, Status::Submitted)
    );
    assert_eq!(answer.json()["status"], "submitted");
    let history = app.get(ACME, "/v1/kyc/users/u1/history").await.json();
    let (delivery, user) = stored(&app, 0).await;
    let last = history["data"].as_array().unwrap().last().unwrap();
    assert_eq!(
        last["cause"],
        json!({"kind": "webhook", "event": CREATED, "deliveryId": delivery.id})
    );
    assert_eq!((delivery.attempt, user.unwrap().attempt), (Some(1), 2));
}

#[actix_web::test]
async fn what_was_folded_once_more_did_not_come_once_more() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(CREATED, "u1").await;
    let (version, outcomes) = (
        app.user("u1").await["version"].clone(),
        app.outcomes().await,
    );
    for _ in 0..2 {
        let did = again(&app, 0).await;
        assert_eq!(
            did,
            fold(Outcome::Repeated, Status::Submitted, Status::Submitted)
        );
    }
    assert_eq!(app.outcomes().await, outcomes);
    assert_eq!(app.user("u1").await["version"], version);
    app.deliver(CREATED, "u1").await;
    assert_eq!(app.outcomes().await, [("applied".to_owned(), 1)]);
}

#[actix_web::test]
async fn a_stray_whose_user_is_known_meanwhile_is_its_users_from_then_on() {
    let app = TestApp::new().await;
    app.deliver("PAUSED_KYC", "u1").await;
    assert_eq!(again(&app, 0).await, Would::Nothing(WhyNot::UnknownEvent));
    app.pending("u1").await;
    app.deliver(CREATED, "u1").await;
    assert!(stored(&app, 0).await.1.is_none());
    let did = again(&app, 0).await;
    assert_eq!(
        did,
        fold(Outcome::Ignored, Status::Submitted, Status::Submitted)
    );
    let whole = app.admin("/v1/admin/users/acme/u1").await.json();
    let events = whole["deliveries"].as_array().unwrap().iter();
    let events: Vec<_> = events.map(|delivery| delivery["event"].clone()).collect();
    assert_eq!(events, ["PAUSED_KYC", CREATED]);
    assert_eq!(stored(&app, 0).await.1.unwrap().user_id, "u1");
}

#[actix_web::test]
async fn what_can_be_folded_into_nobody_says_why_and_changes_nothing() {
    let app = TestApp::new().await;
    app.pending_of(OTHER, "u1").await;
    let bodies = [
        (kyc_event(CREATED, "u1"), WhyNot::Nobody),
        (
            r#"{"type":"KYC","event":"CREATED_KYC"}"#.to_owned(),
            WhyNot::Nobody,
        ),
        (kyc_event("PAUSED_KYC", "u1"), WhyNot::UnknownEvent),
        (
            r#"{"type":"TRANSACTION","event":"CREATED","externalUserId":"u1"}"#.to_owned(),
            WhyNot::OtherType,
        ),
        ("{".to_owned(), WhyNot::Unreadable),
    ];
    for (body, _) in &bodies {
        let signature = kyc_tracker::capa::signature::sign(ACME.secret, body.as_bytes());
        app.deliver_raw("acme", body.as_str(), &[&signature]).await;
    }
    let before = app.admin("/v1/admin/deliveries").await.text;
    for (place, (_, why_not)) in bodies.iter().enumerate() {
        assert_eq!(again(&app, place).await, Would::Nothing(*why_not));
    }
    assert_eq!(app.admin("/v1/admin/deliveries").await.text, before);
}

#[actix_web::test]
async fn there_is_nothing_to_fold_of_a_delivery_that_is_not_there() {
    let app = TestApp::new().await;
    let (clock, trust) = (app.clock.clone(), app.app.config.webhooks);
    for id in [
        "",
        "019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f",
        "'; DROP TABLE users",
    ] {
        let (clock, id) = (clock.clone(), id.to_owned());
        let again = move |conn: &mut _| refold::again(conn, &clock, trust, "ops", &id);
        assert_eq!(app.app.db.write(again).await.unwrap(), None);
    }
}
