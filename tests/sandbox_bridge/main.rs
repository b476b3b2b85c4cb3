//! The sandbox behaves towards a client as its table says Bridge does.

mod access;
mod bench;
mod connect;
mod data;
mod faults;
mod items;
mod resources;
mod site;
mod webhooks;
mod world;
