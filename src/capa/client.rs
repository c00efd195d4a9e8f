//! Calls to the provider.
//!
//! One call is one attempt: creating a link makes a session at the provider and is not protected against repeats
//! (`docs/idempotency` covers transactions only), so it is tried again only when the connection was refused and nothing
//! can have been sent. No redirect is followed, no proxy is read from the environment, and no answer is read past a cap.
//! Answers are judged by their HTTP status first, because the body of an error is documented nowhere.

use std::time::Duration;

use anyhow::Context;
use prometheus::core::Collector;
use reqwest::header::HeaderValue;
use reqwest::{RequestBuilder, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use url::Url;

use super::answer::Answer;
use super::details::Unusable;
use super::meter::{Call, Meter};
use crate::config;
use crate::kyc::link_request::{LinkCall, LinkRequest, PersonalInfo};
use crate::kyc::loopback::is_loopback;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
const LINK_LENGTH_CAP: usize = 4096;
/// The provider's sentences are passed on up to this many characters.
const MESSAGE_CAP: usize = 2000;
/// The only reason seen: a small image without any CA certificates.
const NO_TLS: &str = "cannot verify the provider's TLS certificate: install the CA certificates of the system (Debian, Ubuntu, Alpine: the package ca-certificates), or name a file of them in SSL_CERT_FILE";

/// A connection pool to the provider; partners differ only in the key they send.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) meter: Meter,
    base_url: Url,
}

/// Why the provider did not do what was asked. Neither form of its text holds anything the provider said.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refused what was asked: the partner can mend it.
    #[error("the provider rejected the request")]
    Rejected {
        /// 400, 409 or 422.
        status: u16,
        /// Its error code, if it gave one of the usual form.
        code: Option<String>,
        /// Its message, or all of them, cut short and free of control characters; may speak of the user, so it is for the
        /// partner only.
        message: Option<String>,
    },
    /// It knows no such user, or the user is another partner's.
    #[error("the provider does not know the user")]
    UserNotFound,
    /// It refused our key.
    #[error("the provider refused the partner's key ({0})")]
    Unauthorized(StatusCode),
    /// It asked us to slow down.
    #[error("the provider limits the rate")]
    RateLimited(RetryAfter),
    /// It could not be reached in time, or failed.
    #[error("the provider is not available: {reason}")]
    Unavailable {
        /// What happened, without its address.
        reason: String,
        /// When it asked us to come again.
        retry_after: RetryAfter,
    },
    /// Its answer makes no sense.
    #[error("the provider's answer is unusable: {0}")]
    InvalidResponse(String),
    /// Its answer about one user's verification cannot be used.
    #[error("the provider's answer is unusable: {0}")]
    Unusable(Unusable),
}

impl Error {
    /// Every word of [`Error::word`].
    pub(super) const WORDS: [&str; 6] = [
        "rejected",
        "user_not_found",
        "unauthorized",
        "rate_limited",
        "unavailable",
        "invalid_response",
    ];

    /// The word for it in metrics.
    pub(super) fn word(&self) -> &'static str {
        let place = match self {
            Error::Rejected { .. } => 0,
            Error::UserNotFound => 1,
            Error::Unauthorized(_) => 2,
            Error::RateLimited(_) => 3,
            Error::Unavailable { .. } => 4,
            Error::InvalidResponse(_) | Error::Unusable(_) => 5,
        };
        Error::WORDS[place]
    }
}

/// Seconds until the provider wants to be asked again, between a second and an hour; `None` when it did not say.
pub type RetryAfter = Option<u64>;

/// The body of either link call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LinkBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_redirect_uri: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    personal_info: Option<PersonalInfoBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PersonalInfoBody<'a> {
    profession: &'a str,
    phone_number: &'a str,
    birth_country: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tax_id: Option<&'a str>,
}

impl<'a> PersonalInfoBody<'a> {
    fn of(info: &'a PersonalInfo) -> Self {
        PersonalInfoBody {
            profession: info.profession,
            phone_number: info.phone_number.expose_secret(),
            birth_country: &info.birth_country,
            tax_id: info.tax_id.as_ref().map(ExposeSecret::expose_secret),
        }
    }
}

impl Client {
    /// A client of the provider at the configured address.
    ///
    /// # Errors
    /// When the provider needs TLS and the machine has no CA certificates, or the metrics cannot be set up.
    pub fn new(provider: &config::Provider) -> anyhow::Result<Client> {
        // A second call finds the provider installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut http = reqwest::Client::builder();
        if provider.base_url.scheme() == "http" {
            // Plain http needs no CA certificates, so a stand-in works on a machine without any.
            http = http.tls_certs_only([]);
        }
        let http = http
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(provider.timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(8)
            .user_agent(concat!("kyc-tracker/", env!("CARGO_PKG_VERSION")))
            .build()
            .context(NO_TLS)?;
        Ok(Client {
            http,
            meter: Meter::new()?,
            base_url: provider.base_url.clone(),
        })
    }

    /// Asks for a link for the user, in the name of the partner whose key it is. Twice makes two sessions.
    ///
    /// # Errors
    /// The provider's refusals and failures, by who can do something about them.
    pub async fn create_link(
        &self,
        key: &SecretString,
        request: &LinkRequest,
    ) -> Result<String, Error> {
        let user_id = &request.user_id;
        let (path, in_body) = match request.call {
            LinkCall::UserInBody => (
                "api/partner/v2/kyc/verification-link".to_owned(),
                Some(user_id.as_str()),
            ),
            LinkCall::UserInPath => (
                format!("api/partner/v2/users/{user_id}/kyc/verification-link"),
                None,
            ),
        };
        let body = LinkBody {
            user_id: in_body,
            country: request.country,
            partner_redirect_uri: request.partner_redirect_uri.as_deref(),
            personal_info: request.personal_info.as_ref().map(PersonalInfoBody::of),
        };
        let call = async {
            let answer = self.ask(key, &path, |url| self.http.post(url).json(&body));
            self.link_in(&answer.await?)
        };
        self.meter.count(Call::Link, call).await
    }

    /// What is counted of its calls.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        self.meter.collectors()
    }

