//! What goes wrong, as callers are told it: one table of codes, one shape of answer (RFC 9457).
//!
//! `detail` is for the caller, `source` is for the log and is never sent. An error is logged once, at the boundary
//! (`web/boundary.rs`): the caller's faults at debug, ours at error. Layers below have small errors of their own, and
//! each becomes one of these in one explicit conversion in `below.rs`.

pub mod as_provider;
mod below;
pub mod problem;
mod refusal;

use std::fmt;
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

use crate::kyc::link_request::Fault;
use crate::{capa, db};

pub use refusal::Refusal;

/// Every code there is, each with its status and title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each is")]
pub enum Code {
    MalformedJson,
    InvalidQuery,
    InvalidCursor,
    BadRequest,
    Unauthorized,
    ForeignOrigin,
    UserNotFound,
    ProviderUserNotFound,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    AlreadyVerified,
    ExternalIdTaken,
    RequestInProgress,
    BodyTooLarge,
    UriTooLong,
    UnsupportedMediaType,
    InvalidRequest,
    IdempotencyKeyReused,
    ProviderRejected,
    RateLimited,
    HeadersTooLarge,
    InternalError,
    ProviderUnauthorized,
    ProviderInvalidResponse,
    ProviderUnavailable,
    ProviderRateLimited,
    NotConfirmed,
    StoreUnavailable,
    Overloaded,
}

impl Code {
    /// Every code, for the test that holds the table together.
    pub const ALL: [Code; 31] = [
        Code::MalformedJson,
        Code::InvalidQuery,
        Code::InvalidCursor,
        Code::BadRequest,
        Code::Unauthorized,
        Code::ForeignOrigin,
        Code::UserNotFound,
        Code::ProviderUserNotFound,
        Code::NotFound,
        Code::MethodNotAllowed,
        Code::NotAcceptable,
        Code::RequestTimeout,
        Code::AlreadyVerified,
        Code::ExternalIdTaken,
        Code::RequestInProgress,
        Code::BodyTooLarge,
        Code::UriTooLong,
        Code::UnsupportedMediaType,
        Code::InvalidRequest,
        Code::IdempotencyKeyReused,
        Code::ProviderRejected,
        Code::RateLimited,
        Code::HeadersTooLarge,
        Code::InternalError,
        Code::ProviderUnauthorized,
        Code::ProviderInvalidResponse,
        Code::ProviderUnavailable,
        Code::ProviderRateLimited,
        Code::NotConfirmed,
        Code::StoreUnavailable,
        Code::Overloaded,
    ];

    /// The HTTP status, the stable code and the title.
    pub const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Code::MalformedJson => (
                400,
                "malformed_json",
                "The body is not the JSON it should be",
            ),
            Code::InvalidQuery => (400, "invalid_query", "The query parameters are wrong"),
            Code::InvalidCursor => (400, "invalid_cursor", "The cursor is none we gave"),
            Code::BadRequest => (400, "bad_request", "The request cannot be understood"),
            Code::Unauthorized => (401, "unauthorized", "The key is missing or unknown"),
            Code::ForeignOrigin => (403, "foreign_origin", "The request comes from another page"),
            Code::UserNotFound => (404, "user_not_found", "There is no such user"),
            Code::ProviderUserNotFound => (
                404,
                "provider_user_not_found",
                "The provider does not know the user",
            ),
            Code::NotFound => (404, "not_found", "There is nothing here"),
            Code::MethodNotAllowed => (405, "method_not_allowed", "The method is not allowed here"),
            Code::NotAcceptable => (406, "not_acceptable", "Only JSON can be answered"),
            Code::RequestTimeout => (
                408,
                "request_timeout",
                "The request took too long to arrive",
            ),
            Code::AlreadyVerified => (409, "already_verified", "The user is verified already"),
            Code::ExternalIdTaken => (
                409,
                "external_id_taken",
                "The externalUserId belongs to another user",
            ),
            Code::RequestInProgress => (409, "request_in_progress", "Request still in progress"),
            Code::BodyTooLarge => (413, "body_too_large", "The body is too large"),
            Code::UriTooLong => (414, "uri_too_long", "The path or the query is too long"),
            Code::UnsupportedMediaType => (
                415,
                "unsupported_media_type",
                "The body must be application/json",
            ),
            Code::InvalidRequest => (422, "invalid_request", "The request has faults"),
            Code::IdempotencyKeyReused => (
                422,
                "idempotency_key_reused",
                "The Idempotency-Key belongs to another request",
            ),
            Code::ProviderRejected => (
                422,
                "provider_rejected",
                "The provider rejected the request",
            ),
            Code::RateLimited => (429, "rate_limited", "The key is used too often"),
            Code::HeadersTooLarge => (431, "headers_too_large", "The headers are too large"),
            Code::InternalError => (500, "internal_error", "Something went wrong here"),
            Code::ProviderUnauthorized => (
                502,
                "provider_unauthorized",
                "The provider refused the partner's key",
            ),
            Code::ProviderInvalidResponse => (
                502,
                "provider_invalid_response",
                "The provider's answer is unusable",
            ),
            Code::ProviderUnavailable => {
                (503, "provider_unavailable", "The provider is not available")
            }
            Code::ProviderRateLimited => {
                (503, "provider_rate_limited", "The provider limits the rate")
            }
            Code::NotConfirmed => (503, "not_confirmed", "The status is not confirmed"),
            Code::StoreUnavailable => (503, "store_unavailable", "The store is not available"),
            Code::Overloaded => (503, "overloaded", "Too much is asked at once"),
        }
    }

    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        self.row().1
    }

    fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().0).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The code of an answer that the framework made by itself.
    pub fn of_status(status: StatusCode) -> Code {
        match status.as_u16() {
            404 => Code::NotFound,
            405 => Code::MethodNotAllowed,
            406 => Code::NotAcceptable,
            408 => Code::RequestTimeout,
            413 => Code::BodyTooLarge,
            414 => Code::UriTooLong,
            415 => Code::UnsupportedMediaType,
            429 => Code::RateLimited,
            431 => Code::HeadersTooLarge,
            400..=499 => Code::BadRequest,
            503 => Code::StoreUnavailable,
            _ => Code::InternalError,
        }
    }
}

