//! Values whose type the aggregators' own documents do not agree on.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A value whose type differs between documents and samples: read as text, whatever it is.
#[derive(Debug, Deserialize, Default)]
#[serde(transparent)]
pub(in crate::aggregator) struct Loose<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Loose<'a> {
    /// The text of a string, the literal of a number or boolean; `None` for null, nothing, an empty text or a structure.
    pub(in crate::aggregator) fn text(&self) -> Option<String> {
        let raw = self.0?.get();
        let text = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str::<String>(raw).ok()?,
            b'n' | b'{' | b'[' => return None,
            _ => raw.to_owned(),
        };
        let trimmed = text.trim();
        (!trimmed.is_empty()).then(|| trimmed.to_owned())
    }

    /// The number in plain digits and as short as it can be: without an exponent, without zeros that say nothing. A text
    /// that is no number stays as it is, for whoever reads it to refuse.
    pub(in crate::aggregator) fn decimal(&self) -> Option<String> {
        let text = self.text()?;
        Some(plain_decimal(&text).unwrap_or(text))
    }

    /// The JSON itself; `None` for null or nothing.
    pub(in crate::aggregator) fn raw(&self) -> Option<&'a str> {
        self.0.map(RawValue::get).filter(|raw| *raw != "null")
    }
}

/// No amount of anything has its point further away than this from where it is written.
const MAX_EXPONENT: i64 = 60;

/// Writes a number out, digit by digit: no binary float comes near it. `None` for what is no number.
fn plain_decimal(text: &str) -> Option<String> {
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if digits.bytes().all(|b| b == b'0') {
        return Some("0".to_owned());
    }
    if exponent.abs() > MAX_EXPONENT {
        return None;
    }
    // How many of the digits stand before the point; zeros fill up on either side.
    let before = i64::try_from(whole.len()).ok()? + exponent;
    let leading = usize::try_from(-before).unwrap_or(0);
    let before = usize::try_from(before).unwrap_or(0);
    let padded = format!("{}{digits:0<before$}", "0".repeat(leading));
    let (whole, fraction) = padded.split_at(before);
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{point}{fraction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_out_exactly() {
        for (text, expected) in [
            ("1.5e2", "150"),
            ("1.5E+2", "150"),
            ("15e-1", "1.5"),
            ("-1.25e-3", "-0.00125"),
            ("1e0", "1"),
            ("-194", "-194"),
            ("12.340000000000000000000000000000000000000", "12.34"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("+7.10", "7.1"),
            ("007", "7"),
            ("100", "100"),
            ("0", "0"),
            ("-0.00", "0"),
            ("0e999999", "0"),
            ("1e60", "1000000000000000000000000000000000000000000000000000000000000"),
        ] {
            assert_eq!(plain_decimal(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-", "e5", ".5", "1,5", "1.2.3", "--1", "1e", "1e5.5", "1e61", "1e99999999999999999999", "é"]
        {
            assert_eq!(plain_decimal(text), None, "{text}");
        }
    }
}
