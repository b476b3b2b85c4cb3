//! Forgetting a customer: deleted at the aggregator, then every row of theirs here, then what they left in the file.
//!
//! The order is in the store before this begins (`store::erasures`), and every step is a commit that says so: a process that
//! dies goes on where it was, and one that is held up, by the aggregator or by a reader, tries again later. The rows here do not wait for
//! the aggregator. What must stay true: nobody works on the customer meanwhile, and events that announce them are deleted too.

use std::collections::HashSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Engine, Source, reason_of};
use crate::aggregator::{CallContext, CallError, Deleted, News};
use crate::limits::requests::Lane;
use crate::store::{Erased, Erasure, IdKind, PastEvent, StoreError, UpstreamIds, UpstreamOutcome};

/// Rows deleted in one commit: each holds up whoever writes meanwhile.
const BATCH: usize = 2_000;
/// Events looked at in one go.
const EVENTS_AT_ONCE: u32 = 500;
/// Change ids looked through in one go.
const CHANGES_AT_ONCE: i64 = 100_000;
/// Rest between two commits, so that others get to write.
const BREATH: Duration = Duration::from_millis(20);
/// When a reader that holds the write-ahead log is looked after again.
const READER_REST: SignedDuration = SignedDuration::from_mins(1);
/// How long an erasure rests whose source is not configured.
const RETIRED_REST: SignedDuration = SignedDuration::from_hours(24);
/// Ids this long are nobody else's; shorter ones, such as numbers, are believed only where the aggregator's reader finds them.
const UNIQUE_ID_BYTES: usize = 16;

impl Engine {
    /// Goes on with every erasure whose time has come.
    ///
    /// After a crash: each step that was committed is done; the next call goes on.
    pub async fn erase_due(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = self.store.read(move |txn| txn.due_erasures(now)).await?;
        if due.is_empty() {
            return Ok(());
        }
        let _turn = self.erasing.lock().await;
        for erasure_id in due {
            self.bring_on_or_note(erasure_id, Lane::Scheduled).await?;
        }
        self.overwrite_traces().await
    }

    /// Orders that a customer is forgotten and does it as far as that goes now.
    ///
    /// Shape: how far it is, once for each who has the id, usually one; none: no such customer is here, or ever was forgotten.
    /// After a crash: the order is in the store; [`Engine::erase_due`] goes on with it.
    pub async fn forget(&self, source_id: i64, id: String, leave_upstream: bool) -> Result<Vec<Erasure>, StoreError> {
        let now = self.clock.now();
        let ordered = self
            .store
            .write(move |txn| {
                let ordered = txn.order_erasure(source_id, &id, now)?;
                ordered.iter().try_for_each(|erasure_id| txn.hasten_erasure(*erasure_id, leave_upstream, now))?;
                Ok(ordered)
            })
            .await?;
        if !ordered.is_empty() {
            let _turn = self.erasing.lock().await;
            for erasure_id in &ordered {
                tracing::info!(erasure.id = erasure_id, "a customer is being forgotten");
                self.bring_on_or_note(*erasure_id, Lane::Person).await?;
            }
            self.overwrite_traces().await?;
        }
        self.store.read(move |txn| ordered.into_iter().map(|erasure_id| txn.erasure(erasure_id)).collect()).await
    }

    /// Does what can be done now of one erasure. What the store refuses of it alone is noted with it and tried again later, so that no
    /// other waits for it.
    ///
    /// Errors: those about the whole store.
    async fn bring_on_or_note(&self, erasure_id: i64, lane: Lane) -> Result<(), StoreError> {
        match self.bring_on(erasure_id, lane).await {
            Err(error) if error.trouble().is_none() => self.refused(erasure_id, &error).await,
            brought_on => brought_on,
        }
    }

    /// Notes that the store refused a part of an erasure, and when that is tried again: later each time.
    async fn refused(&self, erasure_id: i64, error: &StoreError) -> Result<(), StoreError> {
        let reason = reason_of(error);
        tracing::error!(erasure.id = erasure_id, error = %reason, "an erasure could not go on; it is tried again");
        // The rest of its row may be what cannot be read.
        let tries = self.store.read(move |txn| txn.erasure_tries(erasure_id)).await?;
        let next = after(self.clock.now(), self.retry_after(tries));
        self.store.write(move |txn| txn.erasure_held_up(erasure_id, &reason, true, next)).await
    }

