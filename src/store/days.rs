//! What was written per source and day: sums that the pages show, kept in the transactions that write what they count.

use jiff::Timestamp;
use rusqlite::named_params;

use super::syncs::SyncCounts;
use super::{ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::clock::DAY_MS;

/// What was written of one source on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceDay {
    /// The start of the day, UTC.
    pub day_at: Timestamp,
    /// New rows.
    pub rows_added: u64,
    /// Rows updated, posted or restored.
    pub rows_changed: u64,
    /// Rows that are gone upstream.
    pub rows_removed: u64,
    /// Refreshes counted against the limits.
    pub refreshes: u64,
    /// Those that are billed.
    pub refreshes_billed: u64,
}

/// How a refresh counts on its day: 0 or 1 each.
pub(super) struct RefreshWeight {
    pub(super) counted: i64,
    pub(super) billed: i64,
}

impl ReadTxn<'_> {
    /// A source's days since the one that begins at `since`, the earliest first.
    ///
    /// Shape: days on which nothing was written are left out.
    pub fn source_days(&self, source_id: i64, since: Timestamp) -> Result<Vec<SourceDay>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT day_at, rows_added, rows_changed, rows_removed, refreshes, refreshes_billed FROM source_days
             WHERE source_id = :source_id AND day_at >= :since ORDER BY day_at",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id, ":since": ms(since) }, |row| {
            Ok(SourceDay {
                day_at: instant(row.get("day_at")?),
                rows_added: row.get("rows_added")?,
                rows_changed: row.get("rows_changed")?,
                rows_removed: row.get("rows_removed")?,
                refreshes: row.get("refreshes")?,
                refreshes_billed: row.get("refreshes_billed")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How a refresh counts as it is now.
    pub(super) fn refresh_weight(&self, refresh_id: i64) -> Result<RefreshWeight, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT outcome NOT IN ('refused', 'throttled', 'not_sent') AS counted, price_unit IS NOT NULL AS billed
             FROM refreshes WHERE refresh_id = :refresh_id",
        )?;
        let weight = select.query_row(named_params! { ":refresh_id": refresh_id }, |row| {
            Ok(RefreshWeight { counted: row.get("counted")?, billed: row.get("billed")? })
        });
        Ok(weight?)
    }
}

impl WriteTxn<'_> {
    /// Adds what a part of a sync wrote to the day on which the sync began.
    pub(super) fn count_rows_of_day(&self, sync_id: i64, part: &SyncCounts) -> Result<(), StoreError> {
        let changed = part.rows_updated + part.rows_posted + part.rows_restored;
        if part.rows_added + changed + part.rows_removed == 0 {
            return Ok(());
        }
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO source_days (source_id, day_at, rows_added, rows_changed, rows_removed)
             SELECT l.source_id, s.started_at - s.started_at % :day, :added, :changed, :removed
             FROM syncs s JOIN links l ON l.link_id = s.link_id WHERE s.sync_id = :sync_id
             ON CONFLICT (source_id, day_at) DO UPDATE SET rows_added = rows_added + excluded.rows_added,
                 rows_changed = rows_changed + excluded.rows_changed, rows_removed = rows_removed + excluded.rows_removed",
        )?;
        upsert.execute(named_params! {
            ":day": DAY_MS, ":added": part.rows_added, ":changed": changed, ":removed": part.rows_removed,
            ":sync_id": sync_id,
        })?;
        Ok(())
    }

    /// Changes what a refresh adds to the day on which it was asked for.
    pub(super) fn count_refresh_of_day(&self, refresh_id: i64, counted: i64, billed: i64) -> Result<(), StoreError> {
        if counted == 0 && billed == 0 {
            return Ok(());
        }
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO source_days (source_id, day_at, refreshes, refreshes_billed)
             SELECT source_id, requested_at - requested_at % :day, :counted, :billed
             FROM refreshes WHERE refresh_id = :refresh_id
             ON CONFLICT (source_id, day_at) DO UPDATE SET refreshes = refreshes + excluded.refreshes,
                 refreshes_billed = refreshes_billed + excluded.refreshes_billed",
        )?;
        upsert.execute(named_params! {
            ":day": DAY_MS, ":counted": counted, ":billed": billed, ":refresh_id": refresh_id,
        })?;
        Ok(())
    }
}
