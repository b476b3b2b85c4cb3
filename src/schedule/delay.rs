//! Delays that no schedule decides: after a failure, and while a refresh is under way.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff as _;
use rand::{Rng, RngExt as _};

/// The delay after the first failure, before jitter.
pub const FIRST_RETRY: Duration = Duration::from_mins(1);

/// The longest delay between two attempts, however many failed.
pub const MAX_RETRY: Duration = Duration::from_hours(6);

/// After this many doublings every delay is at its cap, so counting on would only take time.
const MAX_DOUBLINGS: u32 = 64;

/// How long to wait after `consecutive_failures` failures in a row.
///
/// Shape: [`FIRST_RETRY`], doubling to [`MAX_RETRY`], less up to a quarter at random, so that links that failed together do not
/// come back together. It never says stop: a failure that only a person can repair is not retried in the first place.
pub fn retry_delay(consecutive_failures: u32, rng: &mut impl Rng) -> Duration {
    // The jitter is ours, because the crate draws its own from a source that cannot be seeded.
    let mut delays = ExponentialBackoff {
        current_interval: FIRST_RETRY,
        max_interval: MAX_RETRY,
        multiplier: 2.0,
        randomization_factor: 0.0,
        max_elapsed_time: None,
        ..ExponentialBackoff::default()
    };
    let mut delay = FIRST_RETRY;
    for _ in 0..consecutive_failures.clamp(1, MAX_DOUBLINGS) {
        delay = delays.next_backoff().unwrap_or(MAX_RETRY);
    }
    let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(rng.random_range(delay_ms - delay_ms / 4..=delay_ms))
}

/// How long to wait before asking again how a refresh is doing, when it was asked `polls_done` times.
///
/// Shape: `first`, then doubling, never above `max`.
pub fn poll_delay(polls_done: u32, first: Duration, max: Duration) -> Duration {
    let factor = 1_u32.checked_shl(polls_done).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}
