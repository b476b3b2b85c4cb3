//! One sync of all links of one user, for aggregators that tell changes by user.
//!
//! The same requests bring every link of the user up to date, so one due link takes the others along: links, then accounts
//! where the aggregator has read the bank since, then the changes since the cursor; the whole history only of accounts that
//! are new, and of everything where a reconciliation is due. Each link has a sync of its own and ends with its own outcome, all
//! in the commit that moves their cursors.

mod accounts;
mod changes;
mod ending;
mod links;
mod look;

pub use look::Looked;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

use super::{Engine, Step, Stop, SyncReport, Trip};
use crate::aggregator::{CallContext, CallError, Changes};
use crate::limits::requests::Lane;
use crate::model::{Condition, LinkRecord};
use crate::store::{EndedSync, Phase, StoreError, SyncEnd};

/// All links of one user under way. The first is the one that was due.
pub(super) struct UserSync<'a> {
    engine: &'a Engine,
    links: Vec<Member<'a>>,
    /// The aggregator shows links of this user that are not read now: paused or removed here, or not connected yet.
    leaves_links_out: bool,
    /// Nobody else works on this user meanwhile.
    _turn: OwnedMutexGuard<()>,
}

/// One link under way with what the aggregator says about it.
struct Member<'a> {
    trip: Trip<'a>,
    condition: Condition,
    listed: Option<LinkRecord>,
}

impl Member<'_> {
    /// Whether its data flows, so that what a list shows of it is what there is.
    fn is_readable(&self) -> bool {
        matches!(self.condition, Condition::Well | Condition::Incomplete)
    }

    /// Whether its bank was read since its accounts were stored, so that they may differ.
    fn has_news(&self) -> bool {
        let tried_at = self.listed.as_ref().and_then(|listed| listed.tried_at);
        let was_read = tried_at.is_some() && tried_at == self.trip.link.read_tried_at;
        self.trip.cursor.is_none() || (self.is_readable() && !was_read)
    }

    /// Whether the aggregator tried to read the bank before it did so last, by its own clock.
    fn has_gone_back(&self) -> bool {
        let tried_at = self.listed.as_ref().and_then(|listed| listed.tried_at);
        matches!((tried_at, self.trip.link.read_tried_at), (Some(tried), Some(read)) if tried < read)
    }
}

impl<'a> UserSync<'a> {
    /// Waits for its turn and does the next step of the user's links.
    ///
    /// Shape: `Nothing` where another worker has just brought this link up to date.
    pub(super) async fn run(trip: Trip<'a>, feed: &Changes<'_>) -> Result<Step, StoreError> {
        let engine = trip.engine;
        let turn = engine.turn_of(trip.link.user_id).await;
        let link_id = trip.link.link_id;
        let Some(trip) = engine.trip(link_id).await? else {
            return Ok(Step::Nothing);
        };
        if !trip.is_due() {
            return Ok(Step::Nothing);
        }
        let lead = Member { trip, condition: Condition::Well, listed: None };
        let mut sync = Self { engine, links: vec![lead], leaves_links_out: false, _turn: turn };
        let (source, user_id) = (sync.lead().source, sync.lead().link.user_id);
        match sync.step(feed).await {
            Ok(step) => {
                if matches!(step, Step::Ended(_)) {
                    engine.name_new_banks(source, &CallContext::new(Lane::Scheduled), user_id).await?;
                }
                Ok(step)
            }
            Err(Stop::Store(error)) => Err(error),
            Err(stop) => sync.stopped(stop).await,
        }
    }

