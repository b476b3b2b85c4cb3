//! `passbook users`: list, forget, erasures.

mod erasures;
mod forget;

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::{Exit, output};
use crate::store::{Access, UserRow};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every customer with their ids and links.
    List {
        /// Only those of this source.
        #[arg(long)]
        source: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Delete a customer at the aggregator, and every row of theirs here, for good. Run again, it goes on or says how far it is.
    Forget(forget::Arguments),
    /// The customers who were forgotten or are being forgotten, without saying who: the certificates.
    Erasures(erasures::Arguments),
}

#[derive(Serialize)]
struct UserJson {
    user_id: i64,
    source: String,
    external_id: Option<String>,
    upstream_id: String,
    links: u64,
    state: String,
    first_seen_at: Timestamp,
}

impl From<UserRow> for UserJson {
    fn from(u: UserRow) -> Self {
        Self {
            user_id: u.user_id,
            source: u.source,
            external_id: u.external_id,
            upstream_id: u.upstream_id,
            links: u.links,
            state: u.state,
            first_seen_at: u.first_seen_at,
        }
    }
}

pub(super) async fn users(config: &Path, verb: Verb) -> anyhow::Result<Exit> {
    match verb {
        Verb::List { source, json } => list(&Context::load_to_read(config)?, source, json).await,
        Verb::Forget(arguments) => forget::forget(&Context::load(config)?, arguments).await,
        Verb::Erasures(arguments) => erasures::erasures(config, arguments).await,
    }
}

async fn list(context: &Context, source: Option<String>, json: bool) -> anyhow::Result<Exit> {
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let users = store.read(move |txn| txn.users_listed(source.as_deref())).await?;
    if json {
        output::print_json(&users.into_iter().map(UserJson::from).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let rows = users.iter().map(|u| {
        vec![
            u.user_id.to_string(),
            u.source.clone(),
            u.external_id.clone().unwrap_or_else(|| "-".to_owned()),
            u.upstream_id.clone(),
            u.links.to_string(),
            u.state.clone(),
            output::about(u.first_seen_at, now),
        ]
    });
    let header = ["user", "source", "your id", "upstream id", "links", "state", "first seen"];
    let table = output::table(&header, &[0, 4], rows.collect());
    output::print(&format!("{table}{}\n", output::counted(users.len() as u64, "customer")))?;
    Ok(Exit::Done)
}
