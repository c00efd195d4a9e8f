//! The provider's routes that a tracker calls for a person: create user, create link, read details.
//!
//! Paths, envelopes and status codes are Capa's own, with both of its envelopes: which one a route has is a matter of
//! its controller and not of its version. Bodies and `personalInfo` are never logged.

use std::future::{Ready, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret as _;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fault::{Mode, lasting};
use super::link_request::{LinkRequest, text};
use super::refusal::Refusal;
use super::state::{AccountIndex, Session, UserType, Verdict, rfc3339};
use super::{Account, Shared};

/// Longer ids are refused, so that the bound on users bounds the memory as well.
const MAX_ID: usize = 200;

/// A body as it came; a handler decides what an unreadable one means.
pub(super) type Body = Result<web::Bytes, actix_web::Error>;

/// The account whose key the request carries. Taking it as the first argument is the key check.
#[derive(Clone, Copy)]
pub(super) struct Caller(pub(super) AccountIndex);

impl FromRequest for Caller {
    type Error = Refusal;
    type Future = Ready<Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(match request.app_data::<web::Data<Shared>>() {
            Some(shared) => caller(request, &shared.accounts),
            None => Err(Refusal::key_unknown()),
        })
    }
}

fn caller(request: &HttpRequest, accounts: &[Account]) -> Result<Caller, Refusal> {
    let mut keys = request.headers().get_all("partner-api-key");
    let key = keys.next().ok_or(Refusal::key_missing())?;
    if key.is_empty() {
        return Err(Refusal::key_missing());
    }
    // What makes a key malformed is not documented; two headers or an unprintable key are never a good one.
    let key = match (key.to_str(), keys.next()) {
        (Ok(key), None) => key,
        _ => return Err(Refusal::key_malformed()),
    };
    accounts
        .iter()
        .position(|account| account.api_key.expose_secret() == key)
        .map(|index| Caller(AccountIndex(index)))
        .ok_or(Refusal::key_unknown())
}

/// `POST users`: `reference/userpartnercontrollerv2_createuser`.
///
/// A duplicate is a conflict here; the pages leave open whether it is a 400, a 409 or a 500.
pub(super) async fn create_user(
    caller: Caller,
    shared: web::Data<Shared>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let body = object(body)?;
    let user_type = match text(&body, "type") {
        Some("INDIVIDUAL") => UserType::Individual,
        Some("BUSINESS") => UserType::Business,
        _ => {
            return Err(Refusal::invalid_input(
                "type must be INDIVIDUAL or BUSINESS",
            ));
        }
    };
    let email = text(&body, "email").ok_or(Refusal::invalid_input("email is required"))?;
    if !is_email(email) {
        return Err(Refusal::invalid_email());
    }
    for name in ["externalUserId", "alias"] {
        let wrong = match body.get(name) {
            None | Some(Value::Null) => false,
            Some(_) => text(&body, name).is_none_or(|text| text.len() > MAX_ID),
        };
        if wrong {
            return Err(Refusal::invalid_input(
                "externalUserId and alias must be texts of at most 200 bytes",
            ));
        }
    }
    let external_user_id = text(&body, "externalUserId");
    let user_id = shared
        .state()
        .create_user(caller.0, user_type, email, external_user_id)?;
    Ok(HttpResponse::Created().json(json!({ "success": true, "data": { "userId": user_id } })))
}

/// `POST users/{userId}/kyc/verification-link`: `reference/userpartnercontrollerv2_createverificationlink`.
pub(super) async fn create_link(
    caller: Caller,
    shared: web::Data<Shared>,
    user_id: web::Path<String>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let request = LinkRequest::read(&object(body)?)?;
    let link = open_session(&shared, caller, &user_id, request)?;
    Ok(HttpResponse::Created().json(json!({ "success": true, "data": { "kycLink": link } })))
}

/// `POST kyc/verification-link`: `v1.0/reference/kycpartnercontrollerv2_generatedirectlink`.
pub(super) async fn create_link_with_info(
    caller: Caller,
    shared: web::Data<Shared>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let body = object(body)?;
    let user_id = text(&body, "userId").ok_or(Refusal::invalid_input("userId is required"))?;
    let request = LinkRequest::read_with_info(&body)?;
    let link = open_session(&shared, caller, user_id, request)?;
    Ok(HttpResponse::Created().json(json!({ "status": "ok", "data": { "kycLink": link } })))
}

