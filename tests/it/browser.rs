//! The way of a user in a real browser: from the button on a partner's page over our start page to the provider's page, and
//! back to the button when all is decided.

use reqwest::Method;
use serde_json::Value;
use thirtyfour::By;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::browser::{Browser, Reader};
use crate::support::demo::Demo;

const USER: &str = "customer-42";

/// Registers a user, and serves a page of the partner with the button in it.
async fn partners_page(demo: &Demo, languages: &str) -> MockServer {
    demo.register(USER).await;
    let path = format!("/v1/kyc/users/{USER}/button");
    let button = demo.call(Method::GET, &path, Value::Null, languages).await;
    let page = format!(
        "<!doctype html><title>Partner</title><p>{button}</p><noscript>No scripts</noscript>"
    );
    let partner = MockServer::start().await;
    // As strict as a page can be.
    let answer = ResponseTemplate::new(200)
        .insert_header("content-security-policy", "default-src 'none'")
        .set_body_raw(page, "text/html; charset=utf-8");
    Mock::given(any())
        .respond_with(answer)
        .mount(&partner)
        .await;
    partner
}

/// The user's whole way, which ends on a page with this heading.
async fn walk(reader: Reader, button: &str, (choice, status): (&str, &str), heading: &str) {
    let Some(browser) = Browser::start(reader).await else {
        return;
    };
    let mut demo = Demo::start().await;
    let partner = partners_page(&demo, reader.languages).await;
    browser.goto(partner.uri()).await.unwrap();
    assert_eq!(browser.reads("No scripts").await, !reader.scripts);
    browser.click_on(button).await;
    assert_eq!(browser.heading().await, "Sandbox verification");
    browser.click_on(choice).await;
    demo.until_the_user_is(USER, status).await;
    browser.goto(partner.uri()).await.unwrap();
    browser.click_on(button).await;
    assert_eq!(browser.heading().await, heading);
    let language = browser
        .find(By::Tag("html"))
        .await
        .unwrap()
        .attr("lang")
        .await;
    assert!(reader.languages.starts_with(&language.unwrap().unwrap()));
    // The policy lets the style sheet in.
    let notice = browser.find(By::Css(".notice")).await.unwrap();
    assert_eq!(notice.css_value("max-width").await.unwrap(), "480px");
    for width in [320, 360, 1280] {
        assert_eq!(browser.sticks_out(width).await, [""; 0], "{width}");
    }
    browser.quit().await;
}

#[actix_web::test]
async fn the_button_leads_to_the_provider_and_afterwards_to_how_it_ended() {
    walk_in_english(true).await;
}

#[actix_web::test]
async fn the_same_in_spanish() {
    let reader = Reader {
        languages: "es-MX,es,en",
        scripts: true,
    };
    let (button, heading) = ("Verifique su identidad", "Su verificación no fue aceptada");
    walk(reader, button, ("Reject", "rejected"), heading).await;
}

#[actix_web::test]
async fn the_same_without_scripts() {
    walk_in_english(false).await;
}

async fn walk_in_english(scripts: bool) {
    let reader = Reader {
        languages: "en-US,en",
        scripts,
    };
    let (button, heading) = ("Verify your identity", "Your identity is verified");
    walk(reader, button, ("Verify", "verified"), heading).await;
}
