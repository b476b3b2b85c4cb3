//! `passbook keygen`: a new store key on standard output; or what other tools open a store with that is encrypted whole.

use std::io::IsTerminal as _;
use std::path::Path;

use super::{Exit, output};
use crate::config::Config;
use crate::secret::StoreKey;
use crate::store::cipher_settings;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print no new key, but what other tools open this store with, where all of it is encrypted: `sqlcipher -init <(passbook keygen --sqlcipher) FILE`.
    #[arg(long)]
    sqlcipher: bool,
}

pub(super) fn keygen(config: &Path, arguments: &Arguments) -> anyhow::Result<Exit> {
    if arguments.sqlcipher {
        let key = Config::load(config)?.store.key;
        output::print(&cipher_settings(&key.file_key()))?;
        return Ok(Exit::Done);
    }
    let key = StoreKey::generate()?;
    output::print(&format!("{}\n", *key.to_text()))?;
    if std::io::stdout().is_terminal() {
        eprintln!("Keep a copy apart from the store: without this key its tokens and account numbers cannot be read.");
    }
    Ok(Exit::Done)
}
