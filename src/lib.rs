//! Passbook keeps a SQLite file up to date with the bank data that customers share through Truv and Bridge.

pub mod aggregator;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod http;
pub mod limits;
pub mod model;
pub mod money;
pub mod sandbox;
pub mod schedule;
pub mod secret;
pub mod server;
pub mod store;
pub mod sync;
pub mod systemd;
pub mod telemetry;
