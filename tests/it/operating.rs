//! The commands that an operator runs beside a service: look now, explain, register the webhook address.

use std::process::Output;

use serde_json::{Value, json};
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::support::truth::DETAILS_PATH;
use crate::support::{ACME, OTHER, TestApp};

const LIST_PATH: &str = "/api/partner/v2/webhook-notifications";
const SETTINGS_PATH: &str = "/api/partner/v2/webhook-settings";

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Exit code and the last line of what went wrong.
fn failure(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let last = text.lines().last().unwrap_or_default().to_owned();
    (output.status.code().unwrap(), last)
}

async fn mount(app: &TestApp, verb: &str, at: &str, body: Value) {
    let answer = ResponseTemplate::new(200).set_body_json(body);
    let call = Mock::given(method(verb)).and(path(at));
    call.respond_with(answer).mount(&app.capa).await;
}

#[actix_web::test]
async fn one_user_is_looked_at_and_what_changed_is_printed() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    let output = app.command(&["reconcile", "--user", "u1"]).await;
    assert_eq!(printed(&output), "pending -> verified\n", "{output:?}");
    assert_eq!(app.status("u1").await, "verified");
}

#[actix_web::test]
async fn whose_user_is_meant_must_be_clear() {
    let app = TestApp::new().await;
    for partner in [ACME, OTHER] {
        app.pending_of(partner, "u1").await;
    }
    for (arguments, code) in [
        (&["reconcile", "--user", "u1"][..], 1),
        (&["reconcile", "--user", "u9"], 1),
        (&["reconcile", "--all", "--partner", "nobody"], 1),
        (&["reconcile"], 2),
        (&["reconcile", "--all", "--failed"], 2),
    ] {
        let output = app.command(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
    let output = app
        .command(&["reconcile", "--user", "u1", "--partner", "other"])
        .await;
    assert_eq!(printed(&output), "pending -> pending\n", "{output:?}");
}

#[actix_web::test]
async fn everybody_is_looked_at_on_demand() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending(user).await;
        app.truth.says(user, "DECLINED", "s1");
    }
    let output = app.command(&["reconcile", "--all"]).await;
    assert_eq!(printed(&output), "Looked 3 times.\n", "{output:?}");
    for user in ["u1", "u2", "u3"] {
        assert_eq!(app.status(user).await, "rejected");
    }
}

#[actix_web::test]
async fn those_whom_the_providers_list_names_are_looked_at_on_demand() {
    let app = TestApp::new().await;
    for user in ["u1", "u2"] {
        app.pending(user).await;
        app.truth.says(user, "DECLINED", "s1");
    }
    let row = json!({"id": "n1", "status": "FAILED", "eventType": "REJECTED_KYC", "updatedAt": "2026-01-15T10:35:00.000Z"});
    mount(
        &app,
        "GET",
        LIST_PATH,
        json!({"success": true, "data": {"data": [row]}}),
    )
    .await;
    let payload = json!({"type": "KYC", "event": "REJECTED_KYC", "externalUserId": "u2"});
    let one = json!({"success": true, "data": {"id": "n1", "payload": payload}});
    mount(&app, "GET", &format!("{LIST_PATH}/n1"), one).await;
    let output = app
        .command(&["reconcile", "--failed", "--partner", "acme"])
        .await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(app.status("u2").await, "rejected");
    let about: Vec<String> = {
        let received = app.capa.received_requests().await.unwrap();
        let details = received
            .iter()
            .filter(|request| request.url.path() == DETAILS_PATH);
        details
            .map(|request| request.url.query().unwrap().to_owned())
            .collect()
    };
    assert!(about.contains(&"userId=u2".to_owned()), "{about:?}");
}

#[actix_web::test]
async fn a_provider_that_is_down_ends_the_command_with_the_reason() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.fails_with(ResponseTemplate::new(500));
    let (code, reason) = failure(&app.command(&["reconcile", "--user", "u1"]).await);
    assert_eq!(code, 1);
    assert!(reason.contains("provider_unavailable"), "{reason}");
}

#[actix_web::test]
async fn where_the_provider_is_never_asked_the_command_refuses() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let file = crate::support::process::file(
        &app.folder(),
        "never.toml",
        "[webhooks]\nconfirm = \"never\"\n",
    );
    let output = app
        .command(&["reconcile", "--all", "--config", file.to_str().unwrap()])
        .await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[actix_web::test]
async fn why_prints_the_paragraph() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    let output = app.command(&["why", "acme", "u1"]).await;
    let text = printed(&output);
    assert!(
        text.starts_with("In attempt 1 the user is in_review since 2026-11-23T19:25:00.123Z"),
        "{output:?}"
    );
    assert!(
        text.contains("VERIFIED_USER") && text.lines().count() == 1,
        "{text}"
    );
    let (code, reason) = failure(&app.command(&["why", "other", "u1"]).await);
    assert_eq!(
        (code, reason.as_str()),
        (1, "kyc-tracker: that partner has no user with this userId")
    );
}

#[actix_web::test]
async fn the_webhook_address_is_registered_with_the_partners_own_key() {
    let app = TestApp::new().await;
    let to = "https://kyc.example.com/webhooks/other";
    let register = Mock::given(method("PUT"))
        .and(path(SETTINGS_PATH))
        .and(header("partner-api-key", OTHER.provider_key))
        .and(body_json(json!({"url": to})));
    let answer = json!({"success": true, "data": {"id": "x", "url": to}});
    register
        .respond_with(ResponseTemplate::new(200).set_body_json(answer))
        .expect(1)
        .mount(&app.capa)
        .await;
    let output = app
        .command(&["webhook", "register", to, "--partner", "other"])
        .await;
    assert!(
        printed(&output).starts_with("The provider sends the webhooks of other to https://"),
        "{output:?}"
    );
    for arguments in [
        &["webhook", "register", to][..],
        &["webhook", "register", to, "--partner", "acme"],
        &["webhook", "register", to, "--partner", "nobody"],
    ] {
        let output = app.command(arguments).await;
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    }
}
