//! What the admin page shows, and what its buttons do.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use reqwest::Method;
use sha2::{Digest, Sha256};
use wiremock::matchers::any;
use wiremock::{Mock, ResponseTemplate};

use crate::support::visit::{Visit, plain};
use crate::support::wire::Wire;
use crate::support::{ACME, LINK, OTHER, TestApp};

/// What an open page is told when it is not up to date any more.
const CHANGED: &str = "event: changed\ndata: 1\n\n";

/// So many hours.
pub fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

/// The provider answers nothing any more.
async fn capa_fails(app: &TestApp) {
    app.capa.reset().await;
    let failing = Mock::given(any()).respond_with(ResponseTemplate::new(500));
    failing.mount(&app.capa).await;
}

#[actix_web::test]
async fn a_user_is_shown_with_all_that_happened_and_without_a_link() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    for _ in 0..3 {
        app.deliver("CREATED_KYC", "u1").await;
    }
    app.truth.says("u1", "VERIFIED", "s1");
    app.deliver("VERIFIED_USER", "u1").await;
    app.look().await;
    let visit = Visit::of(&app).await;
    let path = visit.path_of("u1").await;
    let page = visit.read(&path).await;
    let said = plain(&page);
    for part in [
        "Verified",
        "Last look at the provider",
        "“VERIFIED”",
        "Submitted → Verified",
        "Webhook VERIFIED_USER",
        "Pending → Submitted",
        "It came again 3 times, the last on 2026-11-23 19:20:00 UTC.",
        "The provider made the last link",
        "Attempt 1 began: Pending",
        "In attempt 1 the user is verified since 2026-11-23T19:20:00.123Z, because a signed webhook said so.",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for secret in [LINK, "provider.example", "/start/", ACME.key, ACME.secret] {
        assert!(!page.contains(secret), "{secret}");
    }
    let missing = visit
        .get("/admin/users/01900000-0000-7000-8000-000000000000")
        .await;
    assert_eq!(missing.status, 404);
    assert!(
        plain(&missing.text).contains("There is no such user"),
        "{missing:?}"
    );
}

#[actix_web::test]
async fn an_override_asks_for_a_reason_and_keeps_it_with_the_name() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let path = visit.path_of("u1").await;
    let act = format!("{path}/override");
    let long = "x".repeat(501);
    for fields in [
        &[][..],
        &[("status", "verified")],
        &[("status", "verified"), ("reason", "  ")],
        &[("status", "verified"), ("reason", &long)],
        &[("status", "verified"), ("reason", "a\nb")],
        &[("status", "nothing"), ("reason", "x")],
        &[("reason", "x")],
    ] {
        let answer = visit.act(&act, fields).await;
        assert_eq!(answer.header("location"), format!("{path}?said=reason"));
    }
    assert_eq!(app.status("u1").await, "pending");
    let late = [("seen", "1.1"), ("status", "verified"), ("reason", "x")];
    let answer = visit.act(&act, &late).await;
    assert_eq!(answer.header("location"), format!("{path}?said=moved"));
    assert_eq!(app.status("u1").await, "pending");
    let seen = visit.seen(&path).await;
    let fields = [
        ("seen", &*seen),
        ("status", "rejected"),
        ("reason", "Seen <b>the</b> papers."),
    ];
    let answer = visit.act(&act, &fields).await;
    let page = visit.read(answer.header("location")).await;
    assert!(plain(&page).contains("The status was set by hand."));
    assert!(plain(&page).contains("ops set the status by hand: Pending → Rejected"));
    assert!(
        page.contains("“Seen &#60;b&#62;the&#60;/b&#62; papers.”"),
        "{page}"
    );
    assert_eq!(app.status("u1").await, "rejected");
}

#[actix_web::test]
async fn to_confirm_asks_the_provider_and_says_when_it_cannot_be_asked() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "VERIFIED", "s1");
    let visit = Visit::of(&app).await;
    let path = visit.path_of("u1").await;
    let answer = visit.act(&format!("{path}/confirm"), &[]).await;
    assert_eq!(answer.header("location"), format!("{path}?said=confirmed"));
    assert_eq!(app.status("u1").await, "verified");
    let said = plain(&visit.read(&path).await);
    assert!(
        said.contains("ops asked for a look at the provider"),
        "{said}"
    );
    app.clock.advance(Duration::from_secs(60));
    capa_fails(&app).await;
    let answer = visit.act(&format!("{path}/confirm"), &[]).await;
    let page = visit.read(answer.header("location")).await;
    assert!(page.contains("role=\"alert\""), "{answer:?}");
    let none = "/admin/users/01900000-0000-7000-8000-000000000000/confirm";
    assert_eq!(visit.act(none, &[]).await.status, 404);
}

