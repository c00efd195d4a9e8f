//! The controls of the stand-in itself: whose webhooks carry which id, and what goes wrong.
//!
//! They need no key, because only this machine can reach them. A browser on this machine can be told to call them by
//! any page it has open, though, so a request that names another origin is refused, here and on the clicks.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{HOST, HeaderMap, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use serde_json::json;
use url::Url;

use super::Shared;
use super::api::{Body, is_id, object};
use super::fault::Fault;
use super::link_request::text;
use super::refusal::Refusal;
use super::state::AccountIndex;
use crate::kyc::loopback::is_loopback;

/// `POST /sandbox/users` `{"account","userId","externalUserId"}`: see [`super::Sandbox::adopt`].
pub(super) async fn put_user(
    shared: web::Data<Shared>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let body = object(body)?;
    let field = |name| text(&body, name);
    let (Some(account), Some(user_id), Some(external_user_id)) =
        (field("account"), field("userId"), field("externalUserId"))
    else {
        return Err(Refusal::invalid_input(
            "account, userId and externalUserId are required",
        ));
    };
    adopt(&shared, account, user_id, external_user_id)?;
    Ok(HttpResponse::Ok().json(json!({
        "account": account, "userId": user_id, "externalUserId": external_user_id,
    })))
}

/// Finds the account by name and lets it adopt the user.
pub(super) fn adopt(
    shared: &Shared,
    account: &str,
    user_id: &str,
    external_user_id: &str,
) -> Result<(), Refusal> {
    let index = shared
        .accounts
        .iter()
        .position(|known| known.name == account)
        .ok_or(Refusal::account_not_found())?;
    if !is_id(user_id) || !is_id(external_user_id) {
        return Err(Refusal::invalid_input(
            "ids must have 1 to 200 printable bytes",
        ));
    }
    shared
        .state()
        .adopt(AccountIndex(index), user_id, external_user_id)
}

/// `GET /sandbox/faults`: the fault in force, with what is left of its count.
pub(super) async fn get_fault(shared: web::Data<Shared>) -> HttpResponse {
    HttpResponse::Ok().json(shared.state().fault)
}

/// `POST /sandbox/faults`: replaces the fault in force.
pub(super) async fn set_fault(
    shared: web::Data<Shared>,
    body: Body,
) -> Result<HttpResponse, Refusal> {
    let fault: Fault = serde_json::from_value(object(body)?.into())
        .map_err(|_| Refusal::invalid_input("mode is unknown, or count or seconds is no number"))?;
    shared.state().fault = fault;
    log::info!(mode:? = fault.mode; "The sandbox's fault was changed.");
    Ok(HttpResponse::Ok().json(fault))
}

/// Refuses whatever a page of another origin sends.
pub(super) async fn own_origin_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if !is_own_origin(request.headers()) {
        return Ok(request.error_response(Refusal::other_origin()));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// The same for the page's clicks; looking at the page is free, since links to it come from elsewhere.
pub(super) async fn own_clicks_only(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if request.method() == Method::GET {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    own_origin_only(request, next).await
}

/// Whether the origin, if any, is the host that was asked, by a loopback name.
///
/// The name counts because a foreign name made to resolve to this machine would equal its own host.
fn is_own_origin(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN);
    let Some(origin) = origins.next() else {
        return true;
    };
    let (Ok(origin), None) = (origin.to_str(), origins.next()) else {
        return false;
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = host.and_then(|host| Url::parse(&format!("http://{host}")).ok());
    match (Url::parse(origin), own) {
        (Ok(origin), Some(own)) => origin.origin() == own.origin() && is_loopback(&own),
        _ => false,
    }
}
