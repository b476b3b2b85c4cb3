//! What only a Truv source has: its credential, its limits and how it is read.

use std::time::Duration;

use url::Url;

use super::Surroundings;
use super::problem::Wrong;
use super::reference::{read_secret, read_secrets, read_text_or_reference};
use super::refresh::{DEFAULT_REFRESHES_PER_DAY, RefreshConfig, read_refresh};
use super::section::Section;
use super::source::read_url;
use crate::secret::Secret;

/// `base_url` of a Truv source.
pub const DEFAULT_BASE_URL: &str = "https://prod.truv.com";

/// `sync_schedule` of a Truv source: three times a day, as often as a link may be refreshed.
pub const DEFAULT_SYNC_SCHEDULE: &str = "0 */8 * * *";

/// What `requests_per_minute` counts in.
pub const REQUEST_WINDOW: Duration = Duration::from_mins(1);
/// `requests_per_minute`: Truv's documented limit.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 300;
/// Below this a single sync takes minutes.
pub const MIN_REQUESTS_PER_MINUTE: u32 = 10;
/// Above any limit that could be agreed.
pub const MAX_REQUESTS_PER_MINUTE: u32 = 100_000;

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

/// `widget_url`: the script that opens Truv's widget.
pub const DEFAULT_WIDGET_URL: &str = "https://cdn.truv.com/bridge.js";

/// Truv has at most two active keys; the other one beside `access_secret` (upstream/truv.md section 1).
pub const MAX_WEBHOOK_SECRETS: usize = 1;

pub(super) const TRUV_KEYS: &[&str] =
    &["client_id", "access_secret", "webhook_secrets", "widget_url", "requests_per_minute", "overlap", "page_size"];

/// A Truv source.
#[derive(Clone, Debug, PartialEq)]
pub struct TruvConfig {
    /// Sent as `X-Access-Client-Id`.
    pub client_id: String,
    /// Sent as `X-Access-Secret`.
    pub access_secret: Secret,
    /// What webhooks may be signed with beside the access secret: another key that is still in use.
    pub webhook_secrets: Vec<Secret>,
    /// The script of the widget in which customers connect a bank.
    pub widget_url: Url,
    /// Truv's limit for this credential; the daemon stays under it.
    pub requests_per_minute: u32,
    /// How its links are refreshed.
    pub refresh: RefreshConfig,
    /// How far before its cursor a pull begins; whole seconds, at least a day.
    pub overlap: Duration,
    /// Rows asked for per page.
    pub page_size: u32,
}

pub(super) fn read_truv(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<TruvConfig> {
    let client_id = read_text_or_reference(section, "client_id", "dd21ca23c12142b6a0970b1e0afedf16", around);
    let access_secret = read_secret(section, "access_secret", around);
    let webhook_secrets = read_secrets(section, "webhook_secrets", MAX_WEBHOOK_SECRETS, around);
    let usual_widget = Url::parse(DEFAULT_WIDGET_URL).ok()?;
    let widget_url = section.or_default("widget_url", usual_widget, |value| read_url(value, DEFAULT_WIDGET_URL));
    let requests_per_minute = section.number(
        "requests_per_minute",
        DEFAULT_REQUESTS_PER_MINUTE,
        MIN_REQUESTS_PER_MINUTE..=MAX_REQUESTS_PER_MINUTE,
        "with fewer, a sync would take too long",
    );
    let refresh = read_refresh(section);
    let overlap = section.span(
        "overlap",
        DEFAULT_OVERLAP,
        MIN_OVERLAP..=MAX_OVERLAP,
        "less would lose rows that appear late, more is what reconcile_schedule is for",
    );
    let page_size = section.number(
        "page_size",
        DEFAULT_PAGE_SIZE,
        MIN_PAGE_SIZE..=MAX_PAGE_SIZE,
        "smaller pages cost requests, larger ones are not known to work",
    );
    warn_above_documented_limits(section, requests_per_minute, refresh.as_ref());
    Some(TruvConfig {
        client_id: client_id?,
        access_secret: access_secret?,
        webhook_secrets: webhook_secrets?,
        widget_url: widget_url?,
        requests_per_minute: requests_per_minute?,
        refresh: refresh?,
        overlap: overlap?,
        page_size: page_size?,
    })
}

fn warn_above_documented_limits(section: &Section<'_, '_>, requests: Option<u32>, refresh: Option<&RefreshConfig>) {
    let hint = "keep it only if Truv has agreed to more";
    if requests.is_some_and(|requests| requests > DEFAULT_REQUESTS_PER_MINUTE) {
        let reason = format!("Truv documents {DEFAULT_REQUESTS_PER_MINUTE} requests per minute");
        section.warn("requests_per_minute", Wrong::new(reason, hint));
    }
    if refresh.is_some_and(|refresh| refresh.per_day > DEFAULT_REFRESHES_PER_DAY) {
        let reason = format!("Truv documents {DEFAULT_REFRESHES_PER_DAY} refreshes per link and day");
        section.warn("refreshes_per_day", Wrong::new(reason, hint));
    }
}
