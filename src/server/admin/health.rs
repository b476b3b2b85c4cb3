//! Health: is the process alive, and should it get work? For service managers and load balancers, so without a token, and
//! telling nothing but that.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Admin;
use crate::server::Served;

/// How long the store may take to answer.
const STORE_DEADLINE: Duration = Duration::from_secs(5);
/// How long an answer stands: whoever asks more often costs the store nothing.
const STANDS_FOR: Duration = Duration::from_secs(1);

pub(super) fn router() -> Router<Admin> {
    let pulse = Arc::new(Pulse::default());
    Router::new().route("/health/live", get(live)).route("/health/ready", get(ready)).layer(Extension(pulse))
}

/// What is wrong, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    Ok,
    /// The process was told to stop.
    Stopping,
    /// No source is at work.
    Starting,
    /// The store did not answer in time.
    Slow,
    /// The store refuses.
    Store,
}

impl Health {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Slow => "slow",
            Self::Store => "store",
        }
    }
}

impl IntoResponse for Health {
    fn into_response(self) -> Response {
        let status = if self == Self::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (status, [(CACHE_CONTROL, "no-store")], Json(json!({ "status": self.word() }))).into_response()
    }
}

/// The latest answers of the store.
#[derive(Default)]
struct Pulse {
    reads: Mutex<Option<(Instant, Health)>>,
    writes: Mutex<Option<(Instant, Health)>>,
}

async fn live(State(admin): State<Admin>, Extension(pulse): Extension<Arc<Pulse>>) -> Health {
    lately(&pulse.reads, reads(&admin.served, STORE_DEADLINE)).await
}

async fn ready(State(admin): State<Admin>, Extension(pulse): Extension<Arc<Pulse>>) -> Health {
    if admin.served.stop.is_cancelled() {
        return Health::Stopping;
    }
    if admin.served.engine.sources().next().is_none() {
        return Health::Starting;
    }
    // Taking the right to write works on a full disk too.
    if admin.served.engine.store().trouble().is_some_and(|trouble| trouble.stops_writes) {
        return Health::Store;
    }
    lately(&pulse.writes, writes(&admin.served, STORE_DEADLINE)).await
}

/// The latest answer if it still stands, else a new one; whoever asks meanwhile waits for it.
async fn lately(latest: &Mutex<Option<(Instant, Health)>>, ask: impl Future<Output = Health>) -> Health {
    let mut latest = latest.lock().await;
    match *latest {
        Some((at, health)) if at.elapsed() < STANDS_FOR => health,
        _ => {
            let health = ask.await;
            *latest = Some((Instant::now(), health));
            health
        }
    }
}

async fn reads(served: &Served, deadline: Duration) -> Health {
    match tokio::time::timeout(deadline, served.engine.store().read(|txn| txn.find_link("0"))).await {
        Ok(Ok(_)) => Health::Ok,
        Ok(Err(_)) => Health::Store,
        Err(_) => Health::Slow,
    }
}

/// Takes the right to write and gives it back: nothing is written.
async fn writes(served: &Served, deadline: Duration) -> Health {
    match tokio::time::timeout(deadline, served.engine.store().write(|_| Ok(()))).await {
        Ok(Ok(())) => Health::Ok,
        Ok(Err(_)) => Health::Store,
        Err(_) => Health::Slow,
    }
}
