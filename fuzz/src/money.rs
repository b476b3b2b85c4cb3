//! Amounts: text to minor units and back.

use passbook::money::{Currency, MoneyError};

use super::exact::Exact;
use super::rows::exact;

/// What an error keeps of an amount.
const MAX_ERROR_BYTES: usize = 600;

/// The first word is a currency, the rest an amount.
pub fn money(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (code, amount) = text.split_once(' ').unwrap_or(("USD", text));
    let currency = match code.parse::<Currency>() {
        Ok(currency) => currency,
        Err(error) => {
            assert!(error.to_string().len() <= MAX_ERROR_BYTES);
            Currency::USD
        }
    };
    assert_eq!(currency.as_str().parse(), Ok(currency));
    let (precise, rounded) = (currency.parse_minor(amount), currency.parse_minor_rounded(amount));
    match &precise {
        Ok(minor) => {
            assert_eq!(exact(currency, *minor), Exact::read(amount), "{amount}");
            assert_eq!(currency.parse_minor(&currency.format_minor(*minor)), Ok(*minor));
            assert_eq!(rounded, Ok(*minor), "what is exact is not rounded");
        }
        Err(MoneyError::TooPrecise { .. }) => {}
        Err(error) => assert_eq!(rounded.as_ref(), Err(error)),
    }
    for error in [precise.err(), rounded.err()].into_iter().flatten() {
        assert!(error.to_string().len() <= MAX_ERROR_BYTES, "{} bytes", error.to_string().len());
    }
}
