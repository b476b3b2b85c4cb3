//! `passbook users forget`: a customer is deleted, there and here.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::context::Context;
use crate::cli::{Exit, output};
use crate::server::control::{Order, Private};
use crate::server::erasure::ErasureJson;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The source's name; may be left out where there is only one.
    #[arg(long)]
    source: Option<String>,
    /// The customer: your own id or the aggregator's.
    #[arg(long, required_unless_present = "again")]
    user: Option<String>,
    /// Do not ask. Needed where nobody sits at a terminal.
    #[arg(long)]
    yes: bool,
    /// Delete the rows here only: the aggregator is not asked to delete anything.
    #[arg(long)]
    only_here: bool,
    /// After an older backup was restored: forget everybody whose certificate is in this file, which `users erasures --json`
    /// wrote, and who is here again. Who was left at the aggregator then is left there again; with --only-here everybody.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user", "source"])]
    again: Option<PathBuf>,
    /// Print the certificate as JSON; a list of them with --again, and where several customers had the id.
    #[arg(long)]
    json: bool,
}

pub(super) async fn forget(context: &Context, arguments: Arguments) -> anyhow::Result<Exit> {
    let Arguments { source, user, yes, only_here, again, json } = arguments;
    let (order, what) = match (again, user) {
        (Some(file), _) => {
            let certificates = read_certificates(&file)?;
            let number = certificates.len();
            let there = if only_here { "here" } else { "here, and at the aggregator unless it was to keep them" };
            let what = format!("every customer who is here again of {number} that were forgotten, {there}");
            (Order::ForgetAgain { certificates, only_here }, what)
        }
        (None, user) => {
            let user = user.unwrap_or_default();
            let there = if only_here { "" } else { " and at the aggregator" };
            let what = format!("the customer {user} with every link, account and transaction, here{there}");
            (Order::Forget { source, user: Private(user), only_here }, what)
        }
    };
    if !yes && !is_sure(&what)? {
        return Ok(Exit::Failed);
    }
    let is_list = matches!(order, Order::ForgetAgain { .. });
    let carried_out = context.order("users forget", order).await?;
    if let Some(local) = &carried_out.local {
        for source in local.engine.sources() {
            crate::daemon::flush_usage(&local.engine, source).await;
        }
    }
    let erasures = &carried_out.done.erasures;
    let is_finished = erasures.iter().all(|erasure| erasure.finished_at.is_some());
    match erasures.first().filter(|_| !is_list && erasures.len() == 1) {
        Some(erasure) if json => output::print_json(erasure)?,
        _ if json => output::print_json(erasures)?,
        _ => output::print(&format!("{}\n", carried_out.done.message))?,
    }
    if !json && !is_finished {
        output::print("the daemon goes on with it; so does this command when it is run again\n")?;
    }
    // Ordered and begun, but not what was asked for yet: a script must be able to tell.
    Ok(if is_finished { Exit::Done } else { Exit::Failed })
}

/// The certificates in a file.
fn read_certificates(file: &Path) -> anyhow::Result<Vec<ErasureJson>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let certificates: Vec<ErasureJson> = serde_json::from_str(&text)
        .with_context(|| format!("{} is not what `passbook users erasures --json` writes", file.display()))?;
    for certificate in &certificates {
        let hashes = [&certificate.upstream_id_hmac, &certificate.external_id_hmac];
        let is_hash = |hash: &String| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !hashes.into_iter().flatten().all(is_hash) {
            anyhow::bail!("{}: erasure {}: a hash that is none", file.display(), certificate.erasure_id);
        }
    }
    Ok(certificates)
}

/// Has a person confirm it.
fn is_sure(what: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        anyhow::bail!("this deletes for good: say --yes where nobody can be asked");
    }
    let mut err = io::stderr().lock();
    write!(err, "Delete {what}? This cannot be undone.\nType yes to go on: ")?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let is_sure = answer.trim() == "yes";
    if !is_sure {
        writeln!(err, "nothing was done")?;
    }
    Ok(is_sure)
}
