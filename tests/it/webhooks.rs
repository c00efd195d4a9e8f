//! `POST /webhooks/{partnerId}`: every row of its table of outcomes and answers, and the corpus of bad signatures.

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use futures_util::future::{join, join_all};
use kyc_tracker::capa::signature::{HEADER, sign};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{ACME, Answer, OTHER, TestApp, kyc_event};

const CAP: usize = 64 * 1024;

/// Status and body, which is all that the provider sees.
fn told(answer: &Answer) -> (u16, &str) {
    (answer.status.as_u16(), &answer.text)
}

/// Any bytes to acme's URL, rightly signed.
async fn signed(app: &TestApp, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    let signature = sign(ACME.secret, &body);
    app.deliver_raw(ACME.id, body, &[&signature]).await
}

/// The delivery that came last, as admins see it.
async fn last(app: &TestApp) -> Value {
    let answer = app.admin("/v1/admin/deliveries?limit=1").await;
    answer.json()["data"][0].clone()
}

/// A readable body of that many bytes.
fn padded(size: usize) -> Vec<u8> {
    let mut body = kyc_event("CREATED_KYC", "u1").into_bytes();
    body.resize(size, b' ');
    body
}

#[actix_web::test]
async fn a_signed_verified_makes_a_pending_user_verified() {
    let app = TestApp::new().await;
    assert_eq!(app.pending("u1").await["status"], "pending");
    let answer = app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    let user = app.user("u1").await;
    assert_eq!(
        (user["status"].as_str(), user["final"].as_bool()),
        (Some("verified"), Some(false))
    );
    assert_eq!(app.deliver_raw(ACME.id, "{}", &[]).await.status, 401);
}

#[actix_web::test]
async fn whatever_is_stored_is_answered_204_without_a_body_and_listed_with_its_outcome() {
    const BEFORE: [(&[&str], &str, &str); 6] = [
        (&[], "CREATED_KYC", "applied"),
        (&["CREATED_KYC"], "REVIEW_NEEDED_KYC", "applied"),
        (&["REVIEW_NEEDED_KYC"], "CREATED_KYC", "stale"),
        (&["VERIFIED_USER"], "REJECTED_KYC", "held"),
        (&["REJECTED_KYC"], "VERIFIED_USER", "held"),
        (&[], "PAUSED_KYC", "ignored"),
    ];
    let app = TestApp::new().await;
    for (number, (before, event, outcome)) in BEFORE.into_iter().enumerate() {
        let user = format!("u{number}");
        app.pending(&user).await;
        for earlier in before {
            app.deliver(earlier, &user).await;
        }
        assert_eq!(told(&app.deliver(event, &user).await), (204, ""), "{event}");
        let stored = last(&app).await;
        assert_eq!(
            (&stored["outcome"], &stored["event"]),
            (&json!(outcome), &json!(event))
        );
    }
}

