//! The figures that monitoring asks for every few seconds, so each is cheap: nothing here counts syncs, transactions or
//! minutes of request usage, whose totals are kept with them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, named_params};

use super::report::{CONSENT_NEAR, STATE};
use super::{BackupGlance, ConfigLoad, ReadTxn, Store, StoreError, WalHeld, file, instant, ms};

/// A link that should have been worked on this long ago is overdue: workers, limits or the process do not keep up.
pub const OVERDUE: SignedDuration = SignedDuration::from_mins(10);

/// Everything that one reading tells.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Every configured source, by name.
    pub sources: Vec<SourceFigures>,
    /// Alerts that have not ended, by kind.
    pub alerts_open: BTreeMap<String, u64>,
    /// Alerts whose beginning or end is still to be told.
    pub alerts_to_tell: u64,
    /// The configuration that was read last, in use or refused; `None`: no daemon has worked on this store.
    pub config_read: Option<ConfigLoad>,
    /// When the one in use was taken over.
    pub config_in_use_at: Option<Timestamp>,
    /// Whether a reader keeps the large write-ahead log from being cut; `None`: none does.
    pub wal_held: Option<WalHeld>,
    /// How backups stand.
    pub backups: BackupGlance,
    /// When the store was made.
    pub created_at: Option<Timestamp>,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceFigures {
    /// Our id.
    pub source_id: i64,
    /// Its name.
    pub name: String,
    /// The word for its aggregator.
    pub aggregator: String,
    /// Links by state word; states without links are left out.
    pub links: BTreeMap<String, u64>,
    /// The last success of any link; `None`: never.
    pub newest_success_at: Option<Timestamp>,
    /// Since when there has been nothing new: the last success, or the first sight of the source.
    pub fresh_at: Timestamp,
    /// The same for the link that was without success for longest; links that are paused, removed or need a person left out.
    /// `None`: there is no such link.
    pub stalest_link_at: Option<Timestamp>,
    /// Links due now or earlier.
    pub links_due: u64,
    /// Of those, due for longer than [`OVERDUE`].
    pub links_overdue: u64,
    /// Consents that end within [`CONSENT_NEAR`] or have ended.
    pub consents_ending: u64,
    /// Ended syncs and their rows, by cause and outcome.
    pub syncs: Vec<SyncTotals>,
    /// Requests since the store was made, by scope.
    pub requests: Vec<RequestTotals>,
    /// Refreshes asked for since the day began (UTC) that count against the limits.
    pub refreshes_today: u64,
    /// The same since the month began.
    pub refreshes_this_month: u64,
    /// Those of them that are billed.
    pub refreshes_billed_this_month: u64,
    /// Per link and rolling day; 0: none is ever asked for.
    pub refreshes_per_day: u64,
    /// Cap per month.
    pub refreshes_per_month: Option<u64>,
    /// No request before this instant.
    pub hold_until: Option<Timestamp>,
    /// Failed listings of users and links since the last that worked.
    pub discover_failures: u64,
    /// When it worked last.
    pub discovered_at: Option<Timestamp>,
    /// Malformed rows set aside and not resolved.
    pub rejected_rows: u64,
    /// How the aggregator lists our address for webhooks; `None`: not known.
    pub webhook_endpoint: Option<String>,
    /// Events stored and not handled.
    pub webhooks_waiting: u64,
    /// When the oldest of them came.
    pub oldest_webhook_at: Option<Timestamp>,
    /// When the newest event came, handled or not.
    pub newest_webhook_at: Option<Timestamp>,
}

/// Syncs that ended in one way for one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncTotals {
    /// Why they ran.
    pub cause: String,
    /// How they ended.
    pub outcome: String,
    /// How many.
    pub syncs: u64,
    /// Rows read.
    pub rows_seen: u64,
    /// Rows written or set aside, by what became of them.
    pub rows: [(&'static str, u64); 6],
}

/// Requests of one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTotals {
    /// Which limit they count against.
    pub scope: String,
    /// Sent.
    pub requests: u64,
    /// Answered 429.
    pub rate_limited: u64,
    /// Without a usable answer.
    pub failed: u64,
}

/// What a store takes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreSize {
    /// The file.
    pub file_bytes: u64,
    /// Its write-ahead log.
    pub wal_bytes: u64,
}

