//! Clients that take their time, by malice or by a bad line. Each ends within its deadline, and nobody else notices.
//!
//! The deadlines are short here and run in real time, since they are those of the real server. In each test one is short
//! and the others are out of reach, so that it can only be this one that ends the connection. The framework's own clock goes
//! in steps of half a second, so nothing may be shorter than a few of them.

use std::time::Duration;

use kyc_tracker::web::limits::Limits;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::{interval, sleep, timeout};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::support::wire::{STUCK, Wire};
use crate::support::{ACME, LINK, LINK_PATH, TestApp};

const SHORT: Duration = Duration::from_millis(1500);
const NEVER: Duration = Duration::from_secs(600);
/// Limits that no test reaches.
const PATIENT: Limits = Limits {
    head: NEVER,
    body: NEVER,
    stall: NEVER,
    answer: NEVER,
    keep_alive: NEVER,
    in_flight: 512,
};
const ALIVE: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
const HEADER: &str = "x: y\r\n";

async fn service(limits: Limits) -> TestApp {
    TestApp::with_limits(limits, &[]).await
}

fn short_head() -> Limits {
    let head = SHORT;
    Limits { head, ..PATIENT }
}

fn post(path: &str, rest: &str) -> String {
    let key = ACME.key;
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\ncontent-type: application/json\r\n{rest}\r\n\r\n"
    )
}

#[actix_web::test]
async fn a_first_head_that_dribbles_in_is_cut_off() {
    let app = service(short_head()).await;
    let mut wire = Wire::to(&app.url).await;
    wire.say("GET /healthz HTTP/1.1\r\n").await;
    let heard = wire.dribble(HEADER).await;
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert!(heard.contains("\"code\":\"request_timeout\""), "{heard}");
}

#[actix_web::test]
async fn a_client_that_says_nothing_at_all_is_cut_off() {
    let app = service(short_head()).await;
    let heard = Wire::to(&app.url).await.end().await;
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert!(heard.contains("\"code\":\"request_timeout\""), "{heard}");
}

#[actix_web::test]
async fn a_second_head_that_dribbles_in_is_cut_off() {
    let app = service(short_head()).await;
    let mut wire = Wire::to(&app.url).await;
    assert!(wire.ask(ALIVE).await.starts_with("HTTP/1.1 200 "));
    wire.say("GET /healthz HTTP/1.1\r\n").await;
    assert_eq!(wire.dribble(HEADER).await, "");
}

#[actix_web::test]
async fn a_second_head_that_begins_right_behind_the_first_is_cut_off() {
    let app = service(short_head()).await;
    let mut wire = Wire::to(&app.url).await;
    wire.say(&format!("{ALIVE}GET /healthz HTTP/1.1\r\n")).await;
    let heard = wire.dribble(HEADER).await;
    assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{heard}");
}

