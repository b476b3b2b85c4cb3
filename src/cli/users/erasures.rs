//! `passbook users erasures`: the orders under way and the certificates.

use std::path::Path;

use jiff::Timestamp;

use crate::cli::context::Context;
use crate::cli::{Exit, output};
use crate::server::erasure::ErasureJson;
use crate::store::{Access, Store, StoreError};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// Only that of the customer with this id, yours or the aggregator's: proves that they were forgotten. Needs the store key.
    #[arg(long)]
    user: Option<String>,
    /// With --user: only at this source.
    #[arg(long, requires = "user")]
    source: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn erasures(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    // The hashes cannot be read: to find an id among them takes the key.
    let context = if arguments.user.is_some() { Context::load(config)? } else { Context::load_to_read(config)? };
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let found = match arguments.user {
        Some(user) => of_user(&store, arguments.source, user).await?,
        None => store.read(|txn| txn.erasures(false)).await?.into_iter().map(ErasureJson::from).collect(),
    };
    if arguments.json {
        output::print_json(&found)?;
    } else {
        output::print(&text(&found, now))?;
    }
    Ok(Exit::Done)
}

async fn of_user(store: &Store, source: Option<String>, user: String) -> Result<Vec<ErasureJson>, StoreError> {
    store
        .read(move |txn| {
            let mut found = Vec::new();
            for (source_id, name) in txn.all_sources()? {
                if source.as_ref().is_none_or(|wanted| *wanted == name)
                    && let Some(erasure_id) = txn.erasure_of(source_id, &user)?
                {
                    found.push(ErasureJson::from(txn.erasure(erasure_id)?));
                }
            }
            Ok(found)
        })
        .await
}

fn text(erasures: &[ErasureJson], now: Timestamp) -> String {
    if erasures.is_empty() {
        return "nobody was forgotten\n".to_owned();
    }
    let rows = erasures.iter().map(|e| {
        let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| output::about(at, now));
        let note = if e.finished_at.is_some() { String::new() } else { e.left_to_do() };
        let why = e.last_error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
        vec![
            e.erasure_id.to_string(),
            e.source.clone(),
            e.state.clone(),
            output::about(e.requested_at, now),
            e.upstream_outcome.clone().unwrap_or_else(|| "-".to_owned()),
            e.rows_deleted.values().sum::<u64>().to_string(),
            at(e.finished_at),
            format!("{note}{why}"),
        ]
    });
    let header = ["erasure", "source", "state", "ordered", "there", "rows here", "finished", ""];
    let table = output::table(&header, &[0, 5], rows.collect());
    format!("{table}{}\n", output::counted(erasures.len() as u64, "erasure"))
}
