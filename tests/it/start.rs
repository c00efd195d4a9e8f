//! `GET /start/{token}`: where users begin, and what they are told when there is nothing to begin.

use std::time::Duration;

use futures_util::future::join_all;
use kyc_tracker::config::Environment;
use kyc_tracker::db::users::{self, NewUser, User};
use kyc_tracker::db::{Db, transitions};
use kyc_tracker::issue;
use kyc_tracker::kyc::status::Status;
use reqwest::Method;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, ResponseTemplate};

use crate::support::{ACME, Answer, LINK, LINK_PATH, OTHER, TestApp, kyc_event};

/// What the provider gives when a start page asks it.
const FRESH: &str = "https://provider.example/session/fresh";
/// Where start pages ask it about `u1`.
const ASKED: &str = "/api/partner/v2/users/u1/kyc/verification-link";
/// Longer than a link is handed out again.
const TOO_OLD: Duration = Duration::from_secs(12 * 3600);

/// The path of the start page of a user of acme.
async fn page_of(app: &TestApp, user_id: &str) -> String {
    path_in(&app.user(user_id).await)
}

fn path_in(document: &Value) -> String {
    let url = document["startUrl"].as_str().unwrap();
    url.strip_prefix("http://127.0.0.1:8080")
        .unwrap()
        .to_owned()
}

async fn open(app: &TestApp, path: &str) -> Answer {
    app.send(app.request(Method::GET, path)).await
}

async fn head(app: &TestApp, path: &str) -> Answer {
    app.send(app.request(Method::HEAD, path)).await
}

/// The provider answers start pages so, from now on.
async fn capa_says(app: &TestApp, answer: ResponseTemplate) {
    app.capa.reset().await;
    let link = Mock::given(method("POST")).and(path(ASKED));
    link.respond_with(answer).mount(&app.capa).await;
    app.truth.mount(&app.capa).await;
}

fn fresh() -> ResponseTemplate {
    ResponseTemplate::new(201).set_body_json(json!({"success": true, "data": {"kycLink": FRESH}}))
}

/// The status of a page, what its heading says, and its `Retry-After`; checked to be a page that tells nothing else.
fn page(answer: &Answer) -> (u16, &str, &str) {
    assert_eq!(
        answer.header("content-type"),
        "text/html; charset=utf-8",
        "{answer:?}"
    );
    headers(answer);
    for secret in ["u1", "acme", LINK, FRESH, "provider", "_", "/start/"] {
        let said = answer.text.split("</style>").nth(1).unwrap();
        assert!(!said.contains(secret), "{secret}: {said}");
    }
    let heading = answer.text.split("<h1>").nth(1).unwrap();
    let heading = heading.split("</h1>").next().unwrap();
    assert!(answer.text.contains(&format!("<title>{heading}</title>")));
    (
        answer.status.as_u16(),
        heading,
        answer.header("retry-after"),
    )
}

fn headers(answer: &Answer) {
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-robots-tag", "noindex"),
        ("vary", "Accept-Language"),
    ] {
        assert_eq!(answer.header(name), value, "{name}: {answer:?}");
    }
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.ends_with("; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
        "{policy}"
    );
}

fn leads_to(answer: &Answer, link: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, link),
        "{answer:?}"
    );
    assert_eq!(answer.text, "");
    headers(answer);
}

