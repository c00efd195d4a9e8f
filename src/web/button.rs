//! `GET /v1/kyc/users/{userId}/button`: what a partner puts into its own page.

use actix_web::http::StatusCode;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use super::extract::{NoParameters, Query, Showing};
use super::page::{self, Language};
use super::users::find;
use crate::error::Error;

/// A link and no more: it has no style of its own, so that any page can show it under any policy, as its own style sheet says.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<a class="kyc-tracker-button" href="{{ url }}" lang="{{ language.tag() }}" rel="noopener noreferrer">{{ label }}</a>"#
)]
struct Button {
    url: String,
    language: Language,
    label: &'static str,
}

/// The button that leads one of the caller's users to its start page, in the language that the caller accepts.
pub async fn of_user(
    http: HttpRequest,
    Showing(caller): Showing,
    _: Query<NoParameters>,
    user_id: Path<String>,
) -> Result<HttpResponse, Error> {
    let user = find(&caller, &user_id).await?;
    let language = Language::of(&http);
    let button = Button {
        url: caller.start_pages.url(&user),
        language,
        label: language.choose("Verify your identity", "Verifique su identidad"),
    };
    Ok(page::end(page::begin(StatusCode::OK), language, &button))
}
