//! The rule as seen from outside: attempts, repeats, stale and held events, and those that come before their user.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use serde_json::{Value, json};

use crate::support::{ACME, Answer, LINK, TestApp, kyc_event};

const CREATED: &str = "CREATED_KYC";
const REVIEW: &str = "REVIEW_NEEDED_KYC";
const VERIFIED: &str = "VERIFIED_USER";
const REJECTED: &str = "REJECTED_KYC";
const EVENTS: [&str; 4] = [CREATED, REVIEW, VERIFIED, REJECTED];

/// Delivers each in turn; all must be stored.
async fn deliver_all(app: &TestApp, events: &[&str], user: &str) {
    for event in events {
        assert_eq!(app.deliver(event, user).await.status, 204, "{event}");
    }
}

/// The same bytes as ever, signed with the other secret: a signature that was not seen before.
async fn deliver_afresh(app: &TestApp, event: &str, user: &str) {
    let body = kyc_event(event, user);
    let signature = sign(ACME.old_secret, body.as_bytes());
    let answer = app.deliver_raw(ACME.id, body, &[&signature]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn link(app: &TestApp, user: &str) -> Answer {
    let body = json!({"userId": user, "country": "DO"});
    app.ask_for_link(ACME, &body).await
}

/// A link of the next attempt, where the provider knows of no session.
async fn link_at_last(app: &TestApp, user: &str) {
    let body = json!({"userId": user, "country": "DO"});
    let answer = app.ask_for_link_at_last(ACME, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

async fn new_link(app: &TestApp, user: &str) -> Answer {
    let body = json!({"userId": user, "country": "DO", "forceNew": true});
    app.ask_for_link(ACME, &body).await
}

/// What a reader is told, in one line: attempt, status, then what else is remarkable.
fn told(user: &Value) -> String {
    let mut line = format!("{} {}", user["attempt"], user["status"].as_str().unwrap());
    for (field, word) in [("final", " final"), ("needsConfirmation", " doubted")] {
        if user[field].as_bool().unwrap() {
            line.push_str(word);
        }
    }
    let marks = [("kycLink", " link"), ("decidedAt", " decided")];
    let given = marks.iter().filter(|(field, _)| !user[*field].is_null());
    line.extend(given.map(|(_, word)| *word));
    line
}

/// The same, and whether an event is held that readers are not told of, which only an admin sees.
async fn read(app: &TestApp, user: &str) -> String {
    let document = app.user(user).await;
    let whole = app.admin(&format!("/v1/admin/users/acme/{user}")).await;
    let held = !whole.json()["looks"]["held"].is_null();
    let secret = held && document["needsConfirmation"] == false;
    told(&document) + if secret { ", held back" } else { "" }
}

/// The outcomes, without the counts.
async fn outcomes(app: &TestApp) -> Vec<String> {
    let outcomes = app.outcomes().await;
    outcomes.into_iter().map(|(outcome, _)| outcome).collect()
}

/// Every order of the four events, each once.
fn orders() -> Vec<Vec<&'static str>> {
    let mut orders = vec![vec![]];
    for _ in EVENTS {
        let longer = |order: &Vec<&'static str>| {
            let left = EVENTS.iter().filter(|event| !order.contains(event));
            left.map(|event| [order.as_slice(), &[*event]].concat())
                .collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    orders
}

#[actix_web::test]
async fn every_event_does_in_every_status_what_the_rule_says() {
    let paths = [
        (
            &[][..],
            [
                ("applied", "1 submitted link"),
                ("applied", "1 in_review link"),
                ("applied", "1 verified decided"),
                ("applied", "1 rejected decided"),
            ],
        ),
        (
            &[CREATED],
            [
                ("repeated", "1 submitted link"),
                ("applied", "1 in_review link"),
                ("applied", "1 verified decided"),
                ("applied", "1 rejected decided"),
            ],
        ),
        (
            &[REVIEW],
            [
                ("stale", "1 in_review link"),
                ("repeated", "1 in_review link"),
                ("applied", "1 verified decided"),
                ("applied", "1 rejected decided"),
            ],
        ),
        (
            &[VERIFIED],
            [
                ("stale", "1 verified decided"),
                ("held", "1 in_review doubted"),
                ("repeated", "1 verified decided"),
                ("held", "1 in_review doubted"),
            ],
        ),
        (
            &[REJECTED],
            [
                ("stale", "1 rejected decided"),
                ("held", "1 rejected decided, held back"),
                ("held", "1 rejected decided, held back"),
                ("repeated", "1 rejected decided"),
            ],
        ),
    ];
    for (path, expected) in paths {
        for (event, (outcome, wanted)) in EVENTS.into_iter().zip(expected) {
            let app = TestApp::new().await;
            app.pending("u1").await;
            deliver_all(&app, path, "u1").await;
            deliver_afresh(&app, event, "u1").await;
            assert_eq!(read(&app, "u1").await, wanted, "{event} after {path:?}");
            assert_eq!(outcomes(&app).await.last().unwrap(), outcome);
        }
    }
}

#[actix_web::test]
async fn every_order_of_the_four_events_ends_in_doubt_about_the_first_verdict() {
    let app = TestApp::new().await;
    for (number, order) in orders().into_iter().enumerate() {
        let user = format!("u{number}");
        app.pending(&user).await;
        deliver_all(&app, &order, &user).await;
        let first = order
            .iter()
            .find(|event| [VERIFIED, REJECTED].contains(event));
        let wanted = match *first.unwrap() {
            VERIFIED => "1 in_review doubted",
            _ => "1 rejected decided, held back",
        };
        assert_eq!(read(&app, &user).await, wanted, "{order:?}");
    }
    assert_eq!(app.outcomes().await.len(), 24 * 4);
}

#[actix_web::test]
async fn every_order_before_the_user_is_known_ends_in_review_and_the_last_verdict_waits_for_a_check()
 {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let mut settled = Vec::new();
    for (number, order) in orders().into_iter().enumerate() {
        let user = format!("u{number}");
        deliver_all(&app, &order, &user).await;
        let verified = order.iter().position(|event| *event == VERIFIED);
        let rejected = order.iter().position(|event| *event == REJECTED);
        let (word, held) = if verified < rejected {
            ("DECLINED", "rejected")
        } else {
            ("APPROVED", "verified")
        };
        assert_eq!(link(&app, &user).await.status, 201, "{order:?}");
        assert_eq!(
            read(&app, &user).await,
            "1 in_review link, held back",
            "{order:?}"
        );
        assert_eq!(app.looks(&user).await["held"], held, "{order:?}");
        app.truth.says(&user, word, "s1");
        settled.push((user, format!("1 {held} final decided")));
    }
    // So many checks do not fit into one second.
    app.pass(Duration::from_secs(300)).await;
    for (user, wanted) in settled {
        assert_eq!(read(&app, &user).await, wanted);
    }
}

#[actix_web::test]
async fn the_way_to_verified_is_written_down_step_by_step() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[CREATED, CREATED, REVIEW, CREATED, VERIFIED], "u1").await;
    assert_eq!(
        app.history("u1").await,
        [
            "1 ->pending by link",
            "1 pending>submitted by CREATED_KYC",
            "1 submitted>in_review by REVIEW_NEEDED_KYC",
            "1 in_review>verified by VERIFIED_USER",
        ]
    );
    assert_eq!(
        outcomes(&app).await,
        ["applied", "applied", "stale", "applied"]
    );
}

#[actix_web::test]
async fn the_history_names_the_delivery_that_moved_the_user() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.clock.advance(Duration::from_millis(1500));
    app.deliver(VERIFIED, "u1").await;
    let history = app.get(ACME, "/v1/kyc/users/u1/history").await.json();
    let delivery = app.admin("/v1/admin/deliveries").await.json()["data"][0]["id"].clone();
    assert_eq!(
        history["data"],
        json!([
            {"at": "2026-11-23T19:20:00.123Z", "attempt": 1, "from": null, "to": "pending",
             "cause": {"kind": "link"}},
            {"at": "2026-11-23T19:20:01.623Z", "attempt": 1, "from": "pending", "to": "verified",
             "cause": {"kind": "webhook", "event": "VERIFIED_USER", "deliveryId": delivery}},
        ])
    );
}

#[actix_web::test]
async fn the_version_grows_by_one_with_each_visible_change_and_never_otherwise() {
    let app = TestApp::new().await;
    let begun = app.pending("u1").await["version"].as_i64().unwrap();
    let steps = [
        (CREATED, 1),
        (CREATED, 1),
        (REVIEW, 2),
        (CREATED, 2),
        (VERIFIED, 3),
        (VERIFIED, 3),
        (CREATED, 3),
        (REJECTED, 4),
        (REJECTED, 4),
        ("PAUSED_KYC", 4),
    ];
    for (number, (event, grown)) in steps.into_iter().enumerate() {
        app.clock.advance(Duration::from_secs(1));
        let before = app.user("u1").await;
        app.deliver(event, "u1").await;
        let after = app.user("u1").await;
        assert_eq!(after["version"], begun + grown, "step {number}, {event}");
        let changed = after["version"] != before["version"];
        assert_eq!(changed, after != before, "step {number}, {event}");
        assert_eq!(
            changed,
            after["updatedAt"] != before["updatedAt"],
            "{event}"
        );
    }
}

#[actix_web::test]
async fn a_doubt_whose_end_shows_in_nothing_but_needs_confirmation_makes_a_version_too() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[VERIFIED, REVIEW], "u1").await;
    let (before, history) = (app.user("u1").await, app.history("u1").await);
    assert_eq!(told(&before), "1 in_review doubted");
    app.truth.says("u1", "REVIEW", "s1");
    app.look().await;
    let after = app.user("u1").await;
    assert_eq!(told(&after), "1 in_review");
    assert_eq!(app.history("u1").await, history);
    let version = |user: &Value| user["version"].as_i64().unwrap();
    assert_eq!(version(&after), version(&before) + 1);
}

