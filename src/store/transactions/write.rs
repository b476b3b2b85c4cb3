//! Writing transactions: a page at a time on the hot path, then what only a complete walk can tell.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{CachedStatement, OptionalExtension as _, named_params, params};

use super::{AliasRule, FeedPosition, KnownRow, RowWrite};
use crate::model::{Status, TransactionRecord};
use crate::money::Currency;
use crate::store::{StoreError, WriteTxn, ms};

/// The prepared statements of one page.
pub struct PageWriter<'t> {
    find: CachedStatement<'t>,
    find_alias: CachedStatement<'t>,
    insert: CachedStatement<'t>,
    change: CachedStatement<'t>,
    next_change_id: i64,
    /// `None`: nobody was ever forgotten, so SQLite's own choice was never given before.
    next_transaction_id: Option<i64>,
    txn: &'t WriteTxn<'t>,
    currencies: HashSet<Currency>,
}

impl<'c> WriteTxn<'c> {
    /// Prepares writing a page of transactions. [`PageWriter::finish`] must be called before the transaction commits.
    pub fn page_writer<'t>(&'t self) -> Result<PageWriter<'t>, StoreError>
    where
        'c: 't,
    {
        let mut next = self.txn.prepare_cached("SELECT value FROM store_meta WHERE name = 'next_change_id'")?;
        let next_change_id = next.query_row([], |row| row.get(0))?;
        let mut next = self.txn.prepare_cached(
            "SELECT max(value, (SELECT coalesce(max(transaction_id), 0) FROM transactions)) + 1 FROM store_meta
             WHERE name = 'last_transaction_id'",
        )?;
        let next_transaction_id = next.query_row([], |row| row.get(0)).optional()?;
        Ok(PageWriter {
            find: self.txn.prepare_cached(
                "SELECT transaction_id, content_hash, removed_at IS NOT NULL FROM transactions
                 WHERE link_id = ?1 AND upstream_id = ?2",
            )?,
            find_alias: self.txn.prepare_cached(
                "SELECT transaction_id FROM transaction_aliases WHERE link_id = ?1 AND upstream_id = ?2",
            )?,
            insert: self.txn.prepare_cached(
                "INSERT INTO transactions (link_id, account_id, upstream_id, external_id, status, amount_minor, memo_minor,
                     currency, transacted_at, transacted_on, posted_at, posted_on, description, merchant, category,
                     merchant_code, check_number, memo, latitude, longitude, operation_type, upstream_status,
                     posted_seen_at, first_seen_at, changed_at, content_hash, raw, clean_description,
                     upstream_category_id, upstream_updated_at, transaction_id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22, ?23, ?24, ?24, ?25, jsonb(?26), ?27, ?28, ?29, ?30)",
            )?,
            change: self.txn.prepare_cached(
                "INSERT INTO transaction_changes (change_id, transaction_id, sync_id, kind, changed_at, before, after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            next_change_id,
            next_transaction_id,
            txn: self,
            currencies: HashSet::new(),
        })
    }
}

