//! Money is an integer number of minor units with a currency, parsed from the text the aggregator sent.
//!
//! No binary floating point anywhere: `9876543210987.65` must come out as it went in.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};

/// An ISO 4217 currency code: three upper-case letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency([u8; 3]);

/// The largest amount, in minor units: ten million million dollars. Nobody's balance is larger, and thousands of them can be
/// added up before SQLite's `sum()` has no room, which would end every reader's query.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000;

/// Why a text is no amount or no currency.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a plain decimal number.
    #[error("amount {0:?} is not a decimal number")]
    NotDecimal(String),
    /// More decimal places than the currency has, so storing it would round.
    #[error("amount {text:?} has more decimal places than {currency} has ({digits})")]
    TooPrecise {
        /// The amount as it came.
        text: String,
        /// The currency it came with.
        currency: Currency,
        /// The decimal places of that currency.
        digits: u32,
    },
    /// Larger than any bank balance: more than [`MAX_MINOR`].
    #[error("amount {0:?} is too large to be one")]
    TooLarge(String),
    /// Not three letters.
    #[error("currency code {0:?} is not three letters")]
    BadCurrency(String),
}

impl Currency {
    /// United States dollar.
    pub const USD: Self = Self(*b"USD");

    /// The code, e.g. `USD`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// How many decimal places one unit has.
    ///
    /// Source: ISO 4217. Codes that are not listed there, new ones included, have two.
    pub fn minor_digits(self) -> u32 {
        match &self.0 {
            b"BIF" | b"CLP" | b"DJF" | b"GNF" | b"ISK" | b"JPY" | b"KMF" | b"KRW" | b"PYG" | b"RWF" | b"UGX"
            | b"UYI" | b"VND" | b"VUV" | b"XAF" | b"XOF" | b"XPF" => 0,
            b"BHD" | b"IQD" | b"JOD" | b"KWD" | b"LYD" | b"OMR" | b"TND" => 3,
            b"CLF" | b"UYW" => 4,
            _ => 2,
        }
    }

    /// Parses a decimal text into minor units of this currency.
    ///
    /// Shape: an optional sign, digits, optionally a point and digits; zeros beyond the currency's places are fine.
    /// Units: minor units, the sign of the text.
    /// Errors: every one of [`MoneyError`] but `BadCurrency`; the caller sets the row aside, never rounds.
    pub fn parse_minor(self, text: &str) -> Result<i64, MoneyError> {
        let decimal = read_decimal(text)?;
        let digits = self.minor_digits();
        if decimal.scale() > digits {
            return Err(MoneyError::TooPrecise { text: shorten(text), currency: self, digits });
        }
        self.minor_of(decimal, text)
    }

    /// Parses a decimal text that may be finer than this currency, rounding half to even.
    ///
    /// For what is computed, such as the value of securities; never for money that moved.
    /// Errors: those of [`Currency::parse_minor`] but `TooPrecise`.
    pub fn parse_minor_rounded(self, text: &str) -> Result<i64, MoneyError> {
        let decimal = read_decimal(text)?;
        let rounded = decimal.round_dp_with_strategy(self.minor_digits(), RoundingStrategy::MidpointNearestEven);
        self.minor_of(rounded.normalize(), text)
    }

    /// The minor units of a decimal that is no finer than this currency; `text` is what it was read from.
    fn minor_of(self, decimal: Decimal, text: &str) -> Result<i64, MoneyError> {
        let factor = 10_i128.pow(self.minor_digits() - decimal.scale());
        let minor = i64::try_from(decimal.mantissa() * factor).ok();
        minor
            .filter(|minor| minor.unsigned_abs() <= MAX_MINOR.unsigned_abs())
            .ok_or_else(|| MoneyError::TooLarge(shorten(text)))
    }

    /// Writes minor units of this currency as exact decimal text, e.g. `-12.30`.
    pub fn format_minor(self, minor: i64) -> String {
        let digits = self.minor_digits() as usize;
        let sign = if minor < 0 { "-" } else { "" };
        let absolute = minor.unsigned_abs().to_string();
        if digits == 0 {
            return format!("{sign}{absolute}");
        }
        let padded = format!("{absolute:0>width$}", width = digits + 1);
        let (units, rest) = padded.split_at(padded.len() - digits);
        format!("{sign}{units}.{rest}")
    }
}

impl FromStr for Currency {
    type Err = MoneyError;

    /// Reads a three-letter code in either case.
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        match text.trim().as_bytes() {
            [a, b, c] if [a, b, c].iter().all(|x| x.is_ascii_alphabetic()) => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase(), c.to_ascii_uppercase()]))
            }
            _ => Err(MoneyError::BadCurrency(shorten(text))),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads a plain decimal text.
fn read_decimal(text: &str) -> Result<Decimal, MoneyError> {
    let trimmed = text.trim();
    let is_plain =
        !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+'));
    if !is_plain {
        return Err(MoneyError::NotDecimal(shorten(text)));
    }
    // A decimal has at most 28 digits; what is a number but has more is too large for us, not malformed.
    let is_long = trimmed.bytes().filter(u8::is_ascii_digit).count() > 28;
    let decimal = Decimal::from_str_exact(trimmed).map_err(|_| {
        if is_long { MoneyError::TooLarge(shorten(text)) } else { MoneyError::NotDecimal(shorten(text)) }
    })?;
    Ok(decimal.normalize())
}

