//! `passbook check`: is the configuration good, and with `--online` do the credentials work?

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::{Exit, output};
use crate::aggregator::{self, CallContext};
use crate::config::{AggregatorConfig, SourceConfig};
use crate::http::Transport;
use crate::limits::requests::Lane;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Try every credential with one request.
    #[arg(long)]
    online: bool,
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
}

#[derive(Serialize)]
struct SourceReport {
    name: String,
    aggregator: &'static str,
    base_url: String,
    next_sync_at: Option<String>,
    next_discovery_at: Option<String>,
    syncs_per_day: usize,
    refreshes_per_day: u32,
    requests_per_minute: u32,
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
    let store = &context.config.store.path;
    let report = Report {
        config: config.display().to_string(),
        store: store.display().to_string(),
        store_exists: store.exists(),
        warnings: context.config.warnings.iter().map(ToString::to_string).collect(),
        sources,
    };
    let is_good = report.sources.iter().all(|s| s.online.as_ref().is_none_or(|online| online.ok));
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(if is_good { Exit::Done } else { Exit::Failed })
}

fn describe(source: &SourceConfig, now: Timestamp, context: &Context, online: Option<Online>) -> SourceReport {
    let AggregatorConfig::Truv(truv) = &source.aggregator;
    let zone = &context.config.schedule.timezone;
    let shown = |at: Option<Timestamp>| at.map(|at| output::instant(at, zone));
    SourceReport {
        name: source.name.clone(),
        aggregator: source.aggregator.word(),
        base_url: source.base_url.to_string(),
        next_sync_at: shown(source.sync_schedule.next_after(now)),
        next_discovery_at: shown(source.discover_schedule.next_after(now)),
        syncs_per_day: source.sync_schedule.fires_per_day(now, 10_000),
        refreshes_per_day: truv.refreshes_per_day.saturating_sub(truv.refresh_reserve),
        requests_per_minute: truv.requests_per_minute,
        online,
    }
}

async fn try_online(context: &Context, source: &SourceConfig) -> Online {
    let made = aggregator::open(source, Transport::network(), context.clock.clone(), rand::random());
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
        out.push_str(&format!("{}: warning: {warning}\n", report.config));
    }
    out.push_str(&format!("{} is good\n", report.config));
    let presence = if report.store_exists { "exists" } else { "will be created by `passbook run`" };
    out.push_str(&format!("store {} {presence}\n", report.store));
    let rows = report.sources.iter().map(|s| {
        vec![
            s.name.clone(),
            s.aggregator.to_owned(),
            s.base_url.clone(),
            format!("{} a day", s.syncs_per_day),
            s.refreshes_per_day.to_string(),
            s.requests_per_minute.to_string(),
            s.next_sync_at.clone().unwrap_or_default(),
            s.online
                .as_ref()
                .map_or_else(String::new, |o| if o.ok { output::state("ok") } else { output::alarming(&o.message) }),
        ]
    });
    let header =
        ["source", "aggregator", "base url", "syncs", "refreshes/link/day", "requests/min", "next sync from", "online"];
    out.push_str(&output::table(&header, &[4, 5], rows.collect()));
    out
}
