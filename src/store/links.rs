//! Links and what hangs on them: users, institutions, the access token, when next and in which phase.

mod detail;
mod due;
mod next;
mod outline;
mod write;

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{ReadTxn, StoreError, instant};
use crate::model::{Attention, Cause, LinkRecord, UserRecord};
use crate::secret::{Place, Secret};

pub use detail::LinkDetail;
pub use due::{Agenda, Due, DueLink};
pub use outline::LinkOutline;

/// What comes next for a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A new sync starts at `due_at`.
    Idle,
    /// A refresh runs; it is looked at again at `due_at`.
    Refreshing,
    /// The refresh is over; the pull starts or goes on at `due_at`.
    Pulling,
}

impl Phase {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Refreshing => "refreshing",
            Self::Pulling => "pulling",
        }
    }

    pub(super) fn from_word(word: &str) -> Result<Self, StoreError> {
        [Self::Idle, Self::Refreshing, Self::Pulling]
            .into_iter()
            .find(|p| p.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord { column: "links.phase", value: word.to_owned() })
    }
}

/// Who took a link out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovedBy {
    /// The aggregator deleted it; it returns if the aggregator shows it again.
    Aggregator,
    /// An operator did; only an operator brings it back.
    Operator,
}

impl RemovedBy {
    fn as_str(self) -> &'static str {
        match self {
            Self::Aggregator => "aggregator",
            Self::Operator => "operator",
        }
    }
}

/// Everything a sync needs to know about its link.
#[derive(Debug, Clone)]
pub struct LinkState {
    /// Our id.
    pub link_id: i64,
    /// Its source.
    pub source_id: i64,
    /// The customer.
    pub user_id: i64,
    /// The aggregator's id.
    pub upstream_id: String,
    /// The aggregator's id of the customer.
    pub upstream_user_id: String,
    /// What a refresh needs.
    pub access_token: Option<Secret>,
    /// What only a person can repair.
    pub attention: Option<Attention>,
    /// What comes next.
    pub phase: Phase,
    /// When.
    pub due_at: Timestamp,
    /// Why.
    pub due_cause: Cause,
    /// The next pull walks the whole history.
    pub wants_full: bool,
    /// The open sync.
    pub sync_id: Option<i64>,
    /// Failed syncs since the last success.
    pub consecutive_failures: u32,
    /// Last success.
    pub last_success_at: Option<Timestamp>,
    /// No refresh before.
    pub refresh_hold_until: Option<Timestamp>,
    /// When the whole history is walked next.
    pub reconcile_due_at: Option<Timestamp>,
    /// When account numbers were last read.
    pub numbers_checked_at: Option<Timestamp>,
    /// An operator paused it.
    pub paused_at: Option<Timestamp>,
    /// Gone at the aggregator.
    pub removed_at: Option<Timestamp>,
    /// First seen.
    pub first_seen_at: Timestamp,
    /// The aggregator's word for the connection.
    pub upstream_status: Option<String>,
    /// `well`, `connecting`, `incomplete`, `passing` or `needs_person`.
    pub condition: String,
    /// Since when; `None`: from the beginning.
    pub condition_at: Option<Timestamp>,
    /// When the aggregator last tried to read the bank.
    pub tried_at: Option<Timestamp>,
    /// The same as of when its accounts were last stored.
    pub read_tried_at: Option<Timestamp>,
}

/// A link to be stored.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// Its customer.
    pub user: UserRecord,
    /// The link.
    pub link: LinkRecord,
}

/// What storing a link did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Upserted {
    /// Our id.
    pub link_id: i64,
    /// It was not in the store before.
    pub is_new: bool,
}

/// What discovery compares a listed link with.
#[derive(Debug, Clone)]
pub struct KnownLink {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The aggregator's id of the customer.
    pub user: String,
    /// The last four characters of the stored token.
    pub token_suffix: Option<String>,
    /// Gone at the aggregator.
    pub is_removed: bool,
}

const STATE_COLUMNS: &str =
    "l.link_id, l.source_id, l.upstream_id, u.upstream_id AS upstream_user_id, l.access_token_sealed,
    l.attention, l.phase, l.due_at, l.due_cause, l.wants_full, l.sync_id, l.consecutive_failures, l.last_success_at,
    l.refresh_hold_until, l.reconcile_due_at, l.numbers_checked_at, l.paused_at, l.removed_at, l.first_seen_at,
    l.user_id, l.upstream_status, l.condition, l.condition_at, l.tried_at, l.read_tried_at";

fn optional_instant(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(instant))
}

