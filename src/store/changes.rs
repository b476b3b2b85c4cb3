//! The feed of changes for other systems: every change of a transaction in the order of its id, each complete in itself.
//!
//! There is one writer and a change gets its id in the commit that makes it, so ids become visible in their order: whoever goes on
//! after the last id they have misses nothing and gets nothing twice. Ids are never used again. What a forgotten customer's
//! changes told is gone with them; an `erased` line for each of their accounts says so.

use jiff::Timestamp;
use rusqlite::{Row, named_params};
use serde_json::{Map, Value};

use super::{ReadTxn, StoreError, instant, ms};
use crate::store::WriteTxn;

/// One line of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedChange {
    /// Its place in the feed.
    pub change_id: i64,
    /// `added`, `updated`, `posted`, `removed`, `restored`, or `erased`.
    pub kind: String,
    /// When.
    pub changed_at: Timestamp,
    /// The source's name.
    pub source: String,
    /// Our id of the account.
    pub account_id: i64,
    /// The transaction and its values; `None` for `erased`: everything of the account is to be deleted.
    pub of: Option<ChangedTransaction>,
}

/// The transaction that changed.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangedTransaction {
    /// Our id.
    pub transaction_id: i64,
    /// Its present upstream id.
    pub upstream_id: String,
    /// The word for the aggregator.
    pub aggregator: String,
    /// The organisation's own id of the customer, else the aggregator's.
    pub user: String,
    /// Our id of the link.
    pub link_id: i64,
    /// The aggregator's.
    pub upstream_link_id: String,
    /// The account's present upstream id.
    pub upstream_account_id: String,
    /// The values that changed, as they were; `None` for `added`.
    pub before: Option<Map<String, Value>>,
    /// The same values afterwards; for `added` every value as it was then.
    pub after: Map<String, Value>,
}

/// The row as one JSON object, with the names that `transaction_changes` uses.
const ROW_JSON: &str = "json_object('upstream_id', t.upstream_id, 'upstream_account_id', a.upstream_id,
    'external_id', t.external_id, 'status', t.status, 'amount_minor', t.amount_minor, 'memo_minor', t.memo_minor,
    'currency', t.currency, 'transacted_at', t.transacted_at, 'transacted_on', t.transacted_on, 'posted_at', t.posted_at,
    'posted_on', t.posted_on, 'description', t.description, 'clean_description', t.clean_description, 'merchant', t.merchant,
    'category', t.category, 'upstream_category_id', t.upstream_category_id, 'merchant_code', t.merchant_code,
    'check_number', t.check_number, 'memo', t.memo, 'location', json_array(t.latitude, t.longitude),
    'operation_type', t.operation_type, 'upstream_status', t.upstream_status)";

/// A stretch of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedPage {
    /// In the order of their ids.
    pub changes: Vec<FeedChange>,
    /// Everything up to this id is in it, or not asked for.
    pub read_to: i64,
}

