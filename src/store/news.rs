//! What news is about, and what it makes due.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{Phase, ReadTxn, StoreError, WriteTxn, ms};

/// How long after its first event a link is read: events come in bursts, one for each account.
pub const SETTLE: SignedDuration = SignedDuration::from_secs(5);

/// A link that news is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewsLink {
    /// Our id.
    pub link_id: i64,
    /// Its customer.
    pub user_id: i64,
    /// An operator paused it or took it out: what is said of it changes nothing.
    pub rests: bool,
    /// It is gone at the aggregator.
    pub is_gone: bool,
    /// What comes next.
    pub phase: Phase,
    /// The open sync.
    pub sync_id: Option<i64>,
}

/// A customer that news is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewsUser {
    /// Our id.
    pub user_id: i64,
    /// Deleted at the aggregator.
    pub is_removed: bool,
}

/// A refresh that news is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewsRefresh {
    /// Our id.
    pub refresh_id: i64,
    /// Its link.
    pub link_id: i64,
    /// The sync it belongs to.
    pub sync_id: i64,
    /// It has ended.
    pub is_over: bool,
    /// The aggregator's last word.
    pub upstream_status: Option<String>,
}

const LINK_COLUMNS: &str = "link_id, user_id, paused_at IS NOT NULL OR removed_by IS 'operator' AS rests,
    removed_by IS 'aggregator' AS is_gone, phase, sync_id";

fn news_link(row: &Row<'_>) -> Result<NewsLink, StoreError> {
    Ok(NewsLink {
        link_id: row.get("link_id")?,
        user_id: row.get("user_id")?,
        rests: row.get("rests")?,
        is_gone: row.get("is_gone")?,
        phase: Phase::from_word(&row.get::<_, String>("phase")?)?,
        sync_id: row.get("sync_id")?,
    })
}

impl ReadTxn<'_> {
    /// A source's link by its upstream id.
    pub fn news_link(&self, source_id: i64, upstream_id: &str) -> Result<Option<NewsLink>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT {LINK_COLUMNS} FROM links WHERE source_id = :source_id AND upstream_id = :upstream_id"
        ))?;
        let mut rows = select.query(named_params! { ":source_id": source_id, ":upstream_id": upstream_id })?;
        rows.next()?.map(news_link).transpose()
    }

    /// A link by our id.
    pub fn news_link_by_id(&self, link_id: i64) -> Result<NewsLink, StoreError> {
        let mut select =
            self.txn.prepare_cached(&format!("SELECT {LINK_COLUMNS} FROM links WHERE link_id = :link_id"))?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        rows.next()?.map_or(Err(StoreError::Missing { what: "link", id: link_id }), news_link)
    }

    /// A source's customer by our id or the upstream one.
    pub fn news_user(
        &self,
        source_id: i64,
        user_id: Option<i64>,
        upstream_id: Option<&str>,
    ) -> Result<Option<NewsUser>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT user_id, removed_at IS NOT NULL AS is_removed FROM users
             WHERE source_id = :source_id AND iif(:user_id IS NULL, upstream_id = :upstream_id, user_id = :user_id)",
        )?;
        let found = select.query_row(
            named_params! { ":source_id": source_id, ":user_id": user_id, ":upstream_id": upstream_id },
            |row| Ok(NewsUser { user_id: row.get("user_id")?, is_removed: row.get("is_removed")? }),
        );
        Ok(found.optional()?)
    }

    /// A source's refresh by the aggregator's id of its task.
    pub fn news_refresh(&self, source_id: i64, upstream_task_id: &str) -> Result<Option<NewsRefresh>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT refresh_id, link_id, sync_id, finished_at IS NOT NULL AS is_over, upstream_status FROM refreshes
             WHERE source_id = :source_id AND upstream_task_id = :task ORDER BY refresh_id DESC LIMIT 1",
        )?;
        let found = select.query_row(named_params! { ":source_id": source_id, ":task": upstream_task_id }, |row| {
            Ok(NewsRefresh {
                refresh_id: row.get("refresh_id")?,
                link_id: row.get("link_id")?,
                sync_id: row.get("sync_id")?,
                is_over: row.get("is_over")?,
                upstream_status: row.get("upstream_status")?,
            })
        });
        Ok(found.optional()?)
    }
}

