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
mod erasures;
mod heartbeat;
mod lane;
mod lanes;
mod news;
mod process;
mod retention;
mod sides;
mod wal;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, RetentionConfig};
use crate::store::StoreError;
use crate::sync::{Discovered, Engine, Step};

use lanes::Lanes;

pub use crate::sync::Waker;
pub use alerts::tell_alerts;
pub use backups::keep_copies;
pub use build::{BuildError, BuildOptions, Succession, build, rebuild, refresh_policy};
pub use heartbeat::beat;
pub use lane::{flush_usage, step};
pub use process::{ProcessError, ProcessOptions, serve};
pub use retention::drop_old;

/// The longest a lane sleeps without looking: bounds the harm of clock jumps and suspend.
pub const MAX_SLEEP: Duration = Duration::from_secs(30);
/// How long running steps may go on after the process was told to stop.
pub const STOP_GRACE: Duration = Duration::from_secs(5);
/// How often request counters are written: what a kill loses of them at most.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Every so many flushes the WAL is moved into the file, if nothing else is going on.
const FLUSHES_PER_CHECKPOINT: u32 = 6;

/// How the daemon works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl DaemonOptions {
    /// How the configuration says that a daemon works.
    pub fn of(config: &Config, once: bool) -> Self {
        Self {
            workers: config.schedule.workers,
            backfill_share: config.sources.iter().map(|source| source.backfill_share).max().unwrap_or(100),
            step_deadline: config.schedule.sync_deadline,
            once,
        }
    }
}

/// What a daemon works on. It may be given another while it runs.
#[derive(Clone)]
pub struct Assignment {
    /// The sources, and how their links are brought up to date.
    pub engine: Arc<Engine>,
    /// How the daemon works.
    pub options: DaemonOptions,
    /// How long rows are kept.
    pub retention: RetentionConfig,
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
    assignment: watch::Sender<Assignment>,
    waker: Waker,
    events: Option<mpsc::UnboundedSender<Event>>,
    /// Steps under way in all lanes; housekeeping waits for idleness.
    busy: Arc<AtomicUsize>,
}

impl Daemon {
    /// A daemon that has not started.
    pub fn new(engine: Arc<Engine>, options: DaemonOptions) -> Self {
        let retention = RetentionConfig::default();
        let (assignment, _) = watch::channel(Assignment { engine, options, retention });
        Self { assignment, waker: Waker::default(), events: None, busy: Arc::new(AtomicUsize::new(0)) }
    }

    /// Sends every [`Event`] to `events`.
    #[must_use]
    pub fn watched_by(mut self, events: mpsc::UnboundedSender<Event>) -> Self {
        self.events = Some(events);
        self
    }

    /// Keeps what grows with time as long as `retention` says.
    #[must_use]
    pub fn keeping(self, retention: RetentionConfig) -> Self {
        self.assignment.send_modify(|assignment| assignment.retention = retention);
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

    /// Where it is given something else to work on while it runs.
    pub fn assignment(&self) -> watch::Sender<Assignment> {
        self.assignment.clone()
    }

    /// Runs until `stop` is cancelled, or with `once` until nothing is due.
    ///
    /// Errors: the store's, where it cannot be read or written at the start; later ones are logged and waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), StoreError> {
        let is_once = self.assignment.borrow().options.once;
        if is_once {
            news::take_what_waits(&self.engine()).await?;
        }
        let lanes_done = CancellationToken::new();
        let work = async {
            let result = self.work(stop).await;
            lanes_done.cancel();
            result
        };
        let news = async {
            if is_once {
                Box::pin(erasures::once(&self.engine())).await;
            } else {
                Box::pin(self.follow(lanes_done.clone())).await;
            }
        };
        let (result, (), ()) = tokio::join!(work, self.housekeeping(lanes_done.clone()), news);
        self.flush_usage().await;
        if let Err(error) = self.engine().store().checkpoint().await {
            tracing::warn!(%error, "checkpoint at the end failed; the WAL keeps what it has");
        }
        result
    }

    /// Works on what is assigned until every lane has ended.
    async fn work(&self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut assigned = self.assignment.subscribe();
        let mut lanes = Lanes::new(self, stop);
        lanes.assign(&assigned.borrow_and_update());
        let mut result = Ok(());
        loop {
            tokio::select! {
                biased;
                ended = lanes.next_ended() => match ended {
                    Some(Ok(())) => {}
                    Some(Err(error)) => result = Err(error),
                    None => return result,
                },
                Ok(()) = assigned.changed() => lanes.assign(&assigned.borrow_and_update()),
            }
        }
    }

    /// Takes webhook events and sees to it that they keep coming, goes on with erasures and drops what is old, until `done` is
    /// cancelled.
    async fn follow(&self, done: CancellationToken) {
        let mut assigned = self.assignment.subscribe();
        while !done.is_cancelled() {
            let Assignment { engine, retention, .. } = assigned.borrow_and_update().clone();
            let taken = news::take(&engine, &self.waker, done.clone());
            let watched = news::watch_endpoints(&engine, done.clone());
            let erasing = erasures::go_on(&engine, done.clone());
            let keeping = retention::keep(&engine, &retention, done.clone());
            tokio::select! {
                biased;
                _ = async { tokio::join!(taken, watched, erasing, keeping) } => {}
                Ok(()) = assigned.changed() => {}
            }
        }
    }

    async fn housekeeping(&self, done: CancellationToken) {
        let (mut flushes, mut wal) = (0_u32, wal::WalWatch::default());
        loop {
            tokio::select! {
                biased;
                () = done.cancelled() => return,
                () = tokio::time::sleep(FLUSH_EVERY) => {}
            }
            self.flush_usage().await;
            tokio::select! {
                biased;
                // A check of a large file takes longer than anybody waits for the end.
                () = done.cancelled() => return,
                () = self.try_store_again() => {}
            }
            flushes += 1;
            if flushes.is_multiple_of(FLUSHES_PER_CHECKPOINT) {
                let retention = self.assignment.borrow().retention;
                news::forget(&self.engine(), retention.webhook_events).await;
            }
            wal.look(self).await;
        }
    }

    /// Looks whether the store works again, where it does not: with nothing due, nobody else would.
    async fn try_store_again(&self) {
        let engine = self.engine();
        let store = engine.store();
        if store.trouble().is_some_and(|trouble| trouble.stops_writes) {
            // What comes of it the store notes by itself.
            let _ = store.look_again().await;
            let _ = store.probe().await;
        }
    }

    async fn flush_usage(&self) {
        let engine = self.engine();
        for source in engine.sources() {
            lane::flush_usage(&engine, source).await;
        }
    }

    fn engine(&self) -> Arc<Engine> {
        Arc::clone(&self.assignment.borrow().engine)
    }
}
