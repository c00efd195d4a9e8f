//! The stream of a partner's transitions.

use std::time::Duration;

use kyc_tracker::db::Conn;
use kyc_tracker::web::limits::Limits;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::service::Service;
use crate::support::store::{populate, register};
use crate::support::wire::{STUCK, Wire};
use crate::support::{ACME, OTHER, Partner, TestApp, http, kyc_event};

const PATH: &str = "/v1/kyc/events";

/// An open stream.
struct Events {
    response: Response,
    heard: String,
}

/// One block of a stream, as its lines by name.
#[derive(Debug, Default, PartialEq)]
struct Event {
    event: Option<String>,
    id: Option<i64>,
    data: Option<Value>,
    comment: bool,
}

impl Events {
    /// As a partner who has seen that event, or none.
    async fn open(url: &str, partner: Partner, seen: Option<i64>) -> Events {
        let request = http().request(Method::GET, format!("{url}{PATH}"));
        let mut request = request
            .timeout(Duration::from_secs(120))
            .header("accept", "text/event-stream")
            .header("partner-api-key", partner.key);
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Events {
            response,
            heard: String::new(),
        };
        let greeting = events.next().await.unwrap();
        assert!(
            greeting.id.is_some() && greeting.data.is_none(),
            "{greeting:?}"
        );
        events
    }

    /// The next block; none when the stream has ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.heard.split_once("\n\n") {
                let mut event = Event::default();
                for line in block.lines() {
                    match line.split_once(':').unwrap() {
                        ("", _) => event.comment = true,
                        ("event", value) => event.event = Some(value.trim().to_owned()),
                        ("id", value) => event.id = Some(value.trim().parse().unwrap()),
                        ("data", value) => event.data = Some(serde_json::from_str(value).unwrap()),
                        other => panic!("{other:?}"),
                    }
                }
                self.heard = rest.to_owned();
                return Some(event);
            }
            let chunk = timeout(STUCK, self.response.chunk()).await;
            let chunk = chunk.expect("nothing comes").ok()??;
            self.heard.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next events, as `id externalUserId from>to`.
    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let event = self.next().await.expect("the stream has ended");
            let Some(data) = event.data else { continue };
            assert_eq!(event.event.as_deref(), Some("transition"));
            let word = |name: &str| data[name].as_str().unwrap_or("-").to_owned();
            let (id, user) = (event.id.unwrap(), word("externalUserId"));
            taken.push(format!("{id} {user} {}>{}", word("from"), word("to")));
        }
        taken
    }
}

#[actix_web::test]
async fn transitions_come_as_they_are_committed_and_only_the_partners_own() {
    let app = TestApp::new().await;
    app.pending("before").await;
    let mut events = Events::open(&app.url, ACME, None).await;
    app.pending("u1").await;
    app.pending_of(OTHER, "u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(
        events.take(3).await,
        [
            "2 u1 ->pending",
            "3 u1 pending>submitted",
            "4 u1 submitted>verified"
        ]
    );
    app.deliver("VERIFIED_USER", "before").await;
    let event = events.next().await.unwrap();
    let mut data = event.data.unwrap();
    assert!(
        data["at"].is_string() && data["cause"]["deliveryId"].is_string(),
        "{data}"
    );
    data["at"].take();
    data["cause"]["deliveryId"].take();
    let cause = json!({"kind": "webhook", "event": "VERIFIED_USER", "deliveryId": null});
    assert_eq!(
        data,
        json!({
            "userId": "before", "externalUserId": "before", "at": null, "attempt": 1,
            "from": "pending", "to": "verified", "cause": cause
        })
    );
    let mut others = Events::open(&app.url, OTHER, Some(0)).await;
    assert_eq!(others.take(1).await, ["1 u1 ->pending"]);
}

#[actix_web::test]
async fn nothing_is_missed_between_two_streams_nor_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    // More than are read at once.
    populate(&database, 250);
    let service = Service::start(&database).await;
    let url = format!("http://{}", service.address);
    let mut events = Events::open(&url, ACME, Some(0)).await;
    let first = events.take(120).await;
    drop(events);
    let deliver = async |service: &Service, event: &str| {
        let body = kyc_event(event, "u7");
        let signature = kyc_tracker::capa::signature::sign(ACME.secret, body.as_bytes());
        let request = http().post(format!("http://{}/webhooks/acme", service.address));
        let request = request.header("capa-signature", signature).body(body);
        assert_eq!(request.send().await.unwrap().status(), 204);
    };
    deliver(&service, "CREATED_KYC").await;
    drop(service);
    let service = Service::start(&database).await;
    deliver(&service, "VERIFIED_USER").await;
    let url = format!("http://{}", service.address);
    let mut events = Events::open(&url, ACME, Some(120)).await;
    let rest = events.take(132).await;
    let mut expected: Vec<String> = (0..250)
        .map(|n| format!("{} u{n} ->pending", n + 1))
        .collect();
    expected.push("251 u7 pending>submitted".to_owned());
    expected.push("252 u7 submitted>verified".to_owned());
    assert_eq!([first, rest].concat(), expected);
}

