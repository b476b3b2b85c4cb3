//! Lists of links, page by page.

use jiff::Timestamp;
use rusqlite::{Row, ToSql, named_params};

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

/// One page of a list.
#[derive(Debug, Clone)]
pub struct LinkPage {
    /// How many links the filter lets through.
    pub total: u64,
    /// Those on this page.
    pub links: Vec<HealthRow>,
}

const MATCHING: &str = "SELECT h.link_id, l.last_success_at FROM links l JOIN v_link_health h ON h.link_id = l.link_id
     WHERE iif(:state IS NULL, h.state <> 'removed', h.state = :state) AND (:source IS NULL OR h.source = :source)";

/// Apart from the others, because it needs the names of the banks.
const SEARCHED: &str = " AND (h.upstream_link_id LIKE :search ESCAPE '\\' OR h.user LIKE :search ESCAPE '\\'
          OR h.institution LIKE :search ESCAPE '\\')";

impl LinkFilter {
    /// The search as a pattern of LIKE.
    fn pattern(&self) -> Option<String> {
        let escaped = |text: &String| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        self.search.as_ref().map(|text| format!("%{}%", escaped(text)))
    }
}

impl ReadTxn<'_> {
    /// One page of the links that a filter lets through, `limit` of them after the first `offset`.
    pub fn list_links(
        &self,
        filter: &LinkFilter,
        order: LinkOrder,
        offset: usize,
        limit: usize,
    ) -> Result<LinkPage, StoreError> {
        // Sorted here: SQLite would go through all links once to count and once more to sort.
        let mut matching = self.matching(filter)?;
        match order {
            LinkOrder::Stalest => matching.sort_unstable_by_key(|(link_id, success)| (*success, *link_id)),
            LinkOrder::Freshest => {
                matching.sort_unstable_by_key(|(link_id, success)| std::cmp::Reverse((*success, *link_id)));
            }
            LinkOrder::Oldest => matching.sort_unstable(),
        }
        let links = matching.iter().skip(offset).take(limit).map(|(link_id, _)| self.health_of(*link_id));
        Ok(LinkPage {
            links: links.collect::<Result<_, _>>()?,
            total: u64::try_from(matching.len()).unwrap_or(u64::MAX),
        })
    }

    /// Every link that a filter lets through with its last success, in no order.
    fn matching(&self, filter: &LinkFilter) -> Result<Vec<(i64, Option<i64>)>, StoreError> {
        let row = |row: &Row<'_>| Ok((row.get("link_id")?, row.get("last_success_at")?));
        let pattern = filter.pattern();
        let mut values: Vec<(&str, &dyn ToSql)> = vec![(":state", &filter.state), (":source", &filter.source)];
        let mut sql = MATCHING.to_owned();
        if let Some(pattern) = &pattern {
            sql.push_str(SEARCHED);
            values.push((":search", pattern));
        }
        let mut select = self.txn.prepare_cached(&sql)?;
        let found = select.query_map(values.as_slice(), row)?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Links that need a person, those that have for the longest time first.
    pub fn links_needing_person(&self, limit: usize) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT link_id FROM links
                                 WHERE attention IS NOT NULL AND removed_at IS NULL AND paused_at IS NULL
                                 ORDER BY attention_at, link_id LIMIT :limit)
             ORDER BY l.attention_at, h.link_id"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Links to be read whose customer's consent ends within [`CONSENT_NEAR`] or has ended, the soonest first.
    pub fn consents_to_renew(&self, now: Timestamp, limit: usize) -> Result<Vec<HealthRow>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {HEALTH_COLUMNS} FROM {HEALTH_TABLES}
             WHERE h.link_id IN (SELECT link_id FROM links
                                 WHERE consent_expires_at <= :near AND attention IS NULL AND removed_at IS NULL
                                     AND paused_at IS NULL
                                 ORDER BY consent_expires_at, link_id LIMIT :limit)
             ORDER BY h.consent_expires_at, h.link_id"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let near = now.saturating_add(CONSENT_NEAR).map_or(i64::MAX, ms);
        let rows = select.query_map(named_params! { ":near": near, ":limit": limit }, health_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
