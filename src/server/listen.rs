//! Accepting connections: bounded in number, in time and in what their heads may hold.
//!
//! Our own loop rather than `axum::serve`, which waits for ever for a head that is half sent, also at the end.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tower::util::Oneshot;

use super::Peer;

/// Connections at once; more wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 1024;
/// How long the head of a request may take to arrive, an idle connection's next one included.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How long a request may take as a whole, its body's arrival included.
pub(super) const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 32 * 1024;
const MAX_HEADERS: usize = 64;
/// How long open requests may go on after the process was told to stop.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How long to wait after the system refused a connection, which it does again at once where file descriptors ran out.
const ACCEPT_REST: Duration = Duration::from_millis(200);

/// What to do where an address cannot be bound.
const HINTS: [(io::ErrorKind, &str); 3] = [
    (io::ErrorKind::AddrInUse, "another process listens there; change the address or stop it"),
    (io::ErrorKind::AddrNotAvailable, "this machine has no such address"),
    (io::ErrorKind::PermissionDenied, "ports below 1024 need a privilege; choose a higher one"),
];

/// Binds an address.
///
/// Errors: names the address, and what to do.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = HINTS.iter().find(|(kind, _)| *kind == error.kind()).map_or("check the address", |(_, hint)| hint);
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}; {hint}"))
    })
}

/// Answers requests until `stop` is cancelled and open requests are done, each with what `routers` holds when it comes.
///
/// A socket that others hold stays open afterwards: whoever connects meanwhile is answered by the next who serves it.
pub async fn serve(listener: impl Into<Arc<TcpListener>>, routers: watch::Receiver<Router>, stop: CancellationToken) {
    let listener = listener.into();
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            // Once told to stop it leaves new connections to whoever has the socket then.
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (routers, stop) = (routers.clone(), stop.clone());
                connections.spawn(async move {
                    answer(stream, Peer(address.ip()), routers, stop).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_GRACE, finish).await.is_err() {
        connections.shutdown().await;
    }
}

/// Answers the requests of one connection.
async fn answer(stream: TcpStream, peer: Peer, routers: watch::Receiver<Router>, stop: CancellationToken) {
    // Answers are small: waiting for more of them to come along would only delay them.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let router = routers.borrow().clone();
        within_deadline(router.oneshot(request.map(Body::new)))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(MAX_HEAD_BYTES)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn within_deadline(answer: Oneshot<Router, Request>) -> Result<Response, Infallible> {
    tokio::time::timeout(REQUEST_DEADLINE, answer)
        .await
        .unwrap_or_else(|_| Ok(StatusCode::REQUEST_TIMEOUT.into_response()))
}
