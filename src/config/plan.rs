//! What a configuration asks of each source: what stays comparable when it is loaded anew, without any secret.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Config, SourceConfig};

/// More slots a day than this are counted as this many.
const MAX_SLOTS: usize = 10_000;

/// What a source is asked for, as the daemon keeps it in the store and `passbook check` compares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlan {
    /// The source.
    pub name: String,
    /// The aggregator's word.
    pub aggregator: String,
    /// Where it is called.
    pub base_url: String,
    /// When links are synced, as written.
    pub sync_schedule: String,
    /// When users and links are listed.
    pub discover_schedule: String,
    /// When whole histories are walked.
    pub reconcile_schedule: String,
    /// When links are looked at between syncs; `None`: never.
    pub status_schedule: Option<String>,
    /// Slots of the sync schedule in the day after the plan was made.
    pub syncs_per_day: usize,
    /// For each link, on schedule; `None`: the aggregator cannot be asked to refresh.
    pub refreshes_per_day: Option<u32>,
    /// For all links together; `None`: without such a limit.
    pub refreshes_per_month: Option<u32>,
    /// Requests the aggregator allows per window.
    pub request_limit: u32,
    /// Length of that window.
    pub request_window_ms: i64,
}

impl SourcePlan {
    /// What `source` asks for in the day after `now`.
    pub fn of(source: &SourceConfig, now: Timestamp) -> Self {
        let (request_limit, window) = source.quota();
        let refresh = source.refresh();
        Self {
            name: source.name.clone(),
            aggregator: source.word().to_owned(),
            base_url: source.base_url.to_string(),
            sync_schedule: source.sync_schedule.as_str().to_owned(),
            discover_schedule: source.discover_schedule.as_str().to_owned(),
            reconcile_schedule: source.reconcile_schedule.as_str().to_owned(),
            status_schedule: source.status_schedule().map(|schedule| schedule.as_str().to_owned()),
            syncs_per_day: source.sync_schedule.fires_per_day(now, MAX_SLOTS),
            refreshes_per_day: refresh.map(|refresh| refresh.per_day.saturating_sub(refresh.reserve)),
            refreshes_per_month: refresh.and_then(|refresh| refresh.per_month),
            request_limit,
            request_window_ms: i64::try_from(window.as_millis()).unwrap_or(i64::MAX),
        }
    }
}

/// What a whole configuration asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The zone the schedules are read in.
    pub timezone: String,
    /// Steps of links that may be under way at once, for each source.
    pub workers: usize,
    /// Each source, in the order of the file.
    pub sources: Vec<SourcePlan>,
}

impl Plan {
    /// What `config` asks for in the day after `now`.
    pub fn of(config: &Config, now: Timestamp) -> Self {
        Self {
            timezone: config.schedule.timezone_name.clone(),
            workers: config.schedule.workers,
            sources: config.sources.iter().map(|source| SourcePlan::of(source, now)).collect(),
        }
    }
}
