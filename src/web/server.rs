//! The sockets: binds, serves, and stops without breaking off what it has taken in.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as Service, HttpServer, web};
use anyhow::{Context, ensure};
use tokio::signal::unix::{SignalKind, signal};

use super::boundary::boundary;
use super::routes::routes;
use crate::app::App;

/// How long the head of a request may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Binds the address of the configuration.
///
/// # Errors
/// When it cannot be bound; names it.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address} (server.bind)"))
}

/// A server on the bound listener. It runs when awaited, until its handle stops it.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(app: web::Data<App>, listener: TcpListener) -> anyhow::Result<Server> {
    let settings = app.config.server.clone();
    let server = HttpServer::new(move || {
        Service::new()
            .app_data(app.clone())
            .wrap(from_fn(boundary))
            .configure(routes)
    })
    .client_request_timeout(HEAD_DEADLINE)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(settings.shutdown_timeout.as_secs())
    .disable_signals();
    let server = match settings.workers {
        0 => server,
        workers => server.workers(workers),
    };
    Ok(server.listen(listener)?.run())
}

/// Runs the server until SIGTERM or SIGINT, or until `lost` says that there is no use in going on; then no new request is
/// taken and those taken are answered first.
///
/// # Errors
/// When the signals cannot be heard, the server fails, or it was `lost`.
pub async fn until_told_to_stop(
    server: Server,
    lost: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let handle: ServerHandle = server.handle();
    let mut server = std::pin::pin!(server);
    let lost = tokio::select! {
        ended = &mut server => return Ok(ended?),
        _ = term.recv() => false,
        _ = int.recv() => false,
        () = lost => true,
    };
    log::info!("Stopping: requests that were taken are answered first.");
    let (_, ended) = tokio::join!(handle.stop(true), server);
    ended?;
    ensure!(!lost, "nothing can be written any more");
    Ok(())
}
