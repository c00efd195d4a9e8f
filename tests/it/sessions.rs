//! Who gets to see the admin page and to do something on it.

use std::time::Duration;

use reqwest::Method;

use crate::support::visit::{Visit, plain};
use crate::support::{ACME, ADMIN_KEY, Answer, TestApp};

/// Everything of the page that can be looked at.
const PAGES: [&str; 6] = [
    "/admin",
    "/admin/users",
    "/admin/users.csv",
    "/admin/users/none",
    "/admin/deliveries",
    "/admin/live",
];
/// Everything that does something.
const ACTS: [&str; 4] = [
    "/admin/users/none/confirm",
    "/admin/users/none/override",
    "/admin/deliveries/none/refold",
    "/admin/sign-out",
];

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

#[actix_web::test]
async fn a_stranger_is_led_to_the_form_and_from_there_to_what_was_wanted() {
    let app = TestApp::new().await;
    let visit = Visit::stranger(&app);
    for path in PAGES.into_iter().filter(|path| !path.ends_with("live")) {
        let answer = visit.get(path).await;
        assert_eq!((answer.status.as_u16(), &*answer.text), (303, ""), "{path}");
        assert!(answer.header("location").starts_with("/admin/sign-in"));
    }
    assert_eq!(visit.get("/admin/live").await.status, 401);
    let answer = visit.get("/admin/users?q=a%26b&status=verified").await;
    let form = visit.read(answer.header("location")).await;
    let to = "/admin/users?q=a%26b&status=verified";
    assert!(form.contains(&format!(
        "name=\"to\" value=\"{}\"",
        to.replace('&', "&#38;")
    )));
    let answer = visit
        .post("/admin/session", &[("key", ADMIN_KEY), ("to", to)])
        .await;
    assert_eq!(answer.header("location"), to);
    assert_eq!(visit.get(to).await.status, 200);
}

#[actix_web::test]
async fn only_an_admins_key_begins_a_session() {
    let app = TestApp::new().await;
    let visit = Visit::stranger(&app);
    for key in [
        "",
        "x",
        ACME.key,
        &ADMIN_KEY[1..],
        &format!("Bearer {ADMIN_KEY}"),
    ] {
        let answer = visit.sign_in(key).await;
        assert_eq!(
            answer.header("location"),
            "/admin/sign-in?said=wrong&to=%2Fadmin"
        );
        assert_eq!(answer.header("set-cookie"), "");
    }
    let page = visit.read("/admin/sign-in?said=wrong&to=%2Fadmin").await;
    assert!(plain(&page).contains("This is not an admin key."), "{page}");
    visit.sign_in(&format!(" {ADMIN_KEY}\n")).await;
    assert_eq!(visit.get("/admin/users").await.status, 200);
}

#[actix_web::test]
async fn a_key_is_no_cookie_and_a_cookie_no_key() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let cookie = visit.cookie.borrow().clone();
    let token = cookie.split_once('=').unwrap().1;
    let request = app.request(Method::GET, "/v1/admin/stats");
    let answer = app
        .send(request.bearer_auth(token).header("cookie", &cookie))
        .await;
    assert_eq!(answer.problem(), (401, "unauthorized".to_owned()));
    let request = app
        .request(Method::GET, "/admin/users")
        .bearer_auth(ADMIN_KEY);
    assert_eq!(app.send(request).await.status, 303);
    for cookie in [
        format!("kyc-admin={ADMIN_KEY}"),
        format!("kyc-admin={}", "0".repeat(64)),
        format!("{cookie}; {cookie}"),
        "kyc-admin".to_owned(),
        cookie.to_uppercase(),
    ] {
        *visit.cookie.borrow_mut() = cookie;
        assert_eq!(visit.get("/admin/users").await.status, 303);
    }
}

#[actix_web::test]
async fn the_cookie_is_for_us_alone() {
    let app = TestApp::new().await;
    let answer = Visit::stranger(&app).sign_in(ADMIN_KEY).await;
    let (token, rest) = answer.header("set-cookie").split_once("; ").unwrap();
    assert_eq!(token.len(), "kyc-admin=".len() + 64);
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict");
    let again = Visit::stranger(&app).sign_in(ADMIN_KEY).await;
    assert_ne!(again.header("set-cookie"), answer.header("set-cookie"));
    let secure = [("KYC__SERVER__PUBLIC_URL", "https://kyc.example")];
    let app = TestApp::with(&secure).await;
    let visit = Visit::stranger(&app);
    let answer = visit.sign_in(ADMIN_KEY).await;
    let (token, rest) = answer.header("set-cookie").split_once("; ").unwrap();
    assert!(token.starts_with("__Host-kyc-admin="));
    assert_eq!(rest, "Path=/; HttpOnly; SameSite=Strict; Secure");
    assert_eq!(visit.get("/admin/users").await.status, 200);
}

