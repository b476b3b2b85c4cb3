//! Identifiers as an aggregator hands them out: 32 lowercase hex digits, a dashed UUID, or a number.
//!
//! An identifier knows its form by its bits, so that a script treats the customers of every aggregator alike: a number
//! is below `2^63`, a dashed UUID is of version 7, and 32 hex digits are of version 4.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand::rngs::StdRng;

/// A text that is no identifier of an aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream id has 32 lowercase hex digits, or is a dashed UUID or a number")]
pub struct NotAnId;

/// Numbers are below this.
const NUMBERS_END: u128 = 1 << 63;
/// Where the version of a UUID stands.
const VERSION_SHIFT: u32 = 76;
const DASHED_VERSION: u128 = 7;

macro_rules! upstream_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&text(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), text(self.0))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).or_else(|| parse_uuid(text)).or_else(|| parse_number(text)).map(Self).ok_or(NotAnId)
            }
        }
    };
}

upstream_id!(
    /// A user's upstream id; displays as the aggregator writes it.
    UserId
);
upstream_id!(
    /// A link's upstream id; displays as the aggregator writes it.
    LinkId
);
upstream_id!(
    /// An account's upstream id; displays as the aggregator writes it.
    AccountId
);
upstream_id!(
    /// A transaction's upstream id; displays as the aggregator writes it.
    TransactionId
);
upstream_id!(
    /// The upstream id of a stock that somebody holds; displays as the aggregator writes it.
    StockId
);

/// Draws an identifier shaped like a version 4 UUID without dashes.
pub(crate) fn draw(rng: &mut StdRng) -> u128 {
    let bits: u128 = rng.random();
    (bits & !(0xf << VERSION_SHIFT) & !(0x3 << 62)) | (0x4 << VERSION_SHIFT) | (0x2 << 62)
}

/// Draws an identifier that is written as a dashed UUID.
pub(crate) fn draw_uuid(rng: &mut StdRng) -> u128 {
    draw(rng) & !(0xf << VERSION_SHIFT) | (DASHED_VERSION << VERSION_SHIFT)
}

/// Reads 32 lowercase hex digits.
pub(crate) fn parse(text: &str) -> Option<u128> {
    let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Reads a dashed UUID.
pub(crate) fn parse_uuid(text: &str) -> Option<u128> {
    let dashed = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    if dashed { parse(&digits) } else { None }
}

/// Reads a number as an aggregator writes it: digits only, without leading zeros.
pub(crate) fn parse_number(text: &str) -> Option<u128> {
    let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| plain && *id < NUMBERS_END)
}

/// Writes 32 lowercase hex digits.
pub(crate) fn hex(id: u128) -> String {
    format!("{id:032x}")
}

/// Writes an identifier as its aggregator does.
pub(crate) fn text(id: u128) -> String {
    if id < NUMBERS_END {
        return id.to_string();
    }
    let hex = hex(id);
    if (id >> VERSION_SHIFT) & 0xf != DASHED_VERSION {
        return hex;
    }
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn an_id_reads_back_in_the_form_it_is_written_in() {
        let mut rng = StdRng::seed_from_u64(1);
        let forms = [(draw(&mut rng), 32), (draw_uuid(&mut rng), 36), (33_000_191_035_701, 14)];
        for (id, length) in forms {
            let text = LinkId(id).to_string();
            assert_eq!((text.len(), text.parse()), (length, Ok(LinkId(id))));
        }
        for bad in ["", "012", "-4", "12x", "0123456789abcdef", "99999999999999999999"] {
            assert_eq!(bad.parse::<LinkId>(), Err(NotAnId), "{bad}");
        }
    }
}
