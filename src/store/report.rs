//! What the commands show: sources at a glance, links and their health, accounts, the latest syncs of a link.

mod accounts;
mod glance;
mod health;
mod history;
mod listing;
mod load;
mod people;
mod sources;
mod states;

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::named_params;

use super::{ReadTxn, StoreError, instant};

pub use accounts::{AccountSummary, ContinuedAccount, LoanSummary};
pub use glance::{LinkTotals, MAX_WAITING_COUNTED, SourceGlance, StalestLink, WebhookGlance};
pub use health::{HealthRow, Surroundings};
pub use history::{BalancePoint, EventRow, ReconciledPair, RefreshRow};
pub use listing::{LinkFilter, LinkOrder, LinkPage};
pub use load::SourceLoad;
pub use people::UserRow;
pub use sources::{CONSENT_NEAR, SourceReport};
pub(super) use states::STATE;

/// One past or open sync.
#[derive(Debug, Clone)]
pub struct SyncRow {
    /// Our id.
    pub sync_id: i64,
    /// Why it ran.
    pub cause: String,
    /// Its start.
    pub started_at: Timestamp,
    /// Its end; `None`: open.
    pub finished_at: Option<Timestamp>,
    /// How it ended; `None`: open.
    pub outcome: Option<String>,
    /// What became of its refresh.
    pub refreshed: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Requests sent.
    pub requests: u32,
    /// Rows read.
    pub rows_seen: u32,
    /// New rows.
    pub rows_added: u32,
    /// Other rows written: updated, posted, removed, restored.
    pub rows_changed: u32,
    /// Rows set aside.
    pub rows_rejected: u32,
}

impl ReadTxn<'_> {
    /// How many live transactions there are; reads an index from end to end.
    pub fn transaction_count(&self) -> Result<u64, StoreError> {
        Ok(self.txn.query_row("SELECT count(*) FROM transactions WHERE removed_at IS NULL", [], |row| row.get(0))?)
    }

    /// A link's latest syncs, the latest first.
    pub fn latest_syncs(&self, link_id: i64, limit: usize) -> Result<Vec<SyncRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT sync_id, cause, started_at, finished_at, outcome, refreshed, error, requests, rows_seen, rows_added,
                    rows_updated + rows_posted + rows_removed + rows_restored AS rows_changed, rows_rejected
             FROM syncs WHERE link_id = :link_id ORDER BY sync_id DESC LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":link_id": link_id, ":limit": limit }, |row| {
            Ok(SyncRow {
                sync_id: row.get("sync_id")?,
                cause: row.get("cause")?,
                started_at: instant(row.get("started_at")?),
                finished_at: row.get::<_, Option<i64>>("finished_at")?.map(instant),
                outcome: row.get("outcome")?,
                refreshed: row.get("refreshed")?,
                error: row.get("error")?,
                requests: row.get("requests")?,
                rows_seen: row.get("rows_seen")?,
                rows_added: row.get("rows_added")?,
                rows_changed: row.get("rows_changed")?,
                rows_rejected: row.get("rows_rejected")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The id of each link's latest sync; links without one are left out.
    pub fn latest_sync_ids(&self) -> Result<HashMap<i64, i64>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT link_id, max(sync_id) FROM syncs GROUP BY link_id")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