/// An error as it will be answered. Boxed, so that a result is no larger for the case that does not happen.
#[derive(Clone, Debug)]
pub struct Error(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    code: Code,
    detail: String,
    /// Seconds; every 429 and 503 has them.
    retry_after: Option<u64>,
    faults: Vec<Fault>,
    provider: Option<ProviderSays>,
    allow: Option<&'static str>,
    /// What ails the store, for whoever runs the service.
    reason: Option<&'static str>,
    /// Whether the same request was answered so before.
    replayed: bool,
    /// For the log only.
    source: Option<String>,
}

/// What the provider gave as its reason, passed on to the partner.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ProviderSays {
    /// Its status.
    #[serde(skip)]
    status: u16,
    /// The provider's own code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, examples("KYC_TEMPLATE_NOT_CONFIGURED_ERROR"))]
    code: Option<String>,
    /// The provider's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, examples("No KYC template is configured for this country."))]
    message: Option<String>,
}

const STATUS_STAYS: &str =
    "The provider could not be asked now. The status is what was known before; ask again later.";

impl Error {
    /// An error with a sentence that tells the caller what to do.
    pub fn new(code: Code, detail: impl Into<String>) -> Error {
        Error(Box::new(Parts {
            code,
            detail: detail.into(),
            retry_after: None,
            faults: Vec::new(),
            provider: None,
            allow: None,
            reason: None,
            replayed: false,
            source: None,
        }))
    }

    /// The request is well-formed and has these faults.
    pub fn invalid_request(faults: Vec<Fault>) -> Error {
        let detail = "Mend what `errors` lists and send it again.";
        let mut error = Error::new(Code::InvalidRequest, detail);
        error.0.faults = faults;
        error
    }

    /// Also for another partner's user: from outside the two look the same.
    pub fn user_not_found() -> Error {
        Error::new(Code::UserNotFound, "No user of yours has this userId.")
    }

    /// A look at the provider failed; the status stays what it was.
    pub fn from_look(error: capa::client::Error) -> Error {
        let mut answer = Error::from(error);
        answer.0.detail = STATUS_STAYS.to_owned();
        answer
    }

    /// The provider failed or refused lately, so that it is left alone for a while.
    pub fn provider_closed(wait: Duration) -> Error {
        let mut answer = Error::new(Code::ProviderUnavailable, STATUS_STAYS);
        answer.0.retry_after = Some(wait.as_secs() + 1);
        answer
    }

    /// We ask the provider as often as we allow ourselves to.
    pub fn provider_busy() -> Error {
        let mut answer = Error::new(Code::ProviderRateLimited, STATUS_STAYS);
        answer.0.retry_after = Some(1);
        answer
    }

    /// More is asked at once than is taken on. Nothing was begun.
    pub fn overloaded() -> Error {
        let mut answer = Error::new(Code::Overloaded, "Nothing was done. Send it again later.");
        answer.0.retry_after = Some(1);
        answer
    }

    /// Whether it is a failure of ours or of the provider's, and no fault of the request.
    pub fn is_ours(&self) -> bool {
        self.0.code.status().is_server_error()
    }

