//! A link with everything that a person asks about it.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{LinkState, STATE_COLUMNS, optional_instant};
use crate::store::{ReadTxn, StoreError};

/// A link as the commands show it.
#[derive(Debug, Clone)]
pub struct LinkDetail {
    /// The engine's view.
    pub state: LinkState,
    /// Its source's name.
    pub source: String,
    /// The customer: the organisation's id, else the aggregator's.
    pub user: String,
    /// The bank.
    pub institution: Option<String>,
    /// The aggregator's word for the connection.
    pub upstream_status: Option<String>,
    /// Since when it needs a person.
    pub attention_at: Option<Timestamp>,
    /// What the aggregator said.
    pub attention_detail: Option<String>,
    /// Last try.
    pub last_attempt_at: Option<Timestamp>,
    /// Last failure; `None` after a success.
    pub last_error: Option<String>,
    /// A limit holds it until then.
    pub hold_until: Option<Timestamp>,
    /// Which limit.
    pub hold_reason: Option<String>,
    /// Last complete walk.
    pub covered_to_at: Option<Timestamp>,
    /// `new`, `active`, `attention`, `failing`, `paused` or `removed`.
    pub state_word: String,
}

impl ReadTxn<'_> {
    /// A link as the commands show it.
    pub fn link_detail(&self, link_id: i64) -> Result<LinkDetail, StoreError> {
        // Nobody is shown the token, and one that does not open is no reason to show nothing.
        let state_columns = STATE_COLUMNS.replace("l.access_token_sealed", "NULL AS access_token_sealed");
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {state_columns}, s.name AS source, coalesce(u.external_id, u.upstream_id) AS user,
                    coalesce(i.name, i.upstream_id) AS institution, l.attention_at, l.attention_detail,
                    l.last_attempt_at, l.last_error, l.hold_until, l.hold_reason, c.covered_to_at,
                    h.state AS state_word
             FROM links l
             JOIN users u ON u.user_id = l.user_id
             JOIN sources s ON s.source_id = l.source_id
             JOIN v_link_health h ON h.link_id = l.link_id
             LEFT JOIN institutions i ON i.institution_id = l.institution_id
             LEFT JOIN cursors c ON c.link_id = l.link_id
             WHERE l.link_id = :link_id"
        ))?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        let row = rows.next()?.ok_or(StoreError::Missing { what: "link", id: link_id })?;
        Ok(LinkDetail {
            state: self.link_state_of(row)?,
            source: row.get("source")?,
            user: row.get("user")?,
            institution: row.get("institution")?,
            upstream_status: row.get("upstream_status")?,
            attention_at: optional_instant(row, "attention_at")?,
            attention_detail: row.get("attention_detail")?,
            last_attempt_at: optional_instant(row, "last_attempt_at")?,
            last_error: row.get("last_error")?,
            hold_until: optional_instant(row, "hold_until")?,
            hold_reason: row.get("hold_reason")?,
            covered_to_at: optional_instant(row, "covered_to_at")?,
            state_word: row.get("state_word")?,
        })
    }
}
