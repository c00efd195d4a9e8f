//! The service as tests have it, and helpers that speak of links, webhooks and users.

pub mod browser;
pub mod conforms;
pub mod demo;
pub mod disk;
pub mod load;
pub mod process;
pub mod service;
pub mod store;
pub mod torture;
pub mod truth;
pub mod visit;
pub mod wire;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web;
use kyc_tracker::app::App;
use kyc_tracker::capa::signature::{self, sign};
use kyc_tracker::clock::{Clock, Timestamp};
use kyc_tracker::config::{Config, KeyHash};
use kyc_tracker::db::Db;
use kyc_tracker::reconcile;
use kyc_tracker::web::limits::Limits;
use kyc_tracker::web::server;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use truth::Truth;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The partner most tests are about.
pub const ACME: Partner = Partner {
    id: "acme",
    key: "kyc_partner_acme_0123456789",
    provider_key: "capa_key_acme_0123456789",
    secret: "whsec_acme_current_0123456789",
    old_secret: "whsec_acme_previous_0123456789",
};
/// Another, who must never see what is acme's.
pub const OTHER: Partner = Partner {
    id: "other",
    key: "kyc_partner_other_0123456789",
    provider_key: "capa_key_other_0123456789",
    secret: "whsec_other_current_0123456789",
    old_secret: "whsec_other_previous_0123456789",
};
/// The key of the one admin.
pub const ADMIN_KEY: &str = "kyc_admin_ops_0123456789";
/// The link that the faked provider gives unless told otherwise.
pub const LINK: &str = "https://provider.example/session/abc";
/// Where the provider's link endpoint is.
pub const LINK_PATH: &str = "/api/partner/v2/kyc/verification-link";

#[derive(Clone, Copy)]
pub struct Partner {
    pub id: &'static str,
    pub key: &'static str,
    pub provider_key: &'static str,
    pub secret: &'static str,
    pub old_secret: &'static str,
}

