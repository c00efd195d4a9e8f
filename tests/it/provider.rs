//! What partners are told when the provider refuses, fails or talks nonsense.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::process::{Process, free_address};
use crate::support::{ACME, Answer, LINK, LINK_PATH, TestApp, http, settings};

async fn ask(app: &TestApp) -> Answer {
    app.ask_for_link(ACME, &json!({"userId": "u1", "country": "DO"}))
        .await
}

/// The user stays visible as pending, without a link.
async fn assert_pending(app: &TestApp) {
    let user = app.user("u1").await;
    assert_eq!(
        (&user["status"], &user["kycLink"]),
        (&json!("pending"), &Value::Null)
    );
}

fn error(code: &str, message: &str) -> String {
    json!({"success": false, "error": {"code": code, "message": message}}).to_string()
}

#[actix_web::test]
async fn each_refusal_and_failure_has_its_code_and_leaves_the_user_pending() {
    let app = TestApp::new().await;
    let foreign = error("UNAUTHORIZED", "User is not associated with the partner");
    for (status, body, expected) in [
        (
            400,
            error("INVALID_USER_INPUT_ERROR", "Invalid User Input"),
            (422, "provider_rejected"),
        ),
        (400, "<html>".to_owned(), (422, "provider_rejected")),
        (409, error("CONFLICT", "x"), (422, "provider_rejected")),
        (
            401,
            error("UNAUTHORIZED", "Invalid API Key"),
            (502, "provider_unauthorized"),
        ),
        (401, String::new(), (502, "provider_unauthorized")),
        (401, foreign, (404, "provider_user_not_found")),
        (
            403,
            error("INVALID_PARTNER_FLOW", "x"),
            (502, "provider_unauthorized"),
        ),
        (
            404,
            error("NOT_FOUND_ERROR", "x"),
            (404, "provider_user_not_found"),
        ),
        (
            404,
            "<html>404 Not Found</html>".to_owned(),
            (502, "provider_invalid_response"),
        ),
        (404, String::new(), (502, "provider_invalid_response")),
        (404, "[]".to_owned(), (502, "provider_invalid_response")),
        (418, String::new(), (502, "provider_invalid_response")),
        (429, String::new(), (503, "provider_rate_limited")),
        (
            500,
            error("INTERNAL_SERVER_ERROR", "x"),
            (503, "provider_unavailable"),
        ),
        (502, "<html>".to_owned(), (503, "provider_unavailable")),
        (503, String::new(), (503, "provider_unavailable")),
        (
            201,
            "{\"data\":".to_owned(),
            (502, "provider_invalid_response"),
        ),
        (201, "<html>".to_owned(), (502, "provider_invalid_response")),
        (201, String::new(), (502, "provider_invalid_response")),
        (201, "[]".to_owned(), (502, "provider_invalid_response")),
        (
            201,
            "{\"data\":{}}".to_owned(),
            (502, "provider_invalid_response"),
        ),
        (
            201,
            json!({"data": {"kycLink": "javascript:alert(1)"}}).to_string(),
            (502, "provider_invalid_response"),
        ),
        (
            201,
            "x".repeat(1024 * 1024 + 1),
            (502, "provider_invalid_response"),
        ),
    ] {
        app.capa_answers(status, body.clone()).await;
        let answer = ask(&app).await;
        let found = answer.problem();
        assert_eq!(
            found,
            (expected.0, expected.1.to_owned()),
            "{status} {body:.60}"
        );
        assert_eq!(
            answer.header("retry-after").is_empty(),
            expected.0 != 503,
            "{status}"
        );
        assert_eq!(app.calls().await, 1, "{status}: one call, not repeated");
        assert_pending(&app).await;
    }
}

#[actix_web::test]
async fn the_providers_reason_is_passed_on() {
    let app = TestApp::new().await;
    app.capa_answers(
        400,
        error("KYC_TEMPLATE_NOT_CONFIGURED_ERROR", "No template for DO"),
    )
    .await;
    let problem = ask(&app).await.json();
    let expected =
        json!({"code": "KYC_TEMPLATE_NOT_CONFIGURED_ERROR", "message": "No template for DO"});
    assert_eq!(problem["provider"], expected);
}

#[actix_web::test]
async fn all_messages_of_a_validation_error_are_passed_on() {
    let app = TestApp::new().await;
    let reason = json!({
        "statusCode": 400, "error": "Bad Request",
        "message": ["country must be a text", "personalInfo.taxId\u{1b}[1m is too short"],
    });
    app.capa_answers(400, reason.to_string()).await;
    let answer = ask(&app).await;
    assert_eq!(answer.problem(), (422, "provider_rejected".to_owned()));
    let message = "country must be a text; personalInfo.taxId[1m is too short";
    assert_eq!(answer.json()["provider"], json!({"message": message}));
}

/// How often calls of that kind ended so.
async fn calls(app: &TestApp, kind: &str, result: &str) -> f64 {
    let name = format!("kyc_tracker_provider_calls_total{{kind=\"{kind}\",result=\"{result}\"}} ");
    let metrics = app.admin("/metrics").await.text;
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap().parse().unwrap()
}

