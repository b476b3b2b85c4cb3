//! Deleting a customer's rows, a batch at a time, children before parents.

use std::ops::Range;

use jiff::Timestamp;
use rusqlite::{named_params, params};

use crate::store::{ReadTxn, StoreError, WriteTxn, ms};

/// What a batch did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// Rows went; there may be more.
    Some,
    /// Nothing of the customer is left.
    All,
}

/// An event that an aggregator announced, as far as it tells whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastEvent {
    /// Our id.
    pub event_id: i64,
    /// It concerned a link of the customer in question.
    pub is_theirs: bool,
    /// Its JSON.
    pub body: String,
}

/// The upstream ids by which events name a customer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamIds {
    /// The customer's own.
    pub user: String,
    /// Their links'.
    pub links: Vec<String>,
    /// Their refreshes'.
    pub tasks: Vec<String>,
}

/// The tables that hold a customer's rows: `webhook_events` and `transaction_changes` are searched, the others have a step in
/// the order of deletion.
pub const ERASED_TABLES: &[&str] = &[
    "webhook_events",
    "transaction_changes",
    "transaction_absences",
    "transaction_aliases",
    "transactions",
    "balances",
    "holdings",
    "loans",
    "account_numbers",
    "account_aliases",
    "accounts",
    "cursors",
    "rejected_rows",
    "syncs",
    "refreshes",
    "invites",
    "alerts",
    "links",
    "users",
];

/// One table and how at most `:limit` of a customer's rows go.
struct Step(&'static str, &'static str);

const STEPS: &[Step] = &[
    Step(
        "transaction_absences",
        "DELETE FROM transaction_absences WHERE transaction_id IN (
             SELECT transaction_id FROM transaction_absences WHERE transaction_id IN (
                 SELECT transaction_id FROM transactions WHERE account_id IN (
                     SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)))
             LIMIT :limit)",
    ),
    Step(
        "transaction_aliases",
        "DELETE FROM transaction_aliases WHERE alias_id IN (
             SELECT alias_id FROM transaction_aliases WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)
             LIMIT :limit)",
    ),
    Step(
        "transactions",
        "DELETE FROM transactions WHERE transaction_id IN (
             SELECT transaction_id FROM transactions WHERE account_id IN (
                 SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "balances",
        "DELETE FROM balances WHERE balance_id IN (
             SELECT balance_id FROM balances WHERE account_id IN (
                 SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "holdings",
        "DELETE FROM holdings WHERE holding_id IN (
             SELECT holding_id FROM holdings WHERE account_id IN (
                 SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "loans",
        "DELETE FROM loans WHERE account_id IN (
             SELECT account_id FROM loans WHERE account_id IN (
                 SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "account_numbers",
        "DELETE FROM account_numbers WHERE account_number_id IN (
             SELECT account_number_id FROM account_numbers WHERE account_id IN (
                 SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "account_aliases",
        "DELETE FROM account_aliases WHERE account_alias_id IN (
             SELECT account_alias_id FROM account_aliases WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)
                 OR account_id IN (SELECT account_id FROM accounts
                                   WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id))
             LIMIT :limit)",
    ),
    Step(
        "accounts",
        "DELETE FROM accounts WHERE account_id IN (
             SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)
             LIMIT :limit)",
    ),
    Step(
        "cursors",
        "DELETE FROM cursors WHERE link_id IN (
             SELECT link_id FROM cursors WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) LIMIT :limit)",
    ),
    Step(
        "rejected_rows",
        "DELETE FROM rejected_rows WHERE rejected_row_id IN (
             SELECT rejected_row_id FROM rejected_rows WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)
             LIMIT :limit)",
    ),
    Step(
        "syncs",
        "DELETE FROM syncs WHERE sync_id IN (
             SELECT sync_id FROM syncs WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) LIMIT :limit)",
    ),
    // They still count against limits of the source, so what says whose they were goes and they stay.
    Step(
        "refreshes",
        "UPDATE refreshes SET link_id = NULL, sync_id = NULL, upstream_task_id = NULL, upstream_status = NULL, rows_gained = NULL,
                finished_at = coalesce(finished_at, :now)
         WHERE refresh_id IN (
             SELECT refresh_id FROM refreshes WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) LIMIT :limit)",
    ),
    // Also those that another customer was sent for a link that is this one's now: they would hold the link.
    Step(
        "invites",
        "DELETE FROM invites WHERE invite_id IN (
             SELECT invite_id FROM invites
             WHERE user_id = :user_id OR link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) LIMIT :limit)",
    ),
    Step(
        "alerts",
        "DELETE FROM alerts WHERE alert_id IN (
             SELECT alert_id FROM alerts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) LIMIT :limit)",
    ),
    Step(
        "links",
        "DELETE FROM links WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id LIMIT :limit)",
    ),
];

