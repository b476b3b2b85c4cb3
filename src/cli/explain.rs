//! `passbook explain LINK`: why it has not synced, what holds it, until when, and what would free it.

use std::collections::HashMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::links::syncs_table;
use super::{Exit, output};
use crate::daemon;
use crate::limits::refreshes::RefreshPolicy;
use crate::store::{Access, SyncRow};
use crate::sync::explain::{Circumstances, Known, Reason};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Our id or the aggregator's.
    link: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    link_id: i64,
    upstream_link_id: String,
    source: String,
    user: String,
    institution: Option<String>,
    state: String,
    condition: String,
    condition_at: Option<Timestamp>,
    status_detail: Option<String>,
    /// When the aggregator last read the bank.
    refreshed_at: Option<Timestamp>,
    consent_expires_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    /// When the state of the customer's links is looked at next; `null`: syncs alone do that.
    links_due_at: Option<Timestamp>,
    /// The customer's links that each sync reads together with this one.
    read_with_links: Vec<i64>,
    due_at: Timestamp,
    reasons: Vec<Reason>,
}

pub(super) async fn explain(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let now = context.clock.now();
    let name = arguments.link.clone();
    let policies: HashMap<String, Option<RefreshPolicy>> = context
        .config
        .sources
        .iter()
        .map(|source| (source.name.clone(), source.refresh().map(|_| daemon::refresh_policy(source))))
        .collect();
    let daemon_runs = context.daemon().is_some();
    let found = store
        .read(move |txn| {
            let Some(link_id) = txn.find_link(&name)? else {
                return Ok(None);
            };
            let circumstances = |source: &str| Circumstances {
                is_configured: policies.contains_key(source),
                refresh_policy: policies.get(source).copied().flatten(),
                daemon_runs,
            };
            Ok(Some((Known::read(txn, link_id, circumstances, now)?, txn.latest_syncs(link_id, 5)?)))
        })
        .await?;
    let Some((known, syncs)) = found else {
        anyhow::bail!("no link {:?} in the store; `passbook links list` shows them", arguments.link);
    };
    let reasons = known.reasons(now);
    if arguments.json {
        let Known { detail, health, around, .. } = known;
        output::print_json(&Report {
            condition: health.condition,
            condition_at: health.condition_at,
            status_detail: health.status_detail,
            refreshed_at: health.refreshed_at,
            consent_expires_at: health.consent_expires_at,
            links_due_at: around.links_due_at,
            read_with_links: if around.links_due_at.is_some() { around.other_links } else { Vec::new() },
            link_id: detail.state.link_id,
            upstream_link_id: detail.state.upstream_id,
            source: detail.source,
            user: detail.user,
            institution: detail.institution,
            state: detail.state_word,
            last_success_at: detail.state.last_success_at,
            due_at: detail.state.due_at,
            reasons,
        })?;
    } else {
        output::print(&text(&known, &reasons, &syncs, &context, now))?;
    }
    Ok(Exit::Done)
}

fn text(known: &Known, reasons: &[Reason], syncs: &[SyncRow], context: &Context, now: Timestamp) -> String {
    let zone = &context.config.schedule.timezone;
    let detail = &known.detail;
    let state = &detail.state;
    let mut out = format!(
        "{} of {} at {}, source {}: {}\n  {}\n",
        output::bold(&format!("Link {}", state.link_id)),
        detail.user,
        detail.institution.as_deref().unwrap_or("an unnamed bank"),
        detail.source,
        output::state(&detail.state_word),
        output::dim(&format!("upstream id {}", state.upstream_id)),
    );
    let success = state.last_success_at.map_or_else(
        || "never".to_owned(),
        |at| format!("{} ({})", output::instant(at, zone), output::relative(at, now)),
    );
    let attempt = detail.last_attempt_at.map_or_else(|| "never".to_owned(), |at| output::relative(at, now));
    out.push_str(&format!("  last success {success}, last attempt {attempt}\n\n"));
    for reason in reasons {
        out.push_str(&output::paragraph("• ", &reason.what));
        if let Some(until) = reason.until {
            out.push_str(&format!("    {} ({})\n", output::instant(until, zone), output::relative(until, now)));
        }
        if !reason.remedy.is_empty() {
            out.push_str(&output::paragraph("    → ", &reason.remedy));
        }
    }
    out.push_str(&format!("\n{}\n{}", output::bold("Latest syncs"), syncs_table(syncs, zone)));
    out
}