#[actix_web::test]
async fn empty_lines_are_no_way_to_stay() {
    let app = service(short_head()).await;
    let mut wire = Wire::to(&app.url).await;
    assert!(wire.ask(ALIVE).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(wire.dribble("\r\n").await, "");
}

#[actix_web::test]
async fn a_pause_between_two_requests_is_nothing_to_be_cut_off_for() {
    let app = service(short_head()).await;
    let mut wire = Wire::to(&app.url).await;
    assert!(wire.ask(ALIVE).await.starts_with("HTTP/1.1 200 "));
    // The deadlines are the server's own, in real time.
    sleep(SHORT * 2).await;
    assert!(wire.ask(ALIVE).await.starts_with("HTTP/1.1 200 "));
}

#[actix_web::test]
async fn an_idle_connection_is_closed() {
    let keep_alive = SHORT;
    let app = service(Limits {
        keep_alive,
        ..PATIENT
    })
    .await;
    let mut wire = Wire::to(&app.url).await;
    assert!(wire.ask(ALIVE).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(wire.end().await, "");
}

#[actix_web::test]
async fn a_body_that_dribbles_in_is_answered_408() {
    // What still comes after the answer is for the deadline of heads to end.
    let body = SHORT;
    let app = service(Limits {
        body,
        ..short_head()
    })
    .await;
    let dribble = async |path, rest, code| {
        let mut wire = Wire::to(&app.url).await;
        wire.say(&post(path, rest)).await;
        let heard = wire.dribble("1\r\n \r\n").await;
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(heard.contains(code), "{heard}");
    };
    let (sized, chunked) = ("content-length: 60000", "transfer-encoding: chunked");
    let (whole, bare) = (
        "\"code\":\"request_timeout\"",
        "\r\n\r\n{\"code\":\"request_timeout\"}",
    );
    tokio::join!(
        dribble("/v1/kyc/links", sized, whole),
        dribble("/v1/kyc/links", chunked, whole),
        dribble("/webhooks/acme", sized, bare),
        dribble("/webhooks/acme", chunked, bare),
    );
}

#[actix_web::test]
async fn a_body_that_nobody_wants_is_not_waited_for() {
    let app = service(short_head()).await;
    for rest in ["content-length: 60000", "transfer-encoding: chunked"] {
        let mut wire = Wire::to(&app.url).await;
        let heard = wire.ask(&post("/nowhere", rest)).await;
        assert!(heard.starts_with("HTTP/1.1 404 "), "{heard}");
        wire.dribble("1\r\n \r\n").await;
    }
}

/// Asks and asks and takes no answer, until the service ends the connection; fails when it does not.
async fn ask_and_never_read(mut wire: Wire) {
    let asking = async { while wire.0.write_all(ALIVE.as_bytes()).await.is_ok() {} };
    let end = timeout(STUCK, asking).await;
    end.expect("the connection is still open");
}

#[actix_web::test]
async fn a_client_that_takes_nothing_of_its_answers_is_given_up() {
    let stall = SHORT;
    let app = service(Limits { stall, ..PATIENT }).await;
    ask_and_never_read(Wire::to(&app.url).await).await;
    assert!(
        Wire::to(&app.url)
            .await
            .ask(ALIVE)
            .await
            .starts_with("HTTP/1.1 200 ")
    );
}

#[actix_web::test]
async fn a_client_that_takes_its_answers_in_sips_is_given_up() {
    let answer = SHORT;
    let app = service(Limits { answer, ..PATIENT }).await;
    let (mut hear, mut say) = Wire::to(&app.url).await.0.into_split();
    let asking = async { while say.write_all(ALIVE.as_bytes()).await.is_ok() {} };
    let sipping = async {
        let mut pause = interval(Duration::from_millis(5));
        let mut sip = [0; 1024];
        while hear.read(&mut sip).await.is_ok_and(|read| read > 0) {
            pause.tick().await;
        }
    };
    let end = async { tokio::join!(asking, sipping) };
    let end = timeout(STUCK, end).await;
    end.expect("the connection is still open");
}

#[actix_web::test]
async fn who_takes_its_answers_late_but_in_time_gets_them_all_and_may_stay() {
    const MANY: usize = 20_000;
    let app = service(Limits {
        stall: SHORT * 2,
        answer: SHORT * 2,
        ..PATIENT
    })
    .await;
    let (hear, mut say) = Wire::to(&app.url).await.0.into_split();
    let mut hear = BufReader::new(hear);
    let asking = async {
        for _ in 0..MANY {
            say.write_all(ALIVE.as_bytes()).await.unwrap();
        }
    };
    let hearing = async {
        sleep(SHORT).await;
        let mut answer = Vec::new();
        for _ in 0..MANY {
            answer.clear();
            hear.read_until(b'}', &mut answer).await.unwrap();
            assert!(answer.ends_with(b"{\"status\":\"ok\",\"environment\":\"sandbox\"}"));
        }
    };
    tokio::join!(asking, hearing);
    sleep(SHORT * 3).await;
    say.write_all(ALIVE.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    hear.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer[9..], b"200");
}

#[actix_web::test]
async fn what_a_handler_takes_is_not_the_clients_slowness() {
    let limits = Limits {
        head: SHORT,
        body: SHORT,
        stall: SHORT,
        answer: SHORT,
        keep_alive: SHORT,
        in_flight: 1,
    };
    let app = TestApp::with_limits(limits, &[("KYC__PROVIDER__TIMEOUT", "30s")]).await;
    let link = ResponseTemplate::new(201)
        .set_body_json(json!({"status": "ok", "data": {"kycLink": LINK}}))
        .set_delay(SHORT * 2);
    let call = Mock::given(method("POST")).and(path(LINK_PATH));
    call.respond_with(link).mount(&app.capa).await;
    let body = json!({"userId": "u1", "country": "DO"});
    assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
}

#[actix_web::test]
async fn a_big_answer_is_unharmed_by_short_deadlines() {
    let app = service(Limits {
        stall: SHORT,
        answer: SHORT,
        ..PATIENT
    })
    .await;
    app.capa_gives_links().await;
    let users: Vec<String> = (0..500).map(|number| format!("u{number:03}")).collect();
    for group in users.chunks(50) {
        let ask = async |user: &String| {
            let body = json!({"userId": user, "country": "DO"});
            assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
        };
        futures_util::future::join_all(group.iter().map(ask)).await;
    }
    let list = app.get(ACME, "/v1/kyc/users?limit=500").await;
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 500);
}
