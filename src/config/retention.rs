//! `[retention]`: how long what grows with time is kept.
//!
//! Transactions and their changes are kept for ever, and cannot be set: a row that was dropped would come back with the next
//! complete walk, and the history of one that stays would have a hole.

use std::time::Duration;

use toml::de::DeValue;

use super::problem::Wrong;
use super::section::Section;
use super::value::duration;

const DAY: Duration = Duration::from_hours(24);

/// `retention.webhook_events`: longer than any aggregator repeats one.
pub const DEFAULT_WEBHOOK_EVENTS: Duration = DAY.saturating_mul(7);
/// `retention.syncs` and `retention.request_usage`: more than a year, so that a year can be compared with the one before.
pub const DEFAULT_YEAR: Duration = DAY.saturating_mul(400);
/// `retention.rejected_rows` and `retention.invites`.
pub const DEFAULT_SETTLED: Duration = DAY.saturating_mul(90);
/// Repeats come for two days, and must be recognised.
pub const MIN_WEBHOOK_EVENTS: Duration = DAY.saturating_mul(3);
/// What happened yesterday is still looked at.
pub const MIN_DAYS: Duration = DAY.saturating_mul(7);
/// The month and the one before are counted against limits.
pub const MIN_REFRESHES: Duration = DAY.saturating_mul(62);
/// A hundred years.
pub const MAX_RETENTION: Duration = DAY.saturating_mul(36_500);

/// The word for no end.
const NEVER: &str = "never";

pub(super) const RETENTION_KEYS: &[&str] =
    &["webhook_events", "syncs", "request_usage", "rejected_rows", "invites", "alerts", "refreshes", "balances", "raw"];

/// How long rows are kept; `None`: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Handled events.
    pub webhook_events: Option<Duration>,
    /// Syncs that are over.
    pub syncs: Option<Duration>,
    /// Requests by minute; their sums stay.
    pub request_usage: Option<Duration>,
    /// Malformed rows that are resolved.
    pub rejected_rows: Option<Duration>,
    /// Invites that are over.
    pub invites: Option<Duration>,
    /// Alerts that are over and told.
    pub alerts: Option<Duration>,
    /// Refreshes that are over; those that still count against a limit stay.
    pub refreshes: Option<Duration>,
    /// Observations of balances; the latest of an account stays.
    pub balances: Option<Duration>,
    /// Upstream's JSON of transactions; the rows stay.
    pub raw: Option<Duration>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self {
            webhook_events: Some(DEFAULT_WEBHOOK_EVENTS),
            syncs: Some(DEFAULT_YEAR),
            request_usage: Some(DEFAULT_YEAR),
            rejected_rows: Some(DEFAULT_SETTLED),
            invites: Some(DEFAULT_SETTLED),
            alerts: Some(DEFAULT_YEAR),
            refreshes: None,
            balances: None,
            raw: None,
        }
    }
}

pub(super) fn read_retention(section: &Section<'_, '_>) -> Option<RetentionConfig> {
    let usual = RetentionConfig::default();
    let read = |key: &'static str, default: Option<Duration>, min: Duration| {
        section.or_default(key, default, |value| span(value, default, min))
    };
    let webhook_events = read("webhook_events", usual.webhook_events, MIN_WEBHOOK_EVENTS);
    let syncs = read("syncs", usual.syncs, MIN_DAYS);
    let request_usage = read("request_usage", usual.request_usage, MIN_DAYS);
    let rejected_rows = read("rejected_rows", usual.rejected_rows, MIN_DAYS);
    let invites = read("invites", usual.invites, MIN_DAYS);
    let alerts = read("alerts", usual.alerts, MIN_DAYS);
    let refreshes = read("refreshes", usual.refreshes, MIN_REFRESHES);
    let balances = read("balances", usual.balances, MIN_DAYS);
    let raw = read("raw", usual.raw, MIN_DAYS);
    Some(RetentionConfig {
        webhook_events: webhook_events?,
        syncs: syncs?,
        request_usage: request_usage?,
        rejected_rows: rejected_rows?,
        invites: invites?,
        alerts: alerts?,
        refreshes: refreshes?,
        balances: balances?,
        raw: raw?,
    })
}

fn span(value: &DeValue<'_>, default: Option<Duration>, min: Duration) -> Result<Option<Duration>, Wrong> {
    if value.as_str() == Some(NEVER) {
        return Ok(None);
    }
    let why = "or \"never\", which keeps it for ever";
    duration(value, min..=MAX_RETENTION, default.unwrap_or(DEFAULT_YEAR), why).map(Some)
}
