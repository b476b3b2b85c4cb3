//! Two accounts that were taken for one are two again: a person says so.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use crate::store::{StoreError, WriteTxn, ms};

/// A join of two accounts, which a person may undo.
struct Joint {
    alias_id: i64,
    /// Ours, of the two as one.
    account_id: i64,
    /// Where the account was before.
    former_link_id: i64,
    /// Its id there.
    former_upstream_id: String,
    /// Where it is now.
    link_id: i64,
    /// Its id here.
    upstream_id: String,
    /// Start of the sync that joined them, so also `first_seen_at` of the first rows that came under the new id.
    matched_at: i64,
    /// That sync. What a person undoes is noted with it, because no sync of its own does that.
    sync_id: i64,
}

impl WriteTxn<'_> {
    /// Undoes that an account goes on under another id: the former one gets its link and its rows back, the new one becomes an
    /// account of its own, whose history is read anew.
    ///
    /// Shape: our id of the new account; `None`: nothing was joined. Every row that changes its account or its id has a change
    /// that says so.
    pub fn split_account(&self, account_id: i64, now: Timestamp) -> Result<Option<i64>, StoreError> {
        let Some(joint) = self.joint(account_id)? else {
            return Ok(None);
        };
        self.execute(
            "UPDATE account_aliases SET split_at = :now WHERE account_alias_id = :alias_id",
            named_params! { ":now": ms(now), ":alias_id": joint.alias_id },
        )?;
        self.move_account(account_id, joint.former_link_id, &joint.former_upstream_id, now)?;
        self.execute(
            "INSERT INTO accounts (account_id, link_id, upstream_id, kind, subtype, name, mask, currency, is_open, is_shared,
                 is_business, needs_history, first_seen_at, changed_at)
             SELECT (SELECT max(value, (SELECT coalesce(max(account_id), 0) FROM accounts)) + 1
                     FROM store_meta WHERE name = 'last_account_id'),
                 :link_id, :upstream_id, kind, subtype, name, mask, currency, is_open, is_shared, is_business, 1, :now, :now
             FROM accounts WHERE account_id = :account_id",
            named_params! {
                ":link_id": joint.link_id, ":upstream_id": joint.upstream_id, ":now": ms(now),
                ":account_id": account_id,
            },
        )?;
        let new_id = self.txn.last_insert_rowid();
        self.take_rows_along(&joint, new_id, now)?;
        self.give_ids_back(&joint, now)?;
        Ok(Some(new_id))
    }

    /// The last join that led to an account's present id; `None`: none did, or it was undone.
    fn joint(&self, account_id: i64) -> Result<Option<Joint>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT x.account_alias_id, x.link_id AS former_link_id, x.upstream_id AS former_upstream_id, x.matched_at,
                    x.sync_id, a.link_id, a.upstream_id
             FROM account_aliases x JOIN accounts a ON a.account_id = x.account_id AND a.upstream_id = x.new_upstream_id
             WHERE x.account_id = :account_id AND x.split_at IS NULL ORDER BY x.matched_at DESC LIMIT 1",
        )?;
        let joint = select.query_row(named_params! { ":account_id": account_id }, |row| {
            Ok(Joint {
                alias_id: row.get("account_alias_id")?,
                account_id,
                former_link_id: row.get("former_link_id")?,
                former_upstream_id: row.get("former_upstream_id")?,
                link_id: row.get("link_id")?,
                upstream_id: row.get("upstream_id")?,
                matched_at: row.get("matched_at")?,
                sync_id: row.get("sync_id")?,
            })
        });
        Ok(joint.optional()?)
    }

    /// Moves the rows that came since the join to the new account. They never had an id in the former one: what they are called
    /// now and were called before are names of the new link's.
    fn take_rows_along(&self, joint: &Joint, new_id: i64, now: Timestamp) -> Result<(), StoreError> {
        let told = self.execute(
            "INSERT INTO transaction_changes (change_id, transaction_id, sync_id, kind, changed_at, before, after)
             SELECT (SELECT value FROM store_meta WHERE name = 'next_change_id') + row_number() OVER (ORDER BY transaction_id) - 1,
                    transaction_id, :sync_id, 'updated', :now, json_object('account_id', account_id),
                    json_object('account_id', :new_id)
             FROM transactions WHERE account_id = :account_id AND first_seen_at >= :matched_at",
            named_params! {
                ":sync_id": joint.sync_id, ":now": ms(now), ":new_id": new_id, ":account_id": joint.account_id,
                ":matched_at": joint.matched_at,
            },
        )?;
        self.pass_change_ids(told)?;
        self.execute(
            "UPDATE transactions SET account_id = :new_id, link_id = :link_id, changed_at = :now
             WHERE account_id = :account_id AND first_seen_at >= :matched_at",
            named_params! {
                ":new_id": new_id, ":link_id": joint.link_id, ":now": ms(now), ":account_id": joint.account_id,
                ":matched_at": joint.matched_at,
            },
        )?;
        self.execute(
            "UPDATE transaction_aliases SET link_id = :link_id
             WHERE transaction_id IN (SELECT transaction_id FROM transactions WHERE account_id = :new_id)",
            named_params! { ":link_id": joint.link_id, ":new_id": new_id },
        )?;
        Ok(())
    }

    /// Gives the rows that were there before the join the ids that they had then. The account must have no others any more.
    fn give_ids_back(&self, joint: &Joint, now: Timestamp) -> Result<(), StoreError> {
        let told = self.execute(
            "INSERT INTO transaction_changes (change_id, transaction_id, sync_id, kind, changed_at, before, after)
             SELECT (SELECT value FROM store_meta WHERE name = 'next_change_id') + row_number() OVER (ORDER BY t.transaction_id) - 1,
                    t.transaction_id, :sync_id, 'updated', :now, json_object('upstream_id', t.upstream_id),
                    json_object('upstream_id', x.upstream_id)
             FROM transactions t
             JOIN (SELECT transaction_id, upstream_id, min(matched_at) FROM transaction_aliases
                   WHERE matched_at >= :matched_at GROUP BY transaction_id) x ON x.transaction_id = t.transaction_id
             WHERE t.account_id = :account_id",
            named_params! {
                ":sync_id": joint.sync_id, ":now": ms(now), ":matched_at": joint.matched_at,
                ":account_id": joint.account_id,
            },
        )?;
        self.pass_change_ids(told)?;
        // The first id that a row changed from is the one it had; without its hash it is written as it is read next.
        self.execute(
            "UPDATE transactions SET upstream_id = x.upstream_id, content_hash = 0, changed_at = :now
             FROM (SELECT transaction_id, upstream_id, min(matched_at) FROM transaction_aliases
                   WHERE matched_at >= :matched_at GROUP BY transaction_id) x
             WHERE transactions.transaction_id = x.transaction_id AND transactions.account_id = :account_id",
            named_params! { ":now": ms(now), ":matched_at": joint.matched_at, ":account_id": joint.account_id },
        )?;
        self.execute(
            "DELETE FROM transaction_aliases WHERE matched_at >= :matched_at
               AND transaction_id IN (SELECT transaction_id FROM transactions WHERE account_id = :account_id)",
            named_params! { ":matched_at": joint.matched_at, ":account_id": joint.account_id },
        )?;
        Ok(())
    }

    /// Notes that the next so many ids of changes were given.
    fn pass_change_ids(&self, told: usize) -> Result<(), StoreError> {
        self.execute(
            "UPDATE store_meta SET value = value + :told WHERE name = 'next_change_id'",
            named_params! { ":told": i64::try_from(told).unwrap_or(i64::MAX) },
        )?;
        Ok(())
    }
}
