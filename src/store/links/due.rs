//! Which links are due, in which order, and when the next one is.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use crate::store::{ReadTxn, StoreError, instant, ms};

/// Up to when links count as due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Now.
    pub now: Timestamp,
    /// New syncs start only for links that were due by then; begun ones go on in any case.
    pub starts_until: Timestamp,
}

/// A link whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueLink {
    /// The link.
    pub link_id: i64,
    /// Its customer.
    pub user_id: i64,
}

impl Due {
    /// Everything that is due now.
    pub fn now(now: Timestamp) -> Self {
        Self { now, starts_until: now }
    }
}

impl ReadTxn<'_> {
    /// A source's links whose time has come, the most urgent first: asked for by a person or a webhook, then work already
    /// begun, then the stalest.
    ///
    /// Shape: at most `limit`, either those never pulled completely (`backfills`) or the others; paused and removed ones are
    /// left out; none at all while the aggregator holds the source.
    pub fn due_links(
        &self,
        source_id: i64,
        backfills: bool,
        due: Due,
        limit: usize,
    ) -> Result<Vec<DueLink>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.link_id, l.user_id
             FROM links l
             JOIN sources s ON s.source_id = l.source_id
             WHERE l.source_id = :source_id AND l.due_at <= :now AND (l.phase <> 'idle' OR l.due_at <= :starts)
               AND l.removed_at IS NULL AND l.paused_at IS NULL
               AND (l.link_id NOT IN (SELECT link_id FROM cursors)) = :backfills
               AND s.retired_at IS NULL AND coalesce(s.hold_until, 0) <= :now
             ORDER BY l.due_cause NOT IN ('person', 'webhook'), l.phase = 'idle', coalesce(l.last_success_at, 0), l.due_at
             LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(
            named_params! { ":source_id": source_id, ":backfills": backfills, ":now": ms(due.now), ":starts": ms(due.starts_until), ":limit": limit },
            |row| Ok(DueLink { link_id: row.get("link_id")?, user_id: row.get("user_id")? }),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When a source's next link becomes due, not before the aggregator's hold on the source ends; `None`: no link waits.
    pub fn next_due_at(&self, source_id: i64) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT max(l.due_at, coalesce(s.hold_until, 0))
             FROM links l JOIN sources s ON s.source_id = l.source_id AND s.retired_at IS NULL
             WHERE l.source_id = :source_id AND l.removed_at IS NULL AND l.paused_at IS NULL ORDER BY l.due_at LIMIT 1",
        )?;
        let next = select.query_row(named_params! { ":source_id": source_id }, |row| row.get::<_, i64>(0));
        Ok(next.optional()?.map(instant))
    }

    /// How many of a source's links are due or in the middle of a sync: what `run --once` still has to do.
    pub fn unfinished_links(&self, source_id: i64, due: Due) -> Result<u64, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT count(*) FROM links l JOIN sources s ON s.source_id = l.source_id
             WHERE l.source_id = :source_id AND l.removed_at IS NULL AND l.paused_at IS NULL AND s.retired_at IS NULL
               AND coalesce(s.hold_until, 0) <= :now AND (l.due_at <= iif(l.phase = 'idle', :starts, :now) OR l.phase = 'refreshing')",
        )?;
        Ok(select.query_row(
            named_params! { ":source_id": source_id, ":now": ms(due.now), ":starts": ms(due.starts_until) },
            |row| row.get(0),
        )?)
    }
}
