//! What clicks send, how it is retried, and what manual retries may do.

use super::*;
use crate::capa::signature;

#[tokio::test]
async fn a_first_click_sends_created_and_then_its_verdict_signed() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    assert_eq!(
        world.click(&link, "verify").await,
        json!(["CREATED_KYC", "VERIFIED_USER"])
    );
    for event in ["CREATED_KYC", "VERIFIED_USER"] {
        let arrival = world.receiver.next().await;
        let body = format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"u-1"}}"#);
        assert_eq!(arrival.body, body);
        assert_eq!(arrival.signature, signature::sign(SECRET, body.as_bytes()));
        assert_eq!(arrival.content_type, "application/json");
    }
    world.sandbox.settled().await;
    assert_eq!(world.notifications("SENT").await.len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_later_click_sends_only_its_own_verdict_after_the_earlier_ones() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    let gate = Arc::clone(&world.receiver.gate);
    let closed = gate.acquire().await.expect("a gate");
    world.click(&link, "review").await;
    assert_eq!(world.click(&link, "reject").await, json!(["REJECTED_KYC"]));
    assert_eq!(world.click(&link, "verify").await, json!(["VERIFIED_USER"]));
    // Requests that go to and fro give a webhook out of turn the time to overtake.
    assert_eq!(world.notifications("PENDING").await.len(), 4);
    assert_eq!(event(&world.receiver.next().await), "CREATED_KYC");
    assert_eq!(world.notifications("PENDING").await.len(), 4);
    drop(closed);
    world.sandbox.settled().await;
    let expected = ["REVIEW_NEEDED_KYC", "REJECTED_KYC", "VERIFIED_USER"];
    assert_eq!(world.receiver.taken(), expected);
    world.stop().await;
}

