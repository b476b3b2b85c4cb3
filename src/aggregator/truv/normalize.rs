//! Truv's JSON made into normalized records. Pure: text in, values out, one test per oddity of the contract.
//!
//! What must stay true: an unknown field, enum value or type never fails a page; a row whose money, day, account or id
//! cannot be told is set aside with the reason and never guessed at.
//! Source: upstream/truv.md sections 7 to 10 and 20.

mod account;
mod link;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::wire;
use crate::aggregator::complaint::{cited, complaint};
use crate::aggregator::listed::Listed;
use crate::aggregator::loose::Loose;
use crate::model::{RejectedRow, RowTraces, Status, TransactionRecord, UserRecord};
use crate::money::Currency;

pub(super) use account::account;
pub(super) use link::{health, is_terminal, link, link_to_delete, token_suffix};

/// Enters every content hash: raising it makes the next pull look at each row again with a corrected normalizer.
const NORMALIZER_VERSION: u64 = 2;

/// One raw row made into a record, or set aside with the reason.
pub(super) fn transaction(raw: &RawValue) -> Result<TransactionRecord, Box<RejectedRow>> {
    let text = raw.get();
    let parsed: Result<wire::Transaction<'_>, _> = serde_json::from_str(text);
    parsed
        .map_err(|e| format!("not a transaction: {}", complaint(&e)))
        .and_then(|row| record(text, row))
        .map_err(|reason| Box::new(reject(text, reason)))
}

