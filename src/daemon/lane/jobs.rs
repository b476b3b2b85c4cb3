//! What a worker does: one step of a link, one look at a user or one listing, each in a task of its own, so that a panic in it and
//! what only it cannot store end nothing else.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::{DueUser, StoreError, UsageRow};
use crate::sync::{Discovered, Engine, Looked, Source, Step, reason_of};

/// How a job came to its end.
enum Ended<T> {
    /// By itself.
    Done(T),
    /// By something that concerns nothing else, in words.
    Failed(String),
    /// At its deadline.
    Late,
    /// The process ends.
    Dropped,
}

/// Runs a job in a task of its own and gives it up at its deadline; `what` names it where it fails.
///
/// Errors: those about the whole store; what is about this job alone is how it failed.
async fn contain<T: Send + 'static>(
    what: &str,
    job: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    deadline: Option<Duration>,
) -> Result<Ended<T>, StoreError> {
    let mut task = JoinSet::new();
    task.spawn(job);
    let joined = match deadline {
        Some(deadline) => tokio::time::timeout(deadline, task.join_next()).await,
        None => Ok(task.join_next().await),
    };
    match joined {
        Ok(Some(Ok(Ok(done)))) => Ok(Ended::Done(done)),
        Ok(Some(Ok(Err(error)))) if error.trouble().is_none() => Ok(Ended::Failed(reason_of(&error))),
        Ok(Some(Ok(Err(error)))) => Err(error),
        Ok(Some(Err(error))) if error.is_panic() => {
            Ok(Ended::Failed(format!("{what} panicked; this is a bug, please report it with the log")))
        }
        Ok(Some(Err(_)) | None) => Ok(Ended::Dropped),
        Err(_) => {
            task.shutdown().await;
            Ok(Ended::Late)
        }
    }
}

/// One step of one link; where it fails by itself, its sync does and nothing else.
pub async fn step(engine: &Arc<Engine>, link_id: i64, deadline: Duration) -> Result<Step, StoreError> {
    let worker = Arc::clone(engine);
    let job = async move { worker.advance(link_id).await };
    match contain("the sync", job, Some(deadline)).await? {
        Ended::Done(step) => Ok(step),
        Ended::Dropped => Ok(Step::Nothing),
        Ended::Failed(error) => {
            tracing::error!(link.id = link_id, error, "a sync came to no end; only its link waits, and is tried again");
            engine.abandon(link_id, &error).await
        }
        Ended::Late => {
            engine.abandon(link_id, "the sync took longer than its deadline ([schedule] sync_deadline)").await
        }
    }
}

/// One look at a user's links; where it fails by itself, it is taken again later.
pub(super) async fn look(
    engine: &Arc<Engine>,
    source: &Arc<Source>,
    user: &DueUser,
    deadline: Duration,
) -> Result<Looked, StoreError> {
    let (worker, looked_at, whom) = (Arc::clone(engine), Arc::clone(source), user.clone());
    let job = async move { worker.look_at_user(&looked_at, &whom).await };
    match contain("the look", job, Some(deadline)).await? {
        Ended::Done(looked) => Ok(looked),
        Ended::Dropped => Ok(Looked::default()),
        Ended::Failed(error) => {
            tracing::error!(
                source = %source.name, user.id = user.user_id, error,
                "a look at a user's links came to no end; it is taken again later"
            );
            engine.abandon_look(user, &error).await?;
            Ok(Looked::default())
        }
        Ended::Late => {
            tracing::warn!(source = %source.name, user.id = user.user_id, "a look at a user's links took too long");
            let late = "the look took longer than its deadline ([schedule] sync_deadline)";
            engine.abandon_look(user, late).await?;
            Ok(Looked::default())
        }
    }
}

/// One listing of a source's users and links, which may take as long as it needs; where it fails by itself, it is tried again
/// later.
pub(super) async fn discover(engine: &Arc<Engine>, source: &Arc<Source>) -> Result<Option<Discovered>, StoreError> {
    let (worker, listed) = (Arc::clone(engine), Arc::clone(source));
    let job = async move { worker.discover(&listed, false).await };
    match contain("the listing", job, None).await? {
        Ended::Done(found) => Ok(found),
        Ended::Late | Ended::Dropped => Ok(None),
        Ended::Failed(error) => {
            tracing::error!(source = %source.name, error, "discovery failed");
            engine.abandon_discovery(source, &error).await?;
            Ok(None)
        }
    }
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
            clock_set_back: u.clock_set_back,
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