impl WriteTxn<'_> {
    /// Makes a link due [`SETTLE`] after it was announced that the aggregator has read its bank.
    ///
    /// Shape: whether that changed anything. Due sooner it stays so; a limit that holds it is waited out; a first sync stays
    /// one. While a refresh runs it is looked at; while a pull runs, which may have been too early, another follows it.
    pub fn announce_read(&self, link_id: i64, announced_at: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        let at = announced_at.saturating_add(SETTLE).unwrap_or(now).max(now);
        let mut update = self.txn.prepare_cached(
            "WITH this AS (
                 SELECT sync_id IS NULL OR phase = 'refreshing' AS waits,
                        coalesce(hold_until, 0) > :at AS is_held, sync_id IS NULL AND due_cause IN ('schedule', 'retry') AS takes_cause
                 FROM links WHERE link_id = :link_id)
             UPDATE links SET
                 due_at = iif(waits AND NOT is_held, min(due_at, :at), due_at),
                 due_cause = iif(takes_cause, 'webhook', due_cause),
                 asked_cause = iif(waits, asked_cause, coalesce(asked_cause, 'webhook'))
             FROM this
             WHERE link_id = :link_id AND removed_at IS NULL AND paused_at IS NULL
               AND ((waits AND NOT is_held AND due_at > :at) OR takes_cause OR (NOT waits AND asked_cause IS NULL))",
        )?;
        Ok(update.execute(named_params! { ":link_id": link_id, ":at": ms(at) })? == 1)
    }

    /// Has a running refresh looked at now.
    ///
    /// Shape: whether that changed anything.
    pub fn look_at_refresh_now(&self, link_id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET due_at = :now WHERE link_id = :link_id AND phase = 'refreshing' AND due_at > :now",
        )?;
        Ok(update.execute(named_params! { ":link_id": link_id, ":now": ms(now) })? == 1)
    }

    /// Notes a running refresh's new status, which nobody had to ask for.
    pub fn refresh_went_on(&self, refresh_id: i64, upstream_status: &str) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE refreshes SET upstream_status = :status WHERE refresh_id = :refresh_id AND finished_at IS NULL",
        )?;
        update.execute(named_params! { ":status": upstream_status, ":refresh_id": refresh_id })?;
        Ok(())
    }

    /// Has a customer's links looked at now.
    ///
    /// Shape: whether nobody was about to. The instant differs from any that a look under way began with, so that
    /// [`WriteTxn::looked_at`] can tell that it is to be looked at again.
    pub fn look_at_user_now(&self, user_id: i64, now: Timestamp) -> Result<bool, StoreError> {
        let mut select =
            self.txn.prepare_cached("SELECT 1 FROM users WHERE user_id = :user_id AND links_due_at <= :now")?;
        let was_due = select.exists(named_params! { ":user_id": user_id, ":now": ms(now) })?;
        let mut update = self.txn.prepare_cached(
            "UPDATE users SET links_due_at = iif(links_due_at <= :now, max(links_due_at + 1, :now), :now)
             WHERE user_id = :user_id",
        )?;
        update.execute(named_params! { ":user_id": user_id, ":now": ms(now) })?;
        Ok(!was_due)
    }

    /// Makes discovery due, because news is about somebody unknown: now, but not sooner than `rest` after the last one.
    ///
    /// Shape: whether that changed anything. One that failed is tried again as planned.
    pub fn discover_for_news(&self, source_id: i64, now: Timestamp, rest: SignedDuration) -> Result<bool, StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE sources SET discover_due_at = max(:now, coalesce(discovered_at, 0) + :rest)
             WHERE source_id = :source_id AND discover_failures = 0
               AND discover_due_at > max(:now, coalesce(discovered_at, 0) + :rest)",
        )?;
        let rest_ms = i64::try_from(rest.as_millis()).unwrap_or(i64::MAX);
        Ok(update.execute(named_params! { ":source_id": source_id, ":now": ms(now), ":rest": rest_ms })? == 1)
    }
}
