//! Dropping what is older than it is to be kept: once a day, a little at a time.

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::RetentionConfig;
use crate::store::{Kept, StoreError};
use crate::sync::Engine;

/// How long after its start the process first looks: then it has better things to do.
const FIRST_AFTER: Duration = Duration::from_mins(10);
/// How often it looks.
const EVERY: Duration = Duration::from_hours(24);
/// Rows looked at in one go, and dropped in one commit at most.
const WINDOW: u32 = 2_000;
/// Rest between two commits, so that others get to write.
const BREATH: Duration = Duration::from_millis(50);

/// Drops what is too old, day after day, until `done` is cancelled.
pub(super) async fn keep(engine: &Engine, retention: &RetentionConfig, done: CancellationToken) {
    let days = async {
        tokio::time::sleep(FIRST_AFTER).await;
        loop {
            drop_old(engine, retention).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        biased;
        () = done.cancelled() => {}
        () = days => {}
    }
}

/// Drops everything that is too old now, and says how much that was. What was sealed in invites goes when their time is over, however
/// long the invites themselves are kept.
pub async fn drop_old(engine: &Engine, retention: &RetentionConfig) {
    let now = engine.clock().now();
    if let Err(error) = engine.store().write(move |txn| txn.tidy_invites(now)).await
        && !error.is_told()
    {
        tracing::warn!(%error, "what invites hold that are over could not be wiped yet");
    }
    for kept in Kept::ALL {
        let Some(age) = age_of(kept, retention) else { continue };
        let now = engine.clock().now();
        let before = now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        match drop_before(engine, kept, before).await {
            Ok(0) => {}
            Ok(rows) => tracing::info!(what = kept.as_str(), rows, "rows older than [retention] says were dropped"),
            Err(error) if error.is_told() => {}
            Err(error) => tracing::warn!(what = kept.as_str(), %error, "old rows could not be dropped yet"),
        }
    }
}

fn age_of(kept: Kept, retention: &RetentionConfig) -> Option<Duration> {
    match kept {
        Kept::Syncs => retention.syncs,
        Kept::RequestUsage => retention.request_usage,
        Kept::RejectedRows => retention.rejected_rows,
        Kept::Invites => retention.invites,
        Kept::Alerts => retention.alerts,
        Kept::Refreshes => retention.refreshes,
        Kept::Balances => retention.balances,
        Kept::Raw => retention.raw,
    }
}

async fn drop_before(engine: &Engine, kept: Kept, before: Timestamp) -> Result<usize, StoreError> {
    let capped = engine.sources().filter(|source| source.refresh_policy.lifetime_cap.is_some());
    let spared: Vec<i64> = capped.map(|source| source.source_id).collect();
    let (mut after, mut dropped) = (i64::MIN, 0);
    loop {
        let sparing = spared.clone();
        let found = engine.store().read(move |txn| txn.old_rows(kept, after, before, WINDOW, &sparing)).await?;
        if !found.ids.is_empty() {
            dropped += engine.store().write(move |txn| txn.drop_old_rows(kept, &found.ids)).await?;
        }
        let Some(last) = found.last else { return Ok(dropped) };
        after = last;
        tokio::time::sleep(BREATH).await;
    }
}
