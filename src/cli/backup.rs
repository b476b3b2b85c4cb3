//! `passbook backup`: make one now; or list those there are.

use std::path::Path;

use serde::Serialize;

use super::context::Context;
use super::{Exit, output};
use crate::server::control::Order;
use crate::store::{Access, Backup};

/// At most so many are listed for a person.
const LISTED: usize = 40;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Show how backups went and which are there, instead of making one. Needs no secret.
    #[arg(long)]
    list: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A backup for scripts.
#[derive(Serialize)]
struct Row {
    made_at: String,
    proved_at: Option<String>,
    file: Option<String>,
    /// Whether the file is in the directory now.
    is_there: bool,
    file_bytes: Option<u64>,
    store_bytes: Option<u64>,
    rows: Option<u64>,
    content_hash: Option<String>,
    error: Option<String>,
    removed_at: Option<String>,
}

pub(super) async fn backup(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    if arguments.list {
        return list(config, arguments.json).await;
    }
    let context = Context::load(config)?;
    let message = context.order("backup", Order::Backup {}).await?.done.message;
    if arguments.json {
        let store = context.open(Access::ReadOnly)?;
        let made = store.read(|txn| txn.backups(1)).await?;
        output::print_json(&made.into_iter().next().map(|backup| row(&context, backup)))?;
    } else {
        output::print(&format!("{message}\n"))?;
    }
    Ok(Exit::Done)
}

async fn list(config: &Path, json: bool) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let limit = if json { usize::MAX } else { LISTED };
    let rows: Vec<Row> =
        store.read(move |txn| txn.backups(limit)).await?.into_iter().map(|backup| row(&context, backup)).collect();
    if json {
        output::print_json(&rows)?;
        return Ok(Exit::Done);
    }
    if rows.is_empty() {
        output::print("no backup was made yet\n")?;
        return Ok(Exit::Done);
    }
    let cells = rows.iter().map(|row| {
        let number = |number: Option<u64>| number.map_or_else(String::new, output::count);
        vec![row.made_at.clone(), state(row), number(row.file_bytes), number(row.rows), said(row)]
    });
    output::print(&output::table(&["made", "", "bytes", "rows", "file"], &[2, 3], cells.collect()))?;
    Ok(Exit::Done)
}

fn row(context: &Context, backup: Backup) -> Row {
    let zone = &context.config.schedule.timezone;
    let directory = context.config.backup.as_ref().map(|backup| backup.directory.clone()).unwrap_or_default();
    let is_there = backup.file_name.as_ref().is_some_and(|name| directory.join(name).exists());
    Row {
        made_at: output::instant(backup.made_at, zone),
        proved_at: backup.proved_at.map(|at| output::instant(at, zone)),
        file: backup.file_name,
        is_there,
        file_bytes: backup.file_bytes,
        store_bytes: backup.store_bytes,
        rows: backup.row_count,
        content_hash: backup.content_hash,
        error: backup.error,
        removed_at: backup.removed_at.map(|at| output::instant(at, zone)),
    }
}

fn state(row: &Row) -> String {
    match (&row.proved_at, row.removed_at.is_some(), row.is_there) {
        (None, _, _) => output::state("failed"),
        (Some(_), true, _) => output::dim("removed"),
        (Some(_), false, true) => "proved".to_owned(),
        (Some(_), false, false) => output::alarming("not there"),
    }
}

fn said(row: &Row) -> String {
    row.error.clone().or_else(|| row.file.clone()).unwrap_or_default()
}