#[actix_web::test]
async fn an_event_about_nobody_known_is_kept_as_unmatched() {
    let app = TestApp::new().await;
    for id in ["", r#","externalUserId":null"#] {
        let body = format!(r#"{{"type":"KYC","event":"VERIFIED_USER"{id}}}"#);
        assert_eq!(told(&signed(&app, body.clone()).await), (204, ""), "{body}");
        let stored = last(&app).await;
        assert_eq!(
            (&stored["outcome"], &stored["body"]),
            (&json!("unmatched"), &json!(body))
        );
        assert_eq!(
            (&stored["externalUserId"], &stored["userId"]),
            (&Value::Null, &Value::Null)
        );
    }
    assert_eq!(
        told(&app.deliver("VERIFIED_USER", "nobody").await),
        (204, "")
    );
    assert_eq!(last(&app).await["externalUserId"], "nobody");
    assert_eq!(app.outcomes().await, vec![("unmatched".to_owned(), 0); 3]);
}

#[actix_web::test]
async fn a_signed_verdict_counts_whatever_stands_beside_its_three_fields() {
    let odd: [&[u8]; 4] = [
        br#""note":"\ud83d""#,
        b"\"note\":\"Jos\xe9\"",
        br#""score":1e400"#,
        br#""a":"\u0000","a":[{"type":"TRANSACTION"}]"#,
    ];
    let app = TestApp::new().await;
    for (number, odd) in odd.into_iter().enumerate() {
        let user = format!("u{number}");
        app.pending(&user).await;
        let event = kyc_event("VERIFIED_USER", &user).into_bytes();
        let body = [&event[..event.len() - 1], b",", odd, b"}"].concat();
        assert_eq!(told(&signed(&app, body).await), (204, ""), "{number}");
        let stored = last(&app).await;
        assert_eq!(stored["outcome"], "applied", "{stored}");
        assert_eq!(stored["bodyLength"], Value::Null);
        assert_eq!(app.status(&user).await, "verified");
    }
}

#[actix_web::test]
async fn an_integer_names_the_user_with_its_digits() {
    let app = TestApp::new().await;
    app.pending("42").await;
    let body = r#"{"type":"KYC","event":"CREATED_KYC","externalUserId":42}"#;
    assert_eq!(told(&signed(&app, body).await), (204, ""));
    let stored = last(&app).await;
    assert_eq!(
        (&stored["externalUserId"], &stored["userId"]),
        (&json!("42"), &json!("42"))
    );
    assert_eq!(app.status("42").await, "submitted");
}

#[actix_web::test]
async fn a_delivery_says_which_secret_verified_it_and_none_does_after_its_last_day() {
    let list = format!(
        r#"[{{ secret = "{}", label = "2026-11", until = "2026-11-23" }}, "{}"]"#,
        ACME.secret, ACME.old_secret
    );
    let app = TestApp::with(&[("KYC__PARTNERS__0__WEBHOOK_SECRETS", &list)]).await;
    let deliver = async |secret: &str, event: &str| {
        let body = kyc_event(event, "u1");
        let signature = sign(secret, body.as_bytes());
        let answer = app.deliver_raw(ACME.id, body, &[&signature]).await;
        answer.status.as_u16()
    };
    assert_eq!(deliver(ACME.secret, "CREATED_KYC").await, 204);
    assert_eq!(last(&app).await["secret"], "2026-11");
    let hash = hex::encode(Sha256::digest(ACME.old_secret));
    assert_eq!(deliver(ACME.old_secret, "CREATED_KYC").await, 204);
    assert_eq!(last(&app).await["secret"], hash[..8]);
    // It is 19:20, and the day ends at midnight in UTC.
    app.clock.advance(std::time::Duration::from_secs(16_799));
    assert_eq!(deliver(ACME.secret, "REVIEW_NEEDED_KYC").await, 204);
    app.clock.advance(std::time::Duration::from_secs(1));
    assert_eq!(deliver(ACME.secret, "REVIEW_NEEDED_KYC").await, 401);
    assert_eq!(deliver(ACME.old_secret, "REVIEW_NEEDED_KYC").await, 204);
}

#[actix_web::test]
async fn an_event_of_another_type_moves_nobody_and_its_body_is_not_kept() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let before = app.user("u1").await;
    let body = r#"{"type":"TRANSACTION","event":"VERIFIED_USER","externalUserId":"u1","firstName":"Ximena"}"#;
    assert_eq!(told(&signed(&app, body).await), (204, ""));
    let stored = last(&app).await;
    assert_eq!(
        (&stored["outcome"], &stored["type"]),
        (&json!("ignored"), &json!("TRANSACTION"))
    );
    assert_eq!(stored["body"], Value::Null);
    assert!(
        !app.admin("/v1/admin/deliveries")
            .await
            .text
            .contains("Ximena")
    );
    assert_eq!(app.user("u1").await, before);
}