#[actix_web::test]
async fn a_user_who_passes_at_the_second_attempt_is_verified_by_the_check_that_follows_at_once() {
    for events in [&[CREATED, VERIFIED][..], &[CREATED, REVIEW, VERIFIED]] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.truth.says("u1", "DECLINED", "s1");
        deliver_all(&app, &[CREATED, REVIEW, REJECTED], "u1").await;
        app.look().await;
        assert_eq!(link(&app, "u1").await.status, 201);
        deliver_all(&app, events, "u1").await;
        assert_eq!(app.outcomes().await.last().unwrap().0, "held");
        assert_eq!(read(&app, "u1").await, "2 pending link, held back");
        app.truth.says("u1", "APPROVED", "s2");
        assert_eq!(app.look().await, 1);
        assert_eq!(read(&app, "u1").await, "2 verified final decided");
        let line = "2 pending>verified by provider".to_owned();
        assert_eq!(app.history("u1").await.last(), Some(&line));
    }
}

#[actix_web::test]
async fn that_the_second_attempt_was_handed_in_keeps_no_verdict_of_the_provider_waiting() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    deliver_all(&app, &[CREATED, REJECTED], "u1").await;
    app.look().await;
    link(&app, "u1").await;
    app.deliver(CREATED, "u1").await;
    assert_eq!(read(&app, "u1").await, "2 pending link, held back");
    app.truth.says("u1", "APPROVED", "s2");
    app.look().await;
    assert_eq!(read(&app, "u1").await, "2 verified final decided");
}

