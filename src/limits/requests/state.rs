//! What a limiter tells people.

use jiff::Timestamp;

use super::Quota;

/// What a limiter allows right now, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimiterState {
    /// The aggregator's own limit.
    pub quota: Quota,
    /// What we keep to: the quota less the margin, per window.
    pub limit: u32,
    /// Requests admitted by this process in the window that ends now.
    pub admitted_in_window: u32,
    /// Requests that could go at once; zero while held.
    pub available_now: u32,
    /// Requests that wait for their turn.
    pub waiting: usize,
    /// The aggregator said 429: nobody goes before this instant. `None` when not held.
    pub held_until: Option<Timestamp>,
    /// Until when the pace is halved after a throttle. `None` at full pace.
    pub slowed_until: Option<Timestamp>,
    /// When the next request could go at the latest; now if one could go at once.
    pub refills_at: Timestamp,
}
