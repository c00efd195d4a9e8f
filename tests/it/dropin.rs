//! The provider's own three paths against our address: its envelopes and its errors. What is
//! learnt on them is tried in `learnt.rs`.

use std::time::Duration;

use kyc_tracker::capa::sandbox::{self, Account, Settings};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, ResponseTemplate};

use crate::support::process::free_address;
use crate::support::{ACME, Answer, LINK, LINK_PATH, OTHER, Partner, TestApp, http};

pub const USERS: &str = "/api/partner/v2/users";

pub fn link_of(user: &str) -> String {
    format!("{USERS}/{user}/kyc/verification-link")
}

pub async fn post(app: &TestApp, partner: Partner, path: &str, body: &Value) -> Answer {
    let request = app.request(Method::POST, path);
    app.send(request.header("partner-api-key", partner.key).json(body))
        .await
}

/// Status and code of an error, checked to have the provider's shape and nothing more.
pub fn error(answer: &Answer) -> (u16, String) {
    assert_eq!(
        answer.header("content-type"),
        "application/json",
        "{answer:?}"
    );
    let body = answer.json();
    let (code, message) = (&body["error"]["code"], &body["error"]["message"]);
    assert!(code.is_string() && message.is_string(), "{body}");
    let whole = json!({"success": false, "error": {"code": code, "message": message}});
    assert_eq!(body, whole);
    let code = code.as_str().unwrap().to_owned();
    (answer.status.as_u16(), code)
}

pub fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The provider answers every call with this, from now on.
pub async fn capa(app: &TestApp, answer: ResponseTemplate) {
    app.capa.reset().await;
    Mock::given(any())
        .respond_with(answer)
        .mount(&app.capa)
        .await;
}

pub fn gives_link() -> ResponseTemplate {
    let body = json!({"success": true, "data": {"kycLink": LINK}});
    ResponseTemplate::new(201).set_body_json(body)
}