    /// Does what can be done now of one erasure, but for the traces in the file.
    async fn bring_on(&self, erasure_id: i64, lane: Lane) -> Result<(), StoreError> {
        let erasure = self.store.read(move |txn| txn.erasure(erasure_id)).await?;
        if erasure.finished_at.is_some() {
            return Ok(());
        }
        let _alone = match erasure.user_id {
            Some(user_id) => Some(self.presences.alone_with(user_id).await),
            None => None,
        };
        if erasure.upstream_outcome.is_none()
            && let Err(error) = self.delete_upstream(&erasure, lane).await
        {
            if error.trouble().is_some() {
                return Err(error);
            }
            // The rows here do not wait for the aggregator.
            self.refused(erasure_id, &error).await?;
        }
        if let Some(user_id) = erasure.user_id {
            self.erase_events(&erasure, user_id).await?;
            self.erase_changes(erasure_id, user_id).await?;
            let now = self.clock.now();
            while self.store.write(move |txn| txn.erase_some(erasure_id, user_id, BATCH, now)).await? == Erased::Some {
                tokio::time::sleep(BREATH).await;
            }
            tracing::info!(source = %erasure.source, erasure.id = erasure_id, "every row of a customer is deleted here");
        }
        Ok(())
    }

    /// Has the aggregator delete the customer. What keeps it from that is noted, and tried again later.
    async fn delete_upstream(&self, erasure: &Erasure, lane: Lane) -> Result<(), StoreError> {
        let erasure_id = erasure.erasure_id;
        let Some(user) = self.store.read(move |txn| txn.upstream_id_to_delete(erasure_id)).await? else {
            return Ok(());
        };
        let Some(source) = self.source(erasure.source_id) else {
            let error = "its source is not configured any more, so the aggregator cannot be asked: configure it again, or delete \
                         the customer in the aggregator's own dashboard and forget them once more with --only-here";
            return self.held_up(erasure, error.to_owned(), false, after(self.clock.now(), RETIRED_REST)).await;
        };
        let context = CallContext::new(lane);
        let mut asked = source.aggregator.delete_user(&context, user.expose()).await;
        if matches!(asked, Err(CallError::OutcomeUnknown(_))) {
            // Deleting twice does no more than deleting once, and tells whether the first was heard.
            asked = source.aggregator.delete_user(&context, user.expose()).await;
        }
        let now = self.clock.now();
        let outcome = match asked {
            Ok(Deleted { links }) => {
                let put = move |txn: &crate::store::WriteTxn<'_>| {
                    links.iter().try_for_each(|link| txn.put_forgotten(erasure_id, IdKind::Link, link))?;
                    txn.erased_upstream(erasure_id, UpstreamOutcome::Deleted, now)
                };
                self.store.write(put).await?;
                UpstreamOutcome::Deleted
            }
            Err(CallError::Gone(_)) => {
                let outcome = UpstreamOutcome::UnknownThere;
                self.store.write(move |txn| txn.erased_upstream(erasure_id, outcome, now)).await?;
                outcome
            }
            Err(CallError::RateLimited { until, .. }) => {
                return self.held_up(erasure, "the aggregator's request limit".to_owned(), false, until).await;
            }
            Err(error) => {
                let next = after(now, self.retry_after(erasure.tries));
                let words = error.to_string().replace(user.expose(), "[the customer]");
                tracing::warn!(
                    source = %erasure.source, erasure.id = erasure_id, next = %next,
                    "the aggregator has not deleted a customer yet; it is asked again"
                );
                return self.held_up(erasure, words, true, next).await;
            }
        };
        tracing::info!(
            source = %erasure.source, erasure.id = erasure_id, outcome = outcome.as_str(), "a customer is deleted at the aggregator"
        );
        Ok(())
    }

    fn retry_after(&self, tries: u32) -> SignedDuration {
        SignedDuration::try_from(self.retry_delay(tries + 1)).unwrap_or(RETIRED_REST)
    }

    async fn held_up(
        &self,
        erasure: &Erasure,
        error: String,
        is_failure: bool,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        let erasure_id = erasure.erasure_id;
        self.store.write(move |txn| txn.erasure_held_up(erasure_id, &error, is_failure, next)).await
    }

    /// Deletes the events that announced the customer.
    async fn erase_events(&self, erasure: &Erasure, user_id: i64) -> Result<(), StoreError> {
        let (erasure_id, source_id) = (erasure.erasure_id, erasure.source_id);
        let ids = self.store.read(move |txn| txn.upstream_ids_of(user_id)).await?;
        let source = self.source(source_id);
        let mut after = 0;
        loop {
            let read =
                move |txn: &crate::store::ReadTxn<'_>| txn.past_events(source_id, user_id, after, EVENTS_AT_ONCE);
            let events = self.store.read(read).await?;
            let Some(last) = events.last() else { return Ok(()) };
            after = last.event_id;
            let theirs = events.iter().filter(|event| is_about(source.map(AsRef::as_ref), event, &ids));
            let theirs: Vec<i64> = theirs.map(|event| event.event_id).collect();
            if !theirs.is_empty() {
                self.store.write(move |txn| txn.erase_events(erasure_id, &theirs)).await?;
            }
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Deletes the history of the customer's transactions.
    async fn erase_changes(&self, erasure_id: i64, user_id: i64) -> Result<(), StoreError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
        let all = self.store.read(|txn| txn.change_ids()).await?;
        let mut from = all.start;
        while from < all.end {
            let to = from.saturating_add(CHANGES_AT_ONCE).min(all.end);
            let theirs = self.store.read(move |txn| txn.changes_of_user(user_id, from..to)).await?;
            for batch in theirs.chunks(BATCH) {
                let batch = batch.to_vec();
                self.store.write(move |txn| txn.erase_changes(erasure_id, &batch)).await?;
                tokio::time::sleep(BREATH).await;
            }
            from = to;
        }
        Ok(())
    }

    /// Has the file rewritten and its write-ahead log emptied if rows were deleted since, once for all erasures; ends those of which
    /// nothing is left to do.
    async fn overwrite_traces(&self) -> Result<(), StoreError> {
        #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
        let (in_file, in_log) = self.store.read(|txn| txn.traces_left()).await?;
        if in_log && let Err(error) = self.overwrite(in_file).await {
            tracing::warn!(%error, "the store could not be rewritten after an erasure; it is tried again");
            self.traces_held_up(&error.to_string(), true).await?;
        }
        let now = self.clock.now();
        let ended = self.store.write(move |txn| txn.finish_erasures(now)).await?;
        for erasure_id in ended {
            tracing::info!(erasure.id = erasure_id, "a customer is forgotten");
        }
        Ok(())
    }

    async fn overwrite(&self, in_file: bool) -> Result<(), StoreError> {
        if in_file {
            self.store.rewrite().await?;
            let now = self.clock.now();
            self.store.write(move |txn| txn.file_rewritten(now)).await?;
        }
        if !self.store.empty_log().await? {
            let held =
                "a reader holds the write-ahead log, which may still have old rows: end long queries on the store";
            return self.traces_held_up(held, false).await;
        }
        let now = self.clock.now();
        self.store.write(move |txn| txn.traces_overwritten(now)).await
    }

    /// Notes with every erasure that waits for it why the file still has traces.
    async fn traces_held_up(&self, error: &str, is_failure: bool) -> Result<(), StoreError> {
        let (error, now) = (error.to_owned(), self.clock.now());
        let rest = if is_failure { self.retry_after(1) } else { READER_REST };
        self.store
            .write(move |txn| {
                for erasure in txn.erasures(true)? {
                    if erasure.erased_at.is_some() && erasure.overwritten_at.is_none() {
                        txn.erasure_held_up(erasure.erasure_id, &error, is_failure, after(now, rest))?;
                    }
                }
                Ok(())
            })
            .await
    }
}