#[actix_web::test]
async fn a_404_of_a_gateway_or_an_answer_other_than_200_confirms_nothing() {
    let data = json!({"data": {
        "aipriseSummary": {"verificationResult": "APPROVED"}, "clientReferenceId": "u1",
        "verificationSessionId": "s1",
    }});
    let refused = json!({"success": false, "data": data["data"]});
    let twice = data.to_string().replacen("{", "{\"data\":{},", 1);
    for answer in [
        ResponseTemplate::new(404).set_body_string("<html>404 Not Found</html>"),
        ResponseTemplate::new(404),
        ResponseTemplate::new(206).set_body_json(&data),
        ResponseTemplate::new(203).set_body_json(&data),
        ResponseTemplate::new(200).set_body_json(&refused),
        ResponseTemplate::new(200).set_body_string(twice),
        ResponseTemplate::new(200).set_body_json(json!({"data": null})),
    ] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.truth.fails_with(answer);
        app.deliver("CREATED_KYC", "u1").await;
        assert_eq!(app.look().await, 1);
        let user = app.user("u1").await;
        assert_eq!(
            (&user["status"], &user["asOf"]),
            (&json!("submitted"), &Value::Null)
        );
        let found = calls(&app, "details", "invalid_response").await;
        assert_eq!((found, calls(&app, "details", "ok").await), (1.0, 0.0));
    }
    // The control: a 404 with the provider's own body says that there is no verification yet.
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    assert_eq!(app.look().await, 1);
    assert_eq!(calls(&app, "details", "ok").await, 1.0);
}

#[actix_web::test]
async fn the_provider_says_when_to_come_again() {
    let app = TestApp::new().await;
    for (status, given, expected) in [
        (429, "7", "7"),
        (503, "120", "120"),
        (429, "soon", "30"),
        (503, "999999", "3600"),
    ] {
        app.capa.reset().await;
        let answer = ResponseTemplate::new(status).insert_header("retry-after", given);
        Mock::given(any())
            .respond_with(answer)
            .mount(&app.capa)
            .await;
        assert_eq!(
            ask(&app).await.header("retry-after"),
            expected,
            "{status} {given}"
        );
    }
}

#[actix_web::test]
async fn a_redirect_is_not_followed() {
    let app = TestApp::new().await;
    let elsewhere = ResponseTemplate::new(307)
        .insert_header("location", format!("{}/elsewhere", app.capa.uri()));
    Mock::given(path(LINK_PATH))
        .respond_with(elsewhere)
        .mount(&app.capa)
        .await;
    assert_eq!(
        ask(&app).await.problem(),
        (502, "provider_invalid_response".to_owned())
    );
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn a_provider_that_is_too_slow_hinders_nobody_else() {
    let app = TestApp::with(&[("KYC__PROVIDER__TIMEOUT", "1s")]).await;
    let slow = ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    Mock::given(any()).respond_with(slow).mount(&app.capa).await;
    let others = async {
        let asked = async {
            while app.calls().await == 0 {
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, asked).await.unwrap();
        assert_eq!(app.deliver("CREATED_KYC", "u1").await.status, 204);
        assert_eq!(app.status("u1").await, "submitted");
    };
    let (answer, ()) = futures_util::join!(ask(&app), others);
    assert_eq!(answer.problem(), (503, "provider_unavailable".to_owned()));
}

#[actix_web::test]
async fn a_provider_that_is_not_there_is_a_503() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let app = TestApp::with(&[("KYC__PROVIDER__BASE_URL", &format!("http://{address}"))]).await;
    assert_eq!(
        ask(&app).await.problem(),
        (503, "provider_unavailable".to_owned())
    );
}

#[actix_web::test]
async fn both_envelopes_and_the_bare_object_are_understood() {
    let app = TestApp::new().await;
    for (number, body) in [
        json!({"status": "ok", "data": {"kycLink": LINK}}),
        json!({"success": true, "data": {"kycLink": LINK}}),
        json!({"kycLink": LINK}),
    ]
    .into_iter()
    .enumerate()
    {
        app.capa_answers(if number == 0 { 200 } else { 201 }, body.to_string())
            .await;
        let request = json!({"userId": format!("u{number}"), "country": "DO"});
        assert_eq!(
            app.ask_for_link(ACME, &request).await.json()["kycLink"],
            LINK,
            "{body}"
        );
    }
}

#[actix_web::test]
async fn no_status_of_a_redirect_is_followed_or_taken_for_an_answer() {
    let app = TestApp::new().await;
    for status in [301, 302, 303, 307, 308] {
        app.capa.reset().await;
        let elsewhere = ResponseTemplate::new(status)
            .insert_header("location", format!("{}/elsewhere", app.capa.uri()))
            .set_body_json(json!({"data": {"kycLink": LINK}}));
        let link = Mock::given(any()).respond_with(elsewhere);
        link.mount(&app.capa).await;
        let found = ask(&app).await.problem();
        assert_eq!(
            found,
            (502, "provider_invalid_response".to_owned()),
            "{status}"
        );
        assert_eq!(app.calls().await, 1, "{status}");
    }
    assert_pending(&app).await;
}

#[actix_web::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let (folder, capa) = (tempfile::tempdir().unwrap(), MockServer::start().await);
    let link = ResponseTemplate::new(201).set_body_json(json!({"kycLink": LINK}));
    Mock::given(any()).respond_with(link).mount(&capa).await;
    let mut environment = settings(&folder, &capa.uri());
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        environment.push((name.to_owned(), format!("http://{}", free_address())));
    }
    let (_process, url) = Process::serve(environment).await;
    let request = http().post(format!("{url}/v1/kyc/links"));
    let request = request.header("partner-api-key", ACME.key);
    let request = request.json(&json!({"userId": "u1", "country": "DO"}));
    assert_eq!(request.send().await.unwrap().status(), 201);
}