/// Sets a row aside with whatever can still be told of it.
fn reject(text: &str, reason: String) -> RejectedRow {
    let row: wire::RowTraces<'_> = serde_json::from_str(text).unwrap_or_default();
    let moment_of = |value: &Loose<'_>| moment(&value.text()?);
    let transacted = moment_of(&row.transacted_at);
    let (kind, status) = (row.r#type.text(), row.status.text());
    let amount_minor = money(row.currency_code.text(), &row.amount)
        .and_then(|(_, figure)| signed_amount(figure, kind.as_deref(), status.as_deref()));
    RejectedRow {
        upstream_id: row.id.text(),
        transacted_at: transacted.map(|(at, _)| at),
        reason,
        traces: RowTraces {
            upstream_account_id: row.account_id.text(),
            external_id: row.external_id.text(),
            amount_minor: amount_minor.ok().map(|(amount_minor, _)| amount_minor),
            transacted_on: transacted.or_else(|| moment_of(&row.posted_at)).map(|(_, on)| on),
            is_taken_back: false,
        },
        raw: text.to_owned(),
    }
}

fn record(text: &str, row: wire::Transaction<'_>) -> Result<TransactionRecord, String> {
    let upstream_id = filled(row.id).ok_or("no id")?;
    let upstream_account_id = filled(row.account_id).ok_or("no account_id")?;
    let (currency, figure) = money(row.currency_code, &row.amount)?;
    let upstream_status = filled(row.status);
    let (amount_minor, memo_minor) = signed_amount(figure, row.r#type.as_deref(), upstream_status.as_deref())?;
    let posted = read_moment("posted_at", row.posted_at.as_deref())?;
    let transacted = read_moment("transacted_at", row.transacted_at.as_deref())?;
    let (_, transacted_on) = transacted.or(posted).ok_or("neither transacted_at nor posted_at")?;
    let status = status_of(upstream_status.as_deref(), posted.is_some());
    let location: wire::Location<'_> =
        row.location.raw().and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    Ok(TransactionRecord {
        external_id: row.external_id.text(),
        status,
        amount_minor,
        memo_minor,
        currency,
        // Not that of `posted_at`: windows are cut by upstream's own `transacted_at`, and no window shows a row without one.
        transacted_at: transacted.map(|t| t.0),
        transacted_on,
        posted_at: posted.map(|p| p.0),
        posted_on: posted.map(|p| p.1),
        description: filled(row.description).unwrap_or_default(),
        merchant: row.merchant_name.text(),
        category: categories(&row.categories),
        merchant_code: row.merchant_category_code.text().map(|code| format!("{code:0>4}")),
        check_number: row.check_number.text(),
        memo: row.memo.text(),
        latitude: location.latitude.text(),
        longitude: location.longitude.text(),
        operation_type: None,
        clean_description: None,
        upstream_category_id: None,
        // Truv moves its update time at every refresh and shows one version only.
        upstream_updated_at: None,
        is_obfuscated: false,
        content_hash: content_hash(text, row.updated_at.raw()),
        raw: text.to_owned(),
        upstream_id,
        upstream_account_id,
        upstream_status,
    })
}

/// The currency, and the figure without its direction.
fn money(currency_code: Option<String>, amount: &Loose<'_>) -> Result<(Currency, i64), String> {
    let currency: Currency = currency_code.ok_or("no currency_code")?.parse().map_err(|e| format!("{e}"))?;
    let figure = currency.parse_minor(&amount.text().ok_or("no amount")?).map_err(|e| e.to_string())?;
    Ok((currency, figure))
}

/// The signed amount, and the figure of a row that moves no money.
///
/// Source: section 10: amounts are positive, the direction is in `type`; MEMO moves nothing. An amount that carries its own
/// minus is a debit written twice; a credit with a minus contradicts itself.
fn signed_amount(figure: i64, kind: Option<&str>, status: Option<&str>) -> Result<(i64, Option<i64>), String> {
    let is = |word: Option<&str>, expected: &str| word.is_some_and(|w| w.eq_ignore_ascii_case(expected));
    if is(kind, "MEMO") || is(status, "MEMO") {
        return Ok((0, Some(figure)));
    }
    if is(kind, "DEBIT") {
        // The least amount has no size of its own.
        return Ok((if figure > 0 { -figure } else { figure }, None));
    }
    if is(kind, "CREDIT") {
        return match figure {
            0.. => Ok((figure, None)),
            _ => Err("type CREDIT with a negative amount".to_owned()),
        };
    }
    match kind {
        Some(other) => Err(format!("type {} does not say whether money came or went", cited(other))),
        None => Err("no type: it does not say whether money came or went".to_owned()),
    }
}

/// Source: sections 10 and 20 (21): AUTHORIZATION is a hold, so pending; MEMO is not booked either. An unknown word is
/// posted if it says when it was.
fn status_of(word: Option<&str>, has_posted_at: bool) -> Status {
    match word.map(str::to_ascii_uppercase).as_deref() {
        Some("POSTED") => Status::Posted,
        Some("PENDING" | "AUTHORIZATION" | "MEMO") => Status::Pending,
        _ if has_posted_at => Status::Posted,
        _ => Status::Pending,
    }
}

/// Categories in upstream's order, joined; one text or a list.
fn categories(value: &Loose<'_>) -> Option<String> {
    if let Some(one) = value.text() {
        return Some(one);
    }
    let list: Listed<Option<String>> = serde_json::from_str(value.raw()?).ok()?;
    let names: Vec<String> = list.into_iter().flatten().filter(|name| !name.trim().is_empty()).collect();
    (!names.is_empty()).then(|| names.join(" > "))
}

fn read_moment(field: &str, text: Option<&str>) -> Result<Option<(Timestamp, Date)>, String> {
    match text.map(str::trim).filter(|t| !t.is_empty()) {
        None => Ok(None),
        Some(text) => moment(text).map(Some).ok_or_else(|| format!("{field} {} is no date", cited(text))),
    }
}

/// Reads an instant in any of the forms that dates come in.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    moment(text).map(|(at, _)| at)
}

/// Reads an instant and the civil day it was written with.
///
/// The day is the one in the text, in the text's own offset: converting to another zone is what moves dates by one.
/// Source: section 1: 0 to 6 fraction digits, `Z` and `+00:00`; a bare date or a time without a zone is taken as UTC.
fn moment(text: &str) -> Option<(Timestamp, Date)> {
    let day: Date = text.get(..10)?.parse().ok()?;
    let without_zone = || Some(text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp());
    let at = text.parse::<Timestamp>().ok().or_else(without_zone)?;
    let at = Timestamp::from_millisecond(at.as_millisecond()).ok()?;
    Some((at, day))
}

/// Hash of a row's JSON without the value of `updated_at`, which Truv moves at every refresh.
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

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.trim().is_empty())
}

/// One user.
pub(super) fn user(user: &wire::User<'_>) -> UserRecord {
    UserRecord { upstream_id: user.id.clone(), external_id: user.external_user_id.text() }
}

#[cfg(test)]
mod tests;