/// A running service. It stops with the test.
pub struct TestApp {
    pub url: String,
    pub capa: MockServer,
    /// What the faked provider answers about users; nothing of anybody at the beginning.
    pub truth: Truth,
    pub app: web::Data<App>,
    pub clock: Clock,
    http: reqwest::Client,
    server: ServerHandle,
    folder: TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Status and code of a problem, checked to be one.
    pub fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16(), "{body}");
        assert_eq!(body["requestId"], self.header("x-request-id"), "{body}");
        assert!(
            body["title"].is_string() && body["detail"].is_string(),
            "{body}"
        );
        (
            self.status.as_u16(),
            body["code"].as_str().unwrap().to_owned(),
        )
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl TestApp {
    /// With the default settings.
    pub async fn new() -> TestApp {
        TestApp::with(&[]).await
    }

    /// With these settings besides, named as in the environment.
    pub async fn with(settings: &[(&str, &str)]) -> TestApp {
        TestApp::with_limits(Limits::default(), settings).await
    }

    /// With these limits and settings.
    pub async fn with_limits(limits: Limits, settings: &[(&str, &str)]) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let began = "2026-11-23T19:20:00.123456Z".parse().unwrap();
        TestApp::begin(folder, began, limits, settings).await
    }

    /// On a copy of this database, with the default settings and the clock at `now`.
    pub async fn on(database: &Path, now: Timestamp) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(database, folder.path().join("kyc.db")).unwrap();
        TestApp::begin(folder, now, Limits::default(), &[]).await
    }

    async fn begin(
        folder: TempDir,
        now: Timestamp,
        limits: Limits,
        settings: &[(&str, &str)],
    ) -> TestApp {
        let capa = MockServer::start().await;
        let config = config(&folder, &capa.uri(), settings);
        let clock = Clock::driven(now);
        let (app, url, server) = serve(config, clock.clone(), limits);
        let truth = Truth::default();
        truth.mount(&capa).await;
        TestApp {
            url,
            capa,
            truth,
            app,
            clock,
            http: http(),
            server,
            folder,
        }
    }

    /// Starts the service anew, with the default settings: it keeps its store, and nothing of what was in memory.
    pub async fn restart(&mut self) {
        self.restart_with(&[]).await;
    }

    /// The same, with these settings besides.
    pub async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.server.stop(true).await;
        let config = config(&self.folder, &self.capa.uri(), settings);
        let service = serve(config, self.clock.clone(), Limits::default());
        (self.app, self.url, self.server) = service;
    }

    /// Runs the program beside the service, on the same database and with the same provider.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let mut program = process::program(arguments);
        program.envs(settings(&self.folder, &self.capa.uri()));
        let run = actix_web::rt::task::spawn_blocking(move || program.output());
        run.await.unwrap().unwrap()
    }

    /// The same, with this text as its standard input.
    pub async fn command_reads(&self, arguments: &[&str], input: &str) -> Output {
        let file = process::file(self.folder.path(), "input", input);
        let mut program = process::program(arguments);
        program.envs(settings(&self.folder, &self.capa.uri()));
        program.stdin(std::fs::File::open(file).unwrap());
        let run = actix_web::rt::task::spawn_blocking(move || program.output());
        run.await.unwrap().unwrap()
    }

    /// The store itself.
    pub fn db(&self) -> Db {
        self.app.db.clone()
    }

    /// Returns when somebody listens for changes of so many users and partners.
    pub async fn listened_for(&self, topics: usize) {
        let listened_for = async {
            while self.app.db.listened_for() != topics {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = tokio::time::timeout(wire::STUCK, listened_for).await;
        reached.expect("they do not listen");
    }

    /// The folder of the database, and nothing else.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The provider answers the link call with this status and body, from now on.
    pub async fn capa_answers(&self, status: u16, body: impl Into<String>) {
        self.capa.reset().await;
        let answer = ResponseTemplate::new(status).set_body_raw(body.into(), "application/json");
        let link = Mock::given(method("POST")).and(path(LINK_PATH));
        link.respond_with(answer).mount(&self.capa).await;
        self.truth.mount(&self.capa).await;
    }

    /// The provider gives links, from now on.
    pub async fn capa_gives_links(&self) {
        let body = json!({"status": "ok", "data": {"kycLink": LINK}});
        self.capa_answers(201, body.to_string()).await;
    }

    /// The provider takes so long for this answer to the link call, so that others can come meanwhile.
    pub async fn capa_is_slow(&self, delay: Duration, status: u16, body: Value) {
        self.capa.reset().await;
        let answer = ResponseTemplate::new(status)
            .set_body_json(body)
            .set_delay(delay);
        let link = Mock::given(method("POST")).and(path(LINK_PATH));
        link.respond_with(answer).mount(&self.capa).await;
        self.truth.mount(&self.capa).await;
    }

    /// How many calls for a link the provider has had since it was told what to answer.
    pub async fn calls(&self) -> usize {
        self.calls_to(LINK_PATH).await
    }

    /// The same for another path.
    pub async fn calls_to(&self, path: &str) -> usize {
        let received = self.capa.received_requests().await.unwrap();
        received
            .iter()
            .filter(|request| request.url.path() == path)
            .count()
    }

    /// Makes the looks that are due, until none is; answers how many it made.
    pub async fn look(&self) -> usize {
        let mut made = 0;
        loop {
            match reconcile::run_once(&self.app, self.clock.now())
                .await
                .unwrap()
            {
                0 => return made,
                more => made += more,
            }
        }
    }

    /// Lets time go by, and the service look whenever it would: within seconds for some hours, and for longer times in
    /// steps that are too short to be a standstill.
    pub async fn pass(&self, time: Duration) {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        let longest = if time <= minutes(180) {
            minutes(1)
        } else {
            minutes(20)
        };
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(longest);
            self.clock.advance(step);
            left -= step;
            self.look().await;
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Sends it, and checks that the answer is one that the OpenAPI document tells of.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = self.http.execute(request).await.unwrap();
        let answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        };
        conforms::check(&method, &path, &answer);
        answer
    }

    /// GET in the name of a partner.
    pub async fn get(&self, partner: Partner, path: &str) -> Answer {
        self.send(
            self.request(Method::GET, path)
                .header("partner-api-key", partner.key),
        )
        .await
    }

    /// GET in the name of the admin.
    pub async fn admin(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).bearer_auth(ADMIN_KEY))
            .await
    }

    /// POST in the name of the admin.
    pub async fn admin_posts(&self, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).bearer_auth(ADMIN_KEY);
        self.send(request.json(body)).await
    }

    /// What the admin is told of looks at a user of acme.
    pub async fn looks(&self, user_id: &str) -> Value {
        let whole = self.admin(&format!("/v1/admin/users/acme/{user_id}")).await;
        whole.json()["looks"].clone()
    }

    /// POST /v1/kyc/links in the name of a partner.
    pub async fn ask_for_link(&self, partner: Partner, body: &Value) -> Answer {
        let request = self.request(Method::POST, "/v1/kyc/links");
        self.send(request.header("partner-api-key", partner.key).json(body))
            .await
    }

    /// The same, again and again until the provider has said which session was the last one of the attempt that ends: twice,
    /// half a minute apart, where it knows of none.
    pub async fn ask_for_link_at_last(&self, partner: Partner, body: &Value) -> Answer {
        for _ in 0..2 {
            let answer = self.ask_for_link(partner, body).await;
            if answer.status != 503 {
                return answer;
            }
            self.clock.advance(Duration::from_secs(30));
        }
        self.ask_for_link(partner, body).await
    }

    /// Registers a user of acme as pending, with a link of the provider's; its `externalUserId` is `user`.
    pub async fn pending(&self, user: &str) -> Value {
        self.pending_of(ACME, user).await
    }

    /// The same for another partner.
    pub async fn pending_of(&self, partner: Partner, user: &str) -> Value {
        self.capa_gives_links().await;
        let answer = self
            .ask_for_link_at_last(partner, &json!({"userId": user, "country": "DO"}))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    /// A KYC event of the provider for a user of acme, rightly signed.
    pub async fn deliver(&self, event: &str, external_user_id: &str) -> Answer {
        self.deliver_to(ACME, event, external_user_id).await
    }

    /// The same for another partner.
    pub async fn deliver_to(
        &self,
        partner: Partner,
        event: &str,
        external_user_id: &str,
    ) -> Answer {
        let body = kyc_event(event, external_user_id);
        let signature = sign(partner.secret, body.as_bytes());
        self.deliver_raw(partner.id, body, &[&signature]).await
    }

    /// Any bytes with any signature headers, to the webhook URL of any partner id.
    pub async fn deliver_raw(
        &self,
        partner_id: &str,
        body: impl Into<Vec<u8>>,
        signatures: &[&str],
    ) -> Answer {
        let mut request = self.request(Method::POST, &format!("/webhooks/{partner_id}"));
        for signature in signatures {
            let value = reqwest::header::HeaderValue::from_bytes(signature.as_bytes()).unwrap();
            request = request.header(signature::HEADER, value);
        }
        self.send(request.body(body.into())).await
    }

    /// The user document of a user of acme.
    pub async fn user(&self, user_id: &str) -> Value {
        let answer = self.get(ACME, &format!("/v1/kyc/users/{user_id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// What a user of acme is shown as.
    pub async fn status(&self, user_id: &str) -> String {
        self.user(user_id).await["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// The history of a user of acme, as `from>to by event` lines with the attempt before them.
    pub async fn history(&self, user_id: &str) -> Vec<String> {
        let answer = self
            .get(ACME, &format!("/v1/kyc/users/{user_id}/history"))
            .await;
        let history = answer.json();
        let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let line = |entry: &Value| {
            let cause = &entry["cause"];
            let by = cause["event"]
                .as_str()
                .unwrap_or_else(|| cause["kind"].as_str().unwrap());
            format!(
                "{} {}>{} by {by}",
                entry["attempt"],
                word(&entry["from"]),
                word(&entry["to"])
            )
        };
        history["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(line)
            .collect()
    }

    /// The outcomes of all deliveries, oldest first, each with how often it came again.
    pub async fn outcomes(&self) -> Vec<(String, i64)> {
        let deliveries = self.admin("/v1/admin/deliveries?limit=500").await.json();
        let outcome = |delivery: &Value| {
            let outcome = delivery["outcome"].as_str().unwrap().to_owned();
            (outcome, delivery["repeats"].as_i64().unwrap())
        };
        deliveries["data"]
            .as_array()
            .unwrap()
            .iter()
            .rev()
            .map(outcome)
            .collect()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        // The returned future need not be awaited: the command is sent at once.
        drop(self.server.stop(false));
    }
}

fn serve(config: Config, clock: Clock, limits: Limits) -> (web::Data<App>, String, ServerHandle) {
    let app = web::Data::new(App::build(config, clock).unwrap());
    let listener = server::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let running = server::serve_with(app.clone(), listener, limits).unwrap();
    let server = running.handle();
    actix_web::rt::spawn(running);
    (app, url, server)
}

/// A client as callers have it, that follows nothing and is patient.
pub fn http() -> reqwest::Client {
    http_with(Duration::from_secs(20))
}

/// The same with another patience.
pub fn http_with(patience: Duration) -> reqwest::Client {
    // A second call finds the provider installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(patience)
        .build()
        .unwrap()
}

/// The body of a KYC event as the provider sends it.
pub fn kyc_event(event: &str, external_user_id: &str) -> String {
    format!(r#"{{"type":"KYC","event":"{event}","externalUserId":"{external_user_id}"}}"#)
}

/// Settings with both partners and the admin.
pub fn settings(folder: impl AsRef<Path>, provider: &str) -> Vec<(String, String)> {
    let list = |texts: &[&str]| format!("{texts:?}");
    let mut settings = vec![
        (
            "KYC__DATABASE__URL".to_owned(),
            format!("sqlite://{}/kyc.db", folder.as_ref().display()),
        ),
        ("KYC__PROVIDER__BASE_URL".to_owned(), provider.to_owned()),
        ("KYC__PROVIDER__TIMEOUT".to_owned(), "2s".to_owned()),
        ("KYC__SERVER__WORKERS".to_owned(), "1".to_owned()),
        ("KYC__ADMINS__0__NAME".to_owned(), "ops".to_owned()),
        (
            "KYC__ADMINS__0__API_KEY".to_owned(),
            KeyHash::of(ADMIN_KEY).as_setting(),
        ),
    ];
    for (number, partner) in [ACME, OTHER].into_iter().enumerate() {
        let key = |name: &str| format!("KYC__PARTNERS__{number}__{name}");
        settings.push((key("ID"), partner.id.to_owned()));
        settings.push((key("PROVIDER_API_KEY"), partner.provider_key.to_owned()));
        settings.push((
            key("WEBHOOK_SECRETS"),
            list(&[partner.secret, partner.old_secret]),
        ));
        settings.push((
            key("API_KEYS"),
            list(&[&KeyHash::of(partner.key).as_setting()]),
        ));
    }
    settings
}

/// The same as checked settings, with these besides.
pub fn config(folder: &TempDir, provider: &str, more: &[(&str, &str)]) -> Config {
    let mut all: BTreeMap<String, String> = settings(folder, provider).into_iter().collect();
    let more = more.iter();
    all.extend(more.map(|(name, value)| (name.to_string(), value.to_string())));
    Config::load(None, all).unwrap()
}
