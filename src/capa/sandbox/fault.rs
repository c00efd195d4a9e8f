//! Makes the sandbox misbehave on purpose, in the ways a provider does.
//!
//! One fault is in force at a time. The faults of requests act on the provider's routes only, never on the page or
//! the controls, so that a fault can always be taken back. The faults of webhooks are asked for by the deliveries.
//! `lag` is asked for by the reading of details. What a fault leaves of the work matters: `slow` and `garbage` have done
//! it, `error_500` and the rest have not.

use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, ResponseError as _, web};
use serde::{Deserialize, Serialize};

use super::Shared;
use super::refusal::Refusal;

/// Longer waits would outlive every client's patience and only hold memory.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// What goes wrong, how often, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of misbehaviour.
    pub mode: Mode,
    /// How many requests, webhooks or (for `reorder`) clicks it still meets; without it, until it is changed.
    #[serde(default)]
    pub count: Option<u32>,
    /// How long `slow` waits, at most ten minutes; how long on the documented schedule `delay` and `lag` last.
    #[serde(default = "default_seconds")]
    pub seconds: u64,
}

/// The kinds of misbehaviour, named in JSON as the variants' comments begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// `none`: everything works.
    None,
    /// `error_500`: the request is refused before any work.
    #[serde(rename = "error_500")]
    Error500,
    /// `rate_limited_429`: the request is refused with `Retry-After: 7`.
    #[serde(rename = "rate_limited_429")]
    RateLimited429,
    /// `slow`: the answer comes after [`Fault::seconds`].
    Slow,
    /// `garbage`: the work is done and answered with success, but the JSON breaks off.
    Garbage,
    /// `html`: a gateway's 502 page.
    Html,
    /// `drop`: the webhook is never sent, yet recorded as `SENT`, like one whose acknowledged delivery was lost.
    Drop,
    /// `duplicate`: every webhook is sent twice.
    Duplicate,
    /// `reorder`: the events of one click are sent in reverse.
    Reorder,
    /// `delay`: the webhook's first attempt is made only after [`Fault::seconds`], and holds up no other webhook.
    Delay,
    /// `corrupt`: the webhook's first attempt carries a wrong signature; its retries carry the right one.
    Corrupt,
    /// `lag`: for [`Fault::seconds`] after a click, `kyc/details` still answers what was true before it.
    Lag,
}

impl Fault {
    /// A fault that stays until it is changed.
    pub fn new(mode: Mode) -> Self {
        Self {
            mode,
            count: None,
            seconds: default_seconds(),
        }
    }

    /// The mode in force if it is one of these, used up by one.
    pub(super) fn take(&mut self, among: &[Mode]) -> Option<Mode> {
        let mode = self.mode;
        if !among.contains(&mode) {
            return None;
        }
        match &mut self.count {
            Some(0) => *self = Self::new(Mode::None),
            Some(1) => {
                *self = Self::new(Mode::None);
                return Some(mode);
            }
            Some(left) => *left -= 1,
            None => {}
        }
        (self.mode == mode).then_some(mode)
    }
}

/// How long a fault lasts that names this many seconds.
pub(super) fn lasting(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}

fn default_seconds() -> u64 {
    30
}

/// Lets the current fault meet a request on the provider's routes.
pub(super) async fn act(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let taken = request.app_data::<web::Data<Shared>>().and_then(|shared| {
        let mut state = shared.state();
        let wait = lasting(state.fault.seconds);
        let mode = state.fault.take(&[
            Mode::Error500,
            Mode::RateLimited429,
            Mode::Slow,
            Mode::Garbage,
            Mode::Html,
        ])?;
        Some((mode, wait))
    });
    let answer = match taken {
        Some((Mode::Error500, _)) => Refusal::internal("Internal Server Error").error_response(),
        Some((Mode::RateLimited429, _)) => {
            let mut answer = Refusal::too_many_requests("Too many requests").error_response();
            answer.headers_mut().insert(
                actix_web::http::header::RETRY_AFTER,
                actix_web::http::header::HeaderValue::from_static("7"),
            );
            answer
        }
        Some((Mode::Html, _)) => HttpResponse::BadGateway()
            .content_type("text/html; charset=utf-8")
            .body("<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"),
        Some((Mode::Garbage, _)) => {
            let real = next.call(request).await?.map_into_boxed_body();
            if !real.status().is_success() {
                return Ok(real);
            }
            let broken = HttpResponse::build(real.status())
                .content_type("application/json")
                .body(r#"{"success":true,"status":"ok","data":{"kycLink":"htt"#);
            return Ok(real.into_response(broken));
        }
        Some((Mode::Slow, wait)) => {
            let real = next.call(request).await?.map_into_boxed_body();
            tokio::time::sleep(wait).await;
            return Ok(real);
        }
        _ => return Ok(next.call(request).await?.map_into_boxed_body()),
    };
    Ok(request.into_response(answer))
}
