//! What the overview needs at a glance, cheap also where there are a hundred thousand links: one pass over the links, and for
//! the rest only what an index leads to.

use std::collections::{BTreeMap, HashMap};

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, named_params};

use super::CONSENT_NEAR;
use super::states::STATE;
use crate::store::{ReadTxn, StoreError, UsageRow, instant, ms};

/// Events that wait are counted up to here; more are as bad.
pub const MAX_WAITING_COUNTED: u64 = 10_000;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A source's links in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkTotals {
    /// Links by state word.
    pub by_state: BTreeMap<String, u64>,
    /// Links that are to be read: new, active and failing ones.
    pub readable: u64,
    /// Those of them that were read recently enough.
    pub fresh: u64,
    /// The one of them whose last success is longest ago, ones without any first; `None`: there is none.
    pub stalest: Option<StalestLink>,
    /// The last success of any link.
    pub newest_success_at: Option<Timestamp>,
    /// Links to be read that have been there for longer than the freshest allowed age.
    pub settled: u64,
    /// Consents of links to be read that end within [`CONSENT_NEAR`] or have ended.
    pub consents_ending: u64,
}

/// The link that was longest not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StalestLink {
    /// Our id.
    pub link_id: i64,
    /// Its last success; `None`: never.
    pub last_success_at: Option<Timestamp>,
}

/// A source as its row has it.
#[derive(Debug, Clone)]
pub struct SourceGlance {
    /// Our id.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// The word for its aggregator.
    pub aggregator: String,
    /// No longer configured since.
    pub retired_at: Option<Timestamp>,
    /// Requests the aggregator allows per window.
    pub request_limit: u64,
    /// Length of that window.
    pub request_window_ms: i64,
    /// Refreshes per link and rolling day; 0: none is ever asked for.
    pub refreshes_per_day: u64,
    /// Cap per month.
    pub refreshes_per_month: Option<u64>,
    /// Last complete listing of users and links.
    pub discovered_at: Option<Timestamp>,
    /// Why the last one failed.
    pub discover_error: Option<String>,
    /// No request before this instant.
    pub hold_until: Option<Timestamp>,
    /// Why.
    pub hold_reason: Option<String>,
    /// `enabled`, `disabled` or `missing`: how the aggregator lists our address; `None`: it does not say.
    pub webhook_endpoint: Option<String>,
    /// Customers that are there.
    pub users: u64,
}

/// Events of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookGlance {
    /// Events by the start of the hour in which they first came, the earliest first.
    pub by_hour: Vec<(Timestamp, u64)>,
    /// The last one; `None`: none is kept.
    pub last_at: Option<Timestamp>,
    /// Not handled yet, counted up to [`MAX_WAITING_COUNTED`].
    pub waiting: u64,
}

