//! Webhook events: stored before they are acknowledged, handled in the order in which they came, forgotten after a while. Those
//! about customers who were forgotten are acknowledged and not stored.

use jiff::Timestamp;
use rusqlite::{Row, named_params};

use super::{IdKind, ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::model::{EndpointState, EventOutcome};

/// An event that came.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// The source it is addressed to.
    pub source_id: i64,
    /// What the same event has in common however often it is sent.
    pub digest: [u8; 32],
    /// The upstream id of the customer it is about, where it says.
    pub user: Option<String>,
    /// The upstream id of the link it is about, where it says.
    pub link: Option<String>,
    /// Upstream's word.
    pub event_type: String,
    /// When it happened, as upstream says.
    pub announced_at: Option<Timestamp>,
    /// Now.
    pub received_at: Timestamp,
    /// The JSON as it came.
    pub body: String,
}

/// An event that nobody has handled yet.
#[derive(Debug, Clone)]
pub struct WaitingEvent {
    /// Our id.
    pub event_id: i64,
    /// The source it is addressed to.
    pub source_id: i64,
    /// When it came.
    pub received_at: Timestamp,
    /// Its JSON.
    pub body: String,
}

/// A source's events at a glance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventSummary {
    /// When the last new one came; `None`: none that is still kept.
    pub last_received_at: Option<Timestamp>,
    /// How many wait to be handled.
    pub waiting: u64,
    /// When the one came that has waited longest; `None`: none waits.
    pub waiting_since: Option<Timestamp>,
}

/// What came in one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHour {
    /// Its start.
    pub hour_at: Timestamp,
    /// Different events.
    pub events: u64,
    /// How often these were delivered, then or later.
    pub deliveries: u64,
}

fn optional_instant(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(instant))
}

impl ReadTxn<'_> {
    /// The events that wait to be handled, in the order in which they came; at most `limit`.
    pub fn waiting_events(&self, limit: u32) -> Result<Vec<WaitingEvent>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT webhook_event_id, source_id, received_at, json(body) AS body FROM webhook_events
             WHERE handled_at IS NULL ORDER BY webhook_event_id LIMIT :limit",
        )?;
        let rows = select.query_map(named_params! { ":limit": limit }, |row| {
            Ok(WaitingEvent {
                event_id: row.get("webhook_event_id")?,
                source_id: row.get("source_id")?,
                received_at: instant(row.get("received_at")?),
                body: row.get("body")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether any event waits to be handled.
    pub fn has_waiting_events(&self) -> Result<bool, StoreError> {
        Ok(self.txn.prepare_cached("SELECT 1 FROM webhook_events WHERE handled_at IS NULL LIMIT 1")?.exists([])?)
    }

    /// A source's events at a glance. Those that wait are few and have an index; by the source's, all that are kept would be read.
    pub fn event_summary(&self, source_id: i64) -> Result<EventSummary, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT (SELECT max(received_at) FROM webhook_events WHERE source_id = :source_id) AS last_received_at,
                    count(*) AS waiting, min(received_at) AS waiting_since
             FROM webhook_events WHERE handled_at IS NULL AND +source_id = :source_id",
        )?;
        Ok(select.query_row(named_params! { ":source_id": source_id }, |row| {
            Ok(EventSummary {
                last_received_at: optional_instant(row, "last_received_at")?,
                waiting: row.get("waiting")?,
                waiting_since: optional_instant(row, "waiting_since")?,
            })
        })?)
    }

    /// What came from a source since `from`, hour by hour; hours without any are left out.
    pub fn events_by_hour(&self, source_id: i64, from: Timestamp) -> Result<Vec<EventHour>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT received_at / 3600000 * 3600000 AS hour_at, count(*) AS events, sum(deliveries) AS deliveries
             FROM webhook_events WHERE source_id = :source_id AND received_at >= :from
             GROUP BY received_at / 3600000 ORDER BY hour_at",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id, ":from": ms(from) }, |row| {
            Ok(EventHour {
                hour_at: instant(row.get("hour_at")?),
                events: row.get("events")?,
                deliveries: row.get("deliveries")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a source has handled events that came before `before`.
    pub fn has_events_before(&self, source_id: i64, before: Timestamp) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT 1 FROM webhook_events
             WHERE source_id = :source_id AND received_at < :before AND handled_at IS NOT NULL LIMIT 1",
        )?;
        Ok(select.exists(named_params! { ":source_id": source_id, ":before": ms(before) })?)
    }

    /// How the aggregator last listed our address for webhooks, and when it was asked; `None`: never asked.
    pub fn webhook_endpoint(&self, source_id: i64) -> Result<Option<(EndpointState, Timestamp)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT webhook_endpoint, webhook_checked_at FROM sources
             WHERE source_id = :source_id AND webhook_endpoint IS NOT NULL AND webhook_checked_at IS NOT NULL",
        )?;
        let mut rows = select.query(named_params! { ":source_id": source_id })?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let word: String = row.get("webhook_endpoint")?;
        let state = EndpointState::from_word(&word)
            .ok_or(StoreError::UnknownWord { column: "sources.webhook_endpoint", value: word })?;
        Ok(Some((state, instant(row.get("webhook_checked_at")?))))
    }
}

