//! `passbook reload`: have the running daemon take over a changed configuration, and say what came of it.

use std::path::Path;

use super::{Exit, output};
use crate::config::Config;
use crate::server::control::{self, Order};

pub(super) async fn reload(config: &Path) -> anyhow::Result<Exit> {
    // All mistakes at once and with their places, before the daemon is bothered. It has the secrets, which we may not read.
    let path = Config::load_without_secrets(config)?.store.path;
    let done = control::send(&path, &Order::Reload {}).await?;
    output::print(&format!("{}\n", done.message))?;
    Ok(Exit::Done)
}
