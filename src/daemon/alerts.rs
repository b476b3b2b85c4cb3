//! The loop that has people told.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::alert::Alerts;

/// How often is looked: how late somebody hears of something at most, beside the grace.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// Looks and tells until `stop` is cancelled. A message under way then is dropped, and sent again by the next process.
pub async fn tell_alerts(alerts: Alerts, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            passed = alerts.pass() => {
                if let Err(error) = passed
                    && !error.is_told()
                {
                    tracing::warn!(%error, "alerts could not be looked at; looked at again soon");
                }
            }
        }
    }
}
