//! Requests that are too large, malformed or strange, by hand on a bare socket. Each gets a 4xx in the shape of all errors,
//! also where it is the framework that refuses.

use serde_json::Value;

use crate::support::wire::Wire;
use crate::support::{ACME, TestApp};

/// What came back for one request.
struct Heard {
    status: u16,
    head: String,
    body: String,
}

impl Heard {
    fn of(text: &str) -> Heard {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        Heard {
            status: head.get(9..12).unwrap_or("0").parse().unwrap_or(0),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let line = self.head.lines().find_map(|line| line.strip_prefix(&start));
        line.unwrap_or("")
    }

    /// The code, of an answer checked to be a whole problem.
    fn problem(&self) -> String {
        let shown = format!("{}\n{}", self.head, self.body);
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{shown}"
        );
        assert_eq!(
            self.header("content-length"),
            self.body.len().to_string(),
            "{shown}"
        );
        assert_eq!(self.header("cache-control"), "no-store", "{shown}");
        assert_eq!(self.header("x-content-type-options"), "nosniff", "{shown}");
        assert!(!self.header("date").is_empty(), "{shown}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["status"], self.status, "{shown}");
        assert_eq!(body["requestId"], self.header("x-request-id"), "{shown}");
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{shown}"
        );
        body["code"].as_str().unwrap().to_owned()
    }
}

/// Sends these bytes, and reads until the service ends the connection; so each asks for that, or is refused.
async fn raw(app: &TestApp, request: &[u8]) -> Heard {
    let mut wire = Wire::to(&app.url).await;
    wire.say_bytes(request).await;
    Heard::of(&wire.end().await)
}

/// The same, checked to be a problem.
async fn refused(app: &TestApp, request: impl AsRef<[u8]>) -> (u16, String) {
    let request = request.as_ref();
    let heard = raw(app, request).await;
    assert_ne!(
        heard.status,
        0,
        "no answer: {:.200}",
        String::from_utf8_lossy(request)
    );
    (heard.status, heard.problem())
}

/// A request in acme's name that asks for the end of the connection; `more` are whole header lines.
fn request(first: &str, more: &str, body: &str) -> String {
    let key = ACME.key;
    format!(
        "{first} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\nconnection: close\r\n{more}\r\n{body}"
    )
}

fn get(target: &str) -> String {
    request(&format!("GET {target}"), "", "")
}

fn post(path: &str, kind: &str, body: &str) -> String {
    let more = format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len());
    request(&format!("POST {path}"), &more, body)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

const LINKS: &str = "/v1/kyc/links";
const JSON: &str = "application/json";

#[actix_web::test]
async fn paths_and_queries_have_a_cap() {
    let app = TestApp::new().await;
    let user = |length: usize| format!("/v1/kyc/users/{}", "x".repeat(length - 14));
    let query = |length: usize| format!("/v1/kyc/users?externalUserId={}", "x".repeat(length - 15));
    assert_eq!(
        refused(&app, get(&user(1024))).await,
        is(404, "user_not_found")
    );
    assert_eq!(
        refused(&app, get(&user(1025))).await,
        is(414, "uri_too_long")
    );
    assert_eq!(raw(&app, get(&query(4096)).as_bytes()).await.status, 200);
    assert_eq!(
        refused(&app, get(&query(4097))).await,
        is(414, "uri_too_long")
    );
    // Every user may be asked for, however long its names are in a URL.
    let longest = "%F0%9F%98%80".repeat(255);
    let found = get(&format!(
        "/v1/kyc/users?externalUserId={longest}&status=verified"
    ));
    assert_eq!(raw(&app, found.as_bytes()).await.status, 200);
    // Above 65,534 bytes it is the framework that refuses.
    for target in [user(70_000), query(70_000)] {
        assert_eq!(refused(&app, get(&target)).await, is(400, "bad_request"));
    }
}

#[actix_web::test]
async fn headers_have_a_cap_in_number_and_in_size() {
    let app = TestApp::new().await;
    // Four besides these.
    let many = |count: usize| {
        let lines: String = (4..count)
            .map(|number| format!("x-{number}: y\r\n"))
            .collect();
        request("GET /v1/kyc/users", &format!("x: y\r\n{lines}"), "")
    };
    let long = |length: usize| {
        request(
            "GET /v1/kyc/users",
            &format!("x: {}\r\n", "y".repeat(length)),
            "",
        )
    };
    let too_large = is(431, "headers_too_large");
    assert_eq!(raw(&app, many(96).as_bytes()).await.status, 200);
    assert_eq!(refused(&app, many(97)).await, too_large);
    assert_eq!(raw(&app, long(16_000).as_bytes()).await.status, 200);
    assert_eq!(refused(&app, long(16_384)).await, too_large);
    assert_eq!(refused(&app, long(120_000)).await, too_large);
    // Above 128 KiB it is the framework that refuses, although more is on its way.
    assert_eq!(refused(&app, long(400_000)).await, too_large);
    let endless = format!("GET / HTTP/1.1\r\nhost: x\r\n{}", "x: y\r\n".repeat(60_000));
    assert_eq!(refused(&app, endless).await, too_large);
}

