//! `GET /docs`: the document as a page to read and to try. All of it is in the program, and the page may ask nobody but us.
//! A key that somebody enters there is gone with the page.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ContentEncoding, REFERRER_POLICY,
};
use actix_web::web::{Bytes, Path};
use utoipa_swagger_ui::{Config, serve};

use crate::error::{Code, Error};
use crate::web::extract::{NoParameters, Query};

/// The files that the page asks for.
const FILES: [&str; 5] = [
    "favicon-32x32.png",
    "swagger-initializer.js",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "swagger-ui.css",
];
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    // Relative, so that it may stand below a path of a proxy.
    let config = Config::from("openapi.json")
        .use_base_layout()
        .deep_linking(true)
        .default_models_expand_depth(0)
        .display_request_duration(true)
        .try_it_out_enabled(true)
        .persist_authorization(false)
        .validator_url("none");
    Arc::new(config)
});

/// The page itself.
pub async fn page(_: Query<NoParameters>) -> HttpResponse {
    answer(
        "text/html; charset=utf-8",
        false,
        include_str!("docs.html").into(),
    )
}

/// What the page is made of.
pub async fn file(_: Query<NoParameters>, name: Path<String>) -> Result<HttpResponse, Error> {
    let nothing = || Error::new(Code::NotFound, "The page has no such file.");
    if !FILES.contains(&name.as_str()) {
        return Err(nothing());
    }
    let file = serve(&name, Arc::clone(&CONFIG))
        .ok()
        .flatten()
        .ok_or_else(nothing)?;
    let bytes = match file.bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    Ok(answer(&file.content_type, file.gzpipped, bytes))
}

fn answer(content_type: &str, packed: bool, body: Bytes) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"));
    if packed {
        answer.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    answer.body(body)
}
