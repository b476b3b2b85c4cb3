//! Identifiers as an aggregator hands them out: 32 lowercase hex digits.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand::rngs::StdRng;

/// A text that is not an identifier of 32 lowercase hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an upstream id has 32 lowercase hex digits")]
pub struct NotAnId;

macro_rules! upstream_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:032x})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text).map(Self).ok_or(NotAnId)
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

/// Draws an identifier shaped like a version 4 UUID without dashes.
pub(crate) fn draw(rng: &mut StdRng) -> u128 {
    let bits: u128 = rng.random();
    (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62)
}

/// Reads 32 lowercase hex digits.
pub(crate) fn parse(text: &str) -> Option<u128> {
    let plain = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if plain { u128::from_str_radix(text, 16).ok() } else { None }
}

/// Writes an identifier as the aggregator does.
pub(crate) fn hex(id: u128) -> String {
    format!("{id:032x}")
}
