//! Who looks at the page. Without a session there is no [`Visitor`], and without a form of that session's own page no [`Act`].

use std::fmt;
use std::ops::Deref;

use actix_web::body::BoxBody;
use actix_web::dev::Payload;
use actix_web::http::header::{
    CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderName, LOCATION, ORIGIN, REFRESH,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpRequest, HttpResponse, ResponseError, web};
use futures_util::future::{LocalBoxFuture, Ready, ready};

use super::{live, sign_in};
use crate::app::App;
use crate::error::{Code, Error};
use crate::sessions::Session;
use crate::web::extract::{app, only, read};
use crate::web::page::Language;

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Says that nobody did this, but the page did by itself.
const LIVE: HeaderName = HeaderName::from_static("x-live");

/// The app, in the hands of an admin who is signed in.
pub struct Visitor {
    app: web::Data<App>,
    session: Session,
    /// What the browser shows of the session.
    pub token: String,
    /// In which to speak.
    pub language: Language,
}

impl Visitor {
    /// Who it is, by the name in the configuration.
    pub fn name(&self) -> &str {
        &self.app.config.admins[self.session.admin].name
    }

    /// What each form of the session's pages has in it.
    pub fn form_token(&self) -> &str {
        &self.session.form_token
    }

    /// The app, for what goes on when the request is over.
    pub fn app(&self) -> web::Data<App> {
        self.app.clone()
    }
}

impl Deref for Visitor {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl FromRequest for Visitor {
    type Error = Barred;
    type Future = Ready<Result<Self, Barred>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(visitor(request))
    }
}

fn visitor(request: &HttpRequest) -> Result<Visitor, Barred> {
    let app = app(request)?;
    let token = token(request, &app).unwrap_or_default();
    let now = app.clock.steady();
    let by_itself = request.headers().contains_key(LIVE)
        || request.match_pattern().as_deref() == Some(live::ALL);
    let session = match by_itself {
        true => app.sessions.seen(&token, now),
        false => app.sessions.used(&token, now),
    };
    match session {
        Some(session) => Ok(Visitor {
            session,
            token,
            language: Language::of(request),
            app,
        }),
        None if by_itself || request.method() == Method::POST => {
            let detail = "Your session is over. Sign in again.";
            Err(Error::new(Code::Unauthorized, detail).into())
        }
        None if comes_from_elsewhere(request) => Err(Barred::Again),
        None => Err(Barred::SignIn(sign_in::address(request))),
    }
}

/// A browser keeps the cookie back when somebody follows a link from another site to us; when our own page asks again, it
/// sends it.
fn comes_from_elsewhere(request: &HttpRequest) -> bool {
    let says = |name, value| only(request.headers(), &name) == Some(value);
    says(FETCH_SITE, "cross-site") && says(FETCH_MODE, "navigate")
}

/// Why somebody is not let in.
#[derive(Debug)]
pub enum Barred {
    /// Nobody is signed in: the address of the form for that.
    SignIn(String),
    /// It cannot be said yet whether anybody is; the browser is to ask again by itself.
    Again,
    /// Something else.
    Error(Error),
}

impl From<Error> for Barred {
    fn from(error: Error) -> Barred {
        Barred::Error(error)
    }
}

impl fmt::Display for Barred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Barred::SignIn(_) | Barred::Again => f.write_str("nobody is signed in"),
            Barred::Error(error) => error.fmt(f),
        }
    }
}

