//! From stored webhook events to what is due: what an aggregator announced, taken in the order in which it came.
//!
//! An event is a hint to look, and never more: it may come twice, late, in any order, or again years later. So it ends
//! refreshes whose end it tells, makes links due and has customers looked at; what is there and what is gone, the
//! aggregator's API says. Events and what they make due are written in one commit: a process that dies takes them again.

use jiff::{SignedDuration, Timestamp};

use super::{Engine, Source};
use crate::aggregator::{Announcement, News, RefreshProgress};
use crate::model::{EventOutcome, UserRecord};
use crate::store::{NewsLink, NewsRefresh, NewsUser, Phase, RefreshOutcome, StoreError, WaitingEvent, WriteTxn};

/// How often news of unknown customers may bring the listing of all of them forward.
pub(super) const DISCOVERY_REST: SignedDuration = SignedDuration::from_mins(5);
/// Events taken in one commit.
const BATCH: u32 = 500;

/// What was made of a batch of events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TakenNews {
    /// Events that were handled.
    pub handled: u32,
    /// Those of them that made something due, or ended a refresh.
    pub applied: u32,
    /// There may be more.
    pub has_more: bool,
}

impl Engine {
    /// Handles the events that have waited longest.
    ///
    /// After a crash: a batch is handled as a whole or not at all.
    pub async fn take_news(&self) -> Result<TakenNews, StoreError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
        let is_any = self.store.read(|txn| txn.has_waiting_events()).await?;
        if !is_any {
            return Ok(TakenNews::default());
        }
        let (sources, now) = (self.sources.clone(), self.clock.now());
        self.store
            .write(move |txn| {
                let waiting = txn.waiting_events(BATCH)?;
                let mut taken = TakenNews { has_more: waiting.len() >= BATCH as usize, ..TakenNews::default() };
                for event in waiting {
                    let effect = match sources.get(&event.source_id) {
                        Some(source) => Desk { txn, source, now, received_at: event.received_at }.take(&event)?,
                        None => Effect::IGNORED,
                    };
                    txn.event_handled(event.event_id, effect.outcome, effect.link_id, now)?;
                    taken.handled += 1;
                    taken.applied += u32::from(effect.outcome == EventOutcome::Applied);
                }
                Ok(taken)
            })
            .await
    }
}

/// What came of one event.
struct Effect {
    outcome: EventOutcome,
    link_id: Option<i64>,
}

impl Effect {
    const IGNORED: Self = Self { outcome: EventOutcome::Ignored, link_id: None };

    /// An event that changed something or told nothing new.
    fn of(has_changed: bool, link: Option<&NewsLink>) -> Self {
        let outcome = if has_changed { EventOutcome::Applied } else { EventOutcome::Stale };
        Self { outcome, link_id: link.map(|link| link.link_id) }
    }

    fn ignored(link: &NewsLink) -> Self {
        Self { outcome: EventOutcome::Ignored, link_id: Some(link.link_id) }
    }
}

/// Where one event is taken.
struct Desk<'t, 'c> {
    txn: &'t WriteTxn<'c>,
    source: &'t Source,
    now: Timestamp,
    received_at: Timestamp,
}

impl Desk<'_, '_> {
    fn take(&self, event: &WaitingEvent) -> Result<Effect, StoreError> {
        let Some(announcement) = self.source.aggregator.webhooks().read(event.body.as_bytes()) else {
            return Ok(Effect::IGNORED);
        };
        let user = announcement.user.as_deref();
        match &announcement.news {
            News::Nothing => Ok(Effect::IGNORED),
            News::UserDeleted => self.user_deleted(user),
            News::LinkChanged { link } => self.look(self.link(link.as_deref())?.as_ref(), user),
            News::LinkRead { link } => self.link_read(self.link(Some(link))?.as_ref(), user),
            News::RefreshStatus { task, status, link } => match self.txn.news_refresh(self.source.source_id, task)? {
                Some(refresh) => self.refresh(&refresh, status),
                None => self.foreign_task(status, self.link(link.as_deref())?.as_ref(), &announcement),
            },
        }
    }

    fn link(&self, upstream_id: Option<&str>) -> Result<Option<NewsLink>, StoreError> {
        let source_id = self.source.source_id;
        Ok(upstream_id.map(|id| self.txn.news_link(source_id, id)).transpose()?.flatten())
    }

    fn user(&self, link: Option<&NewsLink>, upstream_id: Option<&str>) -> Result<Option<NewsUser>, StoreError> {
        self.txn.news_user(self.source.source_id, link.map(|link| link.user_id), upstream_id)
    }

