//! From a quota to a token bucket, and the bucket itself: `governor` on `tokio`'s time.
//!
//! `governor`'s own waiting is not used: it sleeps on a thread that knows nothing of paused time.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use tokio::time::Instant;

/// An aggregator's limit, as it states it.
///
/// Units: at most `requests` in any `window`; zero of either is read as one request, one nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many requests.
    pub requests: u32,
    /// In which time.
    pub window: Duration,
}

/// One token in this many is kept for bursts; the others flow evenly. Steady use is then 95 % of the limit.
pub(super) const BURST_PART: u32 = 20;
/// The same for the keys of a scope: a user's few requests come together and then none for hours, so that it is the burst
/// that decides how long they take.
pub(super) const SCOPED_BURST_PART: u32 = 3;

/// A bucket's measures, chosen so that `burst + floor(window / period) <= limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Admissions allowed in any closed window.
    pub(super) limit: u32,
    pub(super) burst: NonZeroU32,
    /// The time one token takes to come back.
    pub(super) period: Duration,
}

impl Pace {
    pub(super) fn within(quota: Quota, margin_percent: u32, burst_part: u32) -> Self {
        let percent = u64::from(100_u32.saturating_sub(margin_percent));
        let limit = u32::try_from(u64::from(quota.requests) * percent / 100).unwrap_or(u32::MAX).max(1);
        let burst = NonZeroU32::new(limit / burst_part).unwrap_or(NonZeroU32::MIN);
        let window_ns = u64::try_from(quota.window.as_nanos()).unwrap_or(u64::MAX).max(1);
        let period_ns = match limit - burst.get() {
            // A single request per window: the next one only when the window has passed entirely.
            0 => window_ns.saturating_add(1),
            steady => window_ns.div_ceil(u64::from(steady)),
        };
        Self { limit, burst, period: Duration::from_nanos(period_ns) }
    }

    /// Half the rate and half the burst.
    pub(super) fn halved(self) -> Self {
        let burst = NonZeroU32::new(self.burst.get() / 2).unwrap_or(NonZeroU32::MIN);
        Self { limit: self.limit, burst, period: self.period.saturating_mul(2) }
    }
}

/// `tokio`'s clock for `governor`, so that a paused runtime drives both.
#[derive(Clone, Copy, Debug)]
struct Monotonic;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for Monotonic {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.into()).map_or(*self, Self)
    }
}

type Governor = governor::RateLimiter<NotKeyed, InMemoryState, Monotonic, StateInformationMiddleware>;

/// A token bucket that was empty when it was made.
pub(super) struct Bucket {
    pace: Pace,
    governor: Governor,
    /// Tokens left after the last take, and when that was. What has come back since is at least the whole periods.
    left: u32,
    taken_at: Instant,
}

impl Bucket {
    pub(super) fn empty(pace: Pace, now: Instant) -> Self {
        let quota = governor::Quota::with_period(pace.period)
            .unwrap_or(governor::Quota::per_hour(NonZeroU32::MIN))
            .allow_burst(pace.burst);
        let governor = governor::RateLimiter::direct_with_clock(quota, Monotonic).with_middleware();
        // Asking for exactly the burst of a fresh bucket always succeeds; a refusal would leave it empty just as well.
        let _emptied = governor.check_n(pace.burst);
        Self { pace, governor, left: 0, taken_at: now }
    }

    /// Takes one token, or says when there will be one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        match self.governor.check() {
            Ok(snapshot) => {
                self.left = snapshot.remaining_burst_capacity();
                self.taken_at = now;
                Ok(())
            }
            Err(not_until) => Err(not_until.earliest_possible().0),
        }
    }

    /// Tokens there now, never too many, and the instant by which there is one.
    pub(super) fn peek(&self, now: Instant) -> (u32, Instant) {
        let since = now.saturating_duration_since(self.taken_at);
        let back = since.as_nanos() / self.pace.period.as_nanos().max(1);
        let tokens = self.left.saturating_add(u32::try_from(back).unwrap_or(u32::MAX)).min(self.pace.burst.get());
        (tokens, if tokens > 0 { now } else { self.taken_at + self.pace.period })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const FOUR: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

    #[test]
    fn half_the_pace_is_half_the_burst_at_half_the_rate() {
        let pace = Pace { limit: 100, burst: FOUR, period: SECOND };
        let halved = pace.halved();
        assert_eq!((halved.limit, halved.burst.get(), halved.period), (100, 2, 2 * SECOND));
        assert_eq!(halved.halved().halved().burst.get(), 1, "never none");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_bucket_shows_can_be_taken() {
        let mut bucket = Bucket::empty(Pace { limit: 100, burst: FOUR, period: SECOND }, Instant::now());
        assert_eq!(bucket.peek(Instant::now()), (0, Instant::now() + SECOND));
        tokio::time::advance(SECOND * 5 / 2).await;
        assert_eq!(bucket.peek(Instant::now()), (2, Instant::now()));
        bucket.take(Instant::now()).expect("a token");
        assert_eq!(bucket.peek(Instant::now()), (1, Instant::now()));
        tokio::time::advance(SECOND * 3600).await;
        assert_eq!(bucket.peek(Instant::now()), (4, Instant::now()), "no more than the burst");
    }

    #[test]
    fn burst_and_refill_of_a_window_stay_under_the_quota() {
        for (requests, seconds, margin) in
            [(300, 60, 5), (2000, 300, 5), (60, 60, 5), (10, 60, 5), (1, 60, 5), (2, 1, 50)]
        {
            let window = Duration::from_secs(seconds);
            for burst_part in [BURST_PART, SCOPED_BURST_PART] {
                let pace = Pace::within(Quota { requests, window }, margin, burst_part);
                let worst = u128::from(pace.burst.get()) + window.as_nanos() / pace.period.as_nanos();
                assert!(worst <= u128::from(pace.limit), "{requests}/{seconds}: {worst} > {}", pace.limit);
                assert!(pace.limit <= (requests * (100 - margin) / 100).max(1));
            }
        }
        let of_minute = |requests, burst_part| {
            let pace = Pace::within(Quota { requests, window: Duration::from_mins(1) }, 5, burst_part);
            (pace.limit, pace.burst.get())
        };
        assert_eq!(of_minute(300, BURST_PART), (285, 14));
        assert_eq!(of_minute(60, SCOPED_BURST_PART), (57, 19));
        assert_eq!(of_minute(10, SCOPED_BURST_PART), (9, 3));
    }
}
