//! A stand-in for the provider Capa, over real HTTP, for demos, tests and load runs without an account.
//!
//! It must never be, nor reach, production: it binds to loopback only and posts webhooks to loopback only, checked
//! here at the start and again for every address it is told later. It holds its whole state in bounded memory and
//! forgets it when stopped. Where Capa's pages are silent the choice made here is one of several a tracker has to
//! live with, and never a claim about Capa.

mod api;
mod bounded;
mod control;
mod deliver;
mod fault;
mod link_request;
mod notifications;
mod page;
mod refusal;
mod state;
#[cfg(test)]
mod tests;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, dev::ServerHandle, web};
use anyhow::{Context, bail, ensure};
use rustls::crypto::SecureRandom;
use secrecy::SecretString;
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

pub use fault::{Fault, Mode};
use state::State;

/// The largest request body that is read; every documented body is far smaller.
const BODY_LIMIT: usize = 64 * 1024;

/// How a sandbox is set up.
pub struct Settings {
    /// A loopback address; port 0 takes any free port.
    pub bind: SocketAddr,
    /// The partner accounts, each with a name and a key of its own.
    pub accounts: Vec<Account>,
    /// How many times faster than the documented schedule the webhook retries run; 1 is real time.
    pub speed: u32,
}

/// One partner account at the provider.
pub struct Account {
    /// What the pages and `POST /sandbox/users` call the account.
    pub name: String,
    /// Expected in the header `partner-api-key`.
    pub api_key: SecretString,
    /// Signs this account's webhooks.
    pub webhook_secret: SecretString,
    /// Where webhooks go until `PUT webhook-settings` says otherwise; without it they become `NOT_SENT`.
    pub webhook_url: Option<Url>,
}

/// Webhooks of one account with one body that were answered with success.
pub struct Acknowledged {
    /// The account's name.
    pub account: String,
    /// The exact bytes.
    pub body: String,
    /// How often they were acknowledged.
    pub times: u64,
}

/// A running sandbox; it runs until [`Sandbox::stop`] or the end of the runtime it was started on.
pub struct Sandbox {
    shared: Arc<Shared>,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
}

/// Binds and serves in the background. A rustls crypto provider has to be installed before.
///
/// Fails when an address is not loopback, when two accounts share a name or a key, or when the port is taken.
pub async fn start(settings: Settings) -> anyhow::Result<Sandbox> {
    check(&settings)?;
    let listener = TcpListener::bind(settings.bind).context("binding the sandbox's address")?;
    let address = listener
        .local_addr()
        .context("reading the sandbox's address")?;
    let base_url = Url::parse(&format!("http://{address}")).context("building the base URL")?;
    let shared = Arc::new(Shared {
        base_url,
        state: Mutex::new(State::new(&settings.accounts)),
        accounts: settings.accounts,
        speed: settings.speed,
        http: deliver::client().context("building the webhook client")?,
        random: rustls::crypto::ring::default_provider().secure_random,
        runtime: tokio::runtime::Handle::current(),
        tasks: Mutex::new(JoinSet::new()),
        under_way: tokio::sync::watch::Sender::new(0),
    });
    let data = web::Data::from(Arc::clone(&shared));
    let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(routes))
        .workers(1)
        .disable_signals()
        .shutdown_timeout(1)
        .listen(listener)
        .context("listening on the sandbox's address")?
        .run();
    let handle = server.handle();
    let serving = tokio::spawn(server);
    log::info!(address:% = address, accounts = shared.accounts.len(); "The sandbox provider listens.");
    Ok(Sandbox {
        shared,
        server: handle,
        serving,
    })
}

/// Every route of the sandbox: the provider's own, the page a person opens, and the controls of the stand-in.
fn routes(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PayloadConfig::new(BODY_LIMIT))
        .service(
            web::scope("/api/partner/v2")
                .wrap(from_fn(fault::act))
                .route("/users", web::post().to(api::create_user))
                .route(
                    "/users/{user_id}/kyc/verification-link",
                    web::post().to(api::create_link),
                )
                .route(
                    "/kyc/verification-link",
                    web::post().to(api::create_link_with_info),
                )
                .route("/kyc/details", web::get().to(api::details))
                .route(
                    "/webhook-settings",
                    web::put().to(notifications::put_settings),
                )
                .route("/webhook-notifications", web::get().to(notifications::list))
                .route(
                    "/webhook-notifications/{id}",
                    web::get().to(notifications::get),
                )
                .route(
                    "/webhook-notifications/{id}/retry",
                    web::post().to(notifications::retry),
                ),
        )
        .service(
            web::scope("/verify")
                .wrap(from_fn(control::own_clicks_only))
                .route("/{session}", web::get().to(page::show))
                .route("/{session}/{verdict}", web::post().to(page::click)),
        )
        .service(
            web::scope("/sandbox")
                .wrap(from_fn(control::own_origin_only))
                .route("/users", web::post().to(control::put_user))
                .route(
                    "/users/{user_id}/{verdict}",
                    web::post().to(page::click_latest),
                )
                .route("/faults", web::get().to(control::get_fault))
                .route("/faults", web::post().to(control::set_fault)),
        )
        .default_service(web::to(refusal::no_such_route));
}