#[actix_web::test]
async fn a_stream_ends_when_the_service_stops() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("kyc.db");
    populate(&database, 1);
    let mut service = Service::start(&database).await;
    let mut events = Events::open(&format!("http://{}", service.address), ACME, None).await;
    service.process.terminate();
    assert_eq!(events.next().await, None);
    assert_eq!(service.process.exit_status().await.code(), Some(0));
}

#[actix_web::test]
async fn a_stream_that_has_nothing_to_say_says_so_every_fifteen_seconds() {
    let app = TestApp::new().await;
    let mut events = Events::open(&app.url, ACME, None).await;
    let comment = events.next().await.unwrap();
    assert_eq!(
        comment,
        Event {
            comment: true,
            ..Event::default()
        }
    );
}

#[actix_web::test]
async fn what_is_no_request_for_a_stream_is_refused() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let ask = async |headers: &[(&str, &str)], path: &str| {
        let mut request = app.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        app.send(request).await.problem()
    };
    let key = ("partner-api-key", ACME.key);
    let refused = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(ask(&[], PATH).await, refused(401, "unauthorized"));
    let json = ("accept", "application/json");
    assert_eq!(
        ask(&[key, json], PATH).await,
        refused(406, "not_acceptable")
    );
    for seen in ["2", "-1", "one", "", "99999999999999999999"] {
        let seen = ("last-event-id", seen);
        assert_eq!(
            ask(&[key, seen], PATH).await,
            refused(400, "invalid_cursor")
        );
    }
    let query = format!("{PATH}?from=1");
    assert_eq!(ask(&[key], &query).await, refused(400, "invalid_query"));
}

/// As many streams as acme may have open, each after the first event.
pub async fn all_streams(app: &TestApp) -> Vec<Wire> {
    let mut streams = Vec::new();
    for _ in 0..200 {
        let mut wire = Wire::to(&app.url).await;
        wire.say(&listening(1)).await;
        assert!(wire.head().await.starts_with("HTTP/1.1 200 "));
        streams.push(wire);
    }
    streams
}

/// A request of acme for the events after that one.
fn listening(seen: i64) -> String {
    format!(
        "GET {PATH} HTTP/1.1\r\nhost: kyc\r\npartner-api-key: {}\r\nlast-event-id: {seen}\r\n\r\n",
        ACME.key
    )
}

#[actix_web::test]
async fn two_hundred_streams_may_be_open_and_one_more_is_refused() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let mut streams = all_streams(&app).await;
    let mut more = Wire::to(&app.url).await;
    let refused = more.ask(&listening(1)).await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains(r#""code":"rate_limited""#), "{refused}");
    let mut others = Events::open(&app.url, OTHER, None).await;
    app.pending_of(OTHER, "u1").await;
    assert_eq!(others.take(1).await, ["1 u1 ->pending"]);
    assert_eq!(app.status("u1").await, "pending");
    streams.pop();
    let again = async {
        loop {
            let mut wire = Wire::to(&app.url).await;
            wire.say(&listening(1)).await;
            if wire.head().await.starts_with("HTTP/1.1 200 ") {
                return;
            }
        }
    };
    timeout(STUCK, again).await.expect("the seat is not free");
}

#[actix_web::test]
async fn a_stream_that_is_not_read_is_dropped() {
    let limits = Limits {
        stall: Duration::from_millis(300),
        ..Limits::default()
    };
    let app = TestApp::with_limits(limits, &[]).await;
    let clock = app.clock.clone();
    // More than the buffers of two sockets hold.
    let fill = move |conn: &mut Conn| {
        for user in 0..40_000 {
            register(conn, &clock, &format!("{user:0>100}"))?;
        }
        Ok(())
    };
    app.db().write(fill).await.unwrap();
    let mut wire = Wire::to(&app.url).await;
    wire.say(&listening(0)).await;
    app.listened_for(1).await;
    app.listened_for(0).await;
    let heard = wire.end().await;
    assert!(
        !heard.contains("id: 40000\n"),
        "all of it fitted into the buffers"
    );
}
