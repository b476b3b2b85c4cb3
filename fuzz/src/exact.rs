//! Numbers compared digit by digit, by other means than those of the program.

/// A decimal number: its sign, its digits without zeros at either end, and the power of ten of the last of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exact {
    pub(crate) is_negative: bool,
    digits: String,
    exponent: i64,
}

impl Exact {
    /// Reads a number as JSON or a text may write it; `None` for what is none.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (is_negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_end_matches('0');
        let zeros = i64::try_from(all.len() - digits.len()).ok()?;
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
        Some(Self { is_negative, digits, exponent })
    }

    /// The same number without its sign.
    pub(crate) fn size(self) -> Self {
        Self { is_negative: false, ..self }
    }
}
