//! Syncs: one row per attempt, and what its end means for the link.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{Phase, SETTLE, StoreError, WriteTxn, instant, ms};
use crate::model::Cause;

/// How a sync ended. Only `attention` and `failed` ask for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Everything that upstream holds is stored.
    Ok,
    /// Stored, but something was left: rows set aside, or a list that would not hold still.
    Partial,
    /// A limit postponed it.
    Deferred,
    /// A person must repair the link.
    Attention,
    /// It failed and is tried again.
    Failed,
}

impl Outcome {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Partial => "partial",
            Self::Deferred => "deferred",
            Self::Attention => "attention",
            Self::Failed => "failed",
        }
    }
}

/// What a sync did, or what a part of it added to that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SyncCounts {
    /// Requests sent.
    pub requests: u32,
    /// Pages of transactions read.
    pub pages: u32,
    /// Rows in them.
    pub rows_seen: u32,
    /// New rows.
    pub rows_added: u32,
    /// Rows whose values changed.
    pub rows_updated: u32,
    /// Pending rows that posted.
    pub rows_posted: u32,
    /// Rows gone upstream.
    pub rows_removed: u32,
    /// Rows that came back.
    pub rows_restored: u32,
    /// Malformed rows set aside.
    pub rows_rejected: u32,
}

impl SyncCounts {
    /// Adds the counts of a part.
    pub fn add(&mut self, part: &Self) {
        self.requests += part.requests;
        self.pages += part.pages;
        self.rows_seen += part.rows_seen;
        self.rows_added += part.rows_added;
        self.rows_updated += part.rows_updated;
        self.rows_posted += part.rows_posted;
        self.rows_removed += part.rows_removed;
        self.rows_restored += part.rows_restored;
        self.rows_rejected += part.rows_rejected;
    }

    /// Transaction rows written.
    pub fn rows_changed(&self) -> u32 {
        self.rows_added + self.rows_updated + self.rows_posted + self.rows_removed + self.rows_restored
    }
}

/// How a sync ended and what comes next for its link.
#[derive(Debug, Clone)]
pub struct SyncEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// Everything that upstream held was read, so the link's data is fresh.
    pub is_fresh: bool,
    /// What went wrong and what to do; `None` where nothing did.
    pub error: Option<String>,
    /// When the limit lifts, for `deferred`, with its name.
    pub hold: Option<(Timestamp, String)>,
    /// When the link is worked on next.
    pub next_due_at: Timestamp,
    /// Why.
    pub next_cause: Cause,
    /// The phase that comes next: `idle`, or `pulling` where a deferred pull goes on.
    pub next_phase: Phase,
    /// When the whole history is walked next, if this sync walked it.
    pub reconcile_due_at: Option<Timestamp>,
}

/// A sync that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndedSync {
    /// Its start.
    pub started_at: Timestamp,
    /// What all its steps did.
    pub counts: SyncCounts,
}

