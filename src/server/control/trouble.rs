//! Asking the running daemon what keeps it from working with the store: it alone has tried.

use std::path::Path;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use tokio::sync::watch;

use super::socket_path;
use crate::server::Served;
use crate::server::status::TroubleJson;

/// How long a command waits for the answer: it has more to say.
const DEADLINE: Duration = Duration::from_secs(2);

pub(super) async fn answer(State(served): State<watch::Receiver<Served>>) -> Json<Option<TroubleJson>> {
    let engine = served.borrow().engine.clone();
    Json(TroubleJson::of(engine.store(), engine.clock().now()))
}

/// Asks the daemon that runs on the store at `store_path`.
///
/// Shape: `None`: there is no trouble, no daemon, or this user may not ask it.
pub async fn ask(store_path: &Path) -> Option<TroubleJson> {
    crate::http::install_crypto();
    let client = reqwest::Client::builder().no_proxy().unix_socket(socket_path(store_path)).timeout(DEADLINE);
    let answer = client.build().ok()?.get("http://passbook/trouble").send().await.ok()?;
    answer.json().await.ok()?
}
