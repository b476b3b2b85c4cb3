//! `passbook explain LINK`: why it has not synced, what holds it, until when, and what would free it.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::context::Context;
use super::links::syncs_table;
use super::{Exit, output};
use crate::limits::refreshes::{self, REFRESH_WINDOW, RefreshPolicy};
use crate::model::{Attention, Cause};
use crate::store::{Access, LinkDetail, Phase, SourceRow, SyncRow};
use crate::sync::CREDENTIALS_REFUSED;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Our id or the aggregator's.
    link: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that holds a link, or says what comes next.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Reason {
    /// What is the case.
    what: String,
    /// Until when, where waiting helps.
    until: Option<Timestamp>,
    /// What would free it; empty where nothing has to be done.
    remedy: String,
}

impl Reason {
    fn new(what: impl Into<String>, until: Option<Timestamp>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), until, remedy: remedy.into() }
    }
}

#[derive(Serialize)]
struct Report {
    link_id: i64,
    upstream_link_id: String,
    source: String,
    user: String,
    institution: Option<String>,
    state: String,
    last_success_at: Option<Timestamp>,
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
            let source = txn.source(&detail.source)?;
            let day_began = now.saturating_sub(REFRESH_WINDOW).unwrap_or(now);
            let month = Some(refreshes::month_began(now));
            let used = txn.refresh_use(detail.state.source_id, link_id, day_began, month, Some(1000))?;
            Ok(Some((detail, source, used, txn.latest_syncs(link_id, 5)?)))
        })
        .await?;
    let Some((detail, source, used, syncs)) = found else {
        anyhow::bail!("no link {:?} in the store; `passbook links list` shows them", arguments.link);
    };
    let policy = policy_of(&context, &detail.source);
    let mut reasons = reasons(&detail, source.as_ref(), policy.is_some(), context.daemon().is_some(), now);
    if let Some(policy) = policy
        && let Err(held) = refreshes::decide(&policy, &used, false, detail.state.refresh_hold_until, now)
    {
        reasons.push(Reason::new(
            format!("the next scheduled sync would pull without a refresh: {}", held.reason),
            held.until,
            "`passbook sync` may use the refreshes kept for a person",
        ));
    }
    if arguments.json {
        output::print_json(&Report {
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
        output::print(&text(&detail, &reasons, &syncs, &context, now))?;
    }
    Ok(Exit::Done)
}

fn policy_of(context: &Context, source: &str) -> Option<RefreshPolicy> {
    let configured = context.config.sources.iter().find(|s| s.name == source)?;
    Some(crate::daemon::refresh_policy(configured))
}

/// Everything that holds the link or says what comes next, the weightiest first.
fn reasons(
    detail: &LinkDetail,
    source: Option<&SourceRow>,
    is_configured: bool,
    daemon_runs: bool,
    now: Timestamp,
) -> Vec<Reason> {
    let state = &detail.state;
    let mut reasons = Vec::new();
    if state.removed_at.is_some() {
        reasons.push(Reason::new(
            "the link was removed; its history stays",
            None,
            format!("if an operator removed it here: passbook links resume {}", state.link_id),
        ));
    }
    if state.paused_at.is_some() {
        reasons.push(Reason::new("an operator paused it", None, format!("passbook links resume {}", state.link_id)));
    }
    if !is_configured {
        reasons.push(Reason::new(
            format!("its source {:?} is not in the configuration", detail.source),
            None,
            "add the [[source]] again",
        ));
    }
    if let Some(attention) = state.attention {
        let said =
            detail.attention_detail.as_ref().map_or_else(String::new, |d| format!(" (the aggregator says {d:?})"));
        reasons.push(Reason::new(
            format!("only a person can repair it: {attention}{said}"),
            None,
            Attention::advice(attention),
        ));
    }
    if !daemon_runs {
        reasons.push(Reason::new("no daemon is running", None, "start it: systemctl start passbook, or passbook run"));
    }
    if let Some((source, until)) = source.and_then(|s| Some((s, s.hold_until.filter(|until| *until > now)?))) {
        let reason = source.hold_reason.as_deref().unwrap_or("a limit");
        let remedy = if reason == CREDENTIALS_REFUSED {
            "check client_id and access_secret: passbook check --online"
        } else {
            "nothing: it lifts by itself"
        };
        reasons.push(Reason::new(format!("the whole source rests: {reason}"), Some(until), remedy));
    }
    if let Some(until) = detail.hold_until.filter(|until| *until > now) {
        let reason = detail.hold_reason.clone().unwrap_or_else(|| "a limit".to_owned());
        reasons.push(Reason::new(format!("{reason} postponed its sync"), Some(until), "nothing: it goes on by itself"));
    }
    if state.consecutive_failures > 0 {
        let error = detail.last_error.clone().unwrap_or_default();
        reasons.push(Reason::new(
            match state.consecutive_failures {
                1 => format!("its last sync failed: {error}"),
                failures => format!("its last {failures} syncs failed: {error}"),
            },
            Some(state.due_at),
            "nothing: it is tried again by itself, sooner with passbook sync",
        ));
    }
    if state.removed_at.is_none() && state.paused_at.is_none() {
        reasons.push(what_comes_next(detail, now));
    }
    reasons
}

fn what_comes_next(detail: &LinkDetail, now: Timestamp) -> Reason {
    let state = &detail.state;
    let is_due = state.due_at <= now;
    let what = match (state.phase, is_due) {
        (Phase::Refreshing, _) => "the aggregator refreshes it; we look again then".to_owned(),
        (Phase::Pulling, _) => "its pull goes on then".to_owned(),
        (Phase::Idle, true) => "it is due and waits for its turn in the request budget".to_owned(),
        (Phase::Idle, false) if state.due_cause == Cause::Schedule => "its next sync is on schedule".to_owned(),
        (Phase::Idle, false) => format!("its next sync is set, cause {}", state.due_cause.as_str()),
    };
    Reason::new(what, Some(state.due_at), String::new())
}

fn text(detail: &LinkDetail, reasons: &[Reason], syncs: &[SyncRow], context: &Context, now: Timestamp) -> String {
    let zone = &context.config.schedule.timezone;
    let state = &detail.state;
    let mut out = format!(
        "{} {} of {} at {}, source {}: {}\n",
        output::bold(&format!("Link {}", state.link_id)),
        output::dim(&state.upstream_id),
        detail.user,
        detail.institution.as_deref().unwrap_or("an unnamed bank"),
        detail.source,
        output::state(&detail.state_word)
    );
    let success = state.last_success_at.map_or_else(
        || "never".to_owned(),
        |at| format!("{} ({})", output::instant(at, zone), output::relative(at, now)),
    );
    let attempt = detail.last_attempt_at.map_or_else(|| "never".to_owned(), |at| output::relative(at, now));
    out.push_str(&format!("  last success {success}, last attempt {attempt}\n\n"));
    for reason in reasons {
        out.push_str(&format!("• {}\n", reason.what));
        if let Some(until) = reason.until {
            out.push_str(&format!("    {} ({})\n", output::instant(until, zone), output::relative(until, now)));
        }
        if !reason.remedy.is_empty() {
            out.push_str(&format!("    → {}\n", reason.remedy));
        }
    }
    out.push_str(&format!("\n{}\n{}", output::bold("Latest syncs"), syncs_table(syncs, zone)));
    out
}