fn after(now: Timestamp, rest: SignedDuration) -> Timestamp {
    now.saturating_add(rest).unwrap_or(now)
}

/// Whether an event is about somebody with these ids. Nobody is left to read the events of a source that is not configured any more:
/// all of them count.
fn is_about(source: Option<&Source>, event: &PastEvent, ids: &UpstreamIds) -> bool {
    let Some(source) = source else { return true };
    if event.is_theirs {
        return true;
    }
    if let Some(announcement) = source.aggregator.webhooks().read(event.body.as_bytes()) {
        let is_of_link = announcement.link().is_some_and(|named| ids.links.iter().any(|link| link == named));
        let is_of_task = matches!(&announcement.news, News::RefreshStatus { task, .. } if ids.tasks.contains(task));
        if is_of_link || is_of_task || announcement.user.as_ref() == Some(&ids.user) {
            return true;
        }
    }
    let unique = std::iter::once(&ids.user).chain(&ids.links).chain(&ids.tasks);
    let unique: HashSet<&str> = unique.map(String::as_str).filter(|id| id.len() >= UNIQUE_ID_BYTES).collect();
    serde_json::from_str(&event.body).is_ok_and(|body| holds(&body, &unique))
}

/// Whether one of the texts stands anywhere in a JSON value.
fn holds(value: &Value, texts: &HashSet<&str>) -> bool {
    match value {
        Value::String(text) => texts.contains(text.as_str()),
        Value::Array(values) => values.iter().any(|value| holds(value, texts)),
        Value::Object(members) => members.values().any(|value| holds(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_wherever_it_stands_as_a_whole() {
        let body: Value = serde_json::from_str(r#"{"a": [{"b": "0123456789abcdef"}], "c": 7}"#).expect("JSON");
        assert!(holds(&body, &HashSet::from(["0123456789abcdef"])));
        assert!(!holds(&body, &HashSet::from(["0123456789abcde", "7", "c"])));
    }
}
