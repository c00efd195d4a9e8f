//! How large a request may be.
//!
//! The framework has caps of its own, which cannot be set: 96 headers, 128 KiB for the head, 65,534 bytes for the target,
//! 16 requests sent ahead on one connection. What it refuses by itself gets its form in `refusal.rs`.

use actix_web::dev::RequestHead;

use crate::error::{Code, Error};

/// Bytes of a body.
pub const BODY: usize = 64 * 1024;
/// Bytes of a path. The longest of ours is some 300.
const PATH: usize = 1024;
/// Bytes of a query. An `externalUserId` of 255 characters may need 3,060 in a query.
const QUERY: usize = 4 * 1024;
/// Bytes of the names and values of all headers together.
const HEADERS: usize = 16 * 1024;

/// Refuses a head that is larger than any we have a use for.
///
/// # Errors
/// When it is; says what is too large.
pub fn check(head: &RequestHead) -> Result<(), Error> {
    if head.uri.path().len() > PATH {
        let detail = "The path may have 1 KiB at most.";
        return Err(Error::new(Code::UriTooLong, detail));
    }
    if head.uri.query().is_some_and(|query| query.len() > QUERY) {
        let detail = "The query may have 4 KiB at most.";
        return Err(Error::new(Code::UriTooLong, detail));
    }
    let headers = head.headers.iter();
    let bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if bytes > HEADERS {
        return Err(Error::headers_too_large());
    }
    Ok(())
}