/// Waits until the provider has been asked so often, for as long as a test may take.
pub async fn asked(app: &TestApp, times: usize) {
    let calls = async || app.capa.received_requests().await.unwrap().len();
    let asked = async {
        while calls().await < times {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, asked).await.unwrap();
}

#[actix_web::test]
async fn each_link_path_has_its_own_envelope_also_for_an_open_link() {
    let app = TestApp::new().await;
    capa(&app, gives_link()).await;
    let in_body = json!({"userId": "u1", "country": "DO"});
    let in_path = json!({"country": "DO"});
    let direct = format!(r#"{{"status":"ok","data":{{"kycLink":"{LINK}"}}}}"#);
    let of_user = format!(r#"{{"success":true,"data":{{"kycLink":"{LINK}"}}}}"#);
    for (path, body, expected) in [
        (LINK_PATH.to_owned(), &in_body, &direct),
        (LINK_PATH.to_owned(), &in_body, &direct),
        (link_of("u1"), &in_path, &of_user),
        (link_of("u2"), &in_path, &of_user),
        (link_of("u2"), &in_path, &of_user),
    ] {
        let answer = post(&app, ACME, &path, body).await;
        assert_eq!((answer.status.as_u16(), &answer.text), (201, expected));
        assert_eq!(answer.header("content-type"), "application/json");
    }
    assert_eq!(app.calls().await + app.calls_to(&link_of("u2")).await, 2);
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(app.user("u2").await["externalUserId"], "u2");
}

#[actix_web::test]
async fn the_provider_is_asked_on_the_same_path_with_its_own_fields_and_the_partners_key() {
    let app = TestApp::new().await;
    capa(&app, gives_link()).await;
    let info = json!({"profession": "Other", "phoneNumber": "+524401234567", "birthCountry": "MX"});
    let known = json!({"userId": "u1", "country": "MX", "personalInfo": info});
    let mut more = known.clone();
    more["colour"] = json!("red");
    more["personalInfo"]["shoeSize"] = json!(43);
    assert_eq!(post(&app, ACME, LINK_PATH, &more).await.status, 201);
    let in_path = json!({"country": "MX", "userId": 7, "personalInfo": "none"});
    assert_eq!(
        post(&app, OTHER, &link_of("u:2"), &in_path).await.status,
        201
    );
    let calls = app.capa.received_requests().await.unwrap();
    let seen: Vec<_> = calls
        .iter()
        .map(|call| {
            let body: Value = serde_json::from_slice(&call.body).unwrap();
            (
                call.url.path(),
                call.headers["partner-api-key"].to_str().unwrap(),
                body,
            )
        })
        .collect();
    let second = link_of("u:2");
    let expected = [
        (LINK_PATH, ACME.provider_key, known),
        (&*second, OTHER.provider_key, json!({"country": "MX"})),
    ];
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn every_error_has_the_providers_shape() {
    let app = TestApp::new().await;
    capa(&app, gives_link()).await;
    let good = json!({"userId": "u1", "country": "DO"});
    let invalid = is(400, "INVALID_USER_INPUT_ERROR");
    for (path, body) in [
        (LINK_PATH.to_owned(), json!({"country": "DO"})),
        (
            LINK_PATH.to_owned(),
            json!({"userId": "u1", "country": "MX"}),
        ),
        (
            LINK_PATH.to_owned(),
            json!({"userId": "u1", "country": "mx"}),
        ),
        (LINK_PATH.to_owned(), json!([])),
        (link_of("u1"), json!({})),
        (link_of("a%20b"), json!({"country": "DO"})),
        (link_of("%2e%2e"), json!({"country": "DO"})),
        (
            link_of("u1"),
            json!({"country": "DO", "partnerRedirectUri": "javascript:alert(1)"}),
        ),
    ] {
        assert_eq!(
            error(&post(&app, ACME, &path, &body).await),
            invalid,
            "{path} {body}"
        );
    }
    let key = "partner-api-key";
    for path in [LINK_PATH, USERS, &link_of("u1"), "/%61pi/partner/v2/users"] {
        let request = |kind: &str, body: String| {
            let request = app.request(Method::POST, path).header(key, ACME.key);
            app.send(request.header("content-type", kind).body(body))
        };
        let json = "application/json";
        assert_eq!(
            error(&request(json, "{".to_owned()).await),
            invalid,
            "{path}"
        );
        let big = request(json, "x".repeat(64 * 1024 + 1)).await;
        assert_eq!(error(&big), is(413, "BODY_TOO_LARGE"), "{path}");
        let untyped = request("text/plain", good.to_string()).await;
        assert_eq!(error(&untyped), is(415, "UNSUPPORTED_MEDIA_TYPE"), "{path}");
        let get = app
            .send(app.request(Method::GET, path).header(key, ACME.key))
            .await;
        assert_eq!(error(&get), is(405, "METHOD_NOT_ALLOWED"), "{path}");
        assert_eq!(get.header("allow"), "POST");
        for keys in [
            vec![],
            vec!["kyc_partner_nobody"],
            vec![ACME.provider_key],
            vec![ACME.key, ACME.key],
        ] {
            let request = app.request(Method::POST, path).json(&good);
            let request = keys
                .iter()
                .fold(request, |request, one| request.header(key, *one));
            assert_eq!(
                error(&app.send(request).await),
                is(401, "UNAUTHORIZED"),
                "{path}"
            );
        }
    }
    for path in [
        "/api/partner/v2/kyc/details",
        "/api/partner/v2/users/",
        "/api/partner/v1/user",
    ] {
        assert_eq!(
            error(&post(&app, ACME, path, &good).await),
            is(404, "NOT_FOUND"),
            "{path}"
        );
    }
    assert_eq!(app.capa.received_requests().await.unwrap().len(), 0);
    assert_eq!(
        app.get(ACME, "/v1/kyc/users").await.json()["data"],
        json!([])
    );
}

#[actix_web::test]
async fn a_fault_is_told_in_the_message_and_no_value_is_repeated() {
    let app = TestApp::new().await;
    let body = json!({"userId": "u 1", "country": "Narnia"});
    let answer = post(&app, ACME, LINK_PATH, &body).await.json();
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("Invalid User Input: userId: Use 1 to"),
        "{message}"
    );
    assert!(
        message.contains(" country: ") && !message.contains("Narnia"),
        "{message}"
    );
}

#[actix_web::test]
async fn a_verified_user_is_a_conflict_and_an_id_that_is_taken_too() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    for (path, body) in [
        (
            LINK_PATH.to_owned(),
            json!({"userId": "u1", "country": "DO"}),
        ),
        (link_of("u1"), json!({"country": "DO"})),
    ] {
        let answer = post(&app, ACME, &path, &body).await;
        assert_eq!(error(&answer), is(409, "ALREADY_VERIFIED"));
        let begins = r#"{"success":false,"error":{"code":"ALREADY_VERIFIED","message":"The user"#;
        assert!(answer.text.starts_with(begins), "{answer:?}");
    }
    let taken = json!({"externalUserId": "u1", "country": "DO"});
    let answer = post(&app, ACME, &link_of("u2"), &taken).await;
    assert_eq!(error(&answer), is(409, "EXTERNAL_ID_TAKEN"));
}

#[actix_web::test]
async fn what_the_provider_refuses_a_link_for_is_passed_on() {
    let app = TestApp::new().await;
    let says = |status: u16, code: &str| {
        let body = json!({"success": false, "error": {"code": code, "message": "Because."}});
        ResponseTemplate::new(status).set_body_json(body)
    };
    let no_template = "KYC_TEMPLATE_NOT_CONFIGURED_ERROR";
    for (answer, expected, retry_after) in [
        (says(400, no_template), is(400, no_template), ""),
        (says(409, "CONFLICT"), is(409, "CONFLICT"), ""),
        (ResponseTemplate::new(400), is(400, "PROVIDER_REJECTED"), ""),
        (says(404, "NOT_FOUND_ERROR"), is(404, "NOT_FOUND_ERROR"), ""),
        (
            says(401, "UNAUTHORIZED"),
            is(502, "PROVIDER_UNAUTHORIZED"),
            "",
        ),
        (
            says(429, "X").insert_header("retry-after", "7"),
            is(429, "TOO_MANY_REQUESTS"),
            "7",
        ),
        (
            says(500, "INTERNAL_SERVER_ERROR"),
            is(503, "PROVIDER_UNAVAILABLE"),
            "30",
        ),
        (
            ResponseTemplate::new(201).set_body_string("<html>"),
            is(502, "PROVIDER_INVALID_RESPONSE"),
            "",
        ),
    ] {
        capa(&app, answer).await;
        let answer = post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
        assert_eq!(error(&answer), expected);
        assert_eq!(answer.header("retry-after"), retry_after);
    }
    assert_eq!(app.status("u1").await, "pending");
    capa(&app, says(400, no_template)).await;
    let answer = post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
    assert_eq!(answer.json()["error"]["message"], "Because.");
}

#[actix_web::test]
async fn a_provider_that_is_down_or_slow_is_a_503_that_says_when_to_come_again() {
    let address = format!("http://{}", free_address());
    let down = TestApp::with(&[("KYC__PROVIDER__BASE_URL", &address)]).await;
    let slow = TestApp::with(&[("KYC__PROVIDER__TIMEOUT", "1s")]).await;
    capa(&slow, gives_link().set_delay(Duration::from_secs(30))).await;
    for app in [down, slow] {
        for (path, body) in [
            (
                LINK_PATH.to_owned(),
                json!({"userId": "u1", "country": "DO"}),
            ),
            (link_of("u1"), json!({"country": "DO"})),
            (USERS.to_owned(), json!({"externalUserId": "c1"})),
        ] {
            let answer = post(&app, ACME, &path, &body).await;
            assert_eq!(error(&answer), is(503, "PROVIDER_UNAVAILABLE"), "{path}");
            assert_eq!(answer.header("retry-after"), "30");
        }
        assert_eq!(app.status("u1").await, "pending");
    }
}

#[actix_web::test]
async fn a_new_user_is_passed_on_to_the_byte_and_so_is_what_the_provider_answers() {
    let app = TestApp::new().await;
    let sent = "{ \"type\":\"INDIVIDUAL\", \"email\" : \"z\\u00e9@b.example\",\"more\":[1e2] }\n";
    for (status, kind, body) in [
        (
            201,
            "application/json; charset=utf-8",
            r#"{"success":true, "data":{"userId":"u1"}}"#,
        ),
        (
            400,
            "application/json",
            r#"{"statusCode":400,"message":["email must be an email"]}"#,
        ),
        (
            401,
            "application/json",
            r#"{"success":false,"error":{"code":"UNAUTHORIZED"}}"#,
        ),
        (409, "application/json", r#"{"error":"CONFLICT"}"#),
        (
            500,
            "application/json",
            r#"{"success":false,"error":{"message":"User creation failed"}}"#,
        ),
        (502, "text/html", "<html>Bad Gateway</html>"),
        (503, "text/plain", ""),
    ] {
        let answer = ResponseTemplate::new(status)
            .set_body_raw(body, kind)
            .insert_header("set-cookie", "a=b")
            .insert_header("keep-alive", "timeout=5");
        capa(&app, answer).await;
        let request = app
            .request(Method::POST, USERS)
            .header("partner-api-key", ACME.key);
        let request = request.header("content-type", "application/json");
        let answer = app.send(request.body(sent)).await;
        let seen = (
            answer.status.as_u16(),
            answer.header("content-type"),
            &*answer.text,
        );
        assert_eq!(seen, (status, kind, body));
        assert_eq!(
            (answer.header("set-cookie"), answer.header("keep-alive")),
            ("", "")
        );
        assert_eq!(
            answer.header("retry-after"),
            if status == 503 { "30" } else { "" }
        );
        let calls = app.capa.received_requests().await.unwrap();
        let [call] = &*calls else { panic!("{calls:?}") };
        assert_eq!((call.url.path(), &*call.body), (USERS, sent.as_bytes()));
        assert_eq!(call.headers["partner-api-key"], ACME.provider_key);
    }
}

#[actix_web::test]
async fn an_answer_that_repeats_the_key_or_leads_elsewhere_or_never_ends_is_not_handed_back() {
    let app = TestApp::new().await;
    let leak = format!("{{\"key\":\"{}\"}}", ACME.provider_key);
    for answer in [
        ResponseTemplate::new(401).set_body_string(leak),
        ResponseTemplate::new(307).insert_header("location", app.capa.uri()),
        ResponseTemplate::new(201).set_body_string("x".repeat(1024 * 1024 + 1)),
    ] {
        capa(&app, answer).await;
        let answer = post(&app, ACME, USERS, &json!({"externalUserId": "c1"})).await;
        assert_eq!(error(&answer), is(502, "PROVIDER_INVALID_RESPONSE"));
    }
}

#[actix_web::test]
async fn a_verdict_that_overtakes_the_link_is_as_one_that_came_before_it() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    for (user, event, expected) in [
        ("u1", "VERIFIED_USER", (409, "pending>verified", 1)),
        ("u2", "REJECTED_KYC", (201, "2 ->pending", 2)),
    ] {
        capa(&app, gives_link().set_delay(Duration::from_millis(500))).await;
        let (body, path) = (json!({"country": "DO"}), link_of(user));
        let verdict = async {
            asked(&app, 1).await;
            app.deliver(event, user).await;
        };
        let (answer, ()) = futures_util::join!(post(&app, ACME, &path, &body), verdict);
        let last = app.history(user).await.pop().unwrap();
        let calls = app.calls_to(&path).await;
        assert_eq!(
            (answer.status.as_u16(), calls),
            (expected.0, expected.2),
            "{answer:?}"
        );
        assert!(last.contains(expected.1), "{last}");
    }
}

#[actix_web::test]
async fn a_client_of_the_provider_goes_from_a_new_user_to_a_verdict_through_us() {
    let http = http();
    let sandbox = sandbox::start(Settings {
        bind: "127.0.0.1:0".parse().unwrap(),
        accounts: vec![Account {
            name: "acme".to_owned(),
            api_key: SecretString::from(ACME.provider_key),
            webhook_secret: SecretString::from(ACME.secret),
            webhook_url: None,
        }],
        speed: 1,
    });
    let sandbox = sandbox.await.unwrap();
    let capa = sandbox.base_url();
    let app = TestApp::with(&[("KYC__PROVIDER__BASE_URL", capa.as_str())]).await;
    let settings = http.put(format!("{capa}api/partner/v2/webhook-settings"));
    let settings = settings.header("partner-api-key", ACME.provider_key);
    let hook = json!({"url": format!("{}/webhooks/acme", app.url)});
    assert_eq!(settings.json(&hook).send().await.unwrap().status(), 200);
    for (body, code) in [
        (json!({}), "INVALID_USER_INPUT_ERROR"),
        (json!({"type": "INDIVIDUAL"}), "INVALID_USER_INPUT_ERROR"),
        (json!({"email": "a@b.example"}), "INVALID_USER_INPUT_ERROR"),
        (json!({"type": "INDIVIDUAL", "email": "a"}), "BAD_REQUEST"),
    ] {
        assert_eq!(
            error(&post(&app, ACME, USERS, &body).await),
            is(400, code),
            "{body}"
        );
    }
    let body =
        json!({"type": "INDIVIDUAL", "email": "a@b.example", "externalUserId": "customer-9"});
    let created = post(&app, ACME, USERS, &body).await;
    let user = created.json()["data"]["userId"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        (created.status.as_u16(), created.json()["success"].as_bool()),
        (201, Some(true))
    );
    let again = post(&app, ACME, USERS, &body).await;
    assert_eq!(error(&again), is(409, "CONFLICT"));
    let link = post(&app, ACME, &link_of(&user), &json!({"country": "MX"})).await;
    let link = link.json()["data"]["kycLink"].as_str().unwrap().to_owned();
    assert!(link.starts_with(capa.as_str()), "{link}");
    let click = http
        .post(format!("{capa}sandbox/users/{user}/verify"))
        .send()
        .await;
    assert!(click.unwrap().status().is_success());
    sandbox.settled().await;
    let acknowledged = sandbox.acknowledged();
    assert!(acknowledged[0].body.contains("customer-9"));
    assert_eq!(app.status(&user).await, "verified");
    sandbox.stop().await;
}
