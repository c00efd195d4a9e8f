//! The headers of answers.

use serde_json::json;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::header::Header;
use utoipa::openapi::{Object, Ref, RefOr, Response, Type};

/// On every answer.
pub const REQUEST_ID: &str = "X-Request-Id";
/// On every answer to a right key.
pub const RATE_LIMIT: [&str; 3] = ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"];

/// On an answer that was given before.
pub const REPLAYED: &str = "Idempotency-Replayed";

/// Every header by name, for the components of the document.
pub fn all() -> Vec<(&'static str, Header)> {
    let text = |pattern: &str| {
        let text = Object::builder().schema_type(Type::String);
        text.pattern(Some(pattern)).build()
    };
    let number = || {
        Object::builder()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .build()
    };
    vec![
        (
            REQUEST_ID,
            header(
                text("^[A-Za-z0-9._-]{1,64}$"),
                "The id of the request: yours where you sent a harmless one.",
            ),
        ),
        (
            "RateLimit-Limit",
            header(number(), "So many requests this key may make at once."),
        ),
        (
            "RateLimit-Remaining",
            header(number(), "So many of them are left."),
        ),
        (
            "RateLimit-Reset",
            header(number(), "In so many seconds all of them are there again."),
        ),
        (
            "Retry-After",
            header(number(), "Come again after so many seconds."),
        ),
        (
            "Allow",
            header(
                text("^(GET, HEAD|POST)$"),
                "The methods that are taken here.",
            ),
        ),
        (
            REPLAYED,
            header(
                text("^true$"),
                "There where the same request was answered so before.",
            ),
        ),
        (
            "ETag",
            header(
                text("^\"[0-9]+\\.[0-9]+\"$"),
                "The version of the user: the attempt, a dot, and `version`. Send it back as `If-None-Match`.",
            ),
        ),
        (
            "Location",
            header(
                text("^(/v1/kyc/users/|https?://)"),
                "Where the user is answered, or where a person goes on.",
            ),
        ),
    ]
}

fn header(schema: Object, meaning: &str) -> Header {
    let mut header = Header::new(schema);
    header.description = Some(meaning.to_owned());
    // The crate has no field for it.
    header.extensions = Some(Extensions::from_iter([("required", json!(true))]));
    header
}

/// Adds headers that the answer always has.
pub fn add(response: &mut Response, names: &[&str]) {
    for name in names {
        let header = Ref::new(format!("#/components/headers/{name}"));
        response
            .headers
            .insert((*name).to_owned(), RefOr::Ref(header));
    }
}

/// Adds headers that the answer has if the key was right.
pub fn add_perhaps(response: &mut Response, names: &[&str]) {
    for (name, mut header) in all() {
        if names.contains(&name) {
            header.extensions = None;
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
    }
}
