//! How a sync ends: the one place where an error becomes an outcome, a next time and a line in the log.

use jiff::{SignedDuration, Timestamp};

use super::{Step, Stop, SyncReport, Trip};
use crate::aggregator::CallError;
use crate::model::{Attention, Cause, Condition, LinkHealth};
use crate::store::{EndedSync, Outcome, Phase, RemovedBy, StoreError, SyncEnd};

/// How long a source rests after the aggregator refused its credentials: a person must change them.
pub const CREDENTIALS_REST: SignedDuration = SignedDuration::from_mins(5);
/// Why a source rests whose credentials were refused, as the store and `explain` say it.
pub const CREDENTIALS_REFUSED: &str = "credentials refused";
/// Why a source rests that the aggregator throttled.
pub(super) const REQUEST_LIMIT: &str = "request limit";
/// When a list that would not hold still is read again.
const RESTLESS_RETRY: SignedDuration = SignedDuration::from_mins(10);
/// When a list that stands still and does not add up is read again: reading it at once would only cost requests.
const INCONSISTENT_RETRY: SignedDuration = SignedDuration::from_hours(1);

/// What a stop means for each link it concerns.
#[derive(Debug, Clone)]
pub(super) enum Verdict {
    /// A limit holds us, or with `is_shared` everything of the source.
    Deferred { until: Timestamp, is_shared: bool },
    /// A person must act, as the aggregator's refusal says.
    NeedsPerson { reason: Attention, status: String },
    /// The aggregator does not know the link, or so it says.
    Gone,
    /// The credential is refused.
    Unauthorized,
    /// The list could not be read as a whole.
    Unread { retry: SignedDuration },
    /// The aggregator could not reach the bank.
    RefreshFailed,
    /// Tried again later, and not before the aggregator wants to be asked again, where it said when.
    Failed { not_before: Option<Timestamp> },
}

impl Stop {
    /// What this means for each link it concerns.
    ///
    /// Errors: the store's, which end no sync.
    pub(super) fn verdict(self) -> Result<Verdict, StoreError> {
        Ok(match self {
            Self::Store(error) => return Err(error),
            Self::Restless { .. } => Verdict::Unread { retry: RESTLESS_RETRY },
            Self::Inconsistent { .. } => Verdict::Unread { retry: INCONSISTENT_RETRY },
            Self::RefreshFailed { .. } => Verdict::RefreshFailed,
            Self::Call(error) => match error {
                CallError::RateLimited { until, is_shared } => Verdict::Deferred { until, is_shared },
                CallError::NeedsAttention { reason, document } => {
                    Verdict::NeedsPerson { reason, status: document.to_string() }
                }
                CallError::Gone(_) => Verdict::Gone,
                CallError::Unauthorized(_) => Verdict::Unauthorized,
                CallError::Transient { retry_at, .. } => Verdict::Failed { not_before: retry_at },
                CallError::RefreshRefused(_)
                | CallError::OutcomeUnknown(_)
                | CallError::Rejected { .. }
                | CallError::Malformed { .. }
                | CallError::TooLarge { .. }
                | CallError::NotSent(_)
                | CallError::ForeignOrigin => Verdict::Failed { not_before: None },
            },
        })
    }
}

