//! Which instant a slot comes due at, for one key among many.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::Schedule;

/// The largest part of the interval between two fires over which keys are spread, as a divisor.
///
/// It must be above one: a slot then always comes due before the next one fires.
const SPREAD_DIVISOR: u32 = 4;

/// A stable offset for `key` in `[0, span)`, in whole milliseconds.
///
/// Shape: the same key and span give the same offset on every machine and in every version; different keys fall evenly over
/// the span. Zero if the span is below a millisecond.
pub fn spread(key: &str, span: Duration) -> Duration {
    let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let scaled = (u128::from(xxh3_64(key.as_bytes())) * u128::from(span_ms)) >> 64;
    Duration::from_millis(u64::try_from(scaled).unwrap_or(0))
}

/// Over how much time the keys of the next slot after `now` are spread: a quarter of the interval, at most `max`.
pub fn spread_span(schedule: &Schedule, now: Timestamp, max: Duration) -> Duration {
    (schedule.interval_after(now) / SPREAD_DIVISOR).min(max)
}

/// When `key` is due next under `schedule`: strictly after `now`.
///
/// Shape: the instant of the earliest slot (a fire and the offset of `key` after it) that still lies ahead. A slot whose fire is
/// past but whose offset lies ahead is still to come. Asked again at any instant before the answer, the answer is the
/// same; asked at the answer, it is that of the next slot. [`Timestamp::MAX`] where the calendar ends.
/// Units: whole milliseconds, so that the store keeps it as it is.
pub fn next_due_at(schedule: &Schedule, key: &str, max_spread: Duration, now: Timestamp) -> Timestamp {
    let mut slot = recent_fire(schedule, max_spread, now).or_else(|| schedule.next_after(now));
    while let Some(fire) = slot {
        let due_at = due_of_slot(schedule, key, max_spread, fire);
        if due_at > now {
            return due_at;
        }
        slot = schedule.next_after(fire);
    }
    Timestamp::MAX
}

/// A fire at or before `now` whose slot may still lie ahead: the last one, because a slot comes due before the next one fires.
fn recent_fire(schedule: &Schedule, max_spread: Duration, now: Timestamp) -> Option<Timestamp> {
    let from = now.checked_sub(max_spread).ok()?;
    schedule.last_until(now).filter(|fire| *fire > from)
}

fn due_of_slot(schedule: &Schedule, key: &str, max_spread: Duration, fire: Timestamp) -> Timestamp {
    later(fire, spread(key, spread_of_slot(schedule, fire, max_spread)))
}

/// The span of the slot that fires at `fire`: the slot's own interval, so that it does not depend on when one asks.
fn spread_of_slot(schedule: &Schedule, fire: Timestamp, max_spread: Duration) -> Duration {
    (schedule.interval_from(fire) / SPREAD_DIVISOR).min(max_spread)
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    SignedDuration::try_from(by).ok().and_then(|by| at.checked_add(by).ok()).unwrap_or(Timestamp::MAX)
}