/// The paths of all deliveries that the page lists so.
async fn deliveries(visit: &Visit<'_>, query: &str) -> Vec<String> {
    let page = visit.read(&format!("/admin/deliveries{query}")).await;
    let rows = page
        .split("<a class=\"id\" href=\"/admin/deliveries/")
        .skip(1);
    rows.map(|row| format!("/admin/deliveries/{}", row.split('"').next().unwrap()))
        .collect()
}

#[actix_web::test]
async fn deliveries_are_found_by_outcome_and_say_what_they_would_do() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("REJECTED_KYC", "u1").await;
    app.deliver("VERIFIED_USER", "nobody").await;
    app.deliver_to(OTHER, "NEWS", "u1").await;
    let visit = Visit::of(&app).await;
    assert_eq!(deliveries(&visit, "").await.len(), 3);
    assert_eq!(
        deliveries(&visit, "?partner=other&outcome=&age=")
            .await
            .len(),
        1
    );
    app.clock.advance(hours(2));
    let visit = Visit::of(&app).await;
    assert_eq!(deliveries(&visit, "?age=1h").await.len(), 0);
    for (outcome, would) in [
        (
            "applied",
            "It would count as repeated for user u1, whose status would stay Rejected.",
        ),
        (
            "unmatched",
            "Nothing: the partner has no user with this externalUserId.",
        ),
        ("ignored", "Nothing: its event is unknown."),
    ] {
        let found = deliveries(&visit, &format!("?age=24h&outcome={outcome}")).await;
        let said = plain(&visit.read(&found[0]).await);
        assert!(said.contains(would), "{said}");
    }
    assert_eq!(visit.get("/admin/deliveries/none").await.status, 404);
    assert_eq!(visit.get("/admin/deliveries?outcome=x").await.status, 400);
}

#[actix_web::test]
async fn a_delivery_is_folded_again_as_the_rule_has_it() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    app.deliver("REJECTED_KYC", "u1").await;
    assert_eq!(app.status("u1").await, "in_review");
    app.truth.says("u1", "VERIFIED", "s1");
    app.pass(hours(1)).await;
    assert_eq!(app.status("u1").await, "verified");
    let visit = Visit::of(&app).await;
    let held = deliveries(&visit, "?outcome=held").await.remove(0);
    let said = plain(&visit.read(&held).await);
    assert!(said.contains("It would count as held and move user u1 from Verified to In review. A look at the provider would follow."), "{said}");
    let act = format!("{held}/refold");
    for late in [&[][..], &[("seen", "repeated.verified.verified")]] {
        let answer = visit.act(&act, late).await;
        assert_eq!(answer.header("location"), format!("{held}?said=moved"));
    }
    assert_eq!(app.status("u1").await, "verified");
    let seen = visit.seen(&held).await;
    let answer = visit.act(&act, &[("seen", &seen)]).await;
    assert_eq!(answer.header("location"), format!("{held}?said=refolded"));
    assert_eq!(app.status("u1").await, "in_review");
    let path = visit.path_of("u1").await;
    let said = plain(&visit.read(&path).await);
    assert!(
        said.contains("ops had a delivery processed again"),
        "{said}"
    );
    let none = "/admin/deliveries/none/refold";
    assert_eq!(visit.act(none, &[]).await.status, 404);
}

