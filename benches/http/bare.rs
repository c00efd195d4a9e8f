//! The framework's own ceiling: actix-web doing the same HMAC and parse, or answering the same JSON, and nothing else.

use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use kyc_tracker::capa::signature::{HEADER, Verifier, parse};
use kyc_tracker::clock::Timestamp;
use kyc_tracker::config::WebhookSecret;
use serde::Deserialize;

use crate::service::SECRET;

const DOCUMENT: &str = r#"{"userId":"5f0c2c40-6a3f-4a8e-9a59-0b9d6f0d1c55","externalUserId":"0d4f0a7e-2d5c-4f65-8f27-0d8b1a6a4c11","country":"DO","status":"verified","final":true,"attempt":1,"linkCreatedAt":null,"needsConfirmation":false,"source":"webhook","version":3,"createdAt":"2026-11-24T12:00:00.000Z","updatedAt":"2026-11-24T12:00:00.000Z","decidedAt":"2026-11-24T12:00:00.000Z","asOf":null,"kycLink":null,"startUrl":"http://127.0.0.1:8080/start/AZqwxV49ehCPAAEjRWeJqwAAAANp32whvtqh1nGYYhHaftGe"}"#;

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing them is what is measured")]
struct Event<'a> {
    r#type: &'a str,
    event: &'a str,
    #[serde(rename = "externalUserId")]
    external_user_id: &'a str,
}

async fn ingest(verifier: Data<Verifier>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let values = request.headers().get_all(HEADER);
    let Ok(signature) = parse(values.map(|value| value.as_bytes())) else {
        return HttpResponse::Unauthorized().finish();
    };
    // Any moment will do: the secret is valid for good.
    if verifier.verify(&body, &signature, Timestamp(0)).is_none() {
        return HttpResponse::Unauthorized().finish();
    }
    match serde_json::from_slice::<Event<'_>>(&body) {
        Ok(event) => {
            std::hint::black_box(event);
            HttpResponse::NoContent().finish()
        }
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

async fn status() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT)
}

/// Serves on that port until it is killed.
pub fn serve(port: u16) -> anyhow::Result<()> {
    let verifier = Data::new(Verifier::new(&[WebhookSecret::new(SECRET.into())], 1));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(verifier.clone())
            .route("/webhooks/{partnerId}", web::post().to(ingest))
            .route("/v1/kyc/users/{userId}", web::get().to(status))
    });
    let server = server.workers(1).bind(("127.0.0.1", port))?.run();
    Ok(actix_web::rt::System::new().block_on(server)?)
}