#[actix_web::test]
async fn whoever_has_the_address_is_sent_to_the_open_link_without_a_key_or_a_call() {
    let app = TestApp::new().await;
    let page = path_in(&app.pending("u1").await);
    app.clock.advance(TOO_OLD - Duration::from_secs(1));
    leads_to(&open(&app, &page).await, LINK);
    leads_to(&open(&app, &format!("{page}?utm_source=mail")).await, LINK);
    leads_to(&head(&app, &page).await, LINK);
    app.deliver("CREATED_KYC", "u1").await;
    leads_to(&open(&app, &page).await, LINK);
    app.deliver("REVIEW_NEEDED_KYC", "u1").await;
    leads_to(&open(&app, &page).await, LINK);
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn the_address_stands_only_in_the_two_answers_about_one_user() {
    let app = TestApp::new().await;
    let created = app.pending("u1").await;
    let page = path_in(&created);
    assert_eq!(page.len(), "/start/".len() + 48);
    assert_eq!(page_of(&app, "u1").await, page);
    let again = app
        .ask_for_link(ACME, &json!({"userId": "u1", "country": "DO"}))
        .await;
    assert_eq!(path_in(&again.json()), page);
    app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(page_of(&app, "u1").await, page);
    let token = page.strip_prefix("/start/").unwrap();
    let batch = app
        .request(Method::POST, "/v1/kyc/users/batch")
        .header("partner-api-key", ACME.key);
    let batch = app.send(batch.json(&json!({"userIds": ["u1"]}))).await;
    let drop_in = app
        .request(Method::POST, LINK_PATH)
        .header("partner-api-key", ACME.key);
    let drop_in = app
        .send(drop_in.json(&json!({"userId": "u2", "country": "DO"})))
        .await;
    for answer in [
        batch,
        drop_in,
        app.get(ACME, "/v1/kyc/users").await,
        app.get(ACME, "/v1/kyc/users/u1/history").await,
        app.admin("/v1/admin/users").await,
        app.admin("/v1/admin/users/acme/u1").await,
        app.admin("/v1/admin/users/acme/u1/why").await,
        app.admin("/v1/admin/deliveries").await,
    ] {
        assert!(answer.status.is_success(), "{answer:?}");
        for secret in ["startUrl", token, "/start/"] {
            assert!(!answer.text.contains(secret), "{answer:?}");
        }
    }
}

#[actix_web::test]
async fn a_link_that_is_too_old_is_made_anew_as_it_was_asked_for_before() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let info =
        json!({"profession": "Employee", "phoneNumber": "+524401234567", "birthCountry": "MX"});
    let body = json!({
        "userId": "u1", "externalUserId": "Zoë 7", "country": "MX", "personalInfo": info,
        "partnerRedirectUri": "HTTPS://Partner.example/done?a=b",
    });
    let page = path_in(&app.ask_for_link(ACME, &body).await.json());
    app.clock.advance(TOO_OLD);
    capa_says(&app, fresh()).await;
    leads_to(&open(&app, &page).await, FRESH);
    leads_to(&open(&app, &page).await, FRESH);
    let calls = app.capa.received_requests().await.unwrap();
    let calls: Vec<_> = calls
        .iter()
        .filter(|call| call.url.path() == ASKED)
        .collect();
    let [call] = calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!(call.headers["partner-api-key"], ACME.provider_key);
    let sent: Value = serde_json::from_slice(&call.body).unwrap();
    let redirect = "https://partner.example/done?a=b";
    assert_eq!(
        sent,
        json!({"country": "MX", "partnerRedirectUri": redirect})
    );
    let user = app.user("u1").await;
    assert_eq!(
        (&user["kycLink"], &user["attempt"]),
        (&json!(FRESH), &json!(1))
    );
    assert_eq!(
        (&user["externalUserId"], &user["country"]),
        (&json!("Zoë 7"), &json!("MX"))
    );
    assert_eq!(path_in(&user), page);
}

#[actix_web::test]
async fn a_user_whose_first_link_failed_gets_one_from_the_start_page() {
    let app = TestApp::new().await;
    app.capa_answers(500, "").await;
    let failed = app
        .ask_for_link(ACME, &json!({"userId": "u1", "country": "DO"}))
        .await;
    assert_eq!(failed.status, 503);
    let page = page_of(&app, "u1").await;
    capa_says(&app, fresh()).await;
    leads_to(&open(&app, &page).await, FRESH);
    assert_eq!(app.calls_to(ASKED).await, 1);
}

#[actix_web::test]
async fn whoever_wants_the_head_alone_has_no_link_made() {
    let app = TestApp::new().await;
    let page = path_in(&app.pending("u1").await);
    app.clock.advance(TOO_OLD);
    capa_says(&app, fresh()).await;
    let answer = head(&app, &page).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (200, "")
    );
    headers(&answer);
    assert_eq!(app.calls_to(ASKED).await, 0);
    assert_eq!(app.user("u1").await["kycLink"], LINK);
}

