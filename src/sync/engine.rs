//! What works on links: the sources, the store and what workers share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::presence::{Presence, Presences};
use super::user::UserSync;
use super::{Source, Step, Stop, Trip};
use crate::aggregator::{CallContext, Feed};
use crate::clock::Clock;
use crate::config::{BackupConfig, PublicConfig, ReaderConfig};
use crate::limits::requests::Lane;
use crate::model::Cause;
use crate::schedule;
use crate::store::{Phase, Store, StoreError};

/// Brings links up to date. Shared by all workers.
pub struct Engine {
    pub(super) store: Store,
    pub(super) clock: Clock,
    pub(super) sources: BTreeMap<i64, Arc<Source>>,
    pub(super) rng: Arc<Mutex<StdRng>>,
    /// Whose links are worked on, by our user id.
    pub(super) turns: Arc<Mutex<HashMap<i64, Arc<tokio::sync::Mutex<()>>>>>,
    /// Who works on which customer, so that nobody does while one is deleted.
    pub(super) presences: Presences,
    /// Kept by whoever goes on with erasures: one at a time.
    pub(super) erasing: Arc<tokio::sync::Mutex<()>>,
    pub(super) public: Option<PublicConfig>,
    pub(super) readers: ReaderConfig,
    pub(super) backup: Option<BackupConfig>,
}

impl Engine {
    /// An engine over `store` for `sources`.
    pub fn new(store: Store, clock: Clock, sources: Vec<Arc<Source>>, seed: u64) -> Self {
        let sources = sources.into_iter().map(|source| (source.source_id, source)).collect();
        let readers = ReaderConfig::beside(store.path());
        Self {
            store,
            clock,
            sources,
            rng: Arc::new(Mutex::new(StdRng::seed_from_u64(seed))),
            turns: Arc::default(),
            presences: Presences::default(),
            erasing: Arc::default(),
            public: None,
            readers,
            backup: None,
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
            readers: self.readers.clone(),
            backup: self.backup.clone(),
        }
    }

    /// The same with what the operator says of readers and backups.
    #[must_use]
    pub fn with_copies(self, readers: ReaderConfig, backup: Option<BackupConfig>) -> Self {
        Self { readers, backup, ..self }
    }

    /// What concerns those who read the store.
    pub fn readers(&self) -> ReaderConfig {
        self.readers.clone()
    }

    /// How backups are made; `None`: not at all.
    pub fn backup(&self) -> Option<BackupConfig> {
        self.backup.clone()
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

    /// Works on the customer of a link; `None`: they are being forgotten, or were.
    pub(super) async fn enter(&self, link_id: i64) -> Result<Option<Presence>, StoreError> {
        match self.store.read(move |txn| txn.link_outline(link_id)).await? {
            Some(link) => self.enter_user(link.user_id).await,
            None => Ok(None),
        }
    }

    /// Works on a customer; `None`: they are being forgotten, or were.
    pub(super) async fn enter_user(&self, user_id: i64) -> Result<Option<Presence>, StoreError> {
        let presence = self.presences.enter(user_id).await;
        let is_leaving =
            self.store.read(move |txn| Ok(txn.is_being_forgotten(user_id)? || !txn.has_user(user_id)?)).await?;
        Ok((!is_leaving).then_some(presence))
    }

    /// What a step of a link needs to know; `None` if its source is not configured.
    pub(super) async fn trip(&self, link_id: i64) -> Result<Option<Trip<'_>>, StoreError> {
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

    /// When what failed so often before is tried again: after a delay that grows, at the latest at `planned`; and not before the
    /// aggregator wants to be asked again, unless that is later than any delay.
    pub(super) fn retry_at(
        &self,
        failures: u32,
        planned: Option<Timestamp>,
        not_before: Option<Timestamp>,
    ) -> Timestamp {
        let now = self.clock.now();
        let after = |delay: Duration| now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        let soon = after(self.retry_delay(failures + 1));
        let soon = planned.map_or(soon, |planned| soon.min(planned));
        not_before.map_or(soon, |at| soon.max(at.min(after(schedule::MAX_RETRY))))
    }

    pub(super) fn retry_delay(&self, consecutive_failures: u32) -> Duration {
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        schedule::retry_delay(consecutive_failures, &mut *rng)
    }
}
