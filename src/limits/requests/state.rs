//! What a limiter tells.

use std::time::Duration;

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
    /// Requests that wait for their turn, or for a token of one of their keys.
    pub waiting: usize,
    /// Keys of scopes that are remembered; those that have not sent anything for a while are not.
    pub keys: usize,
    /// The aggregator said 429: nobody goes before this instant. `None` when not held.
    pub held_until: Option<Timestamp>,
    /// Until when the pace is halved after a throttle. `None` at full pace.
    pub slowed_until: Option<Timestamp>,
    /// When the next request could go at the latest; now if one could go at once.
    pub refills_at: Timestamp,
}

/// A throttle that holds a request back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// How much longer.
    pub left: Duration,
    /// Whether it holds everyone who uses the credential; if not, only who counts against the same keys.
    pub is_shared: bool,
}