#[actix_web::test]
async fn who_does_nothing_for_a_quarter_of_an_hour_is_signed_out_whatever_the_page_does_by_itself()
{
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    app.clock.advance(minutes(14));
    assert_eq!(visit.get("/admin/users").await.status, 200);
    app.clock.advance(minutes(14));
    let live = [("x-live", "1")];
    assert_eq!(visit.get_with("/admin/users", &live).await.status, 200);
    app.clock.advance(minutes(1));
    let answer = visit.get_with("/admin/users", &live).await;
    assert_eq!(answer.status, 401);
    assert!(
        plain(&answer.text).contains("Your session is over"),
        "{answer:?}"
    );
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

#[actix_web::test]
async fn a_clock_that_is_set_neither_signs_an_admin_out_nor_keeps_one_signed_in() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    app.clock.set_ahead(minutes(24 * 60));
    assert_eq!(visit.get("/admin/users").await.status, 200);
    app.clock.set_back(minutes(48 * 60));
    app.clock.advance(minutes(14));
    assert_eq!(visit.get("/admin/users").await.status, 200);
    app.clock.advance(minutes(15));
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

#[actix_web::test]
async fn nobody_is_signed_in_for_more_than_eight_hours() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    for _ in 0..47 {
        app.clock.advance(minutes(10));
        assert_eq!(visit.get("/admin/users").await.status, 200);
    }
    app.clock.advance(minutes(10));
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

#[actix_web::test]
async fn who_signs_out_is_out_on_the_server_and_leaves_nothing_in_the_browser() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let stolen = visit.cookie.borrow().clone();
    let answer = visit.act("/admin/sign-out", &[]).await;
    assert_eq!(answer.header("location"), "/admin/sign-in");
    let kept = answer.header("set-cookie");
    assert_eq!(
        kept,
        "kyc-admin=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    );
    let cleared = r#""cache", "storage""#;
    assert_eq!(answer.header("clear-site-data"), cleared);
    *visit.cookie.borrow_mut() = stolen;
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

#[actix_web::test]
async fn a_restart_signs_everybody_out() {
    let mut app = TestApp::new().await;
    let cookie = Visit::of(&app).await.cookie;
    app.restart().await;
    let visit = Visit { app: &app, cookie };
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

/// From where a browser might say that a form comes which is none of ours.
const ELSEWHERE: [&[(&str, &str)]; 9] = [
    &[],
    &[("sec-fetch-site", "same-origin")],
    &[("origin", "https://evil.example")],
    &[("origin", "null")],
    &[("origin", "http://127.0.0.1:1")],
    &[
        ("origin", "http://127.0.0.1:8080"),
        ("sec-fetch-site", "cross-site"),
    ],
    &[
        ("origin", "http://127.0.0.1:8080"),
        ("sec-fetch-site", "same-site"),
    ],
    &[
        ("origin", "http://127.0.0.1:8080"),
        ("sec-fetch-site", "none"),
    ],
    &[
        ("origin", "http://127.0.0.1:8080"),
        ("origin", "https://evil.example"),
    ],
];

#[actix_web::test]
async fn nothing_is_done_that_comes_from_another_page() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let token = visit.form_token().await;
    let user = visit.path_of("u1").await;
    let order = [("token", &*token), ("status", "verified"), ("reason", "x")];
    for headers in ELSEWHERE {
        for path in ACTS {
            let answer = visit.post_with(path, &[("token", &token)], headers).await;
            refused(&answer);
        }
        let path = format!("{user}/override");
        refused(&visit.post_with(&path, &order, headers).await);
        let key = [("key", ADMIN_KEY)];
        refused(&visit.post_with("/admin/session", &key, headers).await);
    }
    assert_eq!(app.status("u1").await, "pending");
    // By the public address, and by the one that the browser used.
    for origin in ["http://127.0.0.1:8080", &app.url] {
        let own = [("origin", origin), ("sec-fetch-site", "same-origin")];
        let (path, seen) = (format!("{user}/override"), visit.seen(&user).await);
        let order = [("seen", &*seen), order[0], order[1], order[2]];
        let answer = visit.post_with(&path, &order, &own).await;
        assert_eq!(answer.header("location"), format!("{user}?said=overridden"));
    }
    assert_eq!(app.status("u1").await, "verified");
}

fn refused(answer: &Answer) {
    assert_eq!(answer.status, 403, "{answer:?}");
    assert!(plain(&answer.text).contains("The request comes from another page"));
    assert_eq!(answer.header("set-cookie"), "");
}

#[actix_web::test]
async fn over_tls_a_page_without_it_is_another_one() {
    let app = TestApp::with(&[("KYC__SERVER__PUBLIC_URL", "https://kyc.example")]).await;
    let visit = Visit::stranger(&app);
    let host = app.url.replace("http://", "");
    let (plain, tls) = (app.url.clone(), format!("https://{host}"));
    let key = [("key", ADMIN_KEY)];
    for (origin, status) in [
        (&*plain, 403),
        ("http://kyc.example", 403),
        (&*tls, 303),
        ("https://kyc.example", 303),
    ] {
        let own = [("origin", origin), ("sec-fetch-site", "same-origin")];
        let answer = visit.post_with("/admin/session", &key, &own).await;
        assert_eq!(answer.status, status, "{origin}");
    }
}

#[actix_web::test]
async fn to_sign_in_again_ends_the_session_before() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let before = visit.cookie.borrow().clone();
    visit.sign_in(ADMIN_KEY).await;
    assert_eq!(visit.get("/admin/users").await.status, 200);
    *visit.cookie.borrow_mut() = before;
    assert_eq!(visit.get("/admin/users").await.status, 303);
}

#[actix_web::test]
async fn an_open_stream_keeps_nobody_signed_in() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    app.clock.advance(minutes(14));
    let cookie = visit.cookie.borrow().clone();
    let open = app
        .request(Method::GET, "/admin/live")
        .header("cookie", &cookie);
    let stream = open.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    app.clock.advance(minutes(1));
    assert_eq!(visit.get("/admin/users").await.status, 303);
    let again = app
        .request(Method::GET, "/admin/live")
        .header("cookie", &cookie);
    assert_eq!(again.send().await.unwrap().status(), 401);
}

