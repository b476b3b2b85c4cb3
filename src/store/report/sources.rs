//! Sources at a glance.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::named_params;

use crate::store::{ReadTxn, StoreError, instant, ms};

/// From when on the end of a customer's consent is worth saying: people need days to answer.
pub const CONSENT_NEAR: SignedDuration = SignedDuration::from_hours(14 * 24);

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
    /// Links that are neither removed nor paused by what the aggregator says about them, where that is more than that all is
    /// well or that a person is needed: `connecting`, `incomplete`, `passing`.
    pub links_by_condition: BTreeMap<String, u64>,
    /// Customers that are there.
    pub users: u64,
    /// When the state of a customer's links is looked at next; `None`: syncs alone do that.
    pub links_due_at: Option<Timestamp>,
    /// Consents that end within [`CONSENT_NEAR`] or have ended, of links that are neither removed nor paused.
    pub consents_ending: u64,
    /// When the aggregator last read a bank with success, for the link where that was longest ago; links that need a person
    /// left out. `None`: it does not say.
    pub oldest_refreshed_at: Option<Timestamp>,
    /// The same for the link where it was last.
    pub newest_refreshed_at: Option<Timestamp>,
    /// The least fresh of the active links: its last success.
    pub oldest_success_at: Option<Timestamp>,
    /// The last success of any link.
    pub newest_success_at: Option<Timestamp>,
    /// Links due now or earlier.
    pub due_now: u64,
    /// Requests in the last window of the limit, estimated from those of the minutes they lie in.
    pub requests_last_window: u64,
    /// Requests in the last hour.
    pub requests_last_hour: u64,
    /// 429 answers in the last hour.
    pub rate_limited_last_hour: u64,
    /// Requests the aggregator allows per window.
    pub request_limit: u64,
    /// Length of that window.
    pub request_window_ms: i64,
    /// Per link and rolling day; 0: none is ever asked for.
    pub refreshes_per_day: u64,
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
                 -- the minutes that began in the window, and as much of the one before as lies in it
                 (SELECT coalesce(sum(iif(q.minute_at > :now - s.request_window_ms, q.requests,
                                          q.requests * (q.minute_at + 60000 + s.request_window_ms - :now) / 60000)), 0)
                  FROM request_usage q
                  WHERE q.source_id = s.source_id
                      AND q.minute_at > :now - s.request_window_ms - 60000) AS requests_last_window,
                 (SELECT count(*) FROM users u WHERE u.source_id = s.source_id AND u.removed_at IS NULL) AS users,
                 (SELECT min(u.links_due_at) FROM users u WHERE u.source_id = s.source_id) AS links_due_at,
                 (SELECT count(*) FROM links l WHERE l.source_id = s.source_id AND l.removed_at IS NULL
                     AND l.paused_at IS NULL AND l.consent_expires_at <= :now + :near) AS consents_ending,
                 (SELECT min(l.refreshed_at) FROM links l WHERE l.source_id = s.source_id AND l.removed_at IS NULL
                     AND l.paused_at IS NULL AND l.attention IS NULL) AS oldest_refreshed_at,
                 (SELECT max(l.refreshed_at) FROM links l WHERE l.source_id = s.source_id) AS newest_refreshed_at,
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
        let near = i64::try_from(CONSENT_NEAR.as_millis()).unwrap_or(i64::MAX);
        let mut rows = select.query(named_params! { ":now": ms(now), ":month": ms(month_began), ":near": near })?;
        let mut reports = Vec::new();
        while let Some(row) = rows.next()? {
            let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
            reports.push(SourceReport {
                name: row.get("name")?,
                aggregator: row.get("aggregator")?,
                retired_at: at("retired_at")?,
                links_by_state: self.links_by_state(row.get("source_id")?)?,
                links_by_condition: self.links_by_condition(row.get("source_id")?)?,
                users: row.get("users")?,
                links_due_at: at("links_due_at")?,
                consents_ending: row.get("consents_ending")?,
                oldest_refreshed_at: at("oldest_refreshed_at")?,
                newest_refreshed_at: at("newest_refreshed_at")?,
                oldest_success_at: at("oldest_success_at")?,
                newest_success_at: at("newest_success_at")?,
                due_now: row.get("due_now")?,
                requests_last_window: row.get("requests_last_window")?,
                requests_last_hour: row.get("requests_last_hour")?,
                rate_limited_last_hour: row.get("rate_limited_last_hour")?,
                request_limit: row.get("request_limit")?,
                request_window_ms: row.get("request_window_ms")?,
                refreshes_per_day: row.get("refreshes_per_day")?,
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

    fn links_by_condition(&self, source_id: i64) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT condition, count(*) FROM links
             WHERE source_id = :source_id AND removed_at IS NULL AND paused_at IS NULL
               AND condition NOT IN ('well', 'needs_person') GROUP BY condition",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id }, |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
