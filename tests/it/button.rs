//! `GET /v1/kyc/users/{userId}/button`: the snippet for a partner's own page.

use reqwest::Method;
use reqwest::header::{ACCEPT, ACCEPT_LANGUAGE};

use crate::support::{ACME, Answer, OTHER, TestApp};

const BUTTON: &str = "/v1/kyc/users/u1/button";

async fn asked_with(app: &TestApp, header: (reqwest::header::HeaderName, &str)) -> Answer {
    let request = app
        .request(Method::GET, BUTTON)
        .header("partner-api-key", ACME.key);
    app.send(request.header(header.0, header.1)).await
}

#[actix_web::test]
async fn the_button_is_one_link_to_the_start_page_in_the_language_that_is_accepted() {
    let app = TestApp::new().await;
    let user = app.pending("u1").await;
    let url = user["startUrl"].as_str().unwrap();
    for (accepts, language, label) in [
        ("en-US", "en", "Verify your identity"),
        ("es-DO,es;q=0.9", "es", "Verifique su identidad"),
    ] {
        let answer = asked_with(&app, (ACCEPT_LANGUAGE, accepts)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("vary"), "Accept-Language");
        assert_eq!(answer.header("content-language"), language);
        let expected = format!(
            r#"<a class="kyc-tracker-button" href="{url}" lang="{language}" rel="noopener noreferrer">{label}</a>"#
        );
        assert_eq!(answer.text, expected);
    }
}

#[actix_web::test]
async fn the_button_is_there_for_the_own_user_and_for_who_takes_html() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    for (accepts, status) in [
        ("*/*", 200),
        ("text/*", 200),
        ("text/html,application/xhtml+xml;q=0.9", 200),
        ("application/json", 406),
        ("text/html;q=0", 406),
    ] {
        let answer = asked_with(&app, (ACCEPT, accepts)).await;
        assert_eq!(answer.status, status, "{accepts}");
        if status == 406 {
            assert_eq!(answer.problem().1, "not_acceptable");
        }
    }
    let refused = app.get(OTHER, BUTTON).await;
    assert_eq!(refused.problem(), (404, "user_not_found".to_owned()));
    let refused = app.get(ACME, &format!("{BUTTON}?size=2")).await;
    assert_eq!(refused.problem(), (400, "invalid_query".to_owned()));
    let refused = app.send(app.request(Method::GET, BUTTON)).await;
    assert_eq!(refused.problem(), (401, "unauthorized".to_owned()));
}

#[actix_web::test]
async fn a_decided_user_still_has_its_button() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    let before = app.get(ACME, BUTTON).await.text;
    app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!(app.get(ACME, BUTTON).await.text, before);
}
