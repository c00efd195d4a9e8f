//! The page behind a `kycLink`, where a person plays both the user and the reviewer.
//!
//! Plain HTML without scripts, usable by keyboard and screen reader, and by curl through `accept: application/json`.
//! The first click on a session stands for the upload as well, so it causes `CREATED_KYC` before its verdict. A later
//! click is a reviewer who changed their mind. The page stays usable for ever, so it links to the partner's redirect
//! URI rather than sending anybody there.

use std::sync::Arc;

use actix_web::http::header::{ACCEPT, CACHE_CONTROL, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use serde_json::json;
use uuid::Uuid;

use super::refusal::Refusal;
use super::state::Verdict;
use super::{Shared, deliver};

/// `same-origin` and not `no-referrer`, which would make a browser call the origin of the page's own forms `null`.
const REFERRER_POLICY: &str = "same-origin";

const CONTENT_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox verification of {{ external_user_id }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 2rem auto; padding: 0 1rem; }
.note { border: 2px dashed; border-radius: .5rem; padding: .5rem 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
dt { font-weight: bold; } dd { margin: 0; overflow-wrap: anywhere; }
.choices { display: flex; flex-wrap: wrap; gap: .75rem; }
button { font: inherit; padding: .6rem 1.2rem; border: 2px solid; border-radius: .5rem; cursor: pointer; }
button:focus-visible, a:focus-visible { outline: 3px solid; outline-offset: 3px; }
</style>
</head>
<body>
<main>
<h1>Sandbox verification</h1>
<p class="note"><strong>This is not real.</strong> A sandbox stands in for the KYC provider. It checks nobody and asks for no document.</p>
<dl>
<dt>User</dt><dd>{{ user_id }}</dd>
<dt>External id</dt><dd>{{ external_user_id }}</dd>
<dt>Account</dt><dd>{{ account }}</dd>
<dt>Country</dt><dd>{{ country }}</dd>
</dl>
<p role="status">Current result: <strong>{{ result }}</strong></p>
<h2>Decide this verification</h2>
<div class="choices">
<form method="post" action="/verify/{{ session_id }}/verify"><button type="submit">Verify</button></form>
<form method="post" action="/verify/{{ session_id }}/reject"><button type="submit">Reject</button></form>
<form method="post" action="/verify/{{ session_id }}/review"><button type="submit">Needs review</button></form>
</div>
<p>The first click also says that the user has finished uploading. You may change your mind as often as you like; each click sends its webhook.</p>
{% if let Some(uri) = redirect_uri %}<p><a href="{{ uri }}">Return to the partner</a></p>{% endif %}
</main>
</body>
</html>
"#
)]
struct Page<'a> {
    session_id: Uuid,
    account: &'a str,
    user_id: &'a str,
    external_user_id: &'a str,
    country: &'a str,
    result: &'a str,
    redirect_uri: Option<&'a str>,
}

/// `GET /verify/{session}`.
pub(super) async fn show(
    shared: web::Data<Shared>,
    session: web::Path<String>,
) -> Result<HttpResponse, Refusal> {
    let session_id = session_id(&session)?;
    let state = shared.state();
    let session = state
        .session(session_id)
        .ok_or(Refusal::session_not_found())?;
    let external_user_id = state.external_user_id(&session.user_id);
    let page = Page {
        session_id,
        account: &shared.accounts[session.account.0].name,
        user_id: &session.user_id,
        external_user_id: external_user_id.as_deref().unwrap_or("none"),
        country: &session.country,
        result: match session.verdict {
            None => "not decided yet",
            Some(Verdict::Verified) => "verified",
            Some(Verdict::Rejected) => "rejected",
            Some(Verdict::ReviewNeeded) => "needs review",
        },
        redirect_uri: session.redirect_uri.as_deref(),
    };
    let html = page
        .render()
        .map_err(|_| Refusal::internal("The page could not be rendered"))?;
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("referrer-policy", REFERRER_POLICY))
        .insert_header(("content-security-policy", CONTENT_POLICY))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(html))
}

/// `POST /verify/{session}/{verify|reject|review}`.
pub(super) async fn click(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Refusal> {
    let (session, verdict) = path.into_inner();
    let session_id = session_id(&session)?;
    let emitted = decide(&shared, session_id, &verdict)?;
    if wants_json(&request) {
        return Ok(HttpResponse::Ok().json(json!({ "ok": true, "emitted": emitted })));
    }
    Ok(HttpResponse::SeeOther()
        .insert_header((LOCATION, format!("/verify/{session_id}")))
        .finish())
}

/// `POST /sandbox/users/{userId}/{verify|reject|review}`: a click on the user's latest link, for whoever has no browser.
pub(super) async fn click_latest(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, Refusal> {
    let (user_id, verdict) = path.into_inner();
    let session_id = shared.state().latest_session_of(&user_id);
    let session_id = session_id.ok_or(Refusal::session_not_found())?;
    let emitted = decide(&shared, session_id, &verdict)?;
    Ok(HttpResponse::Ok().json(json!({ "ok": true, "emitted": emitted })))
}

/// Records the verdict of that word and sends its webhooks; returns their events.
fn decide(
    shared: &web::Data<Shared>,
    session_id: Uuid,
    verdict: &str,
) -> Result<Vec<&'static str>, Refusal> {
    let verdict = match verdict {
        "verify" => Verdict::Verified,
        "reject" => Verdict::Rejected,
        "review" => Verdict::ReviewNeeded,
        _ => return Err(Refusal::session_not_found()),
    };
    let click = shared.state().click(session_id, verdict);
    let click = click.ok_or(Refusal::session_not_found())?;
    let emitted = click.events.clone();
    deliver::emit(&Arc::clone(shared), click);
    Ok(emitted)
}

fn session_id(text: &str) -> Result<Uuid, Refusal> {
    Uuid::parse_str(text).map_err(|_| Refusal::session_not_found())
}

fn wants_json(request: &HttpRequest) -> bool {
    let accept = request.headers().get(ACCEPT);
    accept.is_some_and(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.contains("application/json"))
    })
}
