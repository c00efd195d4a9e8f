//! `POST /webhooks/{partnerId}`: every row of its table of outcomes and answers, and the corpus of bad signatures.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use futures_util::future::join_all;
use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use serde_json::Value;

use crate::support::{ACME, Answer, OTHER, TestApp, kyc_event};

fn row(outcome: &str, repeats: i64) -> (String, i64) {
    (outcome.to_owned(), repeats)
}

/// What a caller can see of an answer, but for what differs by the request or the moment.
fn face(answer: &Answer) -> (u16, String, Vec<String>) {
    let headers = answer.headers.keys().map(|name| name.to_string());
    (
        answer.status.as_u16(),
        answer.text.clone(),
        headers.collect(),
    )
}

async fn send_signed(app: &TestApp, body: &[u8]) -> Answer {
    let signature = sign(ACME.secret, body);
    app.deliver_raw(ACME.id, body, &[&signature]).await
}

#[actix_web::test]
async fn each_event_moves_a_pending_user_to_its_status() {
    let app = TestApp::new().await;
    for (event, status) in [
        ("CREATED_KYC", "submitted"),
        ("REVIEW_NEEDED_KYC", "in_review"),
        ("VERIFIED_USER", "verified"),
        ("REJECTED_KYC", "rejected"),
    ] {
        assert_eq!(app.pending(event).await["status"], "pending");
        let answer = app.deliver(event, event).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
        let user = app.user(event).await;
        assert_eq!(
            (&user["status"], &user["source"]),
            (&status.into(), &"webhook".into())
        );
        let decided = matches!(status, "verified" | "rejected");
        assert_eq!(user["final"], decided);
        assert_eq!(user["decidedAt"].is_string(), decided);
        assert_eq!(user["kycLink"].is_string(), !decided);
    }
    assert_eq!(app.outcomes().await, vec![row("applied", 0); 4]);
}

#[actix_web::test]
async fn a_repeat_changes_nothing_and_is_counted_on_the_row_it_repeats() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    let before = app.user("u1").await;
    for _ in 0..3 {
        assert_eq!(app.deliver("VERIFIED_USER", "u1").await.status, 204);
    }
    assert_eq!(app.user("u1").await, before);
    assert_eq!(app.outcomes().await, [row("applied", 3)]);
}

#[actix_web::test]
async fn every_outcome_is_stored_and_answered_204() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for (event, user) in [
        ("REVIEW_NEEDED_KYC", "u1"),
        ("CREATED_KYC", "u1"),
        ("VERIFIED_USER", "u1"),
        ("REJECTED_KYC", "u1"),
        ("VERIFIED_USER", "nobody"),
        ("PAUSED_KYC", "u1"),
    ] {
        let answer = app.deliver(event, user).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    }
    let expected = [
        "applied",
        "stale",
        "applied",
        "held",
        "unmatched",
        "ignored",
    ];
    assert_eq!(
        app.outcomes().await,
        expected.map(|outcome| row(outcome, 0))
    );
}

#[actix_web::test]
async fn a_delivery_of_another_type_is_kept_without_its_body() {
    let app = TestApp::new().await;
    let body = br#"{"type":"TRANSACTION","event":"COMPLETED_ON_RAMP","externalUserId":"u1","firstName":"Zelda"}"#;
    assert_eq!(send_signed(&app, body).await.status, 204);
    let list = app.admin("/v1/admin/deliveries?outcome=ignored").await;
    let delivery = &list.json()["data"][0];
    assert_eq!(delivery["type"], "TRANSACTION");
    assert_eq!(delivery["event"], "COMPLETED_ON_RAMP");
    assert_eq!(delivery["body"], Value::Null);
    assert!(!list.text.contains("Zelda"));
}

#[actix_web::test]
async fn an_event_that_names_nobody_waits_unmatched() {
    let app = TestApp::new().await;
    for body in [
        r#"{"type":"KYC","event":"VERIFIED_USER"}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":null}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":7}"#,
    ] {
        assert_eq!(send_signed(&app, body.as_bytes()).await.status, 204);
    }
    assert_eq!(app.outcomes().await, vec![row("unmatched", 0); 3]);
}