#[actix_web::test]
async fn of_a_body_only_what_the_rule_reads_is_shown() {
    let app = TestApp::new().await;
    let bodies = [
        r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"u1","firstName":"Ana","n":[471147]}"#,
        r#"{"type":"TRANSACTION","event":"ONRAMP","userInformation":{"firstName":"Ana"}}"#,
        r#"{"type":"TRANSACTION","userInformation":{"firstName":"Ana","idNumber":471147"#,
    ];
    for body in bodies {
        app.deliver_raw(ACME.id, body, &[&sign(ACME.secret, body.as_bytes())])
            .await;
    }
    let visit = Visit::of(&app).await;
    let found = deliveries(&visit, "").await;
    let mut pages = Vec::new();
    for path in &found {
        let page = visit.read(path).await;
        assert!(!page.contains("Ana") && !page.contains("471147"), "{page}");
        pages.push(page);
    }
    assert!(
        pages[2].contains("&#34;event&#34;:&#34;VERIFIED_USER&#34;"),
        "{}",
        pages[2]
    );
    assert!(pages[1].contains("It was not kept"));
    assert!(pages[2].contains("&#34;firstName&#34;:"));
    let unread = hex::encode(Sha256::digest(bodies[2]));
    assert!(
        pages[0].contains("it cannot be read") && pages[0].contains(&unread),
        "{}",
        pages[0]
    );
    let secret = hex::encode(Sha256::digest(ACME.secret));
    assert!(pages.iter().all(|page| page.contains(&secret[..8])));
}

#[actix_web::test]
async fn the_overview_counts_what_is_there() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3", "u4"] {
        app.pending(user).await;
    }
    app.deliver("CREATED_KYC", "u1").await;
    app.clock.advance(hours(1));
    app.deliver("VERIFIED_USER", "u1").await;
    app.deliver("REJECTED_KYC", "u2").await;
    app.deliver("VERIFIED_USER", "nobody").await;
    app.deliver_raw("acme", "{}", &["0"]).await;
    app.clock.advance(hours(1));
    let visit = Visit::of(&app).await;
    let said = plain(&visit.overview().await);
    for part in [
        "2 Pending",
        "1 Verified",
        "1 Rejected",
        "Signature failures Webhooks refused since the start of the service; nothing else is kept of them 1",
        "Unmatched Deliveries that wait for their user to be registered 1",
        "Attempts begun 4",
        "Submitted 2 50 %",
        "Decided 2 50 %",
        "median 1 h",
        "Decisions counted, without those by hand: 2.",
        "2026-11-23 1 1",
        "Applied 2 3",
        "acme No failures lately 2026-11-23 20:20:00 UTC 1 h ago",
        "other No failures lately none yet",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[actix_web::test]
async fn the_page_speaks_spanish_to_who_likes_that() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("CREATED_KYC", "u1").await;
    let visit = Visit::of(&app).await;
    let user = visit.path_of("u1").await;
    let delivery = deliveries(&visit, "").await.remove(0);
    visit.overview().await;
    let spanish = [("accept-language", "es-MX,es;q=0.9,en;q=0.5")];
    for (path, said) in [
        ("/admin/sign-in", "Clave de administrador"),
        ("/admin", "Requiere atención"),
        ("/admin/users", "Comienzo de un id"),
        (&user, "En el intento 1"),
        ("/admin/deliveries", "Resultado"),
        (&delivery, "Qué haría"),
        ("/admin/nothing", "Aquí no hay nada"),
    ] {
        let answer = visit.get_with(path, &spanish).await;
        assert!(answer.text.contains("<html lang=\"es\">"), "{path}");
        let text = plain(&answer.text);
        assert!(text.contains(said), "{path}: {text}");
        for english in [" the ", " Sign ", " of ", " Users ", " Status ", " ago "] {
            assert!(!text.contains(english), "{path} says {english}: {text}");
        }
    }
}

#[actix_web::test]
async fn an_open_page_is_told_when_it_has_changed_and_not_when_its_session_is_over() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let key = visit
        .path_of("u1")
        .await
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    let mut wire = Wire::to(&app.url).await;
    let cookie = visit.cookie.borrow().clone();
    let ask = format!("GET /admin/live?user={key} HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n");
    wire.say(&ask).await;
    wire.until(CHANGED).await;
    app.listened_for(1).await;
    app.deliver("CREATED_KYC", "u1").await;
    wire.until(CHANGED).await;
    visit.act("/admin/sign-out", &[]).await;
    app.deliver("VERIFIED_USER", "u1").await;
    let heard = wire.until("0\r\n\r\n").await;
    assert!(!heard.contains("changed"), "{heard}");
    app.listened_for(0).await;
}

