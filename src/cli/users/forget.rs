//! `passbook users forget`: a customer is deleted, there and here.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::cli::context::Context;
use crate::cli::{Exit, output};
use crate::server::control::{Order, Private};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The source's name; may be left out where there is only one.
    #[arg(long)]
    source: Option<String>,
    /// The customer: your own id or the aggregator's.
    #[arg(long)]
    user: String,
    /// Do not ask. Needed where nobody sits at a terminal.
    #[arg(long)]
    yes: bool,
    /// Delete the rows here only: the aggregator is not asked to delete anything.
    #[arg(long)]
    only_here: bool,
    /// Print the certificate as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn forget(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    if !arguments.yes && !is_sure(&arguments)? {
        return Ok(Exit::Failed);
    }
    let Arguments { source, user, only_here, json, .. } = arguments;
    let order = Order::Forget { source, user: Private(user), only_here };
    let carried_out = context.order("users forget", order).await?;
    if let Some(local) = &carried_out.local {
        for source in local.engine.sources() {
            crate::daemon::flush_usage(&local.engine, source).await;
        }
    }
    let Some(erasure) = carried_out.done.erasure else {
        anyhow::bail!("the running daemon is another version and does not say what came of it; restart it");
    };
    if json {
        output::print_json(&erasure)?;
    } else {
        output::print(&format!("{}\n", carried_out.done.message))?;
        if erasure.finished_at.is_none() {
            output::print("the daemon goes on with it; so does this command when it is run again\n")?;
        }
    }
    // Ordered and begun, but not what was asked for yet: a script must be able to tell.
    Ok(if erasure.finished_at.is_some() { Exit::Done } else { Exit::Failed })
}

/// Has a person confirm it.
fn is_sure(arguments: &Arguments) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        anyhow::bail!("this deletes a customer for good: say --yes where nobody can be asked");
    }
    let there = if arguments.only_here { "" } else { " and at the aggregator" };
    let mut err = io::stderr().lock();
    write!(
        err,
        "Delete the customer {} with every link, account and transaction, here{there}? This cannot be undone.\nType yes to go on: ",
        arguments.user
    )?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let is_sure = answer.trim() == "yes";
    if !is_sure {
        writeln!(err, "nothing was done")?;
    }
    Ok(is_sure)
}
