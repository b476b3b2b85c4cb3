//! Transactions as JSON, by hand: the one hot path of Bridge's side (section 10.1).

use serde_json::Value;

use super::reply::Wish;
use super::{categories, words};
use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::world::{Account, Link, Row, Seen, Status};
use crate::sandbox::write::{civil, fraction_digits, push_instant, push_number, push_text};

/// What stands in place of everything sensitive (section 8.2, 1100).
pub(super) const HIDDEN: &str = "XXXX";
/// What a row needs at most, usually; the buffer grows if not.
pub(super) const USUAL_ROW_BYTES: usize = 520;
const MILLISECONDS: u32 = 3;

/// An instant with quotes, in milliseconds, or in whole seconds where a fault wants that.
fn push_time(out: &mut Vec<u8>, ms: i64, wish: Wish) {
    out.push(b'"');
    if wish.whole_seconds {
        push_instant(out, ms.div_euclid(1000) * 1000, 0);
    } else {
        push_instant(out, ms, MILLISECONDS);
    }
    out.push(b'"');
}

/// An instant as text.
pub(super) fn instant(ms: i64, wish: Wish) -> String {
    let mut out = Vec::with_capacity(32);
    push_time(&mut out, ms, wish);
    String::from_utf8_lossy(&out[1..out.len() - 1]).into_owned()
}

/// An amount as a JSON number: no zeros at the end, and no point for whole ones (section 3 and 16, 47).
fn push_amount(out: &mut Vec<u8>, minor: i64, digits: usize) {
    if minor < 0 {
        out.push(b'-');
    }
    let (mut rest, mut digits) = (minor.unsigned_abs(), digits);
    while digits > 0 && rest.is_multiple_of(10) {
        rest /= 10;
        digits -= 1;
    }
    let scale = 10_u64.pow(u32::try_from(digits).unwrap_or(0));
    push_number(out, rest / scale, 1);
    if digits > 0 {
        out.push(b'.');
        push_number(out, rest % scale, digits);
    }
}

/// The same value with an exponent: `1.5e2`.
fn push_exponent(out: &mut Vec<u8>, minor: i64, digits: usize) {
    if minor == 0 {
        out.extend_from_slice(b"0e0");
        return;
    }
    let text = minor.unsigned_abs().to_string();
    let exponent = i64::try_from(text.len()).unwrap_or(0) - 1 - i64::try_from(digits).unwrap_or(0);
    let mantissa = text.trim_end_matches('0');
    if minor < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&mantissa.as_bytes()[..1]);
    if mantissa.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&mantissa.as_bytes()[1..]);
    }
    out.extend_from_slice(format!("e{exponent}").as_bytes());
}

/// An amount as a JSON number.
pub(super) fn amount(minor: i64, currency: &str) -> Value {
    plain_number(minor, fraction_digits(currency))
}

/// A JSON number of so many units below one.
pub(super) fn plain_number(units: i64, digits: usize) -> Value {
    let mut out = Vec::with_capacity(16);
    push_amount(&mut out, units, digits);
    // A number with few digits after the point is written back as it was read.
    serde_json::from_slice(&out).unwrap_or_default()
}

/// The civil days of a row, as days since 1970-01-01: at the bank, whose days are taken to be those of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) date: i32,
    pub(super) booking: Option<i32>,
    pub(super) transaction: Option<i32>,
    pub(super) value: Option<i32>,
}

impl Days {
    /// Which days a row tells: some banks date by booking, others by the operation; with `oddities`, some leave days out.
    pub(super) fn of(link: &Link, row: &Row, oddities: bool) -> Self {
        let day = |ms: i64| i32::try_from(ms.div_euclid(DAY_MS)).unwrap_or(0);
        let happened = day(row.transacted_ms);
        let is_waiting = row.status.is_pending();
        let booking = row.posted_ms.filter(|_| !is_waiting).map(day);
        let by_operation = oddities && link.institution.len().is_multiple_of(2);
        let style = if oddities { row.id % 4 } else { 0 };
        let date = if by_operation { happened } else { booking.unwrap_or(happened) };
        Self {
            date,
            booking,
            transaction: (by_operation || booking.is_none() || style != 1).then_some(happened),
            value: booking.filter(|_| style < 2),
        }
    }
}

/// Writes the transactions of one link.
pub(super) struct RowWriter<'a> {
    link: &'a Link,
    accounts: Vec<Told>,
    oddities: bool,
    hidden: bool,
}

