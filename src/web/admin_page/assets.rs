//! What a page is made of besides its text. The addresses change with the files, so that a browser may keep them for good.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;
use sha2::{Digest, Sha256};

use crate::error::{Code, Error};

const STYLE_FILE: &str = include_str!("assets/style.css");
const SCRIPT_FILE: &str = include_str!("assets/live.js");
const ICON_FILE: &str = include_str!("assets/icon.svg");

/// The address of the style sheet.
pub static STYLE: LazyLock<String> = LazyLock::new(|| address("style.css", STYLE_FILE));
/// The address of the script.
pub static SCRIPT: LazyLock<String> = LazyLock::new(|| address("live.js", SCRIPT_FILE));
/// The address of the icon.
pub const ICON: &str = "/admin/assets/icon.svg";

fn address(name: &str, file: &str) -> String {
    let hash = hex::encode(Sha256::digest(file));
    format!("/admin/assets/{name}?{}", &hash[..16])
}

/// One of them. Nobody needs to be signed in for it: the form for that has its style from here.
pub async fn file(name: Path<String>) -> Result<HttpResponse, Error> {
    let (kind, file) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", STYLE_FILE),
        "live.js" => ("text/javascript; charset=utf-8", SCRIPT_FILE),
        "icon.svg" => ("image/svg+xml", ICON_FILE),
        _ => return Err(Error::new(Code::NotFound, "The page has no such file.")),
    };
    Ok(HttpResponse::Ok()
        .content_type(kind)
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(file))
}
