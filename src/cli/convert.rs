//! `passbook convert`: has the store encrypted as `[store] encryption` says.

use std::path::Path;

use super::context::Context;
use super::{Exit, output};
use crate::secret::{Encryption, Sealer};
use crate::store::{ConvertOptions, Converted, StoreLock, convert as convert_store};

pub(super) async fn convert(config: &Path) -> anyhow::Result<Exit> {
    let store = Context::load(config)?.config.store;
    let lock = StoreLock::take(&store.path, "convert")?;
    let is = match store.encryption {
        Encryption::Secrets => "any SQLite reads it, and its secrets are sealed",
        Encryption::Full => "the whole file is encrypted",
    };
    let converted = tokio::task::spawn_blocking(move || {
        let options =
            ConvertOptions { path: &store.path, sealer: &Sealer::new(store.key.clone()), to: store.encryption };
        convert_store(&options, &mut |step| eprintln!("{step}"))
    });
    let done = match converted.await?? {
        Converted::Already => format!("nothing to do: {is}\n"),
        Converted::Done { rows, bytes } => {
            format!("done: {is}; {} rows in {} bytes\n", output::count(rows), output::count(bytes))
        }
    };
    drop(lock);
    output::print(&done)?;
    Ok(Exit::Done)
}