/// What rows tell of their account.
struct Told {
    id: u128,
    currency: String,
    digits: usize,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(link: &'a Link, oddities: bool, wish: Wish) -> Self {
        let told = |account: &Account| Told {
            id: account.id,
            currency: account.currency.to_string(),
            digits: fraction_digits(&account.currency),
        };
        Self {
            link,
            accounts: link.shown_accounts.iter().map(told).collect(),
            oddities,
            hidden: wish.obfuscated || words::status_of(link).0 == words::PRO_LOCKED,
        }
    }

    /// Appends one object; `wish` is the damage asked for.
    pub(super) fn push(&self, out: &mut Vec<u8>, row: &Row, seen: Seen, wish: Wish) {
        let account = &self.accounts[usize::from(row.account)];
        let days = Days::of(self.link, row, self.oddities);
        out.push(b'{');
        if !wish.row_without_id {
            out.extend_from_slice(b"\"id\":");
            push_id(out, row.id);
            out.push(b',');
        }
        out.extend_from_slice(b"\"account_id\":");
        push_id(out, account.id);
        let raw = row.detail.description.as_str();
        let clean = row.detail.merchant.as_deref().unwrap_or(raw);
        out.extend_from_slice(b",\"clean_description\":");
        push_text(out, if self.hidden { HIDDEN } else { clean });
        out.extend_from_slice(b",\"provider_description\":");
        push_text(out, if self.hidden { HIDDEN } else { raw });
        out.extend_from_slice(b",\"amount\":");
        if wish.bad_amount {
            out.extend_from_slice(b"12.34567");
        } else if wish.exponents {
            push_exponent(out, row.amount_minor, account.digits);
        } else {
            push_amount(out, row.amount_minor, account.digits);
        }
        out.extend_from_slice(b",\"currency_code\":");
        push_text(out, &account.currency);
        push_day(out, b",\"date\":\"", Some(days.date));
        push_day(out, b",\"booking_date\":\"", days.booking);
        push_day(out, b",\"transaction_date\":\"", days.transaction);
        push_day(out, b",\"value_date\":\"", days.value);
        out.extend_from_slice(b",\"updated_at\":");
        push_time(out, seen.updated_ms, wish);
        out.extend_from_slice(if seen.deleted { b",\"deleted\":true" } else { b",\"deleted\":false" });
        let is_future = row.status == Status::Future;
        out.extend_from_slice(if is_future { b",\"future\":true" } else { b",\"future\":false" });
        out.extend_from_slice(b",\"category_id\":");
        push_number(out, categories::id_of(row.detail.category.as_deref()).unsigned_abs(), 1);
        out.extend_from_slice(b",\"operation_type\":");
        push_text(out, words::operation(&row.detail, row.check_number.is_some()));
        out.push(b'}');
    }
}

/// Appends a deleted row of which nothing is told but that it is gone.
pub(super) fn push_stub(out: &mut Vec<u8>, row: &Row, seen: Seen, wish: Wish) {
    out.extend_from_slice(b"{\"id\":");
    push_id(out, row.id);
    out.extend_from_slice(b",\"deleted\":true,\"updated_at\":");
    push_time(out, seen.updated_ms, wish);
    out.push(b'}');
}

fn push_id(out: &mut Vec<u8>, id: u128) {
    match u64::try_from(id) {
        Ok(number) => push_number(out, number, 1),
        Err(_) => push_text(out, &id::text(id)),
    }
}

/// A date behind its name; nothing if it is not told.
fn push_day(out: &mut Vec<u8>, head: &[u8], day: Option<i32>) {
    let Some(day) = day else { return };
    let (year, month, day) = civil(i64::from(day));
    out.extend_from_slice(head);
    push_number(out, year.unsigned_abs(), 4);
    for part in [month, day] {
        out.push(b'-');
        push_number(out, part.unsigned_abs(), 2);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_in_two_forms() {
        for (minor, digits, plain, exponent) in [
            (-19_400, 2, "-194", "-1.94e2"),
            (-692, 2, "-6.92", "-6.92e0"),
            (15_000, 2, "150", "1.5e2"),
            (1_250, 2, "12.5", "1.25e1"),
            (7, 2, "0.07", "7e-2"),
            (0, 2, "0", "0e0"),
            (1_234, 0, "1234", "1.234e3"),
        ] {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            push_amount(&mut one, minor, digits);
            push_exponent(&mut two, minor, digits);
            assert_eq!((String::from_utf8_lossy(&one), String::from_utf8_lossy(&two)), (plain.into(), exponent.into()));
        }
    }
}
