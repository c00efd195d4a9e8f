//! `Idempotency-Key`: a request for a link that is sent again is answered as it was, and does nothing.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use futures_util::future::{join, join_all};
use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use serde_json::{Value, json};

use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::process::Process;
use crate::support::store::connect;
use crate::support::{ACME, Answer, LINK, OTHER, Partner, TestApp, http, settings};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn ask(app: &TestApp, partner: Partner, key: &str, body: &Value) -> Answer {
    send(app, partner, key, body.to_string()).await
}

async fn send(app: &TestApp, partner: Partner, key: &str, body: String) -> Answer {
    let request = app.request(Method::POST, "/v1/kyc/links");
    let request = request
        .header("partner-api-key", partner.key)
        .header("idempotency-key", key)
        .header("content-type", "application/json");
    app.send(request.body(body)).await
}

/// A request that would make another link each time.
fn insist() -> Value {
    json!({"userId": "u1", "country": "DO", "forceNew": true})
}

fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

#[actix_web::test]
async fn the_same_request_again_gets_the_same_answer_and_makes_no_link() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (201, false));
    let rewritten = r#"{"forceNew":true,  "country":"DO","userId":"u1"}"#;
    for body in [insist().to_string(), rewritten.to_owned()] {
        let again = send(&app, ACME, "k1", body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert!(is_replayed(&again));
        for header in ["location", "etag", "content-type"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    assert_eq!(app.calls().await, 1);
    let without = app.ask_for_link(ACME, &insist()).await;
    assert_eq!((without.status.as_u16(), app.calls().await), (201, 2));
}

#[actix_web::test]
async fn an_open_link_that_was_handed_out_again_is_answered_so_again() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let body = json!({"userId": "u1", "country": "DO"});
    let first = ask(&app, ACME, "k1", &body).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (200, false));
    assert_eq!(first.json()["resumed"], true);
    app.deliver("CREATED_KYC", "u1").await;
    let again = ask(&app, ACME, "k1", &body).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert!(is_replayed(&again));
}

#[actix_web::test]
async fn a_key_with_another_body_is_refused_and_each_partner_has_keys_of_its_own() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    ask(&app, ACME, "k1", &insist()).await;
    for other in [
        json!({"userId": "u2", "country": "DO", "forceNew": true}),
        json!({"userId": "u1", "country": "DO"}),
        json!({"userId": "u1", "country": "DO", "forceNew": true, "externalUserId": "u1"}),
    ] {
        let refused = ask(&app, ACME, "k1", &other).await;
        let code = "idempotency_key_reused".to_owned();
        assert_eq!(refused.problem(), (422, code));
        assert!(!is_replayed(&refused));
    }
    assert_eq!(app.calls().await, 1);
    let others = ask(&app, OTHER, "k1", &insist()).await;
    assert_eq!((others.status.as_u16(), is_replayed(&others)), (201, false));
    let later = ask(&app, ACME, "k1", &insist()).await;
    assert!(is_replayed(&later));
}

#[actix_web::test]
async fn what_says_to_come_again_and_what_never_began_is_not_kept() {
    let app = TestApp::with(&[("KYC__LINKS__NEW_PER_DAY", "1")]).await;
    app.capa_answers(500, "{}").await;
    let failed = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!(failed.problem(), (503, "provider_unavailable".to_owned()));
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (201, false));
    let many = ask(&app, ACME, "k2", &insist()).await;
    assert_eq!(many.problem(), (429, "rate_limited".to_owned()));
    app.clock.advance(DAY);
    let tomorrow = ask(&app, ACME, "k2", &insist()).await;
    assert_eq!(
        (tomorrow.status.as_u16(), is_replayed(&tomorrow)),
        (201, false)
    );
    let faulty = ask(&app, ACME, "k3", &json!({"userId": "u3"})).await;
    assert_eq!(faulty.problem(), (422, "invalid_request".to_owned()));
    let mended = ask(&app, ACME, "k3", &json!({"userId": "u3", "country": "DO"})).await;
    assert_eq!((mended.status.as_u16(), is_replayed(&mended)), (201, false));
}

#[actix_web::test]
async fn a_refusal_is_given_again_without_what_the_provider_wrote() {
    let app = TestApp::new().await;
    let reason =
        json!({"error": {"code": "KYC_TEMPLATE_NOT_CONFIGURED_ERROR", "message": "Sorry."}});
    app.capa_answers(400, reason.to_string()).await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!(first.problem(), (422, "provider_rejected".to_owned()));
    assert_eq!(first.json()["provider"]["message"], "Sorry.");
    app.capa_gives_links().await;
    let again = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!(again.problem(), (422, "provider_rejected".to_owned()));
    let code = json!({"code": "KYC_TEMPLATE_NOT_CONFIGURED_ERROR"});
    assert_eq!(
        (&again.json()["provider"], is_replayed(&again)),
        (&code, true)
    );
    assert_eq!(again.json()["detail"], first.json()["detail"]);
    assert_eq!(app.calls().await, 0);

    let plain = json!({"userId": "u2", "country": "DO"});
    app.pending("u2").await;
    app.deliver("VERIFIED_USER", "u2").await;
    let refused = ask(&app, ACME, "k2", &plain).await;
    assert_eq!(refused.problem(), (409, "already_verified".to_owned()));
    app.deliver("REJECTED_KYC", "u2").await;
    let again = ask(&app, ACME, "k2", &plain).await;
    assert_eq!(again.problem(), (409, "already_verified".to_owned()));
    assert_eq!(again.json()["detail"], refused.json()["detail"]);
}

