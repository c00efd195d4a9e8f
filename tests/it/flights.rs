//! Many ask for links of one user at the same time.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{ACME, Answer, LINK, OTHER, TestApp};

/// The answers to so many requests for a link at the same time, by status.
async fn at_once(app: &TestApp, body: &Value, count: usize) -> BTreeMap<u16, Vec<Answer>> {
    let answers = join_all((0..count).map(|_| app.ask_for_link(ACME, body))).await;
    let mut by_status: BTreeMap<u16, Vec<Answer>> = BTreeMap::new();
    for answer in answers {
        by_status
            .entry(answer.status.as_u16())
            .or_default()
            .push(answer);
    }
    by_status
}

/// So that all who ask meanwhile have asked before the provider answers.
const SLOW: Duration = Duration::from_secs(1);

#[actix_web::test]
async fn any_number_of_requests_for_one_user_at_the_same_time_make_one_call() {
    let app = TestApp::new().await;
    let link = json!({"status": "ok", "data": {"kycLink": LINK}});
    app.capa_is_slow(SLOW, 201, link).await;
    let body = json!({"userId": "u1", "country": "DO"});
    let answers = at_once(&app, &body, 50).await;
    assert_eq!(app.calls().await, 1);
    assert_eq!((answers[&201].len(), answers[&200].len()), (1, 49));
    for answer in answers.values().flatten() {
        let answer = answer.json();
        assert_eq!(
            (&answer["kycLink"], &answer["version"]),
            (&json!(LINK), &json!(2))
        );
    }
    let history = app.history("u1").await;
    assert_eq!(history, ["1 ->pending by link"]);
}

#[actix_web::test]
async fn all_who_ask_at_the_same_time_are_told_of_the_one_call_that_failed() {
    let app = TestApp::new().await;
    app.capa_is_slow(SLOW, 401, json!({"message": "Unauthorized"}))
        .await;
    let body = json!({"userId": "u1", "country": "DO"});
    let answers = at_once(&app, &body, 20).await;
    assert_eq!(app.calls().await, 1);
    for answer in answers.values().flatten() {
        assert_eq!(answer.problem(), (502, "provider_unauthorized".to_owned()));
    }
    app.capa_gives_links().await;
    assert_eq!(app.ask_for_link(ACME, &body).await.status, 201);
}

#[actix_web::test]
async fn who_insists_gets_a_link_of_its_own_and_others_users_do_not_wait() {
    let app = TestApp::new().await;
    let link = json!({"status": "ok", "data": {"kycLink": LINK}});
    app.capa_is_slow(SLOW, 201, link).await;
    let insist = json!({"userId": "u1", "country": "DO", "forceNew": true});
    let plain = json!({"userId": "u1", "country": "DO"});
    let others = app.ask_for_link(OTHER, &plain);
    let (answers, other, ()) = futures_util::join!(at_once(&app, &insist, 3), others, async {
        app.ask_for_link(ACME, &json!({"userId": "u2", "country": "DO"}))
            .await;
    });
    assert_eq!((answers[&201].len(), other.status.as_u16()), (3, 201));
    assert_eq!(app.calls().await, 5);
}
