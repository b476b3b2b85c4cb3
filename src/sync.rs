//! One sync of one link: refresh where allowed, wait as data, pull, plan, apply.
//!
//! A sync is not one long call. [`Engine::advance`] does the next step of one link and says through the store when the step
//! after that is due: asking for a refresh, looking whether it is over, or pulling. So thousands of links can wait for their
//! refreshes without holding a worker, and a process that dies leaves nothing behind but rows that say what comes next.
//!
//! What an aggregator announces by itself makes links due (`news`), and says nothing about what there is: the next sync or look
//! reads that.
//!
//! The decisions are pure (`plan`, `limits::refreshes`, `schedule`); the edges are the aggregator and the store.

mod catalog;
mod discover;
mod endpoints;
mod erase;
pub mod explain;
mod news;
mod outcome;
mod plan;
mod presence;
mod pull;
mod refresh;
mod user;
mod waker;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use url::Url;

use crate::aggregator::{Aggregator, CallContext, CallError, Feed};
use crate::clock::Clock;
use crate::config::PublicConfig;
use crate::limits::refreshes::RefreshPolicy;
use crate::limits::requests::{Lane, RequestLimiter};
use crate::model::{Cause, LinkRecord};
use crate::schedule::{self, Schedule};
use crate::store::{Cursor, LinkState, Outcome, Phase, Store, StoreError, SyncCounts};

pub use discover::Discovered;
pub use news::TakenNews;
pub use outcome::{CREDENTIALS_REFUSED, CREDENTIALS_REST};
use presence::{Presence, Presences};
pub use user::Looked;
use user::UserSync;
pub use waker::Waker;
pub use walk::{Place, Reading, Walk};

/// One configured source as the engine works with it.
pub struct Source {
    /// Our id in the store.
    pub source_id: i64,
    /// Its name in the configuration.
    pub name: String,
    /// Its aggregator.
    pub aggregator: Aggregator,
    /// Its request budget, for reports.
    pub limiter: RequestLimiter,
    /// When its links are synced.
    pub sync_schedule: Schedule,
    /// When users and links are listed.
    pub discover_schedule: Schedule,
    /// When whole histories are walked.
    pub reconcile_schedule: Schedule,
    /// When the state of every user's links is looked at; `None`: discovery does that.
    pub status_schedule: Option<Schedule>,
    /// Over how long the links of one slot are spread at most.
    pub max_spread: Duration,
    /// How far a pull reaches back behind its cursor.
    pub overlap: Duration,
    /// How refreshes are limited.
    pub refresh_policy: RefreshPolicy,
    /// First look at a refresh.
    pub refresh_poll_first: Duration,
    /// Longest time between two looks.
    pub refresh_poll_max: Duration,
    /// When a refresh is given up.
    pub refresh_timeout: Duration,
    /// The latest that a step may still be sending: bounds when a refresh whose answer is lost was counted.
    pub step_deadline: Duration,
    /// Where its webhooks are to be sent; `None`: there is no public side.
    pub webhook_address: Option<Url>,
}

impl Source {
    /// When the links that share `spread_key` are due next.
    pub fn next_due_at(&self, spread_key: &str, now: Timestamp) -> Timestamp {
        schedule::next_due_at(&self.sync_schedule, spread_key, self.max_spread, now)
    }

    /// Since when a link must have been read to count as fresh: the last slot that must be over by now, its spread, a refresh
    /// and a step included.
    pub fn fresh_since(&self, now: Timestamp) -> Timestamp {
        let spread = schedule::spread_span(&self.sync_schedule, now, self.max_spread);
        let over_by = self.step_deadline.saturating_add(self.refresh_timeout).saturating_add(spread);
        let started_by = now.checked_sub(over_by).unwrap_or(Timestamp::MIN);
        self.sync_schedule.last_until(started_by).unwrap_or(Timestamp::MIN)
    }

    fn next_reconcile_at(&self, spread_key: &str, now: Timestamp) -> Timestamp {
        schedule::next_due_at(&self.reconcile_schedule, spread_key, self.max_spread, now)
    }

    /// When a user's links are looked at next; `None`: only discovery looks at them.
    pub fn next_look_at(&self, upstream_user_id: &str, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.status_schedule.as_ref()?;
        Some(schedule::next_due_at(schedule, upstream_user_id, self.max_spread, now))
    }

    /// Whether the links of one user are read together.
    pub fn reads_by_user(&self) -> bool {
        matches!(self.aggregator.feed(), Feed::Changes(_))
    }

    /// What spreads links over time: links that are read together are due together.
    pub fn spread_key<'l>(&self, upstream_link_id: &'l str, upstream_user_id: &'l str) -> &'l str {
        if self.reads_by_user() { upstream_user_id } else { upstream_link_id }
    }
}

/// What a step of a link led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do: the link is paused, removed, or its source is not configured.
    Nothing,
    /// The refresh runs; it is looked at again then.
    Waiting {
        /// When.
        until: Timestamp,
    },
    /// The sync is over: that of the link asked for first, then those of the links that were read with it.
    Ended(Vec<SyncReport>),
}