/// `GET kyc/details?userId=`: `reference/kycpartnercontrollerv2_getuserverificationdetails`.
pub(super) async fn details(
    caller: Caller,
    shared: web::Data<Shared>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let user_id = url::form_urlencoded::parse(request.query_string().as_bytes())
        .find(|(name, value)| name == "userId" && !value.is_empty())
        .map(|(_, value)| value.into_owned())
        .ok_or(Refusal::invalid_input(
            "the query parameter userId is required",
        ))?;
    let mut state = shared.state();
    let wait = shared.scaled(lasting(state.fault.seconds));
    let lag = state
        .fault
        .take(&[Mode::Lag])
        .map_or(Duration::ZERO, |_| wait);
    let (session_id, session) = state.latest_session(caller.0, &user_id)?;
    let data = details_of(session_id, session, session.verdict_seen_after(lag));
    Ok(HttpResponse::Ok().json(json!({ "status": "ok", "data": data })))
}

/// The body as a JSON object, which every documented body is.
pub(super) fn object(body: Body) -> Result<Map<String, Value>, Refusal> {
    let bytes = body.map_err(|_| Refusal::invalid_input("the body is unreadable or too large"))?;
    serde_json::from_slice(&bytes)
        .map_err(|_| Refusal::invalid_input("the body must be a JSON object"))
}

/// An id that a URL, a log line and the memory can bear.
pub(super) fn is_id(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= MAX_ID && !text.chars().any(char::is_control)
}

fn open_session(
    shared: &Shared,
    caller: Caller,
    user_id: &str,
    request: LinkRequest,
) -> Result<String, Refusal> {
    if !is_id(user_id) {
        return Err(Refusal::invalid_input(
            "userId must have 1 to 200 printable bytes",
        ));
    }
    // Whoever has the link can decide the verification, so a sequential or timed id would not do.
    let mut random = [0; 16];
    shared
        .random
        .fill(&mut random)
        .map_err(|_| Refusal::internal("Failed to create verification link"))?;
    let session_id = uuid::Builder::from_random_bytes(random).into_uuid();
    shared
        .state()
        .open_session(caller.0, user_id, session_id, request)?;
    Ok(format!("{}verify/{session_id}", shared.base_url))
}

/// The whole documented shape, so that a reader meets all the personal data it is meant to leave unread.
fn details_of(session_id: Uuid, session: &Session, verdict: Option<Verdict>) -> Value {
    let result = verdict.map_or("UNKNOWN", |verdict| verdict.result());
    let section = match verdict {
        Some(_) => "COMPLETED",
        None => "NOT_STARTED",
    };
    let mut reference_data = Map::new();
    if let Some(info) = &session.personal_info {
        reference_data.insert("personalInfo".to_owned(), info.clone());
    }
    json!({
        "aipriseSummary": { "verificationResult": result },
        "clientReferenceId": session.user_id,
        "clientReferenceData": reference_data,
        "verificationSessionId": session_id.to_string(),
        "createdAt": rfc3339(session.created_at),
        "faceLivenessInfo": {
            "result": result, "status": section, "section_id": "face-liveness",
            "statusReasons": [{ "code": "SANDBOX", "message": "Decided by a click, not by a camera" }],
            "warnings": [],
        },
        "faceMatchInfo": { "faceMatchScore": 0.97 },
        "fraudInsights": {},
        "idInfo": {
            "fullName": "Sandbox Person Example", "idNumber": "SANDBOX-000000", "birthDate": "1978-02-11",
            "issueCountryCode": session.country, "address": "1 Example Street",
        },
        "amlInfo": { "numHits": 0, "entityHits": [] },
        "media": {
            "frontIdImageUrl": "https://media.invalid/front.jpg",
            "backIdImageUrl": "https://media.invalid/back.jpg",
            "selfieImageUrl": "https://media.invalid/selfie.jpg",
            "selfieVideoUrl": "https://media.invalid/selfie.mp4",
        },
    })
}

/// Only what keeps obvious mistakes out; the provider's own rule is not documented.
fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(name, domain)| {
        !name.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !domain.contains('@')
    }) && text.len() <= 254
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
