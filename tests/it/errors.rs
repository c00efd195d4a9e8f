//! The shape of every error, whoever made it: problems with stable codes, on every route.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use reqwest::Method;

use crate::support::{ACME, ADMIN_KEY, TestApp};

const GETS: [&str; 9] = [
    "/v1/kyc/users",
    "/v1/kyc/users/u1",
    "/v1/kyc/users/u1/history",
    "/v1/admin/users",
    "/v1/admin/users/acme/u1",
    "/v1/admin/deliveries",
    "/v1/admin/stats",
    "/healthz",
    "/readyz",
];

#[actix_web::test]
async fn an_unknown_path_is_a_problem_too() {
    let app = TestApp::new().await;
    for path in [
        "/",
        "/v1",
        "/v1/kyc/users/",
        "/v1/kyc/users/u1/",
        "/webhooks",
        "/webhooks/a/b",
        "//healthz",
        "/HEALTHZ",
    ] {
        let answer = app.get(ACME, path).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let app = TestApp::new().await;
    for path in GETS {
        let answer = app.send(app.request(Method::POST, path)).await;
        assert_eq!(
            answer.problem(),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
        assert_eq!(answer.header("allow"), "GET, HEAD");
    }
    let answer = app.send(app.request(Method::GET, "/v1/kyc/links")).await;
    assert_eq!(answer.problem(), (405, "method_not_allowed".to_owned()));
    assert_eq!(answer.header("allow"), "POST");
}

#[actix_web::test]
async fn head_works_where_get_does() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for path in GETS {
        let head = app
            .request(Method::HEAD, path)
            .header("partner-api-key", ACME.key);
        let answer = app.send(head.bearer_auth(ADMIN_KEY)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text.as_str()),
            (200, ""),
            "{path}"
        );
    }
    let answer = app.send(app.request(Method::HEAD, "/v1/kyc/users")).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (401, ""));
}

#[actix_web::test]
async fn unknown_doubled_and_malformed_parameters_are_refused_on_every_route() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for path in GETS {
        for query in ["colour=red", "limit=1&limit=1", "limit=x", "wait=%zz"] {
            let request = app.request(Method::GET, &format!("{path}?{query}"));
            let request = request
                .header("partner-api-key", ACME.key)
                .bearer_auth(ADMIN_KEY);
            let answer = app.send(request).await;
            assert_eq!(
                answer.problem(),
                (400, "invalid_query".to_owned()),
                "{path}?{query}"
            );
        }
    }
}

#[actix_web::test]
async fn a_harmless_request_id_is_taken_and_any_other_is_replaced() {
    let app = TestApp::new().await;
    let long = "x".repeat(65);
    for path in ["/healthz", "/nowhere", "/webhooks/acme"] {
        for id in ["a", "Req-1_2.3", &long[..64]] {
            let answer = app
                .send(app.request(Method::GET, path).header("x-request-id", id))
                .await;
            assert_eq!(answer.header("x-request-id"), id);
        }
        for id in ["", "a b", "a/b", "é", "<script>", &long] {
            let answer = app
                .send(app.request(Method::GET, path).header("x-request-id", id))
                .await;
            let made = answer.header("x-request-id");
            assert!(made != id && made.len() == 32, "{made}");
        }
    }
}

#[actix_web::test]
async fn it_is_ready_as_long_as_the_store_takes_a_write() {
    let app = TestApp::new().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(app.send(app.request(Method::GET, path)).await.status, 200);
    }
    let file = app.folder().join("kyc.db");
    let mut lock = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    let answer = app.send(app.request(Method::GET, "/readyz")).await;
    assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()));
    assert_eq!(answer.header("retry-after"), "5");
    assert_eq!(
        app.send(app.request(Method::GET, "/healthz")).await.status,
        200
    );
}

/// Bytes on a bare socket, and the status of what comes back; `None` when the connection is closed without an answer.
fn raw(address: &str, request: &[u8]) -> Option<u16> {
    let mut socket = TcpStream::connect(address).unwrap();
    let patience = Duration::from_secs(15);
    socket.set_read_timeout(Some(patience)).unwrap();
    let _ = socket.write_all(request);
    let mut answer = [0; 12];
    match socket.read_exact(&mut answer) {
        Ok(()) => Some(String::from_utf8_lossy(&answer[9..]).parse().unwrap()),
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it hangs"),
        Err(_) => None,
    }
}

