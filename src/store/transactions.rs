//! Transactions, their history, former ids, absences, the cursor, and rows set aside.
//!
//! The hot path is [`PageWriter`]: it holds the prepared statements of one page. What is to be written is decided by
//! `sync::plan`; nothing here decides.

mod rejected;
mod write;

use jiff::Timestamp;
use jiff::civil::Date;
use rusqlite::{OptionalExtension as _, Row, Rows, named_params};

use super::{ReadTxn, StoreError, instant, ms};
use crate::model::{Status, TransactionRecord};
use crate::money::Currency;

pub use write::PageWriter;

/// How far a link's transactions are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Everything that upstream held at this instant is stored.
    pub covered_to_at: Timestamp,
    /// Where a feed of changes stands.
    pub feed: FeedPosition,
    /// When the whole history was last walked completely.
    pub full_walked_at: Option<Timestamp>,
}

/// Where a feed of changes stands, on upstream's own clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedPosition {
    /// The latest instant at which a stored row was written; `None`: no feed, or no row yet.
    pub updated_to: Option<Timestamp>,
    /// Up to here everything was seen twice, the second time at least the overlap later.
    pub settled_to: Option<Timestamp>,
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

/// A live row that has the money, or the bank's own identifier, of one that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LikeRow {
    /// Our id.
    pub transaction_id: i64,
    /// It has not posted.
    pub is_waiting: bool,
    /// Nothing but ids tells it from the one that came.
    pub is_same: bool,
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
    /// Upstream took a row back and made it anew within days, with a like description.
    Recreated,
}

impl AliasRule {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Identical => "identical",
            Self::PostedLikePending => "posted_like_pending",
            Self::FormerId => "former_id",
            Self::Recreated => "recreated",
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
    t.amount_minor, t.memo_minor, t.currency, t.transacted_at, t.transacted_on, t.posted_at, t.posted_on, t.description, t.clean_description,
    t.merchant, t.category, t.upstream_category_id, t.merchant_code, t.check_number, t.memo, t.latitude, t.longitude, t.operation_type,
    t.upstream_status, t.upstream_updated_at, t.removed_at, t.content_hash";

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
            transacted_at: row.get::<_, Option<i64>>("transacted_at")?.map(instant),
            transacted_on: day("transactions.transacted_on", row.get("transacted_on")?)?,
            posted_at: row.get::<_, Option<i64>>("posted_at")?.map(instant),
            posted_on: row
                .get::<_, Option<String>>("posted_on")?
                .map(|text| day("transactions.posted_on", text))
                .transpose()?,
            description: row.get("description")?,
            clean_description: row.get("clean_description")?,
            merchant: row.get("merchant")?,
            category: row.get("category")?,
            upstream_category_id: row.get("upstream_category_id")?,
            merchant_code: row.get("merchant_code")?,
            check_number: row.get("check_number")?,
            memo: row.get("memo")?,
            latitude: row.get("latitude")?,
            longitude: row.get("longitude")?,
            operation_type: row.get("operation_type")?,
            upstream_status: row.get("upstream_status")?,
            upstream_updated_at: row.get::<_, Option<i64>>("upstream_updated_at")?.map(instant),
            is_obfuscated: false,
            content_hash: row.get("content_hash")?,
            raw: String::new(),
        },
    })
}

/// Our ids with where each row stands.
fn statuses(mut rows: Rows<'_>) -> Result<Vec<(i64, Status)>, StoreError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let status: String = row.get("status")?;
        let status = Status::from_word(&status).ok_or_else(|| word_error("transactions.status", status))?;
        found.push((row.get("transaction_id")?, status));
    }
    Ok(found)
}

