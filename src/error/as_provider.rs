//! The same errors on the provider's own paths, in the provider's shape, so that a client that was made for it reads them.
//!
//! Where the provider's tables (`reference/userpartnercontrollerv2_createverificationlink`, "Error Codes") have a row that
//! fits, the answer has that row's status and code; everything else keeps our status and has our code in upper case. What
//! the provider gave as its own reason goes before both. The body is that of the one error object it prints
//! (`reference/webhooknotificationpartnerv2controller_getnotification`), with the `code` of the tables.

use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Code, Error};
use crate::capa;

/// What went wrong, in the provider's shape.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderError)]
pub struct Envelope<'a> {
    /// Always false.
    success: bool,
    error: Reason<'a>,
}

/// The reason in the provider's shape.
#[derive(Serialize, ToSchema)]
#[schema(as = ProviderReason)]
struct Reason<'a> {
    /// A code of ours in upper case, or the provider's own.
    code: &'a str,
    /// What to do about it.
    message: &'a str,
}

const MAYBE_DONE: &str = "The provider gave no answer that can be handed back. It may have done what was asked all the same.";

impl Error {
    /// A call that was passed on brought nothing that can be handed back.
    pub fn from_passing_on(error: capa::client::Error) -> Error {
        let mut answer = Error::from(error);
        answer.0.detail = MAYBE_DONE.to_owned();
        answer
    }

    /// Whatever link was made, the user was decided meanwhile.
    pub fn overtaken() -> Error {
        let mut answer = Error::overloaded();
        answer.0.detail = "News about the user overtook the link. Send it again.".to_owned();
        answer
    }

    /// The status and the body that it has there.
    pub fn as_provider(&self) -> (StatusCode, String) {
        let (status, code) = self.0.code.as_provider();
        let said = self.0.provider.as_ref();
        let status = said.map_or(status, |said| said.status);
        let code = said.and_then(|said| said.code.as_deref()).unwrap_or(&code);
        let message = said.and_then(|said| said.message.clone());
        let message = message.unwrap_or_else(|| self.message());
        let body = Envelope {
            success: false,
            error: Reason {
                code,
                message: &message,
            },
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, serde_json::to_string(&body).unwrap_or_default())
    }

    /// The provider's shape has no place for faults, so that they are told in the message.
    fn message(&self) -> String {
        if self.0.faults.is_empty() {
            return self.0.detail.clone();
        }
        let mut message = "Invalid User Input".to_owned();
        for (number, fault) in self.0.faults.iter().enumerate() {
            let between = if number == 0 { ": " } else { " " };
            message.push_str(between);
            if !fault.field.is_empty() {
                message.push_str(&fault.field);
                message.push_str(": ");
            }
            message.push_str(&fault.message);
        }
        message
    }
}

impl Code {
    /// The HTTP status and the code that it has there, unless the provider gave its own.
    pub fn as_provider(self) -> (u16, String) {
        let (status, ours, _) = self.row();
        let (status, code) = match self {
            Code::MalformedJson | Code::BadRequest | Code::InvalidRequest => {
                (400, "INVALID_USER_INPUT_ERROR")
            }
            Code::IdempotencyKeyReused => (409, "CONFLICT"),
            Code::ProviderUserNotFound => (404, "NOT_FOUND_ERROR"),
            Code::ProviderRateLimited => (429, "TOO_MANY_REQUESTS"),
            Code::InternalError => (500, "INTERNAL_SERVER_ERROR"),
            _ => return (status, ours.to_ascii_uppercase()),
        };
        (status, code.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_row_of_the_same_kind_in_upper_case() {
        for code in Code::ALL {
            let (ours, _, _) = code.row();
            let (status, word) = code.as_provider();
            let usual = |byte: u8| byte.is_ascii_uppercase() || byte == b'_';
            assert!(word.bytes().all(usual), "{word}");
            let kept = status / 100 == ours / 100 || code == Code::ProviderRateLimited;
            assert!(
                kept && status != 422 || code == Code::ProviderRejected,
                "{word}"
            );
        }
    }
}
