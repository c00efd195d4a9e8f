//! What Prometheus is told: to whom, in which form, that the numbers are right, and that nobody is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use diesel::connection::SimpleConnection;
use futures_util::future::join;
use kyc_tracker::capa::details::Unusable;
use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use wiremock::ResponseTemplate;

use crate::support::store::connect;
use crate::support::wire::STUCK;
use crate::support::{ACME, ADMIN_KEY, Answer, LINK, OTHER, TestApp, kyc_event};

/// The values by series, as each is written; the form of the text is checked on the way.
type Series = BTreeMap<String, f64>;

/// For how long what was read from the store is told again.
const FRESH: Duration = Duration::from_secs(15);
/// When the clock of a [`TestApp`] stands at the beginning.
const START: f64 = 1_795_461_600.0;

async fn scrape(app: &TestApp) -> Series {
    let answer = app.admin("/metrics").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    parse(&answer.text)
}

fn parse(text: &str) -> Series {
    let mut series = Series::new();
    let mut families = BTreeSet::new();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next() {
        let (name, told) = help
            .strip_prefix("# HELP ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
        assert!(name.bytes().all(plain) && told.ends_with('.'), "{help}");
        assert!(families.insert(name), "{name} stands there twice");
        let (same, kind) = lines
            .next()
            .unwrap()
            .strip_prefix("# TYPE ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        assert_eq!(same, name);
        assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (key, value) = line.rsplit_once(' ').unwrap();
            samples.push((key.to_owned(), value.parse().unwrap()));
        }
        match kind {
            "counter" | "gauge" => {
                let of_it = |key: &str| key == name || key.starts_with(&format!("{name}{{"));
                assert!(samples.iter().all(|(key, _)| of_it(key)), "{samples:?}");
            }
            "histogram" => check_histogram(name, &samples),
            _ => panic!("{kind}"),
        }
        assert!(!samples.is_empty(), "{name}");
        for (key, value) in samples {
            assert_eq!(series.insert(key.clone(), value), None, "{key}");
        }
    }
    series
}

/// Buckets grow up to the count, which follows the last of them and the sum.
fn check_histogram(name: &str, samples: &[(String, f64)]) {
    let mut last = 0.0;
    for (key, value) in samples {
        let rest = key.strip_prefix(name).unwrap();
        if rest.starts_with("_bucket{") {
            assert!(*value >= last, "{key}");
            last = *value;
        } else if rest.starts_with("_count") {
            assert_eq!(*value, last, "{key}");
            last = 0.0;
        } else {
            assert!(rest.starts_with("_sum"), "{key}");
        }
    }
    assert_eq!(last, 0.0, "{name} ends without a count");
}

/// What has become more since `before`, in the counters.
fn grown(before: &Series, after: &Series) -> Vec<(String, u64)> {
    let counters = after.iter().filter(|(key, _)| {
        let name = key.split('{').next().unwrap();
        name.ends_with("_total") || name.ends_with("_count")
    });
    let grown = counters.map(|(key, now)| (key, now - before.get(key).unwrap_or(&0.0)));
    let grown = grown.filter(|(key, more)| *more > 0.0 && !key.starts_with("process_"));
    grown
        .map(|(key, more)| (key.replace("kyc_tracker_", ""), more as u64))
        .collect()
}

/// The value of a series of acme's.
fn acme(series: &Series, name: &str, more: &str) -> f64 {
    let key = format!("kyc_tracker_{name}{{{more}partner=\"acme\"}}");
    let other = format!(
        "kyc_tracker_{name}{{partner=\"acme\",{}}}",
        more.trim_end_matches(',')
    );
    let value = series.get(&key).or_else(|| series.get(&other));
    *value.unwrap_or_else(|| panic!("neither {key} nor {other}: {series:#?}"))
}

#[actix_web::test]
async fn unusable_answers_have_a_series_for_each_reason_from_the_start() {
    let app = TestApp::new().await;
    let of = |reason: Unusable| {
        let reason = reason.as_str();
        format!("kyc_tracker_provider_unusable_total{{reason=\"{reason}\"}}")
    };
    let before = scrape(&app).await;
    for reason in Unusable::ALL {
        assert_eq!(before[&of(reason)], 0.0);
    }
    app.app.metrics.unusable(Unusable::OtherReference);
    let after = scrape(&app).await;
    for reason in Unusable::ALL {
        let count = f64::from(u8::from(reason == Unusable::OtherReference));
        assert_eq!(after[&of(reason)], count);
    }
}

#[actix_web::test]
async fn metrics_are_for_admins() {
    let app = TestApp::new().await;
    let get = || app.request(Method::GET, "/metrics");
    let partners = get().header("partner-api-key", ACME.key);
    for refused in [get(), partners, get().bearer_auth(ACME.key)] {
        let answer = app.send(refused).await;
        assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
    }
    let answer = app.admin("/metrics").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/plain; version=0.0.4")
    );
    let accepting = |kind: &str| {
        app.send(
            get()
                .bearer_auth(ADMIN_KEY)
                .header("accept", kind.to_owned()),
        )
    };
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    assert_eq!(accepting(prometheus).await.status, 200);
    assert_eq!(accepting("text/plain").await.status, 200);
    assert_eq!(
        accepting("image/png").await.problem(),
        (406, "not_acceptable".to_owned())
    );
    assert_eq!(
        app.admin("/metrics?x=1").await.problem(),
        (400, "invalid_query".to_owned())
    );
    let posted = app.admin_posts("/metrics", &json!({})).await;
    assert_eq!(posted.problem(), (405, "method_not_allowed".to_owned()));
}