impl ReadTxn<'_> {
    /// How far a link is stored; `None`: never walked completely.
    pub fn cursor(&self, link_id: i64) -> Result<Option<Cursor>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT covered_to_at, updated_to_at, settled_to_at, full_walked_at FROM cursors WHERE link_id = :link_id",
        )?;
        Ok(select
            .query_row(named_params! { ":link_id": link_id }, |row| {
                Ok(Cursor {
                    covered_to_at: instant(row.get("covered_to_at")?),
                    feed: FeedPosition {
                        updated_to: row.get::<_, Option<i64>>("updated_to_at")?.map(instant),
                        settled_to: row.get::<_, Option<i64>>("settled_to_at")?.map(instant),
                    },
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

    /// The day of the newest row of a link that was first seen at an instant or before; `None`: it has none.
    pub fn newest_row_on(&self, link_id: i64, seen_by: Timestamp) -> Result<Option<Date>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT max((SELECT transacted_on FROM transactions t
                         WHERE t.account_id = a.account_id AND t.first_seen_at <= :seen_by
                         ORDER BY t.transacted_on DESC LIMIT 1))
             FROM accounts a WHERE a.link_id = :link_id",
        )?;
        let newest: Option<String> =
            select.query_row(named_params! { ":link_id": link_id, ":seen_by": ms(seen_by) }, |row| row.get(0))?;
        newest.map(|day| day.parse().map_err(|_| word_error("transactions.transacted_on", day))).transpose()
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

    /// Whether `is_it` for any live row of one account, of some days, that has the money or the bank's own identifier of
    /// `like`, for recognising a row under a new id.
    ///
    /// There may be thousands of one price: posted ones are looked at only on their own days, and nothing after the first that
    /// is it.
    pub fn any_live_row_like(
        &self,
        account_id: i64,
        (from, to): (Date, Date),
        (posted_from, posted_to): (Date, Date),
        like: &TransactionRecord,
        mut is_it: impl FnMut(LikeRow) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT transaction_id, status <> 'posted' AS is_waiting,
                    status = :status AND amount_minor = :amount AND currency = :currency AND transacted_on = :transacted_on
                    AND transacted_at IS :transacted_at AND description = :description AS is_same
             FROM transactions
             WHERE account_id = :account_id AND transacted_on BETWEEN :from AND :to AND removed_at IS NULL
               AND (external_id = :external_id OR (amount_minor = :amount AND currency = :currency
                    AND (status = 'pending' OR transacted_on BETWEEN :posted_from AND :posted_to)))",
        )?;
        let mut rows = select.query(named_params! {
            ":account_id": account_id, ":from": from.to_string(), ":to": to.to_string(), ":status": like.status.as_str(),
            ":amount": like.amount_minor, ":currency": like.currency.as_str(), ":external_id": like.external_id,
            ":transacted_on": like.transacted_on.to_string(), ":transacted_at": like.transacted_at.map(ms),
            ":description": like.description, ":posted_from": posted_from.to_string(), ":posted_to": posted_to.to_string(),
        })?;
        while let Some(row) = rows.next()? {
            let (transaction_id, is_waiting) = (row.get("transaction_id")?, row.get("is_waiting")?);
            if is_it(LikeRow { transaction_id, is_waiting, is_same: row.get("is_same")? })? {
                return Ok(true);
            }
        }
        Ok(false)
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
        statuses(select.query(named_params! { ":account_id": account_id, ":from": from })?)
    }

    /// Live rows of one account from a day on.
    ///
    /// Shape: (our id, where it stands), in no promised order.
    pub fn live_rows_since(&self, account_id: i64, day: Date) -> Result<Vec<(i64, Status)>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT transaction_id, status FROM transactions
             WHERE account_id = :account_id AND removed_at IS NULL AND transacted_on >= :day",
        )?;
        statuses(select.query(named_params! { ":account_id": account_id, ":day": day.to_string() })?)
    }

    /// The account of a stored row.
    pub fn account_of(&self, transaction_id: i64) -> Result<i64, StoreError> {
        let mut select =
            self.txn.prepare_cached("SELECT account_id FROM transactions WHERE transaction_id = :transaction_id")?;
        Ok(select.query_row(named_params! { ":transaction_id": transaction_id }, |row| row.get(0))?)
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