impl Step {
    /// What the syncs did that ended with it.
    fn into_reports(self) -> Vec<SyncReport> {
        match self {
            Self::Ended(reports) => reports,
            Self::Nothing | Self::Waiting { .. } => Vec::new(),
        }
    }
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// The link.
    pub link_id: i64,
    /// The sync.
    pub sync_id: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong and what to do.
    pub error: Option<String>,
    /// What all its steps did.
    pub counts: SyncCounts,
    /// When the link is due next.
    pub next_due_at: Timestamp,
}

/// Brings links up to date. Shared by all workers.
pub struct Engine {
    store: Store,
    clock: Clock,
    sources: BTreeMap<i64, Arc<Source>>,
    rng: Arc<Mutex<StdRng>>,
    /// Whose links are worked on, by our user id.
    turns: Arc<Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>>,
    /// Who works on which customer, so that nobody does while one is deleted.
    presences: Presences,
    /// Kept by whoever goes on with erasures: one at a time.
    erasing: Arc<tokio::sync::Mutex<()>>,
    public: Option<PublicConfig>,
}

/// One step of one link under way.
struct Trip<'a> {
    engine: &'a Engine,
    source: &'a Source,
    link: LinkState,
    cursor: Option<Cursor>,
    context: CallContext,
    cause: Cause,
    sync_id: i64,
    is_full: bool,
    began: Timestamp,
    /// What became of the refresh, to be stored with the next commit.
    refreshed: Option<String>,
    /// The account numbers were read, or refused, in this step.
    numbers_checked: bool,
}

/// Why a step stopped.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The aggregator.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list would not hold still.
    #[error("the list of transactions changed each of {walks} times it was read; the next sync reads it again")]
    Restless {
        /// How often it was read.
        walks: u32,
    },
    /// The list stands still and yet does not show what it counts.
    #[error(
        "the list of transactions shows {seen} different rows, twice the same, and counts another number; nothing was \
         removed; if this stays, report it to the aggregator"
    )]
    Inconsistent {
        /// Different rows it showed.
        seen: u64,
    },
    /// The bank could not be reached by the aggregator.
    #[error("the aggregator could not refresh this link ({status}); tried again later")]
    RefreshFailed {
        /// The aggregator's word.
        status: String,
    },
}

impl Engine {
    /// An engine over `store` for `sources`.
    pub fn new(store: Store, clock: Clock, sources: Vec<Arc<Source>>, seed: u64) -> Self {
        let sources = sources.into_iter().map(|source| (source.source_id, source)).collect();
        Self {
            store,
            clock,
            sources,
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            turns: Arc::default(),
            presences: Presences::default(),
            erasing: Arc::default(),
            public: None,
        }
    }

    /// An engine for other sources over the same store. The two may work beside each other: a customer's links are still
    /// worked on by one at a time.
    #[must_use]
    pub fn with_sources(&self, sources: Vec<Arc<Source>>) -> Self {
        Self {
            store: self.store.clone(),
            clock: self.clock.clone(),
            sources: sources.into_iter().map(|source| (source.source_id, source)).collect(),
            rng: Arc::clone(&self.rng),
            turns: Arc::clone(&self.turns),
            presences: self.presences.clone(),
            erasing: Arc::clone(&self.erasing),
            public: self.public.clone(),
        }
    }

    /// The same where customers can be sent to a public side.
    #[must_use]
    pub fn with_public_side(self, public: Option<PublicConfig>) -> Self {
        Self { public, ..self }
    }

    /// Where customers connect banks and repair links; `None`: nowhere.
    pub fn public(&self) -> Option<&PublicConfig> {
        self.public.as_ref()
    }

    /// The store it works on.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The clock it works by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The sources it works for, oldest first.
    pub fn sources(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.sources.values()
    }

    /// The source with this id, if it is configured.
    pub fn source(&self, source_id: i64) -> Option<&Arc<Source>> {
        self.sources.get(&source_id)
    }

    /// Does the next step of one link.
    ///
    /// Errors: only the store's; whatever the aggregator does becomes the outcome of the sync.
    /// After a crash: at any instant, the link is still due or its refresh is in the ledger; the step is done again.
    pub async fn advance(&self, link_id: i64) -> Result<Step, StoreError> {
        match self.advance_one(link_id).await {
            // Ordered while the step was under way: what it has not stored by now is not wanted.
            Err(StoreError::Forgotten) => Ok(Step::Nothing),
            advanced => advanced,
        }
    }

