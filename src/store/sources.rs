//! Sources: one configured credential each, with what the reports compare usage against.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};

/// What the configuration says about a source, as far as the store and its readers need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSettings {
    /// Its name.
    pub name: String,
    /// The word for it in the configuration.
    pub aggregator: String,
    /// Where it is called.
    pub base_url: String,
    /// Requests the aggregator allows per window.
    pub request_limit: u32,
    /// Length of that window.
    pub request_window_ms: i64,
    /// Refreshes per link and rolling day.
    pub refreshes_per_day: u32,
    /// How many of them are a person's.
    pub refresh_reserve: u32,
    /// Refreshes per month, all links together.
    pub refreshes_per_month: Option<u32>,
}

/// A source's own state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Our id.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// When users and links are listed next.
    pub discover_due_at: Timestamp,
    /// Last complete listing.
    pub discovered_at: Option<Timestamp>,
    /// Failed listings since then.
    pub discover_failures: u32,
    /// No request before this instant.
    pub hold_until: Option<Timestamp>,
    /// Why: `request limit` or `credentials refused`.
    pub hold_reason: Option<String>,
}

fn source_row(row: &Row<'_>) -> rusqlite::Result<SourceRow> {
    Ok(SourceRow {
        source_id: row.get("source_id")?,
        name: row.get("name")?,
        discover_due_at: instant(row.get("discover_due_at")?),
        discovered_at: row.get::<_, Option<i64>>("discovered_at")?.map(instant),
        discover_failures: row.get("discover_failures")?,
        hold_until: row.get::<_, Option<i64>>("hold_until")?.map(instant),
        hold_reason: row.get("hold_reason")?,
    })
}

impl ReadTxn<'_> {
    /// The source named `name`; `None` if it was never configured.
    pub fn source(&self, name: &str) -> Result<Option<SourceRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, name, discover_due_at, discovered_at, discover_failures, hold_until, hold_reason
             FROM sources WHERE name = :name",
        )?;
        Ok(select.query_row(named_params! { ":name": name }, source_row).optional()?)
    }
}

impl WriteTxn<'_> {
    /// Records the configured sources; one that is no longer configured is retired and its links rest.
    ///
    /// Shape: the rows of `settings`, in that order. A new source is due for discovery at once.
    /// Errors: a name that was another aggregator's; nothing changes.
    pub fn put_sources(&self, settings: &[SourceSettings], now: Timestamp) -> Result<Vec<SourceRow>, StoreError> {
        self.refuse_other_aggregators(settings)?;
        self.execute(
            "UPDATE sources SET retired_at = :now WHERE retired_at IS NULL",
            named_params! { ":now": ms(now) },
        )?;
        let mut upsert = self.txn.prepare_cached(
            "INSERT INTO sources (name, aggregator, base_url, request_limit, request_window_ms, refreshes_per_day,
                                  refresh_reserve, refreshes_per_month, discover_due_at, first_seen_at)
             VALUES (:name, :aggregator, :base_url, :request_limit, :request_window_ms, :refreshes_per_day,
                     :refresh_reserve, :refreshes_per_month, :now, :now)
             ON CONFLICT (name) DO UPDATE SET
                 base_url = excluded.base_url,
                 request_limit = excluded.request_limit, request_window_ms = excluded.request_window_ms,
                 refreshes_per_day = excluded.refreshes_per_day, refresh_reserve = excluded.refresh_reserve,
                 refreshes_per_month = excluded.refreshes_per_month, retired_at = NULL",
        )?;
        for source in settings {
            upsert.execute(named_params! {
                ":name": source.name, ":aggregator": source.aggregator, ":base_url": source.base_url,
                ":request_limit": source.request_limit, ":request_window_ms": source.request_window_ms,
                ":refreshes_per_day": source.refreshes_per_day, ":refresh_reserve": source.refresh_reserve,
                ":refreshes_per_month": source.refreshes_per_month, ":now": ms(now),
            })?;
        }
        settings.iter().map(|s| self.source(&s.name)?.ok_or(StoreError::Missing { what: "source", id: 0 })).collect()
    }

    fn refuse_other_aggregators(&self, settings: &[SourceSettings]) -> Result<(), StoreError> {
        let mut select = self.txn.prepare_cached("SELECT aggregator FROM sources WHERE name = :name")?;
        for source in settings {
            let had: Option<String> =
                select.query_row(named_params! { ":name": source.name }, |row| row.get("aggregator")).optional()?;
            if let Some(had) = had.filter(|had| *had != source.aggregator) {
                return Err(StoreError::OtherAggregator { name: source.name.clone(), had });
            }
        }
        Ok(())
    }

    /// Notes a complete listing of users and links that began at `began`, and when the next is due. One that was asked for
    /// meanwhile stays due, because this one may have been too early, but not before `rest` is over.
    pub fn discovered(
        &self,
        source_id: i64,
        began: Timestamp,
        now: Timestamp,
        next: Timestamp,
        rest: SignedDuration,
    ) -> Result<(), StoreError> {
        let earliest = now.saturating_add(rest).unwrap_or(now);
        self.execute(
            "UPDATE sources SET discovered_at = :now, discover_failures = 0, discover_error = NULL,
                    discover_due_at = iif(discover_due_at > :began, min(max(discover_due_at, :earliest), :next), :next)
             WHERE source_id = :source_id",
            named_params! {
                ":began": ms(began), ":now": ms(now), ":earliest": ms(earliest), ":next": ms(next), ":source_id": source_id,
            },
        )?;
        Ok(())
    }

    /// Notes a listing that failed or was put off, and when it is tried again.
    pub fn discovery_failed(
        &self,
        source_id: i64,
        error: &str,
        counts_as_failure: bool,
        next: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sources SET discover_due_at = :next, discover_error = :error,
                    discover_failures = discover_failures + :failure
             WHERE source_id = :source_id",
            named_params! { ":next": ms(next), ":error": error, ":failure": counts_as_failure, ":source_id": source_id },
        )?;
        Ok(())
    }

    /// Makes discovery due at `at` unless it is due before.
    pub fn bring_discovery_forward(&self, source_id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sources SET discover_due_at = min(discover_due_at, :at) WHERE source_id = :source_id",
            named_params! { ":at": ms(at), ":source_id": source_id },
        )?;
        Ok(())
    }

    /// Ends a hold at `latest` if it would last longer: no hold does, so the clock was set back since.
    pub fn shorten_hold(&self, source_id: i64, latest: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sources SET hold_until = min(hold_until, :latest) WHERE source_id = :source_id",
            named_params! { ":latest": ms(latest), ":source_id": source_id },
        )?;
        Ok(())
    }

    /// Notes that the aggregator throttled this source; a later instant is never brought forward.
    pub fn hold_source(&self, source_id: i64, until: Timestamp, reason: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE sources SET hold_until = max(coalesce(hold_until, 0), :until), hold_reason = :reason
             WHERE source_id = :source_id",
            named_params! { ":until": ms(until), ":reason": reason, ":source_id": source_id },
        )?;
        Ok(())
    }
}
