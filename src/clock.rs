//! The wall clock as an argument.
//!
//! Everything that asks what time it is takes a [`Clock`]; nothing else in the program reads the time. Sleeping goes
//! through `tokio::time`, and the virtual clock follows `tokio`'s own time, so that a test whose runtime is paused moves
//! both together. Virtual time is only for the in-process transport: a paused runtime fires timeouts while a real socket
//! still waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Milliseconds in a day, for arithmetic on the store's instants.
pub const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Tells the wall-clock time, real or virtual. Cheap to clone; clones share one clock.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Virtual(Arc<Virtual>),
}

#[derive(Debug)]
struct Virtual {
    start: Timestamp,
    origin: tokio::time::Instant,
    shift_ms: AtomicI64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that shows `start` now and then follows `tokio::time`; needs a running runtime.
    pub fn virtual_at(start: Timestamp) -> Self {
        Self(Source::Virtual(Arc::new(Virtual {
            start,
            origin: tokio::time::Instant::now(),
            shift_ms: AtomicI64::new(0),
        })))
    }

    /// The present instant, truncated to milliseconds as the store keeps it.
    pub fn now(&self) -> Timestamp {
        let exact = match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
            Source::System => Timestamp::now(),
            Source::Virtual(v) => {
                let shift = SignedDuration::from_millis(v.shift_ms.load(Ordering::Relaxed));
                v.start
                    .saturating_add(v.origin.elapsed())
                    .and_then(|at| at.saturating_add(shift))
                    .unwrap_or(Timestamp::MAX)
            }
        };
        Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact)
    }

    /// The present instant in Unix milliseconds UTC.
    pub fn now_ms(&self) -> i64 {
        self.now().as_millisecond()
    }

    /// Sets a virtual clock forward or back, as an administrator or NTP would; the system clock is left alone.
    pub fn shift(&self, by: SignedDuration) {
        if let Source::Virtual(v) = &self.0 {
            let by_ms = i64::try_from(by.as_millis()).unwrap_or(0);
            v.shift_ms.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// Waits for `duration` of monotonic time.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_virtual_clock_follows_paused_time_and_shifts() {
        let clock = Clock::virtual_at(Timestamp::from_second(1_000).expect("in range"));
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now_ms(), 1_090_000);
        clock.shift(SignedDuration::from_secs(-60));
        assert_eq!(clock.now_ms(), 1_030_000);
    }
}
