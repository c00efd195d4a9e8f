//! Each way of misbehaving, as a tracker would meet it.

use super::super::{Fault, Mode};
use super::*;

#[tokio::test]
async fn a_counted_fault_ends_by_itself() {
    let world = World::new().await;
    world.set_fault(json!({"mode":"error_500","count":2})).await;
    let list = || answer(world.api(Method::GET, "webhook-notifications"));
    assert_eq!(list().await.0, StatusCode::INTERNAL_SERVER_ERROR);
    let (_, fault) = answer(world.request(Method::GET, "/sandbox/faults")).await;
    assert_eq!(fault, json!({"mode":"error_500","count":1,"seconds":30}));
    assert_eq!(list().await.0, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(list().await.0, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn an_unknown_fault_is_refused() {
    let world = World::new().await;
    for wrong in [
        json!({"mode":"fire"}),
        json!({"mode":"slow","hours":1}),
        json!({}),
    ] {
        let request = world.request(Method::POST, "/sandbox/faults").json(&wrong);
        assert_eq!(answer(request).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_rate_limited_request_is_told_when_to_come_back() {
    let world = World::new().await;
    world.set_fault(json!({"mode":"rate_limited_429"})).await;
    let request = world.api(Method::GET, "webhook-notifications");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    world.stop().await;
}

#[tokio::test]
async fn a_slow_answer_comes_later_than_a_short_patience() {
    let world = World::new().await;
    world
        .set_fault(json!({"mode":"slow","count":1,"seconds":60}))
        .await;
    let request = world.api(Method::GET, "webhook-notifications");
    let answered = request.timeout(Duration::from_millis(200)).send().await;
    assert!(answered.is_err_and(|error| error.is_timeout()));
    world
        .set_fault(json!({"mode":"slow","count":1,"seconds":0}))
        .await;
    let (status, _) = answer(world.api(Method::GET, "webhook-notifications")).await;
    assert_eq!(status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn garbage_is_a_success_whose_json_breaks_off() {
    let world = World::new().await;
    world.sandbox.set_fault(Fault::new(Mode::Garbage));
    let path = "users/u-1/kyc/verification-link";
    let request = world.api(Method::POST, path).json(&json!({"country":"DO"}));
    let (status, body) = answer(request).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(body.is_string(), "{body} is readable");
    world.sandbox.set_fault(Fault::new(Mode::None));
    let (status, _) = answer(world.api(Method::GET, "kyc/details?userId=u-1")).await;
    assert_eq!(status, StatusCode::OK, "the work was done all the same");
    world.stop().await;
}

#[tokio::test]
async fn html_is_a_gateways_502() {
    let world = World::new().await;
    world.set_fault(json!({"mode":"html"})).await;
    let (status, body) = answer(world.api(Method::GET, "kyc/details?userId=u-1")).await;
    assert_eq!(status, StatusCode::BAD_GATEWAY);
    assert!(body.as_str().is_some_and(|page| page.starts_with("<html>")));
    world.stop().await;
}

#[tokio::test]
async fn a_dropped_webhook_is_recorded_as_sent() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    world.set_fault(json!({"mode":"drop"})).await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    assert!(world.receiver.taken().is_empty());
    assert_eq!(world.notifications("SENT").await.len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_duplicated_webhook_arrives_twice() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    world.set_fault(json!({"mode":"duplicate","count":1})).await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    let expected = ["CREATED_KYC", "CREATED_KYC", "VERIFIED_USER"];
    assert_eq!(world.receiver.taken(), expected);
    world.stop().await;
}

#[tokio::test]
async fn reordered_events_of_a_click_arrive_verdict_first() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    world.set_fault(json!({"mode":"reorder"})).await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    assert_eq!(world.receiver.taken(), ["VERIFIED_USER", "CREATED_KYC"]);
    world.stop().await;
}

#[tokio::test]
async fn a_delayed_webhook_is_overtaken_by_the_one_after_it() {
    let mut world = World::with(0, 600).await;
    let link = world.link("u-1").await;
    world
        .set_fault(json!({"mode":"delay","count":1,"seconds":300}))
        .await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    assert_eq!(world.receiver.taken(), ["VERIFIED_USER", "CREATED_KYC"]);
    world.stop().await;
}

#[tokio::test]
async fn a_corrupted_webhook_is_signed_rightly_when_it_is_sent_again() {
    let mut world = World::failing(1).await;
    let link = world.link("u-1").await;
    world.set_fault(json!({"mode":"corrupt","count":1})).await;
    world.click(&link, "verify").await;
    let (mut wrong, mut right) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let arrival = world.receiver.next().await;
        let signed = signature::sign(SECRET, arrival.body.as_bytes()) == arrival.signature;
        if signed { &mut right } else { &mut wrong }.push(event(&arrival));
    }
    right.sort();
    assert_eq!(wrong, ["CREATED_KYC"]);
    assert_eq!(right, ["CREATED_KYC", "VERIFIED_USER"]);
    world.stop().await;
}

#[tokio::test]
async fn details_that_lag_still_say_what_was_true_before_the_last_click() {
    let world = World::slowly().await;
    let link = world.link("u-1").await;
    world.click(&link, "review").await;
    world.click(&link, "verify").await;
    world.set_fault(json!({"mode":"lag","count":1})).await;
    let result = async || {
        let (_, body) = answer(world.api(Method::GET, "kyc/details?userId=u-1")).await;
        body["data"]["aipriseSummary"]["verificationResult"].clone()
    };
    assert_eq!(result().await, "REVIEW_NEEDED");
    assert_eq!(result().await, "VERIFIED");
    world.stop().await;
}

#[tokio::test]
async fn only_webhooks_that_were_answered_with_success_count_as_acknowledged() {
    let world = World::failing(1).await;
    let link = world.link("u-1").await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    world.click(&link, "verify").await;
    world.sandbox.settled().await;
    world.set_fault(json!({"mode":"drop"})).await;
    world.click(&link, "reject").await;
    world.sandbox.settled().await;
    let mut times: Vec<_> = world.sandbox.acknowledged();
    times.sort_by_key(|acknowledged| acknowledged.times);
    let times = times.iter().map(|one| (one.account.as_str(), one.times));
    assert_eq!(times.collect::<Vec<_>>(), [("acme", 1), ("acme", 2)]);
    world.stop().await;
}
