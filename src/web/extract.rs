//! What handlers ask for. An extractor that a handler names cannot be forgotten: without a partner's key there is no
//! [`Caller`], without an admin's no [`Admin`], without a right signature no [`SignedBody`].

use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::error::QueryPayloadError;
use actix_web::http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName,
};
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::StreamExt;
use futures_util::future::{LocalBoxFuture, Ready, ready};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::caps;
use super::connection::Connection;
use crate::app::App;
use crate::capa::signature::{self, Refusal};
use crate::clock::Steady;
use crate::config::Partner;
use crate::error::{Code, CodeOnly, Error};
use crate::ingest::Signed;
use crate::keys::Keys;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PARTNER_KEY: HeaderName = HeaderName::from_static("partner-api-key");

/// The app, in the hands of a partner whose key was right.
pub struct Caller {
    app: web::Data<App>,
    place: usize,
}

impl Caller {
    /// The partner who calls.
    pub fn partner(&self) -> &Partner {
        &self.app.config.partners[self.place]
    }

    /// The partner's place in the configuration.
    pub fn place(&self) -> usize {
        self.place
    }
}

impl Deref for Caller {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).and_then(|caller| {
            accepts_json(request.headers())?;
            Ok(caller)
        }))
    }
}

/// A [`Caller`] who wants a stream of events.
pub struct Listening(pub Caller);

impl FromRequest for Listening {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).and_then(|caller| {
            let events = ["*/*", "text/*", "text/event-stream"];
            accepts(request.headers(), &events, "Accept text/event-stream.")?;
            Ok(Listening(caller))
        }))
    }
}

/// A [`Caller`] who wants HTML.
pub struct Showing(pub Caller);

impl FromRequest for Showing {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).and_then(|caller| {
            let html = ["*/*", "text/*", "text/html"];
            accepts(request.headers(), &html, "Accept text/html.")?;
            Ok(Showing(caller))
        }))
    }
}

fn caller(request: &HttpRequest) -> Result<Caller, Error> {
    let app = app(request)?;
    let key = only(request.headers(), &PARTNER_KEY);
    let advice = "Send one of your API keys in the header partner-api-key.";
    let place = owner(request, &app.partner_keys, key, app.clock.steady(), advice)?;
    Ok(Caller { app, place })
}

/// The app, in the hands of an admin whose key was right.
pub struct Admin {
    app: web::Data<App>,
    place: usize,
}

impl Admin {
    /// Who calls, by the name in the configuration.
    pub fn name(&self) -> &str {
        &self.app.config.admins[self.place].name
    }
}

impl Deref for Admin {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl FromRequest for Admin {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(admin(request).and_then(|admin| {
            accepts_json(request.headers())?;
            Ok(admin)
        }))
    }
}

fn admin(request: &HttpRequest) -> Result<Admin, Error> {
    let app = app(request)?;
    let key = only(request.headers(), &AUTHORIZATION).and_then(bearer);
    let advice = "Send an admin key as Authorization: Bearer.";
    let place = owner(request, &app.admin_keys, key, app.clock.steady(), advice)?;
    Ok(Admin { app, place })
}

/// The app, in the hands of who may read the metrics: an admin, or anybody where the settings say so.
pub struct Scraper(pub web::Data<App>);

impl FromRequest for Scraper {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(app(request).and_then(|app| {
            if !app.config.server.public_metrics {
                admin(request)?;
            }
            let text = ["*/*", "text/*", "text/plain"];
            accepts(request.headers(), &text, "Accept text/plain.")?;
            Ok(Scraper(app))
        }))
    }
}

/// The place in the configuration of whose key this is, if the key may be used now. It is asked before anything is read
/// for the request.
fn owner(
    request: &HttpRequest,
    keys: &Keys,
    key: Option<&str>,
    now: Steady,
    advice: &str,
) -> Result<usize, Error> {
    let (place, standing) = key
        .and_then(|key| keys.request(key, now))
        .ok_or_else(|| Error::new(Code::Unauthorized, advice))?;
    Connection::of(request)?.note_standing(standing);
    if let Some(wait) = standing.wait {
        return Err(Error::rate_limited(wait));
    }
    Ok(place)
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim_start())
}

/// All that a request can reach.
///
/// # Errors
/// When the service was put together without it.
pub fn app(request: &HttpRequest) -> Result<web::Data<App>, Error> {
    let app = request.app_data::<web::Data<App>>();
    app.cloned()
        .ok_or_else(|| Error::new(Code::InternalError, "The service was put together wrongly."))
}

/// The header's value, if it is there exactly once and is text.
pub fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The `Idempotency-Key`, if there is one: any visible text of at most 255 characters.
///
/// The draft standard writes it as a quoted string, and many clients do not: `"k"` and `k` are one key.
pub struct IdempotencyKey(pub Option<String>);

impl FromRequest for IdempotencyKey {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(IDEMPOTENCY_KEY) {
            return ready(Ok(IdempotencyKey(None)));
        }
        let visible = |key: &&str| {
            let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
            (1..=255).contains(&key.len()) && visible
        };
        let key = only(request.headers(), &IDEMPOTENCY_KEY);
        let key = key.map(unquoted).filter(visible);
        let detail =
            "Send one Idempotency-Key of 1 to 255 visible ASCII characters, such as a UUID.";
        let key = key.ok_or_else(|| Error::new(Code::BadRequest, detail));
        ready(key.map(|key| IdempotencyKey(Some(key.to_owned()))))
    }
}

