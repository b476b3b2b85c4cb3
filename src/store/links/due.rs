//! What a source has to do: which links are due, in which order, and when there is more.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, named_params};

use crate::store::{DueUser, ReadTxn, StoreError, instant, ms};

/// Up to when links count as due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Now.
    pub now: Timestamp,
    /// New syncs start only for links that were due by then; begun ones go on in any case.
    pub starts_until: Timestamp,
}

/// A link whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueLink {
    /// The link.
    pub link_id: i64,
    /// Its customer.
    pub user_id: i64,
}

/// What a source has to do at an instant, and when it has more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Agenda {
    /// Its users and links are to be listed.
    pub lists: bool,
    /// They never were.
    pub lists_first: bool,
    /// Links that were read completely before, the most urgent first.
    pub links: Vec<DueLink>,
    /// Links that never were, in the same order.
    pub backfills: Vec<DueLink>,
    /// Customers whose links are to be looked at, the longest due first.
    pub users: Vec<DueUser>,
    /// The first instant at which more becomes due; `None`: at none that is known.
    pub more_at: Option<Timestamp>,
}

impl Due {
    /// Everything that is due now.
    pub fn now(now: Timestamp) -> Self {
        Self { now, starts_until: now }
    }
}

impl ReadTxn<'_> {
    /// What a source has to do.
    ///
    /// Shape: at most `limit` of each kind; nothing while the aggregator holds the source, and nothing for a retired one.
    pub fn agenda(&self, source_id: i64, due: Due, limit: usize) -> Result<Agenda, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT hold_until, discover_due_at, discovered_at IS NULL AS lists_first FROM sources
             WHERE source_id = :source_id AND retired_at IS NULL",
        )?;
        let source = select
            .query_row(named_params! { ":source_id": source_id }, |row| {
                let hold_until: Option<i64> = row.get("hold_until")?;
                Ok((hold_until.map(instant), instant(row.get("discover_due_at")?), row.get("lists_first")?))
            })
            .optional()?;
        let Some((hold_until, discover_due_at, lists_first)) = source else { return Ok(Agenda::default()) };
        if hold_until.is_some_and(|until| until > due.now) {
            return Ok(Agenda { more_at: hold_until, ..Agenda::default() });
        }
        let lists = discover_due_at <= due.now;
        let mut agenda = Agenda { lists, lists_first, ..Agenda::default() };
        // Most looks find nothing, which the first due time tells.
        let mut next_link_at = self.next_link_at(source_id, Timestamp::MIN)?;
        if next_link_at.is_some_and(|at| at <= due.now) {
            agenda.links = self.due_links(source_id, false, due, limit)?;
            agenda.backfills = self.due_links(source_id, true, due, limit)?;
            next_link_at = self.next_link_at(source_id, due.now)?;
        }
        let mut next_user_at = self.next_user_at(source_id, Timestamp::MIN)?;
        if next_user_at.is_some_and(|at| at <= due.now) {
            agenda.users = self.due_users(source_id, due.starts_until, limit)?;
            next_user_at = self.next_user_at(source_id, due.now)?;
        }
        let more_at = [(!lists).then_some(discover_due_at), next_link_at, next_user_at];
        Ok(Agenda { more_at: more_at.into_iter().flatten().min(), ..agenda })
    }

    /// A source's links whose time has come, the most urgent first: asked for by a person or a webhook, then work already
    /// begun, then the stalest.
    ///
    /// Shape: at most `limit`, either those never pulled completely (`backfills`) or the others; paused and removed ones are
    /// left out.
    fn due_links(&self, source_id: i64, backfills: bool, due: Due, limit: usize) -> Result<Vec<DueLink>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT l.link_id, l.user_id
             FROM links l
             WHERE l.source_id = :source_id AND l.due_at <= :now AND (l.phase <> 'idle' OR l.due_at <= :starts)
               AND l.removed_at IS NULL AND l.paused_at IS NULL
               AND (l.link_id NOT IN (SELECT link_id FROM cursors)) = :backfills
             ORDER BY l.due_cause NOT IN ('person', 'webhook'), l.phase = 'idle', coalesce(l.last_success_at, 0), l.due_at
             LIMIT :limit",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(
            named_params! { ":source_id": source_id, ":backfills": backfills, ":now": ms(due.now), ":starts": ms(due.starts_until), ":limit": limit },
            |row| Ok(DueLink { link_id: row.get("link_id")?, user_id: row.get("user_id")? }),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the first of a source's links becomes due after an instant.
    fn next_link_at(&self, source_id: i64, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT min(due_at) FROM links
             WHERE source_id = :source_id AND removed_at IS NULL AND paused_at IS NULL AND due_at > :after",
        )?;
        let next = select.query_row(named_params! { ":source_id": source_id, ":after": ms(after) }, |row| row.get(0));
        Ok(next.map(|at: Option<i64>| at.map(instant))?)
    }

    /// How many of a source's links are due or in the middle of a sync: what `run --once` still has to do.
    pub fn unfinished_links(&self, source_id: i64, due: Due) -> Result<u64, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT count(*) FROM links l JOIN sources s ON s.source_id = l.source_id
             WHERE l.source_id = :source_id AND l.removed_at IS NULL AND l.paused_at IS NULL AND s.retired_at IS NULL
               AND coalesce(s.hold_until, 0) <= :now AND (l.due_at <= iif(l.phase = 'idle', :starts, :now) OR l.phase = 'refreshing')",
        )?;
        Ok(select.query_row(
            named_params! { ":source_id": source_id, ":now": ms(due.now), ":starts": ms(due.starts_until) },
            |row| row.get(0),
        )?)
    }
}