impl Sandbox {
    /// Where the sandbox answers, with the port it really got; this is a tracker's `provider.base_url`.
    pub fn base_url(&self) -> Url {
        self.shared.base_url.clone()
    }

    /// Says which `externalUserId` the webhooks of a user carry; makes the user when it is new.
    ///
    /// Fails when the account is unknown, or when either id is taken by somebody else.
    pub fn adopt(
        &self,
        account: &str,
        user_id: &str,
        external_user_id: &str,
    ) -> anyhow::Result<()> {
        control::adopt(&self.shared, account, user_id, external_user_id)?;
        Ok(())
    }

    /// Replaces the current fault; the next request or webhook already meets it.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.state().fault = fault;
    }

    /// The webhooks that the receivers said they have: each account and body once, in the order of the first time.
    pub fn acknowledged(&self) -> Vec<Acknowledged> {
        let state = self.shared.state();
        let mut acknowledged: Vec<_> = state
            .acknowledged
            .newest_first()
            .map(|((account, body), times)| Acknowledged {
                account: self.shared.accounts[account.0].name.clone(),
                body: body.clone(),
                times: *times,
            })
            .collect();
        acknowledged.reverse();
        acknowledged
    }

    /// Returns when no webhook is being sent or waits for a retry, which can take the whole retry schedule.
    pub async fn settled(&self) {
        let mut under_way = self.shared.under_way.subscribe();
        // The sender lives in `self.shared`, so the channel cannot close while this waits.
        let _ = under_way.wait_for(|count| *count == 0).await;
    }

    /// Stops serving, cuts what is under way and forgets everything.
    pub async fn stop(self) {
        self.server.stop(false).await;
        if let Ok(Err(error)) = self.serving.await {
            log::warn!(error:% = error; "The sandbox provider ended with an error.");
        }
        let mut tasks = std::mem::take(&mut *self.shared.tasks());
        tasks.shutdown().await;
    }
}

/// What every handler and delivery reaches.
struct Shared {
    accounts: Vec<Account>,
    base_url: Url,
    speed: u32,
    http: reqwest::Client,
    random: &'static dyn SecureRandom,
    /// Deliveries run where the sandbox was started, because a server's worker may end before they do.
    runtime: tokio::runtime::Handle,
    state: Mutex<State>,
    tasks: Mutex<JoinSet<()>>,
    under_way: tokio::sync::watch::Sender<usize>,
}

impl Shared {
    /// Locks the state. No change is made in two steps that could panic between, so poison is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a delivery in the background, counted by [`Sandbox::settled`] and ended by [`Sandbox::stop`].
    fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        struct Counted(Arc<Shared>);
        impl Drop for Counted {
            fn drop(&mut self) {
                self.0.under_way.send_modify(|count| *count -= 1);
            }
        }
        self.under_way.send_modify(|count| *count += 1);
        let counted = Counted(Arc::clone(self));
        let mut tasks = self.tasks();
        // A JoinSet keeps what has ended until it is asked for it.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(
            async move {
                let _counted = counted;
                work.await;
            },
            &self.runtime,
        );
    }

    /// How long a wait of the documented schedule lasts here.
    fn scaled(&self, documented: Duration) -> Duration {
        documented / self.speed
    }
}

fn check(settings: &Settings) -> anyhow::Result<()> {
    use secrecy::ExposeSecret as _;
    ensure!(
        settings.bind.ip().is_loopback(),
        "the sandbox binds to a loopback address only, not to {}",
        settings.bind.ip()
    );
    ensure!(
        settings.speed >= 1,
        "the sandbox's speed must be at least 1"
    );
    for (index, account) in settings.accounts.iter().enumerate() {
        let name = &account.name;
        let key = account.api_key.expose_secret();
        ensure!(!key.is_empty(), "the sandbox account {name} has no API key");
        if let Some(url) = &account.webhook_url
            && !deliver::is_allowed(url)
        {
            bail!(
                "the webhook URL of the sandbox account {name} is not http(s) on a loopback host"
            );
        }
        let earlier = &settings.accounts[..index];
        ensure!(
            earlier.iter().all(|other| other.name != *name),
            "two sandbox accounts are called {name}"
        );
        ensure!(
            earlier
                .iter()
                .all(|other| other.api_key.expose_secret() != key),
            "the sandbox account {name} has the API key of another one"
        );
    }
    Ok(())
}