#[actix_web::test]
async fn an_unknown_event_is_kept_and_moves_nobody() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let before = app.user("u1").await;
    for event in ["PAUSED_KYC", "verified_user", "VERIFIED_USER ", ""] {
        assert_eq!(
            told(&app.deliver(event, "u1").await),
            (204, ""),
            "{event:?}"
        );
        let stored = last(&app).await;
        assert_eq!(
            (&stored["outcome"], &stored["event"]),
            (&json!("ignored"), &json!(event))
        );
        assert_eq!(stored["body"], kyc_event(event, "u1"));
    }
    assert_eq!(app.user("u1").await, before);
}

#[actix_web::test]
async fn a_repeated_delivery_changes_nothing_and_is_counted_on_its_first_row() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    let once = app.user("u1").await;
    for _ in 0..5 {
        app.clock.advance(std::time::Duration::from_secs(60));
        assert_eq!(told(&app.deliver("CREATED_KYC", "u1").await), (204, ""));
    }
    assert_eq!(app.user("u1").await, once);
    assert_eq!(app.outcomes().await, [("applied".to_owned(), 5)]);
    let stored = last(&app).await;
    assert_eq!(stored["receivedAt"], "2026-11-23T19:20:00.123Z");
    assert_eq!(stored["lastReceivedAt"], "2026-11-23T19:25:00.123Z");
}

#[actix_web::test]
async fn the_same_event_in_other_bytes_is_repeated_in_a_row_of_its_own() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    let once = app.user("u1").await;
    for _ in 0..2 {
        let body = kyc_event("CREATED_KYC", "u1").replace(':', ": ");
        assert_eq!(told(&signed(&app, body).await), (204, ""));
    }
    assert_eq!(app.user("u1").await, once);
    let (applied, repeated) = (("applied".to_owned(), 0), ("repeated".to_owned(), 1));
    assert_eq!(app.outcomes().await, [applied, repeated]);
}

#[actix_web::test]
async fn a_storm_of_what_cannot_be_used_takes_one_row_each() {
    let app = TestApp::new().await;
    let other_type = r#"{"type":"TRANSACTION","event":"X"}"#;
    for body in ["[]", other_type, &kyc_event("CREATED_KYC", "nobody")] {
        for _ in 0..4 {
            signed(&app, body).await;
        }
    }
    let row = |outcome: &str| (outcome.to_owned(), 3);
    assert_eq!(
        app.outcomes().await,
        [row("unreadable"), row("ignored"), row("unmatched")]
    );
}

