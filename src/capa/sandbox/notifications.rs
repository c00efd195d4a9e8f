//! The provider's routes about webhooks: the one URL of an account, and the record of what was sent to it.
//!
//! A notification is one event for one user, whatever number of attempts it takes. The rules of manual retries are
//! those of `reference/webhooknotificationpartnerv2controller_retrynotification`; the attempts themselves are made in
//! `deliver`. The order of the list is not documented; here the newest stands first.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::api::{Body, Caller, object};
use super::refusal::Refusal;
use super::state::{AccountIndex, Hook, State, now, rfc3339};
use super::{Shared, deliver};

const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;
const MAX_MANUAL_RETRIES: u32 = 3;
const MANUAL_RETRIES_A_MINUTE: usize = 10;

/// Where a notification stands, in the provider's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Pending,
    Sent,
    Failed,
    NotSent,
}

impl Status {
    const ALL: [Self; 4] = [Self::Pending, Self::Sent, Self::Failed, Self::NotSent];

    fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::NotSent => "NOT_SENT",
        }
    }
}

/// One event, and how telling the partner about it went.
pub(super) struct Notification {
    pub(super) account: AccountIndex,
    pub(super) event: &'static str,
    pub(super) external_user_id: Option<String>,
    pub(super) status: Status,
    /// Automatic retries of the current cycle; its first attempt is not counted.
    pub(super) retry_attempts: u32,
    manual_retries: u32,
    pub(super) latest_error: Option<Value>,
    last_manual_retry_at: Option<DateTime<Utc>>,
    version: u32,
    created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Notification {
    pub(super) fn new(
        account: AccountIndex,
        event: &'static str,
        external_user_id: Option<String>,
        status: Status,
    ) -> Self {
        let now = now();
        Self {
            account,
            event,
            external_user_id,
            status,
            retry_attempts: 0,
            manual_retries: 0,
            latest_error: None,
            last_manual_retry_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    fn row(&self, id: Uuid) -> Value {
        json!({
            "id": id.to_string(),
            "status": self.status.name(),
            "eventType": self.event,
            "retryAttempts": self.retry_attempts,
            "manualRetryCount": self.manual_retries,
            "createdAt": rfc3339(self.created_at),
            "updatedAt": rfc3339(self.updated_at),
        })
    }

    fn detail(&self, id: Uuid) -> Value {
        json!({
            "id": id.to_string(),
            "status": self.status.name(),
            "retryAttempts": self.retry_attempts,
            "manualRetryCount": self.manual_retries,
            "payload": { "type": "KYC", "event": self.event, "externalUserId": self.external_user_id },
            "latestErrorPayload": self.latest_error,
            "lastManualRetryAt": self.last_manual_retry_at.map(rfc3339),
            "version": self.version,
            "createdAt": rfc3339(self.created_at),
            "updatedAt": rfc3339(self.updated_at),
        })
    }
}

/// `PUT webhook-settings`: `reference/webhook-settings`. Only loopback is accepted, which is the sandbox's own rule.
pub(super) async fn put_settings(
    caller: Caller,
    shared: web::Data<Shared>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let body = object(body)?;
    let url = match body.get("url") {
        Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let url = Url::parse(text).ok().filter(deliver::is_allowed);
            Some(url.ok_or(Refusal::invalid_input(
                "the sandbox posts to http(s) URLs on a loopback host only",
            ))?)
        }
        _ => return Err(Refusal::invalid_input("url must be a URL or null")),
    };
    let mut state = shared.state();
    let hook = &mut state.hooks[caller.0.0];
    hook.url = url;
    hook.updated_at = now();
    Ok(HttpResponse::Ok().json(json!({ "success": true, "data": settings(hook) })))
}

/// `GET webhook-notifications`: `reference/webhooknotificationpartnerv2controller_listnotifications`.
pub(super) async fn list(
    caller: Caller,
    shared: web::Data<Shared>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let query = Query::read(request.query_string())?;
    let state = shared.state();
    let wanted = |notification: &Notification| {
        notification.account == caller.0
            && query
                .status
                .is_none_or(|status| notification.status == status)
    };
    let (mut total, mut rows) = (0_usize, Vec::new());
    for (id, notification) in state.notifications.newest_first() {
        if wanted(notification) {
            if total >= query.skip && rows.len() < query.limit {
                rows.push(notification.row(*id));
            }
            total += 1;
        }
    }
    let data = json!({ "count": rows.len(), "total": total, "data": rows });
    Ok(HttpResponse::Ok().json(json!({ "success": true, "data": data })))
}

/// `GET webhook-notifications/{id}`: `reference/webhooknotificationpartnerv2controller_getnotification`.
pub(super) async fn get(
    caller: Caller,
    shared: web::Data<Shared>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let mut state = shared.state();
    let (id, notification) = find(&mut state, caller, &id)?;
    let data = notification.detail(id);
    Ok(HttpResponse::Ok().json(json!({ "success": true, "data": data })))
}

/// `POST webhook-notifications/{id}/retry`: starts a whole automatic cycle again.
///
/// The status of a success is not documented; 201 is what the provider's other POST routes answer.
pub(super) async fn retry(
    caller: Caller,
    shared: web::Data<Shared>,
    id: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let (id, data) = queue_retry(&mut shared.state(), caller, &id)?;
    deliver::again(&Arc::clone(&shared), id);
    Ok(HttpResponse::Created().json(json!({ "success": true, "data": data })))
}

fn queue_retry(state: &mut State, caller: Caller, id: &str) -> Result<(Uuid, Value), Refusal> {
    let now = now();
    let (_, notification) = find(state, caller, id)?;
    if notification.status != Status::Failed {
        return Err(Refusal::conflict("Notification is not in FAILED status"));
    }
    if notification.manual_retries >= MAX_MANUAL_RETRIES {
        return Err(Refusal::conflict(
            "Notification has reached the maximum of manual retries",
        ));
    }
    let recent = &mut state.hooks[caller.0.0].manual_retries;
    recent.retain(|at| now - *at < TimeDelta::minutes(1));
    if recent.len() >= MANUAL_RETRIES_A_MINUTE {
        return Err(Refusal::too_many_requests(
            "At most 10 manual retries per minute are allowed",
        ));
    }
    recent.push_back(now);
    let (id, notification) = find(state, caller, id)?;
    notification.status = Status::Pending;
    notification.retry_attempts = 0;
    notification.latest_error = None;
    notification.manual_retries += 1;
    notification.last_manual_retry_at = Some(now);
    notification.version += 1;
    notification.updated_at = now;
    Ok((id, notification.detail(id)))
}

/// The caller's own notification; another account's is as unknown as one that never was.
fn find<'a>(
    state: &'a mut State,
    caller: Caller,
    id: &str,
) -> Result<(Uuid, &'a mut Notification), Refusal> {
    let id = Uuid::parse_str(id).map_err(|_| Refusal::notification_not_found())?;
    let found = state.notifications.get_mut(&id);
    found
        .filter(|notification| notification.account == caller.0)
        .map(|notification| (id, notification))
        .ok_or(Refusal::notification_not_found())
}

/// Unlike every other page, this one separates date and time by a space and names no zone.
fn settings(hook: &Hook) -> Value {
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%d %H:%M:%S%.3f").to_string();
    json!({
        "id": hook.id.to_string(),
        "partnerId": hook.partner_id.to_string(),
        "url": hook.url.as_ref().map(Url::as_str),
        "createdAt": time(hook.created_at),
        "updatedAt": time(hook.updated_at),
    })
}

struct Query {
    status: Option<Status>,
    skip: usize,
    limit: usize,
}

impl Query {
    fn read(text: &str) -> Result<Self, Refusal> {
        let mut query = Self {
            status: None,
            skip: 0,
            limit: DEFAULT_LIMIT,
        };
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "status" => {
                    let status = Status::ALL.into_iter().find(|known| known.name() == value);
                    query.status = Some(status.ok_or(Refusal::invalid_input("unknown status"))?);
                }
                "skip" => {
                    let skip = value.parse();
                    query.skip = skip.map_err(|_| Refusal::invalid_input("skip is no number"))?;
                }
                "limit" => {
                    let limit = value.parse().ok();
                    query.limit = limit
                        .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                        .ok_or(Refusal::invalid_input("limit must be 1 to 100"))?;
                }
                // Sorting exists, but its parameters are not documented.
                _ => {}
            }
        }
        Ok(query)
    }
}
