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
