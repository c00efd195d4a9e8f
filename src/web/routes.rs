//! Every route on one screen, grouped by who calls it.

use actix_web::dev::HttpServiceFactory;
use actix_web::guard;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder, ResponseError};

use super::metrics::{self, Measured};
use super::{
    admin, admin_page, button, drop_in, events, health, links, openapi, start, users, webhooks,
};
use crate::error::{Code, CodeOnly, Error};

/// Whether the process is alive.
pub const ALIVE: &str = "/healthz";
/// Where the paths of webhooks begin.
pub const WEBHOOKS: &str = "/webhooks/";

/// Where the provider's own paths begin; all that is refused below has the provider's shape.
pub const DROP_IN: &str = "/api/partner/";

/// Puts every route in place; the app must be there as `web::Data<App>`.
pub fn routes(config: &mut ServiceConfig) {
    config
        // Partner backends, with a partner's API key.
        .service(post("/v1/kyc/links", links::create))
        .service(get("/v1/kyc/users", users::list))
        .service(post("/v1/kyc/users/batch", users::batch))
        .service(get("/v1/kyc/users/{userId}", users::one))
        .service(get("/v1/kyc/users/{userId}/history", users::history))
        .service(get("/v1/kyc/users/{userId}/button", button::of_user))
        .service(get("/v1/kyc/events", events::stream))
        // Clients that were made for the provider, with a partner's API key.
        .service(post(
            "/api/partner/v2/kyc/verification-link",
            drop_in::create_link,
        ))
        .service(post(
            "/api/partner/v2/users/{userId}/kyc/verification-link",
            drop_in::create_users_link,
        ))
        .service(post("/api/partner/v2/users", drop_in::create_user))
        // Users in their browser, with the token that their partner gave them.
        .service(get("/start/{token}", start::open))
        // The provider, with a signature.
        .service(webhook("/webhooks/{partnerId}"))
        // Admins, with an admin's key.
        .service(get("/v1/admin/users", admin::users))
        .service(get("/v1/admin/users/{partnerId}/{userId}", admin::user))
        .service(get("/v1/admin/users/{partnerId}/{userId}/why", admin::why))
        .service(post(
            "/v1/admin/users/{partnerId}/{userId}/confirm",
            admin::confirm,
        ))
        .service(post(
            "/v1/admin/users/{partnerId}/{userId}/override",
            admin::overrule,
        ))
        .service(get("/v1/admin/deliveries", admin::deliveries))
        .service(get("/v1/admin/stats", admin::stats))
        // Admins in their browser, with a session that a key began. No interface for programs, and so not in the document.
        .service(get("/admin", admin_page::overview::overview))
        .service(get("/admin/", admin_page::with_slash))
        .service(get("/admin/users", admin_page::users::list))
        .service(get("/admin/users.csv", admin_page::users::as_sheet))
        .service(get("/admin/users/{user}", admin_page::user::one))
        .service(post(
            "/admin/users/{user}/confirm",
            admin_page::confirm::confirm,
        ))
        .service(post(
            "/admin/users/{user}/override",
            admin_page::overrule::overrule,
        ))
        .service(get("/admin/deliveries", admin_page::deliveries::list))
        .service(get(
            "/admin/deliveries/{delivery}",
            admin_page::delivery::one,
        ))
        .service(post(
            "/admin/deliveries/{delivery}/refold",
            admin_page::refold::refold,
        ))
        .service(get("/admin/live", admin_page::live::stream))
        .service(post("/admin/sign-out", admin_page::sign_out::sign_out))
        // The same before they have one.
        .service(get("/admin/sign-in", admin_page::sign_in::form))
        .service(post("/admin/session", admin_page::sign_in::sign_in))
        .service(get("/admin/assets/{file}", admin_page::assets::file))
        // Whoever runs the service, without a key.
        .service(get(ALIVE, health::alive))
        .service(get("/readyz", health::ready))
        // The same with an admin's key, unless `server.public_metrics` says otherwise.
        .service(get("/metrics", metrics::scrape))
        // Whoever wants to know what all of these take and answer.
        .service(get("/openapi.json", openapi::document))
        .service(get("/docs", openapi::docs::page))
        .service(get("/docs/{file}", openapi::docs::file))
        .default_service(web::to(nothing_here));
}

async fn nothing_here() -> Result<&'static str, Error> {
    Err(Error::new(
        Code::NotFound,
        "No route has this path. GET /docs shows those that there are.",
    ))
}

fn get<F, Args>(path: &'static str, handler: F) -> impl HttpServiceFactory
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let read = guard::Any(guard::Get()).or(guard::Head());
    only(
        "GET, HEAD",
        path,
        web::route().guard(read).to(handler),
        |error| error,
    )
}

fn post<F, Args>(path: &'static str, handler: F) -> impl HttpServiceFactory
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    only("POST", path, web::post().to(handler), |error| error)
}

fn webhook(path: &'static str) -> impl HttpServiceFactory {
    only("POST", path, web::post().to(webhooks::receive), CodeOnly)
}

fn only<E: ResponseError + 'static>(
    allow: &'static str,
    path: &'static str,
    route: actix_web::Route,
    shape: fn(Error) -> E,
) -> impl HttpServiceFactory {
    let refuse =
        move || async move { Err::<&'static str, E>(shape(Error::method_not_allowed(allow))) };
    web::resource(path)
        .app_data(Measured::new(path))
        .route(route)
        .default_service(web::to(refuse))
}
