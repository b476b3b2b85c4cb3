//! The local socket: orders that come in over it, and how a command sends one.

use std::io;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Done, Order, OrderError, carry_out, reload, trouble};
use crate::server::Served;

/// Where the control socket of the store at `store_path` is.
pub fn socket_path(store_path: &Path) -> PathBuf {
    let mut path = store_path.as_os_str().to_owned();
    path.push(".sock");
    path.into()
}

/// Answers orders on the socket beside the store until `stop` is cancelled. The caller holds the store's lock.
///
/// Each order is carried out by what is served when it comes.
pub async fn serve(served: watch::Receiver<Served>, stop: CancellationToken) -> io::Result<()> {
    let path = socket_path(served.borrow().engine.store().path());
    // Left behind by a process that was killed; the lock says that nobody else listens.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    restrict(&path)?;
    let router = Router::new().route("/order", post(answer)).route("/trouble", get(trouble::answer)).with_state(served);
    let answering = axum::serve(listener, router).with_graceful_shutdown({
        let stop = stop.clone();
        async move { stop.cancelled().await }
    });
    // A client that never finishes its request would hold a graceful end for ever.
    tokio::select! {
        result = answering => result?,
        () = async { stop.cancelled().await; tokio::time::sleep(std::time::Duration::from_secs(1)).await; } => {}
    }
    let _ = std::fs::remove_file(&path);
    Ok(())
}

fn restrict(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}

async fn answer(
    State(served): State<watch::Receiver<Served>>,
    Json(order): Json<Order>,
) -> Result<Json<Done>, (StatusCode, String)> {
    let served = served.borrow().clone();
    attend(&served, order).await
}

/// Carries out an order that came in, and wakes whoever goes on with it. The log says which kind it was, not about whom.
pub(in crate::server) async fn attend(served: &Served, order: Order) -> Result<Json<Done>, (StatusCode, String)> {
    let word = order.word();
    tracing::info!(order = word, "order");
    let result = if matches!(order, Order::Reload {}) {
        reload::reload(served.reloader.as_ref()).await
    } else {
        carry_out(&served.engine, order).await
    };
    served.waker.wake();
    result.map(Json).map_err(|error| {
        tracing::warn!(order = word, "an order was not carried out; whoever sent it was told why");
        (StatusCode::CONFLICT, error.to_string())
    })
}

/// Sends an order to the daemon that runs on the store at `store_path`.
pub async fn send(store_path: &Path, order: &Order) -> Result<Done, OrderError> {
    crate::http::install_crypto();
    let path = socket_path(store_path);
    let unreachable = |source| OrderError::Unreachable { path: path.clone(), source };
    let client = reqwest::Client::builder().no_proxy().unix_socket(path.clone()).build().map_err(unreachable)?;
    let response = client.post("http://passbook/order").json(order).send().await.map_err(unreachable)?;
    if response.status().is_success() {
        return response.json().await.map_err(unreachable);
    }
    Err(OrderError::Refused(response.text().await.map_err(unreachable)?))
}
