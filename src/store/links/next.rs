//! When a link is worked on next, and what for.

use jiff::Timestamp;
use rusqlite::named_params;

use super::Phase;
use crate::model::Cause;
use crate::store::{StoreError, WriteTxn, ms};

impl WriteTxn<'_> {
    /// Pauses a link, or lets it go on at once.
    ///
    /// Shape: whether that changed anything.
    pub fn set_paused(&self, link_id: i64, paused: bool, now: Timestamp) -> Result<bool, StoreError> {
        let sql = if paused {
            "UPDATE links SET paused_at = :now WHERE link_id = :link_id AND paused_at IS NULL AND removed_at IS NULL"
        } else {
            "UPDATE links SET paused_at = NULL, due_at = min(due_at, :now) WHERE link_id = :link_id AND paused_at IS NOT NULL"
        };
        Ok(self.execute(sql, named_params! { ":now": ms(now), ":link_id": link_id })? == 1)
    }

    /// Makes a link due now for `cause`: `person` or `webhook`.
    ///
    /// Shape: a running refresh is looked at at once; while a sync is open, another starts when it ends, so that nothing that
    /// was asked for is taken as answered by what began before. A paused link stays paused.
    pub fn ask_for_sync(&self, link_id: i64, cause: Cause, full: bool, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE links SET due_at = min(due_at, :now), wants_full = max(wants_full, :full),
                    due_cause = iif(sync_id IS NULL AND due_cause <> 'person', :cause, due_cause),
                    asked_cause = CASE WHEN sync_id IS NULL THEN NULL WHEN asked_cause = 'person' THEN 'person' ELSE :cause END,
                    hold_until = NULL, hold_reason = NULL
             WHERE link_id = :link_id",
            named_params! { ":now": ms(now), ":cause": cause.as_str(), ":full": full, ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Sets what comes next for a link.
    pub fn set_next(&self, link_id: i64, phase: Phase, due_at: Timestamp) -> Result<(), StoreError> {
        let mut update =
            self.txn.prepare_cached("UPDATE links SET phase = :phase, due_at = :due_at WHERE link_id = :link_id")?;
        update.execute(named_params! { ":phase": phase.as_str(), ":due_at": ms(due_at), ":link_id": link_id })?;
        Ok(())
    }

    /// Lets a link be worked on at `due_at` if it would be later.
    pub fn bring_due_forward(&self, link_id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET due_at = :due_at WHERE link_id = :link_id AND due_at > :due_at AND removed_at IS NULL",
        )?;
        update.execute(named_params! { ":due_at": ms(due_at), ":link_id": link_id })?;
        Ok(())
    }

    /// Moves when a link is next worked on, in whatever phase it is.
    pub fn set_due_at(&self, link_id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE links SET due_at = :due_at WHERE link_id = :link_id",
            named_params! { ":due_at": ms(due_at), ":link_id": link_id },
        )?;
        Ok(())
    }

    /// Brings walks of whole histories forward that no schedule could have put off beyond `latest`.
    pub fn bring_reconciliation_forward(&self, source_id: i64, latest: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE links SET reconcile_due_at = :latest WHERE source_id = :source_id AND reconcile_due_at > :latest",
            named_params! { ":latest": ms(latest), ":source_id": source_id },
        )?;
        Ok(())
    }

    /// Links that are due later than they can be: on schedule after `last_slot`, for a retry after `latest_retry`. The schedule
    /// became denser, or the clock was set back and their instants lie in a future that never was.
    pub fn links_due_after(
        &self,
        source_id: i64,
        last_slot: Timestamp,
        latest_retry: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id FROM links
             WHERE source_id = :source_id AND removed_at IS NULL AND due_at > :last_slot
               AND (due_at > :latest_retry OR (due_cause = 'schedule' AND consecutive_failures = 0))",
        )?;
        let rows = select.query_map(
            named_params! { ":source_id": source_id, ":last_slot": ms(last_slot), ":latest_retry": ms(latest_retry) },
            |row| row.get("link_id"),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
