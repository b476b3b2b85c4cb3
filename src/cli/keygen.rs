//! `passbook keygen`: a new store key on standard output.

use std::io::IsTerminal as _;

use super::{Exit, output};
use crate::secret::StoreKey;

pub(super) fn keygen() -> anyhow::Result<Exit> {
    let key = StoreKey::generate()?;
    output::print(&format!("{}\n", *key.to_text()))?;
    if std::io::stdout().is_terminal() {
        eprintln!("Keep a copy apart from the store: without this key its tokens and account numbers cannot be read.");
    }
    Ok(Exit::Done)
}