#[actix_web::test]
async fn a_rejected_user_gets_the_next_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    let answer = link(&app, "u1").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["resumed"]),
        (201, &json!(false))
    );
    assert_eq!(told(&answer.json()), "2 pending link");
    assert_eq!(read(&app, "u1").await, "2 pending link");
    assert_eq!(
        app.history("u1").await,
        [
            "1 ->pending by link",
            "1 pending>rejected by REJECTED_KYC",
            "2 ->pending by link",
        ]
    );
}

#[actix_web::test]
async fn a_verified_user_gets_the_next_attempt_only_if_insisted_on() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    let before = app.user("u1").await;
    assert_eq!(
        link(&app, "u1").await.problem(),
        (409, "already_verified".to_owned())
    );
    assert_eq!(app.user("u1").await, before);
    let answer = new_link(&app, "u1").await;
    assert_eq!(
        (answer.status.as_u16(), told(&answer.json())),
        (201, "2 pending link".to_owned())
    );
    assert_eq!(app.calls().await, 2);
}

#[actix_web::test]
async fn a_new_link_before_the_verdict_belongs_to_the_same_attempt() {
    for event in [CREATED, REVIEW] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.deliver(event, "u1").await;
        let before = app.history("u1").await;
        let answer = new_link(&app, "u1").await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["attempt"]),
            (201, &json!(1))
        );
        assert_eq!(app.history("u1").await, before);
    }
}

