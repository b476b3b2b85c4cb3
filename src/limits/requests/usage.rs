//! What was sent, counted by the minute until the store takes it.

use std::collections::BTreeMap;

use jiff::Timestamp;

const MINUTE_MS: i64 = 60_000;

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
}

/// Usage by minute; a clock that is set back only adds to an earlier minute.
#[derive(Debug, Default)]
pub(super) struct UsageLog(BTreeMap<i64, Usage>);

impl UsageLog {
    /// The minute that `now_ms` lies in.
    pub(super) fn at(&mut self, now_ms: i64) -> &mut Usage {
        let minute_ms = now_ms - now_ms.rem_euclid(MINUTE_MS);
        let minute_at = Timestamp::from_millisecond(minute_ms).unwrap_or(Timestamp::MIN);
        self.0.entry(minute_ms).or_insert(Usage { minute_at, requests: 0, rate_limited: 0, failed: 0 })
    }

    pub(super) fn drain(&mut self) -> Vec<Usage> {
        std::mem::take(&mut self.0).into_values().collect()
    }

    pub(super) fn restore(&mut self, usage: Vec<Usage>) {
        for back in usage {
            let minute = self.at(back.minute_at.as_millisecond());
            minute.requests = minute.requests.saturating_add(back.requests);
            minute.rate_limited = minute.rate_limited.saturating_add(back.rate_limited);
            minute.failed = minute.failed.saturating_add(back.failed);
        }
    }
}
