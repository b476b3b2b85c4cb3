//! What became of a refresh that was asked for.

use jiff::SignedDuration;

use super::{Step, Stop, Trip};
use crate::aggregator::{CallError, RefreshProgress};
use crate::schedule;
use crate::store::{OpenRefresh, Phase, RefreshOutcome, StoreError};

/// How long a refresh whose answer was lost may stay unlisted before it counts as never made.
const UNLISTED_FOR: SignedDuration = SignedDuration::from_mins(2);

impl Trip<'_> {
    /// Looks whether the refresh is over.
    pub(in crate::sync) async fn look_at_refresh(&mut self) -> Result<Step, Stop> {
        self.open_sync().await?;
        let link_id = self.link.link_id;
        let Some(open) = self.store().read(move |txn| txn.open_refresh(link_id)).await? else {
            return self.pull().await;
        };
        match self.look_at(&open).await {
            // What cannot even be looked at is not waited for any longer than what runs.
            Err(Stop::Call(error)) if self.is_overdue(&open) && !stops_every_request(&error) => {
                self.give_up(&open, None).await
            }
            looked => looked,
        }
    }

    async fn look_at(&mut self, open: &OpenRefresh) -> Result<Step, Stop> {
        let Some(task) = self.task_of(open).await? else {
            return self.unlisted(open).await;
        };
        let Some(refreshes) = self.source.aggregator.refreshes() else {
            return self.pull().await;
        };
        let progress = refreshes.progress(&self.context, &task).await?;
        if let RefreshProgress::Running { status } = progress {
            return self.keep_waiting(open, status).await;
        }
        self.refresh_ended(open.refresh_id, progress).await
    }

    /// A refresh without an answer that the aggregator does not list: after a while it was never made.
    ///
    /// One whose process died before it was sent is asked for anew; one that was sent and lost is done without.
    async fn unlisted(&mut self, open: &OpenRefresh) -> Result<Step, Stop> {
        if self.now().duration_since(open.requested_at) < UNLISTED_FOR {
            return self.wait_until(self.after(self.source.refresh_poll_first)).await;
        }
        self.settle(open.refresh_id, RefreshOutcome::NotSent, None).await?;
        if open.outcome == RefreshOutcome::Sending {
            return self.refresh_or_pull().await;
        }
        self.pull_noting("never reached the aggregator").await
    }

    fn is_overdue(&self, open: &OpenRefresh) -> bool {
        self.now().duration_since(open.requested_at).unsigned_abs() >= self.source.refresh_timeout
    }

    async fn give_up(&mut self, open: &OpenRefresh, status: Option<String>) -> Result<Step, Stop> {
        self.settle(open.refresh_id, RefreshOutcome::TimedOut, status).await?;
        self.pull_noting("timed out; pulled what the aggregator had").await
    }

    /// The task of a refresh; one whose answer was lost is looked for in the aggregator's list.
    async fn task_of(&mut self, open: &OpenRefresh) -> Result<Option<String>, Stop> {
        if let Some(task) = &open.upstream_task_id {
            return Ok(Some(task.clone()));
        }
        let Some(refreshes) = self.source.aggregator.refreshes() else { return Ok(None) };
        let (user, link) = (&self.link.upstream_user_id, &self.link.upstream_id);
        let found = refreshes.find(&self.context, user, link, open.requested_at).await?;
        let (refresh_id, link_id, now) = (open.refresh_id, self.link.link_id, self.now());
        // The list reaches back for the sake of clocks: what is booked already is an earlier one.
        let unknown = self.store().read(move |txn| {
            let known = found.into_iter().map(|task| Ok((txn.knows_task(link_id, &task)?, task)));
            known.collect::<Result<Vec<_>, StoreError>>()
        });
        for (_, task) in unknown.await?.into_iter().filter(|(is_known, _)| !is_known) {
            // Connections are listed with refreshes, and only a refresh can be looked at as one.
            if refreshes.progress(&self.context, &task).await? == RefreshProgress::Lost {
                continue;
            }
            let found = task.clone();
            self.store().write(move |txn| txn.refresh_running(refresh_id, &found, now)).await?;
            return Ok(Some(task));
        }
        Ok(None)
    }

    async fn keep_waiting(&mut self, open: &OpenRefresh, status: Option<String>) -> Result<Step, Stop> {
        if self.is_overdue(open) {
            return self.give_up(open, status).await;
        }
        let refresh_id = open.refresh_id;
        let delay = schedule::poll_delay(open.polls + 1, self.source.refresh_poll_first, self.source.refresh_poll_max);
        let until = self.after(delay);
        self.wait_noting(until, move |txn| txn.refresh_polled(refresh_id, status.as_deref())).await
    }

    async fn refresh_ended(&mut self, refresh_id: i64, progress: RefreshProgress) -> Result<Step, Stop> {
        match progress {
            RefreshProgress::Done => {
                self.settle(refresh_id, RefreshOutcome::Done, Some("done".to_owned())).await?;
                self.link.attention = None;
                self.pull_noting("done").await
            }
            RefreshProgress::Lost => {
                self.settle(refresh_id, RefreshOutcome::Failed, None).await?;
                self.pull_noting("lost by the aggregator").await
            }
            RefreshProgress::Running { .. } => self.wait_until(self.after(self.source.refresh_poll_first)).await,
            RefreshProgress::Failed { health } => {
                let status = health.upstream_status.clone().unwrap_or_default();
                self.settle(refresh_id, RefreshOutcome::Failed, Some(status.clone())).await?;
                self.note_refreshed("failed").await?;
                let (link_id, now, noted) = (self.link.link_id, self.now(), health.clone());
                self.store().write(move |txn| txn.set_link_health(link_id, &noted, now)).await?;
                if let Some(reason) = health.condition.attention() {
                    return self.needs_attention(reason).await;
                }
                self.link.phase = Phase::Idle;
                Err(Stop::RefreshFailed { status })
            }
        }
    }
}

/// Whether an error is the credential's or the user's, so that a pull would meet it too.
fn stops_every_request(error: &CallError) -> bool {
    matches!(error, CallError::RateLimited { .. } | CallError::Unauthorized(_))
}
