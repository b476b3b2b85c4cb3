//! How long to wait: after a throttle as the aggregator says, after a fault as `backoff` computes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use backoff::backoff::Backoff;
use backoff::exponential::{ExponentialBackoff, ExponentialBackoffBuilder};
use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::limits::requests::{Claims, MAX_HOLD};

/// The wait after a throttle that does not say how long, where the dialect does not either.
const UNKNOWN_WAIT: Duration = Duration::from_mins(1);
/// Added to every wait: a hint is a whole number of seconds, and the aggregator's clock is not ours.
const MARGIN: Duration = Duration::from_secs(1);

const FIRST_RETRY_DELAY: Duration = Duration::from_millis(500);
const MAX_RETRY_DELAY: Duration = Duration::from_secs(10);

/// How long a throttle holds, margin and cap included; `streak` counts the throttles before this one.
pub(super) fn wait_after_throttle(hint: Option<Duration>, unhinted: &[Duration], streak: u32) -> Duration {
    let step = usize::try_from(streak).unwrap_or(usize::MAX);
    let unhinted = unhinted.get(step).or(unhinted.last()).copied().unwrap_or(UNKNOWN_WAIT);
    hint.unwrap_or(unhinted).saturating_add(MARGIN).min(MAX_HOLD)
}

/// Throttles in a row without an answer between them, told apart by what the requests count against: one user's answers
/// say nothing about another's throttle.
#[derive(Default)]
pub(super) struct Streaks(Mutex<HashMap<Claims, u32>>);

impl Streaks {
    /// The throttles in a row before this one; counts it if it `is_new`.
    pub(super) fn throttled(&self, claims: &Claims, is_new: bool) -> u32 {
        let mut streaks = self.lock();
        if !is_new {
            return streaks.get(claims).map_or(0, |streak| streak.saturating_sub(1));
        }
        let streak = streaks.entry(claims.clone()).or_default();
        *streak = streak.saturating_add(1);
        *streak - 1
    }

    /// There was an answer.
    pub(super) fn end(&self, claims: &Claims) {
        self.lock().remove(claims);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Claims, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads `Retry-After`: seconds, or a date as our clock sees it. `None` when missing or nonsense; a date in the past is
/// no wait.
pub(super) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = whole_seconds(value) {
        return Some(Duration::from_secs(seconds));
    }
    let since_epoch = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
    Some(since_epoch.saturating_sub(now))
}

/// A decimal number of seconds, rounded up; more than fits is the most that fits. Signs and exponents are nonsense.
pub(super) fn whole_seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let seconds = whole.parse::<u64>().unwrap_or(u64::MAX);
    Some(seconds.saturating_add(u64::from(fraction.bytes().any(|b| b != b'0'))))
}

/// The growing delays between the attempts of one call.
///
/// `backoff` doubles them; the jitter around them (half to one and a half times) comes from the door's seeded source, so
/// that a run in virtual time repeats exactly. `backoff`'s own is switched off.
pub(super) struct Delays(ExponentialBackoff<backoff::SystemClock>);

impl Delays {
    pub(super) fn new() -> Self {
        let mut builder = ExponentialBackoffBuilder::new();
        builder
            .with_initial_interval(FIRST_RETRY_DELAY)
            .with_max_interval(MAX_RETRY_DELAY)
            .with_randomization_factor(0.0)
            .with_multiplier(2.0)
            .with_max_elapsed_time(None);
        Self(builder.build())
    }

    /// The next delay; `random_up_to(n)` is a number from 0 to n.
    pub(super) fn next(&mut self, random_up_to: impl FnOnce(u64) -> u64) -> Duration {
        let middle = self.0.next_backoff().unwrap_or(MAX_RETRY_DELAY);
        let whole_ms = u64::try_from(middle.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(whole_ms / 2 + random_up_to(whole_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().expect("a header value"));
        retry_after(&headers, 784_111_777_000).map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        assert_eq!(read("17"), Some(17));
        assert_eq!(read(" 0.4 "), Some(1));
        assert_eq!(read("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(read("-5"), None);
        assert_eq!(read("1e9"), None);
        assert_eq!(read("soon"), None);
        assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT"), Some(0));
    }

    #[test]
    fn a_throttle_without_a_hint_waits_longer_each_time_and_none_waits_for_ever() {
        let unhinted = [5, 15, 30].map(Duration::from_secs);
        let waits: Vec<u64> = (0..5).map(|streak| wait_after_throttle(None, &unhinted, streak).as_secs()).collect();
        assert_eq!(waits, [6, 16, 31, 31, 31]);
        assert_eq!(wait_after_throttle(None, &[], 0).as_secs(), 61);
        assert_eq!(wait_after_throttle(Some(Duration::MAX), &unhinted, 0), MAX_HOLD);
    }

    #[test]
    fn a_streak_is_one_users_own_and_ends_with_an_answer() {
        let streaks = Streaks::default();
        let (ann, ben) = (Claims::on("user", "ann"), Claims::on("user", "ben"));
        assert_eq!([true, true, false].map(|is_new| streaks.throttled(&ann, is_new)), [0, 1, 1]);
        streaks.end(&ben);
        assert_eq!((streaks.throttled(&ben, true), streaks.throttled(&ann, true)), (0, 2));
        streaks.end(&ann);
        assert_eq!((streaks.throttled(&ann, false), streaks.throttled(&Claims::none(), true)), (0, 0));
    }

    #[test]
    fn delays_double_and_spread_around_the_middle() {
        let mut least = Delays::new();
        let least: Vec<u128> = (0..7).map(|_| least.next(|_| 0).as_millis()).collect();
        assert_eq!(least, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!(Delays::new().next(|n| n), Duration::from_millis(750));
    }
}
