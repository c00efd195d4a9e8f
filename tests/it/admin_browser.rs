//! The admin page in a real browser: an admin's whole way over it, what stands in the way of people, and what hostile texts can
//! do there.

use std::time::Duration;

use kyc_tracker::db::overrides::{self, Override};
use kyc_tracker::db::users::{NewUser, User};
use kyc_tracker::db::{Conn, QueryResult, transitions};
use kyc_tracker::ingest::{self, Signed};
use kyc_tracker::kyc::status::Status;
use serde_json::json;
use sha2::{Digest, Sha256};
use thirtyfour::By;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::browser::{Browser, Reader};
use crate::support::demo::Demo;
use crate::support::{ACME, ADMIN_KEY, TestApp};

const ENGLISH: Reader = Reader {
    languages: "en-US,en",
    scripts: true,
};
/// A phone, a small phone, a small desk and a large one.
const WIDTHS: [u32; 4] = [390, 320, 1024, 1280];

async fn sign_in(browser: &Browser, url: &str, key: &str) {
    browser.goto(format!("{url}/admin")).await.unwrap();
    browser.until_heading("Sign in").await;
    browser.write("Admin key", key).await;
    browser.click_on("Sign in").await;
    browser.until_heading("Overview").await;
}

async fn find(browser: &Browser, user: &str) {
    browser
        .write("Find a user by the beginning of an id", &user[..6])
        .await;
    browser.click_on("Find").await;
    browser.until_heading("Users").await;
    browser.click_on(user).await;
    browser.until_heading(user).await;
}

async fn override_with(browser: &Browser, status: &str, reason: &str) {
    browser
        .find(By::Tag("summary"))
        .await
        .unwrap()
        .click()
        .await
        .unwrap();
    browser.write("Status", status).await;
    browser.write("Reason", reason).await;
    browser.click_on("Override").await;
}

/// An admin's whole way. Without scripts a page is loaded again instead of keeping itself up to date.
async fn walk(scripts: bool) {
    let reader = Reader { scripts, ..ENGLISH };
    let Some(browser) = Browser::start(reader).await else {
        return;
    };
    let mut demo = Demo::start().await;
    demo.register("customer-42").await;
    sign_in(&browser, &demo.url, &demo.admin_key).await;
    browser.until_it_reads("Waits for a person").await;
    find(&browser, "customer-42").await;
    assert!(browser.reads("Pending").await && !browser.reads("Verified").await);
    demo.click("customer-42", "verify").await;
    demo.until_the_user_is("customer-42", "verified").await;
    if !scripts {
        browser.refresh().await.unwrap();
    }
    browser.until_it_reads("Submitted → Verified").await;
    override_with(&browser, "Rejected", "Seen the papers.").await;
    browser.until_it_reads("The status was set by hand.").await;
    assert!(
        browser
            .reads("stage set the status by hand: Verified → Rejected")
            .await
    );
    assert!(browser.reads("“Seen the papers.”").await);
    demo.until_the_user_is("customer-42", "rejected").await;
    browser.click_on("Sign out").await;
    browser.until_heading("Sign in").await;
    browser.back().await.unwrap();
    browser.until_heading("Sign in").await;
    browser.quit().await;
}

#[actix_web::test]
async fn an_admin_sees_a_user_turn_verified_and_overrides_that() {
    walk(true).await;
}

#[actix_web::test]
async fn the_same_with_loading_again_instead_of_scripts() {
    walk(false).await;
}

#[actix_web::test]
async fn the_open_overview_counts_on_and_what_is_open_and_written_stays() {
    let Some(browser) = Browser::start(ENGLISH).await else {
        return;
    };
    let demo = Demo::start().await;
    sign_in(&browser, &demo.url, &demo.admin_key).await;
    browser.until_it_reads("As a table").await;
    let summary = browser.find(By::Tag("summary")).await.unwrap();
    summary.click().await.unwrap();
    browser
        .write("Find a user by the beginning of an id", "abc")
        .await;
    demo.register("customer-42").await;
    browser.until_it_reads("Attempts begun\n1").await;
    demo.click("customer-42", "reject").await;
    browser.until_it_reads("Decided\n1").await;
    let opened = browser.find(By::Css("details[open] td")).await;
    assert!(opened.is_ok(), "the table was closed");
    let field = browser.find(By::Id("q")).await.unwrap();
    assert_eq!(field.prop("value").await.unwrap().unwrap(), "abc");
    browser.quit().await;
}

