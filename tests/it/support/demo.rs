//! `kyc-tracker demo`, as somebody has it who tries it out: a service, a sandbox provider and its webhooks.

use reqwest::Method;
use serde_json::{Value, json};

use super::http;
use super::process::Process;

const KEY: &str = "demo_partner_key";

/// A demo that runs; it stops with the test.
pub struct Demo {
    process: Process,
    /// The address of the service.
    pub url: String,
    /// The address of the sandbox provider.
    pub provider: String,
    /// The key of its admin.
    pub admin_key: String,
}

impl Demo {
    /// Starts it, and reads what it prints.
    pub async fn start() -> Demo {
        let mut process = Process::start(&["demo", "--port", "0", "--sandbox-port", "0"], &[]);
        let said = process.until(async |process| {
            let said = process.stdout();
            let after = |before: &str, end: &str| {
                let rest = said.split(before).nth(1)?;
                rest.split_once(end).map(|(text, _)| text.trim().to_owned())
            };
            Some((
                after("the service on ", ",")?,
                after("a sandbox provider on ", ".\n")?,
                after("Admin key ", "\n")?,
            ))
        });
        let (url, provider, admin_key) = said.await;
        Demo {
            process,
            url,
            provider,
            admin_key,
        }
    }

    /// Calls the service in the name of its partner; answers the body of the answer.
    pub async fn call(&self, method: Method, path: &str, body: Value, languages: &str) -> String {
        let request = http().request(method, format!("{}{path}", self.url));
        let request = request.header("partner-api-key", KEY);
        let request = request.header("accept-language", languages).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        answer.text().await.unwrap()
    }

    /// Registers a user as pending.
    pub async fn register(&self, user_id: &str) {
        let user = json!({"userId": user_id, "country": "DO"});
        self.call(Method::POST, "/v1/kyc/links", user, "en").await;
    }

    /// The user clicks on this in the sandbox: `verify`, `reject` or `review`.
    pub async fn click(&self, user_id: &str, choice: &str) {
        let url = format!("{}/sandbox/users/{user_id}/{choice}", self.provider);
        let answer = http().post(url).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Returns when the user is that far.
    pub async fn until_the_user_is(&mut self, user_id: &str, status: &str) {
        let url = format!("{}/v1/kyc/users/{user_id}", self.url);
        let reached = async |_: &Process| {
            let request = http().get(&url).header("partner-api-key", KEY);
            let user: Value = request.send().await.unwrap().json().await.unwrap();
            (user["status"] == status).then_some(())
        };
        self.process.until(reached).await;
    }
}