/// Keeps an error text of hostile length readable.
fn shorten(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().expect("a currency")
    }

    #[test]
    fn amounts_are_exact() {
        let cases: &[(&str, &str, i64)] = &[
            ("USD", "100.00", 10_000),
            ("USD", "100", 10_000),
            ("USD", " -0.5 ", -50),
            ("USD", "+7.10", 710),
            ("USD", "1.5000", 150),
            ("USD", "-9876543210987.65", -987_654_321_098_765),
            ("USD", "10000000000000.00", MAX_MINOR),
            ("JPY", "1200.00", 1200),
            ("KWD", "1.234", 1234),
            ("CLF", "0.0001", 1),
        ];
        for (code, text, minor) in cases {
            assert_eq!(currency(code).parse_minor(text), Ok(*minor), "{text} {code}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_and_never_rounded() {
        use MoneyError::{NotDecimal, TooLarge, TooPrecise};
        for text in ["", "abc", "1,234.56", "1e3", "NaN", "1.2.3", "--1", "$5", "0x10", "1_000", "."] {
            assert!(matches!(Currency::USD.parse_minor(text), Err(NotDecimal(_))), "{text}");
        }
        let hostile = "x".repeat(1_000_000);
        assert_eq!(Currency::USD.parse_minor("12,34"), Err(NotDecimal("12,34".to_owned())));
        assert_eq!(Currency::USD.parse_minor(&hostile), Err(NotDecimal("x".repeat(40))), "little of it is repeated");
        // As long as the longest that is read, and still none.
        let long = "1.2345678901234567890123456.78";
        assert!(matches!(Currency::USD.parse_minor(long), Err(NotDecimal(_))), "{long}");
        assert!(matches!(Currency::USD.parse_minor("0.005"), Err(TooPrecise { .. })));
        assert!(matches!(currency("JPY").parse_minor("0.5"), Err(TooPrecise { .. })));
        for text in
            ["10000000000000.01", "-10000000000000.01", "92233720368547758.08", "999999999999999999999999999999999999"]
        {
            assert!(matches!(Currency::USD.parse_minor(text), Err(TooLarge(_))), "{text}");
        }
    }

    #[test]
    fn what_is_computed_is_rounded_half_to_even() {
        for (code, text, minor) in [
            ("EUR", "10.005", 1_000),
            ("EUR", "10.015", 1_002),
            ("EUR", "10.0050000001", 1_001),
            ("EUR", "-10.015", -1_002),
            ("EUR", "12.3", 1_230),
            ("JPY", "2.5", 2),
        ] {
            assert_eq!(currency(code).parse_minor_rounded(text), Ok(minor), "{text} {code}");
        }
        assert!(matches!(Currency::USD.parse_minor_rounded("1e3"), Err(MoneyError::NotDecimal(_))));
    }

    #[test]
    fn money_and_its_currency_are_shown_as_they_are_written() {
        assert_eq!((Currency::USD.as_str(), &*Currency::USD.to_string()), ("USD", "USD"));
        assert_eq!(format!("{:?}", currency("kwd")), "KWD");
        for (code, minor, text) in [("USD", 0, "0.00"), ("USD", -5, "-0.05"), ("JPY", 0, "0"), ("KWD", 1_234, "1.234")]
        {
            assert_eq!(currency(code).format_minor(minor), text);
        }
    }

    #[test]
    fn currency_codes_are_read_in_either_case() {
        assert_eq!("usd".parse(), Ok(Currency::USD));
        for text in ["", "US", "USDT", "U1D", "ÄÖÜ"] {
            assert!(text.parse::<Currency>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn formatting_and_parsing_are_inverse(minor in -MAX_MINOR..=MAX_MINOR, code in "JPY|USD|KWD|CLF") {
            let currency = currency(&code);
            prop_assert_eq!(currency.parse_minor(&currency.format_minor(minor)), Ok(minor));
        }

        /// Digit by digit, by other means: no text is read as another number, and none is refused that fits.
        #[test]
        fn what_is_read_keeps_every_digit(
            sign in "[+-]?", whole in "[0-9]{1,17}", fraction in "[0-9]{0,8}", code in "JPY|USD|KWD|CLF"
        ) {
            let currency = currency(&code);
            let digits = currency.minor_digits() as usize;
            let text = format!("{sign}{whole}.{fraction}");
            let minor_of = |digits_of_it: String| {
                let size: i128 = digits_of_it.parse().expect("digits");
                if sign == "-" { -size } else { size }
            };
            let significant = fraction.trim_end_matches('0');
            let exact = (significant.len() <= digits).then(|| minor_of(format!("{whole}{significant:0<digits$}")));
            let fits = exact.and_then(|minor| i64::try_from(minor).ok()).filter(|minor| minor.abs() <= MAX_MINOR);
            prop_assert_eq!(currency.parse_minor(&text).ok(), fits, "{}", text);
            // At most half a minor unit away, compared in units of the eighth decimal place.
            if let Ok(rounded) = currency.parse_minor_rounded(&text) {
                let unit = 10_i128.pow(8 - currency.minor_digits());
                let off = i128::from(rounded) * unit - minor_of(format!("{whole}{fraction:0<8}"));
                prop_assert!(off.abs() * 2 <= unit, "{} is {} off", text, off);
            }
        }
    }
}
