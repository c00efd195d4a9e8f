//! What went wrong, told to a person.

use actix_web::HttpRequest;
use askama::Template;

use super::{PATH, assets, words};
use crate::error::{Code, Error};
use crate::web::page::Language;

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "fault.html")]
struct Page<'a> {
    language: Language,
    title: &'static str,
    code: &'static str,
    request_id: &'a str,
    to: &'static str,
    label: &'static str,
}

/// The body of an error below `/admin`, with the id of the request it answers. What a caller or the provider sent is not in it.
pub fn show(request: &HttpRequest, error: &Error, request_id: &str) -> String {
    let language = Language::of(request);
    let (to, label) = match error.code() {
        Code::Unauthorized => (
            "/admin/sign-in",
            language.choose("Sign in", "Iniciar sesión"),
        ),
        _ => (PATH, language.choose("Go to the overview", "Ir al resumen")),
    };
    let page = Page {
        language,
        title: words::title(language, error.code()),
        code: error.code().as_str(),
        request_id,
        to,
        label,
    };
    // What is written to a text cannot fail.
    page.render().unwrap_or_default()
}
