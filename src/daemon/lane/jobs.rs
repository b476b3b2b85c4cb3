//! What a worker does: one step of a link, or one look at a user, neither for longer than its deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::{DueUser, StoreError, UsageRow};
use crate::sync::{Engine, Looked, Source, Step};

/// One step of one link, given up at its deadline; a panic marks the sync failed and nothing else.
pub async fn step(engine: &Arc<Engine>, link_id: i64, deadline: Duration) -> Result<Step, StoreError> {
    let mut task = JoinSet::new();
    let worker = Arc::clone(engine);
    task.spawn(async move { worker.advance(link_id).await });
    match tokio::time::timeout(deadline, task.join_next()).await {
        Ok(Some(Ok(result))) => result,
        Ok(Some(Err(error))) if error.is_panic() => {
            tracing::error!(link.id = link_id, "a sync panicked; this is a bug, please report it");
            engine.abandon(link_id, "the sync panicked; this is a bug, please report it with the log").await
        }
        Ok(_) => Ok(Step::Nothing),
        Err(_) => {
            task.shutdown().await;
            engine.abandon(link_id, "the sync took longer than its deadline ([schedule] sync_deadline)").await
        }
    }
}

/// One look at a user's links, given up at its deadline.
pub(super) async fn look(
    engine: &Arc<Engine>,
    source: &Arc<Source>,
    user: &DueUser,
    deadline: Duration,
) -> Result<Looked, StoreError> {
    if let Ok(result) = tokio::time::timeout(deadline, engine.look_at_user(source, user)).await {
        return result;
    }
    tracing::warn!(source = %source.name, user.id = user.user_id, "a look at a user's links took too long");
    engine.abandon_look(user, "the look took longer than its deadline ([schedule] sync_deadline)").await?;
    Ok(Looked::default())
}

/// Writes the request counters of a source; what cannot be stored is kept for the next time.
pub async fn flush_usage(engine: &Engine, source: &Source) {
    let usage = source.limiter.drain_usage();
    if usage.is_empty() {
        return;
    }
    let rows: Vec<UsageRow> = usage
        .iter()
        .map(|u| UsageRow {
            minute_at: u.minute_at,
            requests: u.requests,
            rate_limited: u.rate_limited,
            failed: u.failed,
        })
        .collect();
    let source_id = source.source_id;
    if let Err(error) = engine.store().write(move |txn| txn.add_usage(source_id, "secret", &rows)).await {
        if !error.is_told() {
            tracing::warn!(source = %source.name, %error, "request counters could not be stored yet");
        }
        source.limiter.restore_usage(usage);
    }
}
