//! Bridge's JSON made into normalized records. Pure: text in, values out, one test per oddity of the contract.
//!
//! What must stay true: an unknown field, enum value or type never fails a page, and null is the same as absent; a row
//! whose money, day, account or id cannot be told is set aside with the reason and never guessed at; what Bridge hides
//! behind X never stands for a value.
//! Source: upstream/bridge.md sections 8 to 11 and 16.

mod account;
mod catalog;
mod holding;
mod item;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::wire;
use crate::aggregator::complaint::cited;
use crate::aggregator::loose::Loose;
use crate::aggregator::{Tombstone, TransactionPage};
use crate::model::{RejectedRow, RowTraces, Status, TransactionRecord, UserRecord};
use crate::money::Currency;

pub(super) use account::account;
pub(super) use catalog::{categories, institution};
pub(super) use holding::holding;
pub(super) use item::link;

/// Enters every content hash: raising it makes the next pull look at each row again with a corrected normalizer.
const NORMALIZER_VERSION: u64 = 1;
/// So many X and nothing else hide a text. Source: section 8.2, status 1100.
const MIN_HIDING_CHARS: usize = 4;

/// The rows of one page; with `account` only those of that account.
///
/// Source: section 10.2: a filter that Bridge does not know shows the rows of all accounts.
pub(super) fn transactions(resources: &[&RawValue], account: Option<&str>) -> TransactionPage {
    let mut page = TransactionPage { rows: Vec::with_capacity(resources.len()), ..TransactionPage::default() };
    for raw in resources {
        match row(raw.get(), account) {
            Ok(Row::Live(record)) => {
                page.latest_update = page.latest_update.max(record.upstream_updated_at);
                page.rows.push(*record);
            }
            Ok(Row::Deleted(tombstone)) => {
                page.latest_update = page.latest_update.max(tombstone.upstream_updated_at);
                page.removed.push(tombstone);
            }
            Ok(Row::OtherAccount) => {}
            Err(reason) => page.rejected.push(reject(raw.get(), reason)),
        }
    }
    page
}

enum Row {
    Live(Box<TransactionRecord>),
    Deleted(Tombstone),
    OtherAccount,
}

/// Sets a row aside with whatever can still be told of it; Bridge tells no instants, so never when it happened.
fn reject(text: &str, reason: String) -> RejectedRow {
    let row: wire::Transaction<'_> = wire::object(text).unwrap_or_default();
    let traces = RowTraces {
        upstream_account_id: id(&row.account_id),
        external_id: None,
        amount_minor: money(&row).ok().map(|(_, amount_minor)| amount_minor),
        transacted_on: Days::read(&row).ok().map(|days| days.transacted_on),
        is_taken_back: flag(&row.deleted) == Some(true),
    };
    RejectedRow { upstream_id: id(&row.id), transacted_at: None, reason, traces, raw: text.to_owned() }
}

fn row(text: &str, account: Option<&str>) -> Result<Row, String> {
    let row: wire::Transaction<'_> = wire::object(text).map_err(|e| format!("not a transaction: {e}"))?;
    let upstream_id = id(&row.id).ok_or("no id")?;
    let account_id = id(&row.account_id);
    if let (Some(asked), Some(named)) = (account, account_id.as_deref())
        && asked != named
    {
        return Ok(Row::OtherAccount);
    }
    // Only these two are sure to be there on a deleted row. Source: section 10.3.
    if flag(&row.deleted) == Some(true) {
        return Ok(Row::Deleted(Tombstone { upstream_id, upstream_updated_at: instant_of(&row.updated_at) }));
    }
    let upstream_account_id = account_id.ok_or("no account_id")?;
    record(text, &row, upstream_id, upstream_account_id).map(|record| Row::Live(Box::new(record)))
}

fn record(
    text: &str,
    row: &wire::Transaction<'_>,
    upstream_id: String,
    upstream_account_id: String,
) -> Result<TransactionRecord, String> {
    let (currency, amount_minor) = money(row)?;
    let days = Days::read(row)?;
    let is_future = flag(&row.future) == Some(true);
    let (raw_text, clean_text) = (row.provider_description.text(), row.clean_description.text());
    let is_obfuscated = [&raw_text, &clean_text].into_iter().flatten().any(|text| is_hidden(text));
    Ok(TransactionRecord {
        upstream_id,
        upstream_account_id,
        external_id: None,
        status: if is_future { Status::Future } else { Status::Posted },
        amount_minor,
        memo_minor: None,
        currency,
        transacted_at: None,
        transacted_on: days.transacted_on,
        posted_at: None,
        posted_on: (!is_future).then_some(days.posted_on),
        description: raw_text.or_else(|| clean_text.clone()).unwrap_or_default(),
        clean_description: clean_text,
        merchant: None,
        category: None,
        upstream_category_id: id(&row.category_id),
        merchant_code: None,
        check_number: None,
        memo: None,
        latitude: None,
        longitude: None,
        operation_type: row.operation_type.text(),
        upstream_status: None,
        upstream_updated_at: instant_of(&row.updated_at),
        is_obfuscated,
        content_hash: content_hash(text, row.updated_at.raw()),
        raw: text.to_owned(),
    })
}

