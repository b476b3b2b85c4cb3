//! `passbook status`: sources at a glance, then what needs a person.

mod copies;

use std::path::Path;

use jiff::Timestamp;

use super::context::Context;
use super::{Exit, output};
use crate::model::Attention;
use crate::server::control;
use crate::server::erasure::ErasureJson;
use crate::server::status::{Seen, StatusReport, TroubleJson};
use crate::store::{Access, ConfigLoad, Erasure, HealthRow, LoadOutcome, SourceReport};
use crate::sync::explain;
use crate::words;

/// At most so many links are listed; `passbook links list --state attention` shows all.
const LISTED: usize = 20;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn status(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let limit = if arguments.json { usize::MAX } else { LISTED + 1 };
    let seen = store.read(move |txn| Seen::read(txn, limit, now)).await?;
    let exit = if seen.attention.is_empty() { Exit::Done } else { Exit::Attention };
    let daemon = context.daemon();
    let trouble = match &daemon {
        Some(_) => control::ask_for_trouble(&context.config.store.path).await,
        None => None,
    };
    let exit = if trouble.is_some() { Exit::Attention } else { exit };
    if arguments.json {
        let store = context.config.store.path.display().to_string();
        output::print_json(&StatusReport::new(store, daemon, trouble, seen))?;
        return Ok(exit);
    }
    let mut text = match &daemon {
        Some(holder) => output::dim(&format!("{} · working on it: {holder}\n", store.path().display())),
        None => format!("{} · {}\n", store.path().display(), output::alarming("no daemon is running")),
    };
    text.push_str(&trouble_text(trouble.as_ref(), now));
    text.push_str(&refused_text(seen.config_read.as_ref(), now));
    text.push_str(&copies::text(&context, &store, &seen, now));
    for source in &seen.sources {
        text.push('\n');
        text.push_str(&source_text(source, now, &context));
    }
    text.push_str(&attention_text(&seen.attention, now));
    text.push_str(&consents_text(&seen.consents, now));
    text.push_str(&failing_text(&seen.failing, now));
    text.push_str(&incomplete_text(&seen.incomplete, now));
    text.push_str(&erasures_text(seen.erasures, now));
    output::print(&text)?;
    Ok(exit)
}

/// That the daemon cannot work with the store.
fn trouble_text(trouble: Option<&TroubleJson>, now: Timestamp) -> String {
    let Some(trouble) = trouble else { return String::new() };
    let what = if trouble.stops_writes { "nothing is synced" } else { "the write-ahead log grows" };
    let said = format!("{what}{}: {}", words::since(trouble.since, now), trouble.said);
    output::paragraph("", &output::alarming(&said))
}

/// That the daemon does not work by the file as it is.
fn refused_text(read: Option<&ConfigLoad>, now: Timestamp) -> String {
    let Some(refused) = read.filter(|load| load.outcome == LoadOutcome::Refused) else {
        return String::new();
    };
    let when = output::relative(refused.loaded_at, now);
    let what = format!("the changed configuration was refused {when}, the former one is in use:");
    format!("{}\n{}\n", output::alarming(&what), refused.summary)
}

fn source_text(s: &SourceReport, now: Timestamp, context: &Context) -> String {
    let ago = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| output::relative(at, now));
    let failed = s.discover_error.as_ref().map_or_else(String::new, |e| output::alarming(&format!(" · {e}")));
    let configured = context.config.sources.iter().find(|c| c.name == s.name);
    let mut lines = vec![("links", links_text(s)), ("freshness", freshness_text(s, now)), ("due", due_text(s, now))];
    if s.hold_until.is_some_and(|until| until > now) {
        lines.push(("held", hold_text(s, now)));
    }
    lines.extend([
        ("requests", requests_text(s)),
        ("refreshes", refreshes_text(s, configured.is_none_or(|c| c.refresh().is_some()), now)),
        ("discovery", format!("last {} · next {}{failed}", ago(s.discovered_at), due(s.discover_due_at, now))),
    ]);
    if s.rejected_rows > 0 {
        let rows = output::counted(s.rejected_rows, "malformed row");
        lines.push(("set aside", format!("{rows}; see rejected_rows in the store")));
    }
    let place = configured.map_or_else(|| "no longer configured".to_owned(), |c| c.base_url.to_string());
    let mut text = format!("{}  {}\n", output::bold(&s.name), output::dim(&format!("{} · {place}", s.aggregator)));
    for (label, value) in lines {
        text.push_str(&output::paragraph(&format!("  {label:<10} "), &value));
    }
    text
}

