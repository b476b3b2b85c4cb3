//! The sandbox behaves towards a client as its table says Truv does.

mod access;
mod bench;
mod data;
mod faults;
mod webhooks;
mod widget;
mod world;
