//! One source's loop: take what is due, give it to workers, sleep until something is.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{DaemonOptions, Event, MAX_SLEEP, STOP_GRACE};
use crate::limits::requests::MAX_HOLD;
use crate::schedule::{self, Schedule};
use crate::store::{Due, DueLink, DueUser, StoreError, UsageRow};
use crate::sync::{CREDENTIALS_REST, Discovered, Engine, Looked, Source, Step};

/// How many due links are taken from the store at once, per worker.
const QUEUE_PER_WORKER: usize = 16;
/// How long due links once taken are worked off before it is looked whether others have become more urgent.
const QUEUE_LASTS: Duration = Duration::from_secs(1);
/// How long a lane rests after the store failed.
const STORE_REST: Duration = Duration::from_secs(10);
/// Wall and monotonic clock this far apart between two looks mean that the wall clock was set.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

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
    /// The store failed: nothing new is started before this instant.
    rests_until: Option<Instant>,
}

/// What one worker works on, and nobody else meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Unit {
    Link(i64),
    /// All links of a user, where they are read together.
    User(i64),
}

/// What waits for a worker.
#[derive(Debug)]
enum Work {
    Link { link_id: i64, unit: Unit, is_backfill: bool },
    Look(DueUser),
}

impl Work {
    fn unit(&self) -> Unit {
        match self {
            Self::Link { unit, .. } => *unit,
            Self::Look(user) => Unit::User(user.user_id),
        }
    }
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
            rests_until: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        while !stop.is_cancelled() {
            let nap = match self.start_what_is_due().await {
                Ok(Some(nap)) => nap,
                Ok(None) => return Ok(()),
                Err(error) => self.rest(error)?,
            };
            tokio::select! {
                () = stop.cancelled() => {}
                Some(done) = self.jobs.join_next() => {
                    if let Err(error) = self.take(done) {
                        self.rest(error)?;
                    }
                }
                () = self.notify.notified() => self.queue.clear(),
                () = tokio::time::sleep(nap) => self.queue.clear(),
            }
        }
        self.drain().await;
        Ok(())
    }

    /// Lets the lane rest after the store failed: trying on would only spend requests whose answers cannot be kept.
    ///
    /// Errors: with `once` the failure itself, because nobody would see when the store works again.
    fn rest(&mut self, error: StoreError) -> Result<Duration, StoreError> {
        tracing::error!(source = %self.source.name, %error, "the store failed; nothing new is started for a while");
        if self.options.once {
            return Err(error);
        }
        self.rests_until = Some(Instant::now() + STORE_REST);
        Ok(STORE_REST)
    }

    /// Starts jobs until no worker or nothing due is left.
    ///
    /// Shape: how long to sleep if nobody wakes us; `None`: nothing is left to do, and `once` was asked for.
    async fn start_what_is_due(&mut self) -> Result<Option<Duration>, StoreError> {
        if let Some(until) = self.rests_until.filter(|until| *until > Instant::now()) {
            return Ok(Some(until - Instant::now()));
        }
        self.rests_until = None;
        if !self.is_planned {
            self.replan().await?;
            self.is_planned = true;
        }
        self.notice_clock_jump().await?;
        let now = self.engine.clock().now();
        let discover_due_at = self.start_discovery(now).await?;
        if self.options.once && self.is_discovering {
            return Ok(Some(MAX_SLEEP));
        }
        let is_stale = self.queue.is_empty() || self.queue_filled_at.elapsed() >= QUEUE_LASTS;
        if is_stale && self.running.len() < self.options.workers {
            self.fill_queue(now).await?;
        }
        while self.running.len() < self.options.workers {
            let Some(work) = self.queue.pop_front() else {
                break;
            };
            self.start(work);
        }
        if self.options.once && self.running.is_empty() && !self.is_discovering {
            let (source_id, due) = (self.source.source_id, self.due(now));
            let is_done = self
                .engine
                .store()
                .read(move |txn| {
                    let looks = txn.due_users(source_id, due.starts_until, 1)?;
                    Ok(looks.is_empty() && txn.unfinished_links(source_id, due)? == 0)
                })
                .await?;
            if is_done {
                return Ok(None);
            }
        }
        if self.running.len() >= self.options.workers {
            return Ok(Some(MAX_SLEEP));
        }
        let source_id = self.source.source_id;
        let (link, user) = self
            .engine
            .store()
            .read(move |txn| Ok((txn.next_due_at(source_id)?, txn.next_user_due_at(source_id)?)))
            .await?;
        let next = [link, user, discover_due_at].into_iter().flatten().min();
        let until_next = next.map_or(MAX_SLEEP, |at| at.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        // A link that runs is still due by its row: no reason to look again before it ends.
        let floor = if self.running.is_empty() { Duration::from_millis(10) } else { Duration::from_millis(250) };
        Ok(Some(until_next.clamp(floor, MAX_SLEEP)))
    }

    /// Starts the listing of users and links if it is due; otherwise says when.
    async fn start_discovery(&mut self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        if self.is_discovering {
            return Ok(None);
        }
        let name = self.source.name.clone();
        let row = self.engine.store().read(move |txn| txn.source(&name)).await?;
        let Some(row) = row else { return Ok(None) };
        let due_at = row.hold_until.map_or(row.discover_due_at, |hold| hold.max(row.discover_due_at));
        if due_at > now {
            return Ok(Some(due_at));
        }
        if row.discovered_at.is_none() {
            tracing::info!(source = %self.source.name, "the first listing of users and links begins");
        }
        self.is_discovering = true;
        self.busy.fetch_add(1, Ordering::Relaxed);
        let (engine, source) = (Arc::clone(&self.engine), Arc::clone(&self.source));
        self.jobs.spawn(async move { Done::Discovery(engine.discover(&source, false).await) });
        Ok(None)
    }

    /// What counts as due: with `once`, what was due when the run began or its discovery ended.
    fn due(&self, now: Timestamp) -> Due {
        Due { now, starts_until: if self.options.once { self.starts_until } else { now } }
    }

    /// Takes what is due from the store. While others wait, backfills get at most their share of the workers; looks at users
    /// take turns with links.
    async fn fill_queue(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.queue.clear();
        self.queue_filled_at = Instant::now();
        let limit = self.options.workers * QUEUE_PER_WORKER;
        let (source_id, due) = (self.source.source_id, self.due(now));
        let (others, backfills, users) = self
            .engine
            .store()
            .read(move |txn| {
                let others = txn.due_links(source_id, false, due, limit)?;
                let backfills = txn.due_links(source_id, true, due, limit)?;
                Ok((others, backfills, txn.due_users(source_id, due.starts_until, limit)?))
            })
            .await?;
        let mut taken = self.running.clone();
        let mut others = self.links_to_do(others, false, &mut taken);
        let mut backfills = self.links_to_do(backfills, true, &mut taken);
        let mut looks: VecDeque<Work> =
            users.into_iter().map(Work::Look).filter(|look| taken.insert(look.unit())).collect();
        let share = (self.options.workers * usize::from(self.options.backfill_share)).div_ceil(100).max(1);
        let mut free_for_backfills = share.saturating_sub(self.running_backfills);
        while !others.is_empty() || !looks.is_empty() {
            self.queue.extend(others.pop_front());
            self.queue.extend(looks.pop_front());
            if free_for_backfills > 0
                && let Some(backfill) = backfills.pop_front()
            {
                self.queue.push_back(backfill);
                free_for_backfills -= 1;
            }
        }
        // Only one round ahead: what is due may be more urgent when these are done.
        if self.queue.is_empty() {
            self.queue.extend(backfills);
        }
        self.queue.truncate(limit);
        Ok(())
    }

    /// One piece of work for each unit that is not `taken` yet.
    fn links_to_do(&self, links: Vec<DueLink>, is_backfill: bool, taken: &mut HashSet<Unit>) -> VecDeque<Work> {
        let by_user = self.source.reads_by_user();
        let unit = |link: &DueLink| if by_user { Unit::User(link.user_id) } else { Unit::Link(link.link_id) };
        let work = |link: DueLink| Work::Link { link_id: link.link_id, unit: unit(&link), is_backfill };
        links.into_iter().map(work).filter(|work| taken.insert(work.unit())).collect()
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

    /// Files a job that ended, and passes on the store's failure if that ended it.
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

    /// Lets running jobs finish for a while, then drops them where they wait.
    async fn drain(&mut self) {
        let finish = async {
            while let Some(done) = self.jobs.join_next().await {
                self.busy.fetch_sub(1, Ordering::Relaxed);
                drop(done);
            }
        };
        if tokio::time::timeout(STOP_GRACE, finish).await.is_err() {
            self.jobs.shutdown().await;
        }
    }

    /// Notices that the wall clock was set, which leaves due instants in a future that never was.
    async fn notice_clock_jump(&mut self) -> Result<(), StoreError> {
        let (wall, monotonic) = (self.engine.clock().now(), Instant::now());
        let passed =
            SignedDuration::try_from(monotonic.duration_since(self.last_look.1)).unwrap_or(SignedDuration::MAX);
        let shown = wall.duration_since(self.last_look.0);
        self.last_look = (wall, monotonic);
        if shown < passed.saturating_sub(CLOCK_TOLERANCE) {
            tracing::warn!(source = %self.source.name, "the clock was set back; due times are worked out anew");
            self.replan().await?;
        }
        Ok(())
    }

    /// Brings back whatever lies further ahead than anything could have put it now: due times, holds.
    async fn replan(&mut self) -> Result<(), StoreError> {
        let now = self.engine.clock().now();
        let source = Arc::clone(&self.source);
        let last_of_slot = |schedule: &Schedule| {
            let fire = schedule.next_after(now)?;
            fire.saturating_add(source.max_spread).ok()
        };
        let latest = last_of_slot(&source.sync_schedule)
            .and_then(|at| at.saturating_add(schedule::MAX_RETRY).ok())
            .unwrap_or(Timestamp::MAX);
        let latest_reconciliation = last_of_slot(&source.reconcile_schedule).unwrap_or(Timestamp::MAX);
        let latest_look = source.status_schedule.as_ref().and_then(last_of_slot);
        let longest_hold = CREDENTIALS_REST.max(SignedDuration::try_from(MAX_HOLD).unwrap_or(SignedDuration::MAX));
        let latest_hold = now.saturating_add(longest_hold).unwrap_or(Timestamp::MAX);
        self.engine
            .store()
            .write(move |txn| {
                for link_id in txn.links_due_after(source.source_id, latest)? {
                    let link = txn.link_state(link_id)?;
                    let spread_key = source.spread_key(&link.upstream_id, &link.upstream_user_id);
                    txn.set_due_at(link_id, source.next_due_at(spread_key, now))?;
                }
                if let Some(latest_look) = latest_look {
                    txn.bring_users_forward(source.source_id, latest_look)?;
                }
                txn.bring_reconciliation_forward(source.source_id, latest_reconciliation)?;
                txn.shorten_hold(source.source_id, latest_hold)?;
                let discover = schedule::next_due_at(&source.discover_schedule, &source.name, source.max_spread, now);
                txn.bring_discovery_forward(source.source_id, discover)
            })
            .await
    }
}

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
async fn look(
    engine: &Arc<Engine>,
    source: &Arc<Source>,
    user: &DueUser,
    deadline: Duration,
) -> Result<Looked, StoreError> {
    if let Ok(result) = tokio::time::timeout(deadline, engine.look_at_user(source, user)).await {
        return result;
    }
    tracing::warn!(source = %source.name, user.id = user.user_id, "a look at a user's links took too long");
    engine.postpone_look(source, user).await?;
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
        tracing::warn!(source = %source.name, %error, "request counters could not be stored yet");
        source.limiter.restore_usage(usage);
    }
}
