//! Going on with erasures: those that a process left open, and those that were held up.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::sync::Engine;

/// How often it is looked whether the time of one has come. A new order is carried out by whoever takes it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Goes on with erasures until `done` is cancelled, beginning with those that were left open.
pub(super) async fn go_on(engine: &Engine, done: CancellationToken) {
    while !done.is_cancelled() {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = once(engine) => {}
        }
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Goes on with what is due now.
pub(super) async fn once(engine: &Engine) {
    if let Err(error) = engine.erase_due().await
        && !error.is_told()
    {
        tracing::error!(%error, "an erasure could not go on; it is tried again");
    }
}
