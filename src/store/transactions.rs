//! Transactions, their history, former ids, absences, the cursor, and rows set aside.
//!
//! The hot path is [`PageWriter`]: it holds the prepared statements of one page. What is to be written is decided by
//! `sync::plan`; nothing here decides.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{CachedStatement, OptionalExtension as _, Row, named_params, params};

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::model::{RejectedRow, Status, TransactionRecord};
use crate::money::Currency;

/// How far a link's transactions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Everything that upstream held at this instant is stored.
    pub covered_to_at: Timestamp,
    /// When the whole history was last walked completely.
    pub full_walked_at: Option<Timestamp>,
}

/// What the planner needs to know first of a stored row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRow {
    /// Our id.
    pub transaction_id: i64,
    /// Hash of the upstream JSON it was last written from.
    pub content_hash: i64,
    /// It has `removed_at`.
    pub is_removed: bool,
}

/// A stored row, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// Our id.
    pub transaction_id: i64,
    /// Its values; `raw` is empty.
    pub record: TransactionRecord,
    /// Gone upstream since.
    pub removed_at: Option<Timestamp>,
}

/// By which rule a row was recognised under a new upstream id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AliasRule {
    /// Same account and external id.
    ExternalId,
    /// Same account, amount, day and description.
    Identical,
    /// A pending row and a posted one of like description within days.
    PostedLikePending,
    /// An earlier id came back.
    FormerId,
}

impl AliasRule {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Identical => "identical",
            Self::PostedLikePending => "posted_like_pending",
            Self::FormerId => "former_id",
        }
    }
}

/// Where and when a row is written.
#[derive(Debug, Clone, Copy)]
pub struct RowWrite {
    /// The link.
    pub link_id: i64,
    /// The account.
    pub account_id: i64,
    /// The sync.
    pub sync_id: i64,
    /// Its start: the one instant that everything it sees is stamped with.
    pub seen_at: Timestamp,
}

const ROW_COLUMNS: &str =
    "t.transaction_id, t.upstream_id, a.upstream_id AS upstream_account_id, t.external_id, t.status,
    t.amount_minor, t.memo_minor, t.currency, t.transacted_at, t.transacted_on, t.posted_at, t.posted_on, t.description,
    t.merchant, t.category, t.merchant_code, t.check_number, t.memo, t.latitude, t.longitude, t.operation_type,
    t.upstream_status, t.removed_at, t.content_hash";

fn word_error(column: &'static str, value: String) -> StoreError {
    StoreError::UnknownWord { column, value }
}

fn stored_row(row: &Row<'_>) -> Result<StoredRow, StoreError> {
    let status: String = row.get("status")?;
    let currency: String = row.get("currency")?;
    let day = |column: &'static str, text: String| text.parse::<Date>().map_err(|_| word_error(column, text));
    Ok(StoredRow {
        transaction_id: row.get("transaction_id")?,
        removed_at: row.get::<_, Option<i64>>("removed_at")?.map(instant),
        record: TransactionRecord {
            upstream_id: row.get("upstream_id")?,
            upstream_account_id: row.get("upstream_account_id")?,
            external_id: row.get("external_id")?,
            status: Status::from_word(&status).ok_or_else(|| word_error("transactions.status", status))?,
            amount_minor: row.get("amount_minor")?,
            memo_minor: row.get("memo_minor")?,
            currency: currency.parse::<Currency>().map_err(|_| word_error("transactions.currency", currency))?,
            transacted_at: instant(row.get("transacted_at")?),
            transacted_on: day("transactions.transacted_on", row.get("transacted_on")?)?,
            posted_at: row.get::<_, Option<i64>>("posted_at")?.map(instant),
            posted_on: row
                .get::<_, Option<String>>("posted_on")?
                .map(|text| day("transactions.posted_on", text))
                .transpose()?,
            description: row.get("description")?,
            merchant: row.get("merchant")?,
            category: row.get("category")?,
            merchant_code: row.get("merchant_code")?,
            check_number: row.get("check_number")?,
            memo: row.get("memo")?,
            latitude: row.get("latitude")?,
            longitude: row.get("longitude")?,
            operation_type: row.get("operation_type")?,
            upstream_status: row.get("upstream_status")?,
            content_hash: row.get("content_hash")?,
            raw: String::new(),
        },
    })
}