#[actix_web::test]
async fn a_paused_page_asks_for_nothing_until_it_is_resumed() {
    let Some(browser) = Browser::start(ENGLISH).await else {
        return;
    };
    let app = TestApp::new().await;
    sign_in(&browser, &app.url, ADMIN_KEY).await;
    // The overview listens for both partners.
    app.listened_for(2).await;
    browser.click_on("Pause updates").await;
    app.clock.advance(Duration::from_secs(2));
    app.pending("u1").await;
    app.listened_for(0).await;
    browser.click_on("Resume updates").await;
    app.listened_for(2).await;
    browser.until_it_reads("Attempts begun\n1").await;
    browser.quit().await;
}

/// The paths of one page of each kind, for a service with something on each of them.
async fn every_page(browser: &Browser, url: &str) -> Vec<String> {
    let mut pages = [
        "/admin",
        "/admin/users",
        "/admin/deliveries",
        "/admin/nothing",
    ]
    .map(str::to_owned)
    .to_vec();
    for list in ["users", "deliveries"] {
        browser.goto(format!("{url}/admin/{list}")).await.unwrap();
        let first = browser.find(By::Css("a.id")).await.unwrap();
        pages.push(first.attr("href").await.unwrap().unwrap());
    }
    pages
}

#[actix_web::test]
async fn nothing_on_a_page_stands_in_anybodys_way() {
    let Some(browser) = Browser::start(ENGLISH).await else {
        return;
    };
    let mut demo = Demo::start().await;
    for (user, choice, status) in [
        ("customer-1", "verify", "verified"),
        ("customer-2", "reject", "rejected"),
        ("customer-3", "review", "in_review"),
    ] {
        demo.register(user).await;
        demo.click(user, choice).await;
        demo.until_the_user_is(user, status).await;
    }
    browser
        .goto(format!("{}/admin/sign-in?said=wrong", demo.url))
        .await
        .unwrap();
    nobody_is_barred(&browser, "the form").await;
    sign_in(&browser, &demo.url, &demo.admin_key).await;
    for page in every_page(&browser, &demo.url).await {
        let url = format!("{}{page}", demo.url);
        browser.goto(&url).await.unwrap();
        nobody_is_barred(&browser, &page).await;
    }
    browser.quit().await;
}

async fn nobody_is_barred(browser: &Browser, page: &str) {
    for summary in browser.find_all(By::Tag("summary")).await.unwrap() {
        summary.click().await.unwrap();
    }
    for scheme in ["light", "dark"] {
        browser.likes(scheme).await;
        for width in WIDTHS {
            assert_eq!(browser.sticks_out(width).await, [""; 0], "{page} {width}");
            assert_eq!(browser.is_cut_off().await, [""; 0], "{page} {width}");
            let Some(barriers) = browser.barriers().await else {
                return;
            };
            assert!(
                barriers.is_empty(),
                "{page} {scheme} {width}: {barriers:#?}"
            );
        }
    }
}

