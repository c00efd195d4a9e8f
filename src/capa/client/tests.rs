//! How answers of the provider are judged.

use super::*;

fn client(base_url: &str) -> Client {
    Client::new(&config::Provider {
        environment: config::Environment::Sandbox,
        base_url: base_url.parse().unwrap(),
        timeout: Duration::from_secs(1),
    })
    .unwrap()
}

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        retry_after: Some(9),
        content_type: None,
        body: body.into(),
    }
}

#[test]
fn the_link_is_found_in_both_envelopes_and_in_none() {
    let client = client("https://staging-api.capa.fi");
    for answer in [
        r#"{"status":"ok","data":{"kycLink":"https://p.example/s/1"}}"#,
        r#"{"success":true,"data":{"kycLink":"https://p.example/s/1"}}"#,
        r#"{"kycLink":"https://p.example/s/1"}"#,
    ] {
        assert_eq!(
            client.link_in(answer.as_bytes()).unwrap(),
            "https://p.example/s/1"
        );
    }
    for answer in [
        "",
        "<html>",
        "{}",
        "[]",
        r#"{"data":null}"#,
        r#"{"data":{"kycLink":7}}"#,
    ] {
        assert!(client.link_in(answer.as_bytes()).is_err(), "{answer}");
    }
}

#[test]
fn a_link_that_could_harm_is_not_handed_on() {
    let remote = client("https://staging-api.capa.fi");
    let local = client("http://127.0.0.1:9");
    assert!(local.trusts("http://localhost:9/verify/1"));
    assert!(!remote.trusts("http://localhost:9/verify/1"));
    for link in [
        "http://p.example/s",
        "javascript:alert(1)",
        "data:text/html,x",
        "//p.example/s",
        "https://",
        "",
        "https://user:pw@p.example/",
        "https://p.example/\n",
        "https://p.example/é",
    ] {
        assert!(!remote.trusts(link) && !local.trusts(link), "{link:?}");
    }
}

#[test]
fn the_status_decides_and_the_message_only_tells_two_kinds_of_401_apart() {
    let key = SecretString::from("the-partners-key");
    let judge = |status: u16, body: &str| refusal(&answer(status, body), &key);
    let foreign = r#"{"success":false,"error":{"code":"UNAUTHORIZED","message":"User is not associated with the partner"}}"#;
    assert!(matches!(judge(401, foreign), Error::UserNotFound));
    assert!(matches!(judge(401, "<html>"), Error::Unauthorized(_)));
    assert!(matches!(judge(403, ""), Error::Unauthorized(_)));
    assert!(matches!(judge(404, "{}"), Error::UserNotFound));
    for page in ["", "<html>", "[]", "null", "{} <html>"] {
        let judged = judge(404, page);
        assert!(matches!(judged, Error::InvalidResponse(_)), "{page}");
    }
    assert!(matches!(judge(429, ""), Error::RateLimited(Some(9))));
    assert!(matches!(
        judge(503, "{}"),
        Error::Unavailable {
            retry_after: Some(9),
            ..
        }
    ));
    assert!(matches!(judge(302, ""), Error::InvalidResponse(_)));
    assert!(matches!(judge(418, ""), Error::InvalidResponse(_)));
}

#[tokio::test]
async fn only_a_refused_connection_is_tried_again_and_only_once() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let http = client(&url).http;
    let tried = std::cell::Cell::new(0);
    let attempt = async |url: &str, good_from: u32| {
        tried.set(tried.get() + 1);
        match tried.get() >= good_from {
            true => Ok(()),
            false => http.get(url).send().await.map(drop),
        }
    };
    for (url, good_from, succeeds, attempts) in [
        (url.as_str(), 1, true, 1),
        (url.as_str(), 2, true, 2),
        (url.as_str(), 3, false, 2),
        ("no address", 2, false, 1),
    ] {
        tried.set(0);
        let answer = once_more_if_refused(async || attempt(url, good_from).await).await;
        assert_eq!(
            (answer.is_ok(), tried.get()),
            (succeeds, attempts),
            "{url} {good_from}"
        );
    }
}

/// The code and the message that are read out of a 400 with that body.
fn judge(body: &str) -> (Option<String>, Option<String>) {
    let key = SecretString::from("the-partners-key");
    match refusal(&answer(400, body), &key) {
        Error::Rejected { code, message, .. } => (code, message),
        other => panic!("{other}"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_rejections_code_and_message_are_found_cleaned_and_cut() {
    assert_eq!(
        judge(r#"{"success":false,"error":{"code":"A_B","message":"no\u0000 \u001b[1mway"}}"#),
        (some("A_B"), some("no [1mway"))
    );
    assert_eq!(
        judge(r#"{"error":"BAD","message":"m"}"#),
        (some("BAD"), some("m"))
    );
    assert_eq!(judge(r#"{"errorCode":"BAD"}"#), (some("BAD"), None));
    assert_eq!(
        judge(r#"{"code":"not a code!","message":"key the-partners-key"}"#),
        (None, None)
    );
    assert_eq!(judge("<html>"), (None, None));
    let (_, message) = judge(&format!(r#"{{"message":"{}"}}"#, "x".repeat(5_000)));
    assert_eq!(message.unwrap().len(), MESSAGE_CAP);
}

#[test]
fn all_messages_of_a_validation_error_are_found_cleaned_and_cut() {
    assert_eq!(
        judge(
            r#"{"statusCode":400,"message":["country must\n be a text",7,"userId is missing"],"error":"Bad Request"}"#
        ),
        (None, some("country must be a text; userId is missing"))
    );
    assert_eq!(
        judge(r#"{"error":{"code":"A_B","message":["one","two"]}}"#),
        (some("A_B"), some("one; two"))
    );
    for none in [r#"{"message":[]}"#, r#"{"message":[7,{}]}"#] {
        assert_eq!(judge(none), (None, None), "{none}");
    }
    // Also where the key would be cut in two.
    let long = "x".repeat(MESSAGE_CAP - 5);
    let told = format!(r#"{{"message":["{long}","the-partners-key"]}}"#);
    assert_eq!(judge(&told), (None, None));
    let long = format!(r#"{{"message":["{}","y"]}}"#, "x".repeat(5_000));
    assert_eq!(judge(&long).1.unwrap().len(), MESSAGE_CAP);
}
