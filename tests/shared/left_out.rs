//! Tests that need root, or a mount, where there is none.

use std::io::Write as _;

/// Says what is left out; with `PASSBOOK_MOUNT_TESTS=require` nothing may be.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "what the tests may leave out is said from outside")]
pub(crate) fn left_out(why: &str) {
    let must = std::env::var("PASSBOOK_MOUNT_TESTS").is_ok_and(|word| word == "require");
    assert!(!must, "PASSBOOK_MOUNT_TESTS=require, and a test would be left out: {why}");
    // Past the harness, which keeps the words of tests that pass to itself.
    std::io::stderr().write_all(format!("LEFT OUT: {why}\n").as_bytes()).expect("somebody listens");
}