#[actix_web::test]
async fn any_number_who_open_it_at_the_same_time_make_one_call() {
    let app = TestApp::new().await;
    let page = path_in(&app.pending("u1").await);
    app.clock.advance(TOO_OLD);
    capa_says(&app, fresh().set_delay(Duration::from_secs(1))).await;
    for answer in join_all((0..20).map(|_| open(&app, &page))).await {
        leads_to(&answer, FRESH);
    }
    assert_eq!(app.calls_to(ASKED).await, 1);
}

#[actix_web::test]
async fn what_a_partner_asks_for_at_the_same_time_is_not_taken_back() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let page = page_of(&app, "u1").await;
    app.clock.advance(TOO_OLD);
    let link = json!({"data": {"kycLink": LINK}});
    app.capa_is_slow(Duration::from_secs(1), 201, link).await;
    Mock::given(path(ASKED))
        .respond_with(fresh())
        .mount(&app.capa)
        .await;
    let moved = json!({"userId": "u1", "country": "US", "partnerRedirectUri": "https://partner.example/new"});
    let opened = async {
        while app.calls().await == 0 {
            tokio::task::yield_now().await;
        }
        open(&app, &page).await
    };
    let (asked, opened) = futures_util::join!(app.ask_for_link(ACME, &moved), opened);
    assert_eq!(asked.status, 201);
    leads_to(&opened, LINK);
    assert_eq!(app.user("u1").await["country"], "US");
    assert_eq!(app.calls_to(ASKED).await, 0);
}

#[actix_web::test]
async fn a_decided_user_reads_how_it_ended() {
    let app = TestApp::new().await;
    let verified = path_in(&app.pending("u1").await);
    app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(
        page(&open(&app, &verified).await),
        (200, "Your identity is verified", "")
    );
    let rejected = path_in(&app.pending("u2").await);
    app.deliver("REJECTED_KYC", "u2").await;
    assert_eq!(
        page(&open(&app, &rejected).await),
        (200, "Your verification was not accepted", "")
    );
    let answer = head(&app, &rejected).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn a_verified_user_in_doubt_reads_that_it_is_looked_into() {
    let app = TestApp::new().await;
    let start = path_in(&app.pending("u1").await);
    app.deliver("VERIFIED_USER", "u1").await;
    app.deliver("REJECTED_KYC", "u1").await;
    assert_eq!(app.status("u1").await, "in_review");
    assert_eq!(
        page(&open(&app, &start).await),
        (200, "Your verification is being reviewed", "")
    );
}

#[actix_web::test]
async fn the_address_of_an_earlier_attempt_is_over_and_the_next_one_has_its_own() {
    let app = TestApp::new().await;
    let first = path_in(&app.pending("u1").await);
    app.deliver("REJECTED_KYC", "u1").await;
    let second = path_in(&app.pending("u1").await);
    assert_ne!(first, second);
    assert_eq!(
        page(&open(&app, &first).await),
        (410, "This link is no longer valid", "")
    );
    leads_to(&open(&app, &second).await, LINK);
    app.truth.says("u1", "APPROVED", "s1");
    app.deliver("VERIFIED_USER", "u1").await;
    app.look().await;
    assert_eq!(app.status("u1").await, "verified");
    app.clock.advance(TOO_OLD);
    assert_eq!(open(&app, &first).await.status, 410);
}

#[actix_web::test]
async fn a_start_page_never_opens_an_attempt() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let partner = &app.app.config.partners[0];
    app.clock.advance(TOO_OLD);
    app.deliver("REJECTED_KYC", "u1").await;
    // As when the rejection comes between the look at the user and the write.
    let user = issue::link_again(&app.app, partner, "u1", 1).await.unwrap();
    assert_eq!((user.attempt, user.status), (1, Status::Rejected));
    app.pending("u1").await;
    app.clock.advance(TOO_OLD);
    // And when the partner has asked for the next one meanwhile.
    let user = issue::link_again(&app.app, partner, "u1", 1).await.unwrap();
    assert_eq!((user.attempt, user.kyc_link.as_deref()), (2, Some(LINK)));
    assert_eq!((app.calls().await, app.calls_to(ASKED).await), (1, 0));
}

