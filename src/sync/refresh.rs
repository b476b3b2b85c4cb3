//! The refresh of a sync: decide, book, ask, look ([`look`]), settle.
//!
//! A refresh costs money. It is decided and booked in one store transaction, before it is sent; an answer that never came
//! leaves it counted, and the aggregator's own list of tasks tells later whether it was ever made. Nothing here repeats a
//! request for a refresh.

mod look;

use jiff::{SignedDuration, Timestamp};

use super::{Step, Stop, Trip};
use crate::aggregator::CallError;
use crate::limits::refreshes::{self, REFRESH_WINDOW, RefreshHeld};
use crate::model::{Cause, Condition, LinkHealth};
use crate::store::{NewRefresh, Phase, RefreshOutcome, StoreError, WriteTxn};

/// How long after the aggregator refused a refresh we do not ask again: a third of the day's window.
const REFUSED_FOR: SignedDuration = SignedDuration::from_hours(8);
/// A scheduled sync waits this long at most for a refresh that is about to become free, instead of going without.
const WORTH_WAITING: SignedDuration = SignedDuration::from_mins(10);

impl Trip<'_> {
    /// Starts a sync: is the link well, is its first connection over, may it be refreshed?
    pub(super) async fn start(&mut self) -> Result<Step, Stop> {
        let is_first = self.cursor.is_none();
        if is_first || self.link.attention.is_some() {
            match self.ask_for_link().await {
                Ok(Some(record)) if record.is_removed => return self.removed().await,
                Ok(Some(record)) => {
                    if let Some(step) = self.take_health(record.health, is_first).await? {
                        return Ok(step);
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    self.open_sync().await?;
                    return Err(error.into());
                }
            }
        }
        if is_first {
            // The connection itself has just brought everything the bank has: refreshing again would be paid for nothing.
            return self.pull_noting("not needed for a first pull").await;
        }
        if self.cause == Cause::Webhook {
            // The aggregator has just read the bank, as it says itself.
            return self.pull_noting("not needed: the aggregator announced fresh data").await;
        }
        self.refresh_or_pull().await
    }

    /// Asks for a refresh if it may, waits for one that is about to be free, pulls otherwise.
    async fn refresh_or_pull(&mut self) -> Result<Step, Stop> {
        match self.book().await? {
            Booked::Wait(until) => {
                let link_id = self.link.link_id;
                self.store().write(move |txn| txn.set_next(link_id, Phase::Idle, until)).await?;
                Ok(Step::Waiting { until })
            }
            Booked::Held(held) => match self.link.attention {
                Some(reason) => self.needs_attention(reason).await,
                None => self.pull_noting(&held.to_string()).await,
            },
            Booked::Granted(refresh_id) => self.ask(refresh_id).await,
        }
    }

    /// Notes the link's health. A link that needs a person ends here, unless a person asked; one whose first connection still runs waits.
    async fn take_health(&mut self, health: LinkHealth, is_first: bool) -> Result<Option<Step>, Stop> {
        let (link_id, now, noted) = (self.link.link_id, self.now(), health.clone());
        self.store().write(move |txn| txn.set_link_health(link_id, &noted, now)).await?;
        self.link.attention = health.condition.attention();
        if let Some(reason) = self.link.attention {
            if self.cause == Cause::Person && !is_first {
                // A person says that it is repaired: only a refresh can tell.
                return Ok(None);
            }
            self.open_sync().await?;
            return self.needs_attention(reason).await.map(Some);
        }
        if is_first && health.condition == Condition::Connecting && !self.is_first_connection_overdue() {
            let until = self.after(self.source.refresh_poll_max);
            self.store().write(move |txn| txn.set_next(link_id, Phase::Idle, until)).await?;
            return Ok(Some(Step::Waiting { until }));
        }
        Ok(None)
    }

    /// A status that says "running" for ever is not believed for ever.
    fn is_first_connection_overdue(&self) -> bool {
        self.now().duration_since(self.link.first_seen_at).unsigned_abs() > self.source.refresh_timeout
    }

    /// Decides whether a refresh may be asked for and books it, in one store transaction.
    async fn book(&mut self) -> Result<Booked, Stop> {
        let policy = self.source.refresh_policy;
        let (source_id, link_id, cause) = (self.link.source_id, self.link.link_id, self.cause);
        let (refused_until, has_token) = (self.link.refresh_hold_until, self.link.access_token.is_some());
        let (is_full, began, open_sync, causes) = (self.is_full, self.began, self.link.sync_id, self.causes());
        let counts_from_at = self.after(self.source.step_deadline);
        let booked = self
            .store()
            .write(move |txn| {
                let decision = if has_token {
                    let day_began = began.saturating_sub(REFRESH_WINDOW).unwrap_or(began);
                    let month_began = policy.per_month.map(|_| refreshes::month_began(began));
                    let used = txn.refresh_use(source_id, link_id, day_began, month_began, policy.lifetime_cap)?;
                    refreshes::decide(&policy, &used, cause == Cause::Person, refused_until, began)
                } else {
                    Err(RefreshHeld { reason: refreshes::HoldReason::NoToken, until: None })
                };
                let worth_waiting = began.saturating_add(WORTH_WAITING).unwrap_or(began);
                if let Err(RefreshHeld { until: Some(until), .. }) = decision
                    && cause == Cause::Schedule
                    && until <= worth_waiting
                {
                    return Ok((None, Booked::Wait(until)));
                }
                let sync_id = match open_sync {
                    Some(sync_id) => sync_id,
                    None => txn.begin_sync(link_id, causes, is_full, began)?,
                };
                let booked = match decision {
                    Err(held) => Booked::Held(held),
                    Ok(()) => Booked::Granted(txn.book_refresh(NewRefresh {
                        source_id,
                        link_id,
                        sync_id,
                        cause,
                        requested_at: began,
                        counts_from_at,
                    })?),
                };
                if matches!(booked, Booked::Granted(_)) {
                    txn.set_next(link_id, Phase::Refreshing, began)?;
                }
                Ok((Some(sync_id), booked))
            })
            .await?;
        if let Some(sync_id) = booked.0 {
            self.link.sync_id = Some(sync_id);
            self.sync_id = sync_id;
        }
        Ok(booked.1)
    }

    /// Sends the request for a refresh that is booked.
    async fn ask(&mut self, refresh_id: i64) -> Result<Step, Stop> {
        let (Some(token), Some(refreshes)) = (self.link.access_token.clone(), self.source.aggregator.refreshes())
        else {
            return self.pull().await;
        };
        let answer = refreshes.start(&self.context, &token).await;
        let now = self.now();
        match answer {
            Ok(task) => {
                let until = self.after(self.source.refresh_poll_first);
                self.wait_noting(until, move |txn| txn.refresh_running(refresh_id, &task, now)).await
            }
            Err(CallError::OutcomeUnknown(_)) => {
                let until = self.after(self.source.refresh_poll_first);
                self.wait_noting(until, move |txn| txn.refresh_unknown(refresh_id)).await
            }
            Err(CallError::RefreshRefused(_)) => {
                let link_id = self.link.link_id;
                let until = now.saturating_add(REFUSED_FOR).unwrap_or(now);
                self.settle(refresh_id, RefreshOutcome::Refused, None).await?;
                self.store().write(move |txn| txn.hold_refresh(link_id, until)).await?;
                self.pull_noting(&refreshes::HoldReason::RefusedUpstream.to_string()).await
            }
            Err(error) => {
                let is_throttled = matches!(error, CallError::RateLimited { .. });
                let outcome = if is_throttled { RefreshOutcome::Throttled } else { RefreshOutcome::NotSent };
                self.settle(refresh_id, outcome, None).await?;
                let link_id = self.link.link_id;
                self.store().write(move |txn| txn.set_next(link_id, Phase::Idle, now)).await?;
                self.link.phase = Phase::Idle;
                Err(error.into())
            }
        }
    }

    /// Closes a refresh in the ledger.
    async fn settle(&self, refresh_id: i64, outcome: RefreshOutcome, status: Option<String>) -> Result<(), StoreError> {
        let now = self.now();
        let price = self
            .source
            .aggregator
            .refreshes()
            .map(|r| r.terms().price_unit)
            .filter(|_| outcome == RefreshOutcome::Done);
        self.store().write(move |txn| txn.refresh_finished(refresh_id, outcome, status.as_deref(), price, now)).await
    }

    async fn note_refreshed(&self, word: &str) -> Result<(), StoreError> {
        let (sync_id, word) = (self.sync_id, word.to_owned());
        self.store().write(move |txn| txn.note_refreshed(sync_id, &word)).await
    }

    async fn wait_until(&self, until: Timestamp) -> Result<Step, Stop> {
        self.wait_noting(until, |_| Ok(())).await
    }

    /// Looks at the refresh again at `until`; stores what `note` has to say in the same commit.
    async fn wait_noting<F>(&self, until: Timestamp, note: F) -> Result<Step, Stop>
    where
        F: FnOnce(&WriteTxn<'_>) -> Result<(), StoreError> + Send + 'static,
    {
        let (link_id, sync_id, part, now) = (self.link.link_id, self.sync_id, self.requests(), self.now());
        self.store()
            .write(move |txn| {
                note(txn)?;
                txn.count_sync(sync_id, &part)?;
                // A webhook may have said meanwhile that it is over.
                match txn.open_refresh(link_id)? {
                    Some(_) => txn.set_next(link_id, Phase::Refreshing, until),
                    None => txn.set_next(link_id, Phase::Pulling, now),
                }
            })
            .await?;
        Ok(Step::Waiting { until })
    }

    fn after(&self, delay: std::time::Duration) -> Timestamp {
        let now = self.now();
        now.saturating_add(delay).unwrap_or(now)
    }
}

enum Booked {
    /// Go, and settle this ledger row.
    Granted(i64),
    /// Go on without.
    Held(RefreshHeld),
    /// It becomes free so soon that waiting is better.
    Wait(Timestamp),
}
