//! Lists of links, page by page.

use jiff::Timestamp;
use rusqlite::named_params;

use super::health::{HEALTH_COLUMNS, HEALTH_TABLES, HealthRow, health_row};
use crate::store::report::CONSENT_NEAR;
use crate::store::{ReadTxn, StoreError, ms};

/// Which links are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkFilter {
    /// Only those in this state; `None`: all but the removed ones.
    pub state: Option<String>,
    /// Only those of the source with this name.
    pub source: Option<String>,
    /// Only those whose upstream id, customer or bank holds this text, in either case of ASCII letters.
    pub search: Option<String>,
}

/// In which order links are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LinkOrder {
    /// Those without a success first, then by the last success, the longest ago first.
    #[default]
    Stalest,
    /// The latest success first.
    Freshest,
    /// In the order in which they were found.
    Oldest,
}

const MATCHING: &str =
    "iif(:state IS NULL, h.state <> 'removed', h.state = :state) AND (:source IS NULL OR h.source = :source)
     AND (:search IS NULL OR h.upstream_link_id LIKE :search ESCAPE '\\' OR h.user LIKE :search ESCAPE '\\'
          OR h.institution LIKE :search ESCAPE '\\')";

impl LinkFilter {
    /// The search as a pattern of LIKE.
    fn pattern(&self) -> Option<String> {
        let escaped = |text: &String| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.search.as_ref().map(|text| format!("%{}%", escaped(text)))
    }
}

impl ReadTxn<'_> {
    /// How many links a filter lets through.
    pub fn count_links(&self, filter: &LinkFilter) -> Result<u64, StoreError> {
        let mut select = self.txn.prepare_cached(&format!("SELECT count(*) FROM v_link_health h WHERE {MATCHING}"))?;
        let number = select.query_row(
            named_params! { ":state": filter.state, ":source": filter.source, ":search": filter.pattern() },
            |row| row.get(0),
        );
        Ok(number?)
    }

    /// One page of the links that a filter lets through.
    pub fn list_links(
        &self,
        filter: &LinkFilter,
        order: LinkOrder,
        offset: u64,
        limit: u64,
    ) -> Result<Vec<HealthRow>, StoreError> {
        let order = match order {
            LinkOrder::Stalest => "l.last_success_at, h.link_id",
            LinkOrder::Freshest => "l.last_success_at DESC, h.link_id DESC",
            LinkOrder::Oldest => "h.link_id",
        };
        // The ids first: sorting would otherwise work out every column of every link.
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT h.link_id FROM v_link_health h JOIN links l ON l.link_id = h.link_id
                                 WHERE {MATCHING} ORDER BY {order} LIMIT :limit OFFSET :offset)
             ORDER BY {order}"
        ))?;
        let rows = select.query_map(
            named_params! {
                ":state": filter.state, ":source": filter.source, ":search": filter.pattern(), ":limit": limit,
                ":offset": offset,
            },
            health_row,
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Links that need a person, those that have for the longest time first.
    pub fn links_needing_person(&self, limit: u64) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT link_id FROM links
                                 WHERE attention IS NOT NULL AND removed_at IS NULL AND paused_at IS NULL
                                 ORDER BY attention_at, link_id LIMIT :limit)
             ORDER BY l.attention_at, h.link_id"
        ))?;
        let rows = select.query_map(named_params! { ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Links to be read whose customer's consent ends within [`CONSENT_NEAR`] or has ended, the soonest first.
    pub fn consents_to_renew(&self, now: Timestamp, limit: u64) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT link_id FROM links
                                 WHERE consent_expires_at <= :near AND attention IS NULL AND removed_at IS NULL
                                     AND paused_at IS NULL
                                 ORDER BY consent_expires_at, link_id LIMIT :limit)
             ORDER BY h.consent_expires_at, h.link_id"
        ))?;
        let near = now.saturating_add(CONSENT_NEAR).map_or(i64::MAX, ms);
        let rows = select.query_map(named_params! { ":near": near, ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
