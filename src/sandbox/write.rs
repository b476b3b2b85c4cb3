//! Writes pieces of JSON by hand: what both sides need where it is hot. It knows numbers, texts and instants, no fields.

use crate::clock::DAY_MS;

const HEX: &[u8; 16] = b"0123456789abcdef";
const SECOND_MS: i64 = 1000;

/// Digits after the point of a currency.
pub(crate) fn fraction_digits(currency: &str) -> usize {
    match currency {
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" => 0,
        "BHD" | "KWD" | "JOD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// Digits with leading zeros up to a width.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64, width: usize) {
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
pub(crate) fn push_hex(out: &mut Vec<u8>, id: u128) {
    for byte in id.to_be_bytes() {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

/// Bytes as lowercase hex.
pub(crate) fn hex_lower(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
}

/// An amount without quotes or sign.
pub(crate) fn push_decimal(out: &mut Vec<u8>, minor: u64, digits: usize) {
    let scale = [1, 10, 100, 1000][digits.min(3)];
    push_number(out, minor / scale, 1);
    if digits > 0 {
        out.push(b'.');
        push_number(out, minor % scale, digits);
    }
}

/// A text with quotes.
pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
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
pub(crate) fn civil(day: i64) -> (i64, i64, i64) {
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
pub(crate) fn push_instant(out: &mut Vec<u8>, ms: i64, style: u32) {
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

/// An amount as text.
pub(crate) fn decimal(minor: i64, currency: &str) -> String {
    let mut out = Vec::with_capacity(16);
    if minor < 0 {
        out.push(b'-');
    }
    push_decimal(&mut out, minor.unsigned_abs(), fraction_digits(currency));
    String::from_utf8_lossy(&out).into_owned()
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
