//! Passbook keeps a SQLite file up to date with the bank data that customers share through Truv and Bridge.

pub mod clock;
pub mod sandbox;
