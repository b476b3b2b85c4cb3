//! `passbook links`: list, show, add, pause, resume, remove.

use std::path::Path;

use jiff::Timestamp;

use super::context::Context;
use super::status::LinkJson;
use super::{Exit, output};
use crate::server::control::Order;
use crate::store::{Access, HealthRow, SyncRow};

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
}

pub(super) async fn links(config: &Path, verb: Verb) -> anyhow::Result<Exit> {
    let order = match verb {
        Verb::List { state, json } => return list(&Context::load_to_read(config)?, state, json).await,
        Verb::Show { link, json } => return show(&Context::load_to_read(config)?, &link, json).await,
        Verb::Add { link, user, source } => Order::Add { source, user, link },
        Verb::Pause { link } => Order::Pause { link },
        Verb::Resume { link } => Order::Resume { link },
        Verb::Remove { link } => Order::Remove { link },
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
        output::print(&list_text(&links, now))?;
    }
    Ok(Exit::Done)
}

fn list_text(links: &[HealthRow], now: Timestamp) -> String {
    let rows = links.iter().map(|h| {
        vec![
            h.link_id.to_string(),
            h.source.clone(),
            h.user.clone(),
            h.institution.clone().unwrap_or_default(),
            output::state(&h.state),
            h.last_success_at.map_or_else(|| "never".to_owned(), |at| output::relative(at, now)),
            output::relative(h.due_at, now),
            h.refreshes_left.to_string(),
            h.attention.clone().or_else(|| h.last_error.clone()).unwrap_or_default(),
        ]
    });
    let header = ["link", "source", "user", "institution", "state", "last success", "due", "refreshes left", ""];
    let table = output::table(&header, &[0, 7], rows.collect());
    format!("{table}{}\n", output::counted(links.len() as u64, "link"))
}

async fn show(context: &Context, name: &str, json: bool) -> anyhow::Result<Exit> {
    let store = context.open(Access::ReadOnly)?;
    let wanted = name.to_owned();
    let found = store
        .read(move |txn| {
            let Some(link_id) = txn.find_link(&wanted)? else {
                return Ok(None);
            };
            let accounts = txn.account_summaries(link_id)?;
            Ok(Some((txn.health_of(link_id)?, accounts, txn.latest_syncs(link_id, 10)?)))
        })
        .await?;
    let Some((health, accounts, syncs)) = found else {
        anyhow::bail!("no link {name:?} in the store; `passbook links list` shows them");
    };
    if json {
        let syncs: Vec<_> = syncs.iter().map(sync_json).collect();
        let accounts: Vec<_> = accounts.rows.iter().map(|row| named(&accounts.columns, row)).collect();
        output::print_json(&serde_json::json!({
            "link": LinkJson::from(health), "accounts": accounts, "syncs": syncs,
        }))?;
        return Ok(Exit::Done);
    }
    let zone = &context.config.schedule.timezone;
    let columns: Vec<&str> = accounts.columns.iter().map(String::as_str).collect();
    let right = [4, 5, accounts.columns.len().saturating_sub(1)];
    output::print(&format!(
        "{}\n{}\n{}\n{}\n{}",
        list_text(std::slice::from_ref(&health), context.clock.now()),
        output::bold("Accounts"),
        output::table(&columns, &right, accounts.rows),
        output::bold("Latest syncs"),
        syncs_table(&syncs, zone),
    ))?;
    Ok(Exit::Done)
}

fn named(columns: &[String], row: &[String]) -> serde_json::Value {
    columns.iter().zip(row).map(|(name, value)| (name.clone(), serde_json::Value::from(value.clone()))).collect()
}

fn sync_json(s: &SyncRow) -> serde_json::Value {
    serde_json::json!({
        "sync_id": s.sync_id, "cause": s.cause, "started_at": s.started_at, "finished_at": s.finished_at,
        "outcome": s.outcome, "refreshed": s.refreshed, "requests": s.requests, "rows_seen": s.rows_seen,
        "rows_added": s.rows_added, "rows_changed": s.rows_changed, "rows_rejected": s.rows_rejected, "error": s.error,
    })
}

/// A link's syncs as a table, the latest first.
pub(super) fn syncs_table(syncs: &[SyncRow], zone: &jiff::tz::TimeZone) -> String {
    let rows = syncs.iter().map(|s| {
        vec![
            output::instant(s.started_at, zone),
            s.cause.clone(),
            output::state(s.outcome.as_deref().unwrap_or("running")),
            s.rows_seen.to_string(),
            s.rows_added.to_string(),
            s.rows_changed.to_string(),
            s.requests.to_string(),
            s.refreshed.clone().unwrap_or_default(),
            s.error.clone().unwrap_or_default(),
        ]
    });
    let header = ["started", "cause", "outcome", "rows", "new", "changed", "requests", "refresh", ""];
    output::table(&header, &[3, 4, 5, 6], rows.collect())
}
