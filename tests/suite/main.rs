//! The daemon against the sandbox, in one process and in virtual time: change the world, run, compare with its truth.
//!
//! Where this user may not mount, the test that needs it says so and passes; with `PASSBOOK_MOUNT_TESTS=require` it fails
//! instead.

mod accounts;
mod alerts;
mod backups;
mod bridge_accounts;
mod bridge_anew;
mod bridge_catalog;
mod bridge_cursor;
mod bridge_faults;
mod bridge_readd;
mod bridge_states;
mod bridge_together;
mod bridge_views;
mod conformance;
mod connect;
mod counter;
mod dashboard;
mod disasters;
mod faults;
mod harness;
mod health;
mod home;
mod hostile;
mod isolation;
mod keys;
#[path = "../shared/left_out.rs"]
mod left_out;
mod limits;
mod metrics;
mod odd_answers;
mod orders;
mod refusals;
mod schedule;
mod split;
mod store_trouble;
mod street;
mod transactions;
mod webhooks;