impl ReadTxn<'_> {
    fn link_state_of(&self, row: &Row<'_>) -> Result<LinkState, StoreError> {
        let link_id: i64 = row.get("link_id")?;
        let sealed: Option<Vec<u8>> = row.get("access_token_sealed")?;
        let access_token =
            sealed.map(|s| self.unseal("links", "access_token_sealed", link_id, &s)).transpose()?.flatten();
        let attention: Option<String> = row.get("attention")?;
        let due_cause: String = row.get("due_cause")?;
        Ok(LinkState {
            link_id,
            source_id: row.get("source_id")?,
            upstream_id: row.get("upstream_id")?,
            upstream_user_id: row.get("upstream_user_id")?,
            access_token,
            attention: attention.as_deref().and_then(Attention::from_word),
            phase: Phase::from_word(&row.get::<_, String>("phase")?)?,
            due_at: instant(row.get("due_at")?),
            due_cause: Cause::from_word(&due_cause)
                .ok_or(StoreError::UnknownWord { column: "links.due_cause", value: due_cause })?,
            wants_full: row.get("wants_full")?,
            sync_id: row.get("sync_id")?,
            consecutive_failures: row.get("consecutive_failures")?,
            last_success_at: optional_instant(row, "last_success_at")?,
            refresh_hold_until: optional_instant(row, "refresh_hold_until")?,
            reconcile_due_at: optional_instant(row, "reconcile_due_at")?,
            numbers_checked_at: optional_instant(row, "numbers_checked_at")?,
            paused_at: optional_instant(row, "paused_at")?,
            removed_at: optional_instant(row, "removed_at")?,
            first_seen_at: instant(row.get("first_seen_at")?),
            user_id: row.get("user_id")?,
            upstream_status: row.get("upstream_status")?,
            condition: row.get("condition")?,
            condition_at: optional_instant(row, "condition_at")?,
            tried_at: optional_instant(row, "tried_at")?,
            read_tried_at: optional_instant(row, "read_tried_at")?,
        })
    }

    /// Opens a sealed value; `None` where this store was opened without its key.
    pub(super) fn unseal(
        &self,
        table: &'static str,
        column: &'static str,
        row_id: i64,
        sealed: &[u8],
    ) -> Result<Option<Secret>, StoreError> {
        if !self.opens_secrets {
            return Ok(None);
        }
        let place = Place { table, column, row_id };
        let plain =
            self.sealer.open(place, sealed).map_err(|source| StoreError::Sealed { table, column, row_id, source })?;
        Ok(Some(Secret::new(String::from_utf8_lossy(&plain).into_owned())))
    }

    /// Everything a sync needs to know about its link.
    pub fn link_state(&self, link_id: i64) -> Result<LinkState, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {STATE_COLUMNS} FROM links l JOIN users u ON u.user_id = l.user_id WHERE l.link_id = :link_id"
        ))?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        match rows.next()? {
            Some(row) => self.link_state_of(row),
            None => Err(StoreError::Missing { what: "link", id: link_id }),
        }
    }

    /// The link that a person names by our id or by the aggregator's; ours first, because theirs may be numbers too.
    ///
    /// Shape: of several that are named alike, as after a source was given another name, the one that is worked on.
    pub fn find_link(&self, name: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT link_id FROM links l WHERE link_id = :id OR upstream_id = :name
             ORDER BY link_id IS NOT :id,
                      (SELECT s.retired_at IS NOT NULL FROM sources s WHERE s.source_id = l.source_id),
                      removed_at IS NOT NULL, link_id
             LIMIT 1",
        )?;
        let id: Option<i64> = name.parse().ok();
        Ok(select.query_row(named_params! { ":id": id, ":name": name }, |row| row.get(0)).optional()?)
    }

    /// Every link that is neither paused nor removed, of a configured source.
    pub fn syncable_links(&self) -> Result<Vec<i64>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.link_id FROM links l JOIN sources s ON s.source_id = l.source_id
             WHERE l.removed_at IS NULL AND l.paused_at IS NULL AND s.retired_at IS NULL ORDER BY l.link_id",
        )?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// A source's link with this upstream id; `None` if there is none. Two sources may name their links alike.
    pub fn link_of_source(&self, source_id: i64, upstream_id: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self
            .txn
            .prepare_cached("SELECT link_id FROM links WHERE source_id = :source_id AND upstream_id = :upstream_id")?;
        let parameters = named_params! { ":source_id": source_id, ":upstream_id": upstream_id };
        Ok(select.query_row(parameters, |row| row.get(0)).optional()?)
    }

    /// A link with this upstream id at any source; `None` if there is none.
    pub fn link_by_upstream_id(&self, upstream_id: &str) -> Result<Option<i64>, StoreError> {
        let mut select = self.txn.prepare_cached("SELECT link_id FROM links WHERE upstream_id = :id LIMIT 1")?;
        Ok(select.query_row(named_params! { ":id": upstream_id }, |row| row.get(0)).optional()?)
    }

    /// A source's links by upstream id, with what discovery compares: the token's last four characters and the status.
    ///
    /// Shape: in upstream id order.
    pub fn known_links(&self, source_id: i64) -> Result<Vec<KnownLink>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.link_id, l.upstream_id, u.upstream_id AS user, l.access_token_sealed,
                    l.removed_by IS 'aggregator' AS is_removed
             FROM links l JOIN users u ON u.user_id = l.user_id WHERE l.source_id = :source_id ORDER BY l.upstream_id",
        )?;
        let mut rows = select.query(named_params! { ":source_id": source_id })?;
        let mut known = Vec::new();
        while let Some(row) = rows.next()? {
            let link_id: i64 = row.get("link_id")?;
            let sealed: Option<Vec<u8>> = row.get("access_token_sealed")?;
            let token = match sealed.map(|s| self.unseal("links", "access_token_sealed", link_id, &s)).transpose() {
                Ok(token) => token.flatten(),
                // One that does not open is none: the listing asks for it anew, and no other link waits for it.
                Err(StoreError::Sealed { .. }) => None,
                Err(error) => return Err(error),
            };
            known.push(KnownLink {
                upstream_id: row.get("upstream_id")?,
                user: row.get("user")?,
                token_suffix: token.map(|token| token_suffix(token.expose()).to_owned()),
                is_removed: row.get("is_removed")?,
            });
        }
        Ok(known)
    }
}

/// The part of a token that a masked one still shows.
pub(super) fn token_suffix(token: &str) -> &str {
    token.char_indices().rev().nth(3).map_or(token, |(at, _)| &token[at..])
}
