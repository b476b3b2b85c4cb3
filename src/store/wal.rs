//! The write-ahead log as readers see to it: since when one holds it, and whether it is larger than allowed.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::{ReadTxn, Store, StoreError, WriteTxn, instant, ms};

impl Store {
    /// Says whether readers hold more of the write-ahead log than the operator allows.
    pub fn set_wal_over_limit(&self, is_over: bool) {
        self.0.is_wal_over_limit.store(is_over, Ordering::Relaxed);
    }

    /// Whether they do, so that work that can wait has to.
    pub fn is_wal_over_limit(&self) -> bool {
        self.0.is_wal_over_limit.load(Ordering::Relaxed)
    }
}

/// A write-ahead log that a reader has kept from being cut until it was large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeld {
    /// Since when.
    pub since: Timestamp,
    /// Whether it is larger than allowed, so that nothing is synced.
    pub is_over_limit: bool,
}

impl ReadTxn<'_> {
    /// Whether a reader holds the write-ahead log, as the daemon last saw it; `None`: none does.
    pub fn wal_held(&self) -> Result<Option<WalHeld>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT value AS since, EXISTS (SELECT 1 FROM store_meta WHERE name = 'wal_over_limit') AS is_over
             FROM store_meta WHERE name = 'wal_held_at'",
        )?;
        let held = select
            .query_row([], |row| Ok(WalHeld { since: instant(row.get("since")?), is_over_limit: row.get("is_over")? }));
        Ok(held.optional()?)
    }
}

impl WriteTxn<'_> {
    /// Notes who holds the log, or that nobody does any more.
    pub fn set_wal_held(&self, held: Option<WalHeld>) -> Result<(), StoreError> {
        self.txn
            .prepare_cached("DELETE FROM store_meta WHERE name IN ('wal_held_at', 'wal_over_limit')")?
            .execute([])?;
        let mut insert = self.txn.prepare_cached("INSERT INTO store_meta (name, value) VALUES (:name, :value)")?;
        if let Some(held) = held {
            insert.execute(named_params! { ":name": "wal_held_at", ":value": ms(held.since) })?;
            if held.is_over_limit {
                insert.execute(named_params! { ":name": "wal_over_limit", ":value": 1 })?;
            }
        }
        Ok(())
    }
}
