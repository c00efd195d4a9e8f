//! The sockets: binds, serves, and stops without breaking off what it has taken in.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::available_parallelism;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::{AppConfig, Server, ServerHandle};
use actix_web::middleware::from_fn;
use actix_web::{App as Service, web};
use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};

use super::boundary::boundary;
use super::connection::{GOODBYE, Socket};
use super::limits::{Edge, InFlight, Limits};
use super::routes::routes;
use crate::app::App;

/// How many connections may wait until they are accepted.
const BACKLOG: i32 = 1024;
/// Threads of a worker for work that blocks.
const BLOCKING_THREADS: usize = 16;
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
    serve_with(app, listener, Limits::default())
}

/// The same with other limits.
///
/// What `actix_web::HttpServer` does is done here by hand, because it lets nobody stand between a socket and its requests.
///
/// # Errors
/// As [`serve`].
pub fn serve_with(
    app: web::Data<App>,
    listener: TcpListener,
    limits: Limits,
) -> anyhow::Result<Server> {
    let settings = app.config.server.clone();
    let workers = match settings.workers {
        0 => available_parallelism()
            .map_or(2, NonZeroUsize::get)
            .min(512),
        workers => workers,
    };
    let address = listener.local_addr()?;
    let builder = Server::build()
        .workers(workers)
        .worker_max_blocking_threads(BLOCKING_THREADS)
        .max_concurrent_connections(settings.max_connections.div_ceil(workers))
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let in_flight = Arc::new(InFlight::default());
    let worker = move || {
        let edge = Edge::new(limits, stopping.clone(), Arc::clone(&in_flight));
        let service = Service::new()
            .app_data(app.clone())
            .wrap(from_fn(boundary))
            .configure(routes)
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let stopping = stopping.clone();
        let stopped = move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        };
        let http = HttpService::build()
            .graceful_shutdown_signal(stopped)
            .keep_alive(limits.keep_alive)
            .client_request_timeout(limits.head)
            .client_disconnect_timeout(GOODBYE)
            .h1_allow_half_closed(false)
            .local_addr(address)
            .on_connect_ext(|socket: &Socket, data| {
                data.insert(socket.connection());
            })
            .h1(map_config(service, |()| AppConfig::default()));
        let socket = move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            ready(Ok::<_, DispatchError>((
                Socket::new(stream, Rc::clone(&edge)),
                peer,
            )))
        };
        fn_service(socket).and_then(http)
    };
    Ok(builder.listen("http", listener, worker)?.run())
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