impl Trip<'_> {
    /// What a complete walk means for the link. Rows set aside do not make its data stale, but they are said.
    pub(super) fn end_of_complete_walk(&self, rejected: usize, now: Timestamp) -> SyncEnd {
        let error = (rejected > 0).then(|| {
            format!("{rejected} malformed rows were set aside; see rejected_rows in the store and report them to the aggregator")
        });
        SyncEnd {
            outcome: if rejected > 0 { Outcome::Partial } else { Outcome::Ok },
            is_fresh: true,
            error,
            hold: None,
            next_due_at: self.source.next_due_at(self.spread_key(), now),
            next_cause: Cause::Schedule,
            next_phase: Phase::Idle,
            reconcile_due_at: None,
        }
    }

    /// Ends the sync that `stop` stopped.
    pub(super) async fn stopped(&mut self, stop: Stop) -> Result<Step, StoreError> {
        let message = stop.to_string();
        let verdict = stop.verdict()?;
        self.close(verdict, message).await
    }

    /// Ends the sync as `verdict` says.
    pub(super) async fn close(&mut self, verdict: Verdict, message: String) -> Result<Step, StoreError> {
        self.open_sync().await?;
        match verdict {
            Verdict::Deferred { until, is_shared } => self.deferred(until, is_shared).await,
            Verdict::NeedsPerson { reason, status } => {
                let (link_id, now) = (self.link.link_id, self.now());
                let condition = Condition::NeedsPerson(reason);
                let health = LinkHealth { upstream_status: Some(status), detail: None, condition };
                self.store().write(move |txn| txn.set_link_health(link_id, &health, now)).await?;
                // A refresh that could not be looked at is still to be settled: it is looked at again, not asked for anew.
                let is_refreshing = self.link.phase == Phase::Refreshing;
                self.attention(reason, if is_refreshing { Phase::Refreshing } else { Phase::Idle }).await
            }
            Verdict::Gone => self.gone(message).await,
            Verdict::Unauthorized => self.unauthorized(message).await,
            Verdict::Unread { retry } => self.unread(message, retry).await,
            Verdict::RefreshFailed => self.refresh_failed(message).await,
            Verdict::Failed { not_before } => self.fail(message, not_before).await,
        }
    }

    /// A limit holds us: not a failure. A pull goes on later without a new refresh. Only a limit that all links share lets
    /// the source rest.
    async fn deferred(&mut self, until: Timestamp, is_shared: bool) -> Result<Step, StoreError> {
        if is_shared {
            let source_id = self.link.source_id;
            self.store().write(move |txn| txn.hold_source(source_id, until, REQUEST_LIMIT)).await?;
        }
        let end = SyncEnd {
            outcome: Outcome::Deferred,
            is_fresh: false,
            error: None,
            hold: Some((until, "the aggregator's request limit".to_owned())),
            next_due_at: until,
            next_cause: self.cause,
            next_phase: self.link.phase,
            reconcile_due_at: None,
        };
        self.end(end).await
    }

    /// The link needs a person. It is looked at again on schedule, cheaply: its state is read, nothing is refreshed.
    pub(super) async fn needs_attention(&mut self, reason: Attention) -> Result<Step, Stop> {
        Ok(self.attention(reason, Phase::Idle).await?)
    }

    async fn attention(&mut self, reason: Attention, next_phase: Phase) -> Result<Step, StoreError> {
        let now = self.now();
        let end = SyncEnd {
            outcome: Outcome::Attention,
            is_fresh: false,
            error: Some(reason.advice().to_owned()),
            hold: None,
            next_due_at: self.source.next_due_at(self.spread_key(), now),
            next_cause: Cause::Schedule,
            next_phase,
            reconcile_due_at: None,
        };
        self.end(end).await
    }

    /// A 404 on the link's data: is the link gone, or only this answer wrong? The link itself is asked.
    async fn gone(&mut self, message: String) -> Result<Step, StoreError> {
        match self.ask_for_link().await {
            Ok(Some(record)) if record.is_removed => self.removed_now().await,
            Err(CallError::Gone(_)) => self.removed_now().await,
            _ => self.fail(message, None).await,
        }
    }

    pub(super) async fn removed(&mut self) -> Result<Step, Stop> {
        self.open_sync().await?;
        Ok(self.removed_now().await?)
    }

    async fn removed_now(&mut self) -> Result<Step, StoreError> {
        let (link_id, now) = (self.link.link_id, self.now());
        let end = SyncEnd {
            outcome: Outcome::Ok,
            is_fresh: false,
            error: Some("the link was deleted at the aggregator; its history stays".to_owned()),
            hold: None,
            next_due_at: self.source.next_due_at(self.spread_key(), now),
            next_cause: Cause::Schedule,
            next_phase: Phase::Idle,
            reconcile_due_at: None,
        };
        let step = self.end(end).await?;
        self.store().write(move |txn| txn.remove_link(link_id, RemovedBy::Aggregator, now)).await?;
        Ok(step)
    }

    /// The credential is refused: the source rests, its other links keep their good name.
    async fn unauthorized(&mut self, message: String) -> Result<Step, StoreError> {
        let source_id = self.link.source_id;
        let now = self.now();
        let until = now.saturating_add(CREDENTIALS_REST).unwrap_or(now);
        self.store().write(move |txn| txn.hold_source(source_id, until, CREDENTIALS_REFUSED)).await?;
        self.fail(message, None).await
    }

    /// Rows were stored, but not all were seen: nothing is decided about absences, and the cursor stays.
    async fn unread(&mut self, message: String, retry: SignedDuration) -> Result<Step, StoreError> {
        let now = self.now();
        let end = SyncEnd {
            outcome: Outcome::Partial,
            is_fresh: false,
            error: Some(message),
            hold: None,
            next_due_at: now.saturating_add(retry).unwrap_or(now),
            next_cause: Cause::Retry,
            next_phase: Phase::Pulling,
            reconcile_due_at: None,
        };
        self.end(end).await
    }

    /// A failure: tried again after a delay that grows, and at the latest on schedule, or when the aggregator wants to be asked
    /// again.
    async fn fail(&mut self, message: String, not_before: Option<Timestamp>) -> Result<Step, StoreError> {
        let on_schedule = self.source.next_due_at(self.spread_key(), self.now());
        let next_due_at = self.engine.retry_at(self.link.consecutive_failures, Some(on_schedule), not_before);
        self.failed(message, next_due_at).await
    }

    /// The aggregator could not reach the bank. Each further try is a refresh of the day's few, so it waits for its schedule.
    async fn refresh_failed(&mut self, message: String) -> Result<Step, StoreError> {
        let next_due_at = self.source.next_due_at(self.spread_key(), self.now());
        self.failed(message, next_due_at).await
    }

    async fn failed(&mut self, message: String, next_due_at: Timestamp) -> Result<Step, StoreError> {
        let end = SyncEnd {
            outcome: Outcome::Failed,
            is_fresh: false,
            error: Some(message),
            hold: None,
            next_due_at,
            next_cause: Cause::Retry,
            // A pull that failed goes on as a pull: its refresh is paid and done.
            next_phase: self.link.phase,
            reconcile_due_at: None,
        };
        self.end(end).await
    }

    async fn end(&mut self, end: SyncEnd) -> Result<Step, StoreError> {
        let (link_id, sync_id, now, requests) = (self.link.link_id, self.sync_id, self.now(), self.requests());
        let stored = end.clone();
        let ended = self
            .store()
            .write(move |txn| {
                txn.count_sync(sync_id, &requests)?;
                txn.end_sync(link_id, sync_id, &stored, now)
            })
            .await?;
        Ok(self.report(&end, ended))
    }

    /// The one line a sync leaves in the log.
    pub(super) fn report(&self, end: &SyncEnd, ended: EndedSync) -> Step {
        let c = ended.counts;
        let duration_ms = self.now().duration_since(ended.started_at).as_millis();
        let next_due_at = end.next_due_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let error = end.error.as_deref().unwrap_or_default();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    source = %self.source.name, link.id = self.link.link_id, sync.id = self.sync_id,
                    cause = self.cause.as_str(), outcome = end.outcome.as_str(), requests = c.requests,
                    rows.seen = c.rows_seen, rows.added = c.rows_added, rows.updated = c.rows_updated,
                    rows.posted = c.rows_posted, rows.removed = c.rows_removed, rows.restored = c.rows_restored,
                    rows.rejected = c.rows_rejected, duration_ms = i64::try_from(duration_ms).unwrap_or(i64::MAX),
                    next_due_at, error, "sync"
                )
            };
        }
        match end.outcome {
            Outcome::Ok | Outcome::Deferred => line!(info),
            Outcome::Partial | Outcome::Failed => line!(warn),
            Outcome::Attention => line!(error),
        }
        Step::Ended(vec![SyncReport {
            link_id: self.link.link_id,
            sync_id: self.sync_id,
            outcome: end.outcome,
            error: end.error.clone(),
            counts: ended.counts,
            next_due_at: end.next_due_at,
        }])
    }
}
