//! A link as far as it can be told whatever is wrong with its row: for whoever ends a sync that its own row keeps from going on.
//!
//! What must stay true: nothing sealed is opened here, and no word has to be known.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::Phase;
use crate::model::Cause;
use crate::store::{EndedSync, Outcome, ReadTxn, StoreError, SyncEnd, WriteTxn};

/// How many failed looks at a refresh end the wait for it: a run that ends when nothing is left waits for refreshes.
const MOST_LOOKS: u32 = 6;

/// A link without what may not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkOutline {
    /// Our id.
    pub link_id: i64,
    /// Its source.
    pub source_id: i64,
    /// The customer.
    pub user_id: i64,
    /// The aggregator's id.
    pub upstream_id: String,
    /// The aggregator's id of the customer.
    pub upstream_user_id: String,
    /// What comes next; `idle` where that is not known.
    pub phase: Phase,
    /// Why it is due; the schedule where that is not known.
    pub due_cause: Cause,
    /// The open sync.
    pub sync_id: Option<i64>,
    /// Failed syncs since the last success.
    pub consecutive_failures: u32,
    /// It was taken out, here or at the aggregator.
    pub is_removed: bool,
}

impl ReadTxn<'_> {
    /// A link as far as it can be told; `None`: there is no such link.
    pub fn link_outline(&self, link_id: i64) -> Result<Option<LinkOutline>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.source_id, l.user_id, l.upstream_id, u.upstream_id AS upstream_user_id, l.phase, l.due_cause, l.sync_id,
                    l.consecutive_failures, l.removed_at IS NOT NULL AS is_removed
             FROM links l JOIN users u ON u.user_id = l.user_id WHERE l.link_id = :link_id",
        )?;
        let found = select.query_row(named_params! { ":link_id": link_id }, |row| {
            let (phase, due_cause): (String, String) = (row.get("phase")?, row.get("due_cause")?);
            Ok(LinkOutline {
                link_id,
                source_id: row.get("source_id")?,
                user_id: row.get("user_id")?,
                upstream_id: row.get("upstream_id")?,
                upstream_user_id: row.get("upstream_user_id")?,
                phase: Phase::from_word(&phase).unwrap_or(Phase::Idle),
                due_cause: Cause::from_word(&due_cause).unwrap_or(Cause::Schedule),
                sync_id: row.get("sync_id")?,
                consecutive_failures: row.get("consecutive_failures")?,
                is_removed: row.get("is_removed")?,
            })
        });
        Ok(found.optional()?)
    }
}

impl WriteTxn<'_> {
    /// Ends the sync of a link as failed, and opens one for that where none is: what kept it from ending by itself is said there.
    ///
    /// Shape: our id of the sync, and what it had done.
    pub fn give_up_sync(
        &self,
        link: &LinkOutline,
        error: &str,
        next_due_at: Timestamp,
        now: Timestamp,
    ) -> Result<(i64, EndedSync), StoreError> {
        let sync_id = match link.sync_id {
            Some(sync_id) => sync_id,
            None => self.begin_sync(link.link_id, (link.due_cause, link.due_cause), false, now)?,
        };
        let waits_on = link.phase != Phase::Refreshing || link.consecutive_failures < MOST_LOOKS;
        let end = SyncEnd {
            outcome: Outcome::Failed,
            is_fresh: false,
            error: Some(error.to_owned()),
            hold: None,
            next_due_at,
            next_cause: Cause::Retry,
            // A pull that failed goes on as a pull: its refresh is paid and done.
            next_phase: if waits_on { link.phase } else { Phase::Pulling },
            reconcile_due_at: None,
        };
        Ok((sync_id, self.end_sync(link.link_id, sync_id, &end, now)?))
    }
}