#[actix_web::test]
async fn bodies_have_a_cap_and_must_be_json() {
    let app = TestApp::new().await;
    let large = format!("{{\"userId\":\"{}\"}}", "x".repeat(64 * 1024));
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let declared = request(
        &format!("POST {LINKS}"),
        "content-type: application/json\r\ncontent-length: 99999999999\r\n",
        "{",
    );
    for (request, expected) in [
        (post(LINKS, JSON, &large), is(413, "body_too_large")),
        (declared, is(413, "body_too_large")),
        (post(LINKS, JSON, &deep), is(400, "malformed_json")),
        (post(LINKS, JSON, "{\"userId\":"), is(400, "malformed_json")),
        (
            post(LINKS, JSON, "{\"userId\":\"\0\"}"),
            is(400, "malformed_json"),
        ),
        (post(LINKS, JSON, ""), is(400, "malformed_json")),
        (post(LINKS, JSON, "[]"), is(422, "invalid_request")),
        (
            post(LINKS, "text/plain", "{}"),
            is(415, "unsupported_media_type"),
        ),
        (
            post(LINKS, "application/jsonx", "{}"),
            is(415, "unsupported_media_type"),
        ),
        (
            request(&format!("POST {LINKS}"), "", ""),
            is(415, "unsupported_media_type"),
        ),
    ] {
        assert_eq!(refused(&app, &request).await, expected, "{request:.120}");
    }
}

#[actix_web::test]
async fn bytes_that_are_no_text_are_refused_in_paths_and_queries() {
    let app = TestApp::new().await;
    for (target, expected) in [
        ("/v1/kyc/users/%zz", is(404, "user_not_found")),
        ("/v1/kyc/users/%", is(404, "user_not_found")),
        ("/v1/kyc/users/%00", is(404, "user_not_found")),
        ("/v1/kyc/users/%ff%fe", is(404, "user_not_found")),
        ("/v1/kyc/users/%2e%2e%2fadmin", is(404, "user_not_found")),
        ("/v1/kyc/users?status=%zz", is(400, "invalid_query")),
        ("/v1/kyc/users?status=%ff", is(400, "invalid_query")),
        ("/v1/kyc/users?%00=1", is(400, "invalid_query")),
        ("/v1/kyc/users?cursor=%00", is(400, "invalid_cursor")),
        ("/v1/kyc/users/a b", is(400, "bad_request")),
        ("/v1/kyc/users/\0", is(400, "bad_request")),
        ("/v1/kyc/users?status=\0", is(400, "bad_request")),
    ] {
        assert_eq!(refused(&app, get(target)).await, expected, "{target}");
    }
    for (before, after) in [("/v1/kyc/users/", ""), ("/v1/kyc/users?status=", "")] {
        let mut request = format!("GET {before}").into_bytes();
        request.extend_from_slice(b"\xff\xfe");
        request.extend_from_slice(get(after).trim_start_matches("GET ").as_bytes());
        let (status, code) = refused(&app, &request).await;
        assert!((400..500).contains(&status), "{before}: {status} {code}");
    }
}

#[actix_web::test]
async fn strange_methods_and_targets_are_refused() {
    let app = TestApp::new().await;
    for method in ["BREW", "TRACE", "OPTIONS", "PUT", "DELETE", "get", "x"] {
        let request = request(&format!("{method} /v1/kyc/users"), "", "");
        let heard = raw(&app, request.as_bytes()).await;
        assert_eq!(
            (heard.status, heard.problem()),
            is(405, "method_not_allowed"),
            "{method}"
        );
        assert_eq!(heard.header("allow"), "get, head", "{method}");
    }
    for (first, expected) in [
        ("OPTIONS *", is(404, "not_found")),
        ("CONNECT x:443", is(404, "not_found")),
        ("CONNECT /v1/kyc/users", is(405, "method_not_allowed")),
        ("GET http://other.example/nowhere", is(404, "not_found")),
        ("GET x:443", is(404, "not_found")),
        ("GET nowhere", is(404, "not_found")),
        ("GET //", is(404, "not_found")),
        ("", is(400, "bad_request")),
        ("G@T /healthz", is(400, "bad_request")),
    ] {
        assert_eq!(
            refused(&app, request(first, "", "")).await,
            expected,
            "{first}"
        );
    }
    let absolute = get("http://other.example/v1/kyc/users");
    assert_eq!(raw(&app, absolute.as_bytes()).await.status, 200);
}