/// More than a hundred texts that would do harm where a page takes them for more than texts.
fn hostile() -> Vec<String> {
    let mut texts = Vec::new();
    let before = [
        "",
        "\"",
        "'>",
        "\">",
        "</a>",
        "</title>",
        "</bdi></h1>",
        "-->",
        "</textarea></pre>",
        "`",
    ];
    let what = [
        "<script>trip()</script>",
        "<img src=x onerror=trip()>",
        "<svg/onload=trip()>",
        "<details open ontoggle=trip()>",
        "<iframe srcdoc='<script>parent.trip()</script>'>",
        "<style>*{display:none!important}</style>",
        "<meta http-equiv=refresh content='0;url=javascript:trip()'>",
        "<base href=https://evil.example/><form action=x>",
        "onfocus=trip() autofocus x=",
        "javascript:trip()",
    ];
    for before in before {
        for what in what {
            texts.push(format!("{before}{what}"));
        }
    }
    texts.extend([
        "{{trip()}}{%raw%}${trip()}".to_owned(),
        "&lt;script&gt;trip()&lt;/script&gt;&#60;".to_owned(),
        "\u{202e}txet desrever\u{202e}".to_owned(),
        "\u{2066}\u{2067}\u{202d}".to_owned(),
        format!("{}{}", "e\u{301}".repeat(60), "\u{489}".repeat(60)),
        "W".repeat(255),
        "\u{6f22}".repeat(255),
        "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}".repeat(40),
        "a\u{0}b\r\nc\td\u{7f}\u{85}\u{2028}".to_owned(),
        " ".repeat(200) + "x",
        "=HYPERLINK(\"https://evil.example\")".to_owned(),
        "../../admin/sign-out?x=%00#".to_owned(),
    ]);
    texts
}

/// Writes every text into every field that is shown: those that we take, and what only the provider could send.
fn fill(conn: &mut Conn, app: &kyc_tracker::app::App, texts: &[String]) -> QueryResult<User> {
    let (clock, now) = (&app.clock, app.clock.now());
    let mut last = None;
    for (number, text) in texts.iter().enumerate() {
        let new = NewUser {
            id: clock.id(),
            partner: ACME.id,
            user_id: &format!("{text}{number}"),
            external_user_id: text,
            country: text,
            redirect_uri: Some(text),
            status: Status::Pending,
            heard: false,
        };
        last = Some(transitions::register(conn, &new, now)?);
    }
    let user = last.unwrap();
    for text in texts {
        let act = Override {
            id: clock.id(),
            user_key: user.id.clone(),
            attempt: 1,
            admin: text.clone(),
            reason: text.clone(),
            from_status: Status::Pending,
            to_status: Status::Pending,
            at: now,
        };
        overrides::record(conn, &act)?;
        let body = |family: &str, whom: &str| json!({"type": family, "event": text, "externalUserId": whom, text: text});
        let bodies = [
            body("KYC", &user.external_user_id).to_string(),
            body(text, text).to_string(),
            format!("{text}{{\"type\":\"{text}"),
        ];
        for body in bodies {
            // Each is of its own, since what comes again is only counted.
            let signed = Signed {
                partner: ACME.id.to_owned(),
                signature: Sha256::digest(&body).into(),
                body: body.into_bytes(),
                secret: text.to_owned(),
            };
            ingest::delivery(conn, clock, app.config.webhooks, signed)?;
        }
    }
    Ok(user)
}

#[actix_web::test]
async fn no_text_of_anybodys_runs_a_script_or_breaks_a_page() {
    let Some(browser) = Browser::start(ENGLISH).await else {
        return;
    };
    let app = TestApp::new().await;
    let texts = hostile();
    assert!(texts.len() > 100);
    let (service, all) = (app.app.clone(), texts.clone());
    let user = app
        .db()
        .write(move |conn| fill(conn, &service, &all))
        .await
        .unwrap();
    app.truth.says(&user.user_id, &texts[0], "s1");
    app.look().await;
    browser.set_trap().await;
    sign_in(&browser, &app.url, ADMIN_KEY).await;
    let mut pages = vec![format!("/admin/users/{}", user.id)];
    for list in ["users", "deliveries"] {
        let mut next = Some(format!("/admin/{list}"));
        while let Some(page) = next {
            browser.goto(format!("{}{page}", app.url)).await.unwrap();
            for row in browser.find_all(By::Css("th a.id")).await.unwrap() {
                pages.push(row.attr("href").await.unwrap().unwrap());
            }
            let link = browser.find(By::Css("a[rel=next]")).await;
            next = match link {
                Ok(link) => link.attr("href").await.unwrap(),
                Err(_) => None,
            };
            unharmed(&browser, &page).await;
        }
    }
    assert!(pages.len() > 3 * texts.len(), "{}", pages.len());
    // Of so many pages that are made alike, every seventh: no two texts of one kind are seven apart.
    for page in pages.iter().step_by(7) {
        browser.goto(format!("{}{page}", app.url)).await.unwrap();
        unharmed(&browser, page).await;
    }
    for text in &texts {
        // A query may not be as long as three of the longest.
        let text: String = text.chars().take(100).collect();
        let fields = |names: [&str; 3]| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.extend_pairs(names.map(|name| (name, &text)));
            query.finish()
        };
        let page = format!("/admin/users?{}", fields(["q", "partner", "country"]));
        browser.goto(format!("{}{page}", app.url)).await.unwrap();
        unharmed(&browser, &page).await;
    }
    browser.quit().await;
}