#[actix_web::test]
async fn metrics_are_for_all_where_the_settings_say_so() {
    let app = TestApp::with(&[("KYC__SERVER__PUBLIC_METRICS", "true")]).await;
    let get = || app.request(Method::GET, "/metrics");
    for request in [
        get(),
        get().bearer_auth("kyc_admin_mistyped"),
        get().bearer_auth(ADMIN_KEY),
    ] {
        let answer = app.send(request).await;
        assert_eq!(answer.status, 200);
        parse(&answer.text);
    }
    let admins = app.send(app.request(Method::GET, "/v1/admin/stats")).await;
    assert_eq!(admins.problem(), (401, "unauthorized".to_owned()));
}

#[actix_web::test]
async fn each_thing_that_is_done_is_counted_once() {
    let app = TestApp::new().await;
    let before = scrape(&app).await;
    app.pending("u1").await;
    for event in ["CREATED_KYC", "CREATED_KYC", "REVIEW_NEEDED_KYC"] {
        app.deliver(event, "u1").await;
    }
    app.deliver_to(OTHER, "VERIFIED_USER", "u1").await;
    let body = kyc_event("VERIFIED_USER", "u1");
    let forged = sign("whsec_of_somebody_else_0123", body.as_bytes());
    for signatures in [
        &[forged.as_str()][..],
        &[],
        &["no hex"],
        &[&forged, &forged],
    ] {
        app.deliver_raw("acme", body.clone(), signatures).await;
    }
    app.get(ACME, "/v1/kyc/users/u1").await;
    app.get(ACME, "/v1/kyc/users/nobody").await;
    app.send(app.request(Method::GET, "/v1/kyc/users/u1")).await;
    app.send(app.request(Method::DELETE, "/v1/kyc/users/u1"))
        .await;
    app.send(app.request(Method::GET, "/nowhere")).await;
    let user = r#"http_requests_total{route="/v1/kyc/users/{userId}""#;
    let timed = |route: &str, count| {
        (
            format!("http_request_duration_seconds_count{{route=\"{route}\"}}"),
            count,
        )
    };
    let one = |key: &str| (key.to_owned(), 1);
    let mut expected = vec![
        one(r#"deliveries_refused_total{reason="doubled"}"#),
        one(r#"deliveries_refused_total{reason="malformed"}"#),
        one(r#"deliveries_refused_total{reason="missing"}"#),
        one(r#"deliveries_refused_total{reason="wrong"}"#),
        (
            r#"deliveries_total{outcome="applied",partner="acme"}"#.to_owned(),
            2,
        ),
        one(r#"deliveries_total{outcome="repeated",partner="acme"}"#),
        one(r#"deliveries_total{outcome="unmatched",partner="other"}"#),
        one(r#"http_errors_total{code="method_not_allowed"}"#),
        one(r#"http_errors_total{code="not_found"}"#),
        (r#"http_errors_total{code="unauthorized"}"#.to_owned(), 5),
        one(r#"http_errors_total{code="user_not_found"}"#),
        timed("/metrics", 1),
        timed("/v1/kyc/links", 1),
        timed("/v1/kyc/users/{userId}", 4),
        timed("/webhooks/{partnerId}", 8),
        timed("none", 1),
        one(r#"http_requests_total{route="/metrics",status="2xx"}"#),
        one(r#"http_requests_total{route="/v1/kyc/links",status="2xx"}"#),
        one(&format!(r#"{user},status="2xx"}}"#)),
        (format!(r#"{user},status="4xx"}}"#), 3),
        (
            r#"http_requests_total{route="/webhooks/{partnerId}",status="2xx"}"#.to_owned(),
            4,
        ),
        (
            r#"http_requests_total{route="/webhooks/{partnerId}",status="4xx"}"#.to_owned(),
            4,
        ),
        one(r#"http_requests_total{route="none",status="4xx"}"#),
        one(r#"provider_call_duration_seconds_count{kind="link"}"#),
        one(r#"provider_calls_total{kind="link",result="ok"}"#),
        // Each of the four webhooks, and what is written before and after the call for the link.
        ("store_changes_total".to_owned(), 6),
        ("store_commit_duration_seconds_count".to_owned(), 6),
    ];
    expected.sort();
    let mut counted = grown(&before, &scrape(&app).await);
    counted.sort();
    assert_eq!(counted, expected);
}

#[actix_web::test]
async fn calls_to_the_provider_are_counted_by_how_they_ended() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "PENDING", "s1");
    let before = scrape(&app).await;
    app.deliver("CREATED_KYC", "u1").await;
    assert_eq!(app.look().await, 1);
    app.truth.fails_with(ResponseTemplate::new(500));
    app.deliver("REVIEW_NEEDED_KYC", "u1").await;
    assert_eq!(app.look().await, 1);
    for (status, body) in [
        (400, "{}"),
        (401, "{}"),
        (404, "{}"),
        (429, "{}"),
        (201, "{}"),
    ] {
        app.capa_answers(status, body).await;
        let asked = json!({"userId": "u1", "country": "DO", "forceNew": true});
        app.ask_for_link(ACME, &asked).await;
    }
    let created = json!({"type": "INDIVIDUAL"});
    let request = app
        .request(Method::POST, "/api/partner/v2/users")
        .header("partner-api-key", ACME.key);
    app.send(request.json(&created)).await;
    let counted = grown(&before, &scrape(&app).await);
    let counted: Vec<_> = counted
        .into_iter()
        .filter(|(key, _)| key.starts_with("provider_calls") || key.starts_with("checks"))
        .map(|(key, count)| format!("{key} {count}"))
        .collect();
    assert_eq!(
        counted,
        [
            r#"checks_total{result="answered"} 1"#,
            r#"checks_total{result="failed"} 1"#,
            r#"provider_calls_total{kind="details",result="ok"} 1"#,
            r#"provider_calls_total{kind="details",result="unavailable"} 1"#,
            r#"provider_calls_total{kind="link",result="invalid_response"} 1"#,
            r#"provider_calls_total{kind="link",result="rate_limited"} 1"#,
            r#"provider_calls_total{kind="link",result="rejected"} 1"#,
            r#"provider_calls_total{kind="link",result="unauthorized"} 1"#,
            r#"provider_calls_total{kind="link",result="user_not_found"} 1"#,
            r#"provider_calls_total{kind="user",result="invalid_response"} 1"#,
        ]
    );
}

#[actix_web::test]
async fn who_waits_on_purpose_is_shown_and_not_timed() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let stream = app
        .request(Method::GET, "/v1/kyc/events")
        .header("partner-api-key", ACME.key);
    let stream = stream.send().await.unwrap();
    let wait = app
        .request(Method::GET, "/v1/kyc/users/u1?wait=1")
        .header("partner-api-key", ACME.key);
    let wait = app.send(wait.header("if-none-match", r#""1.2""#));
    let meanwhile = async {
        app.listened_for(2).await;
        scrape(&app).await
    };
    let (answer, meanwhile) = join(wait, meanwhile).await;
    assert_eq!(answer.status, 304);
    assert_eq!(
        (
            acme(&meanwhile, "waits", ""),
            acme(&meanwhile, "streams", "")
        ),
        (1.0, 1.0)
    );
    drop(stream);
    let after = scrape(&app).await;
    assert_eq!(acme(&after, "waits", ""), 0.0);
    let route = r#"{route="/v1/kyc/users/{userId}"}"#;
    assert_eq!(
        after[&format!("kyc_tracker_http_request_duration_seconds_count{route}")],
        1.0
    );
    let took = after[&format!("kyc_tracker_http_request_duration_seconds_sum{route}")];
    assert!(took > 0.0 && took < 0.9, "{took}");
}

#[actix_web::test]
async fn changes_that_wait_for_the_writer_are_shown() {
    let app = TestApp::new().await;
    let (begin, begun) = oneshot::channel();
    let (go_on, held) = mpsc::channel::<()>();
    let hold = move |_: &mut kyc_tracker::db::Conn| {
        let _ = begin.send(());
        let _ = held.recv_timeout(STUCK);
        Ok(())
    };
    let db = app.db();
    let holding = actix_web::rt::spawn(async move { db.write(hold).await });
    // What comes from now on is not in the same transaction.
    begun.await.unwrap();
    let deliveries = join(
        app.deliver("CREATED_KYC", "u1"),
        app.deliver("CREATED_KYC", "u2"),
    );
    let waiting = async |count: f64| {
        while scrape(&app).await["kyc_tracker_store_changes_waiting"] != count {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let watch = async {
        let reached = timeout(STUCK, waiting(2.0)).await;
        drop(go_on);
        reached.expect("they do not wait");
    };
    join(deliveries, watch).await;
    holding.await.unwrap().unwrap();
    timeout(STUCK, waiting(0.0)).await.expect("they still wait");
}

#[actix_web::test]
async fn what_ails_the_store_is_counted() {
    let app = TestApp::new().await;
    let file = app.folder().join("kyc.db");
    std::fs::rename(&file, app.folder().join("elsewhere")).unwrap();
    assert_eq!(app.deliver("CREATED_KYC", "u1").await.status, 503);
    let troubled = scrape(&app).await;
    assert_eq!(
        troubled[r#"kyc_tracker_store_troubles_total{trouble="gone"}"#],
        1.0
    );
    assert_eq!(
        troubled[r#"kyc_tracker_http_errors_total{code="store_unavailable"}"#],
        1.0
    );
    assert_eq!(troubled["kyc_tracker_store_changes_total"], 0.0);
}

#[actix_web::test]
async fn what_is_in_the_store_is_told_and_read_anew_when_it_is_old() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3"] {
        app.pending(user).await;
    }
    app.deliver("VERIFIED_USER", "u2").await;
    app.deliver("CREATED_KYC", "stranger").await;
    let first = scrape(&app).await;
    let users = |series: &Series| {
        let count = |status: &str| acme(series, "users", &format!("status=\"{status}\","));
        ["pending", "in_review", "verified", "rejected"].map(count)
    };
    assert_eq!(users(&first), [2.0, 0.0, 1.0, 0.0]);
    assert_eq!(acme(&first, "unmatched_deliveries", ""), 1.0);
    assert_eq!(acme(&first, "oldest_pending_timestamp_seconds", ""), START);
    assert_eq!(acme(&first, "next_check_timestamp_seconds", ""), START);
    assert_eq!(first["kyc_tracker_store_read_timestamp_seconds"], START);
    for absent in ["oldest_pending", "next_check"] {
        let key = format!("kyc_tracker_{absent}_timestamp_seconds{{partner=\"other\"}}");
        assert!(!first.contains_key(&key), "{key}");
    }
    app.deliver("REJECTED_KYC", "u2").await;
    app.clock.advance(FRESH - Duration::from_secs(1));
    assert_eq!(
        users(&scrape(&app).await),
        users(&first),
        "it was read just now"
    );
    app.clock.advance(Duration::from_secs(1));
    let second = scrape(&app).await;
    assert_eq!(users(&second), [2.0, 1.0, 0.0, 0.0]);
    let attention = ["held", "conflict", "stalled"].map(|word| {
        acme(
            &second,
            "users_needing_attention",
            &format!("attention=\"{word}\","),
        )
    });
    assert_eq!(attention, [1.0, 0.0, 0.0]);
    for user in ["u1", "u3"] {
        app.deliver("VERIFIED_USER", user).await;
    }
    app.clock.advance(FRESH);
    let third = scrape(&app).await;
    assert!(!third.contains_key("kyc_tracker_oldest_pending_timestamp_seconds{partner=\"acme\"}"));
}

#[actix_web::test]
async fn a_store_that_fails_or_is_slow_keeps_no_scrape_waiting() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let before = scrape(&app).await;
    let pending = |series: &Series| acme(series, "users", "status=\"pending\",");
    assert_eq!(pending(&before), 1.0);
    app.pending("u2").await;
    app.clock.advance(FRESH);
    // All of the few readings that may go on at the same time are held.
    let held: Vec<_> = (0..4)
        .map(|_| {
            let (go_on, held) = mpsc::channel::<()>();
            let db = app.db();
            let hold = move |_: &mut kyc_tracker::db::Conn| {
                let _ = held.recv_timeout(STUCK);
                Ok(())
            };
            (
                go_on,
                actix_web::rt::spawn(async move { db.read(hold).await }),
            )
        })
        .collect();
    let slow = timeout(STUCK / 2, scrape(&app)).await.expect("it waits");
    assert_eq!(pending(&slow), 1.0);
    for (go_on, holding) in held {
        drop(go_on);
        holding.await.unwrap().unwrap();
    }
    assert_eq!(pending(&scrape(&app).await), 2.0, "the reading went on");
    let mut store = connect(&app.folder().join("kyc.db"));
    let hide = "PRAGMA foreign_keys = OFF; ALTER TABLE users RENAME TO elsewhere";
    store.batch_execute(hide).unwrap();
    app.clock.advance(FRESH * 100);
    let failed = scrape(&app).await;
    assert_eq!(pending(&failed), 2.0);
    let read_at = failed["kyc_tracker_store_read_timestamp_seconds"];
    assert_eq!(read_at, START + FRESH.as_secs_f64());
}

#[actix_web::test]
async fn the_last_delivery_is_known_again_after_a_restart() {
    let app = TestApp::new().await;
    let last = |series: &Series| acme(series, "last_delivery_timestamp_seconds", "");
    assert_eq!(last(&scrape(&app).await), 0.0);
    app.clock.advance(Duration::from_secs(100));
    app.deliver("CREATED_KYC", "u1").await;
    assert_eq!(last(&scrape(&app).await), START + 100.0);
    let file = format!("sqlite://{}/kyc.db", app.folder().display());
    let again = TestApp::with(&[("KYC__DATABASE__URL", &file)]).await;
    let series = scrape(&again).await;
    assert_eq!(last(&series), START + 100.0);
    assert_eq!(
        series["kyc_tracker_last_delivery_timestamp_seconds{partner=\"other\"}"],
        0.0
    );
    again.clock.advance(Duration::from_secs(500));
    again.deliver("CREATED_KYC", "u2").await;
    assert_eq!(last(&scrape(&again).await), START + 500.0);
}

/// Requests of all kinds, full of what must not be told.
async fn traffic(app: &TestApp) -> Vec<Answer> {
    app.pending("canary-user-1").await;
    let link =
        json!({"userId": "canary-user-2", "externalUserId": "canary-external-2", "country": "DO"});
    let mut answers = vec![app.ask_for_link(ACME, &link).await];
    for event in [
        "CREATED_KYC",
        "VERIFIED_USER",
        "REJECTED_KYC",
        "CANARY_EVENT",
    ] {
        answers.push(app.deliver(event, "canary-external-2").await);
    }
    answers.push(app.deliver("CREATED_KYC", "canary-stranger").await);
    answers.push(
        app.deliver_raw("canary-partner", "canary", &["canary"])
            .await,
    );
    for path in [
        "/v1/kyc/users/canary-user-2?maxAge=0",
        "/v1/kyc/users?externalUserId=canary-external-2",
        "/v1/kyc/users?canary=1",
        "/canary/path?canary",
        "/v1/kyc/users/canary/canary",
    ] {
        answers.push(app.get(ACME, path).await);
    }
    answers.push(
        app.admin("/v1/admin/users/canary-partner/canary-user")
            .await,
    );
    let odd = app.request(Method::from_bytes(b"CANARY").unwrap(), "/metrics");
    let odd = odd
        .header("x-request-id", "canary-request")
        .header("user-agent", "canary");
    answers.push(app.send(odd.bearer_auth("canary-key")).await);
    let body = json!({"error": {"code": "CANARY", "message": "canary"}}).to_string();
    app.capa_answers(400, body).await;
    let link = json!({"userId": "canary-user-3", "country": "DO"});
    answers.push(app.ask_for_link(ACME, &link).await);
    let created = json!({"externalUserId": "canary-4", "email": "canary@person.example"});
    let request = app.request(Method::POST, "/api/partner/v2/users");
    answers.push(
        app.send(request.header("partner-api-key", ACME.key).json(&created))
            .await,
    );
    answers
}

#[actix_web::test]
async fn nobody_is_named() {
    let app = TestApp::new().await;
    traffic(&app).await;
    app.look().await;
    app.clock.advance(FRESH);
    let text = app.admin("/metrics").await.text;
    parse(&text);
    assert!(
        text.contains("acme") && text.contains("/v1/kyc/users/{userId}"),
        "{text}"
    );
    let lower = text.to_lowercase();
    let keys = [
        ACME.key,
        ACME.provider_key,
        ACME.secret,
        ACME.old_secret,
        ADMIN_KEY,
        OTHER.key,
    ];
    for marker in ["canary", LINK].into_iter().chain(keys) {
        assert!(!lower.contains(marker), "{marker} is told");
    }
}

#[actix_web::test]
async fn no_request_makes_new_series_but_the_first_of_its_route() {
    let app = TestApp::new().await;
    traffic(&app).await;
    for path in ["/healthz", "/metrics"] {
        app.admin(path).await;
    }
    let series = |series: Series| series.into_keys().collect::<BTreeSet<_>>();
    let before = series(scrape(&app).await);
    for number in 0..1000 {
        let path = match number % 5 {
            0 => format!("/random/{number}?x={number}"),
            1 => format!("/v1/kyc/users/random-{number}"),
            2 => format!("/webhooks/random-{number}"),
            3 => format!("/v1/kyc/users/%7B{number}%7D/"),
            _ => format!("/healthz?number={number}"),
        };
        let methods = [
            Method::GET,
            Method::POST,
            Method::DELETE,
            Method::from_bytes(b"RANDOM").unwrap(),
        ];
        let request = app.request(methods[number / 5 % 4].clone(), &path);
        app.send(request.header("partner-api-key", ACME.key)).await;
    }
    assert_eq!(series(scrape(&app).await), before);
}

#[actix_web::test]
async fn the_process_and_its_version_are_told() {
    let app = TestApp::new().await;
    let series = scrape(&app).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        series[&format!("kyc_tracker_build_info{{version=\"{version}\"}}")],
        1.0
    );
    assert_eq!(series["process_start_time_seconds"], START);
    assert!(series["process_cpu_seconds_total"] > 0.0);
    assert!(
        series["process_open_fds"] > 3.0 && series["process_open_fds"] <= series["process_max_fds"]
    );
    assert!(series["process_resident_memory_bytes"] > 1e6);
    let later = scrape(&app).await;
    assert!(later["process_cpu_seconds_total"] >= series["process_cpu_seconds_total"]);
}
