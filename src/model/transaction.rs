//! Transactions, and rows that could not be understood.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::money::Currency;

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Announced; may change, vanish or come back under another id.
    Pending,
    /// Booked.
    Posted,
    /// Planned by the bank.
    Future,
}

impl Status {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Posted => "posted",
            Self::Future => "future",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Posted, Self::Future].into_iter().find(|s| s.as_str() == word)
    }
}

/// One transaction, every value in the store's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The aggregator's id; unique within a link.
    pub upstream_id: String,
    /// The aggregator's id of the account.
    pub upstream_account_id: String,
    /// The bank's own identifier.
    pub external_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Positive is money into the account; 0 for rows that move no money.
    pub amount_minor: i64,
    /// The figure on a row that moves no money.
    pub memo_minor: Option<i64>,
    /// The currency of the amount.
    pub currency: Currency,
    /// When it happened; `None` where upstream tells only the day.
    pub transacted_at: Option<Timestamp>,
    /// The civil day of it at the bank.
    pub transacted_on: Date,
    /// When the money moved; `None` while pending.
    pub posted_at: Option<Timestamp>,
    /// The civil day of that.
    pub posted_on: Option<Date>,
    /// The bank's text.
    pub description: String,
    /// The aggregator's tidier version of it.
    pub clean_description: Option<String>,
    /// Who was paid.
    pub merchant: Option<String>,
    /// Free text.
    pub category: Option<String>,
    /// The aggregator's id of a category, where it keeps a list of them.
    pub upstream_category_id: Option<String>,
    /// ISO 18245 code.
    pub merchant_code: Option<String>,
    /// The number of a cheque.
    pub check_number: Option<String>,
    /// A note.
    pub memo: Option<String>,
    /// Decimal text.
    pub latitude: Option<String>,
    /// Decimal text.
    pub longitude: Option<String>,
    /// What kind of operation, where the aggregator says.
    pub operation_type: Option<String>,
    /// Upstream's status, verbatim.
    pub upstream_status: Option<String>,
    /// When upstream last wrote this version; an older one never replaces a newer one.
    pub upstream_updated_at: Option<Timestamp>,
    /// Its texts are hidden behind X: such a version never replaces one that can be read.
    pub is_obfuscated: bool,
    /// Hash of upstream's JSON without its update time: equal means nothing changed.
    pub content_hash: i64,
    /// Upstream's JSON.
    pub raw: String,
}

/// A row that could not be understood, set aside with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// `None` where the row has none.
    pub upstream_id: Option<String>,
    /// `None` where it cannot be read.
    pub transacted_at: Option<Timestamp>,
    /// What is wrong with it.
    pub reason: String,
    /// Which stored rows it may be.
    pub traces: RowTraces,
    /// Upstream's JSON.
    pub raw: String,
}

/// What a malformed row still tells of itself; `None` where it cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowTraces {
    /// Upstream's id of its account.
    pub upstream_account_id: Option<String>,
    /// The bank's own id.
    pub external_id: Option<String>,
    /// Signed, in minor units of its currency.
    pub amount_minor: Option<i64>,
    /// The day it happened.
    pub transacted_on: Option<Date>,
    /// It says that it is gone.
    pub is_taken_back: bool,
}
