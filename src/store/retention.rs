//! Dropping rows that are older than they are to be kept, a window of ids at a time.
//!
//! Looked for by a reader, so that nobody who writes waits for that; what is found is deleted in small commits. What must stay true:
//! nothing goes that a promise needs: no open sync, no refresh that counts against a limit, no latest balance, no cursor.

use jiff::Timestamp;
use rusqlite::{named_params, params};

use super::{ReadTxn, StoreError, WriteTxn, ms};

/// What can be dropped by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Syncs that are over.
    Syncs,
    /// Requests by minute.
    RequestUsage,
    /// Malformed rows that are resolved.
    RejectedRows,
    /// Invites that are over.
    Invites,
    /// Alerts that are over and told.
    Alerts,
    /// Refreshes that are over.
    Refreshes,
    /// Observations of balances.
    Balances,
    /// Upstream's JSON of transactions.
    Raw,
}

/// A window of a table: what in it is too old, and where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRows {
    /// Row ids.
    pub ids: Vec<i64>,
    /// The last row id looked at; `None`: the table ends here, or only younger rows follow.
    pub last: Option<i64>,
}

impl Kept {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Syncs,
        Self::RequestUsage,
        Self::RejectedRows,
        Self::Invites,
        Self::Alerts,
        Self::Refreshes,
        Self::Balances,
        Self::Raw,
    ];

    /// The word for logs, as in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Syncs => "syncs",
            Self::RequestUsage => "request_usage",
            Self::RejectedRows => "rejected_rows",
            Self::Invites => "invites",
            Self::Alerts => "alerts",
            Self::Refreshes => "refreshes",
            Self::Balances => "balances",
            Self::Raw => "raw",
        }
    }

    /// Rows of this kind are made in the order of their instants: where a window has no old one, none follows.
    fn is_in_order(self) -> bool {
        matches!(self, Self::Syncs | Self::RequestUsage | Self::Refreshes | Self::Balances)
    }

    /// Looks at `:window` rows after `:after`: their row id, whether they are before `:before`, whether they may go.
    fn look(self) -> &'static str {
        match self {
            Self::Syncs => {
                "SELECT sync_id AS id, started_at < :before AS is_old, finished_at IS NOT NULL
                     AND NOT EXISTS (SELECT 1 FROM links l WHERE l.sync_id = syncs.sync_id) AS may_go
                 FROM syncs WHERE sync_id > :after ORDER BY sync_id LIMIT :window"
            }
            Self::RequestUsage => {
                "SELECT rowid AS id, minute_at < :before AS is_old, 1 AS may_go
                 FROM request_usage WHERE rowid > :after ORDER BY rowid LIMIT :window"
            }
            Self::RejectedRows => {
                "SELECT rejected_row_id AS id, resolved_at < :before AS is_old, resolved_at IS NOT NULL AS may_go
                 FROM rejected_rows WHERE rejected_row_id > :after ORDER BY rejected_row_id LIMIT :window"
            }
            Self::Invites => {
                "SELECT invite_id AS id, max(expires_at, coalesce(used_at, 0), coalesce(revoked_at, 0)) < :before AS is_old, 1 AS may_go
                 FROM invites WHERE invite_id > :after ORDER BY invite_id LIMIT :window"
            }
            // The last one stays, so that its id, by which messages are known, is not given again.
            Self::Alerts => {
                "SELECT alert_id AS id, resolved_at < :before AS is_old, resolved_at IS NOT NULL AND next_try_at IS NULL
                        AND alert_id < (SELECT max(alert_id) FROM alerts) AS may_go
                 FROM alerts WHERE alert_id > :after ORDER BY alert_id LIMIT :window"
            }
            Self::Refreshes => {
                "SELECT r.refresh_id AS id, r.counts_from_at < :before AS is_old,
                        r.finished_at IS NOT NULL AS may_go, r.source_id
                 FROM refreshes r WHERE r.refresh_id > :after ORDER BY r.refresh_id LIMIT :window"
            }
            Self::Balances => {
                "SELECT b.balance_id AS id, b.observed_at < :before AS is_old, EXISTS (
                     SELECT 1 FROM balances n WHERE n.account_id = b.account_id AND n.observed_at > b.observed_at) AS may_go
                 FROM balances b WHERE b.balance_id > :after ORDER BY b.balance_id LIMIT :window"
            }
            Self::Raw => {
                "SELECT transaction_id AS id, changed_at < :before AS is_old, raw IS NOT NULL AS may_go
                 FROM transactions WHERE transaction_id > :after ORDER BY transaction_id LIMIT :window"
            }
        }
    }

    fn drop_one(self) -> &'static str {
        match self {
            Self::Syncs => "DELETE FROM syncs WHERE sync_id = ?1",
            Self::RequestUsage => "DELETE FROM request_usage WHERE rowid = ?1",
            Self::RejectedRows => "DELETE FROM rejected_rows WHERE rejected_row_id = ?1 AND resolved_at IS NOT NULL",
            Self::Invites => "DELETE FROM invites WHERE invite_id = ?1",
            Self::Alerts => "DELETE FROM alerts WHERE alert_id = ?1",
            Self::Refreshes => "DELETE FROM refreshes WHERE refresh_id = ?1 AND finished_at IS NOT NULL",
            Self::Balances => "DELETE FROM balances WHERE balance_id = ?1",
            Self::Raw => "UPDATE transactions SET raw = NULL WHERE transaction_id = ?1",
        }
    }
}

impl ReadTxn<'_> {
    /// Looks at the next `window` rows after `after`: which of them are older than `before` and may go.
    ///
    /// Shape: refreshes of the sources in `spared` count against a limit for ever, so they stay.
    pub fn old_rows(
        &self,
        kept: Kept,
        after: i64,
        before: Timestamp,
        window: u32,
        spared: &[i64],
    ) -> Result<OldRows, StoreError> {
        let mut select = self.txn.prepare_cached(kept.look())?;
        let mut rows = select.query(named_params! { ":after": after, ":before": ms(before), ":window": window })?;
        let (mut ids, mut last, mut seen, mut has_old) = (Vec::new(), None, 0, false);
        while let Some(row) = rows.next()? {
            let id = row.get("id")?;
            let is_old = row.get::<_, Option<bool>>("is_old")?.unwrap_or(false);
            let is_spared = kept == Kept::Refreshes && spared.contains(&row.get("source_id")?);
            if is_old && row.get("may_go")? && !is_spared {
                ids.push(id);
            }
            has_old |= is_old;
            last = Some(id);
            seen += 1;
        }
        let ends = seen < window || (kept.is_in_order() && !has_old);
        Ok(OldRows { ids, last: last.filter(|_| !ends) })
    }
}

impl WriteTxn<'_> {
    /// Drops rows that [`ReadTxn::old_rows`] found.
    ///
    /// Shape: how many went.
    pub fn drop_old_rows(&self, kept: Kept, ids: &[i64]) -> Result<usize, StoreError> {
        let mut statement = self.txn.prepare_cached(kept.drop_one())?;
        let mut count = 0;
        for id in ids {
            count += statement.execute(params![id])?;
        }
        Ok(count)
    }
}