#[tokio::test]
async fn a_user_without_a_browser_clicks_by_their_id() {
    let mut world = World::new().await;
    let click = |path: &str| answer(world.request(Method::POST, &format!("/sandbox/users/{path}")));
    assert_eq!(click("u-1/verify").await.0, StatusCode::NOT_FOUND);
    world.link("u-1").await;
    let (status, body) = click("u-1/verify").await;
    let emitted = json!(["CREATED_KYC", "VERIFIED_USER"]);
    assert_eq!((status, &body["emitted"]), (StatusCode::OK, &emitted));
    assert_eq!(click("u-1/approve").await.0, StatusCode::NOT_FOUND);
    world.sandbox.settled().await;
    assert_eq!(world.receiver.taken(), ["CREATED_KYC", "VERIFIED_USER"]);
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_carries_the_external_id_it_was_taught() {
    let mut world = World::new().await;
    let link = world.link("u-1").await;
    let body = json!({"account":"acme","userId":"u-1","externalUserId":"customer-1"});
    let (status, _) = answer(world.request(Method::POST, "/sandbox/users").json(&body)).await;
    assert_eq!(status, StatusCode::OK);
    world.click(&link, "verify").await;
    assert!(
        world
            .receiver
            .next()
            .await
            .body
            .contains(r#""externalUserId":"customer-1""#)
    );
    assert!(world.sandbox.adopt("acme", "u-2", "customer-1").is_err());
    assert!(world.sandbox.adopt("rival", "u-1", "customer-9").is_err());
    assert!(world.sandbox.adopt("nobody", "u-3", "customer-3").is_err());
    assert!(world.sandbox.adopt("acme", "u-1", "customer-2").is_ok());
    assert!(world.sandbox.adopt("acme", "u-2", "customer-1").is_ok());
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_that_never_arrives_fails_after_six_attempts() {
    let mut world = World::failing(ALWAYS).await;
    world.click(&world.link("u-1").await, "verify").await;
    world.sandbox.settled().await;
    let arrived = world.receiver.taken();
    for event in ["CREATED_KYC", "VERIFIED_USER"] {
        assert_eq!(
            arrived.iter().filter(|arrived| *arrived == event).count(),
            6,
            "{event}"
        );
    }
    let failed = world.notifications("FAILED").await;
    assert_eq!(failed.len(), 2);
    let path = format!("webhook-notifications/{}", failed[0].0);
    let (_, body) = answer(world.api(Method::GET, &path)).await;
    assert_eq!(body["data"]["retryAttempts"], 5);
    assert_eq!(
        body["data"]["latestErrorPayload"],
        json!({"error":"receiver_down"})
    );
    assert_eq!(body["data"]["payload"]["externalUserId"], "u-1");
    world.stop().await;
}

#[tokio::test]
async fn an_unreachable_receiver_leaves_the_providers_own_error() {
    let world = World::new().await;
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let url = format!(
        "http://localhost:{}/",
        closed.expect("a closed port").port()
    );
    answer(
        world
            .api(Method::PUT, "webhook-settings")
            .json(&json!({ "url": url })),
    )
    .await;
    world.click(&world.link("u-1").await, "verify").await;
    world.sandbox.settled().await;
    let failed = world.notifications("FAILED").await;
    let path = format!("webhook-notifications/{}", failed[0].0);
    let (_, body) = answer(world.api(Method::GET, &path)).await;
    let expected =
        json!({"success":false,"error":{"message":"The endpoint could not be reached","id":""}});
    assert_eq!(body["data"]["latestErrorPayload"], expected);
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_is_sent_once_the_receiver_recovers() {
    let mut world = World::failing(3).await;
    world.click(&world.link("u-1").await, "verify").await;
    world.sandbox.settled().await;
    assert_eq!(world.receiver.taken().len(), 2 + 3);
    assert_eq!(world.notifications("SENT").await.len(), 2);
    assert_eq!(world.notifications("FAILED").await, []);
    world.stop().await;
}

#[tokio::test]
async fn a_webhook_without_a_url_is_not_sent_and_cannot_be_retried() {
    let mut world = World::new().await;
    answer(
        world
            .api(Method::PUT, "webhook-settings")
            .json(&json!({"url":null})),
    )
    .await;
    world.click(&world.link("u-1").await, "verify").await;
    world.sandbox.settled().await;
    let unsent = world.notifications("NOT_SENT").await;
    assert_eq!(unsent.len(), 2);
    let expected = error("CONFLICT", "Notification is not in FAILED status");
    assert_eq!(
        world.retry(&unsent[0].0).await,
        (StatusCode::CONFLICT, expected)
    );
    assert!(world.receiver.taken().is_empty());
    world.stop().await;
}

#[tokio::test]
async fn a_notification_can_be_retried_by_hand_three_times() {
    let mut world = World::failing(ALWAYS).await;
    world.click(&world.link("u-1").await, "verify").await;
    world.sandbox.settled().await;
    world.receiver.taken();
    let (id, event) = world.notifications("FAILED").await.remove(0);
    for time in 1..=3 {
        let (status, body) = world.retry(&id).await;
        assert_eq!(status, StatusCode::CREATED);
        let data = &body["data"];
        assert_eq!(
            (&data["status"], &data["retryAttempts"]),
            (&json!("PENDING"), &json!(0))
        );
        assert_eq!(
            (&data["manualRetryCount"], &data["version"]),
            (&json!(time), &json!(time + 1))
        );
        assert_eq!(data["latestErrorPayload"], Value::Null);
        world.sandbox.settled().await;
        assert_eq!(world.receiver.taken(), vec![event.clone(); 6]);
    }
    let (status, body) = world.retry(&id).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (StatusCode::CONFLICT, &json!("CONFLICT"))
    );
    world.stop().await;
}

#[tokio::test]
async fn the_eleventh_manual_retry_within_a_minute_is_too_many() {
    let world = World::failing(ALWAYS).await;
    for user in 0..6 {
        world
            .click(&world.link(&format!("u-{user}")).await, "verify")
            .await;
    }
    world.sandbox.settled().await;
    let failed = world.notifications("FAILED").await;
    for (id, _) in &failed[..10] {
        assert_eq!(world.retry(id).await.0, StatusCode::CREATED);
    }
    let (status, body) = world.retry(&failed[10].0).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["error"]["code"], "TOO_MANY_REQUESTS");
    world.stop().await;
}

#[tokio::test]
async fn notifications_are_listed_in_pages_and_only_to_their_account() {
    let world = World::new().await;
    for user in 0..3 {
        world
            .click(&world.link(&format!("u-{user}")).await, "verify")
            .await;
    }
    world.sandbox.settled().await;
    let list =
        |query: &str| answer(world.api(Method::GET, &format!("webhook-notifications{query}")));
    let (_, body) = list("?skip=4&limit=5").await;
    assert_eq!(
        (&body["data"]["count"], &body["data"]["total"]),
        (&json!(2), &json!(6))
    );
    for wrong in ["?limit=0", "?limit=101", "?skip=-1", "?status=LOST"] {
        assert_eq!(list(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let (_, body) = answer(world.rival(Method::GET, "webhook-notifications")).await;
    assert_eq!(body["data"]["total"], 0);
    let id = &world.notifications("SENT").await[0].0;
    let foreign = world.rival(Method::GET, &format!("webhook-notifications/{id}"));
    let expected = error("NOT_FOUND", "Webhook notification not found");
    assert_eq!(answer(foreign).await, (StatusCode::NOT_FOUND, expected));
    world.stop().await;
}
