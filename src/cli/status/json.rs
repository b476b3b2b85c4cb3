//! What `passbook status --json` prints.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::cli::health::LinkJson;
use crate::store::SourceReport;

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) store: String,
    pub(super) daemon: Option<String>,
    pub(super) sources: Vec<SourceJson>,
    pub(super) needs_a_person: Vec<LinkJson>,
    pub(super) failing: Vec<LinkJson>,
    pub(super) incomplete: Vec<LinkJson>,
    /// Of links that are synced, soon or already.
    pub(super) consent_ends: Vec<LinkJson>,
}

#[derive(Serialize)]
pub(super) struct SourceJson {
    name: String,
    aggregator: String,
    retired_at: Option<Timestamp>,
    links: BTreeMap<String, u64>,
    conditions: BTreeMap<String, u64>,
    users: u64,
    consents_ending: u64,
    oldest_success_at: Option<Timestamp>,
    newest_success_at: Option<Timestamp>,
    oldest_refreshed_at: Option<Timestamp>,
    newest_refreshed_at: Option<Timestamp>,
    due_now: u64,
    links_due_at: Option<Timestamp>,
    request_limit: u64,
    request_window_ms: i64,
    requests_last_window: u64,
    requests_last_hour: u64,
    rate_limited_last_hour: u64,
    refreshes_per_day: u64,
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

impl From<SourceReport> for SourceJson {
    fn from(s: SourceReport) -> Self {
        Self {
            name: s.name,
            aggregator: s.aggregator,
            retired_at: s.retired_at,
            links: s.links_by_state,
            conditions: s.links_by_condition,
            users: s.users,
            consents_ending: s.consents_ending,
            oldest_success_at: s.oldest_success_at,
            newest_success_at: s.newest_success_at,
            oldest_refreshed_at: s.oldest_refreshed_at,
            newest_refreshed_at: s.newest_refreshed_at,
            due_now: s.due_now,
            links_due_at: s.links_due_at,
            request_limit: s.request_limit,
            request_window_ms: s.request_window_ms,
            requests_last_window: s.requests_last_window,
            requests_last_hour: s.requests_last_hour,
            rate_limited_last_hour: s.rate_limited_last_hour,
            refreshes_per_day: s.refreshes_per_day,
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
}
