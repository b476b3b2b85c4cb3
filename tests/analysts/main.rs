//! What analysts are given: the data dictionary, the questions with their SQL, and what Datasette is told. All three are made
//! from `schema.sql` and `docs/queries.md`, and every query is asked of a store that a daemon has filled.
//!
//! `PASSBOOK_WRITE_DOCS=1 cargo test --test analysts` writes the generated files anew.

mod answers;
mod datasette;
mod dictionary;
mod questions;
mod schema;
mod store;
mod views;

use std::path::{Path, PathBuf};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Fails unless a generated file is what would be generated now; writes it instead where that is asked for.
#[expect(clippy::disallowed_methods, reason = "the one switch of these tests; the program knows nothing of it")]
fn assert_current(path: &str, generated: &str) {
    if std::env::var_os("PASSBOOK_WRITE_DOCS").is_some() {
        std::fs::write(repository(path), generated).expect("a file that can be written");
        return;
    }
    let written = std::fs::read_to_string(repository(path)).unwrap_or_default();
    let differs = written.lines().zip(generated.lines()).enumerate().find(|(_, (old, new))| old != new);
    assert!(
        written == generated,
        "{path} is not what its sources say: PASSBOOK_WRITE_DOCS=1 cargo test --test analysts\n{differs:#?}"
    );
}
