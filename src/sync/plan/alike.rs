//! Whether two rows can be one transaction: the same but for their ids, or like each other.

use std::collections::HashSet;

use jiff::civil::Date;

use crate::model::{RowTraces, Status, TransactionRecord};

/// How far apart the days of one transaction under two ids may lie.
pub(in crate::sync) const MATCH_DAYS: i32 = 7;
/// The share of words that two descriptions of one transaction have in common at least, in percent of the shorter one.
const ALIKE_PERCENT: usize = 50;

/// What two rows share that nothing but their ids and instants tells apart: account, status, amount, currency, day, text.
pub(super) type Identity<'a> = (i64, &'static str, i64, &'a str, Date, &'a str);

pub(super) fn identity(account_id: i64, r: &TransactionRecord) -> Identity<'_> {
    (account_id, r.status.as_str(), r.amount_minor, r.currency.as_str(), r.transacted_on, &r.description)
}

/// Two different external ids are two different bookings.
fn external_ids_agree(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    match (&a.external_id, &b.external_id) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }
}

/// Whether `posted` can be what `pending` became: announced or planned, then booked.
pub(super) fn posts(pending: &TransactionRecord, posted: &TransactionRecord) -> bool {
    pending.status != Status::Posted && posted.status == Status::Posted && is_like(pending, posted)
}

/// Whether `new` can be what `old` became without changing where it stands: a day that moved, a text that was tidied.
pub(super) fn is_made_anew(old: &TransactionRecord, new: &TransactionRecord) -> bool {
    old.status == new.status && is_like(old, new)
}

/// Same amount, direction and currency, within days, a like description.
fn is_like(a: &TransactionRecord, b: &TransactionRecord) -> bool {
    a.amount_minor == b.amount_minor
        && a.currency == b.currency
        && external_ids_agree(a, b)
        && days_between(a.transacted_on, b.transacted_on) <= MATCH_DAYS
        && are_alike(&a.description, &b.description)
}

/// Whether a malformed row can be a stored one of its account under a new id: nothing that can be read of it says otherwise.
pub(in crate::sync) fn may_be(malformed: &RowTraces, stored: &TransactionRecord) -> bool {
    if malformed.external_id.is_some() && malformed.external_id == stored.external_id {
        return true;
    }
    malformed.amount_minor.is_none_or(|amount| amount == stored.amount_minor)
        && malformed.transacted_on.is_none_or(|on| days_between(on, stored.transacted_on) <= MATCH_DAYS)
}

fn days_between(a: Date, b: Date) -> i32 {
    a.until(b).map_or(i32::MAX, |span| span.get_days().abs())
}

/// Whether two descriptions can name one transaction: they share at least half of the shorter one's words.
///
/// Case, punctuation and words with digits do not count: banks add dates, terminals and card numbers when a row posts.
pub(super) fn are_alike(a: &str, b: &str) -> bool {
    let (a, b) = (words(a), words(b));
    if a.is_empty() || b.is_empty() {
        return a.is_empty() && b.is_empty();
    }
    let shared = a.intersection(&b).count();
    shared * 100 >= ALIKE_PERCENT * a.len().min(b.len())
}

fn words(text: &str) -> HashSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() > 1 && !word.chars().any(|c| c.is_ascii_digit()))
        .map(str::to_uppercase)
        .filter(|word| word != "PENDING" && word != "AUTH" && word != "HOLD")
        .collect()
}
