//! The daemon against the sandbox, in one process and in virtual time: change the world, run, compare with its truth.

mod accounts;
mod bridge_accounts;
mod bridge_catalog;
mod bridge_cursor;
mod bridge_faults;
mod bridge_readd;
mod bridge_states;
mod bridge_together;
mod bridge_views;
mod conformance;
mod connect;
mod dashboard;
mod faults;
mod harness;
mod home;
mod limits;
mod refusals;
mod schedule;
mod store_trouble;
mod street;
mod transactions;