impl ReadTxn<'_> {
    /// The changes after `since`, of one source or of all, in the order of their ids; at most `limit`.
    ///
    /// Shape: customers who are being forgotten are left out.
    pub fn change_feed(&self, since: i64, source: Option<&str>, limit: usize) -> Result<FeedPage, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT c.change_id, c.kind, c.changed_at, c.before, c.after, c.transaction_id, s.name AS source, s.aggregator,
                    coalesce(u.external_id, u.upstream_id) AS user, t.link_id, l.upstream_id AS upstream_link_id,
                    t.account_id, a.upstream_id AS upstream_account_id, t.upstream_id,
                    CASE c.kind WHEN 'added' THEN {ROW_JSON} END AS whole
             FROM transaction_changes c
             CROSS JOIN transactions t ON t.transaction_id = c.transaction_id
             JOIN accounts a ON a.account_id = t.account_id
             JOIN links l ON l.link_id = t.link_id
             JOIN users u ON u.user_id = l.user_id
             JOIN sources s ON s.source_id = l.source_id
             WHERE c.change_id > :since AND (:source IS NULL OR s.name = :source)
               AND NOT EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = u.user_id)
             ORDER BY c.change_id LIMIT :limit"
        ))?;
        let at_most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = select.query(named_params! { ":since": since, ":source": source, ":limit": at_most })?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            changes.push(self.transaction_change(row)?);
        }
        // An erasure is told at its place among the changes; behind the last of a full page it waits for the next one.
        let until =
            if changes.len() < limit { i64::MAX } else { changes.last().map_or(i64::MAX, |last| last.change_id) };
        changes.extend(self.erased_between(since, until, source)?);
        changes.sort_by_key(|change| change.change_id);
        let is_full = changes.len() >= limit;
        changes.truncate(limit);
        let last = changes.last().filter(|_| is_full).map(|last| last.change_id);
        let read_to = match last {
            Some(last) => last,
            None => self.change_ids()?.end - 1,
        };
        Ok(FeedPage { changes, read_to })
    }

    fn transaction_change(&self, row: &Row<'_>) -> Result<FeedChange, StoreError> {
        let (change_id, transaction_id) = (row.get("change_id")?, row.get("transaction_id")?);
        let before = row.get::<_, Option<String>>("before")?.map(object).transpose()?;
        let after = match (row.get::<_, Option<String>>("after")?, row.get::<_, Option<String>>("whole")?) {
            (_, Some(whole)) => self.as_added(change_id, transaction_id, object(whole)?)?,
            (Some(after), None) => object(after)?,
            (None, None) => Map::new(),
        };
        Ok(FeedChange {
            change_id,
            kind: row.get("kind")?,
            changed_at: instant(row.get("changed_at")?),
            source: row.get("source")?,
            account_id: row.get("account_id")?,
            of: Some(ChangedTransaction {
                transaction_id,
                upstream_id: row.get("upstream_id")?,
                aggregator: row.get("aggregator")?,
                user: row.get("user")?,
                link_id: row.get("link_id")?,
                upstream_link_id: row.get("upstream_link_id")?,
                upstream_account_id: row.get("upstream_account_id")?,
                before,
                after,
            }),
        })
    }

    /// A row as it was when it was added: as it is now, with everything undone that changed since.
    fn as_added(
        &self,
        change_id: i64,
        transaction_id: i64,
        mut row: Map<String, Value>,
    ) -> Result<Map<String, Value>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT before FROM transaction_changes
             WHERE transaction_id = :transaction_id AND kind <> 'added' AND change_id > :change_id AND before IS NOT NULL
             ORDER BY change_id DESC",
        )?;
        let params = named_params! { ":transaction_id": transaction_id, ":change_id": change_id };
        for before in select.query_map(params, |row| row.get::<_, String>(0))? {
            row.extend(object(before?)?);
        }
        // Nothing is removed when it is added.
        row.remove("removed_at");
        Ok(row)
    }

    fn erased_between(&self, since: i64, until: i64, source: Option<&str>) -> Result<Vec<FeedChange>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT x.change_id, x.account_id, x.erased_at, s.name AS source FROM erased_accounts x
             JOIN erasures e ON e.erasure_id = x.erasure_id JOIN sources s ON s.source_id = e.source_id
             WHERE x.change_id > :since AND x.change_id <= :until AND (:source IS NULL OR s.name = :source)",
        )?;
        let rows = select.query_map(named_params! { ":since": since, ":until": until, ":source": source }, |row| {
            Ok(FeedChange {
                change_id: row.get("change_id")?,
                kind: "erased".to_owned(),
                changed_at: instant(row.get("erased_at")?),
                source: row.get("source")?,
                account_id: row.get("account_id")?,
                of: None,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl WriteTxn<'_> {
    /// Tells readers of the feed that the accounts of the customer of an erasure are gone; each once.
    pub(super) fn tell_of_erased_accounts(
        &self,
        erasure_id: i64,
        user_id: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let told = self.execute(
            "INSERT INTO erased_accounts (change_id, erasure_id, account_id, erased_at)
             SELECT (SELECT value FROM store_meta WHERE name = 'next_change_id') + row_number() OVER (ORDER BY a.account_id) - 1,
                    :erasure_id, a.account_id, :now
             FROM accounts a JOIN links l ON l.link_id = a.link_id
             WHERE l.user_id = :user_id
               AND NOT EXISTS (SELECT 1 FROM erased_accounts x WHERE x.erasure_id = :erasure_id AND x.account_id = a.account_id)",
            named_params! { ":erasure_id": erasure_id, ":user_id": user_id, ":now": ms(now) },
        )?;
        self.execute(
            "UPDATE store_meta SET value = value + :told WHERE name = 'next_change_id'",
            named_params! { ":told": i64::try_from(told).unwrap_or(i64::MAX) },
        )?;
        Ok(())
    }
}

fn object(text: String) -> Result<Map<String, Value>, StoreError> {
    serde_json::from_str(&text).map_err(|_| StoreError::UnknownWord { column: "transaction_changes", value: text })
}
