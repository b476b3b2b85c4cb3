//! `passbook links`: list, show, add, connect, pause, resume, remove, split.

mod connect;
mod show;

use std::path::Path;

use jiff::Timestamp;

use super::context::Context;
use super::{Exit, output};
use crate::server::control::Order;
use crate::server::status::LinkJson;
use crate::store::{Access, HealthRow};
use crate::sync::explain;

pub(super) use show::syncs_table;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Every link with its state and freshness.
    List {
        /// Only links in this state.
        #[arg(long, value_parser = ["new", "active", "attention", "failing", "paused", "removed"])]
        state: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// One link with its accounts and latest syncs.
    Show {
        /// Our id or the aggregator's.
        link: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Store a link that discovery has not found yet.
    Add {
        /// The aggregator's id of the link.
        link: String,
        /// The aggregator's id of the customer.
        #[arg(long)]
        user: String,
        /// The source's name, where there are several.
        #[arg(long)]
        source: Option<String>,
    },
    /// Print an address under which a customer connects a bank, or with --link repairs one.
    Connect(connect::Arguments),
    /// Stop syncing a link until it is resumed.
    Pause {
        /// Our id or the aggregator's.
        link: String,
    },
    /// Go on syncing a paused or removed link.
    Resume {
        /// Our id or the aggregator's.
        link: String,
    },
    /// Take a link out for good; its history stays. It is not deleted at the aggregator.
    Remove {
        /// Our id or the aggregator's.
        link: String,
    },
    /// Take two accounts apart that were joined because the customer connected the bank anew.
    Split {
        /// Our id of the account, as `passbook links show` tells it.
        account: i64,
    },
}

pub(super) async fn links(config: &Path, verb: Verb) -> anyhow::Result<Exit> {
    let order = match verb {
        Verb::List { state, json } => return list(&Context::load_to_read(config)?, state, json).await,
        Verb::Show { link, json } => return show::show(&Context::load_to_read(config)?, &link, json).await,
        Verb::Add { link, user, source } => Order::Add { source, user, link },
        Verb::Connect(arguments) => return connect::connect(&Context::load(config)?, arguments).await,
        Verb::Pause { link } => Order::Pause { link },
        Verb::Resume { link } => Order::Resume { link },
        Verb::Remove { link } => Order::Remove { link },
        Verb::Split { account } => Order::Split { account },
    };
    let carried_out = Context::load(config)?.order("links", order).await?;
    output::print(&format!("{}\n", carried_out.done.message))?;
    Ok(Exit::Done)
}

async fn list(context: &Context, state: Option<String>, json: bool) -> anyhow::Result<Exit> {
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let links = store.read(move |txn| txn.link_health(state.as_deref(), usize::MAX)).await?;
    if json {
        output::print_json(&links.into_iter().map(LinkJson::from).collect::<Vec<_>>())?;
    } else {
        output::print(&format!(
            "{} · left: refreshes in the rolling day, - where none can be asked for\n",
            list_text(&links, now)
        ))?;
    }
    Ok(Exit::Done)
}

/// Links as a table.
fn list_text(links: &[HealthRow], now: Timestamp) -> String {
    let rows = links.iter().map(|h| {
        vec![
            h.link_id.to_string(),
            h.source.clone(),
            h.user.clone(),
            h.institution.clone().unwrap_or_default(),
            output::state(&h.state),
            h.last_success_at.map_or_else(|| "never".to_owned(), |at| output::about(at, now)),
            due(h, now),
            h.refreshes_left.map_or_else(|| "-".to_owned(), |left| left.to_string()),
            explain::note(h, now),
        ]
    });
    let header = ["link", "source", "user", "institution", "state", "success", "due", "left", ""];
    let table = output::table(&header, &[0, 7], rows.collect());
    format!("{table}{}", output::counted(links.len() as u64, "link"))
}

fn due(h: &HealthRow, now: Timestamp) -> String {
    let rests = h.state == "paused" || h.state == "removed";
    if rests { "-".to_owned() } else { output::about(h.due_at, now) }
}
