//! `passbook status`: sources at a glance, then what needs a person.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::{Exit, output};
use crate::limits::refreshes::month_began;
use crate::model::Attention;
use crate::store::{Access, HealthRow, SourceReport};

/// At most so many links are listed; `passbook links list --state attention` shows all.
const LISTED: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    store: String,
    daemon: Option<String>,
    sources: Vec<SourceJson>,
    needs_a_person: Vec<LinkJson>,
    failing: Vec<LinkJson>,
}

#[derive(Serialize)]
struct SourceJson {
    name: String,
    aggregator: String,
    retired_at: Option<Timestamp>,
    links: BTreeMap<String, u64>,
    oldest_success_at: Option<Timestamp>,
    newest_success_at: Option<Timestamp>,
    due_now: u64,
    requests_last_minute: u64,
    requests_last_hour: u64,
    requests_allowed_per_minute: u64,
    rate_limited_last_hour: u64,
    refreshes_last_day: u64,
    refreshes_this_month: u64,
    refreshes_per_month: Option<u64>,
    refreshable_links: u64,
    next_refresh_frees_at: Option<Timestamp>,
    discovered_at: Option<Timestamp>,
    discover_due_at: Timestamp,
    discover_error: Option<String>,
    hold_until: Option<Timestamp>,
    rejected_rows: u64,
}

/// A link for scripts.
#[derive(Serialize)]
pub(super) struct LinkJson {
    link_id: i64,
    source: String,
    upstream_link_id: String,
    user: String,
    institution: Option<String>,
    state: String,
    upstream_status: Option<String>,
    attention: Option<String>,
    attention_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    due_at: Timestamp,
    refreshes_left: i64,
    consecutive_failures: u32,
    last_error: Option<String>,
}

impl From<HealthRow> for LinkJson {
    fn from(h: HealthRow) -> Self {
        Self {
            link_id: h.link_id,
            source: h.source,
            upstream_link_id: h.upstream_link_id,
            user: h.user,
            institution: h.institution,
            state: h.state,
            upstream_status: h.upstream_status,
            attention: h.attention,
            attention_at: h.attention_at,
            last_success_at: h.last_success_at,
            due_at: h.due_at,
            refreshes_left: h.refreshes_left,
            consecutive_failures: h.consecutive_failures,
            last_error: h.last_error,
        }
    }
}

pub(super) async fn status(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let limit = if arguments.json { usize::MAX } else { LISTED + 1 };
    let (sources, attention, failing) = store
        .read(move |txn| {
            let sources = txn.source_reports(now, month_began(now))?;
            Ok((sources, txn.link_health(Some("attention"), limit)?, txn.link_health(Some("failing"), limit)?))
        })
        .await?;
    let exit = if attention.is_empty() { Exit::Done } else { Exit::Attention };
    let daemon = context.daemon();
    if arguments.json {
        output::print_json(&Report {
            store: context.config.store.path.display().to_string(),
            daemon,
            sources: sources.into_iter().map(source_json).collect(),
            needs_a_person: attention.into_iter().map(LinkJson::from).collect(),
            failing: failing.into_iter().map(LinkJson::from).collect(),
        })?;
        return Ok(exit);
    }
    let mut text = match &daemon {
        Some(holder) => output::dim(&format!("{} · working on it: {holder}\n", store.path().display())),
        None => format!("{} · {}\n", store.path().display(), output::alarming("no daemon is running")),
    };
    for source in &sources {
        text.push('\n');
        text.push_str(&source_text(source, now, &context));
    }
    text.push_str(&attention_text(&attention, now));
    text.push_str(&failing_text(&failing, now));
    output::print(&text)?;
    Ok(exit)
}

fn source_json(s: SourceReport) -> SourceJson {
    SourceJson {
        name: s.name,
        aggregator: s.aggregator,
        retired_at: s.retired_at,
        links: s.links_by_state,
        oldest_success_at: s.oldest_success_at,
        newest_success_at: s.newest_success_at,
        due_now: s.due_now,
        requests_last_minute: s.requests_last_minute,
        requests_last_hour: s.requests_last_hour,
        requests_allowed_per_minute: s.request_limit,
        rate_limited_last_hour: s.rate_limited_last_hour,
        refreshes_last_day: s.refreshes_last_day,
        refreshes_this_month: s.refreshes_this_month,
        refreshes_per_month: s.refreshes_per_month,
        refreshable_links: s.refreshable_links,
        next_refresh_frees_at: s.next_refresh_frees_at,
        discovered_at: s.discovered_at,
        discover_due_at: s.discover_due_at,
        discover_error: s.discover_error,
        hold_until: s.hold_until,
        rejected_rows: s.rejected_rows,
    }
}

