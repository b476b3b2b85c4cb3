//! Customers: whose links are looked at next, which links and accounts are theirs.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};

/// A customer whose links are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueUser {
    /// Our id.
    pub user_id: i64,
    /// The aggregator's id.
    pub upstream_id: String,
    /// Looks that came to nothing since the last one that worked.
    pub failures: u32,
}

/// One stored account of a customer, as a walk over all of the customer's rows needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAccount {
    /// Our id.
    pub account_id: i64,
    /// The aggregator's id.
    pub upstream_id: String,
    /// Its link.
    pub link_id: i64,
    /// Its whole history is to be read, and can be.
    pub needs_history: bool,
    /// Rows of it were stored under a former upstream id.
    pub is_continued: bool,
    /// The last try to read it at its bank failed.
    pub is_unreached: bool,
}

impl ReadTxn<'_> {
    /// A source's customers whose links are due to be looked at, the longest due first.
    ///
    /// Shape: at most `limit`.
    pub(super) fn due_users(&self, source_id: i64, now: Timestamp, limit: usize) -> Result<Vec<DueUser>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT user_id, upstream_id, links_failures FROM users
             WHERE source_id = :source_id AND links_due_at <= :now ORDER BY links_due_at LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows =
            select.query_map(named_params! { ":source_id": source_id, ":now": ms(now), ":limit": limit }, |row| {
                Ok(DueUser {
                    user_id: row.get("user_id")?,
                    upstream_id: row.get("upstream_id")?,
                    failures: row.get("links_failures")?,
                })
            })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the first of a source's customers is to be looked at after an instant.
    pub(super) fn next_user_at(&self, source_id: i64, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT min(links_due_at) FROM users WHERE source_id = :source_id AND links_due_at > :after",
        )?;
        let next = select.query_row(named_params! { ":source_id": source_id, ":after": ms(after) }, |row| row.get(0));
        Ok(next.map(|at: Option<i64>| at.map(instant))?)
    }

    /// A source's customers that are there: (our id, the aggregator's id), in the order of the latter.
    pub fn known_users(&self, source_id: i64) -> Result<Vec<(i64, String)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT user_id, upstream_id FROM users WHERE source_id = :source_id AND removed_at IS NULL ORDER BY upstream_id",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id }, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The aggregator's id of the customer that the organisation knows by `external_id`; `None`: none that is there.
    pub fn user_by_external_id(&self, source_id: i64, external_id: &str) -> Result<Option<String>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT upstream_id FROM users
             WHERE source_id = :source_id AND external_id = :external_id AND removed_at IS NULL ORDER BY user_id DESC LIMIT 1",
        )?;
        let found =
            select.query_row(named_params! { ":source_id": source_id, ":external_id": external_id }, |row| row.get(0));
        Ok(found.optional()?)
    }

    /// Whether a customer is here, or was and left their history.
    pub fn has_user(&self, user_id: i64) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT 1 FROM users WHERE user_id = :user_id")?;
        Ok(select.exists(named_params! { ":user_id": user_id })?)
    }

    /// A customer's links that are neither paused nor removed, in the order they were made.
    pub fn syncable_links_of(&self, user_id: i64) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id FROM links WHERE user_id = :user_id AND removed_at IS NULL AND paused_at IS NULL ORDER BY link_id",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id }, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A customer's links that are not removed: (our id, the aggregator's id).
    pub fn present_links_of(&self, user_id: i64) -> Result<Vec<(i64, String)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id, upstream_id FROM links
             WHERE user_id = :user_id AND removed_at IS NULL ORDER BY link_id",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id }, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every account of a customer, whatever its link's state.
    pub fn accounts_of_user(&self, user_id: i64) -> Result<Vec<UserAccount>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT a.account_id, a.upstream_id, a.link_id,
                    a.needs_history AND a.is_shared IS NOT 0 AND a.missing_at IS NULL AS needs_history,
                    a.is_refreshed IS 0 AND a.is_shared IS NOT 0 AND a.missing_at IS NULL AS is_unreached,
                    EXISTS (SELECT 1 FROM account_aliases x WHERE x.account_id = a.account_id) AS is_continued
             FROM accounts a JOIN links l ON l.link_id = a.link_id WHERE l.user_id = :user_id",
        )?;
        let rows = select.query_map(named_params! { ":user_id": user_id }, |row| {
            Ok(UserAccount {
                account_id: row.get("account_id")?,
                upstream_id: row.get("upstream_id")?,
                link_id: row.get("link_id")?,
                needs_history: row.get("needs_history")?,
                is_continued: row.get("is_continued")?,
                is_unreached: row.get("is_unreached")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTxn<'_> {
    /// Sets when a customer's links are looked at next.
    pub fn set_links_due_at(&self, user_id: i64, due_at: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached("UPDATE users SET links_due_at = :due_at WHERE user_id = :user_id")?;
        update.execute(named_params! { ":due_at": ms(due_at), ":user_id": user_id })?;
        Ok(())
    }

    /// Notes that a customer's links were looked at by requests that began at `began`, and when they are next; `None`: only
    /// discovery looks at them. A look that was asked for meanwhile stays due, because this one may have been too early.
    pub fn looked_at(
        &self,
        user_id: i64,
        began: Timestamp,
        next: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE users SET links_due_at = iif(links_due_at > :began AND links_due_at <= :now, links_due_at, :next),
                    links_failures = 0, links_error = NULL
             WHERE user_id = :user_id",
        )?;
        update.execute(named_params! {
            ":began": ms(began), ":now": ms(now), ":next": next.map(ms), ":user_id": user_id,
        })?;
        Ok(())
    }

    /// Notes that a look at a customer's links came to nothing, and when the next one is.
    pub fn look_failed(&self, user_id: i64, error: &str, next: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET links_due_at = :next, links_failures = links_failures + 1, links_error = :error
             WHERE user_id = :user_id",
            named_params! { ":next": ms(next), ":error": error, ":user_id": user_id },
        )?;
        Ok(())
    }

    /// Makes sure that a customer's links are looked at now if they never were, and that the customer counts as there.
    pub fn look_at_new_user(&self, user_id: i64, now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE users SET removed_at = NULL, links_due_at = coalesce(links_due_at, :now)
             WHERE user_id = :user_id AND (links_due_at IS NULL OR removed_at IS NOT NULL)",
        )?;
        update.execute(named_params! { ":user_id": user_id, ":now": ms(now) })?;
        Ok(())
    }

    /// Notes that a customer is there (again).
    pub fn user_is_there(&self, user_id: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET removed_at = NULL WHERE user_id = :user_id AND removed_at IS NOT NULL",
            named_params! { ":user_id": user_id },
        )?;
        Ok(())
    }

    /// Notes that the aggregator deleted a customer; links and history stay as they are.
    pub fn remove_user(&self, user_id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET removed_at = coalesce(removed_at, :now), links_due_at = NULL WHERE user_id = :user_id",
            named_params! { ":user_id": user_id, ":now": ms(now) },
        )?;
        Ok(())
    }

    /// Brings forward customers whose links would be looked at later than anything could have set.
    pub fn bring_users_forward(&self, source_id: i64, latest: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE users SET links_due_at = :latest WHERE source_id = :source_id AND links_due_at > :latest",
            named_params! { ":latest": ms(latest), ":source_id": source_id },
        )?;
        Ok(())
    }
}
