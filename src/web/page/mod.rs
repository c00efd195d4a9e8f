//! Pages for people: plain HTML without scripts, in the reader's language, under a policy by which a browser loads nothing
//! and lets nobody frame it. Nobody's id or data stands on one.

mod language;

use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, VARY,
};
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

pub use language::Language;

/// The one style sheet. It stands within each page, so that a page is one answer.
const STYLE: &str = include_str!("style.css");

/// Lets that style sheet in and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// The beginning of a page, or of an answer in the place of one. What is a secret in an address goes to no other site.
pub fn begin(status: StatusCode) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((CONTENT_SECURITY_POLICY, POLICY.as_str()))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header((HeaderName::from_static("x-robots-tag"), "noindex"))
        .insert_header((VARY, "Accept-Language"));
    answer
}

/// The rest of it.
pub fn end(
    mut begun: HttpResponseBuilder,
    language: Language,
    page: &impl Template,
) -> HttpResponse {
    begun
        .content_type("text/html; charset=utf-8")
        .insert_header((CONTENT_LANGUAGE, language.tag()))
        // What is written to a text cannot fail.
        .body(page.render().unwrap_or_default())
}

/// How the news is, as the sign on a notice shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// It went well.
    Good,
    /// It did not.
    Bad,
    /// It takes time.
    Waiting,
    /// Something is in the way.
    Blocked,
}

/// A page that says one thing.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="{{ language.tag() }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>{{ STYLE|safe }}</style>
</head>
<body>
<main class="notice">
<svg class="sign {% match mood %}{% when Mood::Good %}good{% when Mood::Bad %}bad{% else %}quiet{% endmatch %}" viewBox="0 0 48 48" aria-hidden="true" focusable="false">
<circle cx="24" cy="24" r="22"/>
{% match mood %}{% when Mood::Good %}<path d="M14 25l7 7 13-15"/>{% when Mood::Bad %}<path d="M17 17l14 14M31 17L17 31"/>{% when Mood::Waiting %}<path d="M24 13v11l7 5"/>{% when Mood::Blocked %}<path d="M24 13v14M24 34v.5"/>{% endmatch %}
</svg>
<h1>{{ title }}</h1>
<p>{{ text }}</p>
{% if let Some(again) = again %}<p><a class="button" href="">{{ again }}</a></p>
{% endif %}</main>
</body>
</html>
"#
)]
pub struct Notice {
    /// In which everything else is written.
    pub language: Language,
    /// The sign.
    pub mood: Mood,
    /// What it says.
    pub title: &'static str,
    /// What to do.
    pub text: &'static str,
    /// What the link says that opens the same address again, where there is sense in that.
    pub again: Option<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_lets_in_the_style_sheet_as_it_stands_on_a_page_and_there_is_nothing_else_to_let_in()
     {
        for language in [Language::English, Language::Spanish] {
            let page = Notice {
                language,
                mood: Mood::Good,
                title: "<Title> & \"more\"",
                text: "Text",
                again: Some("Again"),
            };
            let html = page.render().unwrap();
            let style = html.split("<style>").nth(1).unwrap();
            let style = style.split("</style>").next().unwrap();
            let hash = BASE64_STANDARD.encode(Sha256::digest(style));
            assert!(POLICY.contains(&format!("style-src 'sha256-{hash}';")));
            assert!(
                html.contains("<h1>&#60;Title&#62; &#38; &#34;more&#34;</h1>"),
                "{html}"
            );
            for stranger in [
                "<script", "style=", "<link", "src=", "url(", "@import", "http",
            ] {
                assert!(!html.contains(stranger), "{stranger}");
            }
        }
    }
}
