//! What there is to tell of each source.

use jiff::Timestamp;

use super::sheet::{Labels, Sheet};
use crate::limits::requests::LimiterState;
use crate::server::{Receipt, Served};
use crate::store::{Figures, SourceFigures};
use crate::sync::Source;

/// The states of a link, as `v_link_health` has them.
const STATES: [&str; 6] = ["active", "attention", "failing", "new", "paused", "removed"];
/// How an aggregator may list our address for webhooks.
const ENDPOINT_STATES: [&str; 4] = ["enabled", "disabled", "missing", "unknown"];

/// A source as the store and as the process know it.
struct Both<'a> {
    figures: &'a SourceFigures,
    source: Option<&'a Source>,
}

impl Both<'_> {
    fn labels(&self) -> Labels {
        vec![("source", self.figures.name.clone()), ("aggregator", self.figures.aggregator.clone())]
    }

    fn labels_and(&self, name: &'static str, value: &str) -> Labels {
        let mut labels = self.labels();
        labels.push((name, value.to_owned()));
        labels
    }
}

/// Puts every source on the sheet.
pub(super) fn put(sheet: &mut Sheet, served: &Served, figures: &Figures, now: Timestamp) {
    let both = |figures| Both { figures, source: served.engine.source(figures.source_id).map(AsRef::as_ref) };
    let sources: Vec<Both<'_>> = figures.sources.iter().map(both).collect();
    put_links(sheet, &sources);
    put_freshness(sheet, &sources, now);
    put_syncs(sheet, &sources);
    put_requests(sheet, &sources, now);
    put_refreshes(sheet, &sources);
    put_discovery(sheet, &sources);
    put_webhooks(sheet, served, &sources, now);
}