fn money(row: &wire::Transaction<'_>) -> Result<(Currency, i64), String> {
    let currency: Currency = row.currency_code.text().ok_or("no currency_code")?.parse().map_err(|e| format!("{e}"))?;
    let amount = row.amount.decimal().ok_or("no amount")?;
    let amount_minor = currency.parse_minor(&amount).map_err(|e| e.to_string())?;
    Ok((currency, amount_minor))
}

/// The two days of a row that are kept.
struct Days {
    transacted_on: Date,
    posted_on: Date,
}

impl Days {
    /// Source: section 10.1: `date` is always there and repeats one of the others, which may be absent.
    fn read(row: &wire::Transaction<'_>) -> Result<Self, String> {
        let date = read_day("date", &row.date)?;
        let transaction = read_day("transaction_date", &row.transaction_date)?;
        let booking = read_day("booking_date", &row.booking_date)?;
        let value = read_day("value_date", &row.value_date)?;
        let transacted_on = transaction.or(date).or(booking).or(value).ok_or("no date")?;
        let posted_on = booking.or(date).or(value).unwrap_or(transacted_on);
        Ok(Self { transacted_on, posted_on })
    }
}

fn read_day(field: &str, value: &Loose<'_>) -> Result<Option<Date>, String> {
    match value.text() {
        None => Ok(None),
        Some(text) => day(&text).map(Some).ok_or_else(|| format!("{field} {} is no day", cited(&text))),
    }
}

/// Reads a civil day; a time behind it is left alone.
fn day(text: &str) -> Option<Date> {
    let rest = text.get(10..)?;
    let is_day = rest.is_empty() || rest.starts_with(['T', 't', ' ']);
    text.get(..10).filter(|_| is_day)?.parse().ok()
}

fn day_of(value: &Loose<'_>) -> Option<Date> {
    day(&value.text()?)
}

/// Reads an instant, with or without a fraction; one without a zone is taken as UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let without_zone = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let at = text.parse::<Timestamp>().ok().or_else(without_zone)?;
    Timestamp::from_millisecond(at.as_millisecond()).ok()
}

fn instant_of(value: &Loose<'_>) -> Option<Timestamp> {
    instant(&value.text()?)
}

/// An id as text: a number's digits as they came, since it may have more than a float keeps.
fn id(value: &Loose<'_>) -> Option<String> {
    let text = value.text()?;
    let is_text = value.raw()?.starts_with('"');
    (is_text || text.bytes().all(|b| b.is_ascii_digit())).then_some(text)
}

fn flag(value: &Loose<'_>) -> Option<bool> {
    value.text()?.to_ascii_lowercase().parse().ok()
}

/// Whether a text is only X, which says nothing but that there is one.
fn is_hidden(text: &str) -> bool {
    let mut letters = text.chars().filter(|c| !c.is_whitespace());
    let is_all_x = letters.clone().all(|c| c.eq_ignore_ascii_case(&'x'));
    is_all_x && letters.nth(MIN_HIDING_CHARS - 1).is_some()
}

/// Hash of a row's JSON without the value of `updated_at`, which moves also when nothing that is shown changed.
fn content_hash(text: &str, updated_at: Option<&str>) -> i64 {
    let mut hash = Xxh3::with_seed(NORMALIZER_VERSION);
    // The value borrows from the row's text, so its place is the difference of the two addresses.
    let place = updated_at.map(|value| (value.as_ptr().addr().wrapping_sub(text.as_ptr().addr()), value.len()));
    match place {
        Some((start, length)) if start + length <= text.len() => {
            hash.update(&text.as_bytes()[..start]);
            hash.update(&text.as_bytes()[start + length..]);
        }
        _ => hash.update(text.as_bytes()),
    }
    hash.digest().cast_signed()
}

/// One user; `None` for one without an id.
pub(super) fn user(raw: &RawValue) -> Option<UserRecord> {
    let user: wire::User<'_> = wire::object(raw.get()).ok()?;
    Some(UserRecord { upstream_id: id(&user.uuid)?, external_id: user.external_user_id.text() })
}

#[cfg(test)]
mod tests;