#[actix_web::test]
async fn a_rejection_in_the_next_attempt_is_held_however_it_is_signed_until_a_check_agrees() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver(REJECTED, "u1").await;
    assert_eq!(link(&app, "u1").await.status, 201);
    app.deliver(REJECTED, "u1").await;
    assert_eq!(read(&app, "u1").await, "2 pending link, held back");
    deliver_afresh(&app, REJECTED, "u1").await;
    app.look().await;
    assert_eq!(read(&app, "u1").await, "2 pending link, held back");
    assert_eq!(outcomes(&app).await, ["applied", "held", "held"]);
    app.truth.says("u1", "DECLINED", "s2");
    app.pass(Duration::from_secs(34)).await;
    assert_eq!(read(&app, "u1").await, "2 rejected final decided");
}

#[actix_web::test]
async fn the_same_events_short_of_a_verdict_move_the_next_attempt_too_where_no_session_was_known() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[CREATED, REVIEW, REJECTED], "u1").await;
    link_at_last(&app, "u1").await;
    deliver_all(&app, &[CREATED, REVIEW], "u1").await;
    assert_eq!(
        app.history("u1").await[3..],
        [
            "1 in_review>rejected by REJECTED_KYC",
            "2 ->pending by link",
            "2 pending>submitted by CREATED_KYC",
            "2 submitted>in_review by REVIEW_NEEDED_KYC",
        ]
    );
}

#[actix_web::test]
async fn a_verified_captured_in_an_earlier_attempt_never_verifies_again() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(new_link(&app, "u1").await.status, 201);
    app.truth.says("u1", "DECLINED", "s2");
    app.deliver(REJECTED, "u1").await;
    app.look().await;
    assert_eq!(link(&app, "u1").await.status, 201);
    for before in [&[][..], &[CREATED], &[REVIEW], &[VERIFIED]] {
        deliver_all(&app, before, "u1").await;
        app.pass(Duration::from_secs(3600)).await;
        app.deliver(VERIFIED, "u1").await;
        app.look().await;
        let user = app.user("u1").await;
        assert_eq!(
            (&user["attempt"], &user["final"]),
            (&json!(3), &json!(false)),
            "{user}"
        );
        assert!(read(&app, "u1").await.ends_with(", held back"), "{user}");
    }
    assert_eq!(app.status("u1").await, "in_review");
}

#[actix_web::test]
async fn a_verified_that_was_only_held_before_never_verifies_the_next_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[REJECTED, VERIFIED], "u1").await;
    app.truth.says("u1", "APPROVED", "s1");
    assert_eq!(link(&app, "u1").await.status, 201);
    assert_eq!(read(&app, "u1").await, "2 pending link");
    app.deliver(VERIFIED, "u1").await;
    app.pass(Duration::from_secs(3600)).await;
    assert_eq!(read(&app, "u1").await, "2 pending link, held back");
    assert_eq!(outcomes(&app).await, ["applied", "held", "held"]);
}