/// Without one pair of double quotes around it, where it has them.
fn unquoted(key: &str) -> &str {
    let bare = key.strip_prefix('"');
    let bare = bare.and_then(|key| key.strip_suffix('"'));
    bare.unwrap_or(key)
}

fn accepts_json(headers: &HeaderMap) -> Result<(), Error> {
    let json = ["*/*", "application/*", "application/json"];
    accepts(headers, &json, "Accept application/json.")
}

fn accepts(headers: &HeaderMap, kinds: &[&str], otherwise: &'static str) -> Result<(), Error> {
    let mut ranges = headers
        .get_all(ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .peekable();
    if ranges.peek().is_none() {
        return Ok(());
    }
    let fits = |range: &str| {
        let mut parts = range
            .split(';')
            .map(|part| part.trim().to_ascii_lowercase());
        let kind = parts.next().unwrap_or_default();
        let refused =
            parts.any(|part| matches!(part.as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000"));
        !refused && kinds.contains(&kind.as_str())
    };
    if ranges.any(|value| value.split(',').any(fits)) {
        return Ok(());
    }
    Err(Error::new(Code::NotAcceptable, otherwise))
}

/// The query parameters; an unknown, doubled or malformed one is refused.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match web::Query::<T>::from_query(request.query_string()) {
            Ok(query) => Ok(Query(query.into_inner())),
            Err(QueryPayloadError::Deserialize(error)) => Err(Error::new(
                Code::InvalidQuery,
                format!("The query cannot be taken: {error}."),
            )),
            Err(error) => Err(Error::new(Code::InvalidQuery, error.to_string())),
        })
    }
}

/// For routes that take no query parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

/// A JSON body of whatever form.
pub struct JsonBody(pub Value);

impl FromRequest for JsonBody {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = RawJson::from_request(request, payload);
        Box::pin(async move { Ok(JsonBody(body.await?.value)) })
    }
}

/// The same with the bytes that it came in.
pub struct RawJson {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub value: Value,
}

impl FromRequest for RawJson {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let kind = only(request.headers(), &CONTENT_TYPE).map(str::to_owned);
        let body = read(request, payload);
        Box::pin(async move {
            let kind = kind.unwrap_or_default();
            let essence = kind.split(';').next().unwrap_or_default().trim();
            if !essence.eq_ignore_ascii_case("application/json") {
                return Err(Error::new(
                    Code::UnsupportedMediaType,
                    "Send Content-Type: application/json.",
                ));
            }
            let bytes = body.await?;
            match serde_json::from_slice(&bytes) {
                Ok(value) => Ok(RawJson { bytes, value }),
                Err(error) => {
                    let (line, column) = (error.line(), error.column());
                    let detail =
                        format!("The body stops being JSON at line {line}, column {column}.");
                    Err(Error::new(Code::MalformedJson, detail))
                }
            }
        })
    }
}

/// A webhook's exact bytes, signed with a secret of the partner in the path.
pub struct SignedBody(Signed);

impl SignedBody {
    /// What was signed.
    pub fn into_signed(self) -> Signed {
        self.0
    }
}

impl FromRequest for SignedBody {
    type Error = CodeOnly;
    type Future = LocalBoxFuture<'static, Result<Self, CodeOnly>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload);
        let app = app(request);
        let partner = request
            .match_info()
            .get("partnerId")
            .unwrap_or_default()
            .to_owned();
        let values = request.headers().get_all(signature::HEADER);
        let signature = signature::parse(values.map(|value| value.as_bytes()));
        Box::pin(async move {
            let app = app.map_err(CodeOnly)?;
            let body = body.await.map_err(CodeOnly)?;
            let verified = signature.and_then(|signature| {
                let verifier = app.verifier(&partner);
                let secret = verifier.verify(&body, &signature, app.clock.now());
                let secret = secret.ok_or(Refusal::Wrong)?;
                Ok((signature, secret.to_owned()))
            });
            match verified {
                Ok((signature, secret)) => Ok(SignedBody(Signed {
                    partner,
                    body,
                    signature,
                    secret,
                })),
                Err(refusal) => {
                    app.refusals.note(refusal);
                    Err(CodeOnly(Error::new(Code::Unauthorized, "")))
                }
            }
        })
    }
}

/// Reads the body up to the cap and the deadline; a declared length over the cap is refused before reading. While the body
/// is on its way the request takes no place among those in flight, so that slow bodies keep nobody else out.
pub fn read(
    request: &HttpRequest,
    payload: &mut Payload,
) -> impl Future<Output = Result<Vec<u8>, Error>> + use<> {
    let declared = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let declared: Option<usize> = declared.and_then(|length| length.parse().ok());
    let mut payload = payload.take();
    let connection = Connection::of(request);
    async move {
        let connection = connection?;
        let too_large = || Error::new(Code::BodyTooLarge, "The body may have 64 KiB at most.");
        if declared.is_some_and(|length| length > caps::BODY) {
            return Err(too_large());
        }
        let mut body = Vec::with_capacity(declared.unwrap_or_default());
        let collect = async {
            while let Some(chunk) = payload.next().await {
                let broken = |_| Error::new(Code::BadRequest, "The body broke off.");
                let chunk = chunk.map_err(broken)?;
                if body.len() + chunk.len() > caps::BODY {
                    return Err(too_large());
                }
                body.extend_from_slice(&chunk);
            }
            Ok(())
        };
        let late = |_| Error::new(Code::RequestTimeout, "The body took too long to arrive.");
        let parked = connection.park();
        tokio::time::timeout(connection.body_deadline(), collect)
            .await
            .map_err(late)??;
        parked.resume()?;
        Ok(body)
    }
}