#[actix_web::test]
async fn odd_requests_get_a_4xx_and_never_a_5xx() {
    let app = TestApp::new().await;
    let key = format!(
        "partner-api-key: {}\r\nhost: x\r\nconnection: close\r\n",
        ACME.key
    );
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\n{key}\r\n").into_bytes();
    let post = |body: &str| {
        let head =
            format!("POST /v1/kyc/links HTTP/1.1\r\n{key}content-type: application/json\r\n");
        format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let user = r#""userId":"u1","country":"DO""#;
    for request in [
        get("/v1/kyc/users/%00"),
        get("/v1/kyc/users/%ff%fe"),
        get("/v1/kyc/users/%zz"),
        get("/v1/kyc/users/.."),
        get("/v1/kyc/users/%2e%2e%2f"),
        get("/v1/kyc/users/'%20or%201=1--"),
        get(&format!("/v1/kyc/users/{}", "x".repeat(20_000))),
        get(&format!(
            "/v1/kyc/users?externalUserId={}",
            "%F0%9F%98%80".repeat(500)
        ))
        .repeat(1),
        get("/v1/kyc/users?limit=99999999999999999999"),
        get("/v1/kyc/users?updatedSince=0000-00-00T00:00:00Z"),
        get("/v1/kyc/users?cursor=%00"),
        format!(
            "GET /healthz HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
            "y".repeat(200_000)
        )
        .into_bytes(),
        b"GET /healthz HTTP/1.1\r\nhost: x\r\nx: \0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x00\x00".to_vec(),
        post(&"[".repeat(10_000)),
        post(&format!("{{{user},\"forceNew\":{}}}", "9".repeat(400))),
        post(&format!("{{{user},\"externalUserId\":\"\\ud800\"}}")),
        post(&format!("{{{user},\"externalUserId\":\"\\u0000\"}}")),
    ] {
        let address = app.url.trim_start_matches("http://").to_owned();
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]).into_owned();
        let status = actix_web::web::block(move || raw(&address, &request));
        let status = status.await.unwrap();
        let fine = status.is_none_or(|status| status == 200 || (400..500).contains(&status));
        assert!(fine, "{status:?}: {shown}");
    }
}

#[actix_web::test]
async fn a_body_in_chunks_is_cut_off_at_the_cap() {
    let app = TestApp::new().await;
    for path in ["/v1/kyc/links", "/webhooks/acme"] {
        let key = ACME.key;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
        );
        let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
        let request = format!("{head}{}", chunk.repeat(17)).into_bytes();
        let address = app.url.trim_start_matches("http://").to_owned();
        let status = actix_web::web::block(move || raw(&address, &request));
        assert_eq!(status.await.unwrap(), Some(413), "{path}");
    }
}

#[actix_web::test]
async fn every_other_method_is_refused_on_the_route_that_takes_a_post() {
    let app = TestApp::new().await;
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
        let request = app.request(method.parse().unwrap(), "/v1/kyc/links");
        let answer = app.send(request).await;
        assert_eq!(
            answer.problem(),
            (405, "method_not_allowed".to_owned()),
            "{method}"
        );
        assert_eq!(answer.header("allow"), "POST", "{method}");
    }
}

#[actix_web::test]
async fn json_that_is_too_deep_or_cannot_be_held_is_malformed_and_the_last_of_two_names_counts() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let surrogate = r#"{"userId":"\ud800","country":"DO"}"#;
    let huge = r#"{"userId":1e999,"country":"DO"}"#;
    let doubled = r#"{"userId":"u1","userId":"u2","country":"DO"}"#;
    for (body, expected) in [(&*deep, 400), (surrogate, 400), (huge, 400), (doubled, 201)] {
        let request = app.request(Method::POST, "/v1/kyc/links");
        let request = request.header("content-type", "application/json");
        let request = request.header("partner-api-key", ACME.key);
        let answer = app.send(request.body(body.to_owned())).await;
        assert_eq!(answer.status, expected, "{body:.60}");
    }
    assert_eq!(app.get(ACME, "/v1/kyc/users/u1").await.status, 404);
    assert_eq!(app.user("u2").await["status"], "pending");
}