    /// No check young enough agreed with the status; `wait` is how long a further one takes at most.
    pub fn not_confirmed(wait: Duration) -> Error {
        let detail = "The provider has not confirmed the status. Without maxAge the status is answered as it is known.";
        let mut error = Error::new(Code::NotConfirmed, detail);
        error.0.retry_after = Some(whole_seconds(wait));
        error
    }

    /// The provider has not said yet which session was the last one of the attempt that is to end.
    pub fn session_unknown() -> Error {
        let detail = "The next attempt opens once the provider has said which session was the last one. The user keeps its status. Send it again later.";
        let mut error = Error::new(Code::ProviderUnavailable, detail);
        error.0.retry_after = Some(30);
        error
    }

    /// The user has had all its new links of this day, which is over in so long. Nothing was begun.
    pub fn too_many_links(wait: Duration) -> Error {
        let detail = "The user has had all its new links of this day (UTC). Hand out the open one, or ask tomorrow.";
        let mut answer = Error::new(Code::RateLimited, detail);
        answer.0.retry_after = Some(whole_seconds(wait).max(1));
        answer
    }

    /// The partner has taken all that it may have at once. Nothing was begun.
    pub fn all_taken(detail: &'static str) -> Error {
        let mut answer = Error::new(Code::RateLimited, detail);
        answer.0.retry_after = Some(1);
        answer
    }

    /// The key is used more often than it may be. Nothing was begun, and in so long the next request is taken.
    pub fn rate_limited(wait: Duration) -> Error {
        let mut answer = Error::new(
            Code::RateLimited,
            "Nothing was done. Send it again later, and ask less often with this key.",
        );
        answer.0.retry_after = Some(whole_seconds(wait).max(1));
        answer
    }

    /// There are too many headers, or too much in them.
    pub fn headers_too_large() -> Error {
        let detail = "A request may have 96 headers at most, with 16 KiB in all of them together.";
        Error::new(Code::HeadersTooLarge, detail)
    }

    /// The store takes no writes; says what ails it.
    pub fn not_ready(error: db::Error) -> Error {
        let reason = error.trouble().as_str();
        let mut answer = Error::from(error);
        answer.0.reason = Some(reason).filter(|_| answer.0.code == Code::StoreUnavailable);
        answer
    }

    /// The path is known, the method is not one of `allow`.
    pub fn method_not_allowed(allow: &'static str) -> Error {
        let mut error = Error::new(Code::MethodNotAllowed, format!("Use {allow}."));
        error.0.allow = Some(allow);
        error
    }

    /// The same, marked as what an earlier request was answered already.
    pub fn replayed(mut self) -> Error {
        self.0.replayed = true;
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence for the caller.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The seconds after which to come again.
    pub fn retry_after(&self) -> Option<u64> {
        self.0.retry_after
    }

    /// What the log may hold of it: never what a caller or the provider sent.
    pub fn source(&self) -> Option<&str> {
        self.0.source.as_deref()
    }

    /// An answer with the right status and headers and the given body.
    pub fn answer(&self, content_type: &'static str, body: String) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::build(self.0.code.status());
        response.content_type(content_type);
        if let Some(seconds) = self.0.retry_after {
            response.insert_header((RETRY_AFTER, HeaderValue::from(seconds)));
        }
        if let Some(allow) = self.0.allow {
            response.insert_header(("allow", allow));
        }
        if self.0.replayed {
            response.insert_header(REPLAYED);
        }
        response.body(body)
    }
}

/// Rounded up, so that who waits for so long has waited long enough.
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Shows the code alone; detail and source are for others.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.as_str())
    }
}

impl std::error::Error for Error {}

/// Marks an answer that was given to an earlier request with the same `Idempotency-Key`.
pub const REPLAYED: (&str, &str) = ("idempotency-replayed", "true");

/// The content type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.0.code.status()
    }

    /// The error travels with its answer to the boundary, which knows the request's id and writes the body.
    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = self.answer(PROBLEM_JSON, String::new());
        response.extensions_mut().insert(self.clone());
        response
    }
}

/// An error as the provider is told it: the code and nothing else.
///
/// It stores the answer and shows it to others
/// (`reference/webhooknotificationpartnerv2controller_getnotification`, `latestErrorPayload`).
#[derive(Debug)]
pub struct CodeOnly(pub Error);

impl fmt::Display for CodeOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for CodeOnly {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let body = format!("{{\"code\":\"{}\"}}", self.0);
        let mut response = self.0.answer("application/json", body);
        let written = Written(Some(self.0.clone()));
        response.extensions_mut().insert(written);
        response
    }
}

/// Marks an answer that has its body already, although its status is that of an error; the boundary only logs it.
#[derive(Clone)]
pub struct Written(pub Option<Error>);

#[cfg(test)]
mod tests;
