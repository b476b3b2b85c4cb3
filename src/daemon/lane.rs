//! One source's loop: take what is due, give it to workers, sleep until something is.

mod clock;
mod jobs;
mod queue;
mod rest;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use jobs::{discover, look};
pub use jobs::{flush_usage, step};
use queue::{Unit, Work};
use rest::Rest;

use super::{DaemonOptions, Event, MAX_SLEEP, STOP_GRACE};
use crate::store::{Due, StoreError};
use crate::sync::{Discovered, Engine, Looked, Source, Step};

/// How long due links once taken are worked off before it is looked whether others have become more urgent.
const QUEUE_LASTS: Duration = Duration::from_secs(1);
/// Nobody waits for less than this.
const SHORTEST_NAP: Duration = Duration::from_millis(10);

/// One source's loop.
pub(super) struct Lane {
    engine: Arc<Engine>,
    source: Arc<Source>,
    options: DaemonOptions,
    notify: Arc<Notify>,
    events: Option<mpsc::UnboundedSender<Event>>,
    busy: Arc<AtomicUsize>,
    jobs: JoinSet<Done>,
    running: HashSet<Unit>,
    running_backfills: usize,
    is_discovering: bool,
    queue: VecDeque<Work>,
    queue_filled_at: Instant,
    last_look: (Timestamp, Instant),
    /// With `once`: links that become due after this are left for the next run.
    starts_until: Timestamp,
    /// Due times that nothing could have given were brought back.
    is_planned: bool,
    /// The store failed: nothing new is started for a while.
    rest: Rest,
}

/// A job that ended.
enum Done {
    Link { link_id: i64, unit: Unit, is_backfill: bool, result: Result<Step, StoreError> },
    Look { user_id: i64, result: Result<Looked, StoreError> },
    Discovery(Result<Option<Discovered>, StoreError>),
}

impl Lane {
    pub(super) fn new(
        engine: Arc<Engine>,
        source: Arc<Source>,
        options: DaemonOptions,
        notify: Arc<Notify>,
        events: Option<mpsc::UnboundedSender<Event>>,
        busy: Arc<AtomicUsize>,
    ) -> Self {
        let last_look = (engine.clock().now(), Instant::now());
        Self {
            engine,
            source,
            options,
            notify,
            events,
            busy,
            jobs: JoinSet::new(),
            running: HashSet::new(),
            running_backfills: 0,
            is_discovering: false,
            queue: VecDeque::new(),
            queue_filled_at: Instant::now(),
            last_look,
            starts_until: last_look.0,
            is_planned: false,
            rest: Rest::default(),
        }
    }

    /// Works until `retire` is cancelled, then lets what runs come to its end, for a while if `stop` is cancelled as well.
    pub(super) async fn run(mut self, retire: CancellationToken, stop: CancellationToken) -> Result<(), StoreError> {
        while !retire.is_cancelled() {
            let nap = match self.start_what_is_due().await {
                Ok(Some(nap)) => nap,
                Ok(None) => return Ok(()),
                Err(error) => self.rest(error)?,
            };
            tokio::select! {
                biased;
                () = retire.cancelled() => {}
                Some(done) = self.jobs.join_next() => {
                    if let Err(error) = self.take(done) {
                        self.rest(error)?;
                    }
                }
                () = self.notify.notified() => self.queue.clear(),
                () = tokio::time::sleep(nap) => self.queue.clear(),
            }
        }
        self.drain(stop).await;
        flush_usage(&self.engine, &self.source).await;
        Ok(())
    }

