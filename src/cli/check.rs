//! `passbook check`: is the configuration good, and with `--online` do the credentials work?

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::{Exit, output};
use crate::aggregator::{self, CallContext};
use crate::config::SourceConfig;
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
            s.refreshes_per_day.map_or_else(|| "-".to_owned(), |refreshes| refreshes.to_string()),
            requests(s),
            s.next_sync_at.clone().unwrap_or_default(),
            s.online
                .as_ref()
                .map_or_else(String::new, |o| if o.ok { output::state("ok") } else { output::alarming(&o.message) }),
        ]
    });
    let header =
        ["source", "aggregator", "base url", "syncs", "refreshes/link/day", "requests", "next sync from", "online"];
    out.push_str(&output::table(&header, &[4, 5], rows.collect()));
    out
}

/// The aggregator's limit: `300 in 1 min`.
fn requests(source: &SourceReport) -> String {
    let window = output::duration(source.request_window_ms / 1000);
    format!("{} in {window}", output::count(source.request_limit.into()))
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
    fn sources_with_and_without_refreshes_share_a_table() {
        let sources = vec![source("asks", Some(2), 300, 60_000), source("awaits", None, 2_000, 300_000)];
        let report = Report {
            config: "passbook.toml".to_owned(),
            store: "passbook.db".to_owned(),
            store_exists: true,
            warnings: Vec::new(),
            sources,
        };
        let shown: Vec<String> =
            text(&report).lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            shown[3..],
            [
                "asks bank https://bank.example/ 4 a day 2 300 in 1 min soon",
                "awaits bank https://bank.example/ 4 a day - 2,000 in 5 min soon"
            ]
        );
    }
}