#[actix_web::test]
async fn a_user_who_is_decided_while_the_link_is_made_reads_how_it_ended() {
    let app = TestApp::new().await;
    let start = path_in(&app.pending("u1").await);
    app.clock.advance(TOO_OLD);
    capa_says(&app, fresh().set_delay(Duration::from_secs(1))).await;
    let decided = async {
        while app.calls_to(ASKED).await == 0 {
            tokio::task::yield_now().await;
        }
        app.deliver("REJECTED_KYC", "u1").await
    };
    let (answer, _) = futures_util::join!(open(&app, &start), decided);
    assert_eq!(
        page(&answer),
        (200, "Your verification was not accepted", "")
    );
}

#[actix_web::test]
async fn all_that_is_no_token_of_ours_gets_the_same_page_and_the_store_is_not_asked() {
    let app = TestApp::new().await;
    let right = path_in(&app.pending("u1").await);
    let same = open(&app, "/start/x").await;
    assert_eq!(page(&same), (404, "This link does not work", ""));
    // Whoever asks the store now fails.
    std::fs::rename(app.folder().join("kyc.db"), app.folder().join("away")).unwrap();
    let failing = open(&app, &right).await;
    assert_eq!(
        page(&failing),
        (503, "Your verification cannot go on right now", "5")
    );
    let mut wrong = right.clone();
    let last = wrong.pop().unwrap();
    wrong.push(if last == 'A' { 'B' } else { 'A' });
    for path in [
        wrong,
        format!("{right}A"),
        right[..right.len() - 1].to_owned(),
        format!("/start/{}", right["/start/".len()..].to_uppercase()),
        format!("/start/{}", "A".repeat(48)),
        format!("/start/{}", "%00".repeat(48)),
        format!("/start/{}", "A".repeat(1000)),
    ] {
        let answer = open(&app, &path).await;
        assert_eq!(
            (answer.status, &answer.text),
            (same.status, &same.text),
            "{path}"
        );
    }
    assert_eq!(
        open(&app, "/start/").await.problem(),
        (404, "not_found".to_owned())
    );
    let post = app.send(app.request(Method::POST, &right)).await;
    assert_eq!(post.problem(), (405, "method_not_allowed".to_owned()));
}

#[actix_web::test]
async fn users_of_a_partner_who_is_not_there_any_more_get_that_page_too() {
    let app = TestApp::new().await;
    let (id, now) = (app.clock.id(), app.clock.now());
    let register = move |conn: &mut _| {
        let new = NewUser {
            id,
            partner: "gone",
            user_id: "u1",
            external_user_id: "u1",
            country: "DO",
            redirect_uri: None,
            status: Status::Pending,
            heard: false,
        };
        transitions::register(conn, &new, now)
    };
    let user = app.db().write(register).await.unwrap();
    let start = path_in(&json!({"startUrl": app.app.start_pages.url(&user)}));
    assert_eq!(
        page(&open(&app, &start).await),
        (404, "This link does not work", "")
    );
}

#[actix_web::test]
async fn what_fails_is_told_in_plain_words_with_when_to_come_again() {
    let app = TestApp::new().await;
    let start = path_in(&app.pending("u1").await);
    app.clock.advance(TOO_OLD);
    let (later, stuck) = (
        "Your verification cannot go on right now",
        "Your verification cannot go on",
    );
    let echo = json!({"error": {"code": "U1_BAD", "message": format!("u1 acme {LINK}")}});
    let answer = |status: u16| ResponseTemplate::new(status).set_body_json(&echo);
    for (said, expected) in [
        (answer(500), (503, later, "30")),
        (
            answer(503).insert_header("retry-after", "7"),
            (503, later, "7"),
        ),
        (
            answer(429).insert_header("retry-after", "9"),
            (503, later, "9"),
        ),
        (answer(401), (502, later, "60")),
        (answer(201), (502, later, "60")),
        (answer(400), (502, stuck, "60")),
        (answer(404), (502, stuck, "60")),
    ] {
        capa_says(&app, said).await;
        assert_eq!(page(&open(&app, &start).await), expected);
    }
    capa_says(&app, fresh()).await;
    leads_to(&open(&app, &start).await, FRESH);
}

