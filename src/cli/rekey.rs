//! `passbook rekey`: from `[store] previous_key` to `[store] key`.

use std::path::Path;

use super::context::Context;
use super::{Exit, output};
use crate::secret::Sealer;
use crate::store::{RekeyOptions, Rekeyed, StoreLock, rekey as rekey_store};

pub(super) async fn rekey(config: &Path) -> anyhow::Result<Exit> {
    let store = Context::load(config)?.config.store;
    let Some(previous) = store.previous_key else {
        anyhow::bail!(
            "[store] previous_key is not there: make a new key with `passbook keygen`, refer to it as key and to the one in use as \
             previous_key, and run this again; docs/rotation.md has every step"
        );
    };
    let lock = StoreLock::take(&store.path, "rekey")?;
    let id = store.key.id().to_owned();
    let rekeyed = tokio::task::spawn_blocking(move || {
        let (to, from) = (Sealer::new(store.key.clone()), Sealer::new(previous));
        let options = RekeyOptions { path: &store.path, encryption: store.encryption, to: &to, from: &from };
        rekey_store(&options, &mut |step| eprintln!("{step}"))
    });
    let Rekeyed { values, file } = rekeyed.await??;
    drop(lock);
    let whole = if file { ", and the whole file is encrypted with it" } else { "" };
    output::print(&format!(
        "the store is under the key {id}: {} sealed anew in this run{whole}\n\
         Remove previous_key from the configuration, and keep the former key as long as backups that need it.\n",
        output::counted(values, "value")
    ))?;
    Ok(Exit::Done)
}
