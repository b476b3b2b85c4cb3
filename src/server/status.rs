//! The state of everything, for scripts: what `passbook status --json` prints and the admin side answers.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::erasure::ErasureJson;
use crate::limits::refreshes::month_began;
use crate::store::{BackupGlance, ConfigLoad, Erasure, HealthRow, ReadTxn, SourceReport, Store, StoreError, WalHeld};

/// What is read of the store.
#[derive(Debug)]
pub struct Seen {
    /// Every source that is configured or has links.
    pub sources: Vec<SourceReport>,
    /// Links that need a person.
    pub attention: Vec<HealthRow>,
    /// Links that are tried again by themselves.
    pub failing: Vec<HealthRow>,
    /// Links of which the aggregator says that rows are missing.
    pub incomplete: Vec<HealthRow>,
    /// Links whose consent ends soon, or has ended.
    pub consents: Vec<HealthRow>,
    /// The configuration that a daemon read last, in use or refused; `None`: none has worked on this store.
    pub config_read: Option<ConfigLoad>,
    /// Customers who are being forgotten.
    pub erasures: Vec<Erasure>,
    /// How backups stand.
    pub backups: BackupGlance,
    /// Whether a reader holds the write-ahead log, and it is large.
    pub wal_held: Option<WalHeld>,
}

impl Seen {
    /// Reads at most `limit` links of each list.
    pub fn read(txn: &ReadTxn<'_>, limit: usize, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self {
            sources: txn.source_reports(now, month_began(now))?,
            attention: txn.link_health(Some("attention"), limit)?,
            failing: txn.link_health(Some("failing"), limit)?,
            incomplete: txn.incomplete_links(limit)?,
            consents: txn.consents_to_renew(now, limit)?,
            config_read: txn.last_config_load()?,
            erasures: txn.erasures(true)?,
            backups: txn.backup_glance()?,
            wal_held: txn.wal_held()?,
        })
    }
}

/// The state of everything.
#[derive(Serialize)]
pub struct StatusReport {
    store: String,
    daemon: Option<String>,
    config_read: Option<ConfigJson>,
    sources: Vec<SourceJson>,
    needs_a_person: Vec<LinkJson>,
    failing: Vec<LinkJson>,
    incomplete: Vec<LinkJson>,
    /// Of links that are synced, soon or already.
    consent_ends: Vec<LinkJson>,
    /// Customers who are being forgotten.
    erasures: Vec<ErasureJson>,
    backups: BackupsJson,
    /// `null`: no reader holds it, or it is small.
    wal_held_at: Option<Timestamp>,
    /// Whether nothing is synced for that reason.
    wal_over_limit: bool,
    /// What keeps the running daemon from working with the store; `null`: nothing, or nobody could be asked.
    store_trouble: Option<TroubleJson>,
}

/// What keeps the store from working, for scripts.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct TroubleJson {
    /// `full`, `read_only`, `io`, `locked` or `damaged`.
    pub kind: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether nothing can be stored; otherwise only the write-ahead log cannot be moved into the file.
    pub stops_writes: bool,
    /// In words, with what to do.
    pub said: String,
}

impl TroubleJson {
    /// What the process that has opened `store` knows of it.
    pub fn of(store: &Store, now: Timestamp) -> Option<Self> {
        let trouble = store.trouble()?;
        let lasted = SignedDuration::try_from(trouble.since.elapsed()).unwrap_or(SignedDuration::MAX);
        Some(Self {
            kind: trouble.kind.as_str().to_owned(),
            since: now.saturating_sub(lasted).unwrap_or(now),
            stops_writes: trouble.stops_writes,
            said: trouble.said,
        })
    }
}

/// Backups for scripts.
#[derive(Serialize)]
struct BackupsJson {
    /// When the last proved one was made.
    last_proved_at: Option<Timestamp>,
    last_proved_file: Option<String>,
    failures_since: u64,
    last_error: Option<String>,
}

impl From<BackupGlance> for BackupsJson {
    fn from(backups: BackupGlance) -> Self {
        Self {
            last_proved_at: backups.last_proved.as_ref().map(|backup| backup.made_at),
            last_proved_file: backups.last_proved.and_then(|backup| backup.file_name),
            failures_since: backups.failures,
            last_error: backups.last.and_then(|backup| backup.error),
        }
    }
}

impl StatusReport {
    /// What was seen of the store at `store`; `daemon` is what the process that works on it says of itself, and `trouble` of
    /// the store.
    pub fn new(store: String, daemon: Option<String>, trouble: Option<TroubleJson>, seen: Seen) -> Self {
        let links = |rows: Vec<HealthRow>| rows.into_iter().map(LinkJson::from).collect();
        Self {
            store,
            daemon,
            config_read: seen.config_read.map(ConfigJson::from),
            sources: seen.sources.into_iter().map(SourceJson::from).collect(),
            needs_a_person: links(seen.attention),
            failing: links(seen.failing),
            incomplete: links(seen.incomplete),
            consent_ends: links(seen.consents),
            erasures: seen.erasures.into_iter().map(ErasureJson::from).collect(),
            backups: seen.backups.into(),
            wal_held_at: seen.wal_held.map(|held| held.since),
            wal_over_limit: seen.wal_held.is_some_and(|held| held.is_over_limit),
            store_trouble: trouble,
        }
    }
}

/// A configuration that was read, for scripts.
#[derive(Serialize)]
pub struct ConfigJson {
    at: Timestamp,
    /// `started`, `applied` or `refused`.
    outcome: &'static str,
    /// What changed, or why it was refused.
    summary: String,
}

impl From<ConfigLoad> for ConfigJson {
    fn from(load: ConfigLoad) -> Self {
        Self { at: load.loaded_at, outcome: load.outcome.as_str(), summary: load.summary }
    }
}

/// A source for scripts.
#[derive(Serialize)]
pub struct SourceJson {
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

/// A link for scripts.
#[derive(Serialize)]
pub struct LinkJson {
    link_id: i64,
    source: String,
    upstream_link_id: String,
    user: String,
    institution: Option<String>,
    state: String,
    upstream_status: Option<String>,
    /// The aggregator's sentence for the customer.
    status_detail: Option<String>,
    condition: String,
    condition_at: Option<Timestamp>,
    attention: Option<String>,
    attention_at: Option<Timestamp>,
    last_success_at: Option<Timestamp>,
    /// When the aggregator last read the bank.
    refreshed_at: Option<Timestamp>,
    consent_expires_at: Option<Timestamp>,
    due_at: Timestamp,
    /// `null`: none is ever asked for.
    refreshes_left: Option<i64>,
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
            status_detail: h.status_detail,
            condition: h.condition,
            condition_at: h.condition_at,
            attention: h.attention,
            attention_at: h.attention_at,
            last_success_at: h.last_success_at,
            refreshed_at: h.refreshed_at,
            consent_expires_at: h.consent_expires_at,
            due_at: h.due_at,
            refreshes_left: h.refreshes_left,
            consecutive_failures: h.consecutive_failures,
            last_error: h.last_error,
        }
    }
}
