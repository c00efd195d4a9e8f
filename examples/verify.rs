//! Asks for a KYC link, waits for the verdict and says it: `cargo run --example verify -- USER COUNTRY`
//! It ends when the verdict is final: a webhook can say `verified` before a check of the provider confirms it.
//! Exit code: 0 verified, 1 rejected, 2 wrong use, 3 failed or took too long.

use std::process::exit;
use std::time::{Duration, Instant, SystemTime};

use reqwest::header::{ETAG, HeaderMap, IF_NONE_MATCH, RETRY_AFTER};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var_os(name).map_or(otherwise.into(), |value| value.to_string_lossy().into())
}

async fn once(request: RequestBuilder) -> reqwest::Result<(u16, HeaderMap, Value)> {
    let answer = request.send().await?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let document = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
    Ok((status, headers, document))
}

async fn verify(user_id: &str, country: &str) -> Result<i32, Box<dyn std::error::Error>> {
    let url = setting("KYC_TRACKER_URL", "http://127.0.0.1:8080") + "/v1/kyc";
    let key = setting("KYC_TRACKER_KEY", "demo_partner_key").parse()?;
    let key = HeaderMap::from_iter([("partner-api-key".parse()?, key)]);
    let client = Client::builder().timeout(Duration::from_secs(75)); // No wait is longer than 60.
    let client = client.default_headers(key).build()?;
    // The same key for every try, so that no try makes a second link.
    let try_key = format!("{user_id}-{:?}", SystemTime::UNIX_EPOCH.elapsed()?);
    let body = json!({"userId": user_id, "country": country});
    let mut next = client.post(format!("{url}/links")).json(&body);
    next = next.header("idempotency-key", try_key);
    let until = Instant::now() + Duration::from_secs(30 * 60);
    let (mut failure, mut says) = ("it took too long".to_owned(), "startUrl");
    while Instant::now() < until {
        let pause = match once(next.try_clone().ok_or("it cannot be sent again")?).await {
            Ok((304, ..)) => continue,
            Ok((200 | 201, headers, user)) => {
                println!("{says}: {}", user[says].as_str().unwrap_or("none"));
                if user["final"] == true {
                    return Ok(i32::from(user["status"] != "verified"));
                }
                // Answered as soon as this version is not the latest any more, or with 304 after a minute.
                let etag = headers.get(ETAG).ok_or("the answer has no version")?;
                next = client.get(format!("{url}/users/{user_id}?wait=60"));
                (next, says) = (next.header(IF_NONE_MATCH, etag), "status");
                continue;
            }
            Ok((status, headers, problem)) => {
                failure = format!("{}: {}", problem["code"], problem["detail"]).replace('"', "");
                if !matches!(status, 429 | 503) {
                    break;
                }
                let told = headers.get(RETRY_AFTER).map(|told| told.to_str());
                told.transpose()?.unwrap_or("5").parse()?
            }
            Err(error) => {
                failure = error.to_string();
                5
            }
        };
        tokio::time::sleep(Duration::from_secs(pause)).await;
    }
    Err(failure.into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // By default reqwest brings its own cryptography; this crate has it bring none.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [user_id, country] = arguments.as_slice() else {
        eprintln!("usage: verify USER COUNTRY");
        exit(2);
    };
    exit(verify(user_id, country).await.unwrap_or_else(|failure| {
        eprintln!("{failure}");
        3
    }));
}