    /// Starts jobs until no worker or nothing due is left.
    ///
    /// Shape: how long to sleep if nobody wakes us; `None`: nothing is left to do, and `once` was asked for.
    async fn start_what_is_due(&mut self) -> Result<Option<Duration>, StoreError> {
        if let Some(left) = self.rest.left(Instant::now()) {
            return Ok(Some(left));
        }
        if self.rest.is_unproved() {
            self.engine.store().probe().await?;
            self.rest.prove();
        }
        // See `wal`. With `once` nobody would notice when it is over, and a person waits.
        if self.engine.store().is_wal_over_limit() && !self.options.once {
            return Ok(Some(MAX_SLEEP));
        }
        if !self.is_planned {
            self.replan().await?;
            self.is_planned = true;
        }
        self.notice_clock_jump().await?;
        let now = self.engine.clock().now();
        let is_stale = self.queue.is_empty() || self.queue_filled_at.elapsed() >= QUEUE_LASTS;
        let looked = if is_stale { Some(self.look_at_agenda(now).await?) } else { None };
        if self.options.once && self.is_discovering {
            self.queue.clear();
            return Ok(Some(MAX_SLEEP));
        }
        while self.running.len() < self.options.workers {
            let Some(work) = self.queue.pop_front() else {
                break;
            };
            self.start(work);
        }
        if self.running.len() >= self.options.workers {
            return Ok(Some(MAX_SLEEP));
        }
        // The queue is empty, and what became due after it was filled was not in it.
        let Some(more_at) = looked else { return Ok(Some(Duration::ZERO)) };
        if self.options.once && self.running.is_empty() && !self.is_discovering && self.is_done(now).await? {
            return Ok(None);
        }
        let until_more = more_at.map_or(MAX_SLEEP, |at| at.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        Ok(Some(until_more.clamp(SHORTEST_NAP, MAX_SLEEP)))
    }

    /// Takes what is due from the store: fills the queue, and has users and links listed if it is time.
    ///
    /// Shape: when there is more. What is due and is not taken waits for a job to end, which wakes us.
    async fn look_at_agenda(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let (source_id, due, limit) = (self.source.source_id, self.due(now), self.queue_limit());
        let agenda = self.engine.store().read(move |txn| txn.agenda(source_id, due, limit)).await?;
        if agenda.lists && !self.is_discovering {
            self.start_discovery(agenda.lists_first);
        }
        let more_at = agenda.more_at;
        self.fill_queue(agenda);
        Ok(more_at)
    }

    /// Starts the listing of users and links.
    fn start_discovery(&mut self, is_first: bool) {
        if is_first {
            tracing::info!(source = %self.source.name, "the first listing of users and links begins");
        }
        self.is_discovering = true;
        self.busy.fetch_add(1, Ordering::Relaxed);
        let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&self.source));
        self.jobs.spawn(async move { Done::Discovery(discover(&engine, &source).await) });
    }

    /// With `once`: whether nothing is left to do.
    async fn is_done(&self, now: Timestamp) -> Result<bool, StoreError> {
        let (source_id, due) = (self.source.source_id, self.due(now));
        let left = self.engine.store().read(move |txn| {
            let agenda = txn.agenda(source_id, due, 1)?;
            Ok(!agenda.users.is_empty() || txn.unfinished_links(source_id, due)? > 0)
        });
        Ok(!left.await?)
    }

    /// What counts as due: with `once`, what was due when the run began or its discovery ended.
    fn due(&self, now: Timestamp) -> Due {
        Due { now, starts_until: if self.options.once { self.starts_until } else { now } }
    }

    fn start(&mut self, work: Work) {
        self.running.insert(work.unit());
        self.busy.fetch_add(1, Ordering::Relaxed);
        let engine = Arc::clone(&self.engine);
        let deadline = self.options.step_deadline;
        match work {
            Work::Link { link_id, unit, is_backfill } => {
                self.running_backfills += usize::from(is_backfill);
                self.jobs.spawn(async move {
                    let result = step(&engine, link_id, deadline).await;
                    Done::Link { link_id, unit, is_backfill, result }
                });
            }
            Work::Look(user) => {
                let source = Arc::clone(&self.source);
                self.jobs.spawn(async move {
                    let result = look(&engine, &source, &user, deadline).await;
                    Done::Look { user_id: user.user_id, result }
                });
            }
        }
    }

    /// Files a job that ended, and passes on the store's failure if that ended it. What failed by itself has come to its own end.
    fn take(&mut self, joined: Result<Done, tokio::task::JoinError>) -> Result<(), StoreError> {
        self.busy.fetch_sub(1, Ordering::Relaxed);
        match joined {
            Ok(Done::Look { user_id, result }) => {
                self.running.remove(&Unit::User(user_id));
                let looked = result?;
                if looked.due_links > 0 {
                    self.queue.clear();
                }
                self.starts_until = self.engine.clock().now();
            }
            Ok(Done::Link { link_id, unit, is_backfill, result }) => {
                self.running.remove(&unit);
                self.running_backfills -= usize::from(is_backfill);
                let step = result?;
                self.tell(Event::Stepped { link_id, step });
            }
            Ok(Done::Discovery(result)) => {
                self.is_discovering = false;
                self.starts_until = self.engine.clock().now();
                self.queue.clear();
                let found = result?;
                self.tell(Event::Discovered { source: self.source.name.clone(), found });
            }
            Err(error) => tracing::error!(source = %self.source.name, %error, "a job was lost"),
        }
        Ok(())
    }

    fn tell(&self, event: Event) {
        if let Some(events) = &self.events {
            // Nobody watching any more is no reason to stop.
            let _ = events.send(event);
        }
    }

    /// Lets running jobs finish, each within its deadline. Once the process is to stop they are dropped where they wait, after
    /// a while.
    async fn drain(&mut self, stop: CancellationToken) {
        let patience = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::pin!(patience);
        loop {
            tokio::select! {
                biased;
                joined = self.jobs.join_next() => match joined {
                    Some(done) => {
                        // What became of it is in the store; a store that failed says so again to whoever comes next.
                        drop(self.take(done));
                    }
                    None => return,
                },
                () = &mut patience => {
                    self.busy.fetch_sub(self.jobs.len(), Ordering::Relaxed);
                    return self.jobs.shutdown().await;
                }
            }
        }
    }
}
