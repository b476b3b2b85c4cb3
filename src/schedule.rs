//! When something is due next: cron expressions in a time zone, spread over the links that share one.
//!
//! Everything here is pure: the present instant, the key and the random source are arguments. The daemon asks
//! [`next_due_at`] when a sync ends and writes the answer to the store, [`retry_delay`] when it failed, and [`poll_delay`]
//! while a refresh is under way.
//!
//! What must stay true: every fire of a schedule is one slot, and a slot comes due exactly once for each key, whatever the
//! instant at which the question is asked. Slots missed while the machine was off or asleep are caught up once, because the
//! caller asks from the present on and not from the slot it missed.
//!
//! It does not keep timers, and knows nothing of limits.

mod delay;
mod due;

pub use delay::{FIRST_RETRY, MAX_RETRY, poll_delay, retry_delay};
pub use due::{next_due_at, spread, spread_span};

use std::str::FromStr as _;
use std::time::Duration;

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The years in which the days of a new expression must come at least once.
///
/// Any serve that have every weekday on every day of the year, 29 February too, which takes 28; fixed ones keep loading a
/// config independent of the clock. A search to the end of the calendar can take longer than a minute.
const PROBED_YEARS: &str = "2026-2055";
/// Before them.
const PROBE_FROM: &str = "2026-01-01T00:00:00Z";

/// A cron expression in a time zone.
///
/// Shape: five fields (minute, hour, day of month, month, day of week) or six (with seconds in front), names such as `MON`
/// and `JAN`, steps, ranges and lists, `L`, `W` and `#`, and `@daily` and its like. A day of month and a day of week together
/// mean either, as in crontab(5). A fixed time of day that the zone skips runs once when the gap ends; one that comes twice
/// runs at the first of the two; a recurring time (`*/15 * * * *`) follows elapsed time through both.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    cron: Cron,
    zone: TimeZone,
}

/// Two schedules are equal when they were written alike for the same zone.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

/// Why a cron expression is refused. The expression itself is not repeated.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Not five or six fields: write one of the two.
    #[error("a cron expression has five fields, or six with seconds in front, and this one has {found}")]
    FieldCount {
        /// How many fields there are.
        found: usize,
    },
    /// A list lacks an item, which the parser takes for a list of the others, or of none.
    #[error("the list {list} lacks a number beside a comma")]
    ListWithGap {
        /// The field.
        list: String,
    },
    /// A field is wrong: the source says which and why.
    #[error("not a cron expression: {source}")]
    Malformed {
        /// What the parser said.
        source: CronError,
    },
    /// Every field is right and yet no day has them all, such as 31 February.
    #[error("no day in the calendar matches, so it would never run")]
    NeverFires,
}

/// Whether any day has what the last three fields of an expression ask for; every day has every time.
fn has_days(text: &str) -> bool {
    let days: Vec<&str> = text.split(' ').rev().take(3).collect();
    let [weekday, month, day] = days[..] else { return false };
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Required).build();
    let days = parser.parse(&format!("0 0 0 {day} {month} {weekday} {PROBED_YEARS}"));
    let from = Timestamp::from_str(PROBE_FROM).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::UTC);
    days.is_ok_and(|days| days.find_next_occurrence(&from, true).is_ok())
}

impl Schedule {
    /// Reads a cron expression.
    ///
    /// Errors: [`ScheduleError`], all of them for a person to repair.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, ScheduleError> {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = text.split(' ').filter(|field| !field.is_empty()).count();
        let nickname = found == 1 && text.starts_with('@');
        if !nickname && !(5..=6).contains(&found) {
            return Err(ScheduleError::FieldCount { found });
        }
        if let Some(list) = text.split(' ').find(|field| field.split(',').any(str::is_empty)).filter(|_| !nickname) {
            return Err(ScheduleError::ListWithGap { list: list.to_owned() });
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|source| ScheduleError::Malformed { source })?;
        if !nickname && !has_days(&text) {
            return Err(ScheduleError::NeverFires);
        }
        Ok(Self { text, cron, zone: zone.clone() })
    }

    /// The expression, with single spaces between its fields.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The zone in which the fields are read.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The first fire strictly after `now`.
    ///
    /// Shape: whole seconds; `None` only where the calendar ends (after the year 4999).
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&now.to_zoned(self.zone.clone()), false).ok()?.timestamp();
        (next > now).then_some(next)
    }

    /// The last fire at `now` or before it.
    ///
    /// Shape: whole seconds; `None` only where the calendar begins.
    pub fn last_until(&self, now: Timestamp) -> Option<Timestamp> {
        let second = Timestamp::from_second(now.as_second()).ok()?.to_zoned(self.zone.clone());
        let last = self.cron.find_previous_occurrence(&second, true).ok()?.timestamp();
        (last <= now).then_some(last)
    }

    /// The first fire after `last`, if it has come by `now`.
    pub fn missed_since(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        self.next_after(last).filter(|fire| *fire <= now)
    }

    /// The time between the next two fires after `now`; zero where the calendar ends.
    pub fn interval_after(&self, now: Timestamp) -> Duration {
        self.next_after(now).map_or(Duration::ZERO, |fire| self.interval_from(fire))
    }

    /// How many fires lie in the 24 hours after `now`, counted up to `at_most` and no further.
    pub fn fires_per_day(&self, now: Timestamp, at_most: usize) -> usize {
        let end = now.saturating_add(SignedDuration::from_hours(24)).unwrap_or(Timestamp::MAX);
        std::iter::successors(self.next_after(now), |fire| self.next_after(*fire))
            .take_while(|fire| *fire <= end)
            .take(at_most)
            .count()
    }

    /// The time from the fire at `fire` to the one after it; zero where the calendar ends.
    fn interval_from(&self, fire: Timestamp) -> Duration {
        self.next_after(fire)
            .and_then(|next| Duration::try_from(next.duration_since(fire)).ok())
            .unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests;
