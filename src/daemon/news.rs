//! The loop that takes webhook events from the store, and what keeps them coming and going.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::Waker;
use crate::model::EndpointState;
use crate::store::StoreError;
use crate::sync::{Engine, Source};

/// Rest between two batches, so that a flood of events is taken in few commits.
const BREATH: Duration = Duration::from_millis(100);
/// How long the loop waits to be told of events before it looks by itself: whoever stores them tells it, so this is for what
/// nobody thought of.
const UNTOLD: Duration = Duration::from_mins(5);
/// How long the loop rests after the store failed.
const STORE_REST: Duration = Duration::from_secs(10);
/// Events of a source deleted at once: each holds up whoever writes meanwhile.
const FORGOTTEN_AT_ONCE: u32 = 5_000;
/// How often it is looked whether a source's address is to be asked about.
const LOOK_EVERY: Duration = Duration::from_mins(1);
/// How long an aggregator's word is believed that our address is well.
const ENABLED_LASTS: SignedDuration = SignedDuration::from_hours(24);
/// How long any other answer is, and no answer at all: somebody may be repairing it.
const TROUBLE_LASTS: SignedDuration = SignedDuration::from_hours(1);

/// Handles every event that waits.
pub(super) async fn take_what_waits(engine: &Engine) -> Result<(), StoreError> {
    while engine.take_news().await?.has_more {}
    Ok(())
}

/// Handles events as they are stored, until `done` is cancelled; wakes the lanes for what they made due.
pub(super) async fn take(engine: &Engine, waker: &Waker, done: CancellationToken) {
    while !done.is_cancelled() {
        let rest = match engine.take_news().await {
            Ok(taken) => {
                if taken.applied > 0 {
                    waker.wake();
                }
                if taken.handled > 0 {
                    tracing::debug!(events = taken.handled, events.applied = taken.applied, "webhook events handled");
                }
                if taken.has_more { Some(Duration::ZERO) } else { None }
            }
            Err(error) => {
                if !error.is_told() {
                    tracing::error!(%error, "webhook events could not be handled; they wait in the store");
                }
                Some(STORE_REST)
            }
        };
        let wait = async {
            if let Some(rest) = rest {
                return tokio::time::sleep(rest).await;
            }
            let _ = tokio::time::timeout(UNTOLD, waker.news()).await;
            tokio::time::sleep(BREATH).await;
        };
        tokio::select! {
            biased;
            () = done.cancelled() => {}
            () = wait => {}
        }
    }
}

/// Deletes some of the events that were handled long ago.
pub(super) async fn forget(engine: &Engine, kept: Option<Duration>) {
    let Some(kept) = kept else { return };
    if let Err(error) = forget_some(engine, kept).await
        && !error.is_told()
    {
        tracing::warn!(%error, "old webhook events could not be deleted yet");
    }
}

async fn forget_some(engine: &Engine, kept: Duration) -> Result<(), StoreError> {
    let now = engine.clock().now();
    let before = now.saturating_sub(kept).unwrap_or(now);
    let store = engine.store();
    // Also those of sources that are not configured any more.
    let has_old = store.read(move |txn| {
        let ids = txn.all_sources()?.into_iter().map(|(source_id, _)| source_id);
        ids.map(|source_id| Ok((source_id, txn.has_events_before(source_id, before)?))).collect()
    });
    let has_old: Vec<(i64, bool)> = has_old.await?;
    for (source_id, _) in has_old.into_iter().filter(|(_, has_old)| *has_old) {
        store.write(move |txn| txn.forget_events(source_id, before, FORGOTTEN_AT_ONCE)).await?;
    }
    Ok(())
}

/// Asks now and then how aggregators list our address, where there is one and they can be asked.
pub(super) async fn watch_endpoints(engine: &Engine, done: CancellationToken) {
    let watched: Vec<_> = engine.sources().filter(|source| source.can_check_webhook_endpoint()).collect();
    if watched.is_empty() {
        return;
    }
    let mut next_at: HashMap<i64, Timestamp> = HashMap::new();
    while !done.is_cancelled() {
        for source in &watched {
            let look = look_at_endpoint(engine, source, next_at.get(&source.source_id).copied());
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                next = look => next_at.insert(source.source_id, next),
            };
        }
        tokio::select! {
            biased;
            () = done.cancelled() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Asks about one source's address if it is time; returns when it is next.
async fn look_at_endpoint(engine: &Engine, source: &Source, next_at: Option<Timestamp>) -> Timestamp {
    let now = engine.clock().now();
    let after = |lasts: SignedDuration| now.saturating_add(lasts).unwrap_or(now);
    let source_id = source.source_id;
    let next_at = match next_at {
        Some(next_at) => next_at,
        None => match engine.store().read(move |txn| txn.webhook_endpoint(source_id)).await {
            Ok(Some((EndpointState::Enabled, at))) => at.saturating_add(ENABLED_LASTS).unwrap_or(now),
            Ok(_) => now,
            Err(_) => return after(TROUBLE_LASTS),
        },
    };
    // A clock that was set back must not put it off for longer than it would have been at most.
    if next_at > now && next_at <= after(ENABLED_LASTS) && !may_be_repaired(engine, source_id).await {
        return next_at;
    }
    match engine.check_webhook_endpoint(source).await {
        Ok(Some(EndpointState::Enabled)) => after(ENABLED_LASTS),
        Ok(_) => after(TROUBLE_LASTS),
        Err(error) if error.is_told() => after(TROUBLE_LASTS),
        Err(error) => {
            tracing::warn!(source = %source.name, %error, "how webhooks are sent could not be noted");
            after(TROUBLE_LASTS)
        }
    }
}

/// Whether something came although our address was in trouble when it was last asked about: then somebody has repaired it.
async fn may_be_repaired(engine: &Engine, source_id: i64) -> bool {
    let read = engine.store().read(move |txn| {
        let Some((state, at)) = txn.webhook_endpoint(source_id)? else { return Ok(false) };
        if state == EndpointState::Enabled {
            return Ok(false);
        }
        Ok(txn.event_summary(source_id)?.last_received_at.is_some_and(|received_at| received_at > at))
    });
    read.await.unwrap_or(false)
}
