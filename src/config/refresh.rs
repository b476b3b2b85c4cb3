//! How links are refreshed, where the aggregator lets us ask for it; Truv is the only one.

use std::time::Duration;

use super::duration::duration_text;
use super::problem::Wrong;
use super::section::Section;
use super::value::integer;

/// `refreshes_per_day`: Truv's documented limit per link.
pub const DEFAULT_REFRESHES_PER_DAY: u32 = 3;
/// Never refresh: read only what Truv holds.
pub const MIN_REFRESHES_PER_DAY: u32 = 0;
/// Hourly; above any limit that could be agreed.
pub const MAX_REFRESHES_PER_DAY: u32 = 24;

/// `refreshes_per_month`, where it is given.
pub const MIN_REFRESHES_PER_MONTH: u32 = 1;
/// Above any bill that could be meant.
pub const MAX_REFRESHES_PER_MONTH: u32 = 10_000_000;

/// `refresh_reserve`, where `refreshes_per_day` is above one; zero otherwise.
pub const DEFAULT_REFRESH_RESERVE: u32 = 1;
/// Keep none back.
pub const MIN_REFRESH_RESERVE: u32 = 0;
/// One less than the most refreshes there can be.
pub const MAX_REFRESH_RESERVE: u32 = MAX_REFRESHES_PER_DAY - 1;

/// `refresh_poll_first`.
pub const DEFAULT_REFRESH_POLL_FIRST: Duration = Duration::from_secs(20);
/// `refresh_poll_max`.
pub const DEFAULT_REFRESH_POLL_MAX: Duration = Duration::from_mins(2);
/// No refresh is done sooner, and each poll is a request.
pub const MIN_REFRESH_POLL: Duration = Duration::from_secs(1);
/// A refresh lasts minutes.
pub const MAX_REFRESH_POLL: Duration = Duration::from_hours(1);

/// `refresh_timeout`.
pub const DEFAULT_REFRESH_TIMEOUT: Duration = Duration::from_mins(20);
/// Refreshes that succeed take longer than this at times.
pub const MIN_REFRESH_TIMEOUT: Duration = Duration::from_mins(1);
/// A refresh that takes a day is lost.
pub const MAX_REFRESH_TIMEOUT: Duration = Duration::from_hours(24);

pub(super) const REFRESH_KEYS: &[&str] = &[
    "refreshes_per_day",
    "refreshes_per_month",
    "refresh_reserve",
    "refresh_poll_first",
    "refresh_poll_max",
    "refresh_timeout",
];

/// How many refreshes there are, and how one is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefreshConfig {
    /// Refreshes of one link in any 24 hours; zero never refreshes.
    pub per_day: u32,
    /// Refreshes of the whole source in a calendar month (UTC); `None` is no limit.
    pub per_month: Option<u32>,
    /// How many of a link's refreshes of a day are kept for a person's request; below `per_day`, or both zero.
    pub reserve: u32,
    /// When a refresh is first asked for after it was started.
    pub poll_first: Duration,
    /// The longest wait between two such questions; at least `poll_first`.
    pub poll_max: Duration,
    /// When a refresh is given up; at least `poll_first`.
    pub timeout: Duration,
}

impl RefreshConfig {
    /// For an aggregator that cannot be asked: no refreshes, and a first connection is watched at the usual pace.
    pub const NEVER: Self = Self {
        per_day: 0,
        per_month: None,
        reserve: 0,
        poll_first: DEFAULT_REFRESH_POLL_FIRST,
        poll_max: DEFAULT_REFRESH_POLL_MAX,
        timeout: DEFAULT_REFRESH_TIMEOUT,
    };
}

pub(super) fn read_refresh(section: &Section<'_, '_>) -> Option<RefreshConfig> {
    let per_day = section.number(
        "refreshes_per_day",
        DEFAULT_REFRESHES_PER_DAY,
        MIN_REFRESHES_PER_DAY..=MAX_REFRESHES_PER_DAY,
        "0 never refreshes",
    );
    let per_month = section.optional("refreshes_per_month", |value| {
        let bounds = MIN_REFRESHES_PER_MONTH..=MAX_REFRESHES_PER_MONTH;
        integer(value, bounds, "to never refresh, set refreshes_per_day = 0")
    });
    let reserve = read_reserve(section, per_day);
    let polls = MIN_REFRESH_POLL..=MAX_REFRESH_POLL;
    let poll_first = section.span("refresh_poll_first", DEFAULT_REFRESH_POLL_FIRST, polls.clone(), "");
    let poll_max = section.span("refresh_poll_max", DEFAULT_REFRESH_POLL_MAX, polls, "");
    let timeouts = MIN_REFRESH_TIMEOUT..=MAX_REFRESH_TIMEOUT;
    let timeout = section.span("refresh_timeout", DEFAULT_REFRESH_TIMEOUT, timeouts, "");
    check_polls(section, poll_first, poll_max, timeout);
    Some(RefreshConfig {
        per_day: per_day?,
        per_month: per_month.ok()?,
        reserve: reserve?,
        poll_first: poll_first?,
        poll_max: poll_max?,
        timeout: timeout?,
    })
}

fn read_reserve(section: &Section<'_, '_>, per_day: Option<u32>) -> Option<u32> {
    let written = section.optional("refresh_reserve", |value| {
        integer(value, MIN_REFRESH_RESERVE..=MAX_REFRESH_RESERVE, "refreshes of a day kept for a person")
    });
    let most = per_day?.saturating_sub(1);
    let reserve = written.ok()?.unwrap_or(DEFAULT_REFRESH_RESERVE.min(most));
    if reserve > most {
        let reason = "it keeps back all of refreshes_per_day, so no link would be refreshed on schedule";
        let hint = format!("write {most} or less, or raise refreshes_per_day");
        section.wrong("refresh_reserve", Wrong::new(reason, hint));
        return None;
    }
    Some(reserve)
}

fn check_polls(section: &Section<'_, '_>, first: Option<Duration>, max: Option<Duration>, timeout: Option<Duration>) {
    let Some(first) = first else { return };
    if let Some(max) = max.filter(|max| first > *max) {
        let reason = format!("longer than refresh_poll_max ({})", duration_text(max));
        let hint = format!(
            "write \"{0}\" or less, or raise refresh_poll_max to \"{1}\"",
            duration_text(max),
            duration_text(first)
        );
        section.wrong("refresh_poll_first", Wrong::new(reason, hint));
    }
    if timeout.is_some_and(|timeout| timeout < first) {
        let reason =
            format!("shorter than refresh_poll_first ({}), so no refresh would be seen to end", duration_text(first));
        let hint = format!("write more than \"{}\"", duration_text(first));
        section.wrong("refresh_timeout", Wrong::new(reason, hint));
    }
}