#[actix_web::test]
async fn who_follows_a_link_from_elsewhere_is_asked_to_ask_again() {
    let app = TestApp::new().await;
    let stranger = Visit::stranger(&app);
    let elsewhere = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
    ];
    let answer = stranger.get_with("/admin/users", &elsewhere).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("refresh")),
        (200, "0")
    );
    assert_eq!(plain(&answer.text), "kyc-tracker");
    careful(&answer);
}

#[actix_web::test]
async fn a_form_that_comes_too_late_leads_back_to_its_page() {
    let app = TestApp::new().await;
    let stranger = Visit::stranger(&app);
    let answer = stranger
        .post("/admin/users/u/override", &[("token", "x")])
        .await;
    assert_eq!(answer.status, 401);
    let back = "href=\"/admin/sign-in?to=%2Fadmin%2Fusers%2Fu\"";
    assert!(answer.text.contains(back), "{answer:?}");
    let long = format!("/admin/users?q={}", "x".repeat(3000));
    let answer = stranger.get(&long).await;
    assert_eq!(answer.header("location"), "/admin/sign-in");
    let sheet = stranger.get("/admin/users.csv?q=a").await;
    assert_eq!(
        sheet.header("location"),
        "/admin/sign-in?to=%2Fadmin%2Fusers%3Fq%3Da"
    );
}

#[actix_web::test]
async fn nothing_is_done_without_the_token_of_the_sessions_own_forms() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let (visit, other) = (Visit::of(&app).await, Visit::of(&app).await);
    let path = format!("{}/override", visit.path_of("u1").await);
    let order = [("status", "verified"), ("reason", "x")];
    let foreign = other.form_token().await;
    let cookie = visit.cookie.borrow().clone();
    for token in ["", "0", &foreign, &cookie["kyc-admin=".len()..]] {
        let fields = [("token", token), order[0], order[1]];
        refused(&visit.post(&path, &fields).await);
    }
    refused(&visit.post(&path, &order).await);
    let own = visit.form_token().await;
    let twice = [("token", &*own), ("token", &*own), order[0], order[1]];
    refused(&visit.post(&path, &twice).await);
    assert_eq!(app.status("u1").await, "pending");
}

