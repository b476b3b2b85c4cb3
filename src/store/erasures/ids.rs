//! Our ids of the forgotten name nobody else: SQLite gives the last one again when its row is gone.
//!
//! So what `store_meta` says is the last is noted before rows go, and whoever inserts a row of these tables begins after it. Where
//! nobody was ever forgotten nothing is noted, and SQLite's own choice is right.

use rusqlite::named_params;

use crate::store::{StoreError, WriteTxn};

/// What `store_meta` calls the last id of a table, and where it is found.
const LAST_IDS: &[(&str, &str)] = &[
    ("last_transaction_id", "SELECT max(transaction_id) FROM transactions"),
    ("last_account_id", "SELECT max(account_id) FROM accounts"),
    ("last_link_id", "SELECT max(link_id) FROM links"),
    ("last_user_id", "SELECT max(user_id) FROM users"),
    ("last_alert_id", "SELECT max(alert_id) FROM alerts"),
];

impl WriteTxn<'_> {
    /// Notes the ids that were given until now.
    pub(super) fn keep_last_ids(&self) -> Result<(), StoreError> {
        let mut keep = self.txn.prepare_cached(
            "INSERT INTO store_meta (name, value) VALUES (:name, :id)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > value",
        )?;
        for (name, last) in LAST_IDS {
            let last: Option<i64> = self.txn.prepare_cached(last)?.query_row([], |row| row.get(0))?;
            if let Some(id) = last {
                keep.execute(named_params! { ":name": name, ":id": id })?;
            }
        }
        Ok(())
    }
}
