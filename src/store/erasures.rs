//! Forgetting customers: what was ordered, how far it is, and the certificates that stay.
//!
//! An erasure is a row before anything is deleted, so a process that dies leaves an order that the next one carries out. What
//! must stay true: from the order on nothing of the customer is stored again (`put_user` refuses), whoever lists or announces
//! them; no row here says who it was, ids are kept as keyed hashes only; and no other customer's rows are touched.

mod begin;
mod certificates;
mod file;
mod ids;
mod keys;
mod progress;
mod rows;

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{ReadTxn, StoreError, instant};

pub use certificates::Certificate;
pub use keys::IdKind;
pub(super) use keys::{KeyNotMade, put_key};
pub use rows::{ERASED_TABLES, Erased, PastEvent, UpstreamIds};

/// Why an erasure at the aggregator needs nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamOutcome {
    /// The aggregator deleted the customer.
    Deleted,
    /// It did not know the customer, or no more.
    UnknownThere,
    /// An operator decided that it is not asked.
    Left,
}

impl UpstreamOutcome {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::UnknownThere => "unknown_there",
            Self::Left => "left",
        }
    }

    /// What a word of the store or of a certificate means.
    pub fn from_word(word: &str) -> Result<Self, StoreError> {
        [Self::Deleted, Self::UnknownThere, Self::Left]
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord { column: "erasures.upstream_outcome", value: word.to_owned() })
    }
}

/// An erasure: an order, or the certificate that it was carried out. It does not say who it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Our id.
    pub erasure_id: i64,
    /// The source.
    pub source_id: i64,
    /// Its name.
    pub source: String,
    /// Whose rows are still here; `None`: none are.
    pub user_id: Option<i64>,
    /// When it was ordered.
    pub requested_at: Timestamp,
    /// What came of it at the aggregator; `None`: not deleted there yet.
    pub upstream_outcome: Option<UpstreamOutcome>,
    /// When that was.
    pub upstream_at: Option<Timestamp>,
    /// When the last row here was deleted.
    pub erased_at: Option<Timestamp>,
    /// When the file was rewritten without its gaps.
    pub rewritten_at: Option<Timestamp>,
    /// When the write-ahead log was empty after that.
    pub overwritten_at: Option<Timestamp>,
    /// When everything was done; `None`: it is under way.
    pub finished_at: Option<Timestamp>,
    /// Rows deleted, by table.
    pub rows: BTreeMap<String, u64>,
    /// Attempts that did not bring it on, one after another.
    pub tries: u32,
    /// When it goes on.
    pub next_try_at: Timestamp,
    /// What held it up.
    pub last_error: Option<String>,
    /// The keyed hash of the aggregator's id, lower-case hexadecimal.
    pub upstream_id_hmac: Option<String>,
    /// That of the organisation's own id; `None`: there was none.
    pub external_id_hmac: Option<String>,
}

const COLUMNS: &str = "e.erasure_id, e.source_id, s.name AS source, e.user_id, e.requested_at, e.upstream_outcome, e.upstream_at,
    e.erased_at, e.rewritten_at, e.overwritten_at, e.finished_at, e.rows_deleted, e.tries, e.next_try_at, e.last_error,
    (SELECT lower(hex(id_hash)) FROM forgotten_ids f WHERE f.erasure_id = e.erasure_id AND f.kind = 'user') AS upstream_id_hmac,
    (SELECT lower(hex(id_hash)) FROM forgotten_ids f WHERE f.erasure_id = e.erasure_id AND f.kind = 'external') AS external_id_hmac";

fn erasure(row: &Row<'_>) -> Result<Erasure, StoreError> {
    let at =
        |column: &str| -> rusqlite::Result<Option<Timestamp>> { Ok(row.get::<_, Option<i64>>(column)?.map(instant)) };
    let outcome: Option<String> = row.get("upstream_outcome")?;
    let rows: String = row.get("rows_deleted")?;
    Ok(Erasure {
        erasure_id: row.get("erasure_id")?,
        source_id: row.get("source_id")?,
        source: row.get("source")?,
        user_id: row.get("user_id")?,
        requested_at: instant(row.get("requested_at")?),
        upstream_outcome: outcome.as_deref().map(UpstreamOutcome::from_word).transpose()?,
        upstream_at: at("upstream_at")?,
        erased_at: at("erased_at")?,
        rewritten_at: at("rewritten_at")?,
        overwritten_at: at("overwritten_at")?,
        finished_at: at("finished_at")?,
        rows: serde_json::from_str(&rows)
            .map_err(|_| StoreError::UnknownWord { column: "erasures.rows_deleted", value: rows.clone() })?,
        tries: row.get("tries")?,
        next_try_at: instant(row.get("next_try_at")?),
        last_error: row.get("last_error")?,
        upstream_id_hmac: row.get("upstream_id_hmac")?,
        external_id_hmac: row.get("external_id_hmac")?,
    })
}

impl ReadTxn<'_> {
    /// One erasure.
    pub fn erasure(&self, erasure_id: i64) -> Result<Erasure, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM erasures e JOIN sources s ON s.source_id = e.source_id WHERE e.erasure_id = :erasure_id"
        ))?;
        let mut rows = select.query(named_params! { ":erasure_id": erasure_id })?;
        rows.next()?.map_or(Err(StoreError::Missing { what: "erasure", id: erasure_id }), erasure)
    }

    /// Every erasure in the order in which they were ordered; with `is_open` those under way only.
    pub fn erasures(&self, is_open: bool) -> Result<Vec<Erasure>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM erasures e JOIN sources s ON s.source_id = e.source_id
             WHERE NOT :is_open OR e.finished_at IS NULL ORDER BY e.erasure_id"
        ))?;
        let mut rows = select.query(named_params! { ":is_open": is_open })?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(erasure(row)?);
        }
        Ok(found)
    }

    /// The erasures under way whose time has come, the longest due first.
    pub fn due_erasures(&self, now: Timestamp) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT erasure_id FROM erasures WHERE finished_at IS NULL AND next_try_at <= :now ORDER BY next_try_at",
        )?;
        let rows = select.query_map(named_params! { ":now": super::ms(now) }, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whether a customer whose rows are here is being forgotten.
    pub fn is_being_forgotten(&self, user_id: i64) -> Result<bool, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT 1 FROM erasures WHERE user_id = :user_id")?;
        Ok(select.exists(named_params! { ":user_id": user_id })?)
    }

    /// The latest erasure of whoever has this id at a source: the aggregator's or the organisation's own.
    pub fn erasure_of(&self, source_id: i64, id: &str) -> Result<Option<i64>, StoreError> {
        let key = self.pseudonym_key()?;
        let mut select = self.txn.prepare_cached(
            "SELECT erasure_id FROM forgotten_ids
             WHERE source_id = :source_id AND ((kind = 'user' AND id_hash = :user) OR (kind = 'external' AND id_hash = :external))
             ORDER BY erasure_id DESC LIMIT 1",
        )?;
        let found = select.query_row(
            named_params! {
                ":source_id": source_id, ":user": key.of(IdKind::User.as_str(), id),
                ":external": key.of(IdKind::External.as_str(), id),
            },
            |row| row.get(0),
        );
        Ok(found.optional()?)
    }
}

#[cfg(test)]
mod tests;
