//! `[[source]]`: one credential at one aggregator, and what all sources have in common.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use toml::de::DeValue;
use url::{Host, Url};

use super::Surroundings;
use super::common::ScheduleConfig;
use super::problem::Wrong;
use super::section::Section;
use super::truv::{self, TruvConfig};
use super::value::{choice, integer, shown_text, text};
use crate::schedule::Schedule;

/// `sync_schedule`: three times a day.
pub const DEFAULT_SYNC_SCHEDULE: &str = "0 */8 * * *";
/// `discover_schedule`: every night.
pub const DEFAULT_DISCOVER_SCHEDULE: &str = "30 2 * * *";
/// `reconcile_schedule`: every Sunday.
pub const DEFAULT_RECONCILE_SCHEDULE: &str = "0 4 * * 0";

/// `backfill_share`, in percent.
pub const DEFAULT_BACKFILL_SHARE: u32 = 50;
/// A first-time backfill must get somewhere.
pub const MIN_BACKFILL_SHARE: u32 = 1;
/// All of the request budget, for a source that is only being filled.
pub const MAX_BACKFILL_SHARE: u32 = 100;

/// Characters of a source's name.
pub const MAX_NAME_CHARS: usize = 63;

/// From this many syncs a day on, the operator is asked whether that is meant.
const MANY_SYNCS_PER_DAY: usize = 24;

/// A Monday. Any week serves to count the fires of a schedule; a fixed one keeps loading independent of the clock.
const WEEK_FROM_S: i64 = 1_767_571_200;

pub(super) const SOURCE_KEYS: &[&str] =
    &["name", "aggregator", "base_url", "sync_schedule", "discover_schedule", "reconcile_schedule", "backfill_share"];

/// A source's own keys and those of Truv.
const ALL_TRUV_KEYS: &[&str] = &{
    let mut all = [""; SOURCE_KEYS.len() + truv::TRUV_KEYS.len()];
    let mut at = 0;
    while at < all.len() {
        let common = at < SOURCE_KEYS.len();
        all[at] = if common { SOURCE_KEYS[at] } else { truv::TRUV_KEYS[at - SOURCE_KEYS.len()] };
        at += 1;
    }
    all
};

/// One configured credential at one aggregator. Limits belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceConfig {
    /// Lower-case letters, digits and hyphens; unique.
    pub name: String,
    /// Origin of the aggregator's API: https, or http to this machine; no path, query or user.
    pub base_url: Url,
    /// What only this aggregator has.
    pub aggregator: AggregatorConfig,
    /// When links are synced.
    pub sync_schedule: Schedule,
    /// When users and links are looked for.
    pub discover_schedule: Schedule,
    /// When whole histories are compared.
    pub reconcile_schedule: Schedule,
    /// Percent of the request budget that first-time backfills may use, 1 to 100.
    pub backfill_share: u8,
}

/// What only one aggregator has.
#[derive(Clone, Debug, PartialEq)]
pub enum AggregatorConfig {
    /// Truv.
    Truv(TruvConfig),
}

impl AggregatorConfig {
    /// The word for it in the file and in the store.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Truv(_) => "truv",
        }
    }
}

#[derive(Clone, Copy)]
enum Aggregator {
    Truv,
}

pub(super) fn read_sources(
    root: &Section<'_, '_>,
    schedule: Option<&ScheduleConfig>,
    around: &Surroundings<'_>,
) -> Option<Vec<SourceConfig>> {
    let sections = root.tables("source", ALL_TRUV_KEYS)?;
    if sections.is_empty() {
        root.missing("source", "[[source]] at least once, with name, aggregator, client_id and access_secret");
        return None;
    }
    // A wrong zone has been reported; the expressions are still worth reading.
    let zone = schedule.map_or(TimeZone::UTC, |schedule| schedule.timezone.clone());
    let read: Vec<_> = sections.iter().map(|section| read_source(section, &zone, around)).collect();
    refuse_same_names(&sections);
    refuse_same_credentials(&sections, &read);
    read.into_iter().collect()
}

fn read_source(section: &Section<'_, '_>, zone: &TimeZone, around: &Surroundings<'_>) -> Option<SourceConfig> {
    let name = section.required("name", "name = \"truv-prod\"", read_name);
    let aggregator = section.required("aggregator", "aggregator = \"truv\"", read_aggregator);
    if aggregator.is_some() {
        // Without an aggregator one cannot tell which keys are wrong.
        section.refuse_unknown(|_| None);
    }
    let default_url = Url::parse(truv::DEFAULT_BASE_URL).ok()?;
    let base_url = section.or_default("base_url", default_url, read_base_url);
    let cron = |key, default| {
        let default = Schedule::parse(default, zone).ok()?;
        section.or_default(key, default, |value| read_cron(value, zone))
    };
    let sync_schedule = cron("sync_schedule", DEFAULT_SYNC_SCHEDULE);
    let discover_schedule = cron("discover_schedule", DEFAULT_DISCOVER_SCHEDULE);
    let reconcile_schedule = cron("reconcile_schedule", DEFAULT_RECONCILE_SCHEDULE);
    let backfill_share = section.or_default("backfill_share", DEFAULT_BACKFILL_SHARE, |value| {
        integer(value, MIN_BACKFILL_SHARE..=MAX_BACKFILL_SHARE, "percent of the request budget")
    });
    let aggregator = match aggregator? {
        Aggregator::Truv => truv::read_truv(section, around).map(AggregatorConfig::Truv),
    };
    if let (Some(sync), Some(aggregator)) = (&sync_schedule, &aggregator) {
        warn_of_many_syncs(section, sync, aggregator);
    }
    Some(SourceConfig {
        name: name?,
        base_url: base_url?,
        aggregator: aggregator?,
        sync_schedule: sync_schedule?,
        discover_schedule: discover_schedule?,
        reconcile_schedule: reconcile_schedule?,
        backfill_share: u8::try_from(backfill_share?).ok()?,
    })
}

