//! The program as a service on a database file, ready for requests.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::process::{Process, program};
use super::{ACME, settings};

/// A running `serve`; killed when dropped.
pub struct Service {
    pub process: Process,
    pub address: String,
    http: reqwest::Client,
}

/// The command and environment of a service on that file, on a free port.
pub fn environment(database: &Path) -> Vec<(String, String)> {
    let folder = database.parent().unwrap();
    let mut environment = settings(folder, "http://127.0.0.1:9");
    let mut set = |name: &str, value: &str| environment.push((name.to_owned(), value.to_owned()));
    set(
        "KYC__DATABASE__URL",
        &format!("sqlite://{}", database.display()),
    );
    set("KYC__SERVER__BIND", "127.0.0.1:0");
    // More than one, as in earnest.
    set("KYC__SERVER__WORKERS", "2");
    // The provider is never asked, so that nothing but webhooks moves anybody.
    set("KYC__WEBHOOKS__CONFIRM", "never");
    environment
}

impl Service {
    /// Starts it on that file and waits until it is ready.
    pub async fn start(database: &Path) -> Service {
        let service = Service::begin(program(&["serve"]), database).await;
        let (status, problem) = service.ready().await;
        assert_eq!(status, 200, "{problem}");
        service
    }

    /// Starts it by this command and waits until it listens.
    pub async fn begin(command: Command, database: &Path) -> Service {
        let mut process = Process::begin(command, &environment(database));
        let address = process.until(async |process| {
            let said = process.stderr();
            let line = said.lines().find(|line| line.contains("Listening."))?;
            let address = line.split("address=").nth(1)?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        let address = address.await;
        Service {
            process,
            address,
            http: super::http(),
        }
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("http://{}{path}", self.address));
        let answer = request.header("partner-api-key", ACME.key).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// What the readiness check answers.
    pub async fn ready(&self) -> (u16, Value) {
        self.get("/readyz").await
    }

    /// Fails unless it says that it is not ready, for this reason.
    pub async fn ails(&self, reason: &str) {
        let (status, problem) = self.ready().await;
        assert_eq!(
            (status, &problem["code"], &problem["reason"]),
            (503, &"store_unavailable".into(), &reason.into()),
            "{problem}"
        );
    }

    /// Fails unless the status of the first user is answered.
    pub async fn answers_reads(&self) {
        let (status, user) = self.get("/v1/kyc/users/u0").await;
        assert_eq!((status, &user["userId"]), (200, &"u0".into()), "{user}");
    }
}
