//! Sources at a glance.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use rusqlite::named_params;

use super::states::STATE;
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

/// What is counted of every source. Everything about links is counted in one walk along them.
const SOURCE_REPORTS: &str = "WITH spent AS (
         SELECT source_id, link_id, count(*) AS used, min(counts_from_at) AS oldest_at FROM refreshes
         WHERE source_id IN (SELECT source_id FROM sources) AND counts_from_at > :now - 86400000
           AND outcome NOT IN ('refused', 'throttled', 'not_sent')
         GROUP BY source_id, link_id),
     -- links that may not be refreshed on schedule for now
     spent_up AS (
         SELECT s.source_id, count(*) AS links, min(spent.oldest_at) + 86400000 AS frees_at
         FROM spent JOIN sources s ON s.source_id = spent.source_id JOIN links l ON l.link_id = spent.link_id
         WHERE l.removed_at IS NULL AND l.paused_at IS NULL AND l.attention IS NULL
           AND spent.used >= s.refreshes_per_day - s.refresh_reserve
         GROUP BY s.source_id),
     customers AS (
         SELECT source_id, count(*) FILTER (WHERE removed_at IS NULL) AS users, min(links_due_at) AS links_due_at
         FROM users GROUP BY source_id),
     of_links AS (
         SELECT source_id,
             count(*) FILTER (WHERE is_synced AND attention IS NULL) AS ready,
             count(*) FILTER (WHERE is_synced AND consent_expires_at <= :now + :near) AS consents_ending,
             count(*) FILTER (WHERE is_synced AND due_at <= :now) AS due_now,
             min(refreshed_at) FILTER (WHERE is_synced AND attention IS NULL) AS oldest_refreshed_at,
             max(refreshed_at) AS newest_refreshed_at,
             min(last_success_at) FILTER (WHERE is_synced AND attention IS NULL) AS oldest_success_at,
             max(last_success_at) AS newest_success_at
         FROM (SELECT *, removed_at IS NULL AND paused_at IS NULL AS is_synced FROM links)
         GROUP BY source_id)
     SELECT s.*, o.oldest_refreshed_at, o.newest_refreshed_at, o.oldest_success_at, o.newest_success_at,
         coalesce(o.consents_ending, 0) AS consents_ending, coalesce(o.due_now, 0) AS due_now,
         iif(s.refreshes_per_day <= s.refresh_reserve, 0,
             coalesce(o.ready, 0) - coalesce(p.links, 0)) AS refreshable_links,
         p.frees_at AS next_refresh_frees_at,
         -- the minutes that began in the window, and as much of the one before as lies in it
         (SELECT coalesce(sum(iif(q.minute_at > :now - s.request_window_ms, q.requests,
                                  q.requests * (q.minute_at + 60000 + s.request_window_ms - :now) / 60000)), 0)
          FROM request_usage q
          WHERE q.source_id = s.source_id
              AND q.minute_at > :now - s.request_window_ms - 60000) AS requests_last_window,
         coalesce(c.users, 0) AS users, c.links_due_at,
         (SELECT coalesce(sum(requests), 0) FROM request_usage q
          WHERE q.source_id = s.source_id AND q.minute_at > :now - 3600000) AS requests_last_hour,
         (SELECT coalesce(sum(rate_limited), 0) FROM request_usage q
          WHERE q.source_id = s.source_id AND q.minute_at > :now - 3600000) AS rate_limited_last_hour,
         (SELECT coalesce(sum(used), 0) FROM spent WHERE spent.source_id = s.source_id) AS refreshes_last_day,
         (SELECT coalesce(sum(refreshes), 0) FROM source_days d
          WHERE d.source_id = s.source_id AND d.day_at >= :month) AS refreshes_this_month,
         (SELECT count(*) FROM rejected_rows x CROSS JOIN links l ON l.link_id = x.link_id
          WHERE l.source_id = s.source_id AND x.resolved_at IS NULL) AS rejected_rows
     FROM sources s LEFT JOIN of_links o ON o.source_id = s.source_id LEFT JOIN spent_up p ON p.source_id = s.source_id
     LEFT JOIN customers c ON c.source_id = s.source_id
     ORDER BY s.name";

impl ReadTxn<'_> {
    /// Every source that is configured or has links, by name.
    ///
    /// `month_began` is the start of the month that the monthly cap counts in.
    pub fn source_reports(&self, now: Timestamp, month_began: Timestamp) -> Result<Vec<SourceReport>, StoreError> {
        let mut select = self.txn.prepare_cached(SOURCE_REPORTS)?;
        let near = i64::try_from(CONSENT_NEAR.as_millis()).unwrap_or(i64::MAX);
        let mut rows = select.query(named_params! { ":now": ms(now), ":month": ms(month_began), ":near": near })?;
        let mut counts = self.link_counts()?;
        let mut reports = Vec::new();
        while let Some(row) = rows.next()? {
            let links = counts.remove(&row.get("source_id")?).unwrap_or_default();
            let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
            reports.push(SourceReport {
                name: row.get("name")?,
                aggregator: row.get("aggregator")?,
                retired_at: at("retired_at")?,
                links_by_state: links.by_state,
                links_by_condition: links.by_condition,
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

    /// How many links of each source are in each state, and of those that are synced, in each condition that is not well.
    fn link_counts(&self) -> Result<HashMap<i64, LinkCounts>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT source_id, {STATE} AS state, condition, count(*) AS links FROM links GROUP BY +source_id, state, condition"
        ))?;
        let mut rows = select.query([])?;
        let mut counts: HashMap<i64, LinkCounts> = HashMap::new();
        while let Some(row) = rows.next()? {
            let of_source = counts.entry(row.get("source_id")?).or_default();
            let (state, condition): (String, String) = (row.get("state")?, row.get("condition")?);
            let links: u64 = row.get("links")?;
            let is_synced = state != "removed" && state != "paused";
            if is_synced && condition != "well" && condition != "needs_person" {
                *of_source.by_condition.entry(condition).or_default() += links;
            }
            *of_source.by_state.entry(state).or_default() += links;
        }
        Ok(counts)
    }
}

#[derive(Default)]
struct LinkCounts {
    by_state: BTreeMap<String, u64>,
    by_condition: BTreeMap<String, u64>,
}
