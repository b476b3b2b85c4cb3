//! What does not go together: sources that stand in each other's way, and schedules that outrun what they ask.

use std::time::Duration;

use jiff::Timestamp;

use super::{AggregatorConfig, SourceConfig};
use crate::config::problem::Wrong;
use crate::config::section::Section;
use crate::schedule::Schedule;

/// From this many fires of a schedule a day on, the operator is asked whether that is meant.
pub(in crate::config) const MANY_FIRES_PER_DAY: usize = 24;

/// A Monday. Any week serves to count the fires of a schedule; a fixed one keeps loading independent of the clock.
const WEEK_FROM_S: i64 = 1_767_571_200;

pub(super) fn refuse_same_names(sections: &[Section<'_, '_>]) {
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
pub(super) fn refuse_same_credentials(sections: &[Section<'_, '_>], read: &[Option<SourceConfig>]) {
    for (at, (section, source)) in sections.iter().zip(read).enumerate() {
        let Some(source) = source else { continue };
        let first = sections.iter().zip(read).take(at).find(|(_, other)| {
            other.as_ref().is_some_and(|other| has_same_credential(&other.aggregator, &source.aggregator))
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

fn has_same_credential(one: &AggregatorConfig, two: &AggregatorConfig) -> bool {
    match (one, two) {
        // One client id may have a secret for each environment, and each has limits of its own.
        (AggregatorConfig::Truv(one), AggregatorConfig::Truv(two)) => {
            one.client_id == two.client_id && one.access_secret == two.access_secret
        }
        // The limits are the application's, whatever its secret.
        (AggregatorConfig::Bridge(one), AggregatorConfig::Bridge(two)) => one.client_id == two.client_id,
        (AggregatorConfig::Truv(_), AggregatorConfig::Bridge(_))
        | (AggregatorConfig::Bridge(_), AggregatorConfig::Truv(_)) => false,
    }
}

pub(super) fn warn_of_many_syncs(section: &Section<'_, '_>, source: &SourceConfig) {
    let sync = &source.sync_schedule;
    let refreshes = source.refresh().map_or(0, |refresh| usize::try_from(refresh.per_day).unwrap_or(usize::MAX));
    if fires_on_busiest_day(sync, MANY_FIRES_PER_DAY + 1) > MANY_FIRES_PER_DAY {
        let reason = format!("more than {MANY_FIRES_PER_DAY} syncs a day, each of which reads the overlap again");
        section.warn("sync_schedule", Wrong::new(reason, "sync less often unless that is meant"));
    } else if refreshes > 0 && fires_on_busiest_day(sync, refreshes.saturating_add(1)) > refreshes {
        let reason = format!("more syncs a day than refreshes ({refreshes}): some will find nothing new");
        section.warn("sync_schedule", Wrong::new(reason, "sync less often unless that is meant"));
    }
}

/// The most fires in any day of a week, counted up to `at_most`.
pub(in crate::config) fn fires_on_busiest_day(schedule: &Schedule, at_most: usize) -> usize {
    let day_s = i64::try_from(Duration::from_hours(24).as_secs()).unwrap_or(0);
    (0..7)
        .filter_map(|day| Timestamp::from_second(WEEK_FROM_S + day * day_s - 1).ok())
        .map(|from| schedule.fires_per_day(from, at_most))
        .max()
        .unwrap_or(0)
}
