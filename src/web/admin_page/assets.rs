//! What a page is made of besides its text. The addresses change with the files, so that a browser may keep them for good.

use std::sync::LazyLock;

use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Path;
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest, Sha256};

use crate::error::{Code, Error};

/// A file, as it is in the program.
struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const STYLE_SHEET: Asset = Asset {
    name: "style.css",
    kind: "text/css; charset=utf-8",
    content: include_str!("assets/style.css"),
};
const LIVE: Asset = Asset {
    name: "live.js",
    kind: "text/javascript; charset=utf-8",
    content: include_str!("assets/live.js"),
};
const SHIELD: Asset = Asset {
    name: "icon.svg",
    kind: "image/svg+xml",
    content: include_str!("assets/icon.svg"),
};

/// The address of the style sheet.
pub static STYLE: LazyLock<String> = LazyLock::new(|| STYLE_SHEET.address());
/// The address of the script.
pub static SCRIPT: LazyLock<String> = LazyLock::new(|| LIVE.address());
/// The address of the icon.
pub static ICON: LazyLock<String> = LazyLock::new(|| SHIELD.address());

impl Asset {
    /// What follows the question mark in its address.
    fn version(&self) -> String {
        hex::encode(&Sha256::digest(self.content)[..8])
    }

    fn address(&self) -> String {
        format!("/admin/assets/{}?{}", self.name, self.version())
    }
}

/// One of them. Nobody needs to be signed in for it: the form for that has its style from here.
pub async fn file(http: HttpRequest, name: Path<String>) -> Result<HttpResponse, Error> {
    let asset = [STYLE_SHEET, LIVE, SHIELD]
        .into_iter()
        .find(|asset| asset.name == *name);
    let nothing = || Error::new(Code::NotFound, "The page has no such file.");
    let asset = asset.ok_or_else(nothing)?;
    // A page of another version may ask while versions change, and must not keep this file for its own.
    let kept = match http.query_string() == asset.version() {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    Ok(HttpResponse::Ok()
        .content_type(asset.kind)
        .insert_header((CACHE_CONTROL, kept))
        .body(asset.content))
}