impl ReadTxn<'_> {
    /// Every source that was ever configured, by name.
    pub fn source_glances(&self) -> Result<Vec<SourceGlance>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, name, aggregator, retired_at, request_limit, request_window_ms, refreshes_per_day,
                    refreshes_per_month, discovered_at, discover_error, hold_until, hold_reason, webhook_endpoint,
                    (SELECT count(*) FROM users u WHERE u.source_id = s.source_id AND u.removed_at IS NULL) AS users
             FROM sources s ORDER BY name",
        )?;
        let rows = select.query_map([], |row| {
            let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
            Ok(SourceGlance {
                source_id: row.get("source_id")?,
                name: row.get("name")?,
                aggregator: row.get("aggregator")?,
                retired_at: at("retired_at")?,
                request_limit: row.get("request_limit")?,
                request_window_ms: row.get("request_window_ms")?,
                refreshes_per_day: row.get("refreshes_per_day")?,
                refreshes_per_month: row.get("refreshes_per_month")?,
                discovered_at: at("discovered_at")?,
                discover_error: row.get("discover_error")?,
                hold_until: at("hold_until")?,
                hold_reason: row.get("hold_reason")?,
                webhook_endpoint: row.get("webhook_endpoint")?,
                users: row.get("users")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The names of all sources that were ever configured, in order.
    pub fn source_names(&self) -> Result<Vec<String>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT name FROM sources ORDER BY name")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Every source's links in numbers; a source without links is left out.
    ///
    /// `fresh_since` says for each source since when a link must have been read to count as fresh; one that is not named
    /// there is not configured, and of its links only the states are counted.
    pub fn link_totals(
        &self,
        fresh_since: &HashMap<i64, Timestamp>,
        now: Timestamp,
    ) -> Result<HashMap<i64, LinkTotals>, StoreError> {
        // Added up here: to group them SQLite would sort them first, which takes as long again.
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT link_id, source_id, {STATE} AS state, last_success_at, first_seen_at, consent_expires_at FROM links"
        ))?;
        let near = now.saturating_add(CONSENT_NEAR).map_or(i64::MAX, ms);
        let mut totals: HashMap<i64, LinkTotals> = HashMap::new();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let source_id: i64 = row.get("source_id")?;
            let of_source = totals.entry(source_id).or_default();
            let state = row.get_ref("state")?.as_str().unwrap_or_default();
            match of_source.by_state.get_mut(state) {
                Some(number) => *number += 1,
                None => {
                    of_source.by_state.insert(state.to_owned(), 1);
                }
            }
            let success_ms: Option<i64> = row.get("last_success_at")?;
            let last_success_at = success_ms.map(instant);
            of_source.newest_success_at = of_source.newest_success_at.max(last_success_at);
            let Some(fresh_since) =
                fresh_since.get(&source_id).filter(|_| matches!(state, "new" | "active" | "failing"))
            else {
                continue;
            };
            of_source.readable += 1;
            of_source.fresh += u64::from(last_success_at >= Some(*fresh_since));
            of_source.settled += u64::from(row.get::<_, i64>("first_seen_at")? < ms(*fresh_since));
            let consent: Option<i64> = row.get("consent_expires_at")?;
            of_source.consents_ending += u64::from(consent.is_some_and(|at| at <= near));
            if of_source.stalest.is_none_or(|stalest| last_success_at < stalest.last_success_at) {
                of_source.stalest = Some(StalestLink { link_id: row.get("link_id")?, last_success_at });
            }
        }
        Ok(totals)
    }

    /// The requests of a source's credential by minute since `since`, the earliest first; minutes without any are left out.
    pub fn requests_by_minute(&self, source_id: i64, since: Timestamp) -> Result<Vec<UsageRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT minute_at, requests, rate_limited, failed, clock_set_back FROM request_usage
             WHERE source_id = :source_id AND scope = 'secret' AND minute_at >= :since ORDER BY minute_at",
        )?;
        let rows = select.query_map(named_params! { ":source_id": source_id, ":since": ms(since) }, |row| {
            Ok(UsageRow {
                minute_at: instant(row.get("minute_at")?),
                requests: row.get("requests")?,
                rate_limited: row.get("rate_limited")?,
                failed: row.get("failed")?,
                clock_set_back: row.get("clock_set_back")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The events of a source in each hour from `since` to `now`.
    pub fn webhook_glance(
        &self,
        source_id: i64,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<WebhookGlance, StoreError> {
        // Hour by hour, because to group them SQLite would sort a day of events first.
        let mut of_hour = self.txn.prepare_cached(
            "SELECT count(*) FROM webhook_events
             WHERE source_id = :source_id AND received_at >= :from AND received_at < :to",
        )?;
        let mut by_hour = Vec::new();
        let mut from = since;
        while from <= now {
            let to = from.saturating_add(HOUR).unwrap_or(Timestamp::MAX);
            let parameters = named_params! { ":source_id": source_id, ":from": ms(from), ":to": ms(to) };
            by_hour.push((from, of_hour.query_row(parameters, |row| row.get(0))?));
            from = to;
        }
        let mut last = self.txn.prepare_cached(
            "SELECT received_at FROM webhook_events WHERE source_id = :source_id ORDER BY received_at DESC LIMIT 1",
        )?;
        let last_at: Option<i64> =
            last.query_row(named_params! { ":source_id": source_id }, |row| row.get(0)).optional()?;
        // Left to choose, SQLite walks along all events of the source.
        let mut waiting = self.txn.prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM webhook_events INDEXED BY webhook_events_waiting
                                   WHERE handled_at IS NULL AND source_id = :source_id LIMIT :most)",
        )?;
        Ok(WebhookGlance {
            by_hour,
            last_at: last_at.map(instant),
            waiting: waiting
                .query_row(named_params! { ":source_id": source_id, ":most": MAX_WAITING_COUNTED }, |row| row.get(0))?,
        })
    }

    /// Malformed rows that are set aside and not resolved, by source; sources without any are left out.
    pub fn rejected_by_source(&self) -> Result<HashMap<i64, u64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.source_id, count(*) AS rejected FROM rejected_rows x JOIN links l ON l.link_id = x.link_id
             WHERE x.resolved_at IS NULL GROUP BY l.source_id",
        )?;
        let rows = select.query_map([], |row| Ok((row.get("source_id")?, row.get("rejected")?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
