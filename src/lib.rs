//! Passbook keeps a SQLite file up to date with the bank data that customers share through Truv and Bridge.

pub mod clock;
pub mod model;
pub mod money;
pub mod secret;
pub mod store;
