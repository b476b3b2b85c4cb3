//! `passbook alert test`: does whoever should be told hear of it?

use std::path::Path;

use super::context::Context;
use super::{Exit, output};
use crate::alert;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Send a message that is about nothing, each way that [alert] says.
    Test,
}

pub(super) async fn run(config: &Path, verb: Verb) -> anyhow::Result<Exit> {
    let Verb::Test = verb;
    let context = Context::load(config)?;
    let dashboard = context.dashboard();
    let now = context.clock.now();
    let results = alert::test(&context.config.alert, context.transport(), dashboard.as_deref(), now).await?;
    anyhow::ensure!(!results.is_empty(), "nobody is told: write [alert] with webhook_url or command");
    let mut exit = Exit::Done;
    for (way, result) in results {
        let said = match result {
            Ok(()) => output::state("ok"),
            Err(error) => {
                exit = Exit::Failed;
                output::alarming(&error.to_string())
            }
        };
        output::print(&output::paragraph(&format!("{:<8} ", way.as_str()), &said))?;
    }
    Ok(exit)
}
