//! Callers' connections: how many there are at once, and how long one may take to say what it wants. `axum::serve` bounds
//! neither.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use nix::sys::resource::{Resource, getrlimit};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// How long a silent connection of a caller is believed in, and how long it may leave unread what is sent.
const KEEP_ALIVE_TIME: Duration = Duration::from_secs(30);
#[cfg(target_os = "linux")]
const GONE_AFTER: Duration = Duration::from_mins(2);

/// How long none is accepted where the system has no room for another one.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(200);

/// Where the system tells no bound, or one that nobody reaches.
const MOST: usize = 100_000;

/// When to end.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    /// No connection is accepted any more, and those that are open get the answers that they wait for.
    pub accepting: CancellationToken,
    /// Those that are open are closed, whatever they wait for.
    pub answering: CancellationToken,
}

/// Answers connections until it is stopped, then waits until those that are open have ended: nothing is answered behind
/// its return. What has not said within `patience` what it wants is closed; so is what wants nothing more for as long.
pub(super) async fn serve(listener: TcpListener, router: Router, patience: Duration, stop: Stop) {
    let service = TowerToHyperService::new(router.into_service());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience);
    let places = Arc::new(Semaphore::new(most_at_once()));
    let open = GracefulShutdown::new();
    loop {
        let (stream, place) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = stop.accepting.cancelled() => break,
        };
        let service = service.clone();
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        let stop_answering = stop.answering.clone();
        tokio::spawn(async move {
            if let Some(Err(error)) = stop_answering.run_until_cancelled(connection).await {
                tracing::debug!(%error, "a caller's connection broke off");
            }
            drop(place);
        });
    }
    drop(listener);
    // Also returns once all of them are dropped.
    open.shutdown().await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    let place = Arc::clone(places).acquire_owned().await.expect("nobody closes it");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = prepare(&stream) {
                    tracing::debug!(%error, "a caller's socket stays as it is");
                }
                return (stream, place);
            }
            Err(error) if is_of_the_caller(&error) => {}
            Err(error) => {
                tracing::error!(%error, "failed to accept a connection");
                tokio::time::sleep(NO_ROOM_PAUSE).await;
            }
        }
    }
}

fn is_of_the_caller(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionRefused | K::ConnectionAborted | K::ConnectionReset)
}

/// Three of four files that the process may open: answers need others, towards their providers.
fn most_at_once() -> usize {
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(present, _)| present);
    usize::try_from(files / 4 * 3).map_or(MOST, |most| most.clamp(1, MOST))
}

/// Sets what a caller's connection needs.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Without it the kernel waits for more before it sends a small piece: 40 ms for each.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    // A caller whose machine has gone without a word leaves too: its runs should not go on for nobody.
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE_TIME))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
    Ok(())
}
