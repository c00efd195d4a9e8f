//! Sends webhooks, signed, with the provider's retries.
//!
//! One click's events are attempted one after the other; an event whose first attempt failed goes on in a task of its
//! own, so that it cannot hold up the next. Nothing is ever sent to a host that is not this machine, whatever a name
//! resolves to. The schedule is the table in `docs/how-our-webhooks-work`, read as waits after the former failure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::Shared;
use super::fault::{Fault, Mode, lasting};
use super::notifications::Status;
use super::state::{AccountIndex, Click, now};
use crate::capa::signature;
use crate::kyc::loopback::is_loopback;

/// Minutes before each automatic retry, after the failure of the attempt before it.
const RETRY_MINUTES: [u64; 5] = [0, 1, 5, 10, 15];

/// Not documented by the provider; it shows as a failure like any other.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How much of a receiver's answer is kept as `latestErrorPayload`.
const KEPT_ANSWER: usize = 4 * 1024;

/// The whole KYC payload, in the documented order of keys (`docs/kyc-events`).
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    r#type: &'static str,
    event: &'a str,
    external_user_id: Option<&'a str>,
}

/// How the fault in force wants an event treated, settled when the event happens.
#[derive(Clone, Copy)]
enum Treatment {
    Send,
    SendTwice,
    Pretend,
    SendLater(Duration),
    SendCorrupted,
}

/// A client that ignores proxies and redirects, and takes `localhost` for loopback without asking a resolver.
pub(super) fn client() -> reqwest::Result<reqwest::Client> {
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ]
    .map(|address| SocketAddr::new(address, 0));
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .resolve_to_addrs("localhost", &loopback)
        // Nothing on this machine is expected to have a certificate, and the machine may have none to check it by.
        .tls_certs_only([])
        .build()
}

/// Whether webhooks may go to this URL at all.
pub(super) fn is_allowed(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && is_loopback(url)
}

/// Sends what a click set off. Returns at once; the attempts run in the background.
pub(super) fn emit(shared: &Arc<Shared>, click: Click) {
    let mut notifications: Vec<(Uuid, Treatment)> = Vec::new();
    {
        let mut state = shared.state();
        for id in click.notifications {
            let status = state.notifications.get(&id).map(|found| found.status);
            if status == Some(Status::Pending) {
                notifications.push((id, Treatment::take(&mut state.fault)));
            }
        }
        if notifications.len() > 1 && state.fault.take(&[Mode::Reorder]).is_some() {
            notifications.reverse();
        }
    }
    let turn = click.turn;
    let worker = Arc::clone(shared);
    shared.spawn(async move {
        let _turn = turn.lock().await;
        for (id, treatment) in notifications {
            if matches!(treatment, Treatment::SendLater(_)) {
                let delaying = Arc::clone(&worker);
                worker.spawn(async move { cycle(&delaying, id, treatment).await });
            } else if !attempt(&worker, id, treatment, 0).await {
                let retrying = Arc::clone(&worker);
                worker.spawn(async move { keep_trying(&retrying, id, treatment).await });
            }
        }
    });
}

/// Starts a whole cycle of attempts for a notification that a manual retry has set to `PENDING`.
pub(super) fn again(shared: &Arc<Shared>, id: Uuid) {
    let treatment = Treatment::take(&mut shared.state().fault);
    let worker = Arc::clone(shared);
    shared.spawn(async move { cycle(&worker, id, treatment).await });
}

impl Treatment {
    /// Uses the fault in force up by one webhook, if it is one of webhooks.
    fn take(fault: &mut Fault) -> Self {
        let wait = lasting(fault.seconds);
        match fault.take(&[Mode::Drop, Mode::Duplicate, Mode::Delay, Mode::Corrupt]) {
            Some(Mode::Drop) => Self::Pretend,
            Some(Mode::Duplicate) => Self::SendTwice,
            Some(Mode::Delay) => Self::SendLater(wait),
            Some(Mode::Corrupt) => Self::SendCorrupted,
            _ => Self::Send,
        }
    }
}

/// Makes all attempts of a notification, the first one after the delay of its treatment.
async fn cycle(shared: &Shared, id: Uuid, treatment: Treatment) {
    if let Treatment::SendLater(wait) = treatment {
        tokio::time::sleep(shared.scaled(wait)).await;
    }
    if !attempt(shared, id, treatment, 0).await {
        keep_trying(shared, id, treatment).await;
    }
}