fn source_text(s: &SourceReport, now: Timestamp, context: &Context) -> String {
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| output::relative(at, now));
    let failed = s.discover_error.as_ref().map_or_else(String::new, |e| output::alarming(&format!(" · {e}")));
    let is_discovery_due = s.discover_due_at <= now;
    let next_discovery =
        if is_discovery_due { "due or running now".to_owned() } else { output::relative(s.discover_due_at, now) };
    let mut lines = vec![
        ("links", links_text(s)),
        ("freshness", freshness_text(s, now)),
        ("due now", output::counted(s.due_now, "link")),
        ("requests", requests_text(s, now)),
        ("refreshes", refreshes_text(s, now)),
        ("discovery", format!("last {} · next {}{failed}", ago(s.discovered_at), next_discovery)),
    ];
    if s.rejected_rows > 0 {
        let rows = output::counted(s.rejected_rows, "malformed row");
        lines.push(("set aside", format!("{rows}; see rejected_rows in the store")));
    }
    let configured = context.config.sources.iter().find(|c| c.name == s.name);
    let place = configured.map_or_else(|| "no longer configured".to_owned(), |c| c.base_url.to_string());
    let mut text = format!("{}  {}\n", output::bold(&s.name), output::dim(&format!("{} · {place}", s.aggregator)));
    for (label, value) in lines {
        text.push_str(&format!("  {label:<10} {value}\n"));
    }
    text
}

/// How old the data of the freshest and of the stalest healthy link is.
fn freshness_text(s: &SourceReport, now: Timestamp) -> String {
    match (s.newest_success_at, s.oldest_success_at) {
        (Some(newest), Some(oldest)) => {
            format!("last success {} · stalest link {}", output::relative(newest, now), output::relative(oldest, now))
        }
        (Some(newest), None) => format!("last success {}", output::relative(newest, now)),
        (None, _) => "no link has been synced yet".to_owned(),
    }
}

fn links_text(s: &SourceReport) -> String {
    let links: Vec<String> = ["active", "attention", "failing", "new", "paused", "removed"]
        .iter()
        .filter_map(|word| Some(format!("{} {}", output::count(*s.links_by_state.get(*word)?), output::state(word))))
        .collect();
    if links.is_empty() { "none yet".to_owned() } else { links.join(" · ") }
}

/// What is used of the request limit, what is left, and when a hold ends.
fn requests_text(s: &SourceReport, now: Timestamp) -> String {
    let left = s.request_limit.saturating_sub(s.requests_last_minute);
    let mut text = format!(
        "about {} of {} used in the last minute, {} left · {} in the last hour · {} answered 429",
        output::count(s.requests_last_minute),
        output::count(s.request_limit),
        output::count(left),
        output::count(s.requests_last_hour),
        output::count(s.rate_limited_last_hour)
    );
    if let Some(until) = s.hold_until.filter(|until| *until > now) {
        let hold = format!(" · held by the aggregator, lifts {}", output::relative(until, now));
        text.push_str(&output::alarming(&hold));
    }
    text
}

/// What is used of the refresh limits, what is left, and when the next one frees.
fn refreshes_text(s: &SourceReport, now: Timestamp) -> String {
    let cap = s.refreshes_per_month.map_or_else(String::new, |cap| format!(" of {}", output::count(cap)));
    let frees = s
        .next_refresh_frees_at
        .map_or_else(String::new, |at| format!(", the next frees {}", output::relative(at, now)));
    format!(
        "{} in the last 24 h · {}{cap} this month · {} may be refreshed on schedule now{frees}",
        output::count(s.refreshes_last_day),
        output::count(s.refreshes_this_month),
        output::counted(s.refreshable_links, "link")
    )
}

fn attention_text(links: &[HealthRow], now: Timestamp) -> String {
    if links.is_empty() {
        return format!("\n{}\n", output::state("no link needs a person").replace("no link", "No link"));
    }
    let rows = links.iter().take(LISTED).map(|h| {
        let advice = h.attention.as_deref().and_then(Attention::from_word).map_or("", Attention::advice);
        vec![
            h.link_id.to_string(),
            h.user.clone(),
            h.institution.clone().unwrap_or_default(),
            output::state("attention").replace("attention", h.attention.as_deref().unwrap_or_default()),
            h.attention_at.map_or_else(String::new, |at| output::relative(at, now)),
            advice.to_owned(),
        ]
    });
    let table = output::table(&["link", "user", "institution", "why", "since", "what to do"], &[0], rows.collect());
    format!("\n{}\n{table}{}", output::bold("Needs a person"), more(links.len(), "attention"))
}

fn failing_text(links: &[HealthRow], now: Timestamp) -> String {
    if links.is_empty() {
        return String::new();
    }
    let rows = links.iter().take(LISTED).map(|h| {
        vec![
            h.link_id.to_string(),
            h.user.clone(),
            h.institution.clone().unwrap_or_default(),
            h.consecutive_failures.to_string(),
            output::relative(h.due_at, now),
            h.last_error.clone().unwrap_or_default(),
        ]
    });
    let header = ["link", "user", "institution", "failures", "tried again", "last error"];
    let table = output::table(&header, &[0, 3], rows.collect());
    format!("\n{}\n{table}{}", output::bold("Failing, tried again by itself"), more(links.len(), "failing"))
}

fn more(number: usize, state: &str) -> String {
    if number > LISTED { format!("and more: passbook links list --state {state}\n") } else { String::new() }
}
