//! The service and the sandbox provider of a run, the clock that both of them are pushed along by, and who talks to them.
//!
//! The service's time stands still until it is told to pass, and then its looks are made. The sandbox's waits are real
//! ones, shortened so far that a retry an hour away is a matter of milliseconds.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::rt::task::JoinHandle;
use actix_web::{rt, web};
use anyhow::{Context, ensure};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

use super::super::key;
use super::super::stage::{Partner, Stage, local};
use crate::app::App;
use crate::clock::Clock;
use crate::logging;
use crate::reconcile;
use crate::web::server;

/// How many times faster than documented the sandbox waits: its 31 minutes of retries take 31 milliseconds.
const SPEED: u32 = 60_000;
/// The service's time begins so long ago, because what the sandbox writes down carries the real time, which has to be no
/// earlier than when it happened to the service.
const HEAD_START: Duration = Duration::from_secs(400 * 24 * 3600);
/// A service that has been cut off has let go of its database after this long.
const LETTING_GO: Duration = Duration::from_secs(10);

/// All that runs.
pub struct World {
    /// The provider, the partners and the keys.
    pub stage: Stage,
    /// Nothing but the database lies in it.
    pub folder: TempDir,
    /// The service's time.
    pub clock: Clock,
    settings: Vec<(&'static str, String)>,
    http: reqwest::Client,
    tracker: Option<Tracker>,
}

/// The running service.
struct Tracker {
    app: web::Data<App>,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
}

/// An answer, read to its end; status 0 stands for none.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Whether it has the header `retry-after`.
    pub says_when: bool,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body, if it is JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The code of a problem.
    pub fn code(&self) -> Option<String> {
        self.json()["code"].as_str().map(str::to_owned)
    }
}

impl World {
    /// Two partners, a sandbox and a service with an empty database.
    ///
    /// # Errors
    /// When something of it cannot start.
    pub async fn build(confirm: &str) -> anyhow::Result<World> {
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        let listener = server::bind(local(0))?;
        let partners = ["left", "right"].map(|id| Partner::new(id, key::new_key("partner")?));
        let partners = partners.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let stage = Stage::build(listener.local_addr()?, local(0), SPEED, partners).await?;
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([])
            // A connection from before a restart would be broken.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(20))
            .build()?;
        drop(listener);
        let mut world = World {
            stage,
            folder,
            clock: Clock::driven(Clock::system().now().minus(HEAD_START)),
            settings: vec![
                ("KYC__WEBHOOKS__CONFIRM", confirm.to_owned()),
                ("KYC__LOG__FILTER", "off".to_owned()),
                ("KYC__PROVIDER__TIMEOUT", "1s".to_owned()),
                ("KYC__SERVER__WORKERS", "1".to_owned()),
                ("KYC__CHECKS__PER_SECOND", "50".to_owned()),
            ],
            http,
            tracker: None,
        };
        world.start()?;
        Ok(world)
    }

    /// Starts the service on the same address and the same database.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start(&mut self) -> anyhow::Result<()> {
        let settings: Vec<_> = self
            .settings
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let config = self
            .stage
            .config(&self.folder.path().join("kyc.db"), &settings)?;
        logging::init(&config.log)?;
        let listener = server::bind(config.server.bind)?;
        let app = web::Data::new(App::build(config, self.clock.clone())?);
        let running = server::serve(app.clone(), listener)?;
        let server = running.handle();
        let serving = rt::spawn(running);
        self.tracker = Some(Tracker {
            app,
            server,
            serving,
        });
        Ok(())
    }

    /// Cuts the service off, requests and looks under way with it.
    ///
    /// # Errors
    /// When it does not let go of its database.
    pub async fn cut_off(&mut self) -> anyhow::Result<()> {
        let Some(Tracker {
            app,
            server,
            serving,
        }) = self.tracker.take()
        else {
            return Ok(());
        };
        // A look that is cut off in the middle stays due.
        let look = reconcile::run_once(&app, self.clock.now());
        let _ = tokio::time::timeout(Duration::from_millis(2), look).await;
        server.stop(false).await;
        serving.await??;
        let app = app.into_inner();
        let alone = async {
            while Arc::strong_count(&app) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let alone = tokio::time::timeout(LETTING_GO, alone).await;
        ensure!(alone.is_ok(), "a service that was cut off still runs");
        Ok(())
    }

    /// Lets that much time pass and makes the looks that are due then.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pass(&self, time: Duration) -> anyhow::Result<()> {
        self.clock.advance(time);
        if let Some(tracker) = &self.tracker {
            while reconcile::run_once(&tracker.app, self.clock.now()).await? > 0 {}
        }
        Ok(())
    }

    /// A request to the service without any key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.stage.tracker_url()))
    }

    /// A request in the name of the partner at that place.
    pub fn ask(&self, partner: usize, method: Method, path: &str) -> RequestBuilder {
        let key = &self.stage.partners[partner].api_key;
        self.request(method, path).header("partner-api-key", key)
    }

    /// A read in the name of the admin.
    pub async fn admin(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request.bearer_auth(&self.stage.admin_key)).await
    }

    /// A request to the provider, in the name of the partner at that place.
    pub fn provider(&self, partner: usize, method: Method, path: &str) -> RequestBuilder {
        let key = &self.stage.partners[partner].provider_key;
        self.http
            .request(method, format!("{}{path}", self.stage.provider_url()))
            .header("partner-api-key", key)
    }

    /// Sends it.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        match request.send().await {
            Ok(response) => Answer {
                status: response.status().as_u16(),
                says_when: response.headers().contains_key("retry-after"),
                text: response.text().await.unwrap_or_default(),
            },
            Err(error) => Answer {
                status: 0,
                says_when: false,
                text: error.to_string(),
            },
        }
    }

    /// Ends everything.
    ///
    /// # Errors
    /// When the service does not end.
    pub async fn end(mut self) -> anyhow::Result<()> {
        self.cut_off().await?;
        self.stage.sandbox.stop().await;
        Ok(())
    }
}
