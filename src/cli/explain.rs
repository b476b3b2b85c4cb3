//! `passbook explain LINK`: why it has not synced, what holds it, until when, and what would free it.

mod reasons;

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use self::reasons::{Known, Reason};
use super::context::Context;
use super::links::syncs_table;
use super::{Exit, output};
use crate::limits::refreshes::{self, REFRESH_WINDOW};
use crate::store::{Access, SyncRow};

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
    let found = store
        .read(move |txn| {
            let Some(link_id) = txn.find_link(&name)? else {
                return Ok(None);
            };
            let detail = txn.link_detail(link_id)?;
            let day_began = now.saturating_sub(REFRESH_WINDOW).unwrap_or(now);
            let month = Some(refreshes::month_began(now));
            let used = txn.refresh_use(detail.state.source_id, link_id, day_began, month, Some(1000))?;
            let known = Known {
                source: txn.source(&detail.source)?,
                health: txn.health_of(link_id)?,
                around: txn.surroundings(link_id)?,
                detail,
                is_configured: false,
                can_be_refreshed: false,
                daemon_runs: false,
            };
            Ok(Some((known, used, txn.latest_syncs(link_id, 5)?)))
        })
        .await?;
    let Some((known, used, syncs)) = found else {
        anyhow::bail!("no link {:?} in the store; `passbook links list` shows them", arguments.link);
    };
    let configured = context.config.sources.iter().find(|s| s.name == known.detail.source);
    let asked = configured.filter(|source| source.refresh().is_some());
    let known = Known {
        is_configured: configured.is_some(),
        can_be_refreshed: asked.is_some(),
        daemon_runs: context.daemon().is_some(),
        ..known
    };
    let mut reasons = known.reasons(now);
    if let Some(policy) = asked.map(crate::daemon::refresh_policy)
        && let Err(held) = refreshes::decide(&policy, &used, false, known.detail.state.refresh_hold_until, now)
    {
        reasons.push(Reason::new(
            format!("the next scheduled sync would pull without a refresh: {}", held.reason),
            held.until,
            "`passbook sync` may use the refreshes kept for a person",
        ));
    }
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
