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

impl ReadTxn<'_> {
    /// Since when a reader has kept the write-ahead log from being cut; `None`: none does.
    pub fn wal_held_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT value FROM store_meta WHERE name = 'wal_held_at'")?;
        let at: Option<i64> = select.query_row([], |row| row.get("value")).optional()?;
        Ok(at.map(instant))
    }
}

impl WriteTxn<'_> {
    /// Notes since when a reader has held the log, or that none does any more.
    pub fn set_wal_held_at(&self, at: Option<Timestamp>) -> Result<(), StoreError> {
        match at {
            Some(at) => {
                let mut insert = self.txn.prepare_cached(
                    "INSERT INTO store_meta (name, value) VALUES ('wal_held_at', :at)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )?;
                insert.execute(named_params! { ":at": ms(at) })?;
            }
            None => {
                self.txn.prepare_cached("DELETE FROM store_meta WHERE name = 'wal_held_at'")?.execute([])?;
            }
        }
        Ok(())
    }
}