impl ReadTxn<'_> {
    /// The upstream ids by which events name a customer.
    pub fn upstream_ids_of(&self, user_id: i64) -> Result<UpstreamIds, StoreError> {
        let texts = |sql: &str| -> Result<Vec<String>, StoreError> {
            let mut select = self.txn.prepare_cached(sql)?;
            let rows = select.query_map(named_params! { ":user_id": user_id }, |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        };
        Ok(UpstreamIds {
            user: texts("SELECT upstream_id FROM users WHERE user_id = :user_id")?.pop().unwrap_or_default(),
            links: texts("SELECT upstream_id FROM links WHERE user_id = :user_id")?,
            tasks: texts(
                "SELECT r.upstream_task_id FROM refreshes r JOIN links l ON l.link_id = r.link_id
                 WHERE l.user_id = :user_id AND r.upstream_task_id IS NOT NULL",
            )?,
        })
    }

    /// A source's events after `after`, in the order of our ids; at most `limit`. Walked in that order: by the source's index each
    /// page would have all events of the source sorted.
    pub fn past_events(
        &self,
        source_id: i64,
        user_id: i64,
        after: i64,
        limit: u32,
    ) -> Result<Vec<PastEvent>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT webhook_event_id, json(body) AS body,
                    link_id IN (SELECT link_id FROM links WHERE user_id = :user_id) IS 1 AS is_theirs
             FROM webhook_events NOT INDEXED WHERE webhook_event_id > :after AND source_id = :source_id
             ORDER BY webhook_event_id LIMIT :limit",
        )?;
        let params = named_params! { ":user_id": user_id, ":after": after, ":source_id": source_id, ":limit": limit };
        let rows = select.query_map(params, |row| {
            Ok(PastEvent {
                event_id: row.get("webhook_event_id")?,
                is_theirs: row.get("is_theirs")?,
                body: row.get("body")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The changes of a customer's transactions within a stretch of ids: no index leads to them.
    pub fn changes_of_user(&self, user_id: i64, stretch: Range<i64>) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT change_id FROM transaction_changes
             WHERE change_id >= :from AND change_id < :to AND +transaction_id IN (
                 SELECT transaction_id FROM transactions WHERE account_id IN (
                     SELECT account_id FROM accounts WHERE link_id IN (SELECT link_id FROM links WHERE user_id = :user_id)))",
        )?;
        let params = named_params! { ":from": stretch.start, ":to": stretch.end, ":user_id": user_id };
        let rows = select.query_map(params, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The first and the next change id; the same where there is no change.
    pub fn change_ids(&self) -> Result<Range<i64>, StoreError> {
        let next =
            self.txn.query_row("SELECT value FROM store_meta WHERE name = 'next_change_id'", [], |row| row.get(0))?;
        let first: Option<i64> =
            self.txn.query_row("SELECT min(change_id) FROM transaction_changes", [], |row| row.get(0))?;
        Ok(first.unwrap_or(next)..next)
    }
}

impl WriteTxn<'_> {
    /// Deletes events that are about the customer of an erasure.
    pub fn erase_events(&self, erasure_id: i64, event_ids: &[i64]) -> Result<(), StoreError> {
        let mut delete = self.txn.prepare_cached("DELETE FROM webhook_events WHERE webhook_event_id = ?1")?;
        let mut count = 0;
        for id in event_ids {
            count += delete.execute(params![id])?;
        }
        self.count_erased(erasure_id, "webhook_events", count)
    }

    /// Deletes changes of the transactions of the customer of an erasure.
    pub fn erase_changes(&self, erasure_id: i64, change_ids: &[i64]) -> Result<(), StoreError> {
        let mut delete = self.txn.prepare_cached("DELETE FROM transaction_changes WHERE change_id = ?1")?;
        let mut count = 0;
        for id in change_ids {
            count += delete.execute(params![id])?;
        }
        self.count_erased(erasure_id, "transaction_changes", count)
    }

    /// Deletes at most `limit` rows of the customer of an erasure, of one table; in the end the customer. Changes and events must be
    /// gone before: with the transactions and links goes what leads to them.
    ///
    /// After a crash: what was committed is deleted and counted; the next call goes on.
    pub fn erase_some(
        &self,
        erasure_id: i64,
        user_id: i64,
        limit: usize,
        now: Timestamp,
    ) -> Result<Erased, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.keep_last_ids()?;
        for Step(table, sql) in STEPS {
            if *table == "accounts" {
                self.tell_of_erased_accounts(erasure_id, user_id, now)?;
            }
            let mut delete = self.txn.prepare_cached(sql)?;
            delete.raw_bind_parameter(":user_id", user_id)?;
            delete.raw_bind_parameter(":limit", limit)?;
            if delete.parameter_index(":now")?.is_some() {
                delete.raw_bind_parameter(":now", ms(now))?;
            }
            let count = delete.raw_execute()?;
            if count > 0 {
                self.count_erased(erasure_id, table, count)?;
                return Ok(Erased::Some);
            }
        }
        let count =
            self.execute("DELETE FROM users WHERE user_id = :user_id", named_params! { ":user_id": user_id })?;
        self.count_erased(erasure_id, "users", count)?;
        self.execute(
            "UPDATE erasures SET user_id = NULL, erased_at = :now, rewritten_at = NULL, overwritten_at = NULL
             WHERE erasure_id = :erasure_id",
            named_params! { ":now": ms(now), ":erasure_id": erasure_id },
        )?;
        Ok(Erased::All)
    }

    fn count_erased(&self, erasure_id: i64, table: &str, count: usize) -> Result<(), StoreError> {
        if count == 0 {
            return Ok(());
        }
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let mut update = self.txn.prepare_cached(
            "UPDATE erasures SET rows_deleted = json_set(rows_deleted, '$.' || :table,
                    coalesce(json_extract(rows_deleted, '$.' || :table), 0) + :count)
             WHERE erasure_id = :erasure_id",
        )?;
        update.execute(named_params! { ":table": table, ":count": count, ":erasure_id": erasure_id })?;
        Ok(())
    }
}