#[actix_web::test]
async fn many_with_one_key_at_the_same_time_make_one_link() {
    let app = TestApp::new().await;
    let link = json!({"status": "ok", "data": {"kycLink": LINK}});
    let delay = Duration::from_millis(500);
    app.capa_is_slow(delay, 201, link).await;
    let body = insist();
    let answers = join_all((0..20).map(|_| ask(&app, ACME, "k1", &body))).await;
    assert_eq!(app.calls().await, 1);
    let first = answers.iter().filter(|answer| !is_replayed(answer));
    assert_eq!(first.count(), 1);
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
}

#[actix_web::test]
async fn the_link_is_not_given_again_once_it_is_no_more_the_users() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await.json();
    assert_eq!(first["kycLink"], LINK);
    app.deliver("VERIFIED_USER", "u1").await;
    let decided = ask(&app, ACME, "k1", &insist()).await.json();
    let expected = |link: Value| {
        let mut answer = first.clone();
        answer["kycLink"] = link;
        answer
    };
    assert_eq!(decided, expected(Value::Null));
    app.clock.advance(Duration::from_secs(60));
    // The next attempt has a link of its own, which is not that of this answer.
    ask(&app, ACME, "k2", &insist()).await;
    let again = ask(&app, ACME, "k1", &insist()).await.json();
    assert_eq!(again, expected(Value::Null));
}

#[actix_web::test]
async fn a_key_is_good_for_a_day() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    ask(&app, ACME, "k1", &insist()).await;
    app.clock.advance(DAY - Duration::from_micros(1));
    assert!(is_replayed(&ask(&app, ACME, "k1", &insist()).await));
    app.clock.advance(Duration::from_micros(1));
    let next = ask(&app, ACME, "k1", &json!({"userId": "u2", "country": "DO"})).await;
    assert_eq!((next.status.as_u16(), is_replayed(&next)), (201, false));
    assert_eq!(app.calls().await, 2);
}

#[actix_web::test]
async fn a_key_is_remembered_over_a_restart() {
    let mut app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    app.restart().await;
    let again = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((&again.text, is_replayed(&again)), (&first.text, true));
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn a_key_must_be_one_visible_text() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    for key in ["", "two words", "gr\u{fc}n", &"k".repeat(256)] {
        let refused = ask(&app, ACME, key, &insist()).await;
        assert_eq!(refused.problem(), (400, "bad_request".to_owned()), "{key}");
    }
    let twice = app.request(Method::POST, "/v1/kyc/links");
    let twice = twice
        .header("partner-api-key", ACME.key)
        .header("idempotency-key", "k1")
        .header("idempotency-key", "k2");
    let refused = app.send(twice.json(&insist())).await;
    assert_eq!(refused.problem(), (400, "bad_request".to_owned()));
    assert_eq!(app.calls().await, 0);
    let longest = ask(&app, ACME, &"~".repeat(255), &insist()).await;
    assert_eq!(longest.status, 201);
}

/// Changes the store behind the service's back.
fn change(app: &TestApp, sql: &str) {
    let mut conn = connect(&app.folder().join("kyc.db"));
    conn.batch_execute(sql).unwrap();
}

#[actix_web::test]
async fn a_quoted_key_is_the_same_key() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "\"k1\"", &insist()).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (201, false));
    for same in ["k1", "\"k1\""] {
        assert!(is_replayed(&ask(&app, ACME, same, &insist()).await));
    }
    // One pair of quotes is the form of the header, a further one is the partner's, and one alone is no pair.
    for other in ["\"\"k1\"\"", "\"k1", "k1\"", "\""] {
        let next = ask(&app, ACME, other, &insist()).await;
        assert_eq!((next.status.as_u16(), is_replayed(&next)), (201, false));
    }
    let empty = ask(&app, ACME, "\"\"", &insist()).await;
    assert_eq!(empty.problem(), (400, "bad_request".to_owned()));
}