    /// Whether the customer is gone, the look tells.
    fn user_deleted(&self, upstream_id: Option<&str>) -> Result<Effect, StoreError> {
        match self.user(None, upstream_id)? {
            Some(user) if !user.is_removed => Ok(Effect::of(self.txn.look_at_user_now(user.user_id, self.now)?, None)),
            Some(_) | None => Ok(Effect::of(false, None)),
        }
    }

    /// Has the links of whomever it concerns looked at: one who is unknown is taken down first, and where it does not say
    /// who, everybody is listed.
    fn look(&self, link: Option<&NewsLink>, upstream_id: Option<&str>) -> Result<Effect, StoreError> {
        let source_id = self.source.source_id;
        let user_id = match (self.user(link, upstream_id)?, upstream_id) {
            // Said of somebody who is gone. If it is wrong that they are, discovery finds out.
            (Some(user), _) if user.is_removed => return Ok(Effect::of(false, link)),
            (Some(user), _) => user.user_id,
            (None, Some(upstream_id)) => {
                let user = UserRecord { upstream_id: upstream_id.to_owned(), external_id: None };
                self.txn.put_user(source_id, &user, self.now)?
            }
            (None, None) => {
                return Ok(Effect::of(self.txn.discover_for_news(source_id, self.now, DISCOVERY_REST)?, link));
            }
        };
        Ok(Effect::of(self.txn.look_at_user_now(user_id, self.now)?, link))
    }

    /// Makes a link due whose bank the aggregator has read. One that is gone there comes back through a look only, one that
    /// an operator paused or took out not at all.
    fn link_read(&self, link: Option<&NewsLink>, user: Option<&str>) -> Result<Effect, StoreError> {
        match link {
            Some(link) if link.rests => Ok(Effect::ignored(link)),
            Some(link) if !link.is_gone => {
                Ok(Effect::of(self.txn.announce_read(link.link_id, self.received_at, self.now)?, Some(link)))
            }
            Some(_) | None => self.look(link, user),
        }
    }

    /// A refresh of ours went on, or is over. Never backwards: what is over stays over, and an earlier status tells nothing.
    fn refresh(&self, refresh: &NewsRefresh, status: &str) -> Result<Effect, StoreError> {
        let link = self.txn.news_link_by_id(refresh.link_id)?;
        let refreshes = self.source.aggregator.refreshes().filter(|_| !refresh.is_over);
        let Some(refreshes) = refreshes else {
            return Ok(Effect::of(false, Some(&link)));
        };
        let has_changed = match refreshes.announced(status) {
            RefreshProgress::Running { .. } => {
                let goes_on = refreshes.goes_on(refresh.upstream_status.as_deref(), status);
                if goes_on {
                    self.txn.refresh_went_on(refresh.refresh_id, status)?;
                }
                goes_on
            }
            RefreshProgress::Done => {
                self.refresh_done(refresh, &link, status, refreshes.terms().price_unit)?;
                true
            }
            // Looked at once more: the task itself is the witness, an announcement may be stale.
            RefreshProgress::Failed { .. } | RefreshProgress::Lost => {
                self.txn.look_at_refresh_now(link.link_id, self.now)?
            }
        };
        Ok(Effect::of(has_changed, Some(&link)))
    }

    fn refresh_done(
        &self,
        refresh: &NewsRefresh,
        link: &NewsLink,
        status: &str,
        price_unit: &str,
    ) -> Result<(), StoreError> {
        let (txn, now) = (self.txn, self.now);
        txn.refresh_finished(refresh.refresh_id, RefreshOutcome::Done, Some(status), Some(price_unit), now)?;
        if link.sync_id == Some(refresh.sync_id) && link.phase == Phase::Refreshing {
            txn.note_refreshed(refresh.sync_id, "done")?;
            txn.set_next(link.link_id, Phase::Pulling, now)?;
        }
        Ok(())
    }

    /// A task that is no refresh of ours: a connection, or somebody else's refresh.
    fn foreign_task(
        &self,
        status: &str,
        link: Option<&NewsLink>,
        announcement: &Announcement,
    ) -> Result<Effect, StoreError> {
        let Some(refreshes) = self.source.aggregator.refreshes() else {
            return Ok(Effect::IGNORED);
        };
        let user = announcement.user.as_deref();
        match refreshes.announced(status) {
            RefreshProgress::Running { .. } => Ok(Effect::of(false, link)),
            RefreshProgress::Done => self.link_read(link, user),
            RefreshProgress::Failed { .. } | RefreshProgress::Lost => self.look(link, user),
        }
    }
}
