//! The built binary against a bank on a real socket: what an operator does, and what comes back.
//!
//! Where this user may not mount, or is not root, the tests that need it say so and pass; with `PASSBOOK_MOUNT_TESTS=require`
//! they fail instead.

mod addresses;
mod backups;
mod canaries;
mod desk;
mod disasters;
mod disks;
mod each;
mod europe;
mod keys;
mod kills;
#[path = "../shared/left_out.rs"]
mod left_out;
mod odd_orders;
mod orders;
#[path = "../shared/ports.rs"]
mod ports;
mod query;
mod reload;
mod street;
mod users;
mod webhooks;
