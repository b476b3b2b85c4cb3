//! Links and their health, and what stands around one link.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::sources::CONSENT_NEAR;
use super::states::STATE;
use crate::store::{ReadTxn, StoreError, instant};

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
    /// The aggregator's sentence for the customer, in the configured language.
    pub status_detail: Option<String>,
    /// `well`, `connecting`, `incomplete`, `passing` or `needs_person`.
    pub condition: String,
    /// Since when; `None`: from the beginning.
    pub condition_at: Option<Timestamp>,
    /// What only a person can repair.
    pub attention: Option<String>,
    /// Since when.
    pub attention_at: Option<Timestamp>,
    /// Last success.
    pub last_success_at: Option<Timestamp>,
    /// When the aggregator last read the bank with success; `None`: it does not say.
    pub refreshed_at: Option<Timestamp>,
    /// When it last tried.
    pub tried_at: Option<Timestamp>,
    /// When the customer's consent ends; `None`: not known.
    pub consent_expires_at: Option<Timestamp>,
    /// Next work.
    pub due_at: Timestamp,
    /// Refreshes left in the rolling day; `None`: none is ever asked for.
    pub refreshes_left: Option<i64>,
    /// Failed syncs since the last success.
    pub consecutive_failures: u32,
    /// Last failure.
    pub last_error: Option<String>,
}

impl HealthRow {
    /// Until when the customer's consent lasts, if that is near or past.
    pub fn consent_ends_at(&self, now: Timestamp) -> Option<Timestamp> {
        let is_alive = self.state != "removed" && self.state != "paused";
        self.consent_expires_at.filter(|at| is_alive && at.duration_since(now) <= CONSENT_NEAR)
    }
}

/// What stands around a link and says when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// When the state of the customer's links is looked at next; `None`: syncs alone do that, one link at a time.
    pub links_due_at: Option<Timestamp>,
    /// The customer's other links that are synced, in the order they were made.
    pub other_links: Vec<i64>,
    /// Accounts whose whole history is to be read.
    pub waiting_accounts: u64,
    /// Accounts that the customer does not share.
    pub hidden_accounts: u64,
    /// Accounts that the last try at the bank did not reach.
    pub unrefreshed_accounts: u64,
}

pub(super) fn health_row(row: &Row<'_>) -> rusqlite::Result<HealthRow> {
    let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
    Ok(HealthRow {
        link_id: row.get("link_id")?,
        source: row.get("source")?,
        upstream_link_id: row.get("upstream_link_id")?,
        user: row.get("user")?,
        institution: row.get("institution")?,
        state: row.get("state")?,
        upstream_status: row.get("upstream_status")?,
        status_detail: row.get("status_detail")?,
        condition: row.get("condition")?,
        condition_at: at("condition_at")?,
        attention: row.get("attention")?,
        attention_at: at("attention_at")?,
        last_success_at: at("last_success_at")?,
        refreshed_at: at("refreshed_at")?,
        tried_at: at("tried_at")?,
        consent_expires_at: at("consent_expires_at")?,
        due_at: instant(row.get("due_at")?),
        refreshes_left: row.get("refreshes_left")?,
        consecutive_failures: row.get("consecutive_failures")?,
        last_error: row.get("last_error")?,
    })
}

pub(super) const HEALTH_COLUMNS: &str =
    "h.link_id, h.source, h.upstream_link_id, h.user, h.institution, h.state, h.upstream_status,
    h.status_detail, h.condition, l.condition_at, h.attention, l.attention_at, h.last_success_at, h.refreshed_at, l.tried_at,
    h.consent_expires_at, h.due_at, iif(s.refreshes_per_day = 0, NULL, h.refreshes_left) AS refreshes_left,
    h.consecutive_failures, h.last_error";

pub(super) const HEALTH_TABLES: &str =
    "v_link_health h JOIN links l ON l.link_id = h.link_id JOIN sources s ON s.source_id = l.source_id";

impl ReadTxn<'_> {
    /// Links with their health, by source and link id.
    ///
    /// Shape: all of them, or those whose state is `state`; at most `limit`.
    pub fn link_health(&self, state: Option<&str>, limit: usize) -> Result<Vec<HealthRow>, StoreError> {
        // Where an index has what may be in a state, nothing else is looked at.
        let among = match state {
            Some("attention") => "h.link_id IN (SELECT link_id FROM links WHERE attention IS NOT NULL)",
            Some("failing") => {
                "h.link_id IN (SELECT link_id FROM links WHERE consecutive_failures > 0 OR condition = 'passing')"
            }
            _ => "true",
        };
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE (:state IS NULL OR h.state = :state) AND {among} ORDER BY h.source, h.link_id LIMIT :limit"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":state": state, ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Links that are synced and of which the aggregator says that rows are missing, those for the longest time first.
    pub fn incomplete_links(&self, limit: usize) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT link_id FROM links WHERE condition = 'incomplete' AND {STATE} IN ('new', 'active')
                                 ORDER BY condition_at, link_id LIMIT :limit)
             ORDER BY l.condition_at, h.link_id"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// One link's health.
    pub fn health_of(&self, link_id: i64) -> Result<HealthRow, StoreError> {
        let mut select = self
            .txn
            .prepare_cached(&format!("SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES} WHERE h.link_id = :link_id"))?;
        let row = select.query_row(named_params! { ":link_id": link_id }, health_row).optional()?;
        row.ok_or(StoreError::Missing { what: "link", id: link_id })
    }

    /// What stands around a link.
    pub fn surroundings(&self, link_id: i64) -> Result<Surroundings, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT u.user_id, u.links_due_at,
                    (SELECT count(*) FROM accounts a WHERE a.link_id = l.link_id AND a.needs_history = 1
                         AND a.missing_at IS NULL AND a.is_shared IS NOT 0) AS waiting,
                    (SELECT count(*) FROM accounts a WHERE a.link_id = l.link_id AND a.is_shared = 0
                         AND a.missing_at IS NULL) AS hidden,
                    (SELECT count(*) FROM accounts a WHERE a.link_id = l.link_id AND a.is_refreshed = 0
                         AND a.missing_at IS NULL AND a.is_shared IS NOT 0) AS unrefreshed
             FROM links l JOIN users u ON u.user_id = l.user_id WHERE l.link_id = :link_id",
        )?;
        let found = select
            .query_row(named_params! { ":link_id": link_id }, |row| {
                let surroundings = Surroundings {
                    links_due_at: row.get::<_, Option<i64>>("links_due_at")?.map(instant),
                    other_links: Vec::new(),
                    waiting_accounts: row.get("waiting")?,
                    hidden_accounts: row.get("hidden")?,
                    unrefreshed_accounts: row.get("unrefreshed")?,
                };
                Ok((row.get::<_, i64>("user_id")?, surroundings))
            })
            .optional()?;
        let (user_id, surroundings) = found.ok_or(StoreError::Missing { what: "link", id: link_id })?;
        let mut other_links = self.syncable_links_of(user_id)?;
        other_links.retain(|other| *other != link_id);
        Ok(Surroundings { other_links, ..surroundings })
    }
}