impl ResponseError for Barred {
    fn status_code(&self) -> StatusCode {
        match self {
            Barred::SignIn(_) => StatusCode::SEE_OTHER,
            Barred::Again => StatusCode::OK,
            Barred::Error(error) => error.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        match self {
            Barred::SignIn(address) => HttpResponse::SeeOther()
                .insert_header((LOCATION, address.as_str()))
                .finish(),
            Barred::Again => HttpResponse::Ok()
                .content_type("text/html; charset=utf-8")
                .insert_header((REFRESH, "0"))
                .body("<!doctype html><html lang=\"en\"><title>kyc-tracker</title>"),
            Barred::Error(error) => error.error_response(),
        }
    }
}

/// What a visitor sent with a form of our own.
pub struct Act {
    /// Who sent it.
    pub visitor: Visitor,
    /// What stands in it.
    pub form: Form,
}

impl FromRequest for Act {
    type Error = Barred;
    type Future = LocalBoxFuture<'static, Result<Self, Barred>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Before the body is read, so that a stranger's takes no time.
        let visitor = same_origin(request)
            .map_err(Barred::from)
            .and_then(|()| visitor(request));
        let form = Form::from_request(request, payload);
        Box::pin(async move {
            let visitor = visitor?;
            let form = form.await?;
            if form.field("token") != Some(visitor.form_token()) {
                return Err(foreign().into());
            }
            Ok(Act { visitor, form })
        })
    }
}

/// A form of a page of ours, from whomever.
pub struct OwnForm(pub Form);

impl FromRequest for OwnForm {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let own = same_origin(request);
        let form = Form::from_request(request, payload);
        Box::pin(async move {
            own?;
            Ok(OwnForm(form.await?))
        })
    }
}

/// The fields of a form.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The field's value, if it is there exactly once.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(field, _)| field == name);
        let (_, value) = named.next()?;
        named.next().is_none().then_some(value)
    }
}

impl FromRequest for Form {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = only(request.headers(), &CONTENT_TYPE).map(str::to_owned);
        let body = read(request, payload);
        Box::pin(async move {
            let kind = kind.unwrap_or_default();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
                let detail = "Send Content-Type: application/x-www-form-urlencoded.";
                return Err(Error::new(Code::UnsupportedMediaType, detail));
            }
            let broken = || Error::new(Code::BadRequest, "The form cannot be read.");
            let text = String::from_utf8(body.await?).map_err(|_| broken())?;
            let fields =
                web::Query::<Vec<(String, String)>>::from_query(&text).map_err(|_| broken())?;
            Ok(Form(fields.into_inner()))
        })
    }
}

fn foreign() -> Error {
    let detail = "It was sent by another page. Open this one anew and send it from there.";
    Error::new(Code::ForeignOrigin, detail)
}

/// A browser says of every form where it comes from, so that one that comes from nowhere is refused as well.
fn same_origin(request: &HttpRequest) -> Result<(), Error> {
    let headers = request.headers();
    let site = headers.contains_key(FETCH_SITE);
    let own_site = !site || only(headers, &FETCH_SITE) == Some("same-origin");
    let origin = only(headers, &ORIGIN);
    let app = app(request)?;
    let own_origin = origin.is_some_and(|origin| is_own(origin, headers, &app));
    if own_site && own_origin {
        return Ok(());
    }
    Err(foreign())
}

/// Ours is the public address, and any other by which the browser reached us: it is the browser that names the host, and a
/// page of another host cannot have it name ours. Where the service is reached by TLS, what was not is none of ours.
fn is_own(origin: &str, headers: &HeaderMap, app: &App) -> bool {
    let host = only(headers, &HOST);
    let by_tls = origin.strip_prefix("https://");
    let plain = match is_secure(app) {
        true => by_tls,
        false => by_tls.or_else(|| origin.strip_prefix("http://")),
    };
    let public_url = &app.config.server.public_url;
    origin == public_url.origin().ascii_serialization() || (plain.is_some() && plain == host)
}

/// The name of the cookie that holds a session. With the prefix a browser takes it from nobody but this very host, over TLS.
pub fn cookie_name(app: &App) -> &'static str {
    match is_secure(app) {
        true => "__Host-kyc-admin",
        false => "kyc-admin",
    }
}

/// Whether the service is reached by TLS.
pub fn is_secure(app: &App) -> bool {
    app.config.server.public_url.scheme() == "https"
}

/// What the browser shows of its session, be it over or not. Where it has more than one of that name, somebody else has set one.
pub fn token(request: &HttpRequest, app: &App) -> Option<String> {
    let name = cookie_name(app);
    let mut tokens = request
        .headers()
        .get_all(COOKIE)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(named, _)| *named == name)
        .map(|(_, token)| token);
    let token = tokens.next()?;
    tokens.next().is_none().then(|| token.to_owned())
}