impl PageWriter<'_> {
    /// The stored row that has this upstream id now.
    pub fn find(&mut self, link_id: i64, upstream_id: &str) -> Result<Option<KnownRow>, StoreError> {
        let known = self.find.query_row(params![link_id, upstream_id], |row| {
            Ok(KnownRow { transaction_id: row.get(0)?, content_hash: row.get(1)?, is_removed: row.get(2)? })
        });
        Ok(known.optional()?)
    }

    /// The stored row that had this upstream id once.
    pub fn find_alias(&mut self, link_id: i64, upstream_id: &str) -> Result<Option<i64>, StoreError> {
        Ok(self.find_alias.query_row(params![link_id, upstream_id], |row| row.get(0)).optional()?)
    }

    /// Stores a row that was never seen and its `added` change; returns our id.
    pub fn insert(&mut self, at: RowWrite, record: &TransactionRecord) -> Result<i64, StoreError> {
        if self.currencies.insert(record.currency) {
            self.txn.put_currency(record.currency)?;
        }
        let posted_seen_at = (record.status == Status::Posted).then(|| ms(at.seen_at));
        let raw = self.txn.keep_raw.then_some(record.raw.as_str());
        let transaction_id = self.insert.insert(params![
            at.link_id,
            at.account_id,
            record.upstream_id,
            record.external_id,
            record.status.as_str(),
            record.amount_minor,
            record.memo_minor,
            record.currency.as_str(),
            record.transacted_at.map(ms),
            day_text(record.transacted_on),
            record.posted_at.map(ms),
            record.posted_on.map(day_text),
            record.description,
            record.merchant,
            record.category,
            record.merchant_code,
            record.check_number,
            record.memo,
            record.latitude,
            record.longitude,
            record.operation_type,
            record.upstream_status,
            posted_seen_at,
            ms(at.seen_at),
            record.content_hash,
            raw,
            record.clean_description,
            record.upstream_category_id,
            record.upstream_updated_at.map(ms),
            self.next_transaction_id,
        ])?;
        self.next_transaction_id = self.next_transaction_id.map(|id| id + 1);
        self.change(at, transaction_id, "added", None)?;
        Ok(transaction_id)
    }

    /// Gives a stored row the values of `record`, takes back a removal, and records the change if there is one.
    ///
    /// Shape: `change` is the kind and the differing columns before and after, JSON; `None` where only the JSON differs.
    pub fn update(
        &mut self,
        at: RowWrite,
        transaction_id: i64,
        record: &TransactionRecord,
        change: Option<(&str, &str, &str)>,
    ) -> Result<(), StoreError> {
        if self.currencies.insert(record.currency) {
            self.txn.put_currency(record.currency)?;
        }
        let mut update = self.txn.txn.prepare_cached(
            "UPDATE transactions SET account_id = :account_id, upstream_id = :upstream_id, external_id = :external_id,
                 status = :status, amount_minor = :amount_minor, memo_minor = :memo_minor, currency = :currency,
                 transacted_at = :transacted_at, transacted_on = :transacted_on, posted_at = :posted_at,
                 posted_on = :posted_on, description = :description, merchant = :merchant, category = :category,
                 merchant_code = :merchant_code, check_number = :check_number, memo = :memo, latitude = :latitude,
                 longitude = :longitude, clean_description = :clean_description,
                 upstream_category_id = :upstream_category_id, upstream_updated_at = :upstream_updated_at,
                 operation_type = :operation_type, upstream_status = :upstream_status,
                 posted_seen_at = iif(:status = 'posted', coalesce(posted_seen_at, :seen_at), NULL),
                 changed_at = iif(:has_change, :seen_at, changed_at), removed_at = NULL,
                 content_hash = :content_hash, raw = iif(:raw IS NULL, NULL, jsonb(:raw))
             WHERE transaction_id = :transaction_id",
        )?;
        update.execute(named_params! {
            ":account_id": at.account_id, ":upstream_id": record.upstream_id, ":external_id": record.external_id,
            ":status": record.status.as_str(), ":amount_minor": record.amount_minor, ":memo_minor": record.memo_minor,
            ":currency": record.currency.as_str(), ":transacted_at": record.transacted_at.map(ms),
            ":transacted_on": day_text(record.transacted_on), ":posted_at": record.posted_at.map(ms),
            ":posted_on": record.posted_on.map(day_text), ":description": record.description,
            ":merchant": record.merchant, ":category": record.category, ":merchant_code": record.merchant_code,
            ":check_number": record.check_number, ":memo": record.memo, ":latitude": record.latitude,
            ":longitude": record.longitude, ":clean_description": record.clean_description,
            ":upstream_category_id": record.upstream_category_id,
            ":upstream_updated_at": record.upstream_updated_at.map(ms), ":operation_type": record.operation_type,
            ":upstream_status": record.upstream_status, ":seen_at": ms(at.seen_at), ":has_change": change.is_some(),
            ":content_hash": record.content_hash, ":raw": self.txn.keep_raw.then_some(record.raw.as_str()),
            ":transaction_id": transaction_id,
        })?;
        if let Some((kind, before, after)) = change {
            self.change(at, transaction_id, kind, Some((before, after)))?;
        }
        Ok(())
    }

    /// Marks a row as gone upstream.
    pub fn remove(&mut self, at: RowWrite, transaction_id: i64) -> Result<(), StoreError> {
        let mut update = self.txn.txn.prepare_cached(
            "UPDATE transactions SET removed_at = :at, changed_at = :at WHERE transaction_id = :transaction_id",
        )?;
        update.execute(named_params! { ":at": ms(at.seen_at), ":transaction_id": transaction_id })?;
        let after = format!(r#"{{"removed_at":{}}}"#, ms(at.seen_at));
        self.change(at, transaction_id, "removed", Some((r#"{"removed_at":null}"#, &after)))
    }

    /// Keeps a row's former upstream id. The row itself is then updated to its new one.
    pub fn put_alias(
        &mut self,
        at: RowWrite,
        transaction_id: i64,
        former_id: &str,
        rule: AliasRule,
    ) -> Result<(), StoreError> {
        let mut insert = self.txn.txn.prepare_cached(
            "INSERT INTO transaction_aliases (transaction_id, link_id, upstream_id, rule, matched_at, sync_id)
             VALUES (:transaction_id, :link_id, :former_id, :rule, :at, :sync_id)
             ON CONFLICT (link_id, upstream_id) DO UPDATE SET transaction_id = excluded.transaction_id,
                 rule = excluded.rule, matched_at = excluded.matched_at, sync_id = excluded.sync_id",
        )?;
        insert.execute(named_params! {
            ":transaction_id": transaction_id, ":link_id": at.link_id, ":former_id": former_id,
            ":rule": rule.as_str(), ":at": ms(at.seen_at), ":sync_id": at.sync_id,
        })?;
        Ok(())
    }

    /// Drops a former id: it is a row of its own, or a row's present id, again.
    pub fn drop_alias(&mut self, link_id: i64, upstream_id: &str) -> Result<(), StoreError> {
        let mut delete = self.txn.txn.prepare_cached(
            "DELETE FROM transaction_aliases WHERE link_id = :link_id AND upstream_id = :upstream_id",
        )?;
        delete.execute(named_params! { ":link_id": link_id, ":upstream_id": upstream_id })?;
        Ok(())
    }

    fn change(
        &mut self,
        at: RowWrite,
        transaction_id: i64,
        kind: &str,
        values: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let (before, after) = values.unzip();
        let change_id = self.next_change_id;
        self.change.execute(params![change_id, transaction_id, at.sync_id, kind, ms(at.seen_at), before, after])?;
        self.next_change_id += 1;
        Ok(())
    }

    /// Notes the last change id, so that none is ever used twice.
    pub fn finish(self) -> Result<(), StoreError> {
        self.txn.execute(
            "UPDATE store_meta SET value = :next WHERE name = 'next_change_id' AND value <> :next",
            named_params! { ":next": self.next_change_id },
        )?;
        Ok(())
    }
}

impl WriteTxn<'_> {
    /// Moves the cursor, back too after the clock was ahead. Only the commit that completes a walk may call this.
    ///
    /// Shape: the feed's instants move back only when everything was read; otherwise `None` leaves them where they are.
    pub fn move_cursor(
        &self,
        link_id: i64,
        covered_to: Timestamp,
        feed: FeedPosition,
        is_full: bool,
    ) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO cursors (link_id, covered_to_at, updated_to_at, settled_to_at, full_walked_at)
             VALUES (:link_id, :covered_to, :updated_to, :settled_to, iif(:is_full, :covered_to, NULL))
             ON CONFLICT (link_id) DO UPDATE SET covered_to_at = excluded.covered_to_at,
                 updated_to_at = CASE WHEN :is_full THEN coalesce(excluded.updated_to_at, updated_to_at)
                     ELSE max(coalesce(excluded.updated_to_at, updated_to_at), coalesce(updated_to_at, excluded.updated_to_at)) END,
                 settled_to_at = CASE WHEN :is_full THEN excluded.settled_to_at
                     ELSE max(coalesce(excluded.settled_to_at, settled_to_at), coalesce(settled_to_at, excluded.settled_to_at)) END,
                 full_walked_at = coalesce(excluded.full_walked_at, full_walked_at)",
        )?;
        upsert.execute(named_params! {
            ":link_id": link_id, ":covered_to": ms(covered_to), ":updated_to": feed.updated_to.map(ms),
            ":settled_to": feed.settled_to.map(ms), ":is_full": is_full,
        })?;
        Ok(())
    }

    /// Notes that a complete walk did not find a posted row.
    pub fn note_absence(&self, transaction_id: i64, at: Timestamp) -> Result<(), StoreError> {
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO transaction_absences (transaction_id, first_missed_at) VALUES (:transaction_id, :at)
             ON CONFLICT (transaction_id) DO NOTHING",
        )?;
        insert.execute(named_params! { ":transaction_id": transaction_id, ":at": ms(at) })?;
        Ok(())
    }

    /// Forgets an absence: the row was found again, or is removed now.
    pub fn clear_absence(&self, transaction_id: i64) -> Result<(), StoreError> {
        let mut delete =
            self.txn.prepare_cached("DELETE FROM transaction_absences WHERE transaction_id = :transaction_id")?;
        delete.execute(named_params! { ":transaction_id": transaction_id })?;
        Ok(())
    }
}

/// A civil date as the store writes it.
fn day_text(day: Date) -> String {
    day.to_string()
}