#[actix_web::test]
async fn a_signature_that_is_not_right_is_401_and_nothing_is_stored() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    let flipped = if right.ends_with('0') { '1' } else { '0' };
    let corpus: [(&str, &[&str]); 20] = [
        ("missing", &[]),
        ("0 characters", &[""]),
        ("1 character", &[&right[..1]]),
        ("62 characters", &[&right[..62]]),
        ("63 characters", &[&right[..63]]),
        ("65 characters", &[&format!("{right}0")]),
        ("66 characters", &[&format!("{right}00")]),
        ("128 characters", &[&right.repeat(2)]),
        ("not hex", &[&format!("{}g", &right[..63])]),
        ("multi-byte, 64 bytes", &[&"é".repeat(32)]),
        ("multi-byte, 64 characters", &[&"é".repeat(64)]),
        ("doubled, both right", &[&right, &right]),
        ("doubled, right and wrong", &[&right, "x"]),
        ("with a prefix", &[&format!("sha256={right}")]),
        ("0x", &[&format!("0x{right}")]),
        ("in quotes", &[&format!("\"{right}\"")]),
        (
            "a space after the first digit",
            &[&format!("{} {}", &right[..1], &right[1..])],
        ),
        (
            "a space before the last digit",
            &[&format!("{} {}", &right[..62], &right[63..])],
        ),
        ("two in one header", &[&format!("{right}, {right}")]),
        (
            "its last digit changed",
            &[&format!("{}{flipped}", &right[..63])],
        ),
    ];
    for (name, signatures) in corpus {
        let answer = app.deliver_raw(ACME.id, body.clone(), signatures).await;
        assert_eq!(told(&answer), (401, r#"{"code":"unauthorized"}"#), "{name}");
    }
    assert_eq!(app.outcomes().await, []);
    assert_eq!(app.status("u1").await, "pending");
}

#[actix_web::test]
async fn a_signature_by_another_secret_is_401_and_nothing_is_stored() {
    let app = TestApp::new().await;
    let body = kyc_event("VERIFIED_USER", "u1");
    for secret in [
        OTHER.secret,
        OTHER.old_secret,
        "whsec_acme_retired_0123456789",
        ACME.key,
        ACME.provider_key,
        ACME.id,
        "",
    ] {
        let signature = sign(secret, body.as_bytes());
        let answer = app.deliver_raw(ACME.id, body.clone(), &[&signature]).await;
        assert_eq!(
            told(&answer),
            (401, r#"{"code":"unauthorized"}"#),
            "{secret}"
        );
    }
    assert_eq!(app.outcomes().await, []);
}

#[actix_web::test]
async fn a_signature_over_other_bytes_is_401_and_nothing_is_stored() {
    let app = TestApp::new().await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    let received = [
        ("spaces added", body.replace(':', ": ")),
        (
            "keys in another order",
            r#"{"event":"VERIFIED_USER","type":"KYC","externalUserId":"u1"}"#.to_owned(),
        ),
        ("a newline behind", format!("{body}\n")),
        ("a byte order mark before", format!("\u{feff}{body}")),
        ("one byte flipped", body.replace("u1", "u0")),
        ("escaped otherwise", body.replace("u1", "\\u00751")),
        ("cut short", body[..body.len() - 1].to_owned()),
        ("empty", String::new()),
    ];
    for (name, received) in received {
        let answer = app.deliver_raw(ACME.id, received, &[&right]).await;
        assert_eq!(told(&answer), (401, r#"{"code":"unauthorized"}"#), "{name}");
    }
    let of_nothing = sign(ACME.secret, b"");
    let answer = app.deliver_raw(ACME.id, body, &[&of_nothing]).await;
    assert_eq!(told(&answer), (401, r#"{"code":"unauthorized"}"#));
    assert_eq!(app.outcomes().await, []);
}

#[actix_web::test]
async fn an_unknown_partner_is_answered_like_a_wrong_signature() {
    let app = TestApp::new().await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    let shape = |answer: &Answer| {
        let names = answer.headers.keys().map(|name| name.as_str().to_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        (answer.status, answer.text.clone(), names)
    };
    let wrong = shape(
        &app.deliver_raw(ACME.id, body.clone(), &[&"0".repeat(64)])
            .await,
    );
    for partner in ["nobody", "ACME", "acme%20", "%00", "acme%2F", "other"] {
        let answer = app.deliver_raw(partner, body.clone(), &[&right]).await;
        assert_eq!(shape(&answer), wrong, "{partner}");
        let unsigned = app.deliver_raw(partner, body.clone(), &[]).await;
        assert_eq!(shape(&unsigned), wrong, "{partner}");
    }
    assert_eq!(app.outcomes().await, []);
}

#[actix_web::test]
async fn refusals_are_only_counted() {
    let app = TestApp::new().await;
    let (wrong, right) = ("0".repeat(64), sign(ACME.secret, b"{}"));
    let refused: [&[&str]; 5] = [&[], &[&right, &right], &["x"], &[&wrong], &[&wrong]];
    for signatures in refused {
        app.deliver_raw(ACME.id, "{}", signatures).await;
    }
    let stats = app.admin("/v1/admin/stats").await.json();
    assert_eq!(
        stats["signatureRefusals"],
        json!({"missing": 1, "doubled": 1, "malformed": 1, "wrong": 2})
    );
}

#[actix_web::test]
async fn a_right_signature_counts_in_either_case_and_with_either_secret() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body = kyc_event("CREATED_KYC", "u1");
    let current = sign(ACME.secret, body.as_bytes());
    let previous = sign(ACME.old_secret, body.as_bytes());
    for signature in [
        current.to_uppercase(),
        current,
        previous.clone(),
        previous.to_uppercase(),
    ] {
        let answer = app.deliver_raw(ACME.id, body.clone(), &[&signature]).await;
        assert_eq!(told(&answer), (204, ""), "{signature}");
    }
    let (applied, repeated) = (("applied".to_owned(), 1), ("repeated".to_owned(), 1));
    assert_eq!(app.outcomes().await, [applied, repeated]);
}

#[actix_web::test]
async fn what_is_signed_may_be_written_in_any_json() {
    let bodies = [
        "{ \"type\" : \"KYC\" ,\r\n\t\"event\" : \"VERIFIED_USER\" , \"externalUserId\" : \"u1\" }\n",
        r#"{"externalUserId":"u1","event":"VERIFIED_USER","type":"KYC"}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"\u00751"}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"u1","more":{"deep":[1.5e300,null]}}"#,
    ];
    for body in bodies {
        let app = TestApp::new().await;
        app.pending("u1").await;
        assert_eq!(told(&signed(&app, body).await), (204, ""), "{body}");
        assert_eq!(app.status("u1").await, "verified", "{body}");
        assert_eq!(last(&app).await["body"], body);
    }
}

#[actix_web::test]
async fn a_signed_body_that_says_nothing_is_400_and_kept_for_the_admin() {
    let bodies = [
        "",
        " ",
        "null",
        "true",
        "17",
        "[]",
        "\"KYC\"",
        "{",
        "{}",
        "not json",
        r#"[{"type":"KYC","event":"VERIFIED_USER","externalUserId":"u1"}]"#,
        r#"{"type":"KYC","externalUserId":"u1"}"#,
        r#"{"event":"VERIFIED_USER","externalUserId":"u1"}"#,
        r#"{"type":null,"event":"VERIFIED_USER","externalUserId":"u1"}"#,
        r#"{"type":"KYC","event":7,"externalUserId":"u1"}"#,
        r#"{"type":"TRANSACTION","event":7,"firstName":"Ximena"}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":["u1"]}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":1.5}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"u1\u0000"}"#,
        r#"{"type":"KYC","event":"CREATED_KYC","event":"VERIFIED_USER","externalUserId":"u1"}"#,
        r#"{"Type":"KYC","Event":"VERIFIED_USER","externalUserId":"u1"}"#,
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"u1"} {}"#,
        "\u{feff}{\"type\":\"KYC\",\"event\":\"VERIFIED_USER\",\"externalUserId\":\"u1\"}",
    ];
    let app = TestApp::new().await;
    app.pending("u1").await;
    for body in bodies {
        let answer = signed(&app, body).await;
        assert_eq!(
            told(&answer),
            (400, r#"{"code":"malformed_json"}"#),
            "{body:?}"
        );
        let stored = last(&app).await;
        assert_eq!(
            (&stored["outcome"], &stored["body"]),
            (&json!("unreadable"), &Value::Null)
        );
        let (length, hash) = (&stored["bodyLength"], &stored["bodySha256"]);
        assert_eq!(*length, body.len(), "{body:?}");
        assert_eq!(*hash, hex::encode(Sha256::digest(body)), "{body:?}");
    }
    assert_eq!(app.outcomes().await.len(), bodies.len());
    assert_eq!(app.status("u1").await, "pending");
}

#[actix_web::test]
async fn bytes_that_are_no_text_and_json_too_deep_are_unreadable() {
    let app = TestApp::new().await;
    let deep = [r#"{"type":"KYC","event":"#, &"[".repeat(60_000)]
        .concat()
        .into_bytes();
    let no_text = b"{\"type\":\"KYC\",\"event\":\"\xff\"}".to_vec();
    for body in [deep, no_text, vec![0; 100]] {
        let answer = signed(&app, body).await;
        assert_eq!(told(&answer), (400, r#"{"code":"malformed_json"}"#));
        assert_eq!(last(&app).await["outcome"], "unreadable");
    }
}

#[actix_web::test]
async fn exactly_64_kib_are_taken_and_one_byte_more_is_413() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let too_large = (413, r#"{"code":"body_too_large"}"#);
    assert_eq!(told(&signed(&app, padded(CAP + 1)).await), too_large);
    let unsigned = app.deliver_raw(ACME.id, padded(CAP + 1), &[]).await;
    assert_eq!(told(&unsigned), too_large);
    assert_eq!(app.outcomes().await, []);
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(told(&signed(&app, padded(CAP)).await), (204, ""));
    assert_eq!(app.status("u1").await, "submitted");
}

#[actix_web::test]
async fn another_method_is_405_and_says_which_is_right() {
    let app = TestApp::new().await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let right = sign(ACME.secret, body.as_bytes());
    for method in [
        Method::GET,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        for partner in [ACME.id, "nobody"] {
            let request = app.request(method.clone(), &format!("/webhooks/{partner}"));
            let answer = app
                .send(request.header(HEADER, &right).body(body.clone()))
                .await;
            assert_eq!(
                told(&answer),
                (405, r#"{"code":"method_not_allowed"}"#),
                "{method}"
            );
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    assert_eq!(app.outcomes().await, []);
}

#[actix_web::test]
async fn the_content_type_and_the_query_are_nobodys_concern() {
    let app = TestApp::new().await;
    for (number, kind) in ["text/plain", "application/xml", "nonsense", ""]
        .into_iter()
        .enumerate()
    {
        let body = kyc_event("VERIFIED_USER", &format!("u{number}"));
        let request = app
            .request(Method::POST, "/webhooks/acme?retry=1")
            .header(HEADER, sign(ACME.secret, body.as_bytes()))
            .header("content-type", kind)
            .header("accept", "text/html");
        assert_eq!(
            told(&app.send(request.body(body)).await),
            (204, ""),
            "{kind:?}"
        );
    }
    assert_eq!(app.outcomes().await.len(), 4);
}

#[actix_web::test]
async fn every_refusal_is_json_and_a_code_alone() {
    let app = TestApp::new().await;
    let answers = [
        signed(&app, "[]").await,
        signed(&app, padded(CAP + 1)).await,
        app.deliver_raw(ACME.id, "{}", &[]).await,
        app.send(app.request(Method::GET, "/webhooks/acme")).await,
    ];
    for answer in answers {
        assert_eq!(
            answer.header("content-type"),
            "application/json",
            "{answer:?}"
        );
        let fields = answer.json();
        assert_eq!(
            fields.as_object().map(|fields| fields.len()),
            Some(1),
            "{fields}"
        );
        assert!(fields["code"].is_string(), "{fields}");
    }
}

#[actix_web::test]
async fn a_hundred_deliveries_and_as_many_reads_at_once_all_succeed() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let users: Vec<String> = (0..100).map(|number| format!("u{number}")).collect();
    let register = users
        .iter()
        .map(|user| json!({"userId": user, "country": "DO"}));
    for body in register {
        assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
    }
    let both = users.iter().map(|user| {
        let read = app.get(ACME, "/v1/kyc/users?limit=100");
        join(app.deliver("VERIFIED_USER", user), read)
    });
    for (delivered, read) in join_all(both).await {
        assert_eq!((told(&delivered), read.status.as_u16()), ((204, ""), 200));
    }
    let verified = app
        .get(ACME, "/v1/kyc/users?status=verified&limit=500")
        .await;
    assert_eq!(verified.json()["data"].as_array().map(Vec::len), Some(100));
}

#[actix_web::test]
async fn a_store_that_is_locked_is_503_and_the_delivery_is_taken_once_it_is_free() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let file = app.folder().join("kyc.db");
    let mut lock = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    let answer = app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(told(&answer), (503, r#"{"code":"store_unavailable"}"#));
    assert!(
        answer
            .header("retry-after")
            .parse::<u64>()
            .is_ok_and(|wait| wait > 0)
    );
    assert_eq!(app.status("u1").await, "pending");
    lock.batch_execute("ROLLBACK").unwrap();
    assert_eq!(told(&app.deliver("VERIFIED_USER", "u1").await), (204, ""));
    assert_eq!(app.status("u1").await, "verified");
    assert_eq!(app.outcomes().await, [("applied".to_owned(), 0)]);
}
