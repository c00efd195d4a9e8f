//! More is asked at once than can be done. What is taken on is done well, and the rest is told to come again.

use std::sync::mpsc;
use std::time::Duration;

use actix_web::rt;
use kyc_tracker::db::Conn;
use kyc_tracker::web::limits::Limits;
use kyc_tracker::web::server;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::support::wire::Wire;
use crate::support::{ACME, Answer, LINK, TestApp, process};

const PATIENCE: Duration = Duration::from_secs(60);

/// A provider that answers when it is told to.
struct Provider(TcpListener);

impl Provider {
    async fn new() -> Provider {
        Provider(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// The next call, once its head has been read.
    async fn call(&self) -> TcpStream {
        let (mut call, _) = self.0.accept().await.unwrap();
        let mut head = [0; 4];
        call.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"POST");
        call
    }
}

/// Answers a call with a link.
async fn give_link(mut call: TcpStream) {
    let body = json!({"status": "ok", "data": {"kycLink": LINK}}).to_string();
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    call.write_all(answer.as_bytes()).await.unwrap();
}

/// A service with room for so many requests, whose provider answers when it is told to.
async fn service(in_flight: usize) -> (TestApp, Provider) {
    let provider = Provider::new().await;
    let limits = Limits {
        in_flight,
        ..Limits::default()
    };
    // The user is not looked at before its first link.
    let settings = [
        ("KYC__PROVIDER__BASE_URL", &*provider.url()),
        ("KYC__PROVIDER__TIMEOUT", "30s"),
        ("KYC__WEBHOOKS__CONFIRM", "never"),
    ];
    let app = TestApp::with_limits(limits, &settings).await;
    (app, provider)
}

async fn ask(app: &TestApp, user: &str) -> Answer {
    let body = json!({"userId": user, "country": "DO"});
    app.ask_for_link(ACME, &body).await
}

#[actix_web::test]
async fn what_is_above_the_cap_is_told_to_come_again_and_then_all_is_well() {
    let (app, provider) = service(2).await;
    let held = async {
        let calls = [provider.call().await, provider.call().await];
        let refused = ask(&app, "u3").await;
        assert_eq!(refused.problem(), (503, "overloaded".to_owned()));
        assert_eq!(refused.header("retry-after"), "1");
        let drop_in = app.request(Method::POST, "/api/partner/v2/users");
        let drop_in = app.send(drop_in).await;
        let code = &drop_in.json()["error"]["code"];
        assert_eq!((drop_in.status.as_u16(), code), (503, &json!("OVERLOADED")));
        assert_eq!(drop_in.header("retry-after"), "1");
        let webhook = app.deliver("CREATED_KYC", "u1").await;
        let status = webhook.status.as_u16();
        assert_eq!((status, &*webhook.text), (503, "{\"code\":\"overloaded\"}"));
        assert_eq!(webhook.header("retry-after"), "1");
        let alive = app.send(app.request(Method::GET, "/healthz")).await;
        assert_eq!(alive.status, 200);
        for call in calls {
            give_link(call).await;
        }
    };
    let (first, second, ()) = tokio::join!(ask(&app, "u1"), ask(&app, "u2"), held);
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201));
    assert_eq!(app.get(ACME, "/v1/kyc/users/u3").await.status, 404);
    let (third, ()) = tokio::join!(ask(&app, "u3"), async {
        give_link(provider.call().await).await;
    });
    assert_eq!(third.status, 201);
}

