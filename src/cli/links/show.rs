//! `passbook links show`: one link with its accounts, their terms, where they come from, and the latest syncs.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::list_text;
use crate::cli::context::Context;
use crate::cli::{Exit, output};
use crate::money::Currency;
use crate::server::status::LinkJson;
use crate::store::{Access, AccountSummary, ContinuedAccount, HealthRow, LoanSummary, SyncRow};
use crate::sync::explain;
use crate::words;

/// How many of the latest syncs are shown.
const SYNCS: usize = 10;

/// A link with everything that is shown of it.
struct Shown {
    health: HealthRow,
    accounts: Vec<AccountSummary>,
    continued: Vec<ContinuedAccount>,
    syncs: Vec<SyncRow>,
}

pub(super) async fn show(context: &Context, name: &str, json: bool) -> anyhow::Result<Exit> {
    let store = context.open(Access::ReadOnly)?;
    let wanted = name.to_owned();
    let found = store
        .read(move |txn| {
            let Some(link_id) = txn.find_link(&wanted)? else {
                return Ok(None);
            };
            Ok(Some(Shown {
                health: txn.health_of(link_id)?,
                accounts: txn.account_summaries(link_id)?,
                continued: txn.continued_accounts(link_id)?,
                syncs: txn.latest_syncs(link_id, SYNCS)?,
            }))
        })
        .await?;
    let Some(shown) = found else {
        anyhow::bail!("no link {name:?} in the store; `passbook links list` shows them");
    };
    if json {
        output::print_json(&serde_json::json!({
            "accounts": shown.accounts.iter().map(account_json).collect::<Vec<_>>(),
            "continued_accounts": shown.continued.iter().map(continued_json).collect::<Vec<_>>(),
            "syncs": shown.syncs.iter().map(sync_json).collect::<Vec<_>>(),
            "link": LinkJson::from(shown.health),
        }))?;
    } else {
        output::print(&text(&shown, context.clock.now(), &context.config.schedule.timezone))?;
    }
    Ok(Exit::Done)
}

fn text(shown: &Shown, now: Timestamp, zone: &TimeZone) -> String {
    let health = &shown.health;
    let mut out = format!("{}\n\n", list_text(std::slice::from_ref(health), now));
    let refreshes = health.refreshes_left.map_or_else(
        || "none can be asked for, or refreshes are switched off".to_owned(),
        |left| format!("{left} left in the rolling day"),
    );
    out.push_str(&format!(" refreshes  {refreshes}\n"));
    if let Some(told) = explain::told(health.upstream_status.as_deref(), health.status_detail.as_deref()) {
        out.push_str(&output::paragraph(" it says    ", &told));
    }
    if let Some(at) = health.consent_expires_at {
        out.push_str(&format!(" consent    {}, {}\n", words::consent(at, now), output::instant(at, zone)));
    }
    out.push_str(&format!("\n{}\n{}", output::bold("Accounts"), accounts_table(shown, now)));
    let loans: Vec<_> = shown.accounts.iter().filter_map(|a| Some(loan_row(a, a.loan.as_ref()?))).collect();
    if !loans.is_empty() {
        let header = ["account", "loan", "rate", "borrowed", "still owed", "next payment", "", "until"];
        out.push_str(&format!("\n{}\n{}", output::bold("Loans"), output::table(&header, &[0, 2, 3, 4, 6], loans)));
    }
    if !shown.continued.is_empty() {
        let rows = shown.continued.iter().map(|c| continued_row(c, health.link_id, now)).collect();
        let header = ["account", "", "former id", "because", "joined", "to undo"];
        let title = output::bold("Accounts that go on after the bank was connected anew");
        out.push_str(&format!("\n{title}\n{}", output::table(&header, &[0], rows)));
    }
    out.push_str(&format!("\n{}\n{}", output::bold("Latest syncs"), syncs_table(&shown.syncs, zone)));
    out
}

fn accounts_table(shown: &Shown, now: Timestamp) -> String {
    let rows = shown.accounts.iter().map(|a| {
        vec![
            a.account_id.to_string(),
            a.kind.clone().unwrap_or_default(),
            a.name.clone().unwrap_or_default(),
            a.mask.clone().unwrap_or_default(),
            amount(a.current_minor, a),
            amount(a.available_minor, a),
            a.currency.clone().unwrap_or_default(),
            output::count(a.transactions),
            a.refreshed_at.map_or_else(|| "-".to_owned(), |at| output::about(at, now)),
            account_note(a),
        ]
    });
    let header = ["account", "kind", "name", "mask", "current", "available", "", "rows", "at bank", "note"];
    output::table(&header, &[0, 4, 5, 7], rows.collect())
}

