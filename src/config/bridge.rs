//! What only a Bridge source has: its credential, its limits and how it is read.
//!
//! Nothing here is about refreshes: Bridge reads the banks by itself, once or twice a day, and cannot be asked to
//! (upstream/bridge.md section 8.4).

use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::Surroundings;
use super::problem::Wrong;
use super::reference::{read_secret, read_secrets, read_text_or_reference};
use super::section::Section;
use super::source::{MANY_FIRES_PER_DAY, fires_on_busiest_day, read_cron};
use super::value::{shown_text, text};
use crate::schedule::Schedule;
use crate::secret::Secret;

/// `base_url` of a Bridge source.
pub const DEFAULT_BASE_URL: &str = "https://api.bridgeapi.io";

/// `sync_schedule` of a Bridge source: what Bridge reads by itself is here within six hours.
pub const DEFAULT_SYNC_SCHEDULE: &str = "0 */6 * * *";
/// `status_schedule`: hourly, because an access withdrawn by the bank (1100) and a lost webhook show nowhere else.
pub const DEFAULT_STATUS_SCHEDULE: &str = "0 * * * *";

/// Bridge keeps the old webhook secret for a day beside the new one (upstream/bridge.md section 12.4).
pub const MAX_WEBHOOK_SECRETS: usize = 2;

/// `accept_language`.
pub const DEFAULT_ACCEPT_LANGUAGE: &str = "fr";
/// The languages that Bridge documents.
pub const DOCUMENTED_LANGUAGES: [&str; 2] = ["fr", "en"];

/// What `requests_per_5_minutes` counts in.
pub const REQUEST_WINDOW: Duration = Duration::from_mins(5);
/// `requests_per_5_minutes`: Bridge's documented limit per application.
pub const DEFAULT_REQUESTS_PER_5_MINUTES: u32 = 2_000;
/// Below this a single sync takes minutes.
pub const MIN_REQUESTS_PER_5_MINUTES: u32 = 50;
/// Above any limit that could be agreed.
pub const MAX_REQUESTS_PER_5_MINUTES: u32 = 500_000;

/// What `user_requests_per_minute` counts in.
pub const USER_REQUEST_WINDOW: Duration = Duration::from_mins(1);
/// `user_requests_per_minute`: Bridge's documented limit per user.
pub const DEFAULT_USER_REQUESTS_PER_MINUTE: u32 = 60;
/// Below this a single sync takes minutes.
pub const MIN_USER_REQUESTS_PER_MINUTE: u32 = 10;
/// All of the largest limit of an application, for one user.
pub const MAX_USER_REQUESTS_PER_MINUTE: u32 = 100_000;

/// `overlap`: what a production client rewinds (upstream/bridge.md section 10.3).
pub const DEFAULT_OVERLAP: Duration = Duration::from_hours(1);
/// Bridge writes the rows of one refresh over minutes, and not all of them in order.
pub const MIN_OVERLAP: Duration = Duration::from_mins(10);
/// What appears later is the reconciliation's.
pub const MAX_OVERLAP: Duration = Duration::from_hours(14 * 24);

/// `page_size`: Bridge's documented maximum.
pub const DEFAULT_PAGE_SIZE: u32 = 500;
/// Smaller pages cost requests.
pub const MIN_PAGE_SIZE: u32 = 10;
/// Bridge's documented maximum.
pub const MAX_PAGE_SIZE: u32 = 500;

pub(super) const BRIDGE_KEYS: &[&str] = &[
    "client_id",
    "client_secret",
    "webhook_secrets",
    "accept_language",
    "status_schedule",
    "requests_per_5_minutes",
    "user_requests_per_minute",
    "overlap",
    "page_size",
];

/// A Bridge source.
#[derive(Clone, Debug, PartialEq)]
pub struct BridgeConfig {
    /// Sent as `Client-Id`. Names one application, which the limits belong to.
    pub client_id: String,
    /// Sent as `Client-Secret`.
    pub client_secret: Secret,
    /// What webhooks may be signed with, in no promised order; at most [`MAX_WEBHOOK_SECRETS`], possibly none.
    pub webhook_secrets: Vec<Secret>,
    /// Sent as `Accept-Language`: one language tag, which a header can hold.
    pub accept_language: String,
    /// When the states of all links are asked for.
    pub status_schedule: Schedule,
    /// Bridge's limit for this application; the daemon stays under it.
    pub requests_per_5_minutes: u32,
    /// Bridge's limit for each user of it; the daemon stays under it.
    pub user_requests_per_minute: u32,
    /// How far before its cursor the feed of changes is read again; whole seconds, at least [`MIN_OVERLAP`].
    pub overlap: Duration,
    /// Rows asked for per page.
    pub page_size: u32,
}

