//! The errors the sandbox answers, one constructor per row of the provider's tables.
//!
//! Codes and messages are those of Capa's reference pages. The body's shape is not documented there; this one follows
//! the error object printed in `reference/webhooknotificationpartnerv2controller_getnotification`, with a `code`.
//! What exactly was wrong goes in the header `x-sandbox-hint`, because the documented messages do not say it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError};
use serde_json::json;

/// An answer that is not a success.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: &'static str,
    hint: Option<&'static str>,
}

impl Refusal {
    const fn new(status: StatusCode, code: &'static str, message: &'static str) -> Self {
        Self {
            status,
            code,
            message,
            hint: None,
        }
    }

    pub(super) const fn key_missing() -> Self {
        Self::unauthorized("API Key is missing")
    }

    pub(super) const fn key_malformed() -> Self {
        Self::unauthorized("Invalid API Key format")
    }

    pub(super) const fn key_unknown() -> Self {
        Self::unauthorized("Invalid API Key")
    }

    /// Somebody else's user has the status and the code of a bad key; only the message differs.
    pub(super) const fn foreign_user() -> Self {
        Self::unauthorized("User is not associated with the partner")
    }

    const fn unauthorized(message: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message)
    }

    pub(super) const fn user_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND_ERROR",
            "Requested User was not found",
        )
    }

    /// Undocumented for KYC; modelled on its KYB twin, `reference/kybpartnercontrollerv2_getuserkybdetails`.
    pub(super) const fn verification_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND_ERROR",
            "Requested KYC verification was not found",
        )
    }

    /// The notification pages say `NOT_FOUND` where the others say `NOT_FOUND_ERROR`.
    pub(super) const fn notification_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "Webhook notification not found",
        )
    }

    pub(super) const fn invalid_input(hint: &'static str) -> Self {
        let mut refusal = Self::new(
            StatusCode::BAD_REQUEST,
            "INVALID_USER_INPUT_ERROR",
            "Invalid User Input",
        );
        refusal.hint = Some(hint);
        refusal
    }

    pub(super) const fn invalid_email() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "Provided email is not valid",
        )
    }

    pub(super) const fn wrong_verification_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "INVALID_VERIFICATION_TYPE_FOR_USER",
            "A BUSINESS user can only request a KYB verification",
        )
    }

    pub(super) const fn conflict(message: &'static str) -> Self {
        Self::new(StatusCode::CONFLICT, "CONFLICT", message)
    }

    pub(super) const fn too_many_requests(message: &'static str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", message)
    }

    pub(super) const fn internal(message: &'static str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "INTERNAL_SERVER_ERROR",
            message,
        )
    }

    pub(super) const fn account_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "The sandbox has no such account",
        )
    }

    pub(super) const fn session_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            "The sandbox has no such page; a user has one once a link was asked for",
        )
    }

    pub(super) const fn other_origin() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "FORBIDDEN",
            "Pages of another origin may not steer the sandbox",
        )
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut answer = HttpResponse::build(self.status);
        if let Some(hint) = self.hint {
            answer.insert_header(("x-sandbox-hint", hint));
        }
        answer.json(json!({
            "success": false,
            "error": { "code": self.code, "message": self.message },
        }))
    }
}

/// Answers whatever no route takes, so that a mistyped path does not get an empty body.
pub(super) async fn no_such_route() -> Result<HttpResponse, Refusal> {
    Err(Refusal::new(
        StatusCode::NOT_FOUND,
        "NOT_FOUND_ERROR",
        "No such route",
    ))
}
