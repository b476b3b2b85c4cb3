//! The built binary against a bank on a real socket: what an operator does, and what comes back.

mod backups;
mod canaries;
mod desk;
mod disasters;
mod disks;
mod each;
mod europe;
mod keys;
mod kills;
mod orders;
mod query;
mod reload;
mod street;
mod users;
mod webhooks;
