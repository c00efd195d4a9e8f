//! What goes wrong in the store and at the provider, as callers are told it.

use super::{Code, Error, ProviderSays};
use crate::{capa, db};

/// How long callers are asked to wait when the store or the provider is not there and did not say.
const STORE_RETRY: u64 = 5;
const PROVIDER_RETRY: u64 = 30;

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Error {
        let (code, detail, retry_after) = match error {
            db::Error::Overloaded => return Error::overloaded(),
            db::Error::Unavailable(..) => (
                Code::StoreUnavailable,
                "Nothing was changed. Send it again later.",
                Some(STORE_RETRY),
            ),
            db::Error::Misused(_) => (
                Code::InternalError,
                "Nothing was changed. Tell us the requestId.",
                None,
            ),
        };
        let mut answer = Error::new(code, detail);
        answer.0.retry_after = retry_after;
        answer.0.source = Some(error.to_string());
        answer
    }
}

impl Error {
    /// What the partner's request was answered before is kept and cannot be read, so that the request must not be answered
    /// as a new one.
    pub fn unreadable_answer(partner: &str) -> Error {
        let detail = "Nothing was changed. Send it again later, or take a new Idempotency-Key for a new request.";
        let mut answer = Error::new(Code::StoreUnavailable, detail);
        answer.0.retry_after = Some(STORE_RETRY);
        answer.0.source = Some(format!(
            "an answer kept in kept_answers for the partner {partner} cannot be read: check the database with `PRAGMA integrity_check`, and whether a newer release has written to it"
        ));
        answer
    }
}

impl From<capa::client::Error> for Error {
    fn from(error: capa::client::Error) -> Error {
        use capa::client::Error as Capa;
        let source = Some(error.to_string());
        let (code, detail, retry_after) = match &error {
            Capa::Rejected { .. } => (
                Code::ProviderRejected,
                "The user stays pending. Mend what the provider names and send it again.",
                None,
            ),
            Capa::UserNotFound => (
                Code::ProviderUserNotFound,
                "The user stays pending. Create the user at the provider first, or check the userId.",
                None,
            ),
            Capa::Unauthorized(_) => (
                Code::ProviderUnauthorized,
                "The user stays pending. The operator must check the provider key of this partner.",
                None,
            ),
            Capa::RateLimited(wait) => (
                Code::ProviderRateLimited,
                "The user stays pending. Send it again later.",
                Some(wait.unwrap_or(PROVIDER_RETRY)),
            ),
            Capa::Unavailable { retry_after, .. } => (
                Code::ProviderUnavailable,
                "The user stays pending. Send it again later.",
                Some(retry_after.unwrap_or(PROVIDER_RETRY)),
            ),
            Capa::InvalidResponse(_) | Capa::Unusable(_) => (
                Code::ProviderInvalidResponse,
                "The user stays pending. Send it again, and tell us if it goes on.",
                None,
            ),
        };
        let mut answer = Error::new(code, detail);
        answer.0.retry_after = retry_after;
        answer.0.source = source;
        if let Capa::Rejected {
            status,
            code,
            message,
        } = error
        {
            answer.0.provider = Some(ProviderSays {
                status,
                code,
                message,
            });
        }
        answer
    }
}