#[actix_web::test]
async fn a_link_that_the_provider_makes_is_kept_though_the_client_has_left() {
    let (app, provider) = service(1).await;
    let mut wire = Wire::to(&app.url).await;
    let (key, body) = (ACME.key, r#"{"userId":"u1","country":"DO"}"#);
    let length = body.len();
    wire.say(&format!(
        "POST /v1/kyc/links HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
    let call = provider.call().await;
    wire.0.shutdown().await.unwrap();
    assert_eq!(wire.end().await, "");
    // The client is forgotten; what it asked for still has its place.
    let refused = app.get(ACME, "/v1/kyc/users/u1").await;
    assert_eq!(refused.problem(), (503, "overloaded".to_owned()));
    give_link(call).await;
    let user = async {
        loop {
            let answer = app.get(ACME, "/v1/kyc/users/u1").await;
            if answer.status == 200 {
                return answer.json();
            }
        }
    };
    let user = tokio::time::timeout(PATIENCE, user).await.unwrap();
    assert_eq!(user["kycLink"], LINK);
}

#[actix_web::test]
async fn a_thousand_half_sent_requests_keep_nobody_else_out() {
    server::raise_file_limit();
    let limits = Limits {
        head: PATIENCE,
        body: PATIENCE,
        ..Limits::default()
    };
    let app = TestApp::with_limits(limits, &[]).await;
    app.pending("u1").await;
    let mut wires = Vec::new();
    for number in 0..1_000 {
        let mut wire = Wire::to(&app.url).await;
        if number % 3 == 0 {
            wire.say("GET /v1/kyc/users/u1 HTTP/1.1\r\nhost: x\r\n")
                .await;
        } else {
            wire.say("POST /webhooks/acme HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 100\r\n\r\n{")
                .await;
            // So the body is being waited for.
            assert!(wire.head().await.starts_with("HTTP/1.1 100 "));
        }
        wires.push(wire);
    }
    for _ in 0..100 {
        assert_eq!(app.status("u1").await, "pending");
        assert_eq!(app.deliver("CREATED_KYC", "nobody").await.status, 204);
    }
    assert_eq!(wires.len(), 1_000);
}

#[actix_web::test]
async fn a_connection_above_the_limit_waits_until_one_is_closed() {
    let limits = Limits {
        head: Duration::from_millis(1500),
        ..Limits::default()
    };
    let settings = [("KYC__SERVER__MAX_CONNECTIONS", "2")];
    let app = TestApp::with_limits(limits, &settings).await;
    let [mut first, mut second, mut third] = [
        Wire::to(&app.url).await,
        Wire::to(&app.url).await,
        Wire::to(&app.url).await,
    ];
    let answer = third.ask("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    tokio::pin!(answer);
    tokio::select! {
        biased;
        _ = first.end() => {}
        _ = second.end() => {}
        answer = &mut answer => panic!("it was let in: {answer}"),
    }
    assert!(answer.await.starts_with("HTTP/1.1 200 "));
}

#[actix_web::test]
async fn few_open_files_are_raised_to_what_is_allowed_and_warned_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut environment = crate::support::settings(&folder, "http://127.0.0.1:9");
    environment.push(("KYC__SERVER__BIND".to_owned(), process::free_address()));
    let mut process = process::Process::start_with_files(256, 1024, &["serve"], &environment);
    let said = process
        .until(async |process| Some(process.stderr()).filter(|said| said.contains("Listening.")))
        .await;
    assert!(said.contains("few open files"), "{said}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = files.unwrap().split_whitespace().collect();
    assert_eq!(numbers[3..5], ["1024", "1024"]);
}

#[actix_web::test]
async fn when_more_changes_wait_than_the_queue_has_room_for_webhooks_are_told_to_come_again() {
    let app = TestApp::new().await;
    let (begun, begins) = oneshot::channel();
    let (hold, held) = mpsc::channel::<()>();
    let wait = move |_: &mut Conn| {
        let _ = begun.send(());
        let _ = held.recv_timeout(PATIENCE);
        Ok(())
    };
    let db = app.db();
    let mut taken = vec![rt::spawn(async move { db.write(wait).await })];
    begins.await.unwrap();
    for _ in 0..1024 {
        let db = app.db();
        taken.push(rt::spawn(async move { db.write(|_| Ok(())).await }));
        tokio::task::yield_now().await;
    }
    let refused = app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(
        (refused.status.as_u16(), refused.header("retry-after")),
        (503, "1")
    );
    assert!(refused.text.contains("overloaded"), "{refused:?}");
    let ready = app.send(app.request(Method::GET, "/readyz")).await;
    assert_eq!(ready.problem(), (503, "overloaded".to_owned()));
    drop(hold);
    for told in taken {
        told.await.unwrap().unwrap();
    }
    assert_eq!(app.deliver("VERIFIED_USER", "u1").await.status, 204);
}
