//! Truv's JSON, written by hand where it is hot.
//!
//! Rows vary as documents, samples and other clients' code show (section 10); the variation is a function of the
//! row's id, so that a row looks the same on every read.

use serde_json::{Value, json};

use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::world::{Account, Link};

const HEX: &[u8; 16] = b"0123456789abcdef";
const SECOND_MS: i64 = 1000;

/// Digits after the point of a currency.
pub(super) fn fraction_digits(currency: &str) -> usize {
    match currency {
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" => 0,
        "BHD" | "KWD" | "JOD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Digits with leading zeros up to a width.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    let mut rest = number;
    while rest > 0 || digits.len() - at < width {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_signed(out: &mut Vec<u8>, number: i64, width: usize) {
    if number < 0 {
        out.push(b'-');
    }
    push_number(out, number.unsigned_abs(), width);
}

/// An identifier without quotes.
pub(super) fn push_hex(out: &mut Vec<u8>, id: u128) {
    for byte in id.to_be_bytes() {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// An amount without quotes or sign.
pub(super) fn push_decimal(out: &mut Vec<u8>, minor: u64, digits: usize) {
    let scale = [1, 10, 100, 1000][digits.min(3)];
    push_number(out, minor / scale, 1);
    if digits > 0 {
        out.push(b'.');
        push_number(out, minor % scale, digits);
    }
}

/// A text with quotes.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
    } else {
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..b' ' => {
                    out.extend_from_slice(b"\\u00");
                    out.push(HEX[usize::from(byte >> 4)]);
                    out.push(HEX[usize::from(byte & 15)]);
                }
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

/// Year, month and day of a day number (days since 1970-01-01), proleptic Gregorian.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// An instant without quotes: style 1 has microseconds, 2 an offset instead of `Z`, 3 milliseconds (section 1).
pub(super) fn push_instant(out: &mut Vec<u8>, ms: i64, style: u32) {
    let (year, month, day) = civil(ms.div_euclid(DAY_MS));
    let second = ms.rem_euclid(DAY_MS) / SECOND_MS;
    let fraction_ms = ms.rem_euclid(SECOND_MS);
    push_signed(out, year, 4);
    for (mark, value) in
        [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        out.push(mark);
        push_signed(out, value, 2);
    }
    if style % 4 == 3 {
        out.push(b'.');
        push_signed(out, fraction_ms, 3);
    } else if fraction_ms != 0 || style % 4 == 1 {
        out.push(b'.');
        push_signed(out, fraction_ms * 1000, 6);
    }
    out.extend_from_slice(if style % 4 == 2 { b"+00:00" } else { b"Z" });
}

/// An instant as text, in the API's usual style.
pub(super) fn instant(ms: i64) -> String {
    let mut out = Vec::with_capacity(32);
    push_instant(&mut out, ms, 1);
    String::from_utf8_lossy(&out).into_owned()
}

/// An amount as text.
pub(super) fn decimal(minor: i64, currency: &str) -> String {
    let mut out = Vec::with_capacity(16);
    if minor < 0 {
        out.push(b'-');
    }
    push_decimal(&mut out, minor.unsigned_abs(), fraction_digits(currency));
    String::from_utf8_lossy(&out).into_owned()
}

/// An account as in balances and transactions (section 9).
pub(super) fn account(account: &Account) -> Value {
    let money = |minor: Option<i64>| minor.map(|minor| decimal(minor, &account.currency));
    json!({
        "id": id::hex(account.id),
        "created_at": instant(account.created_ms),
        "updated_at": instant(account.updated_ms),
        "type": &*account.kind,
        "subtype": account.subtype.as_deref(),
        "mask": account.mask(),
        "nickname": account.nickname.as_deref(),
        "balances": {
            "currency_code": &*account.currency,
            "balance": money(Some(account.served_balance())),
            "available_balance": money(account.served_available()),
            "credit_limit": money(account.limit_minor),
        },
    })
}

/// An account with its numbers, as in auth (section 9, page 001).
pub(super) fn account_with_numbers(link: &Link, of: &Account) -> Value {
    let number = json!({
        "account_number": of.number.to_string(),
        "routing_number": format!("{:09}", of.routing),
        "is_tokenized_account_number": of.number.is_multiple_of(2),
    });
    let moves_money = !of.owes();
    let mut value = account(of);
    value["is_open"] = json!(of.listed);
    value["provider"] = json!(&*link.institution);
    value["provider_name"] = json!(&*link.institution_name);
    value["numbers"] = json!({
        "ACH": if moves_money { vec![number.clone()] } else { vec![] },
        "RTP": if moves_money && &*of.kind == "CHECKING" { vec![number.clone()] } else { vec![] },
        "OTHERS": if moves_money { vec![] } else { vec![number] },
    });
    value
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_instant_has_three_styles() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00Z"),
            (1_709_164_799_000, 1, "2024-02-28T23:59:59.000000Z"),
            (1_709_164_800_000, 2, "2024-02-29T00:00:00+00:00"),
            (1_709_164_800_007, 2, "2024-02-29T00:00:00.007000+00:00"),
            (-1, 3, "1969-12-31T23:59:59.999Z"),
        ];
        for (ms, style, expected) in cases {
            let mut out = Vec::new();
            push_instant(&mut out, ms, style);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn an_amount_has_the_digits_of_its_currency() {
        assert_eq!(decimal(5, "USD"), "0.05");
        assert_eq!(decimal(-123_456, "EUR"), "-1234.56");
        assert_eq!(decimal(1234, "JPY"), "1234");
        assert_eq!(decimal(1234, "KWD"), "1.234");
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(ms in -2_000_000_000_000_i64..8_000_000_000_000, style in 0_u32..4) {
            let mut out = Vec::new();
            push_instant(&mut out, ms, style);
            let back: Timestamp = String::from_utf8_lossy(&out).parse().expect("an instant");
            prop_assert_eq!(back.as_millisecond(), ms);
        }

        #[test]
        fn every_text_reads_back(text in any::<String>()) {
            let mut out = Vec::new();
            push_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }
    }
}
