//! The pages in a real browser: Chromium without a window, driven by chromedriver, two for all tests of this file.
//!
//! Where the two are not installed the tests say so and pass; with `PASSBOOK_BROWSER_TESTS=require` they fail instead. With
//! `PASSBOOK_SCREENSHOTS=directory` what was seen is kept there.

mod dashboard;
mod driver;
mod hosted;
mod house;
#[path = "../shared/ports.rs"]
mod ports;
mod stand_ins;
mod webhooks;
mod widget;
