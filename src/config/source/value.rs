//! Reading the settings that every source has.

use jiff::tz::TimeZone;
use toml::de::DeValue;
use url::{Host, Url};

use super::MAX_NAME_CHARS;
use super::aggregator::Aggregator;
use crate::config::problem::Wrong;
use crate::config::section::{Reported, Section};
use crate::config::value::{choice, shown_text, text};
use crate::schedule::Schedule;

pub(super) fn read_name(value: &DeValue<'_>, example: &str) -> Result<String, Wrong> {
    let name = text(value, example)?;
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
        format!("write a name such as {example:?}")
    };
    Err(Wrong::new(reason, hint))
}

pub(super) fn read_aggregator(value: &DeValue<'_>) -> Result<Aggregator, Wrong> {
    choice(value, &Aggregator::ALL.map(|aggregator| (aggregator.word(), aggregator)))
}

/// Reads an origin, such as `usual`.
pub(in crate::config) fn read_origin(value: &DeValue<'_>, usual: &str) -> Result<Url, Wrong> {
    let example = format!("write an origin such as {usual:?}");
    let url = read_address(value, usual, &example)?;
    if url.path() == "/" {
        return Ok(url);
    }
    Err(Wrong::new("an address holds no path here: the paths are fixed", example))
}

/// Reads the address of something that may lie at any path, such as `usual`.
pub(in crate::config) fn read_url(value: &DeValue<'_>, usual: &str) -> Result<Url, Wrong> {
    read_address(value, usual, &format!("write an address such as {usual:?}"))
}

fn read_address(value: &DeValue<'_>, usual: &str, example: &str) -> Result<Url, Wrong> {
    let url =
        Url::parse(text(value, usual)?).map_err(|error| Wrong::new(format!("not an address: {error}"), example))?;
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
    } else {
        return Ok(url);
    };
    Err(Wrong::new(reason, example))
}

/// Reads a cron expression that has a default.
pub(in crate::config) fn read_cron(
    section: &Section<'_, '_>,
    key: &'static str,
    default: &str,
    zone: &TimeZone,
) -> Option<Schedule> {
    let usual = Schedule::parse(default, zone).ok()?;
    read_cron_if_there(section, key, default, zone).ok().map(|schedule| schedule.unwrap_or(usual))
}

/// Reads a cron expression that may be left out; `usual` shows how one is written.
pub(in crate::config) fn read_cron_if_there(
    section: &Section<'_, '_>,
    key: &'static str,
    usual: &str,
    zone: &TimeZone,
) -> Result<Option<Schedule>, Reported> {
    let read = |value: &DeValue<'_>| {
        Schedule::parse(text(value, usual)?, zone).map_err(|error| {
            let hint = format!("write \"minute hour day month weekday\", such as {usual:?}");
            Wrong::new(error.to_string(), hint)
        })
    };
    section.optional(key, read)
}
