//! `[[source]]`: one credential at one aggregator, and what all sources have in common.

mod aggregator;
mod combination;
mod value;

use std::time::Duration;

use ipnet::IpNet;
use jiff::tz::TimeZone;
use url::Url;

use super::Surroundings;
use super::bridge::{self, BridgeConfig};
use super::common::ScheduleConfig;
use super::refresh::RefreshConfig;
use super::section::Section;
use super::server::read_networks;
use super::truv::{self, TruvConfig};
use crate::schedule::Schedule;
use aggregator::{ALL_KEYS, Aggregator};
pub(super) use combination::{MANY_FIRES_PER_DAY, fires_on_busiest_day};
use combination::{refuse_same_credentials, refuse_same_names, warn_of_many_syncs};
use value::{read_aggregator, read_name};
pub(super) use value::{read_cron, read_cron_if_there, read_origin, read_url};

/// `discover_schedule`: every night.
pub const DEFAULT_DISCOVER_SCHEDULE: &str = "30 2 * * *";
/// `reconcile_schedule`: every Sunday.
pub const DEFAULT_RECONCILE_SCHEDULE: &str = "0 4 * * 0";

/// `backfill_share`, in percent.
pub const DEFAULT_BACKFILL_SHARE: u32 = 50;
/// A first-time backfill must get somewhere.
pub const MIN_BACKFILL_SHARE: u32 = 1;
/// A tenth of the request budget always stays for what is scheduled.
pub const MAX_BACKFILL_SHARE: u32 = 90;

/// Characters of a source's name.
pub const MAX_NAME_CHARS: usize = 63;

pub(super) const SOURCE_KEYS: &[&str] = &[
    "name",
    "aggregator",
    "base_url",
    "sync_schedule",
    "discover_schedule",
    "reconcile_schedule",
    "backfill_share",
    "webhook_addresses",
];

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
    /// Percent of the request budget that first-time backfills may use, 1 to 90.
    pub backfill_share: u8,
    /// From where webhooks may come; empty: from anywhere, the signature decides.
    pub webhook_addresses: Vec<IpNet>,
}

/// What only one aggregator has. Only what speaks to the aggregator looks inside; everything else asks the [`SourceConfig`].
#[derive(Clone, Debug, PartialEq)]
pub enum AggregatorConfig {
    /// Truv.
    Truv(Box<TruvConfig>),
    /// Bridge.
    Bridge(Box<BridgeConfig>),
}

/// What sources of all aggregators can be asked, each with an answer of its own.
impl SourceConfig {
    /// The aggregator's word in the file and in the store.
    pub fn word(&self) -> &'static str {
        match &self.aggregator {
            AggregatorConfig::Truv(_) => Aggregator::Truv.word(),
            AggregatorConfig::Bridge(_) => Aggregator::Bridge.word(),
        }
    }

    /// The aggregator's limit for this credential: so many requests in any such window.
    pub fn quota(&self) -> (u32, Duration) {
        match &self.aggregator {
            AggregatorConfig::Truv(truv) => (truv.requests_per_minute, truv::REQUEST_WINDOW),
            AggregatorConfig::Bridge(bridge) => (bridge.requests_per_5_minutes, bridge::REQUEST_WINDOW),
        }
    }

    /// How links are refreshed; `None` where the aggregator cannot be asked to.
    pub fn refresh(&self) -> Option<&RefreshConfig> {
        match &self.aggregator {
            AggregatorConfig::Truv(truv) => Some(&truv.refresh),
            AggregatorConfig::Bridge(_) => None,
        }
    }

    /// How far before its cursor a pull begins: in the dates of transactions at Truv, in the instants of changes at Bridge.
    pub fn overlap(&self) -> Duration {
        match &self.aggregator {
            AggregatorConfig::Truv(truv) => truv.overlap,
            AggregatorConfig::Bridge(bridge) => bridge.overlap,
        }
    }

    /// Rows asked for per page.
    pub fn page_size(&self) -> u32 {
        match &self.aggregator {
            AggregatorConfig::Truv(truv) => truv.page_size,
            AggregatorConfig::Bridge(bridge) => bridge.page_size,
        }
    }

    /// When the states of all links are asked for between syncs; `None` where a sync tells enough.
    pub fn status_schedule(&self) -> Option<&Schedule> {
        match &self.aggregator {
            AggregatorConfig::Truv(_) => None,
            AggregatorConfig::Bridge(bridge) => Some(&bridge.status_schedule),
        }
    }
}

pub(super) fn read_sources(
    root: &Section<'_, '_>,
    schedule: Option<&ScheduleConfig>,
    around: &Surroundings<'_>,
) -> Option<Vec<SourceConfig>> {
    let sections = root.tables("source", ALL_KEYS)?;
    if sections.is_empty() {
        root.missing(
            "source",
            "[[source]] at least once, with name, aggregator, client_id and the aggregator's secret",
        );
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
    let aggregator = section.required("aggregator", "aggregator = \"truv\"", read_aggregator);
    if let Some(aggregator) = aggregator {
        // Without an aggregator one cannot tell which keys are wrong.
        section.knowing(aggregator.keys()).refuse_unknown(|key| aggregator.foreign(key));
    }
    // Without one, which default stands does not matter: no source comes of it.
    let usual = aggregator.unwrap_or(Aggregator::Truv);
    let example = format!("{}-prod", usual.word());
    let name = section.required("name", &format!("name = {example:?}"), |value| read_name(value, &example));
    let default_url = Url::parse(usual.default_base_url()).ok()?;
    let base_url = section.or_default("base_url", default_url, |value| read_origin(value, usual.default_base_url()));
    let sync_schedule = read_cron(section, "sync_schedule", usual.default_sync_schedule(), zone);
    let discover_schedule = read_cron(section, "discover_schedule", DEFAULT_DISCOVER_SCHEDULE, zone);
    let reconcile_schedule = read_cron(section, "reconcile_schedule", DEFAULT_RECONCILE_SCHEDULE, zone);
    let shares = MIN_BACKFILL_SHARE..=MAX_BACKFILL_SHARE;
    let backfill_share =
        section.number("backfill_share", DEFAULT_BACKFILL_SHARE, shares, "percent of the request budget");
    let webhook_addresses = read_networks(section, "webhook_addresses");
    let aggregator = match aggregator? {
        Aggregator::Truv => truv::read_truv(section, around).map(Box::new).map(AggregatorConfig::Truv),
        Aggregator::Bridge => bridge::read_bridge(section, zone, around).map(Box::new).map(AggregatorConfig::Bridge),
    };
    let source = SourceConfig {
        name: name?,
        base_url: base_url?,
        aggregator: aggregator?,
        sync_schedule: sync_schedule?,
        discover_schedule: discover_schedule?,
        reconcile_schedule: reconcile_schedule?,
        backfill_share: u8::try_from(backfill_share?).ok()?,
        webhook_addresses: webhook_addresses?,
    };
    warn_of_many_syncs(section, &source);
    Some(source)
}
