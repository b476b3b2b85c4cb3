//! `passbook snapshot`: a copy of the store for heavy work, whole at every instant.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::{Exit, output};
use crate::store::Access;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where to; snapshot.db beside the store, or where the configuration says, unless given. A copy that is there is replaced, whoever has it open keeps it.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Only reads the store: whoever may do that may make a copy, with the daemon running or not.
pub(super) async fn snapshot(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let to = match arguments.to {
        Some(path) => std::path::absolute(path)?,
        None => context.config.store.readers.snapshot_path.clone(),
    };
    let bytes = store.publish_snapshot(to.clone(), context.clock.now()).await?;
    if arguments.json {
        output::print_json(&serde_json::json!({ "file": to, "bytes": bytes }))?;
    } else {
        output::print(&format!("{}: {} bytes\n", to.display(), output::count(bytes)))?;
    }
    Ok(Exit::Done)
}