#[actix_web::test]
async fn bad_news_about_a_verified_user_counts_at_once() {
    for bad_news in [REJECTED, REVIEW] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        deliver_all(&app, &[VERIFIED, bad_news], "u1").await;
        let user = app.user("u1").await;
        assert_eq!(told(&user), "1 in_review doubted");
        assert_eq!(
            (&user["kycLink"], &user["decidedAt"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(user["source"], "webhook");
        let line = format!("1 verified>in_review by {bad_news}");
        assert_eq!(app.history("u1").await.last(), Some(&line));
    }
}

#[actix_web::test]
async fn a_doubted_user_never_reads_verified_whatever_comes() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[VERIFIED, REJECTED], "u1").await;
    for event in [VERIFIED, CREATED, REVIEW, VERIFIED, REJECTED, VERIFIED] {
        app.deliver(event, "u1").await;
        deliver_afresh(&app, event, "u1").await;
        assert_eq!(read(&app, "u1").await, "1 in_review doubted", "{event}");
    }
    assert_eq!(
        link(&app, "u1").await.problem(),
        (409, "already_verified".to_owned())
    );
    let verified = app.get(ACME, "/v1/kyc/users?status=verified").await;
    assert_eq!(verified.json()["data"], json!([]));
}

#[actix_web::test]
async fn good_news_about_a_rejected_user_waits() {
    for good_news in [VERIFIED, REVIEW] {
        let app = TestApp::new().await;
        app.pending("u1").await;
        app.deliver(REJECTED, "u1").await;
        let (before, history) = (app.user("u1").await, app.history("u1").await);
        app.clock.advance(Duration::from_secs(1));
        app.deliver(good_news, "u1").await;
        let after = app.user("u1").await;
        assert_eq!(read(&app, "u1").await, "1 rejected decided, held back");
        assert_eq!(after["version"], before["version"]);
        assert_eq!(after["decidedAt"], before["decidedAt"]);
        assert_eq!(app.history("u1").await, history);
    }
}

#[actix_web::test]
async fn with_confirm_never_what_would_be_held_is_stale() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    app.pending("u1").await;
    deliver_all(&app, &[VERIFIED, REJECTED, REVIEW], "u1").await;
    assert_eq!(read(&app, "u1").await, "1 verified final decided");
    app.pending("u2").await;
    deliver_all(&app, &[REJECTED, VERIFIED], "u2").await;
    assert_eq!(read(&app, "u2").await, "1 rejected final decided");
    link(&app, "u2").await;
    deliver_all(&app, &[REJECTED], "u2").await;
    assert_eq!(read(&app, "u2").await, "2 pending link");
    assert_eq!(
        outcomes(&app).await,
        ["applied", "stale", "stale", "applied", "stale", "stale"]
    );
}

#[actix_web::test]
async fn with_confirm_before_final_no_webhook_verifies_by_itself() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "before_final")]).await;
    for (user, path, wanted) in [
        ("u1", &[][..], "1 pending link, held back"),
        ("u2", &[CREATED], "1 submitted link, held back"),
        ("u3", &[REVIEW], "1 in_review link, held back"),
        ("u4", &[REJECTED], "1 rejected decided, held back"),
    ] {
        app.pending(user).await;
        deliver_all(&app, path, user).await;
        let history = app.history(user).await;
        deliver_all(&app, &[VERIFIED, VERIFIED], user).await;
        deliver_afresh(&app, VERIFIED, user).await;
        assert_eq!(read(&app, user).await, wanted);
        assert_eq!(app.history(user).await, history);
    }
}

#[actix_web::test]
async fn with_confirm_before_final_all_but_verified_is_as_ever() {
    let app = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "before_final")]).await;
    app.pending("u1").await;
    deliver_all(&app, &[CREATED, REVIEW, CREATED, REJECTED], "u1").await;
    assert_eq!(read(&app, "u1").await, "1 rejected decided");
    assert_eq!(
        outcomes(&app).await,
        ["applied", "applied", "stale", "applied"]
    );
}

#[actix_web::test]
async fn what_came_before_its_user_is_folded_in_the_order_received() {
    let app = TestApp::new().await;
    deliver_all(&app, &[CREATED, REVIEW, CREATED], "u1").await;
    assert_eq!(
        app.outcomes().await,
        [("unmatched".to_owned(), 1), ("unmatched".to_owned(), 0)]
    );
    let user = app.pending("u1").await;
    assert_eq!(
        (told(&user), &user["kycLink"]),
        ("1 in_review link".to_owned(), &json!(LINK))
    );
    assert_eq!(
        app.history("u1").await,
        [
            "1 ->pending by link",
            "1 pending>submitted by CREATED_KYC",
            "1 submitted>in_review by REVIEW_NEEDED_KYC",
        ]
    );
    assert_eq!(
        app.outcomes().await,
        [("applied".to_owned(), 1), ("applied".to_owned(), 0)]
    );
}