impl ReadTxn<'_> {
    /// How far a link is stored; `None`: never walked completely.
    pub fn cursor(&self, link_id: i64) -> Result<Option<Cursor>, StoreError> {
        let mut select =
            self.txn.prepare_cached("SELECT covered_to_at, full_walked_at FROM cursors WHERE link_id = :link_id")?;
        Ok(select
            .query_row(named_params! { ":link_id": link_id }, |row| {
                Ok(Cursor {
                    covered_to_at: instant(row.get("covered_to_at")?),
                    full_walked_at: row.get::<_, Option<i64>>("full_walked_at")?.map(instant),
                })
            })
            .optional()?)
    }

    /// The instant of the oldest row that a pull must look at again: pending, missed once, or set aside; `None` if none.
    ///
    /// Rows of an account that the bank no longer lists wait for the account, not for the next pull.
    pub fn oldest_unsettled_at(&self, link_id: i64) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT min(at) FROM (
                 SELECT min(t.transacted_at) AS at FROM transactions t JOIN accounts a ON a.account_id = t.account_id
                 WHERE t.link_id = :link_id AND t.status = 'pending' AND t.removed_at IS NULL AND a.missing_at IS NULL
                 UNION ALL
                 SELECT min(t.transacted_at) FROM transaction_absences x
                 JOIN transactions t ON t.transaction_id = x.transaction_id
                 JOIN accounts a ON a.account_id = t.account_id
                 WHERE t.link_id = :link_id AND a.missing_at IS NULL
                 UNION ALL
                 SELECT min(transacted_at) FROM rejected_rows WHERE link_id = :link_id AND resolved_at IS NULL)",
        )?;
        Ok(select.query_row(named_params! { ":link_id": link_id }, |row| row.get::<_, Option<i64>>(0))?.map(instant))
    }

    /// Whether posted rows of this link wait for a second look, and since when the first did.
    pub fn first_absence_at(&self, link_id: i64) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT min(x.first_missed_at) FROM transaction_absences x
             JOIN transactions t ON t.transaction_id = x.transaction_id WHERE t.link_id = :link_id",
        )?;
        Ok(select.query_row(named_params! { ":link_id": link_id }, |row| row.get::<_, Option<i64>>(0))?.map(instant))
    }

    /// A stored row, whole.
    pub fn transaction(&self, transaction_id: i64) -> Result<StoredRow, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {ROW_COLUMNS} FROM transactions t JOIN accounts a ON a.account_id = t.account_id
             WHERE t.transaction_id = :transaction_id"
        ))?;
        let mut rows = select.query(named_params! { ":transaction_id": transaction_id })?;
        match rows.next()? {
            Some(row) => stored_row(row),
            None => Err(StoreError::Missing { what: "transaction", id: transaction_id }),
        }
    }

    /// Live rows of one account around a day, for recognising a row under a new id.
    pub fn live_rows_between(&self, account_id: i64, from: Date, to: Date) -> Result<Vec<StoredRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {ROW_COLUMNS} FROM transactions t JOIN accounts a ON a.account_id = t.account_id
             WHERE t.account_id = :account_id AND t.transacted_on BETWEEN :from AND :to AND t.removed_at IS NULL
             ORDER BY t.transaction_id"
        ))?;
        let mut rows = select.query(named_params! {
            ":account_id": account_id, ":from": from.to_string(), ":to": to.to_string(),
        })?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(stored_row(row)?);
        }
        Ok(found)
    }

    /// Live rows of one account from an instant on: what a complete walk from there should have shown.
    ///
    /// Shape: (our id, where it stands), in no promised order.
    pub fn live_rows_from(&self, account_id: i64, from: Option<Timestamp>) -> Result<Vec<(i64, Status)>, StoreError> {
        // The day bounds the index search; a day less, because a civil day may begin before its UTC instant.
        let mut select = self.txn.prepare_cached(
            "SELECT transaction_id, status FROM transactions
             WHERE account_id = :account_id AND removed_at IS NULL AND transacted_at >= :from
               AND transacted_on >= date(:from / 1000, 'unixepoch', '-1 day')",
        )?;
        let from = from.map_or(-62_135_596_800_000, ms);
        let mut rows = select.query(named_params! { ":account_id": account_id, ":from": from })?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let status: String = row.get("status")?;
            let status = Status::from_word(&status).ok_or_else(|| word_error("transactions.status", status))?;
            found.push((row.get("transaction_id")?, status));
        }
        Ok(found)
    }

    /// Rows missed by a complete walk before, with the instant of that.
    pub fn absences(&self, link_id: i64) -> Result<Vec<(i64, Timestamp)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT x.transaction_id, x.first_missed_at FROM transaction_absences x
             JOIN transactions t ON t.transaction_id = x.transaction_id WHERE t.link_id = :link_id",
        )?;
        let rows = select.query_map(named_params! { ":link_id": link_id }, |row| {
            Ok((row.get("transaction_id")?, instant(row.get("first_missed_at")?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// The prepared statements of one page.
pub struct PageWriter<'t> {
    find: CachedStatement<'t>,
    find_alias: CachedStatement<'t>,
    insert: CachedStatement<'t>,
    change: CachedStatement<'t>,
    next_change_id: i64,
    txn: &'t WriteTxn<'t>,
    currencies: HashSet<Currency>,
}

impl<'c> WriteTxn<'c> {
    /// Prepares writing a page of transactions. [`PageWriter::finish`] must be called before the transaction commits.
    pub fn page_writer<'t>(&'t self) -> Result<PageWriter<'t>, StoreError>
    where
        'c: 't,
    {
        let next_change_id =
            self.txn.query_row("SELECT value FROM store_meta WHERE name = 'next_change_id'", [], |row| row.get(0))?;
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
                     posted_seen_at, first_seen_at, changed_at, content_hash, raw)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22, ?23, ?24, ?24, ?25, jsonb(?26))",
            )?,
            change: self.txn.prepare_cached(
                "INSERT INTO transaction_changes (change_id, transaction_id, sync_id, kind, changed_at, before, after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?,
            next_change_id,
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
            ms(record.transacted_at),
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
        ])?;
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
                 longitude = :longitude, operation_type = :operation_type, upstream_status = :upstream_status,
                 posted_seen_at = iif(:status = 'posted', coalesce(posted_seen_at, :seen_at), NULL),
                 changed_at = iif(:has_change, :seen_at, changed_at), removed_at = NULL,
                 content_hash = :content_hash, raw = iif(:raw IS NULL, NULL, jsonb(:raw))
             WHERE transaction_id = :transaction_id",
        )?;
        update.execute(named_params! {
            ":account_id": at.account_id, ":upstream_id": record.upstream_id, ":external_id": record.external_id,
            ":status": record.status.as_str(), ":amount_minor": record.amount_minor, ":memo_minor": record.memo_minor,
            ":currency": record.currency.as_str(), ":transacted_at": ms(record.transacted_at),
            ":transacted_on": day_text(record.transacted_on), ":posted_at": record.posted_at.map(ms),
            ":posted_on": record.posted_on.map(day_text), ":description": record.description,
            ":merchant": record.merchant, ":category": record.category, ":merchant_code": record.merchant_code,
            ":check_number": record.check_number, ":memo": record.memo, ":latitude": record.latitude,
            ":longitude": record.longitude, ":operation_type": record.operation_type,
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
        self.txn.txn.execute(
            "UPDATE store_meta SET value = :next WHERE name = 'next_change_id' AND value <> :next",
            named_params! { ":next": self.next_change_id },
        )?;
        Ok(())
    }
}

