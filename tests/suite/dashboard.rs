//! The dashboard as a browser meets it: in and out, pages in every state of the store, changes that only our pages can ask for.

mod browser;
mod changes;
mod door;
mod pages;
mod sums;