#[actix_web::test]
async fn what_came_before_its_user_in_the_wrong_order_is_stale() {
    let app = TestApp::new().await;
    deliver_all(&app, &[REVIEW, CREATED], "u1").await;
    assert_eq!(told(&app.pending("u1").await), "1 in_review link");
    assert_eq!(outcomes(&app).await, ["applied", "stale"]);
}

#[actix_web::test]
async fn a_verified_that_came_before_its_user_makes_a_link_needless_once_a_check_agrees() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(link(&app, "u1").await.status, 201);
    assert_eq!(read(&app, "u1").await, "1 pending link, held back");
    assert_eq!(outcomes(&app).await, ["held"]);
    app.truth.says("u1", "APPROVED", "s1");
    assert_eq!(app.look().await, 1);
    assert_eq!(
        link(&app, "u1").await.problem(),
        (409, "already_verified".to_owned())
    );
    assert_eq!(read(&app, "u1").await, "1 verified final decided");
    assert_eq!(
        app.history("u1").await,
        ["1 ->pending by link", "1 pending>verified by provider"]
    );
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn a_rejection_that_came_before_its_user_counts_as_the_first_attempt() {
    let app = TestApp::new().await;
    app.deliver(REJECTED, "u1").await;
    assert_eq!(told(&app.pending("u1").await), "1 pending link");
    assert_eq!(read(&app, "u1").await, "1 pending link, held back");
    app.truth.says("u1", "DECLINED", "s1");
    app.look().await;
    assert_eq!(read(&app, "u1").await, "1 rejected final decided");
    assert_eq!(told(&app.pending("u1").await), "2 pending link");
    app.deliver(REJECTED, "u1").await;
    assert_eq!(read(&app, "u1").await, "2 pending link, held back");
    assert_eq!(
        app.history("u1").await,
        [
            "1 ->pending by link",
            "1 pending>rejected by provider",
            "2 ->pending by link",
        ]
    );
}

#[actix_web::test]
async fn what_came_for_an_external_id_learnt_later_is_folded_then() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    deliver_all(&app, &[CREATED, REVIEW], "customer-1").await;
    assert_eq!(read(&app, "u1").await, "1 pending link");
    let body = json!({"userId": "u1", "externalUserId": "customer-1", "country": "DO"});
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(
        (answer.status.as_u16(), told(&answer.json())),
        (200, "1 in_review link".to_owned())
    );
    assert_eq!(app.user("u1").await["externalUserId"], "customer-1");
    assert_eq!(outcomes(&app).await, ["applied", "applied"]);
    app.deliver(VERIFIED, "customer-1").await;
    assert_eq!(app.status("u1").await, "verified");
}

#[actix_web::test]
async fn a_verified_for_an_external_id_learnt_later_makes_a_link_needless_once_a_check_agrees() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver(VERIFIED, "customer-1").await;
    let body = json!({"userId": "u1", "externalUserId": "customer-1", "country": "DO"});
    assert_eq!(app.ask_for_link(ACME, &body).await.status, 200);
    assert_eq!(read(&app, "u1").await, "1 pending link, held back");
    app.truth.says("u1", "APPROVED", "s1");
    assert_eq!(app.look().await, 1);
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.problem(), (409, "already_verified".to_owned()));
    assert_eq!(read(&app, "u1").await, "1 verified final decided");
}

#[actix_web::test]
async fn an_event_moves_only_the_user_it_names() {
    let app = TestApp::new().await;
    for (user, external) in [("u1", "u2"), ("u3", "u1")] {
        app.capa_gives_links().await;
        let body = json!({"userId": user, "externalUserId": external, "country": "DO"});
        assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
    }
    app.deliver(VERIFIED, "u1").await;
    assert_eq!(app.status("u1").await, "pending");
    assert_eq!(app.status("u3").await, "verified");
}
