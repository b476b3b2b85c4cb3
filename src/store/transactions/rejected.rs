//! Malformed rows: set aside as they came, until a walk shows them well-formed or not at all.

use jiff::Timestamp;
use rusqlite::named_params;

use crate::model::RejectedRow;
use crate::store::{StoreError, WriteTxn, ms};

impl WriteTxn<'_> {
    /// Sets a malformed row aside; the same row again is only counted.
    pub fn put_rejected(&self, link_id: i64, row: &RejectedRow, now: Timestamp) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO rejected_rows (link_id, fingerprint, upstream_id, transacted_at, reason, raw, first_seen_at, last_seen_at)
             VALUES (:link_id, :fingerprint, :upstream_id, :transacted_at, :reason, :raw, :now, :now)
             ON CONFLICT (link_id, fingerprint) DO UPDATE SET last_seen_at = excluded.last_seen_at, resolved_at = NULL",
        )?;
        let fingerprint = xxhash_rust::xxh3::xxh3_64(row.raw.as_bytes()).cast_signed();
        upsert.execute(named_params! {
            ":link_id": link_id, ":fingerprint": fingerprint, ":upstream_id": row.upstream_id,
            ":transacted_at": row.transacted_at.map(ms), ":reason": row.reason, ":raw": row.raw, ":now": ms(now),
        })?;
        Ok(())
    }

    /// Resolves the rows set aside before `walked_at` that a complete walk from `from` did not show malformed again.
    pub fn resolve_rejected(
        &self,
        link_id: i64,
        from: Option<Timestamp>,
        walked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE rejected_rows SET resolved_at = :walked_at
             WHERE link_id = :link_id AND resolved_at IS NULL AND last_seen_at < :walked_at
               AND (:from IS NULL OR transacted_at >= :from)",
        )?;
        update.execute(named_params! { ":walked_at": ms(walked_at), ":link_id": link_id, ":from": from.map(ms) })?;
        Ok(())
    }

    /// Resolves the rows set aside before `walked_at` whose ids a walk showed well-formed, or gone.
    pub fn resolve_rejected_ids<'i>(
        &self,
        link_id: i64,
        upstream_ids: impl Iterator<Item = &'i String>,
        walked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut open = self.txn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM rejected_rows WHERE link_id = :link_id AND resolved_at IS NULL
                            AND last_seen_at < :walked_at)",
        )?;
        let parameters = named_params! { ":link_id": link_id, ":walked_at": ms(walked_at) };
        if !open.query_row(parameters, |row| row.get::<_, bool>(0))? {
            return Ok(());
        }
        let mut update = self.txn.prepare_cached(
            "UPDATE rejected_rows SET resolved_at = :walked_at
             WHERE link_id = :link_id AND upstream_id = :upstream_id AND resolved_at IS NULL AND last_seen_at < :walked_at",
        )?;
        for upstream_id in upstream_ids {
            update.execute(named_params! {
                ":walked_at": ms(walked_at), ":link_id": link_id, ":upstream_id": upstream_id,
            })?;
        }
        Ok(())
    }
}
