//! What the commands show: sources at a glance, links and their health, the latest syncs of a link.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{QueryAnswer, ReadTxn, StoreError, instant, ms};

/// One source at a glance.
#[derive(Debug, Clone)]
pub struct SourceReport {
    /// Its name.
    pub name: String,
    /// The word for it in the configuration.
    pub aggregator: String,
    /// No longer configured since.
    pub retired_at: Option<Timestamp>,
    /// Links by state word.
    pub links_by_state: BTreeMap<String, u64>,
    /// The least fresh of the active links: its last success.
    pub oldest_success_at: Option<Timestamp>,
    /// The last success of any link.
    pub newest_success_at: Option<Timestamp>,
    /// Links due now or earlier.
    pub due_now: u64,
    /// Requests in the last 60 seconds, estimated from those of the minutes they lie in.
    pub requests_last_minute: u64,
    /// Requests in the last hour.
    pub requests_last_hour: u64,
    /// 429 answers in the last hour.
    pub rate_limited_last_hour: u64,
    /// Requests the aggregator allows per window.
    pub request_limit: u64,
    /// Length of that window.
    pub request_window_ms: i64,
    /// Refreshes in the last rolling day, all links.
    pub refreshes_last_day: u64,
    /// Refreshes since the month began.
    pub refreshes_this_month: u64,
    /// Cap per month.
    pub refreshes_per_month: Option<u64>,
    /// Links that a scheduled sync may refresh now, as far as the daily limit and the reserve go.
    pub refreshable_links: u64,
    /// When the next link that may not be refreshed on schedule may be again.
    pub next_refresh_frees_at: Option<Timestamp>,
    /// Last complete listing of users and links.
    pub discovered_at: Option<Timestamp>,
    /// Next one.
    pub discover_due_at: Timestamp,
    /// Why the last one failed.
    pub discover_error: Option<String>,
    /// The aggregator throttled us until then.
    pub hold_until: Option<Timestamp>,
    /// Malformed rows set aside and not resolved.
    pub rejected_rows: u64,
}

/// A link's health, as `v_link_health` has it and a little more.
#[derive(Debug, Clone)]
pub struct HealthRow {
    /// Our id.
    pub link_id: i64,
    /// Its source.
    pub source: String,
    /// The aggregator's id.
    pub upstream_link_id: String,
    /// The customer.
    pub user: String,
    /// The bank.
    pub institution: Option<String>,
    /// `new`, `active`, `attention`, `failing`, `paused` or `removed`.
    pub state: String,
    /// The aggregator's word.
    pub upstream_status: Option<String>,
    /// What only a person can repair.
    pub attention: Option<String>,
    /// Since when.
    pub attention_at: Option<Timestamp>,
    /// Last success.
    pub last_success_at: Option<Timestamp>,
    /// Next work.
    pub due_at: Timestamp,
    /// Refreshes left in the rolling day.
    pub refreshes_left: i64,
    /// Failed syncs since the last success.
    pub consecutive_failures: u32,
    /// Last failure.
    pub last_error: Option<String>,
}

/// One past or open sync.
#[derive(Debug, Clone)]
pub struct SyncRow {
    /// Our id.
    pub sync_id: i64,
    /// Why it ran.
    pub cause: String,
    /// Its start.
    pub started_at: Timestamp,
    /// Its end; `None`: open.
    pub finished_at: Option<Timestamp>,
    /// How it ended; `None`: open.
    pub outcome: Option<String>,
    /// What became of its refresh.
    pub refreshed: Option<String>,
    /// What went wrong.
    pub error: Option<String>,
    /// Requests sent.
    pub requests: u32,
    /// Rows read.
    pub rows_seen: u32,
    /// New rows.
    pub rows_added: u32,
    /// Other rows written: updated, posted, removed, restored.
    pub rows_changed: u32,
    /// Rows set aside.
    pub rows_rejected: u32,
}

fn health_row(row: &Row<'_>) -> rusqlite::Result<HealthRow> {
    let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
    Ok(HealthRow {
        link_id: row.get("link_id")?,
        source: row.get("source")?,
        upstream_link_id: row.get("upstream_link_id")?,
        user: row.get("user")?,
        institution: row.get("institution")?,
        state: row.get("state")?,
        upstream_status: row.get("upstream_status")?,
        attention: row.get("attention")?,
        attention_at: at("attention_at")?,
        last_success_at: at("last_success_at")?,
        due_at: instant(row.get("due_at")?),
        refreshes_left: row.get("refreshes_left")?,
        consecutive_failures: row.get("consecutive_failures")?,
        last_error: row.get("last_error")?,
    })
}