#[actix_web::test]
async fn a_form_without_a_session_does_nothing_and_says_so() {
    let app = TestApp::new().await;
    let visit = Visit::stranger(&app);
    for path in ACTS {
        let answer = visit.post(path, &[("token", "x")]).await;
        assert_eq!(answer.status, 401, "{path}");
        assert!(
            plain(&answer.text).contains("Your session is over"),
            "{answer:?}"
        );
    }
}

#[actix_web::test]
async fn to_look_changes_nothing() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let user = visit.path_of("u1").await;
    let before = app.user("u1").await;
    for path in ACTS {
        let path = path.replace("/admin/users/none", &user);
        let answer = visit.get(&format!("{path}?status=verified&reason=x")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, "POST")
        );
    }
    let answer = visit
        .get_with(&user, &[("x-http-method-override", "POST")])
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.user("u1").await, before);
}

#[actix_web::test]
async fn what_is_no_form_is_refused() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let send = async |kind: &str, body: Vec<u8>| {
        let request = app.request(Method::POST, "/admin/sign-out").body(body);
        let request = request
            .header("origin", &app.url)
            .header("content-type", kind);
        let cookie = visit.cookie.borrow().clone();
        app.send(request.header("cookie", cookie))
            .await
            .status
            .as_u16()
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(send("application/json", b"{}".to_vec()).await, 415);
    assert_eq!(send("text/plain", b"token=x".to_vec()).await, 415);
    assert_eq!(send(form, b"token=\xff".to_vec()).await, 400);
    assert_eq!(send(form, b"token=%ff".to_vec()).await, 403);
    assert_eq!(send(form, vec![b'x'; 64 * 1024 + 1]).await, 413);
    assert_eq!(visit.get("/admin/users").await.status, 200);
}

#[actix_web::test]
async fn every_answer_has_all_that_makes_a_browser_careful() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let user = visit.path_of("u1").await;
    let mut answers = vec![
        Visit::stranger(&app).get("/admin").await,
        Visit::stranger(&app).get("/admin/sign-in").await,
        Visit::stranger(&app).sign_in("wrong").await,
        visit.get("/admin/assets/style.css").await,
        visit.get("/admin/assets/none").await,
        visit.get("/admin/nothing").await,
        visit.get("/admin/users?colour=red").await,
        visit.get("/%61dmin/users").await,
        visit.get("/%61dmin/nothing").await,
        visit.get("/admin/").await,
        visit.get(&user).await,
        visit.post("/admin", &[]).await,
        visit.post_with("/admin/sign-out", &[], &[]).await,
    ];
    for path in PAGES.into_iter().filter(|path| !path.ends_with("live")) {
        answers.push(visit.get(path).await);
    }
    for answer in &answers {
        careful(answer);
        assert_eq!(answer.header("strict-transport-security"), "", "{answer:?}");
    }
    let app = TestApp::with(&[("KYC__SERVER__PUBLIC_URL", "https://kyc.example")]).await;
    let answer = Visit::stranger(&app).get("/admin/sign-in").await;
    let hsts = "max-age=63072000; includeSubDomains";
    assert_eq!(answer.header("strict-transport-security"), hsts);
}

fn careful(answer: &Answer) {
    let policy = answer.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        "require-trusted-types-for 'script'",
    ] {
        assert!(policy.split("; ").any(|named| named == part), "{answer:?}");
    }
    assert!(!policy.contains("unsafe"));
    for (name, value) in [
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.header(name), value, "{answer:?}");
    }
    assert!(answer.header("permissions-policy").contains("camera=()"));
    let kept = answer.header("cache-control");
    assert!(kept == "no-store" || answer.header("content-type").starts_with("text/css"));
}

#[actix_web::test]
async fn a_key_that_is_used_too_often_begins_no_session() {
    let rate = [
        ("KYC__LIMITS__REQUESTS_PER_SECOND", "1"),
        ("KYC__LIMITS__BURST", "1"),
    ];
    let app = TestApp::with(&rate).await;
    let visit = Visit::of(&app).await;
    let answer = Visit::stranger(&app).sign_in(ADMIN_KEY).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, "1")
    );
    // A session is not a key.
    for _ in 0..5 {
        assert_eq!(visit.get("/admin/users").await.status, 200);
    }
}
