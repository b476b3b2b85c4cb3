//! Customers, as a list shows them.

use jiff::Timestamp;
use rusqlite::named_params;

use crate::store::{ReadTxn, StoreError, instant};

/// One customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Our id.
    pub user_id: i64,
    /// The source's name.
    pub source: String,
    /// The organisation's own id.
    pub external_id: Option<String>,
    /// The aggregator's.
    pub upstream_id: String,
    /// Links, removed ones included.
    pub links: u64,
    /// `there`, `removed` (gone at the aggregator, history stays) or `being forgotten`.
    pub state: String,
    /// When they were first seen.
    pub first_seen_at: Timestamp,
}

impl ReadTxn<'_> {
    /// The customers of a source, or of all, in the order in which they were found.
    pub fn users_listed(&self, source: Option<&str>) -> Result<Vec<UserRow>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "WITH counted AS (SELECT user_id, count(*) AS links FROM links GROUP BY user_id)
             SELECT u.user_id, s.name AS source, u.external_id, u.upstream_id, coalesce(c.links, 0) AS links, u.first_seen_at,
                    CASE WHEN EXISTS (SELECT 1 FROM erasures e WHERE e.user_id = u.user_id) THEN 'being forgotten'
                         WHEN u.removed_at IS NOT NULL THEN 'removed' ELSE 'there' END AS state
             FROM users u JOIN sources s ON s.source_id = u.source_id LEFT JOIN counted c ON c.user_id = u.user_id
             WHERE :source IS NULL OR s.name = :source ORDER BY u.user_id",
        )?;
        let rows = select.query_map(named_params! { ":source": source }, |row| {
            Ok(UserRow {
                user_id: row.get("user_id")?,
                source: row.get("source")?,
                external_id: row.get("external_id")?,
                upstream_id: row.get("upstream_id")?,
                links: row.get("links")?,
                state: row.get("state")?,
                first_seen_at: instant(row.get("first_seen_at")?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
