//! `passbook sync`: make links due now, wait for the result, say it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::task::JoinSet;

use super::context::Context;
use super::run::stop_on_signals;
use super::{Exit, output};
use crate::daemon::step;
use crate::server::control::Order;
use crate::store::{Access, Store, StoreError, StoreLock, SyncRow};
use crate::sync::{Engine, Step};

/// How often the store is looked at while the daemon works.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long no daemon may be there before nobody waits for it any more: one that is restarted is back by then.
const DAEMON_AWAY: Duration = Duration::from_secs(5);
/// What a link is said to be that no sync came to.
const NOT_SYNCED: &str = "not synced";

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Links by our id or the aggregator's; none means all.
    #[arg(value_name = "LINK")]
    links: Vec<String>,
    /// Read the whole history again instead of what is new.
    #[arg(long)]
    full: bool,
    /// Only ask for it, do not wait. Needs a running daemon.
    #[arg(long)]
    no_wait: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct LinkResult {
    link_id: i64,
    outcome: String,
    refreshed: Option<String>,
    requests: u32,
    rows_seen: u32,
    rows_added: u32,
    rows_changed: u32,
    rows_rejected: u32,
    error: Option<String>,
}

pub(super) async fn sync(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load(config)?;
    let stop = stop_on_signals()?;
    let reader = context.open(Access::ReadOnly)?;
    let before = latest_ids(&reader).await?;
    let are_named = !arguments.links.is_empty();
    let order = Order::Sync { links: arguments.links, full: arguments.full };
    let carried_out = context.order("sync", order).await?;
    let links = carried_out.done.links;
    if arguments.no_wait {
        let note = if carried_out.local.is_some() { "; no daemon is running, they wait for the next one" } else { "" };
        output::print(&format!("{}{note}\n", carried_out.done.message))?;
        return Ok(Exit::Done);
    }
    let bar = bar(links.len() as u64);
    let work = async {
        match &carried_out.local {
            Some(local) => sync_here(&local.engine, &links, &context, &bar).await.map(|()| End::Done),
            None => wait_for_daemon(&reader, &links, &before, &bar).await,
        }
    };
    let end = tokio::select! {
        result = work => result?,
        () = stop.cancelled() => End::Interrupted,
    };
    bar.finish_and_clear();
    let rows = ended_since(&reader, &links, &before).await?;
    report(&links, &rows, are_named, end, arguments.json)
}

