//! The life of the process: what runs, what comes next, how it ends.
//!
//! Each source has a lane of its own: a loop that takes the source's due links, most urgent first, and gives them to a bounded
//! number of workers. So a source that hangs or is throttled holds up nobody else. What is due is data in the store; ticks,
//! people and webhooks only wake the loop, and a loop that nobody wakes looks by itself every [`MAX_SLEEP`]. Beside the lanes
//! one loop turns stored webhook events into what is due.
//!
//! Stopping: nothing new is started, running steps get [`STOP_GRACE`] to finish, then they are dropped where they wait. The
//! store shows the next process what is left.

mod alerts;
mod backups;
mod build;
mod heartbeat;
mod lane;
mod news;
mod wal;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::store::StoreError;
use crate::sync::{Discovered, Engine, Step};

pub use crate::sync::Waker;
pub use alerts::tell_alerts;
pub use backups::keep_copies;
pub use build::{BuildError, BuildOptions, build, refresh_policy};
pub use heartbeat::beat;
pub use lane::{flush_usage, step};

/// The longest a lane sleeps without looking: bounds the harm of clock jumps and suspend.
pub const MAX_SLEEP: Duration = Duration::from_secs(30);
/// How long running steps may go on after the process was told to stop.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often request counters are written: what a kill loses of them at most.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Every so many flushes the WAL is moved into the file, if nothing else is going on.
const FLUSHES_PER_CHECKPOINT: u32 = 6;

/// How the daemon works.
#[derive(Debug, Clone, Copy)]
pub struct DaemonOptions {
    /// Links of one source worked on at the same time.
    pub workers: usize,
    /// Share of the workers that first-time backfills may hold while other links are due, in percent.
    pub backfill_share: u8,
    /// A step that takes longer is given up.
    pub step_deadline: Duration,
    /// End when nothing is due any more.
    pub once: bool,
}

/// Something that happened, for whoever watches.
#[derive(Debug, Clone)]
pub enum Event {
    /// A source's users and links were listed; `None`: not completely.
    Discovered {
        /// The source's name.
        source: String,
        /// What was found.
        found: Option<Discovered>,
    },
    /// A step of a link was done.
    Stepped {
        /// The link.
        link_id: i64,
        /// What it led to.
        step: Step,
    },
}

/// Brings every configured source's links up to date until it is stopped.
pub struct Daemon {
    engine: Arc<Engine>,
    options: DaemonOptions,
    waker: Waker,
    events: Option<mpsc::UnboundedSender<Event>>,
    /// Steps under way in all lanes; housekeeping waits for idleness.
    busy: Arc<AtomicUsize>,
}

impl Daemon {
    /// A daemon that has not started.
    pub fn new(engine: Arc<Engine>, options: DaemonOptions) -> Self {
        let waker = Waker::new(engine.sources().count());
        Self { engine, options, waker, events: None, busy: Arc::new(AtomicUsize::new(0)) }
    }

    /// Sends every [`Event`] to `events`.
    #[must_use]
    pub fn watched_by(mut self, events: mpsc::UnboundedSender<Event>) -> Self {
        self.events = Some(events);
        self
    }

    /// What wakes it.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Counts the steps under way.
    pub fn busy(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.busy)
    }

    /// Runs until `stop` is cancelled, or with `once` until nothing is due.
    ///
    /// Errors: the store's, where it cannot be read or written at the start; later ones are logged and waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        if self.options.once {
            news::take_what_waits(&self.engine).await?;
        }
        let lanes_done = CancellationToken::new();
        let mut lanes = JoinSet::new();
        for (source, notify) in self.engine.sources().zip(self.waker.sleepers()) {
            let lane = lane::Lane::new(
                Arc::clone(&self.engine),
                Arc::clone(source),
                self.options,
                Arc::clone(notify),
                self.events.clone(),
                Arc::clone(&self.busy),
            );
            lanes.spawn(lane.run(stop.clone()));
        }
        let housekeeping = self.housekeeping(lanes_done.clone());
        let news = async {
            if !self.options.once {
                let taken = news::take(&self.engine, &self.waker, lanes_done.clone());
                tokio::join!(taken, news::watch_endpoints(&self.engine, lanes_done.clone()));
            }
        };
        let all_lanes = async {
            let mut result = Ok(());
            while let Some(joined) = lanes.join_next().await {
                if let Ok(Err(error)) = joined {
                    result = Err(error);
                }
            }
            lanes_done.cancel();
            result
        };
        let (result, (), ()) = tokio::join!(all_lanes, housekeeping, news);
        self.flush_usage().await;
        if let Err(error) = self.engine.store().checkpoint().await {
            tracing::warn!(%error, "checkpoint at the end failed; the WAL keeps what it has");
        }
        result
    }

    async fn housekeeping(&self, done: CancellationToken) {
        let (mut flushes, mut wal) = (0_u32, wal::WalWatch::default());
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
            self.flush_usage().await;
            flushes += 1;
            if flushes.is_multiple_of(FLUSHES_PER_CHECKPOINT) {
                news::forget(&self.engine).await;
            }
            wal.look(self).await;
        }
    }

    async fn flush_usage(&self) {
        for source in self.engine.sources() {
            lane::flush_usage(&self.engine, source).await;
        }
    }
}