#[actix_web::test]
async fn a_rotated_provider_key_changes_nothing() {
    let mut app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    app.restart_with(&[(
        "KYC__PARTNERS__0__PROVIDER_API_KEY",
        "capa_key_acme_rotated_0123",
    )])
    .await;
    let again = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((&again.text, is_replayed(&again)), (&first.text, true));
    let other = json!({"userId": "u2", "country": "DO"});
    let other = ask(&app, ACME, "k1", &other).await;
    assert_eq!(other.problem(), (422, "idempotency_key_reused".to_owned()));
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn while_the_first_is_under_way_the_second_waits_and_is_then_told_so() {
    let app = TestApp::with(&[("KYC__PROVIDER__TIMEOUT", "1s")]).await;
    app.capa_gives_links().await;
    let first = app.app.answering.begin("acme/k1");
    let (told, others) = (insist(), insist());
    let (waited, other) = join(
        ask(&app, ACME, "k1", &told),
        ask(&app, OTHER, "k1", &others),
    )
    .await;
    assert_eq!(waited.problem(), (409, "request_in_progress".to_owned()));
    assert_eq!(other.status, 201);
    assert_eq!(app.calls().await, 1);
    drop(first);
    let next = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((next.status.as_u16(), is_replayed(&next)), (201, false));
}

#[actix_web::test]
async fn an_answer_that_cannot_be_read_is_not_taken_for_none() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    ask(&app, ACME, "k1", &insist()).await;
    for damage in ["''", "'{'", "'{\"version\":3}'", "substr(answer, 1, 99)"] {
        change(&app, &format!("UPDATE kept_answers SET answer = {damage}"));
        let refused = ask(&app, ACME, "k1", &insist()).await;
        assert_eq!(refused.problem(), (503, "store_unavailable".to_owned()));
        assert_eq!(refused.header("retry-after"), "5");
    }
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn an_answer_that_cannot_be_read_is_one_line_of_the_log() {
    let (folder, capa) = (tempfile::tempdir().unwrap(), MockServer::start().await);
    let link = ResponseTemplate::new(201).set_body_json(json!({"kycLink": LINK}));
    Mock::given(any()).respond_with(link).mount(&capa).await;
    let (mut process, url) = Process::serve(settings(&folder, &capa.uri())).await;
    let ask = async || {
        let request = http().post(format!("{url}/v1/kyc/links"));
        let request = request.header("partner-api-key", ACME.key);
        let request = request.header("idempotency-key", "k1");
        request.json(&insist()).send().await.unwrap().status()
    };
    assert_eq!(ask().await, 201);
    let mut conn = connect(&folder.path().join("kyc.db"));
    conn.batch_execute("UPDATE kept_answers SET answer = '{'")
        .unwrap();
    assert_eq!(ask().await, 503);
    process.terminate();
    process.exit_status().await;
    let log = process.stderr();
    // The faked provider answers nothing but links, which the probe at the start reports.
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("ERROR") && !line.contains("an unknown user"))
        .collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("store_unavailable"), "{log}");
    assert!(
        errors[0].contains("cannot be read: check the database"),
        "{log}"
    );
    assert!(!log.contains("k1") && !log.contains(LINK), "{log}");
}

/// Puts a kept answer back into the form of the release before, with the MAC that it made under the provider's key.
async fn age(app: &TestApp, body: &str) {
    let user = app.user("u1").await;
    let row = json!({
        "id": "019ab2f4-7c1e-7d3a-9b52-6a0f4c1d2e3f", "partner": "acme", "user_id": "u1", "external_user_id": "u1",
        "country": "DO", "redirect_uri": null, "attempt": 1, "status": "pending", "held": null, "source": "link",
        "version": user["version"], "link_created_at": user["linkCreatedAt"], "created_at": user["createdAt"],
        "updated_at": user["updatedAt"], "decided_at": null, "overridden": false, "conflict": false,
        "confirmed_at": null, "last_delivery": null, "last_transition": 1,
    });
    let answer = json!({"issued": {"user": row, "resumed": false}});
    let mac = sign(ACME.provider_key, body.as_bytes());
    let key = "(SELECT json_extract(answer, '$.answer.issued.user.key') FROM kept_answers)";
    change(
        app,
        &format!(
            "UPDATE kept_answers SET body_mac = x'{mac}', answer = json_set('{answer}', '$.issued.user.id', {key})"
        ),
    );
}

#[actix_web::test]
async fn what_the_release_before_kept_is_given_again_and_never_refused_as_reused() {
    let mut app = TestApp::new().await;
    app.capa_gives_links().await;
    let first = ask(&app, ACME, "k1", &insist()).await;
    age(&app, r#"{"country":"DO","forceNew":true,"userId":"u1"}"#).await;
    let again = ask(&app, ACME, "k1", &insist()).await;
    assert_eq!((&again.text, is_replayed(&again)), (&first.text, true));
    // Under a rotated provider key nothing can tell whether the body is the same.
    app.restart_with(&[(
        "KYC__PARTNERS__0__PROVIDER_API_KEY",
        "capa_key_acme_rotated_0123",
    )])
    .await;
    let asked = ask(&app, ACME, "k1", &json!({"userId": "u1", "country": "DO"})).await;
    assert_eq!((asked.status.as_u16(), is_replayed(&asked)), (200, false));
    assert_eq!(asked.json()["kycLink"], first.json()["kycLink"]);
}
