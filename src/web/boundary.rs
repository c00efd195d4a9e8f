//! What every request passes on its way in and out: the caps, its place among those in flight, its id, how its key stands,
//! the shape of its errors, how it is counted, its one line in the log.
//!
//! The log names the route and never the path, the query, a header or a body, because those carry ids and more.

use std::time::{Duration, Instant};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use uuid::Uuid;

use super::connection::InHand;
use super::{admin_page, caps, metrics, routes};
use crate::error::{Code, CodeOnly, Error, PROBLEM_JSON, Written, whole_seconds};
use crate::keys::Standing;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps the whole service.
pub async fn boundary<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let began = Instant::now();
    let id = request_id(&request);
    let in_hand = admit(&request);
    let mut response = match &in_hand {
        Ok(_) => next.call(request).await?.map_into_boxed_body(),
        Err(error) => refuse(request, error.clone()),
    };
    let error = shape(&mut response, &id);
    admin_page::harden(&mut response);
    let headers = response.headers_mut();
    // Answers are about a person or a secret of somebody's, so that no cache between may keep them, unless they say that
    // they are not.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    headers.insert(
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    let in_hand = in_hand.ok();
    if let Some(standing) = in_hand.as_ref().and_then(InHand::standing) {
        tell(response.headers_mut(), standing);
    }
    let rested = in_hand.as_ref().map_or(Duration::ZERO, InHand::rested);
    let took = began.elapsed();
    metrics::count(&response, error.as_ref(), took.saturating_sub(rested));
    report(&response, error.as_ref(), &id, took);
    Ok(response)
}

/// Whoever asks whether the process is alive needs no place: that it has much to do is no answer.
fn admit(request: &ServiceRequest) -> Result<InHand, Error> {
    let in_hand = InHand::begin(request.request())?;
    caps::check(request.head())?;
    if in_hand.takes_place() || request.path() == routes::ALIVE {
        return Ok(in_hand);
    }
    Err(Error::overloaded())
}

/// The answer in the shape of the route, although no route has been looked for.
fn refuse(request: ServiceRequest, error: Error) -> ServiceResponse<BoxBody> {
    let answer: HttpResponse = if request.path().starts_with(routes::WEBHOOKS) {
        CodeOnly(error).error_response()
    } else {
        error.error_response()
    };
    request.into_response(answer)
}

fn tell(headers: &mut HeaderMap, standing: Standing) {
    let mut set = |name, value: u64| headers.insert(HeaderName::from_static(name), value.into());
    set("ratelimit-limit", standing.limit);
    set("ratelimit-remaining", standing.remaining);
    set("ratelimit-reset", whole_seconds(standing.full_in));
}

/// A caller's id is taken if it can do no harm in a log, else one is made.
fn request_id(request: &ServiceRequest) -> String {
    let harmless = |id: &&str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=64).contains(&id.len()) && id.bytes().all(plain)
    };
    let given = request
        .headers()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        None => Uuid::now_v7().simple().to_string(),
    }
}

/// Writes the body of an error: ours came with the answer; one the framework made gets the code of its status.
fn shape(response: &mut ServiceResponse<BoxBody>, id: &str) -> Option<Error> {
    let written = response.response().extensions().get::<Written>().cloned();
    if let Some(Written(error)) = written {
        return error;
    }
    let ours = response.response().extensions().get::<Error>().cloned();
    let error = match ours {
        Some(error) => error,
        None if response.status().is_client_error() || response.status().is_server_error() => {
            let code = Code::of_status(response.status());
            Error::new(code, "The request could not be taken as it is.")
        }
        None => return None,
    };
    let (status, kind, body) = if is_drop_in(response.request()) {
        let (status, body) = error.as_provider();
        (status, "application/json", body)
    } else if admin_page::is_asked_for(response.request()) {
        let page = admin_page::show_fault(response.request(), &error, id);
        (response.status(), "text/html; charset=utf-8", page)
    } else {
        (response.status(), PROBLEM_JSON, error.problem(id))
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let empty = actix_web::HttpResponse::new(status);
    let answer = std::mem::replace(response.response_mut(), empty);
    *response.response_mut() = answer.set_body(BoxBody::new(body));
    *response.response_mut().status_mut() = status;
    Some(error)
}

/// Goes by the route that was found, since a path can be written in more than one way.
fn is_drop_in(request: &HttpRequest) -> bool {
    match request.match_pattern() {
        Some(route) => route.starts_with(routes::DROP_IN),
        None => request.path().starts_with(routes::DROP_IN),
    }
}

/// Failures are always logged; the rest only where somebody listens, because to name the route is not free. To refuse for
/// overload is no failure: it is counted where it is found, and a line for each would be a load of its own.
fn report(response: &ServiceResponse<BoxBody>, error: Option<&Error>, id: &str, took: Duration) {
    let overloaded = error.is_some_and(|error| error.code() == Code::Overloaded);
    let failed = response.status().is_server_error() && !overloaded;
    if !failed && !log::log_enabled!(log::Level::Debug) {
        return;
    }
    let status = response.status().as_u16();
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("none");
    let code = error.map_or("", |error| error.code().as_str());
    if failed {
        let source = error.and_then(Error::source).unwrap_or_default();
        log::error!(request_id = id, route, status, code, source; "A request failed.");
    } else {
        let micros = took.as_micros();
        let size = match response.response().body().size() {
            BodySize::Sized(size) => size,
            _ => 0,
        };
        log::debug!(request_id = id, route, status, code, micros, size; "A request was answered.");
    }
}