#[actix_web::test]
async fn what_is_no_http_or_ambiguous_is_refused_and_the_connection_ended() {
    let app = TestApp::new().await;
    let bad = is(400, "bad_request");
    let links = |more: &str, body: &str| {
        let more = format!("content-type: application/json\r\n{more}");
        request(&format!("POST {LINKS}"), &more, body)
    };
    let twice = "content-length: 2\r\ncontent-length: 2\r\n";
    let both = "content-length: 2\r\ntransfer-encoding: chunked\r\n";
    for request in [
        "GET /healthz HTTP/1.1\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n".to_owned(),
        "GET /healthz HTTP/2.0\r\nhost: x\r\n\r\n".to_owned(),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhost: x\r\nx: \0\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhost : x\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nhost: x\r\n folded\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\0\0".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "POST /v1/kyc/links HTTP/1.0\r\n\r\n".to_owned(),
        links(twice, "{}"),
        links(both, "2\r\n{}\r\n0\r\n\r\n"),
        links("transfer-encoding: gzip\r\n", "{}"),
        links(
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "",
        ),
        links("content-length: +2\r\n", "{}"),
        links("content-length: -2\r\n", "{}"),
        links("content-length: 99999999999999999999\r\n", "{}"),
    ] {
        assert_eq!(refused(&app, &request).await, bad, "{request:?}");
    }
    // An old client is served, and its connection ended.
    let old = format!(
        "GET /v1/kyc/users HTTP/1.0\r\npartner-api-key: {}\r\n\r\n",
        ACME.key
    );
    assert_eq!(raw(&app, old.as_bytes()).await.status, 200);
}

#[actix_web::test]
async fn a_refusal_follows_the_answers_to_what_came_before_it() {
    let app = TestApp::new().await;
    let alive = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut wire = Wire::to(&app.url).await;
    wire.say(&format!("{alive}{alive}nonsense\r\n\r\n{alive}"))
        .await;
    for _ in 0..2 {
        assert!(wire.hear().await.starts_with("HTTP/1.1 200 "));
    }
    let refusal = Heard::of(&wire.end().await);
    assert_eq!((refusal.status, refusal.problem()), is(400, "bad_request"));
    assert_eq!(refusal.header("connection"), "close");
}

#[actix_web::test]
async fn a_body_that_is_cut_into_nonsense_is_refused_once() {
    let app = TestApp::new().await;
    let more = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let head = request(&format!("POST {LINKS}"), more, "");
    for body in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}x0\r\n\r\n"] {
        assert_eq!(
            refused(&app, format!("{head}{body}")).await,
            is(400, "bad_request")
        );
        let late = head.replace("connection: close", "expect: 100-continue");
        let mut wire = Wire::to(&app.url).await;
        wire.say(&late).await;
        assert!(wire.head().await.starts_with("HTTP/1.1 100 "));
        wire.say(body).await;
        let refusal = Heard::of(&wire.end().await);
        assert_eq!((refusal.status, refusal.problem()), is(400, "bad_request"));
    }
}

#[actix_web::test]
async fn the_provider_is_told_a_code_and_nothing_else() {
    let app = TestApp::new().await;
    let webhook = "/webhooks/acme";
    let long = format!("POST /webhooks/{}", "x".repeat(1024));
    let query = format!("POST {webhook}?{}", "x".repeat(4097));
    let header = format!("x: {}\r\n", "y".repeat(16_384));
    let post = |more: &str| request(&format!("POST {webhook}"), more, "");
    for (request, status, code) in [
        (request(&long, "", ""), 414, "uri_too_long"),
        (request(&query, "", ""), 414, "uri_too_long"),
        (post(&header), 431, "headers_too_large"),
        (post("content-length: 65537\r\n"), 413, "body_too_large"),
        (post(""), 401, "unauthorized"),
        (get(webhook), 405, "method_not_allowed"),
        (
            request(&format!("BREW {webhook}"), "", ""),
            405,
            "method_not_allowed",
        ),
    ] {
        let heard = raw(&app, request.as_bytes()).await;
        let body = format!("{{\"code\":\"{code}\"}}");
        assert_eq!((heard.status, heard.body), (status, body), "{request:.80}");
    }
}