impl Store {
    /// What the store takes on disk; zero where the system does not say.
    pub fn size(&self) -> StoreSize {
        let length = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len());
        StoreSize { file_bytes: length(self.path()), wal_bytes: length(&file::wal_path(self.path())) }
    }
}

impl ReadTxn<'_> {
    /// All figures at one instant.
    ///
    /// `month_began` is the start of the month that the monthly cap counts in.
    pub fn figures(&self, now: Timestamp, month_began: Timestamp) -> Result<Figures, StoreError> {
        let mut sources = self.configured_sources(now, month_began)?;
        self.add_links(&mut sources, now)?;
        self.add_totals(&mut sources)?;
        self.add_webhooks(&mut sources)?;
        let mut open = self
            .txn
            .prepare_cached("SELECT kind, count(*) AS alerts FROM alerts WHERE resolved_at IS NULL GROUP BY kind")?;
        let open = open.query_map([], |row| Ok((row.get("kind")?, row.get("alerts")?)))?;
        let mut to_tell = self.txn.prepare_cached("SELECT count(*) FROM alerts WHERE next_try_at IS NOT NULL")?;
        Ok(Figures {
            sources,
            alerts_open: open.collect::<Result<_, _>>()?,
            alerts_to_tell: to_tell.query_row([], |row| row.get(0))?,
            config_read: self.last_config_load()?,
            config_in_use_at: self.config_in_use()?.map(|load| load.loaded_at),
            wal_held: self.wal_held()?,
            backups: self.backup_glance()?,
            created_at: self.created_at()?,
        })
    }

    /// When the store was made.
    pub fn created_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT value FROM store_meta WHERE name = 'created_at'")?;
        let at: Option<i64> = select.query_row([], |row| row.get("value")).optional()?;
        Ok(at.map(instant))
    }

    fn configured_sources(&self, now: Timestamp, month_began: Timestamp) -> Result<Vec<SourceFigures>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT s.source_id, s.name, s.aggregator, s.first_seen_at, s.refreshes_per_day, s.refreshes_per_month,
                    s.hold_until, s.discover_failures, s.discovered_at, s.webhook_endpoint,
                    coalesce(d.refreshes_today, 0) AS refreshes_today,
                    coalesce(d.refreshes_this_month, 0) AS refreshes_this_month,
                    coalesce(d.refreshes_billed_this_month, 0) AS refreshes_billed_this_month,
                    (SELECT max(received_at) FROM webhook_events e WHERE e.source_id = s.source_id) AS newest_webhook_at
             FROM sources s
             LEFT JOIN (SELECT source_id, sum(iif(day_at > :now - 86400000, refreshes, 0)) AS refreshes_today,
                               sum(refreshes) AS refreshes_this_month, sum(refreshes_billed) AS refreshes_billed_this_month
                        FROM source_days WHERE day_at >= :month GROUP BY source_id) d ON d.source_id = s.source_id
             WHERE s.retired_at IS NULL ORDER BY s.name",
        )?;
        let rows = select.query_map(named_params! { ":now": ms(now), ":month": ms(month_began) }, |row| {
            let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
            Ok(SourceFigures {
                source_id: row.get("source_id")?,
                name: row.get("name")?,
                aggregator: row.get("aggregator")?,
                links: BTreeMap::new(),
                newest_success_at: None,
                fresh_at: instant(row.get("first_seen_at")?),
                stalest_link_at: None,
                links_due: 0,
                links_overdue: 0,
                consents_ending: 0,
                syncs: Vec::new(),
                requests: Vec::new(),
                refreshes_today: row.get("refreshes_today")?,
                refreshes_this_month: row.get("refreshes_this_month")?,
                refreshes_billed_this_month: row.get("refreshes_billed_this_month")?,
                refreshes_per_day: row.get("refreshes_per_day")?,
                refreshes_per_month: row.get("refreshes_per_month")?,
                hold_until: at("hold_until")?,
                discover_failures: row.get("discover_failures")?,
                discovered_at: at("discovered_at")?,
                rejected_rows: 0,
                webhook_endpoint: row.get("webhook_endpoint")?,
                webhooks_waiting: 0,
                oldest_webhook_at: None,
                newest_webhook_at: at("newest_webhook_at")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The `+` keeps the index on the source out of it: one pass over the table takes a third of the time of a walk along an index.
    fn add_links(&self, sources: &mut [SourceFigures], now: Timestamp) -> Result<(), StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT source_id, {STATE} AS state, count(*) AS links, max(last_success_at) AS newest,
                    min(coalesce(last_success_at, first_seen_at)) AS stalest,
                    sum(due_at <= :now) AS due, sum(due_at < :overdue) AS overdue,
                    sum(coalesce(consent_expires_at <= :near, 0)) AS consents
             FROM links GROUP BY +source_id, state"
        ))?;
        let near = now.saturating_add(CONSENT_NEAR).unwrap_or(Timestamp::MAX);
        let overdue = now.saturating_sub(OVERDUE).unwrap_or(now);
        let mut rows = select.query(named_params! { ":now": ms(now), ":overdue": ms(overdue), ":near": ms(near) })?;
        while let Some(row) = rows.next()? {
            let Some(source) = of_source(sources, row.get("source_id")?) else { continue };
            let state: String = row.get("state")?;
            let newest = row.get::<_, Option<i64>>("newest")?.map(instant);
            source.newest_success_at = source.newest_success_at.max(newest);
            let is_synced = state != "removed" && state != "paused";
            if is_synced {
                source.links_due += row.get::<_, u64>("due")?;
                source.links_overdue += row.get::<_, u64>("overdue")?;
                source.consents_ending += row.get::<_, u64>("consents")?;
            }
            if is_synced && state != "attention" {
                let stalest = instant(row.get("stalest")?);
                source.stalest_link_at = Some(source.stalest_link_at.map_or(stalest, |known| known.min(stalest)));
            }
            source.links.insert(state, row.get("links")?);
        }
        for source in sources {
            source.fresh_at = source.newest_success_at.unwrap_or(source.fresh_at);
        }
        Ok(())
    }

    fn add_totals(&self, sources: &mut [SourceFigures]) -> Result<(), StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, cause, outcome, syncs, rows_seen, rows_added, rows_updated, rows_posted, rows_removed,
                    rows_restored, rows_rejected
             FROM sync_totals ORDER BY cause, outcome",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let Some(source) = of_source(sources, row.get("source_id")?) else { continue };
            source.syncs.push(SyncTotals {
                cause: row.get("cause")?,
                outcome: row.get("outcome")?,
                syncs: row.get("syncs")?,
                rows_seen: row.get("rows_seen")?,
                rows: [
                    ("added", row.get("rows_added")?),
                    ("updated", row.get("rows_updated")?),
                    ("posted", row.get("rows_posted")?),
                    ("removed", row.get("rows_removed")?),
                    ("restored", row.get("rows_restored")?),
                    ("rejected", row.get("rows_rejected")?),
                ],
            });
        }
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, scope, requests, rate_limited, failed FROM request_totals ORDER BY scope",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let Some(source) = of_source(sources, row.get("source_id")?) else { continue };
            source.requests.push(RequestTotals {
                scope: row.get("scope")?,
                requests: row.get("requests")?,
                rate_limited: row.get("rate_limited")?,
                failed: row.get("failed")?,
            });
        }
        let mut select = self.txn.prepare_cached(
            "SELECT l.source_id, count(*) AS rejected FROM rejected_rows x JOIN links l ON l.link_id = x.link_id
             WHERE x.resolved_at IS NULL GROUP BY l.source_id",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(source) = of_source(sources, row.get("source_id")?) {
                source.rejected_rows = row.get("rejected")?;
            }
        }
        Ok(())
    }

    /// By the index of those that wait: left to choose, SQLite walks along the one that is in the order of the sources, which
    /// holds a month of events.
    fn add_webhooks(&self, sources: &mut [SourceFigures]) -> Result<(), StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT source_id, count(*) AS waiting, min(received_at) AS oldest
             FROM webhook_events INDEXED BY webhook_events_waiting WHERE handled_at IS NULL GROUP BY source_id",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if let Some(source) = of_source(sources, row.get("source_id")?) {
                source.webhooks_waiting = row.get("waiting")?;
                source.oldest_webhook_at = row.get::<_, Option<i64>>("oldest")?.map(instant);
            }
        }
        Ok(())
    }
}

fn of_source(sources: &mut [SourceFigures], source_id: i64) -> Option<&mut SourceFigures> {
    sources.iter_mut().find(|source| source.source_id == source_id)
}