/// Nothing of ours is gone or moved away, and nothing of anybody else's was tried.
async fn unharmed(browser: &Browser, page: &str) {
    assert_eq!(browser.caught().await, [""; 0], "{page}");
    assert_eq!(
        browser.find_all(By::Tag("h1")).await.unwrap().len(),
        1,
        "{page}"
    );
    let foreign = "return document.querySelectorAll('iframe, base, meta[http-equiv], object, embed, img, body style, body script, [onerror], [onload], [onfocus], [ontoggle]').length";
    let foreign = browser.execute(foreign, Vec::new()).await.unwrap();
    assert_eq!(foreign.convert::<u32>().unwrap(), 0, "{page}");
    assert!(browser.reads("Sign out").await, "{page}");
    for width in [390, 1280] {
        assert_eq!(browser.sticks_out(width).await, [""; 0], "{page} {width}");
    }
}

#[actix_web::test]
async fn a_page_of_another_origin_can_do_nothing_although_the_browser_is_signed_in() {
    let Some(browser) = Browser::start(ENGLISH).await else {
        return;
    };
    let app = TestApp::new().await;
    app.pending("u1").await;
    sign_in(&browser, &app.url, ADMIN_KEY).await;
    browser
        .goto(format!("{}/admin/users?q=u1", app.url))
        .await
        .unwrap();
    let user = browser
        .find(By::Css("a.id"))
        .await
        .unwrap()
        .attr("href")
        .await
        .unwrap()
        .unwrap();
    // Even if it knew what only our own pages know.
    browser.goto(format!("{}{user}", app.url)).await.unwrap();
    let known = async |name: &str| {
        let field = browser.find(By::Name(name)).await.unwrap();
        field.prop("value").await.unwrap().unwrap()
    };
    let (token, seen) = (known("token").await, known("seen").await);
    // A browser takes it for the same site, whatever the port, and sends the cookie along.
    let act = format!("{}{user}/override", app.url);
    let evil = MockServer::start().await;
    let page = format!(
        "<!doctype html><title>Evil</title><form method=post action='{act}'><input name=token value={token}><input name=seen value={seen}><input name=status value=verified><input name=reason value=x><button>Win a prize</button></form><script>window.sent = fetch('{act}', {{method: 'POST', mode: 'no-cors', credentials: 'include', headers: {{'content-type': 'application/x-www-form-urlencoded'}}, body: 'token={token}&seen={seen}&status=verified&reason=x'}}).then(() => 'sent', () => 'not sent')</script>"
    );
    let answer = ResponseTemplate::new(200).set_body_raw(page, "text/html; charset=utf-8");
    Mock::given(any()).respond_with(answer).mount(&evil).await;
    browser.goto(evil.uri()).await.unwrap();
    let sent = "window.sent.then(arguments[arguments.length - 1])";
    browser.execute_async(sent, Vec::new()).await.unwrap();
    browser.click_on("Win a prize").await;
    browser
        .until_heading("The request comes from another page")
        .await;
    assert_eq!(app.status("u1").await, "pending");
    // The session is as it was, so that it was not for want of one.
    browser.goto(format!("{}{user}", app.url)).await.unwrap();
    browser.until_heading("u1").await;
    browser.quit().await;
}