fn links_text(s: &SourceReport) -> String {
    let mut links: Vec<String> = ["active", "attention", "failing", "new", "paused", "removed"]
        .iter()
        .filter_map(|word| Some(format!("{} {}", output::count(*s.links_by_state.get(*word)?), output::state(word))))
        .collect();
    if links.is_empty() {
        links.push("none yet".to_owned());
    }
    links.push(format!("of {}", output::counted(s.users, "customer")));
    let mut notes: Vec<String> = ["connecting", "passing", "incomplete"]
        .iter()
        .filter_map(|word| Some(format!("{} {word}", output::count(*s.links_by_condition.get(*word)?))))
        .collect();
    if s.consents_ending > 0 {
        notes.push(format!("{} near or past the end of consent", output::count(s.consents_ending)));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    format!("{}{notes}", links.join(" · "))
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

fn due_text(s: &SourceReport, now: Timestamp) -> String {
    let looks = s.links_due_at.map_or_else(String::new, |at| format!(" · states looked at next {}", due(at, now)));
    format!("{} now{looks}", output::counted(s.due_now, "link"))
}

fn due(at: Timestamp, now: Timestamp) -> String {
    if at <= now { "now".to_owned() } else { output::relative(at, now) }
}

fn hold_text(s: &SourceReport, now: Timestamp) -> String {
    let until = s.hold_until.map_or_else(String::new, |until| output::relative(until, now));
    output::alarming(&format!("no request until it lifts {until}; passbook explain LINK says why"))
}

/// What is used of the request limit and what is left.
fn requests_text(s: &SourceReport) -> String {
    let left = s.request_limit.saturating_sub(s.requests_last_window);
    let mut text = format!(
        "about {} of {} used in the last {}, {} left · {} in the last hour",
        output::count(s.requests_last_window),
        output::count(s.request_limit),
        output::duration(s.request_window_ms / 1000),
        output::count(left),
        output::count(s.requests_last_hour),
    );
    if s.rate_limited_last_hour > 0 {
        text.push_str(&format!(" · {} answered 429", output::count(s.rate_limited_last_hour)));
    }
    text
}

/// What is used of the refresh limits, what is left, and when the next one frees.
fn refreshes_text(s: &SourceReport, can_be_asked: bool, now: Timestamp) -> String {
    if !can_be_asked {
        let last = match (s.newest_refreshed_at, s.oldest_refreshed_at) {
            (Some(newest), Some(oldest)) => {
                let (newest, oldest) = (output::relative(newest, now), output::relative(oldest, now));
                format!(" · last {newest} · longest ago {oldest}")
            }
            (Some(newest), None) => format!(" · last {}", output::relative(newest, now)),
            (None, _) => String::new(),
        };
        return format!("by the aggregator itself, none to ask for{last}");
    }
    if s.refreshes_per_day == 0 {
        return "switched off: only what the aggregator holds is read".to_owned();
    }
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
        let told = explain::told(h.upstream_status.as_deref(), h.status_detail.as_deref());
        let said =
            told.filter(|_| h.status_detail.is_some()).map_or_else(String::new, |said| format!("; it says {said}"));
        vec![
            h.link_id.to_string(),
            h.user.clone(),
            h.institution.clone().unwrap_or_default(),
            output::state("attention").replace("attention", h.attention.as_deref().unwrap_or_default()),
            h.attention_at.map_or_else(String::new, |at| output::about(at, now)),
            format!("{advice}{said}"),
        ]
    });
    let table = output::table(&["link", "user", "institution", "why", "since", "what to do"], &[0], rows.collect());
    format!("\n{}\n{table}{}", output::bold("Needs a person"), more(links.len(), "attention"))
}

fn consents_text(links: &[HealthRow], now: Timestamp) -> String {
    let cells = |h: &HealthRow| {
        let ends = h.consent_expires_at.map_or_else(String::new, |at| words::consent(at, now));
        vec![ends, "ask the customer to reconnect this bank, which renews it".to_owned()]
    };
    section("Consent ends soon", &["consent", "what to do"], links, cells)
}

fn failing_text(links: &[HealthRow], now: Timestamp) -> String {
    let cells = |h: &HealthRow| {
        let since = h.condition_at.filter(|_| h.consecutive_failures == 0);
        let why = match h.consecutive_failures {
            0 => format!("bank not reached{}", since.map_or_else(String::new, |at| words::since(at, now))),
            failures => output::counted(failures.into(), "failure"),
        };
        let told = explain::told(h.upstream_status.as_deref(), h.status_detail.as_deref());
        let said = h.last_error.clone().or(told).unwrap_or_default();
        vec![why, output::about(h.due_at.max(now), now), said]
    };
    let text = section("Failing, tried again by itself", &["why", "tried again", "what is said"], links, cells);
    format!("{text}{}", more(links.len(), "failing"))
}

fn incomplete_text(links: &[HealthRow], now: Timestamp) -> String {
    let cells = |h: &HealthRow| {
        let told = explain::told(h.upstream_status.as_deref(), h.status_detail.as_deref());
        vec![h.condition_at.map_or_else(String::new, |at| output::about(at, now)), told.unwrap_or_default()]
    };
    let title = "The aggregator says that rows are missing; nothing to do, what it has is stored";
    section(title, &["since", "it says"], links, cells)
}

fn erasures_text(erasures: Vec<Erasure>, now: Timestamp) -> String {
    if erasures.is_empty() {
        return String::new();
    }
    let rows = erasures.into_iter().take(LISTED).map(ErasureJson::from).map(|e| {
        let next = e.next_try_at.map_or_else(String::new, |at| due(at, now));
        let ordered = output::about(e.requested_at, now);
        vec![
            e.erasure_id.to_string(),
            e.source.clone(),
            ordered,
            next,
            e.left_to_do(),
            e.last_error.unwrap_or_default(),
        ]
    });
    let header = ["erasure", "source", "ordered", "goes on", "how far", "what is said"];
    format!("\n{}\n{}", output::bold("Customers being forgotten"), output::table(&header, &[0], rows.collect()))
}

/// A heading and a table of links, if there are any.
fn section(title: &str, header: &[&str], links: &[HealthRow], cells: impl Fn(&HealthRow) -> Vec<String>) -> String {
    if links.is_empty() {
        return String::new();
    }
    let rows = links.iter().take(LISTED).map(|h| {
        let mut row = vec![h.link_id.to_string(), h.user.clone(), h.institution.clone().unwrap_or_default()];
        row.extend(cells(h));
        row
    });
    let header: Vec<&str> = ["link", "user", "institution"].iter().chain(header).copied().collect();
    format!("\n{}\n{}", output::bold(title), output::table(&header, &[0], rows.collect()))
}

fn more(number: usize, state: &str) -> String {
    if number > LISTED { format!("and more: passbook links list --state {state}\n") } else { String::new() }
}