    async fn advance_one(&self, link_id: i64) -> Result<Step, StoreError> {
        let Some(_presence) = self.enter(link_id).await? else {
            return Ok(Step::Nothing);
        };
        let Some(mut trip) = self.trip(link_id).await? else {
            return Ok(Step::Nothing);
        };
        if trip.link.paused_at.is_some() || trip.link.removed_at.is_some() {
            return Ok(Step::Nothing);
        }
        if let Feed::Changes(feed) = trip.source.aggregator.feed() {
            return UserSync::run(trip, &feed).await;
        }
        let stepped = match trip.link.phase {
            Phase::Idle => trip.start().await,
            Phase::Refreshing => trip.look_at_refresh().await,
            Phase::Pulling => trip.pull().await,
        };
        match stepped {
            Ok(step) => Ok(step),
            Err(Stop::Store(error)) => Err(error),
            Err(stop) => trip.stopped(stop).await,
        }
    }

    /// Closes the sync of a link whose step ran into its deadline or panicked, and those of the links that were read with it:
    /// left open they would be due at once, and take this one along again.
    pub async fn abandon(&self, link_id: i64, error: &str) -> Result<Step, StoreError> {
        let Some(_presence) = self.enter(link_id).await? else {
            return Ok(Step::Nothing);
        };
        let Some(mut trip) = self.trip(link_id).await? else {
            return Ok(Step::Nothing);
        };
        trip.open_sync().await?;
        let mut reports = trip.fail(error.to_owned()).await?.into_reports();
        if trip.source.reads_by_user() {
            let user_id = trip.link.user_id;
            for other in self.store.read(move |txn| txn.syncable_links_of(user_id)).await? {
                if let Some(mut trip) = self.trip(other).await?.filter(|trip| trip.link.sync_id.is_some()) {
                    reports.extend(trip.fail(error.to_owned()).await?.into_reports());
                }
            }
        }
        self.align(&reports).await?;
        Ok(Step::Ended(reports))
    }

    /// Works on the customer of a link; `None`: they are being forgotten, or were.
    async fn enter(&self, link_id: i64) -> Result<Option<Presence>, StoreError> {
        let user_id = match self.store.read(move |txn| txn.link_state(link_id)).await {
            Ok(link) => link.user_id,
            Err(StoreError::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        self.enter_user(user_id).await
    }

    /// Works on a customer; `None`: they are being forgotten, or were.
    async fn enter_user(&self, user_id: i64) -> Result<Option<Presence>, StoreError> {
        let presence = self.presences.enter(user_id).await;
        let is_leaving =
            self.store.read(move |txn| Ok(txn.is_being_forgotten(user_id)? || !txn.has_user(user_id)?)).await?;
        Ok((!is_leaving).then_some(presence))
    }

    /// What a step of a link needs to know; `None` if its source is not configured.
    async fn trip(&self, link_id: i64) -> Result<Option<Trip<'_>>, StoreError> {
        let (link, cursor) = self.store.read(move |txn| Ok((txn.link_state(link_id)?, txn.cursor(link_id)?))).await?;
        let Some(source) = self.sources.get(&link.source_id) else {
            return Ok(None);
        };
        let began = self.clock.now();
        let lane = match link.due_cause {
            Cause::Person => Lane::Person,
            _ if cursor.is_none() => Lane::Backfill,
            Cause::Schedule | Cause::Webhook | Cause::Backfill | Cause::Retry => Lane::Scheduled,
        };
        Ok(Some(Trip {
            engine: self,
            source,
            cause: link.due_cause,
            sync_id: link.sync_id.unwrap_or_default(),
            is_full: cursor.is_none() || link.wants_full || link.reconcile_due_at.is_some_and(|at| at <= began),
            link,
            cursor,
            context: CallContext::new(lane),
            began,
            refreshed: None,
            numbers_checked: false,
        }))
    }

    fn retry_delay(&self, consecutive_failures: u32) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        schedule::retry_delay(consecutive_failures, &mut *rng)
    }
}

impl Trip<'_> {
    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    fn store(&self) -> &Store {
        &self.engine.store
    }

    fn spread_key(&self) -> &str {
        self.source.spread_key(&self.link.upstream_id, &self.link.upstream_user_id)
    }

    /// Reads the link by itself.
    async fn ask_for_link(&self) -> Result<Option<LinkRecord>, CallError> {
        self.source.aggregator.link(&self.context, &self.link.upstream_user_id, &self.link.upstream_id).await
    }

    /// Whether the link's time has come, or its sync is under way.
    fn is_due(&self) -> bool {
        self.link.phase != Phase::Idle || self.link.due_at <= self.began
    }

    /// Opens a sync row unless one is open.
    async fn open_sync(&mut self) -> Result<(), StoreError> {
        if self.link.sync_id.is_none() {
            let (link_id, cause, is_full, now) = (self.link.link_id, self.cause, self.is_full, self.began);
            let sync_id = self.store().write(move |txn| txn.begin_sync(link_id, cause, is_full, now)).await?;
            self.link.sync_id = Some(sync_id);
            self.sync_id = sync_id;
        }
        Ok(())
    }

    /// Requests sent since this was last asked, as part of the sync's counts.
    fn requests(&self) -> SyncCounts {
        SyncCounts { requests: self.context.take_requests(), ..SyncCounts::default() }
    }
}
