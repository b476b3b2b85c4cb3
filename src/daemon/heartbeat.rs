//! The heartbeat: tokio-cron-scheduler wakes the lanes at every tick.
//!
//! A tick decides nothing, it only wakes; what is due is in the store. The scheduler is known to fall silent when the wall
//! clock is set back, so it is rebuilt when it misses ticks, and lanes wake up by themselves in any case.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;

use super::Waker;

/// Every ten seconds, in UTC: no daylight saving time can shift it.
const TICK: &str = "*/10 * * * * *";
/// A heartbeat that has not been heard for so long is dead.
const SILENCE: Duration = Duration::from_secs(35);
/// Room for the scheduler's own messages; its default loses jobs beyond 256.
const CHANNEL_SIZE: usize = 1024;

/// Wakes the lanes until `stop` is cancelled.
pub async fn beat(waker: Waker, stop: CancellationToken) {
    let beats = Arc::new(AtomicU64::new(0));
    while !stop.is_cancelled() {
        let mut scheduler = match start(&waker, &beats).await {
            Ok(scheduler) => scheduler,
            Err(error) => {
                tracing::warn!(%error, "the heartbeat does not start; lanes look by themselves");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(SILENCE) => continue,
                }
            }
        };
        listen(&beats, &stop).await;
        if let Err(error) = scheduler.shutdown().await {
            tracing::debug!(%error, "the heartbeat did not stop cleanly");
        }
    }
}

async fn start(waker: &Waker, beats: &Arc<AtomicU64>) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new_with_channel_size(CHANNEL_SIZE).await?;
    let (waker, beats) = (waker.clone(), Arc::clone(beats));
    let job = Job::new_async(TICK, move |_, _| {
        let (waker, beats) = (waker.clone(), Arc::clone(&beats));
        Box::pin(async move {
            beats.fetch_add(1, Ordering::Relaxed);
            waker.wake();
        })
    })?;
    scheduler.add(job).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

/// Returns when the process stops or the heartbeat has fallen silent.
async fn listen(beats: &AtomicU64, stop: &CancellationToken) {
    loop {
        let heard = beats.load(Ordering::Relaxed);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SILENCE) => {}
        }
        if beats.load(Ordering::Relaxed) == heard {
            tracing::warn!("the heartbeat fell silent, the clock may have been set; it is rebuilt");
            return;
        }
    }
}
