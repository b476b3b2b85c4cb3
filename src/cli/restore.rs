//! `passbook restore`: a store from a backup, proved before it gets its name.

use std::path::PathBuf;

use age::x25519::Identity;
use anyhow::Context as _;
use zeroize::Zeroizing;

use super::{Exit, output};
use crate::secret::StoreKey;
use crate::store;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A file with the secret key of one of its recipients, as age-keygen makes it.
    #[arg(long, value_name = "KEYFILE")]
    identity: PathBuf,
    /// A file with the store key, which is needed where the whole store was encrypted.
    #[arg(long, value_name = "FILE")]
    store_key: Option<PathBuf>,
    /// Where the store shall be. There must be nothing yet.
    #[arg(long, value_name = "PATH")]
    to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn restore(arguments: Arguments) -> anyhow::Result<Exit> {
    let identities = identities(&arguments.identity)?;
    let key = arguments.store_key.as_deref().map(store_key).transpose()?;
    let Arguments { file, to, json, .. } = arguments;
    let (from, path) = (file.clone(), to.clone());
    let restored = tokio::task::spawn_blocking(move || store::restore(&from, &identities, key.as_ref(), &path))
        .await
        .context("restoring")??;
    if json {
        output::print_json(&serde_json::json!({
            "store": to, "made_at": restored.made_at, "store_bytes": restored.store_bytes, "rows": restored.row_count,
            "content_hash": restored.content_hash,
        }))?;
        return Ok(Exit::Done);
    }
    output::print(&format!(
        "{}: {} rows, {} bytes, as it was at {}\nwhole, and its content is what was backed up; the next sync asks for what \
         came since\n",
        to.display(),
        output::count(restored.row_count),
        output::count(restored.store_bytes),
        restored.made_at.strftime("%Y-%m-%d %H:%M:%SZ"),
    ))?;
    Ok(Exit::Done)
}

fn store_key(path: &std::path::Path) -> anyhow::Result<StoreKey> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("the store key {} cannot be read", path.display()))?;
    StoreKey::parse(text.trim()).with_context(|| format!("{} holds no store key", path.display()))
}

/// Reads the secret keys in a file: one to a line, lines that begin with # are comments. No message repeats what stands there.
fn identities(path: &std::path::Path) -> anyhow::Result<Vec<Identity>> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    let text = text.with_context(|| format!("the identity file {} cannot be read", path.display()))?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let keys = lines.map(|(number, line)| {
        let unknown = format!("{}: line {} is no age secret key (AGE-SECRET-KEY-1…)", path.display(), number + 1);
        line.parse().map_err(|_| anyhow::anyhow!(unknown))
    });
    let keys: Vec<Identity> = keys.collect::<Result<_, _>>()?;
    anyhow::ensure!(!keys.is_empty(), "{} holds no age secret key (AGE-SECRET-KEY-1…)", path.display());
    Ok(keys)
}
