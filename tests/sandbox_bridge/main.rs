//! The sandbox behaves towards a client as its table says Bridge does.

mod access;
mod bench;
mod data;
