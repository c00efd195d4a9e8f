//! `GET /admin`: the page on which an admin sees, searches, understands and settles.
//!
//! It is made here, whole: a page is one answer and needs no script. What there is of script keeps an open page up to date.
//! Nothing on it comes from elsewhere, and the policy lets nothing else in. It shows no link: whoever has one can act as the
//! user.

pub mod assets;
mod charts;
pub mod confirm;
pub mod deliveries;
pub mod delivery;
mod fault;
mod filters;
pub mod live;
mod mask;
pub mod overrule;
pub mod overview;
pub mod refold;
mod sheet;
pub mod sign_in;
pub mod sign_out;
mod timeline;
mod times;
pub mod user;
pub mod users;
mod visitor;
mod words;

use actix_web::dev::ServiceResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, VARY,
};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use super::extract;
use super::page::Language;
use visitor::Visitor;

pub use fault::show as show_fault;

/// Where it is.
pub const PATH: &str = "/admin";

/// Whether what is asked for is the page or a part of it, be there such a part or not. Every request is asked this, so that it
/// goes by the path alone.
pub fn is_asked_for(request: &HttpRequest) -> bool {
    let path = request.path();
    if !path.contains('%') {
        return is_inside(path);
    }
    // It can be written in more than one way.
    let read = form_urlencoded::parse(path.as_bytes()).next();
    read.is_some_and(|(path, _)| is_inside(&path))
}

/// Whether the path is that of the page or below it.
fn is_inside(path: &str) -> bool {
    let below = path.strip_prefix(PATH);
    below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// `GET /admin/`: people write it so.
pub async fn with_slash() -> HttpResponse {
    go_on(PATH)
}

/// Nothing but what we serve, no script but our file, and no text that becomes one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; trusted-types 'none'";
/// All that a page may be allowed and this one needs not.
const PERMISSIONS: &str = "accelerometer=(), autoplay=(), camera=(), clipboard-read=(), display-capture=(), encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), picture-in-picture=(), publickey-credentials-get=(), screen-wake-lock=(), serial=(), usb=(), xr-spatial-tracking=()";

/// Puts on an answer of the page what makes a browser careful with it; leaves any other as it is.
///
/// The referrer policy is `same-origin` and not `no-referrer`, with which a browser calls the origin of our own forms `null`.
pub fn harden<B>(response: &mut ServiceResponse<B>) {
    let request = response.request();
    if !is_asked_for(request) {
        return;
    }
    let secure = extract::app(request).is_ok_and(|app| visitor::is_secure(&app));
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(CONTENT_SECURITY_POLICY, POLICY);
    set(REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("x-frame-options"), "DENY");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(HeaderName::from_static("permissions-policy"), PERMISSIONS);
    set(HeaderName::from_static("x-robots-tag"), "noindex");
    if secure {
        set(
            STRICT_TRANSPORT_SECURITY,
            "max-age=63072000; includeSubDomains",
        );
    }
}

/// What stands around the content of each page of somebody who is signed in.
struct Frame {
    language: Language,
    /// Who is signed in, by the name in the configuration.
    admin: String,
    form_token: String,
    /// Which of the parts it is.
    part: Part,
    /// Where the stream is that says when the page has changed.
    live: Option<String>,
    /// What an act has come to.
    said: Option<words::Said>,
}

/// What the page of a user or of a delivery is opened with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct After {
    /// The word for what an act has come to.
    said: Option<String>,
}

impl After {
    fn said(&self, language: Language) -> Option<words::Said> {
        words::said(language, self.said.as_deref()?)
    }
}

/// The parts that the page has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Overview,
    Users,
    Deliveries,
}

impl Frame {
    fn new(visitor: &Visitor, part: Part) -> Frame {
        Frame {
            language: visitor.language,
            admin: visitor.name().to_owned(),
            form_token: visitor.form_token().to_owned(),
            part,
            live: None,
            said: None,
        }
    }
}

/// The answer that shows this.
fn show(status: StatusCode, language: Language, page: &impl Template) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_LANGUAGE, language.tag()))
        .insert_header((VARY, "Accept-Language"))
        // What is written to a text cannot fail.
        .body(page.render().unwrap_or_default())
}

/// The answer to an act: go on to that page, by asking for it anew, so that to load it again does nothing again.
fn go_on(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

/// The same with the word for what the act has come to.
fn go_on_saying(to: &str, said: &str) -> HttpResponse {
    go_on(&filters::address(to, &[("said", Some(said))]))
}
