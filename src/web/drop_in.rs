//! The provider's own paths against our address: a client that was made for the provider changes nothing but the address,
//! and gains tracking. Envelopes and status codes are the provider's; errors get their shape in `boundary.rs`.

use actix_web::http::header::{CONTENT_TYPE, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use super::connection::beside;
use super::extract::{Caller, JsonBody, RawJson};
use crate::capa::users::Passed;
use crate::error::{Error, Written};
use crate::kyc::link_request::LinkRequest;
use crate::{issue, learn};

/// The envelope of `kyc/verification-link` (`v1.0/reference/kycpartnercontrollerv2_generatedirectlink`).
#[derive(Serialize, ToSchema)]
pub struct Direct<T> {
    #[schema(examples("ok"))]
    status: &'static str,
    data: T,
}

/// The envelope of everything below `users` (`reference/userpartnercontrollerv2_createverificationlink`).
#[derive(Serialize, ToSchema)]
pub struct OfUser<T> {
    #[schema(examples(true))]
    success: bool,
    data: T,
}

/// A link in the provider's envelopes.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkData {
    /// Where the person verifies itself.
    #[schema(format = Uri, examples("https://kyc.example/session/8f14e45f"))]
    kyc_link: String,
}

/// How often a link is asked for when news about the user overtakes it.
const TRIES: usize = 2;

/// The link of the user in the body; 201 also for one that was open already.
pub async fn create_link(
    http: HttpRequest,
    caller: Caller,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let request = LinkRequest::parse_as_provider(&body.0).map_err(Error::invalid_request)?;
    let data = link(&http, caller, request).await?;
    let status = "ok";
    Ok(HttpResponse::Created().json(Direct { status, data }))
}

/// The same for the user in the path.
pub async fn create_users_link(
    http: HttpRequest,
    caller: Caller,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let user_id = http.match_info().get("userId").unwrap_or_default();
    let request =
        LinkRequest::parse_as_provider_for(user_id, &body.0).map_err(Error::invalid_request)?;
    let data = link(&http, caller, request).await?;
    let success = true;
    Ok(HttpResponse::Created().json(OfUser { success, data }))
}

/// A user whom a webhook decides while the link is made has no link to hand out. Asked again, a verified one is refused and a
/// rejected one gets the link of its next attempt, as if the webhook had come before.
async fn link(http: &HttpRequest, caller: Caller, request: LinkRequest) -> Result<LinkData, Error> {
    let issued = beside(http, async move {
        for _ in 0..TRIES {
            let issued = issue::link_for(&caller, caller.partner(), request.clone(), None).await?;
            if let Some(kyc_link) = issued.user.kyc_link {
                return Ok(LinkData { kyc_link });
            }
        }
        Err(Error::overtaken())
    });
    issued.await
}

/// Creates a user at the provider: its answer comes back unchanged.
pub async fn create_user(
    http: HttpRequest,
    caller: Caller,
    body: RawJson,
) -> Result<HttpResponse, Error> {
    let passed = beside(&http, async move {
        learn::pass_on(&caller, caller.partner(), body.bytes, &body.value).await
    });
    passed.await.map(hand_back)
}

/// An error of the provider's has its body already; what it means is for the log alone.
fn hand_back(passed: Passed) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(passed.status);
    let mut answer = HttpResponse::build(status.unwrap_or_default());
    if let Some(kind) = passed.content_type {
        answer.insert_header((CONTENT_TYPE, kind));
    }
    let refusal = passed.refusal.map(Error::from_passing_on);
    let waits = matches!(passed.status, 429 | 503);
    let seconds = refusal.as_ref().and_then(Error::retry_after);
    if let Some(seconds) = seconds.filter(|_| waits) {
        answer.insert_header((RETRY_AFTER, seconds));
    }
    let mut answer = answer.body(passed.body);
    if let Some(refusal) = refusal {
        answer.extensions_mut().insert(Written(Some(refusal)));
    }
    answer
}