/// What is special about an account, in few words.
fn account_note(a: &AccountSummary) -> String {
    let held = (a.holdings > 0)
        .then(|| if a.holdings == 1 { "1 security".to_owned() } else { format!("{} securities", a.holdings) });
    let notes = [
        (a.missing_at.is_some(), "no longer listed"),
        (a.is_shared == Some(false), "not shared"),
        (a.is_business == Some(true), "business"),
        (a.is_refreshed == Some(false) && a.is_shared != Some(false), "last try at the bank failed"),
        (a.needs_history && a.is_shared != Some(false), "its history is yet to be read"),
    ];
    let mut words: Vec<String> = notes.iter().filter(|(is, _)| *is).map(|(_, word)| (*word).to_owned()).collect();
    words.extend(held);
    words.join(", ")
}

/// Money of an account as people write it; in minor units where its currency is not known.
fn amount(minor: Option<i64>, account: &AccountSummary) -> String {
    let currency: Option<Currency> = account.currency.as_deref().and_then(|code| code.parse().ok());
    minor.map_or_else(String::new, |minor| currency.map_or_else(|| minor.to_string(), |c| c.format_minor(minor)))
}

fn loan_row(account: &AccountSummary, loan: &LoanSummary) -> Vec<String> {
    vec![
        account.account_id.to_string(),
        loan.kind.clone().unwrap_or_default(),
        loan.interest_rate.as_ref().map_or_else(String::new, |rate| format!("{rate} %")),
        amount(loan.borrowed_minor, account),
        amount(loan.remaining_minor, account),
        loan.next_payment_on.clone().unwrap_or_default(),
        amount(loan.next_payment_minor, account),
        loan.matures_on.clone().unwrap_or_default(),
    ]
}

fn continued_row(continued: &ContinuedAccount, link_id: i64, now: Timestamp) -> Vec<String> {
    let way = if continued.former_link_id == link_id {
        format!("goes on in link {}", continued.link_id)
    } else {
        format!("came from link {}", continued.former_link_id)
    };
    vec![
        continued.account_id.to_string(),
        way,
        continued.former_upstream_id.clone(),
        format!("same {}", continued.evidence),
        output::about(continued.matched_at, now),
        format!("passbook links split {}", continued.account_id),
    ]
}

fn account_json(a: &AccountSummary) -> serde_json::Value {
    let loan = a.loan.as_ref().map(|loan| {
        serde_json::json!({
            "kind": loan.kind, "interest_rate": loan.interest_rate, "borrowed_minor": loan.borrowed_minor,
            "remaining_minor": loan.remaining_minor, "next_payment_on": loan.next_payment_on,
            "next_payment_minor": loan.next_payment_minor, "matures_on": loan.matures_on,
        })
    });
    serde_json::json!({
        "account_id": a.account_id, "kind": a.kind, "name": a.name, "mask": a.mask, "currency": a.currency,
        "current_minor": a.current_minor, "available_minor": a.available_minor, "transactions": a.transactions,
        "holdings": a.holdings, "missing_at": a.missing_at, "is_shared": a.is_shared, "is_business": a.is_business,
        "refreshed_at": a.refreshed_at, "is_refreshed": a.is_refreshed, "needs_history": a.needs_history, "loan": loan,
    })
}

fn continued_json(c: &ContinuedAccount) -> serde_json::Value {
    serde_json::json!({
        "account_id": c.account_id, "link_id": c.link_id, "former_link_id": c.former_link_id,
        "former_upstream_id": c.former_upstream_id, "evidence": c.evidence, "matched_at": c.matched_at,
    })
}

fn sync_json(s: &SyncRow) -> serde_json::Value {
    serde_json::json!({
        "sync_id": s.sync_id, "cause": s.cause, "started_at": s.started_at, "finished_at": s.finished_at,
        "outcome": s.outcome, "refreshed": s.refreshed, "requests": s.requests, "rows_seen": s.rows_seen,
        "rows_added": s.rows_added, "rows_changed": s.rows_changed, "rows_rejected": s.rows_rejected, "error": s.error,
    })
}

/// A link's syncs as a table, the latest first.
pub(in crate::cli) fn syncs_table(syncs: &[SyncRow], zone: &TimeZone) -> String {
    let rows = syncs.iter().map(|s| {
        let said = [s.refreshed.as_deref().map(|word| format!("refresh {word}")), s.error.clone()];
        vec![
            output::short_instant(s.started_at, zone),
            s.cause.clone(),
            output::state(s.outcome.as_deref().unwrap_or("running")),
            s.rows_seen.to_string(),
            s.rows_added.to_string(),
            s.rows_changed.to_string(),
            s.requests.to_string(),
            said.into_iter().flatten().collect::<Vec<_>>().join("; "),
        ]
    });
    let header = ["started", "cause", "outcome", "rows", "new", "changed", "requests", ""];
    output::table(&header, &[3, 4, 5, 6], rows.collect())
}