/// How the wait for the syncs ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Nothing more comes.
    Done,
    /// Whoever waited had enough.
    Interrupted,
    /// Nobody syncs any more.
    DaemonGone,
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    bar.set_style(
        ProgressStyle::with_template("{bar:32} {pos}/{len} links  {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Does the steps of these links here, waiting for refreshes as the daemon would.
async fn sync_here(
    engine: &Arc<Engine>,
    links: &[i64],
    context: &Context,
    bar: &ProgressBar,
) -> Result<(), StoreError> {
    let deadline = context.config.schedule.sync_deadline;
    let mut waiting: VecDeque<i64> = links.iter().copied().collect();
    let mut jobs: JoinSet<Result<(), StoreError>> = JoinSet::new();
    // A link that waits for its refresh holds no request: many may wait at once.
    let at_once = context.config.schedule.workers * 8;
    while !waiting.is_empty() || !jobs.is_empty() {
        while jobs.len() < at_once
            && let Some(link_id) = waiting.pop_front()
        {
            let engine = Arc::clone(engine);
            jobs.spawn(async move { to_the_end(&engine, link_id, deadline).await });
        }
        if let Some(Ok(result)) = jobs.join_next().await {
            result?;
            bar.inc(1);
        }
    }
    for source in engine.sources() {
        crate::daemon::flush_usage(engine, source).await;
    }
    Ok(())
}

async fn to_the_end(engine: &Arc<Engine>, link_id: i64, deadline: Duration) -> Result<(), StoreError> {
    loop {
        match step(engine, link_id, deadline).await? {
            Step::Waiting { until } => {
                let wait = until.duration_since(engine.clock().now());
                tokio::time::sleep(wait.try_into().unwrap_or(Duration::ZERO)).await;
            }
            Step::Ended(_) | Step::Nothing => return Ok(()),
        }
    }
}

/// The id of each link's latest sync.
#[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
async fn latest_ids(store: &Store) -> Result<HashMap<i64, i64>, StoreError> {
    store.read(|txn| txn.latest_sync_ids()).await
}

async fn ended_since(
    store: &Store,
    links: &[i64],
    before: &HashMap<i64, i64>,
) -> Result<HashMap<i64, SyncRow>, StoreError> {
    let (links, before) = (links.to_vec(), before.clone());
    store
        .read(move |txn| {
            let mut ended = HashMap::new();
            for link_id in links {
                let latest = txn.latest_syncs(link_id, 1)?.into_iter().next();
                let known = before.get(&link_id).copied().unwrap_or_default();
                if let Some(sync) = latest.filter(|s| s.sync_id > known && s.finished_at.is_some()) {
                    ended.insert(link_id, sync);
                }
            }
            Ok(ended)
        })
        .await
}

/// Waits until each of the links has ended a sync, or can have none any more: it was paused, removed or forgotten meanwhile, or
/// its source is no longer configured.
async fn wait_for_daemon(
    store: &Store,
    links: &[i64],
    before: &HashMap<i64, i64>,
    bar: &ProgressBar,
) -> Result<End, StoreError> {
    let mut seen_at = Instant::now();
    loop {
        // Looked at before the links: what a daemon did before it ended is not overlooked.
        let is_there = StoreLock::holder(store.path()).is_some();
        #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
        let syncable: HashSet<i64> = store.read(|txn| txn.syncable_links()).await?.into_iter().collect();
        let ended = ended_since(store, links, before).await?;
        bar.set_position(ended.len() as u64);
        if links.iter().all(|link| ended.contains_key(link) || !syncable.contains(link)) {
            return Ok(End::Done);
        }
        if is_there {
            seen_at = Instant::now();
        } else if seen_at.elapsed() >= DAEMON_AWAY {
            return Ok(End::DaemonGone);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Says what became of each link.
///
/// Errors: where nobody is there who would go on.
fn report(links: &[i64], ended: &HashMap<i64, SyncRow>, are_named: bool, end: End, json: bool) -> anyhow::Result<Exit> {
    let results: Vec<LinkResult> = links.iter().map(|id| result_of(*id, ended.get(id))).collect();
    if json {
        output::print_json(&results)?;
    } else {
        output::print(&text(&results, end))?;
    }
    anyhow::ensure!(
        end != End::DaemonGone,
        "the daemon ended before all of it was done; the next one goes on with it: start it, or run this command again"
    );
    let has = |word: &str| results.iter().any(|r| r.outcome == word);
    Ok(match () {
        () if has("failed") || end == End::Interrupted => Exit::Failed,
        // One of all links may be paused or removed at any moment; who named it wants it.
        () if are_named && has(NOT_SYNCED) => Exit::Failed,
        () if has("attention") => Exit::Attention,
        () => Exit::Done,
    })
}

fn result_of(link_id: i64, sync: Option<&SyncRow>) -> LinkResult {
    LinkResult {
        link_id,
        outcome: sync.and_then(|s| s.outcome.clone()).unwrap_or_else(|| NOT_SYNCED.to_owned()),
        refreshed: sync.and_then(|s| s.refreshed.clone()),
        requests: sync.map_or(0, |s| s.requests),
        rows_seen: sync.map_or(0, |s| s.rows_seen),
        rows_added: sync.map_or(0, |s| s.rows_added),
        rows_changed: sync.map_or(0, |s| s.rows_changed),
        rows_rejected: sync.map_or(0, |s| s.rows_rejected),
        error: sync.and_then(|s| s.error.clone()),
    }
}

/// At most this many links are shown one by one.
const LISTED: usize = 30;

fn text(results: &[LinkResult], end: End) -> String {
    let rows = results.iter().take(LISTED).map(|r| {
        vec![
            r.link_id.to_string(),
            output::state(&r.outcome),
            r.rows_seen.to_string(),
            r.rows_added.to_string(),
            r.rows_changed.to_string(),
            r.requests.to_string(),
            r.refreshed.clone().unwrap_or_default(),
            r.error.clone().unwrap_or_default(),
        ]
    });
    let header = ["link", "outcome", "rows", "new", "changed", "requests", "refresh", ""];
    let mut out = output::table(&header, &[0, 2, 3, 4, 5], rows.collect());
    if results.len() > LISTED {
        out.push_str(&format!("and {} more\n", results.len() - LISTED));
    }
    if results.iter().any(|r| r.outcome == NOT_SYNCED) {
        out.push_str("not synced: paused, removed or interrupted; `passbook explain LINK` says why\n");
    }
    if end == End::Interrupted {
        out.push_str("interrupted; what is stored stays, the daemon goes on from there\n");
    }
    out
}
