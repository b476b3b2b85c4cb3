//! What the syncs of a source have cost so far, to tell what a changed schedule would cost.

use rusqlite::named_params;

use crate::store::{ReadTxn, StoreError};

/// Syncs that a mean is taken over.
const SAMPLE: u32 = 500;

/// What the syncs of a source cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceLoad {
    /// Links that are synced on schedule.
    pub links: u64,
    /// Requests of the latest syncs, and how many of those there were; 0 of 0 before the first.
    pub requests: u64,
    /// See `requests`.
    pub syncs: u64,
}

impl ReadTxn<'_> {
    /// What the latest syncs of a source cost. A source that is not known has no links.
    pub fn source_load(&self, name: &str) -> Result<SourceLoad, StoreError> {
        let mut links = self.txn.prepare_cached(
            "SELECT count(*) AS links FROM links JOIN sources USING (source_id)
             WHERE sources.name = :name AND links.removed_at IS NULL AND links.paused_at IS NULL",
        )?;
        let mut sample = self.txn.prepare_cached(
            "SELECT coalesce(sum(requests), 0) AS requests, count(*) AS syncs
             FROM (SELECT syncs.requests
                   FROM syncs JOIN links USING (link_id) JOIN sources USING (source_id)
                   WHERE sources.name = :name AND syncs.finished_at IS NOT NULL AND syncs.is_full = 0
                   ORDER BY syncs.sync_id DESC LIMIT :sample)",
        )?;
        let links = links.query_row(named_params! { ":name": name }, |row| row.get("links"))?;
        let sampled = named_params! { ":name": name, ":sample": SAMPLE };
        Ok(sample.query_row(sampled, |row| {
            Ok(SourceLoad { links, requests: row.get("requests")?, syncs: row.get("syncs")? })
        })?)
    }
}