#[actix_web::test]
async fn the_overview_is_told_of_a_change_once_it_is_counted() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    visit.overview().await;
    let mut wire = Wire::to(&app.url).await;
    let cookie = visit.cookie.borrow().clone();
    wire.say(&format!(
        "GET /admin/live HTTP/1.1\r\nhost: x\r\ncookie: {cookie}\r\n\r\n"
    ))
    .await;
    wire.until(CHANGED).await;
    app.listened_for(2).await;
    app.clock.advance(Duration::from_secs(60));
    app.deliver("VERIFIED_USER", "u1").await;
    wire.until(CHANGED).await;
    assert!(plain(&visit.overview().await).contains("1 Verified"));
}

#[actix_web::test]
async fn whom_the_provider_fails_is_said_on_the_overview() {
    let app = TestApp::new().await;
    for user in ["u1", "u2", "u3", "u4", "u5"] {
        app.pending(user).await;
    }
    capa_fails(&app).await;
    app.clock.advance(Duration::from_secs(90));
    app.look().await;
    let said = plain(&Visit::of(&app).await.overview().await);
    assert!(
        said.contains("acme Failed lately; asked again in"),
        "{said}"
    );
    let never = TestApp::with(&[("KYC__WEBHOOKS__CONFIRM", "never")]).await;
    let said = plain(&Visit::of(&never).await.overview().await);
    assert!(said.contains("acme Is never asked"), "{said}");
    never.pending("u1").await;
    let visit = Visit::of(&never).await;
    let said = plain(&visit.read(&visit.path_of("u1").await).await);
    assert!(said.contains("The provider cannot be asked") && !said.contains("Confirm now"));
}

#[actix_web::test]
async fn what_a_browser_may_keep_has_an_address_that_changes_with_it() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let page = visit.read("/admin").await;
    for name in ["style.css", "live.js"] {
        let begin = format!("\"/admin/assets/{name}?");
        let hash = page
            .split(&begin)
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(hash.len(), 16);
        let request = app.request(Method::GET, &format!("/admin/assets/{name}?{hash}"));
        let answer = app.send(request).await;
        let kept = "public, max-age=31536000, immutable";
        assert_eq!(
            (answer.status.as_u16(), answer.header("cache-control")),
            (200, kept)
        );
    }
    let inline = ["<script>", "style=\"", " onclick", "javascript:"];
    assert!(inline.iter().all(|part| !page.contains(part)));
}

#[actix_web::test]
async fn what_came_long_before_it_moved_anybody_stands_at_both_times() {
    let app = TestApp::new().await;
    app.deliver("CREATED_KYC", "u1").await;
    app.clock.advance(hours(2));
    app.pending("u1").await;
    let visit = Visit::of(&app).await;
    let said = plain(&visit.read(&visit.path_of("u1").await).await);
    let (came, moved) = (
        "Webhook CREATED_KYC: Applied 2026-11-23 19:20:00",
        "Pending → Submitted 2026-11-23 21:20:00",
    );
    assert!(said.contains(came) && said.contains(moved), "{said}");
}

#[actix_web::test]
async fn an_override_stands_once_and_an_import_is_called_one() {
    let app = TestApp::new().await;
    let import = app
        .command_reads(
            &["import", "--partner", "acme", "-"],
            "userId,country,status\nu1,DO,verified\n",
        )
        .await;
    assert!(import.status.success(), "{import:?}");
    let visit = Visit::of(&app).await;
    let path = visit.path_of("u1").await;
    let seen = visit.seen(&path).await;
    let fields = [("seen", &*seen), ("status", "rejected"), ("reason", "x")];
    let answer = visit.act(&format!("{path}/override"), &fields).await;
    let said = plain(&visit.read(answer.header("location")).await);
    assert_eq!(said.matches("Verified → Rejected").count(), 1, "{said}");
    assert!(
        said.contains("Attempt 1 began: Verified") && said.contains("Import"),
        "{said}"
    );
}

#[actix_web::test]
async fn only_so_many_pages_are_kept_up_to_date_at_once() {
    let app = TestApp::new().await;
    let visit = Visit::of(&app).await;
    let cookie = visit.cookie.borrow().clone();
    let open = async || {
        let stream = app.request(Method::GET, "/admin/live");
        stream.header("cookie", &cookie).send().await.unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == 200));
    let one_more = open().await;
    assert_eq!(one_more.status(), 429);
    assert_eq!(one_more.headers()["retry-after"], "1");
    // The page itself is there all the same, and the next one gets the place of who leaves.
    visit.read("/admin/users").await;
    drop(streams);
    app.listened_for(0).await;
    assert_eq!(open().await.status(), 200);
}
