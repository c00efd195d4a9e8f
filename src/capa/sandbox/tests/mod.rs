//! The sandbox on real sockets, with a receiver that hands what it gets to the test over a channel.
//!
//! The retry schedule runs 60,000 times faster, so 31 minutes take 31 ms. Nothing here sleeps: a test waits for the
//! receiver's channel or for `Sandbox::settled`.

mod api;
mod faults;
mod webhooks;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::ServerHandle, web};
use reqwest::{Method, RequestBuilder, StatusCode, redirect::Policy};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use url::Url;

use super::{Account, Sandbox, Settings, start};
use crate::capa::signature;

const SECRET: &str = "whsec_example_not_real";
const ALWAYS: usize = usize::MAX;

struct World {
    sandbox: Sandbox,
    receiver: Receiver,
    http: reqwest::Client,
}

/// What one webhook looked like on arrival.
struct Arrival {
    signature: String,
    content_type: String,
    body: String,
}

struct Receiver {
    url: Url,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    /// Needed for each answer; a test that takes it makes the receiver wait.
    gate: Arc<Semaphore>,
    server: ServerHandle,
}

impl World {
    /// Two accounts, `acme` with a receiver that fails so many times first, and `rival` without any.
    async fn failing(failures: usize) -> Self {
        Self::with(failures, 60_000).await
    }

    /// On the documented schedule, for tests that must not see its end.
    async fn slowly() -> Self {
        Self::with(0, 1).await
    }

    async fn with(failures: usize, speed: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let receiver = Receiver::failing(failures);
        let sandbox = start(Settings {
            speed,
            ..settings(Some(receiver.url.clone()))
        });
        let http = reqwest::Client::builder().no_proxy();
        Self {
            sandbox: sandbox.await.expect("the sandbox starts"),
            receiver,
            http: http.redirect(Policy::none()).build().expect("a client"),
        }
    }

    async fn new() -> Self {
        Self::failing(0).await
    }

    async fn stop(self) {
        self.sandbox.stop().await;
        self.receiver.server.stop(false).await;
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = self.sandbox.base_url().join(path).expect("a URL");
        self.http.request(method, url)
    }

    /// A request of `acme` below `/api/partner/v2/`.
    fn api(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/partner/v2/{path}"))
            .header("partner-api-key", "acme-key")
    }

    /// As [`World::api`], with the key of the account `rival`.
    fn rival(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, &format!("/api/partner/v2/{path}"))
            .header("partner-api-key", "rival-key")
    }

    async fn link(&self, user_id: &str) -> String {
        let path = format!("users/{user_id}/kyc/verification-link");
        let (status, body) =
            answer(self.api(Method::POST, &path).json(&json!({"country":"DO"}))).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["data"]["kycLink"].as_str().expect("a link").to_owned()
    }

    async fn click(&self, link: &str, verdict: &str) -> Value {
        let request = self.http.post(format!("{link}/{verdict}"));
        let (status, body) = answer(request.header("accept", "application/json")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        body["emitted"].clone()
    }

    /// The ids and event types of acme's notifications in one status, newest first.
    async fn notifications(&self, status: &str) -> Vec<(String, String)> {
        let path = format!("webhook-notifications?limit=100&status={status}");
        let (_, body) = answer(self.api(Method::GET, &path)).await;
        let text = |row: &Value, name: &str| row[name].as_str().expect(name).to_owned();
        let rows = body["data"]["data"].as_array().expect("rows");
        rows.iter()
            .map(|row| (text(row, "id"), text(row, "eventType")))
            .collect()
    }

    async fn retry(&self, id: &str) -> (StatusCode, Value) {
        answer(self.api(Method::POST, &format!("webhook-notifications/{id}/retry"))).await
    }

    async fn set_fault(&self, fault: Value) {
        let request = self.request(Method::POST, "/sandbox/faults").json(&fault);
        let (status, body) = answer(request).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
}

impl Receiver {
    fn failing(failures: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (sender, arrivals) = mpsc::unbounded_channel();
        let left = Arc::new(AtomicUsize::new(failures));
        let gate = Arc::new(Semaphore::new(1));
        let gate_of_server = Arc::clone(&gate);
        let receive = move |request: HttpRequest, body: String| {
            let text = |name| {
                let value = request.headers().get(name).and_then(|v| v.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let _ = sender.send(Arrival {
                signature: text("capa-signature"),
                content_type: text("content-type"),
                body,
            });
            let fails = left.try_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
            let gate = Arc::clone(&gate_of_server);
            async move {
                let _open = gate.acquire_owned().await;
                match fails {
                    Ok(_) => {
                        HttpResponse::InternalServerError().json(json!({"error":"receiver_down"}))
                    }
                    Err(_) => HttpResponse::NoContent().finish(),
                }
            }
        };
        let app = move || App::new().default_service(web::to(receive.clone()));
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.listen(listener).expect("a listener").run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            url: Url::parse(&format!("http://{address}/hooks")).expect("a URL"),
            arrivals,
            gate,
            server: handle,
        }
    }

    /// The next webhook, for which a test waits no longer than a few seconds.
    async fn next(&mut self) -> Arrival {
        let arrival = tokio::time::timeout(Duration::from_secs(20), self.arrivals.recv());
        arrival
            .await
            .expect("a webhook in time")
            .expect("a webhook")
    }

    /// The events that have arrived so far and were not taken yet.
    fn taken(&mut self) -> Vec<String> {
        let arrivals = std::iter::from_fn(|| self.arrivals.try_recv().ok());
        arrivals.map(|arrival| event(&arrival)).collect()
    }
}

fn event(arrival: &Arrival) -> String {
    let body: Value = serde_json::from_str(&arrival.body).expect("a JSON body");
    body["event"].as_str().expect("an event").to_owned()
}

fn settings(webhook_url: Option<Url>) -> Settings {
    let account = |name: &str, webhook_url| Account {
        name: name.to_owned(),
        api_key: format!("{name}-key").into(),
        webhook_secret: SECRET.into(),
        webhook_url,
    };
    Settings {
        bind: "127.0.0.1:0".parse().expect("an address"),
        accounts: vec![account("acme", webhook_url), account("rival", None)],
        speed: 60_000,
    }
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status();
    let body = response.text().await.expect("a body");
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    (status, body)
}

fn error(code: &str, message: &str) -> Value {
    json!({ "success": false, "error": { "code": code, "message": message } })
}
