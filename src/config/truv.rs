//! What only a Truv source has: its credential, its limits and how it is read.

use std::time::Duration;

use super::Surroundings;
use super::duration::duration_text;
use super::problem::Wrong;
use super::secrets::{read_secret, read_text_or_reference};
use super::section::Section;
use super::value::{duration, integer};
use crate::secret::Secret;

/// `base_url` of a Truv source.
pub const DEFAULT_BASE_URL: &str = "https://prod.truv.com";

/// `requests_per_minute`: Truv's documented limit.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 300;
/// Below this a single sync takes minutes.
pub const MIN_REQUESTS_PER_MINUTE: u32 = 10;
/// Above any limit that could be agreed.
pub const MAX_REQUESTS_PER_MINUTE: u32 = 100_000;

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

/// `overlap`.
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(14 * 24);
/// Dates are civil: less than a day would lose rows at midnight.
pub const MIN_OVERLAP: Duration = Duration::from_hours(24);
/// Older rows are the reconciliation's.
pub const MAX_OVERLAP: Duration = Duration::from_hours(90 * 24);

/// `page_size`.
pub const DEFAULT_PAGE_SIZE: u32 = 500;
/// Smaller pages cost requests and drift more.
pub const MIN_PAGE_SIZE: u32 = 10;
/// Truv documents no maximum here; its sister API's is this.
pub const MAX_PAGE_SIZE: u32 = 500;

pub(super) const TRUV_KEYS: &[&str] = &[
    "client_id",
    "access_secret",
    "requests_per_minute",
    "refreshes_per_day",
    "refreshes_per_month",
    "refresh_reserve",
    "refresh_poll_first",
    "refresh_poll_max",
    "refresh_timeout",
    "overlap",
    "page_size",
];

/// A Truv source.
#[derive(Clone, Debug, PartialEq)]
pub struct TruvConfig {
    /// Sent as `X-Access-Client-Id`.
    pub client_id: String,
    /// Sent as `X-Access-Secret`.
    pub access_secret: Secret,
    /// Truv's limit for this credential; the daemon stays under it.
    pub requests_per_minute: u32,
    /// Refreshes of one link in any 24 hours; zero never refreshes.
    pub refreshes_per_day: u32,
    /// Refreshes of the whole source in a calendar month (UTC); `None` is no limit.
    pub refreshes_per_month: Option<u32>,
    /// How many of a link's refreshes of a day are kept for a person's request; below `refreshes_per_day`, or both zero.
    pub refresh_reserve: u32,
    /// When a refresh is first asked for after it was started.
    pub refresh_poll_first: Duration,
    /// The longest wait between two such questions; at least `refresh_poll_first`.
    pub refresh_poll_max: Duration,
    /// When a refresh is given up; at least `refresh_poll_first`.
    pub refresh_timeout: Duration,
    /// How far before its cursor a pull begins; whole seconds, at least a day.
    pub overlap: Duration,
    /// Rows asked for per page.
    pub page_size: u32,
}

pub(super) fn read_truv(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<TruvConfig> {
    let client_id = read_text_or_reference(section, "client_id", "dd21ca23c12142b6a0970b1e0afedf16", around);
    let access_secret = read_secret(section, "access_secret", around);
    let number = |key, default, min, max, why| section.or_default(key, default, |value| integer(value, min..=max, why));
    let span = |key, default, min, max, why| {
        section.or_default(key, default, |value| duration(value, min..=max, default, why))
    };
    let requests_per_minute = number(
        "requests_per_minute",
        DEFAULT_REQUESTS_PER_MINUTE,
        MIN_REQUESTS_PER_MINUTE,
        MAX_REQUESTS_PER_MINUTE,
        "with fewer, a sync would take too long",
    );
    let refreshes_per_day = number(
        "refreshes_per_day",
        DEFAULT_REFRESHES_PER_DAY,
        MIN_REFRESHES_PER_DAY,
        MAX_REFRESHES_PER_DAY,
        "0 never refreshes",
    );
    let refreshes_per_month = section.optional("refreshes_per_month", |value| {
        let bounds = MIN_REFRESHES_PER_MONTH..=MAX_REFRESHES_PER_MONTH;
        integer(value, bounds, "to never refresh, set refreshes_per_day = 0")
    });
    let refresh_reserve = read_reserve(section, refreshes_per_day);
    let (poll_min, poll_max) = (MIN_REFRESH_POLL, MAX_REFRESH_POLL);
    let refresh_poll_first = span("refresh_poll_first", DEFAULT_REFRESH_POLL_FIRST, poll_min, poll_max, "");
    let refresh_poll_max = span("refresh_poll_max", DEFAULT_REFRESH_POLL_MAX, poll_min, poll_max, "");
    let refresh_timeout =
        span("refresh_timeout", DEFAULT_REFRESH_TIMEOUT, MIN_REFRESH_TIMEOUT, MAX_REFRESH_TIMEOUT, "");
    check_polls(section, refresh_poll_first, refresh_poll_max, refresh_timeout);
    let overlap = span(
        "overlap",
        DEFAULT_OVERLAP,
        MIN_OVERLAP,
        MAX_OVERLAP,
        "less would lose rows that appear late, more is what reconcile_schedule is for",
    );
    let page_size = number(
        "page_size",
        DEFAULT_PAGE_SIZE,
        MIN_PAGE_SIZE,
        MAX_PAGE_SIZE,
        "smaller pages cost requests, larger ones are not known to work",
    );
    warn_above_documented_limits(section, requests_per_minute, refreshes_per_day);
    Some(TruvConfig {
        client_id: client_id?,
        access_secret: access_secret?,
        requests_per_minute: requests_per_minute?,
        refreshes_per_day: refreshes_per_day?,
        refreshes_per_month: refreshes_per_month.ok()?,
        refresh_reserve: refresh_reserve?,
        refresh_poll_first: refresh_poll_first?,
        refresh_poll_max: refresh_poll_max?,
        refresh_timeout: refresh_timeout?,
        overlap: overlap?,
        page_size: page_size?,
    })
}

fn read_reserve(section: &Section<'_, '_>, refreshes_per_day: Option<u32>) -> Option<u32> {
    let written = section.optional("refresh_reserve", |value| {
        integer(value, MIN_REFRESH_RESERVE..=MAX_REFRESH_RESERVE, "refreshes of a day kept for a person")
    });
    let most = refreshes_per_day?.saturating_sub(1);
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

fn warn_above_documented_limits(section: &Section<'_, '_>, requests: Option<u32>, refreshes: Option<u32>) {
    let hint = "keep it only if Truv has agreed to more";
    if requests.is_some_and(|requests| requests > DEFAULT_REQUESTS_PER_MINUTE) {
        let reason = format!("Truv documents {DEFAULT_REQUESTS_PER_MINUTE} requests per minute");
        section.warn("requests_per_minute", Wrong::new(reason, hint));
    }
    if refreshes.is_some_and(|refreshes| refreshes > DEFAULT_REFRESHES_PER_DAY) {
        let reason = format!("Truv documents {DEFAULT_REFRESHES_PER_DAY} refreshes per link and day");
        section.warn("refreshes_per_day", Wrong::new(reason, hint));
    }
}
