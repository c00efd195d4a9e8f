//! An answer of the provider's, read to its end and never past a cap.

use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};

use super::client::{Error, RetryAfter, unavailable};
use super::object;

/// No answer of the provider is read further than this many bytes.
const CAP: usize = 1024 * 1024;

/// What is made use of in an answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: RetryAfter,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Reads it.
    pub(super) async fn read(mut response: Response) -> Result<Answer, Error> {
        let mut answer = Answer {
            status: response.status(),
            retry_after: retry_after(&response),
            content_type: response.headers().get(CONTENT_TYPE).cloned(),
            body: Vec::new(),
        };
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if answer.body.len() + chunk.len() > CAP {
                return Err(Error::InvalidResponse("it is longer than 1 MiB".to_owned()));
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }

    /// Whether its body is a JSON object, as all bodies of the provider's own are. A gateway's page is none.
    pub(super) fn is_object(&self) -> bool {
        object::read(&self.body, &[]).is_some()
    }
}

fn retry_after(response: &Response) -> RetryAfter {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value
        .trim()
        .parse::<u64>()
        .ok()
        .map(|seconds| seconds.clamp(1, 3600))
}
