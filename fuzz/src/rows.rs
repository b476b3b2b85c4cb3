//! What must be true of neutral rows, whatever they were made of.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use passbook::aggregator::TransactionPage;
use passbook::model::{
    AccountRecord, CategoryRecord, HoldingRecord, InstitutionRecord, LinkRecord, RejectedRow, TransactionRecord,
    UserRecord,
};
use passbook::money::Currency;
use serde_json::value::RawValue;

use super::bank::Which;
use super::exact::Exact;

/// An instant and the day it was written with differ by a day and the largest offset at most.
const MOST_APART: SignedDuration = SignedDuration::from_hours(50);
/// What the store's own checks take.
const MIN_YEAR: i16 = 0;
const MAX_YEAR: i16 = 9999;
/// How many times the input all texts together may be: the row itself, its parts, and numbers that are written out.
const MOST_TIMES_INPUT: usize = 40;
/// What a reason may say.
const MAX_REASON_CHARS: usize = 600;

/// What was understood of an aggregator's answers.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) pages: Vec<TransactionPage>,
    pub(crate) accounts: Vec<AccountRecord>,
    pub(crate) holdings: Vec<HoldingRecord>,
    pub(crate) links: Vec<LinkRecord>,
    pub(crate) users: Vec<UserRecord>,
    pub(crate) categories: Vec<CategoryRecord>,
    pub(crate) institutions: Vec<InstitutionRecord>,
    pub(crate) ids: Vec<String>,
    pub(crate) other: Vec<String>,
}

pub(crate) fn assert_promises(which: Which, heard: &Heard, input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut weight = 0;
    for page in &heard.pages {
        page.rows.iter().for_each(|row| assert_transaction(which, row, &text));
        page.rejected.iter().for_each(|row| assert_rejected(row, &text));
        weight += page.rows.iter().map(weight_of).sum::<usize>();
        weight += page.rejected.iter().map(|row| row.raw.len() + row.reason.len() / 8).sum::<usize>();
        weight += page.removed.iter().map(|row| row.upstream_id.len()).sum::<usize>();
        page.accounts.iter().for_each(assert_account);
        // The cursor: the latest of what was read, and of nothing else.
        let written = page.rows.iter().map(|row| row.upstream_updated_at);
        let latest = written.chain(page.removed.iter().map(|row| row.upstream_updated_at)).flatten().max();
        assert_eq!(page.latest_update, latest);
    }
    heard.accounts.iter().for_each(assert_account);
    heard.holdings.iter().for_each(assert_holding);
    for link in &heard.links {
        assert!(link.access_token.as_ref().is_none_or(|token| !token.expose().contains('*')), "a masked token");
    }
    weight += heard.accounts.iter().filter_map(|account| account.raw.as_ref()).map(String::len).sum::<usize>();
    weight +=
        heard.holdings.iter().map(|holding| texts(&[&holding.quantity, &holding.price, &holding.raw])).sum::<usize>();
    weight += heard.users.iter().map(|user| user.upstream_id.len()).sum::<usize>();
    weight += heard.categories.iter().map(|category| category.name.len()).sum::<usize>();
    weight += heard.institutions.iter().map(|bank| texts(&[&bank.name, &bank.service_status])).sum::<usize>();
    weight += heard.ids.iter().chain(&heard.other).map(String::len).sum::<usize>();
    assert!(weight <= MOST_TIMES_INPUT * (input.len() + 100), "{weight} bytes of {}", input.len());
}

fn assert_transaction(which: Which, row: &TransactionRecord, input: &str) {
    assert!(input.contains(&row.raw), "not as it came: {}", row.raw);
    assert!(!row.upstream_id.trim().is_empty() && !row.upstream_account_id.trim().is_empty());
    assert_day(row.transacted_on);
    row.posted_on.into_iter().for_each(assert_day);
    assert_together(row.transacted_at, Some(row.transacted_on));
    assert_together(row.posted_at, row.posted_on);
    let figure = row.memo_minor.unwrap_or(row.amount_minor);
    assert!(row.memo_minor.is_none() || row.amount_minor == 0, "a row that moves no money moves some");
    let ours = exact(row.currency, figure);
    let theirs = amount_in(&row.raw);
    match which {
        // The sign is in the type there.
        Which::Truv => assert_eq!(ours.map(Exact::size), theirs.map(Exact::size), "{}", row.raw),
        Which::Bridge => assert_eq!(ours, theirs, "{}", row.raw),
    }
}

/// Digits of minor units as an exact number.
pub(crate) fn exact(currency: Currency, minor: i64) -> Option<Exact> {
    Exact::read(&currency.format_minor(minor))
}

/// The number under `amount`, read by other means than the program's.
fn amount_in(raw: &str) -> Option<Exact> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    let text = fields.get("amount")?.get();
    let text = if text.starts_with('"') { serde_json::from_str(text).ok()? } else { text.to_owned() };
    Exact::read(&text)
}

fn assert_rejected(row: &RejectedRow, input: &str) {
    assert!(input.contains(&row.raw), "not as it came: {}", row.raw);
    assert!(!row.reason.is_empty() && row.reason.chars().count() <= MAX_REASON_CHARS, "{} bytes", row.reason.len());
}

fn assert_account(account: &AccountRecord) {
    let loan = account.loan.iter();
    loan.flat_map(|loan| [loan.opened_on, loan.matures_on, loan.next_payment_on]).flatten().for_each(assert_day);
    assert!(account.balance.is_none_or(|balance| Some(balance.currency) == account.currency));
    for number in account.numbers.iter().flatten() {
        let (shown, secret) =
            (format!("{number:?}"), number.account_number.as_ref().map_or("", |secret| secret.expose()));
        assert!(secret.len() < 8 || number.network.contains(secret) || !shown.contains(secret), "a number is shown");
    }
}

fn assert_holding(holding: &HoldingRecord) {
    assert!(holding.is_removed || holding.upstream_account_id.is_some(), "held nowhere");
    holding.valued_on.into_iter().for_each(assert_day);
}

fn assert_day(day: Date) {
    assert!((MIN_YEAR..=MAX_YEAR).contains(&day.year()), "{day}");
    assert_eq!(day.to_string().parse().ok(), Some(day));
    assert_eq!(day.to_string().len(), 10);
}

fn assert_together(at: Option<Timestamp>, day: Option<Date>) {
    let (Some(at), Some(day)) = (at, day) else { return };
    let Ok(midnight) = day.to_zoned(TimeZone::UTC) else { return };
    assert!(at.duration_since(midnight.timestamp()).abs() <= MOST_APART, "{at} and {day}");
}

fn weight_of(row: &TransactionRecord) -> usize {
    let others = [
        &row.external_id,
        &row.clean_description,
        &row.merchant,
        &row.category,
        &row.merchant_code,
        &row.check_number,
        &row.memo,
        &row.latitude,
        &row.longitude,
        &row.operation_type,
        &row.upstream_status,
    ];
    row.raw.len() + row.upstream_id.len() + row.upstream_account_id.len() + row.description.len() + texts(&others)
}

fn texts(texts: &[&Option<String>]) -> usize {
    texts.iter().filter_map(|text| text.as_ref()).map(String::len).sum()
}
