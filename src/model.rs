//! The normalized records: what every aggregator's JSON becomes before anything above looks at it.
//!
//! Plain data without behaviour. `normalize` makes them, `sync` compares them with the store, `store` keeps them. Ids here
//! are upstream's; our own integers appear only in the store.

mod account;
mod cause;
mod customer;
mod health;
mod transaction;
mod webhook;

pub use account::{AccountNumber, AccountRecord, BalanceRecord, HoldingRecord, LoanRecord};
pub use cause::Cause;
pub use customer::{CategoryRecord, InstitutionRecord, LinkRecord, UserRecord};
pub use health::{Attention, Condition, LinkHealth};
pub use transaction::{RejectedRow, RowTraces, Status, TransactionRecord};
pub use webhook::{EndpointState, EventOutcome};
