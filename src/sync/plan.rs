//! What is to be written for a row: pure comparisons of what came with what is stored.
//!
//! Nothing here reads or writes. `apply` asks these functions row by row and at the end of a walk.

mod alike;
mod matching;

use serde_json::{Map, Value, json};

use crate::model::{Status, TransactionRecord};
use crate::store::StoredRow;

use alike::identity;
pub(super) use alike::{MATCH_DAYS, may_be};
pub(super) use matching::match_held;

/// A change of value, ready for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// `updated`, `posted` or `restored`.
    pub(super) kind: &'static str,
    /// The differing columns as they were, JSON.
    pub(super) before: String,
    /// The same columns as they are now.
    pub(super) after: String,
}

/// A new upstream id that may be a stored row under another name, kept until the walk has shown what is gone.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// The row as it came.
    pub(super) record: TransactionRecord,
    /// Its account.
    pub(super) account_id: i64,
    /// The stored row that had this very id once.
    pub(super) former_owner: Option<i64>,
}

/// A stored row that a complete walk did not show.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    /// The row.
    pub(super) row: StoredRow,
    /// Its account.
    pub(super) account_id: i64,
    /// The list that did not show it is a statement of what there is, or upstream took it back: it will not come again under
    /// its id.
    pub(super) is_for_good: bool,
}

/// Whether a version of a row was written upstream before another one of it.
pub(super) fn is_older(version: &TransactionRecord, than: &TransactionRecord) -> bool {
    matches!((version.upstream_updated_at, than.upstream_updated_at), (Some(written), Some(other)) if written < other)
}

/// Compares a row with its stored self.
///
/// Shape: `None` where no value differs; then at most the JSON is news.
pub(super) fn change_between(stored: &StoredRow, incoming: &TransactionRecord) -> Option<Change> {
    let mut before = Map::new();
    let mut after = Map::new();
    if let Some(removed_at) = stored.removed_at {
        before.insert("removed_at".to_owned(), json!(removed_at.as_millisecond()));
        after.insert("removed_at".to_owned(), Value::Null);
    }
    for ((name, old), (_, new)) in columns(&stored.record).into_iter().zip(columns(incoming)) {
        if old != new {
            before.insert(name.to_owned(), old);
            after.insert(name.to_owned(), new);
        }
    }
    if before.is_empty() {
        return None;
    }
    let kind = if stored.removed_at.is_some() {
        "restored"
    } else if stored.record.status != Status::Posted && incoming.status == Status::Posted {
        "posted"
    } else {
        "updated"
    };
    Some(Change { kind, before: Value::Object(before).to_string(), after: Value::Object(after).to_string() })
}

/// The values whose change is history, by column.
fn columns(r: &TransactionRecord) -> [(&'static str, Value); 22] {
    [
        ("upstream_id", json!(r.upstream_id)),
        ("upstream_account_id", json!(r.upstream_account_id)),
        ("external_id", json!(r.external_id)),
        ("status", json!(r.status.as_str())),
        ("amount_minor", json!(r.amount_minor)),
        ("memo_minor", json!(r.memo_minor)),
        ("currency", json!(r.currency.as_str())),
        ("transacted_at", json!(r.transacted_at.map(jiff::Timestamp::as_millisecond))),
        ("transacted_on", json!(r.transacted_on.to_string())),
        ("posted_at", json!(r.posted_at.map(jiff::Timestamp::as_millisecond))),
        ("posted_on", json!(r.posted_on.map(|d| d.to_string()))),
        ("description", json!(r.description)),
        ("clean_description", json!(r.clean_description)),
        ("merchant", json!(r.merchant)),
        ("category", json!(r.category)),
        ("upstream_category_id", json!(r.upstream_category_id)),
        ("merchant_code", json!(r.merchant_code)),
        ("check_number", json!(r.check_number)),
        ("memo", json!(r.memo)),
        ("location", json!((&r.latitude, &r.longitude))),
        ("operation_type", json!(r.operation_type)),
        ("upstream_status", json!(r.upstream_status)),
    ]
}

/// Whether a stored row could be `incoming` under its former id, or give way to it, so that the walk's end must decide.
///
/// Both have the same money, or the bank's own identifier. Wider than what [`match_held`] accepts: a row that comes in place of another one must be stored in the commit that removes
/// the other, or a reader would see the money twice in between. In a feed of changes any row may be made anew (`is_feed`).
pub(super) fn may_replace(stored: &TransactionRecord, incoming: &TransactionRecord, is_feed: bool) -> bool {
    let is_same_money = stored.amount_minor == incoming.amount_minor && stored.currency == incoming.currency;
    (stored.external_id.is_some() && stored.external_id == incoming.external_id)
        || ((is_feed || stored.status == Status::Pending) && is_same_money)
        || identity(0, stored) == identity(0, incoming)
}

#[cfg(test)]
mod tests;