    /// Makes one call and gives the body of a success.
    pub(super) async fn ask(
        &self,
        key: &SecretString,
        path: &str,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<Vec<u8>, Error> {
        let answer = self.call(key, path, request).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer, key));
        }
        Ok(answer.body)
    }

    /// Makes one call and gives the answer, whatever it says.
    pub(super) async fn call(
        &self,
        key: &SecretString,
        path: &str,
        request: impl Fn(Url) -> RequestBuilder,
    ) -> Result<Answer, Error> {
        let mut header = HeaderValue::from_str(key.expose_secret())
            .map_err(|_| Error::Unauthorized(StatusCode::UNAUTHORIZED))?;
        header.set_sensitive(true);
        let mut url = self.base_url.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.base_url.path().trim_end_matches('/')
        ));
        let response = once_more_if_refused(async || {
            let call = request(url.clone());
            call.header("partner-api-key", header.clone()).send().await
        })
        .await
        .map_err(unavailable)?;
        Answer::read(response).await
    }

    /// Takes the link out of either documented envelope, or of none: old samples show the bare object.
    fn link_in(&self, answer: &[u8]) -> Result<String, Error> {
        let unusable = |why: &str| Error::InvalidResponse(why.to_owned());
        let root: Value = serde_json::from_slice(answer).map_err(|_| unusable("it is not JSON"))?;
        let data = root.get("data").unwrap_or(&root);
        let link = data
            .get("kycLink")
            .and_then(Value::as_str)
            .ok_or_else(|| unusable("it holds no kycLink"))?;
        if !self.trusts(link) {
            return Err(unusable("its kycLink is no https address"));
        }
        Ok(link.to_owned())
    }

    /// A link is handed to people to open, so it must be https; only a provider on this machine may use plain http.
    pub fn trusts(&self, link: &str) -> bool {
        let clean =
            link.len() <= LINK_LENGTH_CAP && link.bytes().all(|byte| byte.is_ascii_graphic());
        let Ok(url) = Url::parse(link) else {
            return false;
        };
        let anonymous = url.username().is_empty() && url.password().is_none();
        let safe = match url.scheme() {
            "https" => url.host().is_some(),
            "http" => is_loopback(&url) && is_loopback(&self.base_url),
            _ => false,
        };
        clean && anonymous && safe
    }
}

/// Nothing can have been sent over a connection that was refused, so that, and only that, is tried again, once.
async fn once_more_if_refused<T>(
    attempt: impl AsyncFn() -> reqwest::Result<T>,
) -> reqwest::Result<T> {
    match attempt().await {
        Err(error) if refused(&error) => {
            tokio::time::sleep(REFUSED_PAUSE).await;
            attempt().await
        }
        answer => answer,
    }
}

fn refused(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.kind() == std::io::ErrorKind::ConnectionRefused;
        }
        source = cause.source();
    }
    false
}

pub(super) fn unavailable(error: reqwest::Error) -> Error {
    let reason = if refused(&error) {
        "it refused the connection"
    } else if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection could be made"
    } else {
        "the connection broke"
    };
    Error::Unavailable {
        reason: reason.to_owned(),
        retry_after: None,
    }
}

/// What an answer other than a success means.
///
/// A 401 has two meanings that only the message tells apart: a bad key, and a user of another partner
/// (`reference/userpartnercontrollerv2_createverificationlink`, "user ownership errors"). A 404 without a JSON object comes
/// from a gateway or a wrong path, and says nothing about a user.
pub(super) fn refusal(answer: &Answer, key: &SecretString) -> Error {
    let (status, retry_after, body) = (answer.status, answer.retry_after, &answer.body);
    match status.as_u16() {
        status @ (400 | 409 | 422) => Error::Rejected {
            status,
            code: error_code(body),
            message: error_message(body)
                .filter(|message| !message.contains(key.expose_secret()))
                .map(|message| message.chars().take(MESSAGE_CAP).collect()),
        },
        401 if error_message(body).is_some_and(|message| message.contains("not associated")) => {
            Error::UserNotFound
        }
        401 | 403 => Error::Unauthorized(status),
        404 if answer.is_object() => Error::UserNotFound,
        404 => Error::InvalidResponse("its 404 has no JSON object".to_owned()),
        429 => Error::RateLimited(retry_after),
        500..=599 => Error::Unavailable {
            reason: format!("it answered {}", status.as_u16()),
            retry_after,
        },
        other => Error::InvalidResponse(format!("its status is {other}")),
    }
}

/// The places where error bodies have been seen to carry a code.
fn error_code(answer: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(answer).ok()?;
    let places = [
        body.pointer("/error/code"),
        body.get("code"),
        body.get("errorCode"),
        body.get("error"),
    ];
    let code = places.into_iter().flatten().find_map(Value::as_str)?;
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (code.len() <= 64 && code.bytes().all(usual)).then(|| code.to_owned())
}

/// The provider's own sentence, or all of them: its validator gives a list
/// (`{"statusCode":400,"message":["…","…"]}`). They are joined, and hold no control characters.
fn error_message(answer: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(answer).ok()?;
    let places = [body.pointer("/error/message"), body.get("message")];
    places.into_iter().flatten().find_map(sentences)
}

fn sentences(value: &Value) -> Option<String> {
    let said = match value {
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
    let said: Vec<String> = said.iter().filter_map(Value::as_str).map(clean).collect();
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests;
