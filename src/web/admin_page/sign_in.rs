//! `GET /admin/sign-in`, `POST /admin/session`: an admin's key begins a session. The key itself is kept nowhere.

use actix_web::http::StatusCode;
use actix_web::http::header::SET_COOKIE;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde::Deserialize;
use url::{Url, form_urlencoded};

use super::visitor::{OwnForm, cookie_name, is_secure, token};
use super::{PATH, assets, go_on, is_inside, show};
use crate::app::App;
use crate::error::{Code, Error};
use crate::web::extract::Query;
use crate::web::page::Language;

/// Where the form is.
const ADDRESS: &str = "/admin/sign-in";

/// What is longer is not worth to come back to: an address may not be so long.
const LONGEST: usize = 2000;

/// The address of the form that leads back to what is asked for.
pub fn address(request: &HttpRequest) -> String {
    let wanted = request.uri().path_and_query();
    let wanted = wanted.map_or(PATH, |wanted| wanted.as_str());
    // A file is no page to come back to, but the list is that it was made of.
    address_to(&wanted.replacen("/admin/users.csv", "/admin/users", 1))
}

/// The address of the form that leads on to that part of the page.
pub fn address_to(wanted: &str) -> String {
    let to = pair("to", wanted);
    if wanted == PATH || to.len() > LONGEST {
        return ADDRESS.to_owned();
    }
    format!("{ADDRESS}?{to}")
}

fn pair(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair(name, value)
        .finish()
}

/// What the form is opened with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Where to go on.
    to: Option<String>,
    /// That something was not as it should be.
    said: Option<String>,
}

#[derive(Template)]
#[template(config = "src/web/admin_page/askama.toml", path = "sign_in.html")]
struct Page {
    language: Language,
    to: String,
    wrong: bool,
}

/// The form.
pub async fn form(http: HttpRequest, query: Query<Parameters>) -> HttpResponse {
    let language = Language::of(&http);
    let page = Page {
        language,
        to: safe(query.0.to.as_deref()).to_owned(),
        wrong: query.0.said.is_some(),
    };
    show(StatusCode::OK, language, &page)
}

/// Begins a session for the admin whose key it is.
pub async fn sign_in(
    http: HttpRequest,
    app: web::Data<App>,
    OwnForm(form): OwnForm,
) -> Result<HttpResponse, Error> {
    let to = safe(form.field("to"));
    let now = app.clock.steady();
    // People copy a key with what stands around it.
    let key = form.field("key").map(str::trim).unwrap_or_default();
    let Some((admin, standing)) = app.admin_keys.request(key, now) else {
        app.metrics.error(Code::Unauthorized);
        let again = format!("{ADDRESS}?said=wrong&{}", pair("to", to));
        return Ok(go_on(&again));
    };
    if let Some(wait) = standing.wait {
        return Err(Error::rate_limited(wait));
    }
    let random = |_| Error::new(Code::InternalError, "The system gives no random bytes.");
    // Whoever signs in anew has no use for the session before.
    if let Some(token) = token(&http, &app) {
        app.sessions.end(&token);
    }
    let token = app.sessions.begin(admin, now).map_err(random)?;
    log::info!(admin = app.config.admins[admin].name; "An admin signed in.");
    let mut answer = go_on(to);
    keep(&app, &mut answer, &token);
    Ok(answer)
}

/// Has the browser keep the session, or nothing any more where the token is empty.
pub fn keep(app: &App, answer: &mut HttpResponse, token: &str) {
    let name = cookie_name(app);
    let secure = if is_secure(app) { "; Secure" } else { "" };
    let ends = if token.is_empty() { "; Max-Age=0" } else { "" };
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict{secure}{ends}");
    if let Ok(cookie) = cookie.parse() {
        answer.headers_mut().insert(SET_COOKIE, cookie);
    }
}

/// Nobody is sent anywhere but to a part of the page.
fn safe(to: Option<&str>) -> &str {
    let inside = |to: &&str| {
        let plain = to
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        // As a browser understands it: it goes up where a part of the path is two dots, in whatever writing.
        let here = Url::parse("http://here/");
        let there = here.and_then(|here| here.join(to));
        plain && to.starts_with(PATH) && there.is_ok_and(|there| is_inside(there.path()))
    };
    to.filter(inside).unwrap_or(PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_away() {
        for inside in ["/admin", "/admin/users?q=a%20b", "/admin?x=1"] {
            assert_eq!(safe(Some(inside)), inside);
        }
        for outside in [
            "",
            "/",
            "/adminx",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/admin",
            "/admin\\..",
            "/admin/../start/token",
            "/admin/%2e%2E/start/token",
            "/admin/./../x",
            "/admin\r\nset-cookie: a=b",
            "/admin/\u{e9}",
            "javascript:alert(1)",
        ] {
            assert_eq!(safe(Some(outside)), PATH, "{outside}");
        }
        assert_eq!(safe(None), PATH);
    }
}