impl WriteTxn<'_> {
    /// Opens a sync of a link and returns its id. A sync that a crash left open is closed as failed.
    ///
    /// `due_cause`: the cause that the link was due for when it was read. What a person or an announcement asked for since
    /// may not be in what this sync reads, so another sync follows.
    pub fn begin_sync(
        &self,
        link_id: i64,
        (cause, due_cause): (Cause, Cause),
        is_full: bool,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        self.close_open_sync(link_id, Outcome::Failed, "the process ended during this sync", now)?;
        self.execute(
            "INSERT INTO syncs (link_id, cause, is_full, started_at) VALUES (:link_id, :cause, :is_full, :now)",
            named_params! { ":link_id": link_id, ":cause": cause.as_str(), ":is_full": is_full, ":now": ms(now) },
        )?;
        let sync_id = self.txn.last_insert_rowid();
        self.execute(
            "UPDATE links SET sync_id = :sync_id, last_attempt_at = :now, hold_until = NULL, hold_reason = NULL,
                    asked_cause = iif(due_cause <> :due_cause AND due_cause IN ('person', 'webhook'), due_cause, asked_cause)
             WHERE link_id = :link_id",
            named_params! {
                ":sync_id": sync_id, ":now": ms(now), ":due_cause": due_cause.as_str(), ":link_id": link_id,
            },
        )?;
        Ok(sync_id)
    }

    /// Closes the sync of a link that nobody will end, if there is one.
    pub(super) fn close_open_sync(
        &self,
        link_id: i64,
        outcome: Outcome,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut close = self.txn.prepare_cached(
            "UPDATE syncs SET outcome = :outcome, finished_at = :now, error = :why
             WHERE sync_id = (SELECT sync_id FROM links WHERE link_id = :link_id) AND outcome IS NULL
             RETURNING *",
        )?;
        let of_link = named_params! { ":outcome": outcome.as_str(), ":now": ms(now), ":why": why, ":link_id": link_id };
        let closed = close.query_row(of_link, |row| Ok((row.get("sync_id")?, ended_sync(row)?))).optional()?;
        match closed {
            Some((sync_id, ended)) => self.add_to_totals(sync_id, 1, &ended.counts),
            None => Ok(()),
        }
    }

    /// Adds what a part of a sync did.
    pub fn count_sync(&self, sync_id: i64, part: &SyncCounts) -> Result<(), StoreError> {
        let mut update = self.txn.prepare_cached(
            "UPDATE syncs SET requests = requests + :requests, pages = pages + :pages, rows_seen = rows_seen + :seen,
                 rows_added = rows_added + :added, rows_updated = rows_updated + :updated,
                 rows_posted = rows_posted + :posted, rows_removed = rows_removed + :removed,
                 rows_restored = rows_restored + :restored, rows_rejected = rows_rejected + :rejected
             WHERE sync_id = :sync_id
             RETURNING outcome IS NOT NULL AS is_closed",
        )?;
        let counts = named_params! {
            ":requests": part.requests, ":pages": part.pages, ":seen": part.rows_seen, ":added": part.rows_added,
            ":updated": part.rows_updated, ":posted": part.rows_posted, ":removed": part.rows_removed,
            ":restored": part.rows_restored, ":rejected": part.rows_rejected, ":sync_id": sync_id,
        };
        // Its link was removed meanwhile: what it was closed with is in the totals already.
        if update.query_row(counts, |row| row.get("is_closed")).optional()? == Some(true) {
            self.add_to_totals(sync_id, 0, part)?;
        }
        self.count_rows_of_day(sync_id, part)
    }

    /// Has an open sync walk the whole history, and the next ones until one of them has.
    pub fn widen_sync(&self, link_id: i64, sync_id: i64) -> Result<(), StoreError> {
        self.execute("UPDATE syncs SET is_full = 1 WHERE sync_id = :id", named_params! { ":id": sync_id })?;
        self.execute("UPDATE links SET wants_full = 1 WHERE link_id = :id", named_params! { ":id": link_id })?;
        Ok(())
    }

    /// Notes what became of the refresh of a sync.
    pub fn note_refreshed(&self, sync_id: i64, word: &str) -> Result<(), StoreError> {
        self.execute(
            "UPDATE syncs SET refreshed = :word WHERE sync_id = :sync_id",
            named_params! { ":word": word, ":sync_id": sync_id },
        )?;
        Ok(())
    }

    /// Closes a sync, says what comes next for its link, and returns what all its steps did together.
    ///
    /// Shape: a sync that was closed because its link was removed meanwhile stays as it is.
    /// What was asked for meanwhile comes next: for a person at once, for news when they have settled. A success clears every trace of failure; a deferral leaves the failures as they are; a failure or an attention
    /// leaves the last success as it is.
    pub fn end_sync(&self, link_id: i64, sync_id: i64, end: &SyncEnd, now: Timestamp) -> Result<EndedSync, StoreError> {
        let mut close = self.txn.prepare_cached(
            "UPDATE syncs SET outcome = :outcome, finished_at = :now, error = :error, deferred_until = :until
             WHERE sync_id = :sync_id AND outcome IS NULL
             RETURNING *",
        )?;
        let (until, reason) = end.hold.clone().unzip();
        let closed = close.query_row(
            named_params! {
                ":outcome": end.outcome.as_str(), ":now": ms(now), ":error": end.error, ":until": until.map(ms),
                ":sync_id": sync_id,
            },
            ended_sync,
        );
        let ended = match closed.optional()? {
            Some(ended) => {
                self.add_to_totals(sync_id, 1, &ended.counts)?;
                ended
            }
            None => self
                .txn
                .prepare_cached("SELECT * FROM syncs WHERE sync_id = :sync_id")?
                .query_row(named_params! { ":sync_id": sync_id }, ended_sync)?,
        };
        let mut update = self.txn.prepare_cached(
            "UPDATE links SET
                 sync_id = NULL, phase = :phase,
                 due_at = CASE asked_cause WHEN 'person' THEN :now WHEN 'webhook' THEN :settled_at ELSE :due_at END,
                 due_cause = coalesce(asked_cause, :cause), asked_cause = NULL,
                 hold_until = :until, hold_reason = :reason,
                 wants_full = iif(:is_fresh AND asked_cause IS NULL, 0, wants_full),
                 reconcile_due_at = coalesce(:reconcile_due_at, reconcile_due_at),
                 consecutive_failures = CASE :outcome WHEN 'ok' THEN 0 WHEN 'partial' THEN 0
                                            WHEN 'failed' THEN consecutive_failures + 1 ELSE consecutive_failures END,
                 last_success_at = iif(:is_fresh, :now, last_success_at),
                 last_error = CASE :outcome WHEN 'ok' THEN NULL WHEN 'deferred' THEN last_error ELSE :error END
             WHERE link_id = :link_id",
        )?;
        update.execute(named_params! {
            ":phase": end.next_phase.as_str(), ":due_at": ms(end.next_due_at), ":cause": end.next_cause.as_str(),
            ":until": until.map(ms), ":reason": reason, ":outcome": end.outcome.as_str(),
            ":is_fresh": end.is_fresh, ":reconcile_due_at": end.reconcile_due_at.map(ms), ":now": ms(now), ":error": end.error,
            ":settled_at": ms(now.saturating_add(SETTLE).unwrap_or(now)), ":link_id": link_id,
        })?;
        Ok(ended)
    }

    /// Adds `syncs` closed ones, or a part of one, to the totals of their kind.
    fn add_to_totals(&self, sync_id: i64, syncs: u32, counts: &SyncCounts) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO sync_totals (source_id, cause, outcome, syncs, rows_seen, rows_added, rows_updated, rows_posted,
                                      rows_removed, rows_restored, rows_rejected)
             SELECT l.source_id, y.cause, y.outcome, :syncs, :seen, :added, :updated, :posted, :removed, :restored, :rejected
             FROM syncs y JOIN links l ON l.link_id = y.link_id WHERE y.sync_id = :sync_id
             ON CONFLICT (source_id, cause, outcome) DO UPDATE SET
                 syncs = syncs + excluded.syncs, rows_seen = rows_seen + excluded.rows_seen,
                 rows_added = rows_added + excluded.rows_added, rows_updated = rows_updated + excluded.rows_updated,
                 rows_posted = rows_posted + excluded.rows_posted, rows_removed = rows_removed + excluded.rows_removed,
                 rows_restored = rows_restored + excluded.rows_restored,
                 rows_rejected = rows_rejected + excluded.rows_rejected",
            named_params! {
                ":sync_id": sync_id, ":syncs": syncs, ":seen": counts.rows_seen, ":added": counts.rows_added,
                ":updated": counts.rows_updated, ":posted": counts.rows_posted, ":removed": counts.rows_removed,
                ":restored": counts.rows_restored, ":rejected": counts.rows_rejected,
            },
        )?;
        Ok(())
    }
}

fn ended_sync(row: &Row<'_>) -> rusqlite::Result<EndedSync> {
    Ok(EndedSync {
        started_at: instant(row.get("started_at")?),
        counts: SyncCounts {
            requests: row.get("requests")?,
            pages: row.get("pages")?,
            rows_seen: row.get("rows_seen")?,
            rows_added: row.get("rows_added")?,
            rows_updated: row.get("rows_updated")?,
            rows_posted: row.get("rows_posted")?,
            rows_removed: row.get("rows_removed")?,
            rows_restored: row.get("rows_restored")?,
            rows_rejected: row.get("rows_rejected")?,
        },
    })
}
