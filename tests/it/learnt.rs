//! What creating a user through us teaches: by which `externalUserId` its webhooks will name it.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::{Connection, SqliteConnection};
use kyc_tracker::db::learnt_ids;
use serde_json::json;
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::dropin::{USERS, asked, capa, error, gives_link, is, link_of, post};
use crate::support::wire::Wire;
use crate::support::{ACME, LINK_PATH, OTHER, Partner, TestApp};

/// The provider creates this user and gives links, from now on.
async fn capa_creates(app: &TestApp, user: &str) {
    capa(app, gives_link()).await;
    let created = json!({"success": true, "data": {"userId": user}});
    let created = ResponseTemplate::new(201).set_body_json(created);
    let users = Mock::given(method("POST")).and(path(USERS));
    users
        .respond_with(created)
        .with_priority(1)
        .mount(&app.capa)
        .await;
}

/// Creates the user with that `externalUserId`, and nothing else of it said.
async fn create(app: &TestApp, partner: Partner, user: &str, external: &str) {
    capa_creates(app, user).await;
    let body = json!({"type": "INDIVIDUAL", "email": "a@b.example", "externalUserId": external});
    assert_eq!(post(app, partner, USERS, &body).await.status, 201);
}

#[actix_web::test]
async fn what_creating_a_user_taught_is_used_by_all_three_ways_to_a_link() {
    let app = TestApp::new().await;
    for (number, path) in ["/v1/kyc/links", LINK_PATH, &link_of("u2")]
        .into_iter()
        .enumerate()
    {
        let (user, external) = (format!("u{number}"), format!("c{number}"));
        create(&app, ACME, &user, &external).await;
        create(&app, ACME, &user, &external).await;
        let body = json!({"userId": user, "country": "DO"});
        assert_eq!(post(&app, ACME, path, &body).await.status, 201, "{path}");
        assert_eq!(app.user(&user).await["externalUserId"], json!(external));
        app.deliver("VERIFIED_USER", &external).await;
        assert_eq!(app.status(&user).await, "verified", "{path}");
    }
}

#[actix_web::test]
async fn a_webhook_that_came_before_the_user_was_registered_counts_by_the_learnt_id() {
    let app = TestApp::new().await;
    create(&app, ACME, "u1", "c1").await;
    app.deliver("CREATED_KYC", "c1").await;
    assert_eq!(app.outcomes().await, [("unmatched".to_owned(), 0)]);
    post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
    assert_eq!(app.status("u1").await, "submitted");
}

#[actix_web::test]
async fn what_is_learnt_is_the_partners_own() {
    let app = TestApp::new().await;
    create(&app, ACME, "u1", "c1").await;
    for partner in [OTHER, ACME] {
        let answer = post(&app, partner, &link_of("u1"), &json!({"country": "DO"})).await;
        assert_eq!(answer.status, 201);
    }
    let others = app.get(OTHER, "/v1/kyc/users/u1").await.json();
    assert_eq!(others["externalUserId"], "u1");
    app.deliver("VERIFIED_USER", "c1").await;
    assert_eq!(app.status("u1").await, "verified");
    let others = app.get(OTHER, "/v1/kyc/users/u1").await.json();
    assert_eq!(others["status"], "pending");
}

#[actix_web::test]
async fn who_is_registered_and_what_is_named_stand_against_what_was_learnt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    create(&app, ACME, "u1", "c1").await;
    post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
    assert_eq!(app.user("u1").await["externalUserId"], "u1");
    create(&app, ACME, "u2", "c2").await;
    let named = json!({"country": "DO", "externalUserId": "mine"});
    post(&app, ACME, &link_of("u2"), &named).await;
    assert_eq!(app.user("u2").await["externalUserId"], "mine");
    create(&app, ACME, "u3", "u1").await;
    let answer = post(&app, ACME, &link_of("u3"), &json!({"country": "DO"})).await;
    assert_eq!(error(&answer), is(409, "EXTERNAL_ID_TAKEN"));
    create(&app, ACME, "u4", "first").await;
    create(&app, ACME, "u4", "second").await;
    post(&app, ACME, &link_of("u4"), &json!({"country": "DO"})).await;
    assert_eq!(app.user("u4").await["externalUserId"], "first");
}

#[actix_web::test]
async fn nothing_is_learnt_of_a_user_who_was_not_created() {
    let app = TestApp::new().await;
    for status in [400, 409, 500] {
        let answer = json!({"success": false, "data": {"userId": "u1"}});
        capa(&app, ResponseTemplate::new(status).set_body_json(answer)).await;
        post(&app, ACME, USERS, &json!({"externalUserId": "c1"})).await;
    }
    capa(&app, gives_link()).await;
    post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
    assert_eq!(app.user("u1").await["externalUserId"], "u1");
}

#[actix_web::test]
async fn what_is_learnt_is_kept_though_the_client_has_left() {
    let app = TestApp::new().await;
    let created = json!({"success": true, "data": {"userId": "u1"}});
    let slow = Duration::from_millis(500);
    capa(
        &app,
        ResponseTemplate::new(201)
            .set_body_json(created)
            .set_delay(slow),
    )
    .await;
    let (mut wire, key) = (Wire::to(&app.url).await, ACME.key);
    let body = r#"{"externalUserId":"c1"}"#;
    let length = body.len();
    wire.say(&format!(
        "POST {USERS} HTTP/1.1\r\nhost: x\r\npartner-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    ))
    .await;
    asked(&app, 1).await;
    drop(wire);
    let db = app.db();
    let learnt = async {
        loop {
            let of = |conn: &mut _| learnt_ids::of(conn, "acme", "u1");
            if let Some(learnt) = db.read(of).await.unwrap() {
                return learnt;
            }
        }
    };
    let learnt = tokio::time::timeout(Duration::from_secs(10), learnt).await;
    assert_eq!(learnt.unwrap(), "c1");
}

#[actix_web::test]
async fn the_answer_is_given_although_the_store_could_not_keep_what_it_taught() {
    let app = TestApp::new().await;
    let file = app.folder().join("kyc.db");
    let mut lock = SqliteConnection::establish(file.to_str().unwrap()).unwrap();
    lock.batch_execute("BEGIN IMMEDIATE").unwrap();
    create(&app, ACME, "u1", "c1").await;
    lock.batch_execute("ROLLBACK").unwrap();
    create(&app, ACME, "u1", "c1").await;
    post(&app, ACME, &link_of("u1"), &json!({"country": "DO"})).await;
    assert_eq!(app.user("u1").await["externalUserId"], "c1");
}