fn read_name(value: &DeValue<'_>) -> Result<String, Wrong> {
    let name = text(value, "truv-prod")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.len() <= MAX_NAME_CHARS && !name.starts_with('-') && name.chars().all(plain) {
        return Ok(name.to_owned());
    }
    let reason =
        format!("a name has lower-case letters, digits and hyphens, at most {MAX_NAME_CHARS}, and no hyphen first");
    let proper = name.to_lowercase().replace(|c| !plain(c), "-");
    let proper = proper.trim_start_matches('-');
    let hint = if name.len() <= MAX_NAME_CHARS && !proper.is_empty() && shown_text(name).is_some() {
        format!("write {proper:?}")
    } else {
        "write a name such as \"truv-prod\"".to_owned()
    };
    Err(Wrong::new(reason, hint))
}

fn read_aggregator(value: &DeValue<'_>) -> Result<Aggregator, Wrong> {
    if value.as_str() == Some("bridge") {
        return Err(Wrong::new("not supported by this version, which knows \"truv\"", "write \"truv\""));
    }
    choice(value, &[("truv", Aggregator::Truv)])
}

fn read_base_url(value: &DeValue<'_>) -> Result<Url, Wrong> {
    let example = format!("write an origin such as \"{}\"", truv::DEFAULT_BASE_URL);
    let url = Url::parse(text(value, truv::DEFAULT_BASE_URL)?)
        .map_err(|error| Wrong::new(format!("not an address: {error}"), example.as_str()))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let reason = if url.cannot_be_a_base() || !matches!(url.scheme(), "https" | "http") {
        "https is required"
    } else if !url.username().is_empty() || url.password().is_some() {
        "an address holds no user or password here"
    } else if url.scheme() == "http" && !loopback {
        "https is required; plain http only to this machine (127.0.0.0/8, ::1, localhost)"
    } else if url.query().is_some() || url.fragment().is_some() {
        "an address holds no query or fragment here"
    } else if url.path() != "/" {
        "an address holds no path here: the paths are the aggregator's own"
    } else {
        return Ok(url);
    };
    Err(Wrong::new(reason, example))
}

fn read_cron(value: &DeValue<'_>, zone: &TimeZone) -> Result<Schedule, Wrong> {
    Schedule::parse(text(value, DEFAULT_SYNC_SCHEDULE)?, zone).map_err(|error| {
        let hint = format!("write \"minute hour day month weekday\", such as \"{DEFAULT_SYNC_SCHEDULE}\"");
        Wrong::new(error.to_string(), hint)
    })
}

fn refuse_same_names(sections: &[Section<'_, '_>]) {
    let name_of =
        |section: &Section<'_, '_>| section.value("name").and_then(|name| name.get_ref().as_str().map(str::to_owned));
    for (at, section) in sections.iter().enumerate() {
        let Some(name) = name_of(section) else { continue };
        if let Some(first) = sections[..at].iter().find(|other| name_of(other).as_ref() == Some(&name)) {
            let reason = format!("the source in line {} has this name already", first.line_of("name"));
            section.wrong("name", Wrong::new(reason, "give each source a name of its own"));
        }
    }
}

/// Limits belong to a credential, so two sources that share one would together exceed them.
fn refuse_same_credentials(sections: &[Section<'_, '_>], read: &[Option<SourceConfig>]) {
    for (at, (section, source)) in sections.iter().zip(read).enumerate() {
        let Some(source) = source else { continue };
        let first = sections.iter().zip(read).take(at).find(|(_, other)| {
            other.as_ref().is_some_and(|other| other.aggregator.has_same_credential(&source.aggregator))
        });
        if let Some((first, _)) = first {
            let line = first.line_of("client_id");
            let reason =
                format!("the source in line {line} has the same credential, and limits belong to a credential");
            section
                .wrong("client_id", Wrong::new(reason, "keep one of the two sources, or give each its own credential"));
        }
    }
}

impl AggregatorConfig {
    fn has_same_credential(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Truv(one), Self::Truv(two)) => {
                one.client_id == two.client_id && one.access_secret == two.access_secret
            }
        }
    }
}

fn warn_of_many_syncs(section: &Section<'_, '_>, sync: &Schedule, aggregator: &AggregatorConfig) {
    let AggregatorConfig::Truv(truv) = aggregator;
    let refreshes = usize::try_from(truv.refreshes_per_day).unwrap_or(usize::MAX);
    if fires_on_busiest_day(sync, MANY_SYNCS_PER_DAY + 1) > MANY_SYNCS_PER_DAY {
        let reason = format!("more than {MANY_SYNCS_PER_DAY} syncs a day, each of which reads the overlap again");
        section.warn("sync_schedule", Wrong::new(reason, "sync less often unless that is meant"));
    } else if refreshes > 0 && fires_on_busiest_day(sync, refreshes.saturating_add(1)) > refreshes {
        let reason = format!("more syncs a day than refreshes ({refreshes}): some will find nothing new");
        section.warn("sync_schedule", Wrong::new(reason, "sync less often unless that is meant"));
    }
}

/// The most fires in any day of a week, counted up to `at_most`.
fn fires_on_busiest_day(schedule: &Schedule, at_most: usize) -> usize {
    let day_s = i64::try_from(Duration::from_hours(24).as_secs()).unwrap_or(0);
    (0..7)
        .filter_map(|day| Timestamp::from_second(WEEK_FROM_S + day * day_s - 1).ok())
        .map(|from| schedule.fires_per_day(from, at_most))
        .max()
        .unwrap_or(0)
}
