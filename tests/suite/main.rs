//! The daemon against the sandbox, in one process and in virtual time: change the world, run, compare with its truth.

mod accounts;
mod alerts;
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
mod counter;
mod faults;
mod harness;
mod health;
mod home;
mod limits;
mod metrics;
mod orders;
mod refusals;
mod schedule;
mod store_trouble;
mod street;
mod transactions;
mod webhooks;