#[actix_web::test]
async fn whatever_is_wrong_with_the_signature_the_answer_is_the_same_401_and_nothing_is_stored() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    let of = |secret: &str, body: &str| sign(secret, body.as_bytes());
    let spaced = body.replace(',', ", ");
    let mut flipped = right.clone().into_bytes();
    flipped[0] ^= 1;
    let flipped = String::from_utf8(flipped).unwrap();
    let wrong: Vec<Vec<String>> = vec![
        vec![],
        vec![right.clone(), right.clone()],
        vec!["".into()],
        vec![right[..1].into()],
        vec![right[..62].into()],
        vec![right[..63].into()],
        vec![format!("{right}0")],
        vec![format!("{right}00")],
        vec![right.repeat(2)],
        vec!["g".repeat(64)],
        vec!["é".repeat(32)],
        vec!["é".repeat(64)],
        vec![format!("sha256={right}")],
        vec![format!("{} {}", &right[..32], &right[32..])],
        vec![format!("{right},{right}")],
        vec![flipped],
        vec!["0".repeat(64)],
        vec![of(OTHER.secret, &body)],
        vec![of("whsec_acme_retired_0123456789", &body)],
        vec![of(ACME.provider_key, &body)],
        vec![of(ACME.secret, &spaced)],
        vec![of(ACME.secret, &format!("{body}\n"))],
        vec![of(ACME.secret, &format!("\u{feff}{body}"))],
        vec![of(ACME.secret, "")],
    ];
    for signatures in wrong {
        let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
        let answer = app.deliver_raw(ACME.id, body.clone(), &signatures).await;
        let found = (answer.status.as_u16(), answer.text.as_str());
        assert_eq!(found, (401, r#"{"code":"unauthorized"}"#), "{signatures:?}");
    }
    assert_eq!(app.outcomes().await, []);
    assert_eq!(app.status("u1").await, "pending");
}

#[actix_web::test]
async fn a_body_that_was_changed_on_the_way_is_refused() {
    let app = TestApp::new().await;
    let body = kyc_event("REJECTED_KYC", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    for changed in [
        body.replace("REJECTED_KYC", "VERIFIED_USER"),
        body.replace(',', ", "),
        format!("{body}\n"),
        format!(" {body}"),
        format!("\u{feff}{body}"),
        r#"{"event":"REJECTED_KYC","type":"KYC","externalUserId":"u1"}"#.to_owned(),
        String::new(),
    ] {
        assert_eq!(
            app.deliver_raw(ACME.id, changed, &[&right]).await.status,
            401
        );
    }
    assert_eq!(app.deliver_raw(ACME.id, body, &[&right]).await.status, 204);
}

#[actix_web::test]
async fn an_unknown_partner_looks_like_a_wrong_signature() {
    let app = TestApp::new().await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    let wrong = sign("whsec_of_nobody_0123456789", body.as_bytes());
    let known = app.deliver_raw(ACME.id, body.clone(), &[&wrong]).await;
    for partner in ["nobody", "ACME", "acme%20", "%00", "%ff"] {
        let unknown = app.deliver_raw(partner, body.clone(), &[&right]).await;
        assert_eq!(face(&unknown), face(&known), "{partner}");
    }
}

#[actix_web::test]
async fn a_right_signature_may_be_upper_case_of_any_secret_and_over_any_spacing() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body =
        "\r\n{ \"externalUserId\" : \"u1\",\t\"event\":\"CREATED_KYC\" , \"type\":\"KYC\" }\n";
    for signature in [
        sign(ACME.secret, body.as_bytes()),
        sign(ACME.secret, body.as_bytes()).to_uppercase(),
        sign(ACME.old_secret, body.as_bytes()),
    ] {
        assert_eq!(
            app.deliver_raw(ACME.id, body, &[&signature]).await.status,
            204
        );
    }
    assert_eq!(app.status("u1").await, "submitted");
}

#[actix_web::test]
async fn a_signed_body_that_cannot_be_read_is_kept_and_answered_400() {
    let app = TestApp::new().await;
    let bodies: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        br#"{"type":"KYC"}"#,
        br#"{"type":1,"event":"VERIFIED_USER"}"#,
        b"\xff\xfe",
        b"<html>",
    ];
    for body in bodies {
        let answer = send_signed(&app, body).await;
        let found = (answer.status.as_u16(), answer.text.as_str());
        assert_eq!(found, (400, r#"{"code":"malformed_json"}"#), "{body:?}");
    }
    assert_eq!(
        app.outcomes().await,
        vec![row("unreadable", 0); bodies.len()]
    );
}

#[actix_web::test]
async fn a_body_may_have_64_kib_and_no_byte_more() {
    let app = TestApp::new().await;
    let fill = |length: usize| {
        let body = kyc_event("VERIFIED_USER", "u1");
        format!("{body}{}", " ".repeat(length - body.len())).into_bytes()
    };
    assert_eq!(send_signed(&app, &fill(64 * 1024)).await.status, 204);
    let answer = send_signed(&app, &fill(64 * 1024 + 1)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (413, r#"{"code":"body_too_large"}"#)
    );
}

#[actix_web::test]
async fn only_post_is_allowed() {
    let app = TestApp::new().await;
    for method in [
        Method::GET,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        let answer = app.send(app.request(method, "/webhooks/acme")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (405, r#"{"code":"method_not_allowed"}"#)
        );
        assert_eq!(answer.header("allow"), "POST");
    }
}

#[actix_web::test]
async fn the_content_type_does_not_matter() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body = kyc_event("CREATED_KYC", "u1");
    for kind in [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "x",
    ] {
        let request = app
            .request(Method::POST, "/webhooks/acme")
            .header("content-type", kind);
        let request = request.header("capa-signature", sign(ACME.secret, body.as_bytes()));
        assert_eq!(
            app.send(request.body(body.clone())).await.status,
            204,
            "{kind}"
        );
    }
}

#[actix_web::test]
async fn a_hundred_deliveries_and_reads_at_once_all_succeed() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let users: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let delivered = join_all(users.iter().map(|user| app.deliver("VERIFIED_USER", user)));
    let read = join_all(users.iter().map(|_| app.get(ACME, "/v1/kyc/users")));
    let (delivered, read) = futures_util::join!(delivered, read);
    assert!(delivered.iter().all(|answer| answer.status == 204));
    assert!(read.iter().all(|answer| answer.status == 200));
    assert_eq!(app.outcomes().await.len(), 100);
}

#[actix_web::test]
async fn a_store_that_takes_no_writes_is_a_503_and_the_next_try_succeeds() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let file = app.folder().join("kyc.db");
    let mut lock = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    let answer = app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(
        (answer.status.as_u16(), answer.text.as_str()),
        (503, r#"{"code":"store_unavailable"}"#)
    );
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(app.status("u1").await, "pending");
    lock.batch_execute("ROLLBACK").unwrap();
    assert_eq!(app.deliver("VERIFIED_USER", "u1").await.status, 204);
    assert_eq!(app.status("u1").await, "verified");
}
