//! What went wrong, told to a person.

use actix_web::HttpRequest;
use actix_web::http::Method;
use askama::Template;

use super::{PATH, assets, sign_in, words};
use crate::error::{Code, Error};
use crate::web::page::Language;

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "fault.html")]
struct Page<'a> {
    language: Language,
    title: &'static str,
    code: &'static str,
    /// Whether it was more than a look.
    acted: bool,
    request_id: &'a str,
    to: String,
    label: &'static str,
}

/// The body of an error below `/admin`, with the id of the request it answers. What a caller or the provider sent is not in it.
pub fn show(request: &HttpRequest, error: &Error, request_id: &str) -> String {
    let language = Language::of(request);
    let (to, label) = match error.code() {
        Code::Unauthorized => {
            // Back to where the form was that came too late: an act is one step below it.
            let page = request
                .path()
                .rsplit_once('/')
                .map_or(PATH, |(page, _)| page);
            let sign_in = language.choose("Sign in", "Iniciar sesión");
            (sign_in::address_to(page), sign_in)
        }
        _ => {
            let overview = language.choose("Go to the overview", "Ir al resumen");
            (PATH.to_owned(), overview)
        }
    };
    let page = Page {
        language,
        title: words::title(language, error.code()),
        code: error.code().as_str(),
        acted: request.method() == Method::POST,
        request_id,
        to,
        label,
    };
    // What is written to a text cannot fail.
    page.render().unwrap_or_default()
}
