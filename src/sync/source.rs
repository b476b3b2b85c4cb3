//! One configured source, and when what of it is due.

use std::time::Duration;

use jiff::Timestamp;
use url::Url;

use crate::aggregator::{Aggregator, Feed};
use crate::limits::refreshes::RefreshPolicy;
use crate::limits::requests::RequestLimiter;
use crate::schedule::{self, Schedule};

/// One configured source as the engine works with it.
pub struct Source {
    /// Our id in the store.
    pub source_id: i64,
    /// Its name in the configuration.
    pub name: String,
    /// Its aggregator.
    pub aggregator: Aggregator,
    /// Its request budget, for reports.
    pub limiter: RequestLimiter,
    /// When its links are synced.
    pub sync_schedule: Schedule,
    /// When users and links are listed.
    pub discover_schedule: Schedule,
    /// When whole histories are walked.
    pub reconcile_schedule: Schedule,
    /// When the state of every user's links is looked at; `None`: discovery does that.
    pub status_schedule: Option<Schedule>,
    /// Over how long the links of one slot are spread at most.
    pub max_spread: Duration,
    /// How far a pull reaches back behind its cursor.
    pub overlap: Duration,
    /// How refreshes are limited.
    pub refresh_policy: RefreshPolicy,
    /// First look at a refresh.
    pub refresh_poll_first: Duration,
    /// Longest time between two looks.
    pub refresh_poll_max: Duration,
    /// When a refresh is given up.
    pub refresh_timeout: Duration,
    /// The latest that a step may still be sending: bounds when a refresh whose answer is lost was counted.
    pub step_deadline: Duration,
    /// Where its webhooks are to be sent; `None`: there is no public side.
    pub webhook_address: Option<Url>,
}

impl Source {
    /// When the links that share `spread_key` are due next.
    pub fn next_due_at(&self, spread_key: &str, now: Timestamp) -> Timestamp {
        schedule::next_due_at(&self.sync_schedule, spread_key, self.max_spread, now)
    }

    /// Since when a link must have been read to count as fresh: the last slot that must be over by now, its spread, a refresh
    /// and a step included.
    pub fn fresh_since(&self, now: Timestamp) -> Timestamp {
        let spread = schedule::spread_span(&self.sync_schedule, now, self.max_spread);
        let over_by = self.step_deadline.saturating_add(self.refresh_timeout).saturating_add(spread);
        let started_by = now.checked_sub(over_by).unwrap_or(Timestamp::MIN);
        self.sync_schedule.last_until(started_by).unwrap_or(Timestamp::MIN)
    }

    pub(super) fn next_reconcile_at(&self, spread_key: &str, now: Timestamp) -> Timestamp {
        schedule::next_due_at(&self.reconcile_schedule, spread_key, self.max_spread, now)
    }

    /// When a user's links are looked at next; `None`: only discovery looks at them.
    pub fn next_look_at(&self, upstream_user_id: &str, now: Timestamp) -> Option<Timestamp> {
        let schedule = self.status_schedule.as_ref()?;
        Some(schedule::next_due_at(schedule, upstream_user_id, self.max_spread, now))
    }

    /// Whether the links of one user are read together.
    pub fn reads_by_user(&self) -> bool {
        matches!(self.aggregator.feed(), Feed::Changes(_))
    }

    /// What spreads links over time: links that are read together are due together.
    pub fn spread_key<'l>(&self, upstream_link_id: &'l str, upstream_user_id: &'l str) -> &'l str {
        if self.reads_by_user() { upstream_user_id } else { upstream_link_id }
    }
}