pub(super) fn read_bridge(
    section: &Section<'_, '_>,
    zone: &TimeZone,
    around: &Surroundings<'_>,
) -> Option<BridgeConfig> {
    let client_id = read_text_or_reference(section, "client_id", "3f2a9c1e7b5d4806a1c2e3f405162738", around);
    let client_secret = read_secret(section, "client_secret", around);
    let webhook_secrets = read_secrets(section, "webhook_secrets", MAX_WEBHOOK_SECRETS, around);
    let accept_language = section.or_default("accept_language", DEFAULT_ACCEPT_LANGUAGE.to_owned(), read_language);
    let status_schedule = read_cron(section, "status_schedule", DEFAULT_STATUS_SCHEDULE, zone);
    let requests_per_5_minutes = section.number(
        "requests_per_5_minutes",
        DEFAULT_REQUESTS_PER_5_MINUTES,
        MIN_REQUESTS_PER_5_MINUTES..=MAX_REQUESTS_PER_5_MINUTES,
        "with fewer, a sync would take too long",
    );
    let user_requests_per_minute = section.number(
        "user_requests_per_minute",
        DEFAULT_USER_REQUESTS_PER_MINUTE,
        MIN_USER_REQUESTS_PER_MINUTE..=MAX_USER_REQUESTS_PER_MINUTE,
        "with fewer, a sync would take too long",
    );
    let overlap = section.span(
        "overlap",
        DEFAULT_OVERLAP,
        MIN_OVERLAP..=MAX_OVERLAP,
        "less would lose changes that appear late, more is what reconcile_schedule is for",
    );
    let page_size = section.number(
        "page_size",
        DEFAULT_PAGE_SIZE,
        MIN_PAGE_SIZE..=MAX_PAGE_SIZE,
        "smaller pages cost requests, larger ones are refused",
    );
    let config = BridgeConfig {
        client_id: client_id?,
        client_secret: client_secret?,
        webhook_secrets: webhook_secrets?,
        accept_language: accept_language?,
        status_schedule: status_schedule?,
        requests_per_5_minutes: requests_per_5_minutes?,
        user_requests_per_minute: user_requests_per_minute?,
        overlap: overlap?,
        page_size: page_size?,
    };
    warn_of_doubtful(section, &config);
    Some(config)
}

fn read_language(value: &DeValue<'_>) -> Result<String, Wrong> {
    let tag = text(value, DEFAULT_ACCEPT_LANGUAGE)?;
    if is_language_tag(tag) {
        return Ok(tag.to_owned());
    }
    // As a locale is written: fr_FR.UTF-8.
    let proper = tag.split('.').next().unwrap_or(tag).replace('_', "-");
    let hint = if is_language_tag(&proper) && shown_text(tag).is_some() {
        format!("did you mean {proper:?}?")
    } else {
        "write one language such as \"fr\" or \"fr-FR\"".to_owned()
    };
    Err(Wrong::new("not a language tag", hint))
}

/// Whether a text is a language and, at most, a script and a region.
fn is_language_tag(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let is_language = parts
        .next()
        .is_some_and(|language| matches!(language.len(), 2 | 3) && language.bytes().all(|b| b.is_ascii_alphabetic()));
    let rest: Vec<_> = parts.collect();
    is_language
        && rest.len() <= 2
        && rest.iter().all(|part| matches!(part.len(), 2..=4) && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn warn_of_doubtful(section: &Section<'_, '_>, config: &BridgeConfig) {
    let documented = |tag: &str| DOCUMENTED_LANGUAGES.iter().any(|known| known.eq_ignore_ascii_case(tag));
    if !config.accept_language.split('-').next().is_some_and(documented) {
        let reason = format!("Bridge documents {}", DOCUMENTED_LANGUAGES.join(" and "));
        section.warn("accept_language", Wrong::new(reason, "keep it only if Bridge answers in that language"));
    }
    if fires_on_busiest_day(&config.status_schedule, MANY_FIRES_PER_DAY + 1) > MANY_FIRES_PER_DAY {
        let reason = format!("more than {MANY_FIRES_PER_DAY} times a day, each of which costs requests for every user");
        section.warn("status_schedule", Wrong::new(reason, "look less often unless that is meant"));
    }
    let hint = "keep it only if Bridge has agreed to more";
    if config.requests_per_5_minutes > DEFAULT_REQUESTS_PER_5_MINUTES {
        let reason = format!("Bridge documents {DEFAULT_REQUESTS_PER_5_MINUTES} requests in five minutes");
        section.warn("requests_per_5_minutes", Wrong::new(reason, hint));
    }
    if config.user_requests_per_minute > DEFAULT_USER_REQUESTS_PER_MINUTE {
        let reason = format!("Bridge documents {DEFAULT_USER_REQUESTS_PER_MINUTE} requests per user and minute");
        section.warn("user_requests_per_minute", Wrong::new(reason, hint));
    }
}