async fn keep_trying(shared: &Shared, id: Uuid, treatment: Treatment) {
    for (number, minutes) in (1..).zip(RETRY_MINUTES) {
        tokio::time::sleep(shared.scaled(Duration::from_secs(minutes * 60))).await;
        if attempt(shared, id, treatment, number).await {
            return;
        }
    }
}

/// Makes one attempt and records it; answers whether the notification needs no further one.
async fn attempt(shared: &Shared, id: Uuid, treatment: Treatment, retries: u32) -> bool {
    let Some((account, body, url)) = letter(shared, id) else {
        return true;
    };
    let secret = shared.accounts[account.0].webhook_secret.expose_secret();
    let signature = signature::sign(secret, body.as_bytes());
    let outcome = match (url, treatment) {
        (_, Treatment::Pretend) => Ok(()),
        (None, _) => Err(error_payload("No webhook URL is configured")),
        (Some(url), Treatment::SendTwice) => {
            let first = post(shared, account, &url, &body, &signature).await;
            // The second one is a surplus nobody knows of, so its outcome is not recorded.
            let _ = post(shared, account, &url, &body, &signature).await;
            first
        }
        (Some(url), Treatment::SendCorrupted) if retries == 0 => {
            // The right one backwards is as long and as well-formed.
            let wrong: String = signature.chars().rev().collect();
            post(shared, account, &url, &body, &wrong).await
        }
        (Some(url), _) => post(shared, account, &url, &body, &signature).await,
    };
    let delivered = outcome.is_ok();
    let mut state = shared.state();
    let Some(notification) = state.notifications.get_mut(&id) else {
        return true;
    };
    notification.retry_attempts = retries;
    notification.updated_at = now();
    match outcome {
        Ok(()) => notification.status = Status::Sent,
        Err(payload) => {
            notification.latest_error = Some(payload);
            if retries as usize == RETRY_MINUTES.len() {
                notification.status = Status::Failed;
                log::warn!(notification:% = id, event = notification.event; "A sandbox webhook failed for good.");
            }
        }
    }
    delivered
}

/// What to send where. The URL is read anew for each attempt, because it may have been changed meanwhile.
fn letter(shared: &Shared, id: Uuid) -> Option<(AccountIndex, String, Option<Url>)> {
    let state = shared.state();
    let notification = state.notifications.get(&id)?;
    let payload = Payload {
        r#type: "KYC",
        event: notification.event,
        external_user_id: notification.external_user_id.as_deref(),
    };
    let body = serde_json::to_string(&payload).ok()?;
    let url = state.hooks[notification.account.0].url.clone();
    Some((notification.account, body, url))
}

/// Posts once and counts what is acknowledged; a failure is what becomes `latestErrorPayload`.
async fn post(
    shared: &Shared,
    account: AccountIndex,
    url: &Url,
    body: &str,
    signature: &str,
) -> Result<(), Value> {
    let request = shared
        .http
        .post(url.clone())
        .header(CONTENT_TYPE, "application/json")
        .header(signature::HEADER, signature)
        .body(body.to_owned());
    let answer = request.send().await.map_err(|error| {
        error_payload(if error.is_timeout() {
            "The endpoint did not answer in time"
        } else {
            "The endpoint could not be reached"
        })
    })?;
    let status = answer.status();
    if status.is_success() {
        shared.state().acknowledge(account, body);
        return Ok(());
    }
    let parsed = read_answer(answer)
        .await
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    Err(parsed
        .unwrap_or_else(|| error_payload(&format!("The endpoint answered {}", status.as_u16()))))
}

/// The answer's body unless it is longer than what is kept, for a cut JSON text could not be read.
async fn read_answer(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut kept = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if kept.len() + chunk.len() > KEPT_ANSWER {
            return None;
        }
        kept.extend_from_slice(&chunk);
    }
    Some(kept)
}

/// The shape printed in `reference/webhooknotificationpartnerv2controller_getnotification`.
fn error_payload(message: &str) -> Value {
    json!({ "success": false, "error": { "message": message, "id": "" } })
}