impl WriteTxn<'_> {
    /// Moves the cursor, back too after the clock was ahead. Only the commit that completes a walk may call this.
    pub fn move_cursor(&self, link_id: i64, covered_to: Timestamp, is_full: bool) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO cursors (link_id, covered_to_at, full_walked_at)
             VALUES (:link_id, :covered_to, iif(:is_full, :covered_to, NULL))
             ON CONFLICT (link_id) DO UPDATE SET covered_to_at = excluded.covered_to_at,
                 full_walked_at = coalesce(excluded.full_walked_at, full_walked_at)",
        )?;
        upsert.execute(named_params! {
            ":link_id": link_id, ":covered_to": ms(covered_to), ":is_full": is_full,
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

    /// Sets a malformed row aside; the same row again is only counted.
    pub fn put_rejected(&self, link_id: i64, row: &RejectedRow, now: Timestamp) -> Result<(), StoreError> {
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO rejected_rows (link_id, fingerprint, upstream_id, transacted_at, reason, raw, first_seen_at, last_seen_at)
             VALUES (:link_id, :fingerprint, :upstream_id, :transacted_at, :reason, :raw, :now, :now)
             ON CONFLICT (link_id, fingerprint) DO UPDATE SET last_seen_at = excluded.last_seen_at, resolved_at = NULL",
        )?;
        let fingerprint = xxhash_rust::xxh3::xxh3_64(row.raw.as_bytes()).cast_signed();
        upsert.execute(named_params! {
            ":link_id": link_id, ":fingerprint": fingerprint, ":upstream_id": row.upstream_id,
            ":transacted_at": row.transacted_at.map(ms), ":reason": row.reason, ":raw": row.raw, ":now": ms(now),
        })?;
        Ok(())
    }

    /// Resolves the rows set aside before `walked_at` that a complete walk from `from` did not show malformed again.
    pub fn resolve_rejected(
        &self,
        link_id: i64,
        from: Option<Timestamp>,
        walked_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE rejected_rows SET resolved_at = :walked_at
             WHERE link_id = :link_id AND resolved_at IS NULL AND last_seen_at < :walked_at
               AND (:from IS NULL OR transacted_at >= :from)",
        )?;
        update.execute(named_params! { ":walked_at": ms(walked_at), ":link_id": link_id, ":from": from.map(ms) })?;
        Ok(())
    }
}

/// A civil date as the store writes it, without the formatting machinery on the hot path.
fn day_text(day: Date) -> String {
    day.to_string()
}
