//! `passbook check`: is the configuration good, and with `--online` do the credentials work?

mod diff;

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;

use self::diff::Diff;
use super::context::Context;
use super::{Exit, output};
use crate::aggregator::{self, CallContext};
use crate::config::{Plan, SourceConfig};
use crate::http::Transport;
use crate::limits::requests::Lane;
use crate::store::Access;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Try every credential with one request.
    #[arg(long)]
    online: bool,
    /// Compare with the configuration that the daemon works by: schedules, requests and refreshes a day, before and after.
    #[arg(long)]
    diff: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    config: String,
    store: String,
    store_exists: bool,
    warnings: Vec<String>,
    sources: Vec<SourceReport>,
    /// `None`: not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Diff>,
}

#[derive(Serialize)]
struct SourceReport {
    name: String,
    aggregator: &'static str,
    base_url: String,
    next_sync_at: Option<String>,
    next_discovery_at: Option<String>,
    /// `None`: the aggregator tells states with each sync.
    next_status_at: Option<String>,
    syncs_per_day: usize,
    /// Per link, on schedule; `None`: the aggregator cannot be asked to refresh.
    refreshes_per_day: Option<u32>,
    request_limit: u32,
    request_window_ms: i64,
    /// `None`: not tried.
    online: Option<Online>,
}

#[derive(Serialize)]
struct Online {
    ok: bool,
    message: String,
}

pub(super) async fn check(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load(config)?;
    let now = context.clock.now();
    let mut sources = Vec::new();
    for source in &context.config.sources {
        let online = if arguments.online { Some(try_online(&context, source).await) } else { None };
        sources.push(describe(source, now, &context, online));
    }
    let diff = if arguments.diff { Some(compare(&context, now).await?) } else { None };
    let store = &context.config.store.path;
    let report = Report {
        config: config.display().to_string(),
        store: store.display().to_string(),
        store_exists: store.exists(),
        warnings: context.config.warnings.iter().map(ToString::to_string).collect(),
        sources,
        diff,
    };
    let is_good = report.sources.iter().all(|s| s.online.as_ref().is_none_or(|online| online.ok));
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

/// Compares the file with what the daemon works by.
async fn compare(context: &Context, now: Timestamp) -> anyhow::Result<Diff> {
    let plan = Plan::of(&context.config, now);
    let names: Vec<String> = plan.sources.iter().map(|source| source.name.clone()).collect();
    let store = context.open(Access::ReadOnly)?;
    let known = store.read(move |txn| diff::read(txn, &names)).await?;
    let known = known.context("no daemon has worked on this store yet, so there is nothing to compare with")?;
    let zone = &context.config.schedule.timezone;
    Ok(diff::compare(known, &plan, |at| output::instant(at, zone)))
}

fn describe(source: &SourceConfig, now: Timestamp, context: &Context, online: Option<Online>) -> SourceReport {
    let (request_limit, window) = source.quota();
    let zone = &context.config.schedule.timezone;
    let shown = |at: Option<Timestamp>| at.map(|at| output::instant(at, zone));
    SourceReport {
        name: source.name.clone(),
        aggregator: source.word(),
        base_url: source.base_url.to_string(),
        next_sync_at: shown(source.sync_schedule.next_after(now)),
        next_discovery_at: shown(source.discover_schedule.next_after(now)),
        next_status_at: shown(source.status_schedule().and_then(|schedule| schedule.next_after(now))),
        syncs_per_day: source.sync_schedule.fires_per_day(now, 10_000),
        refreshes_per_day: source.refresh().map(|refresh| refresh.per_day.saturating_sub(refresh.reserve)),
        request_limit,
        request_window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX),
        online,
    }
}

async fn try_online(context: &Context, source: &SourceConfig) -> Online {
    let made = aggregator::open(source, Transport::network(), &context.clock, rand::random());
    let result = match made {
        Ok(opened) => opened.aggregator.check(&CallContext::new(Lane::Person)).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match result {
        Ok(()) => Online { ok: true, message: "the credential works".to_owned() },
        Err(message) => Online { ok: false, message },
    }
}

fn text(report: &Report) -> String {
    let mut out = String::new();
    for warning in &report.warnings {
        out.push_str(&output::paragraph("", &format!("{}: warning: {warning}", report.config)));
    }
    out.push_str(&format!("{} is good\n", report.config));
    let presence = if report.store_exists { "exists" } else { "will be created by `passbook run`" };
    out.push_str(&format!("store {} {presence}\n", report.store));
    for source in &report.sources {
        out.push('\n');
        out.push_str(&source_text(source));
    }
    if let Some(diff) = &report.diff {
        out.push_str(&diff::text(diff));
    }
    out
}

fn source_text(s: &SourceReport) -> String {
    let next = |at: &Option<String>| at.as_ref().map_or_else(String::new, |at| format!(", next from {at}"));
    let mut lines = vec![
        ("syncs", format!("{} a day{}", output::count(s.syncs_per_day as u64), next(&s.next_sync_at))),
        ("refreshes", refreshes(s)),
        ("requests", requests(s)),
        ("discovery", s.next_discovery_at.as_ref().map_or_else(|| "never".to_owned(), |at| format!("next {at}"))),
    ];
    if let Some(at) = &s.next_status_at {
        lines.push(("states", format!("looked at between syncs, next from {at}")));
    }
    if let Some(online) = &s.online {
        let said = if online.ok { output::state("ok") } else { output::alarming(&online.message) };
        lines.push(("online", said));
    }
    let mut text =
        format!("{}  {}\n", output::bold(&s.name), output::dim(&format!("{} · {}", s.aggregator, s.base_url)));
    for (label, value) in lines {
        text.push_str(&output::paragraph(&format!("  {label:<10} "), &value));
    }
    text
}

/// How often each link is refreshed on schedule.
fn refreshes(source: &SourceReport) -> String {
    match source.refreshes_per_day {
        None => "by the aggregator itself, none to ask for".to_owned(),
        Some(0) => "none on schedule: only what the aggregator holds is read".to_owned(),
        Some(number) => format!("at most {number} a day for each link on schedule"),
    }
}

/// The aggregator's limit: `300 in 1 min are allowed`.
fn requests(source: &SourceReport) -> String {
    let window = output::duration(source.request_window_ms / 1000);
    format!("{} in {window} are allowed", output::count(source.request_limit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str, refreshes_per_day: Option<u32>, request_limit: u32, request_window_ms: i64) -> SourceReport {
        SourceReport {
            name: name.to_owned(),
            aggregator: "bank",
            base_url: "https://bank.example/".to_owned(),
            next_sync_at: Some("soon".to_owned()),
            next_discovery_at: None,
            next_status_at: None,
            syncs_per_day: 4,
            refreshes_per_day,
            request_limit,
            request_window_ms,
            online: None,
        }
    }

    #[test]
    fn sources_with_and_without_refreshes_say_which_they_are() {
        let asks = source_text(&source("asks", Some(2), 300, 60_000));
        assert!(asks.contains("at most 2 a day") && asks.contains("300 in 1 min"), "{asks}");
        let awaits = source_text(&source("awaits", None, 2_000, 300_000));
        assert!(awaits.contains("by the aggregator itself") && awaits.contains("2,000 in 5 min"), "{awaits}");
        assert!(source_text(&source("rests", Some(0), 300, 60_000)).contains("none on schedule"));
    }
}