#[actix_web::test]
async fn the_new_links_of_a_day_are_as_few_as_those_that_the_partner_may_ask_for() {
    let app = TestApp::with(&[
        ("KYC__LINKS__NEW_PER_DAY", "1"),
        ("KYC__LINKS__REUSE_FOR", "1m"),
    ])
    .await;
    let start = path_in(&app.pending("u1").await);
    app.clock.advance(Duration::from_secs(60));
    let answer = open(&app, &start).await;
    let until_tomorrow = 4 * 3600 + 40 * 60 - 60;
    let expected = (
        429,
        "That is enough for today",
        &*until_tomorrow.to_string(),
    );
    assert_eq!(page(&answer), expected);
    app.clock.advance(Duration::from_secs(until_tomorrow));
    capa_says(&app, fresh()).await;
    leads_to(&open(&app, &start).await, FRESH);
}

#[actix_web::test]
async fn nobody_is_sent_to_an_address_that_is_no_https_although_it_is_stored() {
    let app = TestApp::new().await;
    let start = path_in(&app.pending("u1").await);
    for link in [
        "javascript:alert(1)",
        "http://provider.example/",
        "//provider.example/",
        "https://a:b@provider.example/",
        "https://provider.example/\r\nset-cookie: a=b",
    ] {
        let replace = move |conn: &mut _| {
            let user = users::find(conn, "acme", "u1")?.unwrap();
            let kyc_link = Some(link.to_owned());
            users::update(conn, user.version, &User { kyc_link, ..user })
        };
        app.db().write(replace).await.unwrap();
        let answer = open(&app, &start).await;
        assert_eq!(
            page(&answer),
            (502, "Your verification cannot go on right now", "60")
        );
        assert_eq!(
            (answer.header("location"), answer.header("set-cookie")),
            ("", "")
        );
    }
}

#[actix_web::test]
async fn a_page_is_in_the_language_that_the_browser_likes_best() {
    let app = TestApp::new().await;
    for (accepts, language, heading) in [
        ("es-MX,es;q=0.9,en;q=0.8", "es", "Este enlace no funciona"),
        ("en-GB,es;q=0.9", "en", "This link does not work"),
        ("pt", "en", "This link does not work"),
    ] {
        let request = app
            .request(Method::GET, "/start/x")
            .header("accept-language", accepts);
        let answer = app.send(request).await;
        assert_eq!(page(&answer), (404, heading, ""));
        assert_eq!(answer.header("content-language"), language);
        assert!(
            answer.text.contains(&format!("<html lang=\"{language}\">")),
            "{answer:?}"
        );
    }
}

#[actix_web::test]
async fn addresses_outlive_the_process_and_mean_nothing_to_another_store() {
    let (app, other) = (TestApp::new().await, TestApp::new().await);
    let start = path_in(&app.pending("u1").await);
    let again = Db::open(&app.folder().join("kyc.db"), Environment::Sandbox).unwrap();
    assert_eq!(again.start_pages_secret(), app.db().start_pages_secret());
    assert_ne!(
        other.db().start_pages_secret(),
        app.db().start_pages_secret()
    );
    other.pending("u1").await;
    assert_eq!(open(&other, &start).await.status, 404);
    let theirs = path_in(&app.pending_of(OTHER, "u1").await);
    assert_ne!(theirs, start);
    app.deliver_raw(
        "other",
        kyc_event("VERIFIED_USER", "u1"),
        &[&kyc_tracker::capa::signature::sign(
            OTHER.secret,
            kyc_event("VERIFIED_USER", "u1").as_bytes(),
        )],
    )
    .await;
    assert_eq!(open(&app, &theirs).await.status, 200);
    leads_to(&open(&app, &start).await, LINK);
}