    async fn step(&mut self, feed: &Changes<'_>) -> Result<Step, Stop> {
        let lead = &self.links[0].trip;
        let (source, user) = (lead.source, (lead.link.user_id, lead.link.upstream_user_id.clone()));
        let began = self.engine.clock.now();
        let listed = match source.aggregator.user_links(&lead.context, &user.1).await {
            Err(CallError::Gone(_)) => return self.user_gone().await,
            listed => listed?,
        };
        let listed = self.engine.take_links(source, &lead.context, (user.0, &user.1), listed, began).await?;
        self.gather(user.0, listed).await?;
        if let Some(until) = self.set_connecting_aside().await? {
            return Ok(Step::Waiting { until });
        }
        if self.links.is_empty() {
            return Ok(Step::Nothing);
        }
        self.begin().await?;
        let is_first = self.links.iter().any(|link| link.trip.cursor.is_none());
        if !is_first && self.links.iter().all(|link| !link.is_readable()) {
            return Ok(self.end_unread().await?);
        }
        self.pull(feed).await
    }

    fn lead(&self) -> &Trip<'a> {
        &self.links[0].trip
    }

    /// Whether the whole history of every link is read instead of what changed.
    fn is_full(&self) -> bool {
        let mut trips = self.links.iter().map(|link| &link.trip);
        let wants = |trip: &Trip<'_>| trip.cursor.is_some() && trip.is_full;
        let has_no_feed = |trip: &Trip<'_>| trip.cursor.is_some_and(|cursor| cursor.feed.updated_to.is_none());
        self.links.iter().all(|link| link.trip.cursor.is_none())
            || trips.any(|trip| wants(trip) || has_no_feed(trip))
            || self.has_gone_back()
    }

    /// Whether the aggregator's clock was set back: what it wrote since may lie before the cursor.
    fn has_gone_back(&self) -> bool {
        self.links.iter().any(Member::has_gone_back)
    }

    /// Takes every link of the user along that may be synced.
    async fn gather(&mut self, user_id: i64, mut listed: HashMap<String, LinkRecord>) -> Result<(), StoreError> {
        let ids = self.engine.store.read(move |txn| txn.syncable_links_of(user_id)).await?;
        let lead = self.links.remove(0).trip;
        let (lead_id, cause) = (lead.link.link_id, lead.cause);
        let context = lead.context;
        let mut links = Vec::with_capacity(ids.len());
        for link_id in ids {
            let Some(mut trip) = self.engine.trip(link_id).await? else { continue };
            trip.cause = cause;
            let listed = listed.remove(&trip.link.upstream_id);
            let condition = condition_of(&trip, listed.as_ref());
            links.push(Member { trip, condition, listed });
        }
        links.sort_by_key(|link| (link.trip.link.link_id != lead_id, link.trip.link.link_id));
        if let Some(first) = links.first_mut() {
            // Requests already sent are counted with the sync that sent them.
            first.trip.context = context;
        }
        self.links = links;
        self.leaves_links_out = !listed.is_empty();
        Ok(())
    }

    /// Links whose first connection still runs wait for it; returns until when if no other link's time has come.
    async fn set_connecting_aside(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.engine.clock.now();
        let (connecting, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.links).into_iter().partition(|link| link.condition == Condition::Connecting);
        self.links = others;
        let Some(first) = connecting.first() else { return Ok(None) };
        self.leaves_links_out = true;
        let until = now.saturating_add(first.trip.source.refresh_poll_max).unwrap_or(now);
        let ids: Vec<i64> = connecting.iter().map(|link| link.trip.link.link_id).collect();
        self.engine
            .store
            .write(move |txn| ids.iter().try_for_each(|link_id| txn.set_next(*link_id, Phase::Idle, until)))
            .await?;
        Ok(self.links.iter().all(|link| !link.trip.is_due()).then_some(until))
    }

    /// Opens a sync of each link and says that reading is what comes next, in one commit.
    async fn begin(&mut self) -> Result<(), StoreError> {
        let is_full = self.is_full();
        let now = self.engine.clock.now();
        let opening: Vec<_> = self
            .links
            .iter()
            .map(|link| (link.trip.link.link_id, link.trip.link.sync_id, link.trip.causes(), link.trip.began))
            .collect();
        let opened = self
            .engine
            .store
            .write(move |txn| {
                let mut opened = Vec::with_capacity(opening.len());
                for (link_id, open, causes, began) in opening {
                    let sync_id = match open {
                        Some(sync_id) => sync_id,
                        None => txn.begin_sync(link_id, causes, is_full, began)?,
                    };
                    txn.set_next(link_id, Phase::Pulling, now)?;
                    opened.push(sync_id);
                }
                Ok(opened)
            })
            .await?;
        for (link, sync_id) in self.links.iter_mut().zip(opened) {
            link.trip.sync_id = sync_id;
            link.trip.link.sync_id = Some(sync_id);
            link.trip.link.phase = Phase::Pulling;
        }
        Ok(())
    }

    /// Ends every link's sync without having read anything: no data flows anyway.
    async fn end_unread(&mut self) -> Result<Step, StoreError> {
        let now = self.engine.clock.now();
        let ends: Vec<SyncEnd> = self.links.iter().map(|link| link.end(&ending::Findings::default(), now)).collect();
        self.commit_ends(ends, |_| Ok(())).await
    }

    /// Commits `last` and the end of every link's sync in one transaction.
    async fn commit_ends<F>(&mut self, ends: Vec<SyncEnd>, last: F) -> Result<Step, StoreError>
    where
        F: FnOnce(&crate::store::WriteTxn<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let now = self.engine.clock.now();
        let requests = self.lead().requests();
        let ids: Vec<(i64, i64)> = self.links.iter().map(|link| (link.trip.link.link_id, link.trip.sync_id)).collect();
        let stored = ends.clone();
        let ended: Vec<EndedSync> = self
            .engine
            .store
            .write(move |txn| {
                last(txn)?;
                if let Some((_, sync_id)) = ids.first() {
                    txn.count_sync(*sync_id, &requests)?;
                }
                ids.iter().zip(&stored).map(|((link, sync), end)| txn.end_sync(*link, *sync, end, now)).collect()
            })
            .await?;
        let mut reports: Vec<SyncReport> = Vec::with_capacity(ended.len());
        for ((link, end), ended) in self.links.iter().zip(&ends).zip(ended) {
            reports.extend(link.trip.report(end, ended).into_reports());
        }
        Ok(Step::Ended(reports))
    }

    /// Every link's sync ends as `stop` says, and all are tried again together: the first that is due takes the others along.
    async fn stopped(&mut self, stop: Stop) -> Result<Step, StoreError> {
        let message = stop.to_string();
        let verdict = stop.verdict()?;
        let mut reports = Vec::new();
        for link in &mut self.links {
            reports.extend(link.trip.close(verdict.clone(), message.clone()).await?.into_reports());
        }
        self.engine.align(&reports).await?;
        Ok(Step::Ended(reports))
    }

    /// The aggregator does not know the user: all links are gone there, their history stays.
    async fn user_gone(&mut self) -> Result<Step, Stop> {
        let lead = self.lead();
        self.engine.forget_user(lead.source, (lead.link.user_id, &lead.link.upstream_user_id)).await?;
        Ok(Step::Nothing)
    }
}

/// What the state of a link means now; a link whose list did not show it is as it was.
fn condition_of(trip: &Trip<'_>, listed: Option<&LinkRecord>) -> Condition {
    match listed {
        Some(listed) => listed.health.condition,
        None => trip.link.attention.map_or(Condition::Well, Condition::NeedsPerson),
    }
}

impl Engine {
    /// Lets the links of one user whose syncs ended wait for the same instant, the earliest of theirs.
    pub(super) async fn align(&self, ended: &[SyncReport]) -> Result<(), StoreError> {
        let Some(next_due_at) = ended.iter().map(|report| report.next_due_at).min() else {
            return Ok(());
        };
        let link_ids: Vec<i64> = ended.iter().map(|report| report.link_id).collect();
        self.store
            .write(move |txn| link_ids.iter().try_for_each(|link_id| txn.bring_due_forward(*link_id, next_due_at)))
            .await
    }

    /// Waits until nobody else works on a user.
    async fn turn_of(&self, user_id: i64) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // Turns that nobody has or waits for are dropped, so that there are never more than workers.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(user_id).or_default())
        };
        turn.lock_owned().await
    }
}
