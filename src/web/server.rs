//! The sockets: binds, serves, and stops without breaking off what it has taken in.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::dev::{Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as Service, HttpServer, web};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use super::boundary::boundary;
use super::routes::routes;
use crate::app::App;

/// How long the head of a request may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How many connections may wait until they are accepted.
const BACKLOG: i32 = 1024;
/// So many open files are as good as any number, and with fewer than the second number connections may run out.
const FILES_WANTED: u64 = 65_536;
const FILES_NEEDED: u64 = 8_192;

/// Raises the number of files, and so of connections, that this process may have open, as far as the system allows it. A
/// warning is logged when that is not far.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(u64::MAX).min(FILES_WANTED);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit {
            current: Some(wanted),
            ..limit
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!(error:%; "The limit of open files cannot be raised.");
        }
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if files < FILES_NEEDED {
        log::warn!(files; "The system allows few open files, so connections may be kept waiting: raise `ulimit -n`.");
    }
}

/// Binds the address of the configuration.
///
/// # Errors
/// When it cannot be bound; names it.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        rustix::net::listen(&listener, BACKLOG)?;
        Ok(listener)
    });
    bound.with_context(|| format!("cannot listen on {address} (server.bind)"))
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

/// Runs the server until SIGTERM or SIGINT; then no new request is taken and those taken are answered first.
///
/// # Errors
/// When the signals cannot be heard or the server fails.
pub async fn until_told_to_stop(server: Server) -> anyhow::Result<()> {
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let handle: ServerHandle = server.handle();
    let mut server = std::pin::pin!(server);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    log::info!("Stopping: requests that were taken are answered first.");
    let (_, ended) = tokio::join!(handle.stop(true), server);
    Ok(ended?)
}