const HEALTH_COLUMNS: &str =
    "h.link_id, h.source, h.upstream_link_id, h.user, h.institution, h.state, h.upstream_status,
    h.attention, l.attention_at, h.last_success_at, h.due_at, h.refreshes_left, h.consecutive_failures, h.last_error";

impl ReadTxn<'_> {
    /// Every source that is configured or has links, by name.
    ///
    /// `month_began` is the start of the month that the monthly cap counts in.
    pub fn source_reports(&self, now: Timestamp, month_began: Timestamp) -> Result<Vec<SourceReport>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "WITH spent AS (
                 SELECT l.source_id, count(r.refresh_id) AS used, min(r.counts_from_at) AS oldest_at
                 FROM links l
                 LEFT JOIN refreshes r ON r.link_id = l.link_id AND r.counts_from_at > :now - 86400000
                     AND r.outcome NOT IN ('refused', 'throttled', 'not_sent')
                 WHERE l.removed_at IS NULL AND l.paused_at IS NULL AND l.attention IS NULL
                 GROUP BY l.link_id)
             SELECT s.*,
                 (SELECT count(*) FROM spent WHERE spent.source_id = s.source_id
                     AND used < s.refreshes_per_day - s.refresh_reserve) AS refreshable_links,
                 (SELECT min(oldest_at) + 86400000 FROM spent WHERE spent.source_id = s.source_id
                     AND used >= s.refreshes_per_day - s.refresh_reserve) AS next_refresh_frees_at,
                 -- the minute that has begun, and as much of the one before as lies in the last 60 seconds
                 (SELECT coalesce(sum(iif(q.minute_at > :now - 60000, q.requests,
                                          q.requests * (q.minute_at + 120000 - :now) / 60000)), 0)
                  FROM request_usage q
                  WHERE q.source_id = s.source_id AND q.minute_at > :now - 120000) AS requests_last_minute,
                 (SELECT coalesce(sum(requests), 0) FROM request_usage q
                  WHERE q.source_id = s.source_id AND q.minute_at > :now - 3600000) AS requests_last_hour,
                 (SELECT coalesce(sum(rate_limited), 0) FROM request_usage q
                  WHERE q.source_id = s.source_id AND q.minute_at > :now - 3600000) AS rate_limited_last_hour,
                 (SELECT count(*) FROM refreshes r WHERE r.source_id = s.source_id AND r.counts_from_at > :now - 86400000
                     AND r.outcome NOT IN ('refused', 'throttled', 'not_sent')) AS refreshes_last_day,
                 (SELECT count(*) FROM refreshes r WHERE r.source_id = s.source_id AND r.counts_from_at >= :month
                     AND r.outcome NOT IN ('refused', 'throttled', 'not_sent')) AS refreshes_this_month,
                 (SELECT count(*) FROM links l WHERE l.source_id = s.source_id AND l.due_at <= :now
                     AND l.removed_at IS NULL AND l.paused_at IS NULL) AS due_now,
                 (SELECT min(l.last_success_at) FROM links l WHERE l.source_id = s.source_id AND l.removed_at IS NULL
                     AND l.paused_at IS NULL AND l.attention IS NULL) AS oldest_success_at,
                 (SELECT max(l.last_success_at) FROM links l WHERE l.source_id = s.source_id) AS newest_success_at,
                 (SELECT count(*) FROM rejected_rows x JOIN links l ON l.link_id = x.link_id
                  WHERE l.source_id = s.source_id AND x.resolved_at IS NULL) AS rejected_rows
             FROM sources s ORDER BY s.name",
        )?;
        let mut rows = select.query(named_params! { ":now": ms(now), ":month": ms(month_began) })?;
        let mut reports = Vec::new();
        while let Some(row) = rows.next()? {
            let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
            reports.push(SourceReport {
                name: row.get("name")?,
                aggregator: row.get("aggregator")?,
                retired_at: at("retired_at")?,
                links_by_state: self.links_by_state(row.get("source_id")?)?,
                oldest_success_at: at("oldest_success_at")?,
                newest_success_at: at("newest_success_at")?,
                due_now: row.get("due_now")?,
                requests_last_minute: row.get("requests_last_minute")?,
                requests_last_hour: row.get("requests_last_hour")?,
                rate_limited_last_hour: row.get("rate_limited_last_hour")?,
                request_limit: row.get("request_limit")?,
                request_window_ms: row.get("request_window_ms")?,
                refreshes_last_day: row.get("refreshes_last_day")?,
                refreshes_this_month: row.get("refreshes_this_month")?,
                refreshes_per_month: row.get("refreshes_per_month")?,
                refreshable_links: row.get("refreshable_links")?,
                next_refresh_frees_at: at("next_refresh_frees_at")?,
                discovered_at: at("discovered_at")?,
                discover_due_at: instant(row.get("discover_due_at")?),
                discover_error: row.get("discover_error")?,
                hold_until: at("hold_until")?,
                rejected_rows: row.get("rejected_rows")?,
            });
        }
        Ok(reports)
    }

    fn links_by_state(&self, source_id: i64) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT h.state, count(*) FROM v_link_health h JOIN links l ON l.link_id = h.link_id
             WHERE l.source_id = :source_id GROUP BY h.state",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id }, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Links with their health, by source and link id.
    ///
    /// Shape: all of them, or those whose state is `state`; at most `limit`.
    pub fn link_health(&self, state: Option<&str>, limit: usize) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM v_link_health h JOIN links l ON l.link_id = h.link_id
             WHERE (:state IS NULL OR h.state = :state) ORDER BY h.source, h.link_id LIMIT :limit"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":state": state, ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One link's health.
    pub fn health_of(&self, link_id: i64) -> Result<HealthRow, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM v_link_health h JOIN links l ON l.link_id = h.link_id
             WHERE h.link_id = :link_id"
        ))?;
        let row = select.query_row(named_params! { ":link_id": link_id }, health_row).optional()?;
        row.ok_or(StoreError::Missing { what: "link", id: link_id })
    }

    /// How many live transactions there are; reads an index from end to end.
    pub fn transaction_count(&self) -> Result<u64, StoreError> {
        Ok(self.txn.query_row("SELECT count(*) FROM transactions WHERE removed_at IS NULL", [], |row| row.get(0))?)
    }

    /// A link's latest syncs, the latest first.
    pub fn latest_syncs(&self, link_id: i64, limit: usize) -> Result<Vec<SyncRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT sync_id, cause, started_at, finished_at, outcome, refreshed, error, requests, rows_seen, rows_added,
                    rows_updated + rows_posted + rows_removed + rows_restored AS rows_changed, rows_rejected
             FROM syncs WHERE link_id = :link_id ORDER BY sync_id DESC LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":link_id": link_id, ":limit": limit }, |row| {
            Ok(SyncRow {
                sync_id: row.get("sync_id")?,
                cause: row.get("cause")?,
                started_at: instant(row.get("started_at")?),
                finished_at: row.get::<_, Option<i64>>("finished_at")?.map(instant),
                outcome: row.get("outcome")?,
                refreshed: row.get("refreshed")?,
                error: row.get("error")?,
                requests: row.get("requests")?,
                rows_seen: row.get("rows_seen")?,
                rows_added: row.get("rows_added")?,
                rows_changed: row.get("rows_changed")?,
                rows_rejected: row.get("rows_rejected")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The id of each link's latest sync; links without one are left out.
    pub fn latest_sync_ids(&self) -> Result<HashMap<i64, i64>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT link_id, max(sync_id) FROM syncs GROUP BY link_id")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A link's accounts with their latest balances and how many live transactions each has.
    pub fn account_summaries(&self, link_id: i64) -> Result<QueryAnswer, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT v.account_id AS account, v.kind, v.name, v.mask,
                    v.current_minor, v.available_minor, v.currency,
                    iif(v.missing_at IS NULL, '', 'no longer listed') AS note,
                    (SELECT count(*) FROM transactions t WHERE t.account_id = v.account_id AND t.removed_at IS NULL) AS transactions
             FROM v_accounts v WHERE v.link_id = :link_id ORDER BY v.account_id",
        )?;
        super::query::answer(&mut select, named_params! { ":link_id": link_id })
    }
}
