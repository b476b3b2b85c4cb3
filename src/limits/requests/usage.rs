//! What was sent, counted by the minute until the store takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;

const MINUTE_MS: i64 = 60_000;
/// A clock that is corrected by less was not set back.
const SET_BACK_MS: i64 = 1_000;

/// The requests of one minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The start of the minute, by the wall clock, UTC.
    pub minute_at: Timestamp,
    /// Requests admitted, retries included.
    pub requests: u32,
    /// Answers that said 429.
    pub rate_limited: u32,
    /// Requests without a usable answer.
    pub failed: u32,
    /// The clock was set back into this minute or over it, so that it counts more than sixty seconds.
    pub clock_set_back: bool,
}

/// Usage by minute; a clock that is set back adds to an earlier minute.
#[derive(Debug, Default)]
pub(super) struct UsageLog {
    minutes: BTreeMap<i64, Usage>,
    latest_ms: Option<i64>,
}

impl UsageLog {
    /// The minute that `now_ms` lies in.
    pub(super) fn at(&mut self, now_ms: i64) -> &mut Usage {
        let minute_ms = now_ms - now_ms.rem_euclid(MINUTE_MS);
        let set_back = self.latest_ms.replace(now_ms).is_some_and(|latest| now_ms < latest - SET_BACK_MS);
        if set_back {
            self.minute(minute_ms);
            self.minutes.range_mut(minute_ms..).for_each(|(_, minute)| minute.clock_set_back = true);
        }
        self.minute(minute_ms)
    }

    fn minute(&mut self, minute_ms: i64) -> &mut Usage {
        let minute_at = Timestamp::from_millisecond(minute_ms).unwrap_or(Timestamp::MIN);
        let none = Usage { minute_at, requests: 0, rate_limited: 0, failed: 0, clock_set_back: false };
        self.minutes.entry(minute_ms).or_insert(none)
    }

    pub(super) fn drain(&mut self) -> Vec<Usage> {
        std::mem::take(&mut self.minutes).into_values().collect()
    }

    pub(super) fn restore(&mut self, usage: Vec<Usage>) {
        for back in usage {
            let minute = self.minute(back.minute_at.as_millisecond());
            minute.requests = minute.requests.saturating_add(back.requests);
            minute.rate_limited = minute.rate_limited.saturating_add(back.rate_limited);
            minute.failed = minute.failed.saturating_add(back.failed);
            minute.clock_set_back |= back.clock_set_back;
        }
    }
}
