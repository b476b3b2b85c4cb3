//! Requests per source, scope and minute.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{StoreError, WriteTxn, ms};

/// Requests of one minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageRow {
    /// Start of the minute.
    pub minute_at: Timestamp,
    /// Requests sent.
    pub requests: u32,
    /// Answered 429.
    pub rate_limited: u32,
    /// Without a usable answer.
    pub failed: u32,
    /// The clock was set back into this minute or over it.
    pub clock_set_back: bool,
}

impl WriteTxn<'_> {
    /// Adds the requests of some minutes, the earliest first, to what is counted already, and to the totals.
    ///
    /// Where later minutes are counted already, as by a process before this one, the clock was set back over them.
    pub fn add_usage(&self, source_id: i64, scope: &str, rows: &[UsageRow]) -> Result<(), StoreError> {
        let Some(first) = rows.first() else { return Ok(()) };
        let later = self.execute(
            "UPDATE request_usage SET clock_set_back = 1
             WHERE source_id = :source_id AND scope = :scope AND minute_at > :first",
            named_params! { ":source_id": source_id, ":scope": scope, ":first": ms(first.minute_at) },
        )?;
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO request_usage (source_id, scope, minute_at, requests, rate_limited, failed, clock_set_back)
             VALUES (:source_id, :scope, :minute_at, :requests, :rate_limited, :failed, :clock_set_back)
             ON CONFLICT (source_id, scope, minute_at) DO UPDATE SET requests = requests + excluded.requests,
                 rate_limited = rate_limited + excluded.rate_limited, failed = failed + excluded.failed,
                 clock_set_back = max(clock_set_back, excluded.clock_set_back)",
        )?;
        for row in rows {
            upsert.execute(named_params! {
                ":source_id": source_id, ":scope": scope, ":minute_at": ms(row.minute_at), ":requests": row.requests,
                ":rate_limited": row.rate_limited, ":failed": row.failed,
                ":clock_set_back": row.clock_set_back || later > 0,
            })?;
        }
        let sum = |of: fn(&UsageRow) -> u32| rows.iter().map(|row| u64::from(of(row))).sum::<u64>();
        self.execute(
            "INSERT INTO request_totals (source_id, scope, requests, rate_limited, failed)
             VALUES (:source_id, :scope, :requests, :rate_limited, :failed)
             ON CONFLICT (source_id, scope) DO UPDATE SET requests = requests + excluded.requests,
                 rate_limited = rate_limited + excluded.rate_limited, failed = failed + excluded.failed",
            named_params! {
                ":source_id": source_id, ":scope": scope, ":requests": sum(|row| row.requests),
                ":rate_limited": sum(|row| row.rate_limited), ":failed": sum(|row| row.failed),
            },
        )?;
        Ok(())
    }
}