impl WriteTxn<'_> {
    /// Stores an event, or counts it if it came before. One about somebody who was forgotten, or a link of theirs, is not stored:
    /// what is deleted again stays in the write-ahead log for a while.
    ///
    /// Shape: whether it is new, and stored.
    pub fn put_event(&self, event: &NewEvent) -> Result<bool, StoreError> {
        for (kind, id) in [(IdKind::User, &event.user), (IdKind::Link, &event.link)] {
            if let Some(id) = id
                && self.is_forgotten(event.source_id, kind, id)?
            {
                return Ok(false);
            }
        }
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO webhook_events (source_id, digest, event_type, announced_at, received_at, body)
             VALUES (:source_id, :digest, :event_type, :announced_at, :received_at, jsonb(:body))
             ON CONFLICT (source_id, digest) DO UPDATE SET deliveries = deliveries + 1
             RETURNING deliveries",
        )?;
        let deliveries: i64 = insert.query_row(
            named_params! {
                ":source_id": event.source_id, ":digest": event.digest, ":event_type": event.event_type,
                ":announced_at": event.announced_at.map(ms), ":received_at": ms(event.received_at), ":body": event.body,
            },
            |row| row.get("deliveries"),
        )?;
        Ok(deliveries == 1)
    }

    /// Notes what became of an event.
    pub fn event_handled(
        &self,
        event_id: i64,
        outcome: EventOutcome,
        link_id: Option<i64>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE webhook_events SET handled_at = :now, outcome = :outcome, link_id = :link_id
             WHERE webhook_event_id = :event_id",
        )?;
        update.execute(named_params! {
            ":now": ms(now), ":outcome": outcome.as_str(), ":link_id": link_id, ":event_id": event_id,
        })?;
        Ok(())
    }

    /// Deletes a source's handled events that came before `before`.
    ///
    /// Shape: at most `limit`; how many.
    pub fn forget_events(&self, source_id: i64, before: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let mut delete = self.txn.prepare_cached(
            "DELETE FROM webhook_events WHERE webhook_event_id IN (
                 SELECT webhook_event_id FROM webhook_events
                 WHERE source_id = :source_id AND received_at < :before AND handled_at IS NOT NULL
                 ORDER BY received_at LIMIT :limit)",
        )?;
        Ok(delete.execute(named_params! { ":source_id": source_id, ":before": ms(before), ":limit": limit })?)
    }

    /// Notes how the aggregator lists our address for webhooks.
    pub fn webhook_endpoint_checked(
        &self,
        source_id: i64,
        state: EndpointState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sources SET webhook_endpoint = :state, webhook_checked_at = :now WHERE source_id = :source_id",
            named_params! { ":state": state.as_str(), ":now": ms(now), ":source_id": source_id },
        )?;
        Ok(())
    }
}