fn put_links(sheet: &mut Sheet, sources: &[Both<'_>]) {
    let links = sheet.numbers("passbook_links", "Links by state");
    let due = sheet.numbers("passbook_links_due", "Links due now or earlier");
    let overdue = sheet.numbers("passbook_links_overdue", "Links due for more than ten minutes");
    let consents = sheet.numbers(
        "passbook_consents_ending",
        "Links whose customer's consent ends within 14 days or has ended, paused and removed ones left out",
    );
    let rejected = sheet.numbers(
        "passbook_rejected_rows_open",
        "Malformed transactions that were set aside and have not come well-formed since",
    );
    for s in sources {
        for state in STATES {
            let number = s.figures.links.get(state).copied().unwrap_or_default();
            links.set(&s.labels_and("state", state), number);
        }
        due.set(&s.labels(), s.figures.links_due);
        overdue.set(&s.labels(), s.figures.links_overdue);
        consents.set(&s.labels(), s.figures.consents_ending);
        rejected.set(&s.labels(), s.figures.rejected_rows);
    }
}

fn put_freshness(sheet: &mut Sheet, sources: &[Both<'_>], now: Timestamp) {
    let success = sheet.numbers(
        "passbook_source_last_success_timestamp_seconds",
        "When a link of the source was last read completely; left out if never",
    );
    let staleness = sheet.numbers(
        "passbook_source_staleness_seconds",
        "Time since the last success of any link of the source, or since the source was first seen",
    );
    let stalest = sheet.numbers(
        "passbook_stalest_link_age_seconds",
        "Time since the last success of the link that had none for longest; paused, removed and attention left out",
    );
    for s in sources {
        if let Some(at) = s.figures.newest_success_at {
            success.set(&s.labels(), at.as_second());
        }
        staleness.set(&s.labels(), seconds_since(s.figures.fresh_at, now));
        stalest.set(&s.labels(), s.figures.stalest_link_at.map_or(0, |at| seconds_since(at, now)));
    }
}

fn put_syncs(sheet: &mut Sheet, sources: &[Both<'_>]) {
    let syncs = sheet.counts("passbook_syncs", "Ended syncs by outcome and cause, since the store was made");
    let read = sheet.counts("passbook_rows_read", "Transactions read from the aggregator, since the store was made");
    let rows =
        sheet.counts("passbook_transaction_rows", "Transaction rows by what became of them, since the store was made");
    for s in sources {
        let mut seen = 0;
        let mut by_kind: Vec<(&str, u64)> =
            ["added", "updated", "posted", "removed", "restored", "rejected"].map(|kind| (kind, 0)).to_vec();
        for totals in &s.figures.syncs {
            let mut labels = s.labels_and("outcome", &totals.outcome);
            labels.push(("cause", totals.cause.clone()));
            syncs.set(&labels, totals.syncs);
            seen += totals.rows_seen;
            for ((_, sum), (_, rows)) in by_kind.iter_mut().zip(totals.rows) {
                *sum += rows;
            }
        }
        read.set(&s.labels(), seen);
        for (kind, sum) in by_kind {
            rows.set(&s.labels_and("kind", kind), sum);
        }
    }
}

fn put_requests(sheet: &mut Sheet, sources: &[Both<'_>], now: Timestamp) {
    let sent = sheet.counts("passbook_requests", "Requests sent, since the store was made; up to 10 s late");
    let throttled = sheet.counts("passbook_requests_throttled", "Requests answered 429, since the store was made");
    let failed = sheet.counts("passbook_requests_failed", "Requests without a usable answer, since the store was made");
    let limit = sheet.numbers("passbook_request_limit", "Requests that the aggregator allows in one window");
    let window = sheet.numbers("passbook_request_window_seconds", "Length of the window of the request limit");
    let used =
        sheet.numbers("passbook_requests_in_window", "Requests that this process sent in the window that ends now");
    let share = sheet.fractions("passbook_request_limit_used_ratio", "Share of the request limit used in that window");
    let left = sheet.numbers(
        "passbook_request_budget_left",
        "Requests that may still go in that window, below the limit by the margin we keep; 0 while the source rests",
    );
    let waiting = sheet.numbers("passbook_requests_waiting", "Requests that wait for their turn");
    let resting = sheet.numbers("passbook_source_resting", "1 while the aggregator's word keeps every request back");
    let until = sheet.numbers(
        "passbook_source_rests_until_timestamp_seconds",
        "When the source's latest rest ends or ended; left out if there was none",
    );
    for s in sources {
        for totals in &s.figures.requests {
            sent.set(&s.labels_and("scope", &totals.scope), totals.requests);
            throttled.set(&s.labels_and("scope", &totals.scope), totals.rate_limited);
            failed.set(&s.labels_and("scope", &totals.scope), totals.failed);
        }
        let state = s.source.map(|source| source.limiter.state());
        let held_until = state.as_ref().and_then(|state| state.held_until).max(s.figures.hold_until);
        let is_resting = held_until.is_some_and(|until| until > now);
        resting.set(&s.labels(), i64::from(is_resting));
        if let Some(at) = held_until {
            until.set(&s.labels(), at.as_second());
        }
        let Some(state) = state else { continue };
        limit.set(&s.labels(), state.quota.requests);
        window.set(&s.labels(), state.quota.window.as_secs());
        used.set(&s.labels(), state.admitted_in_window);
        share.set(&s.labels(), used_ratio(&state));
        left.set(&s.labels(), if is_resting { 0 } else { state.limit.saturating_sub(state.admitted_in_window) });
        waiting.set(&s.labels(), state.waiting);
    }
}

#[expect(clippy::float_arithmetic, reason = "a share for a plot")]
fn used_ratio(state: &LimiterState) -> f64 {
    f64::from(state.admitted_in_window) / f64::from(state.quota.requests.max(1))
}

fn put_refreshes(sheet: &mut Sheet, sources: &[Both<'_>]) {
    let day = sheet.numbers("passbook_refreshes_today", "Refreshes asked for since the day began (UTC), all links");
    let month = sheet.numbers("passbook_refreshes_this_month", "Refreshes asked for in this calendar month (UTC)");
    let billed = sheet.numbers("passbook_refreshes_billed_this_month", "Those of the month that are billed");
    let per_day = sheet.numbers(
        "passbook_refresh_limit_per_link_day",
        "Refreshes allowed per link and 24 hours; 0: none is ever asked for",
    );
    let per_month = sheet.numbers(
        "passbook_refresh_limit_month",
        "Refreshes that the configuration allows per month; left out without such a limit",
    );
    for s in sources {
        day.set(&s.labels(), s.figures.refreshes_today);
        billed.set(&s.labels(), s.figures.refreshes_billed_this_month);
        month.set(&s.labels(), s.figures.refreshes_this_month);
        per_day.set(&s.labels(), s.figures.refreshes_per_day);
        if let Some(cap) = s.figures.refreshes_per_month {
            per_month.set(&s.labels(), cap);
        }
    }
}

fn put_discovery(sheet: &mut Sheet, sources: &[Both<'_>]) {
    let failures =
        sheet.numbers("passbook_discovery_failures", "Failed listings of users and links since the last that worked");
    let at = sheet.numbers(
        "passbook_discovery_last_success_timestamp_seconds",
        "When users and links were last listed completely; left out if never",
    );
    for s in sources {
        failures.set(&s.labels(), s.figures.discover_failures);
        if let Some(discovered_at) = s.figures.discovered_at {
            at.set(&s.labels(), discovered_at.as_second());
        }
    }
}

fn put_webhooks(sheet: &mut Sheet, served: &Served, sources: &[Both<'_>], now: Timestamp) {
    let received =
        sheet.counts("passbook_webhooks_received", "Webhooks by what became of them, since the process began");
    let waiting = sheet.numbers("passbook_webhook_events_waiting", "Webhook events stored and not handled");
    let lag =
        sheet.numbers("passbook_webhook_lag_seconds", "How long the oldest of them has been waiting; 0 without any");
    let last = sheet.numbers(
        "passbook_webhook_last_event_timestamp_seconds",
        "When a new webhook event last came; left out if none is stored",
    );
    let endpoint = sheet
        .numbers("passbook_webhook_endpoint", "1 for the state in which the aggregator lists our address for webhooks");
    sheet.count(
        "passbook_webhooks_misdirected",
        "Webhooks for a source that is not configured, since the process began",
        Receipt::ALL.iter().map(|receipt| served.tally.webhooks(None, *receipt)).sum(),
    );
    for s in sources {
        for receipt in Receipt::ALL {
            let number = served.tally.webhooks(Some(s.figures.source_id), receipt);
            received.set(&s.labels_and("outcome", receipt.as_str()), number);
        }
        waiting.set(&s.labels(), s.figures.webhooks_waiting);
        lag.set(&s.labels(), s.figures.oldest_webhook_at.map_or(0, |at| seconds_since(at, now)));
        if let Some(at) = s.figures.newest_webhook_at {
            last.set(&s.labels(), at.as_second());
        }
        let listed = s.figures.webhook_endpoint.as_deref().unwrap_or("unknown");
        for state in ENDPOINT_STATES {
            endpoint.set(&s.labels_and("state", state), i64::from(state == listed));
        }
    }
}

/// Whole seconds since an instant; zero for one that is still to come, as after the clock was set back.
fn seconds_since(at: Timestamp, now: Timestamp) -> i64 {
    now.as_second().saturating_sub(at.as_second()).max(0)
}
