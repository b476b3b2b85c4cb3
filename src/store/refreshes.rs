//! The refresh ledger: what was asked for, when it may have counted, and what came of it.

use jiff::Timestamp;
use rusqlite::named_params;

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::model::{Cause, LinkHealth};

/// What became of a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefreshOutcome {
    /// About to be sent, or the process died while sending.
    Sending,
    /// The aggregator works on it.
    Running,
    /// Fresh data is there.
    Done,
    /// It ended without fresh data.
    Failed,
    /// It did not end in time.
    TimedOut,
    /// Sent, fate unknown: counts as used until the aggregator says otherwise.
    Unknown,
    /// The aggregator refused it: its own count of refreshes is spent.
    Refused,
    /// The request limit refused it.
    Throttled,
    /// It never reached the aggregator.
    NotSent,
}

impl RefreshOutcome {
    const ALL: [Self; 9] = [
        Self::Sending,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::TimedOut,
        Self::Unknown,
        Self::Refused,
        Self::Throttled,
        Self::NotSent,
    ];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sending => "sending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Throttled => "throttled",
            Self::NotSent => "not_sent",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|o| o.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord { column: "refreshes.outcome", value: word.to_owned() })
    }
}

/// What the limits have already been used for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RefreshUse {
    /// This link's refreshes of the last rolling day: the instants they count from, oldest first.
    pub in_last_day: Vec<Timestamp>,
    /// Refreshes of the whole source since the month began.
    pub in_month: u32,
    /// Successful ones of the whole source, ever, and those that may still become so; counted up to the cap.
    pub done_ever: u32,
}

/// A refresh about to be sent.
#[derive(Debug, Clone, Copy)]
pub struct NewRefresh {
    /// The source.
    pub source_id: i64,
    /// The link.
    pub link_id: i64,
    /// The sync.
    pub sync_id: i64,
    /// Why.
    pub cause: Cause,
    /// Now.
    pub requested_at: Timestamp,
    /// The latest instant at which the aggregator may count it.
    pub counts_from_at: Timestamp,
}

/// A refresh that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRefresh {
    /// Our id.
    pub refresh_id: i64,
    /// The sync it belongs to.
    pub sync_id: i64,
    /// When it was booked.
    pub requested_at: Timestamp,
    /// The aggregator's id of the task; `None` while its fate is unknown.
    pub upstream_task_id: Option<String>,
    /// Where it stands.
    pub outcome: RefreshOutcome,
    /// How often it was looked at.
    pub polls: u32,
}

impl ReadTxn<'_> {
    /// What the refresh limits have been used for.
    ///
    /// Shape: only what a limit needs is counted: `month_began` is `None` where no monthly cap is set, and the successful
    /// ones are counted up to `done_cap`.
    pub fn refresh_use(
        &self,
        source_id: i64,
        link_id: i64,
        day_began: Timestamp,
        month_began: Option<Timestamp>,
        done_cap: Option<u32>,
    ) -> Result<RefreshUse, StoreError> {
        let mut by_link = self.txn.prepare_cached(
            "SELECT counts_from_at FROM refreshes
             WHERE link_id = :link_id AND counts_from_at > :since AND outcome NOT IN ('refused', 'throttled', 'not_sent')
             ORDER BY counts_from_at",
        )?;
        let in_last_day = by_link
            .query_map(named_params! { ":link_id": link_id, ":since": ms(day_began) }, |row| {
                row.get::<_, i64>(0).map(instant)
            })?
            .collect::<Result<_, _>>()?;
        let mut in_month = 0;
        if let Some(month_began) = month_began {
            // A month of a large source is millions of them, so its days are added up.
            let mut by_source = self.txn.prepare_cached(
                "SELECT coalesce(sum(refreshes), 0) FROM source_days WHERE source_id = :source_id AND day_at >= :since",
            )?;
            in_month = by_source
                .query_row(named_params! { ":source_id": source_id, ":since": ms(month_began) }, |row| row.get(0))?;
        }
        let mut done_ever = 0;
        if let Some(cap) = done_cap {
            let mut done = self.txn.prepare_cached(
                "SELECT count(*) FROM (SELECT 1 FROM refreshes
                     WHERE source_id = :source_id AND outcome IN ('sending', 'running', 'done', 'timed_out', 'unknown')
                     LIMIT :cap)",
            )?;
            done_ever = done.query_row(named_params! { ":source_id": source_id, ":cap": cap }, |row| row.get(0))?;
        }
        Ok(RefreshUse { in_last_day, in_month, done_ever })
    }

    /// A link's refresh that has not ended; `None` if there is none.
    pub fn open_refresh(&self, link_id: i64) -> Result<Option<OpenRefresh>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT refresh_id, sync_id, requested_at, upstream_task_id, outcome, polls FROM refreshes
             WHERE link_id = :link_id AND finished_at IS NULL ORDER BY refresh_id DESC LIMIT 1",
        )?;
        let mut rows = select.query(named_params! { ":link_id": link_id })?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(OpenRefresh {
            refresh_id: row.get("refresh_id")?,
            sync_id: row.get("sync_id")?,
            requested_at: instant(row.get("requested_at")?),
            upstream_task_id: row.get("upstream_task_id")?,
            outcome: RefreshOutcome::from_word(&row.get::<_, String>("outcome")?)?,
            polls: row.get("polls")?,
        }))
    }

    /// Whether a refresh in the ledger has this upstream task id already.
    pub fn knows_task(&self, link_id: i64, upstream_task_id: &str) -> Result<bool, StoreError> {
        let mut select =
            self.txn.prepare_cached("SELECT 1 FROM refreshes WHERE link_id = :link_id AND upstream_task_id = :task")?;
        Ok(select.exists(named_params! { ":link_id": link_id, ":task": upstream_task_id })?)
    }
}

impl WriteTxn<'_> {
    /// Books a refresh before it is sent and returns its id.
    ///
    /// After a crash: the row says `sending`; it counts as used until the aggregator's task list says otherwise.
    pub fn book_refresh(&self, new: NewRefresh) -> Result<i64, StoreError> {
        self.execute(
            "INSERT INTO refreshes (source_id, link_id, sync_id, cause, requested_at, counts_from_at, outcome)
             VALUES (:source_id, :link_id, :sync_id, :cause, :requested_at, :counts_from_at, 'sending')",
            named_params! {
                ":source_id": new.source_id, ":link_id": new.link_id, ":sync_id": new.sync_id,
                ":cause": new.cause.as_str(), ":requested_at": ms(new.requested_at),
                ":counts_from_at": ms(new.counts_from_at),
            },
        )?;
        let refresh_id = self.txn.last_insert_rowid();
        self.count_refresh_of_day(refresh_id, 1, 0)?;
        Ok(refresh_id)
    }

    /// Notes that the aggregator works on a refresh: its task id, and by when at the latest it counted it.
    pub fn refresh_running(&self, refresh_id: i64, task_id: &str, answered_at: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "UPDATE refreshes SET outcome = 'running', upstream_task_id = :task, answered_at = :at,
                    counts_from_at = min(counts_from_at, :at)
             WHERE refresh_id = :refresh_id",
            named_params! { ":task": task_id, ":at": ms(answered_at), ":refresh_id": refresh_id },
        )?;
        Ok(())
    }

    /// Notes one look at a running refresh.
    pub fn refresh_polled(&self, refresh_id: i64, upstream_status: Option<&str>) -> Result<(), StoreError> {
        self.execute(
            "UPDATE refreshes SET polls = polls + 1, upstream_status = coalesce(:status, upstream_status)
             WHERE refresh_id = :refresh_id AND finished_at IS NULL",
            named_params! { ":status": upstream_status, ":refresh_id": refresh_id },
        )?;
        Ok(())
    }

    /// Notes that the fate of a refresh is unknown; it stays open and counted.
    pub fn refresh_unknown(&self, refresh_id: i64) -> Result<(), StoreError> {
        self.execute(
            "UPDATE refreshes SET outcome = 'unknown' WHERE refresh_id = :refresh_id",
            named_params! { ":refresh_id": refresh_id },
        )?;
        Ok(())
    }

    /// Closes a refresh, unless it is closed already. A successful one proves that its link needs no person.
    pub fn refresh_finished(
        &self,
        refresh_id: i64,
        outcome: RefreshOutcome,
        upstream_status: Option<&str>,
        price_unit: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let before = self.refresh_weight(refresh_id)?;
        let changed = self.execute(
            "UPDATE refreshes SET outcome = :outcome, upstream_status = coalesce(:status, upstream_status),
                    price_unit = :price_unit, finished_at = :now
             WHERE refresh_id = :refresh_id AND finished_at IS NULL",
            named_params! {
                ":outcome": outcome.as_str(), ":status": upstream_status, ":price_unit": price_unit,
                ":now": ms(now), ":refresh_id": refresh_id,
            },
        )?;
        if changed == 0 {
            return Ok(());
        }
        let after = self.refresh_weight(refresh_id)?;
        self.count_refresh_of_day(refresh_id, after.counted - before.counted, after.billed - before.billed)?;
        if outcome == RefreshOutcome::Done {
            let mut select = self.txn.prepare_cached("SELECT link_id FROM refreshes WHERE refresh_id = :refresh_id")?;
            let link_id = select.query_row(named_params! { ":refresh_id": refresh_id }, |row| row.get(0))?;
            let well = LinkHealth { upstream_status: upstream_status.map(str::to_owned), ..LinkHealth::default() };
            self.set_link_health(link_id, &well, now)?;
        }
        Ok(())
    }

    /// Notes how many rows the pull after a link's latest successful refresh gained.
    pub fn refresh_gained(&self, link_id: i64, rows: u32) -> Result<(), StoreError> {
        self.execute(
            "UPDATE refreshes SET rows_gained = :rows
             WHERE refresh_id = (SELECT refresh_id FROM refreshes WHERE link_id = :link_id ORDER BY counts_from_at DESC LIMIT 1)
               AND outcome = 'done' AND rows_gained IS NULL",
            named_params! { ":rows": rows, ":link_id": link_id },
        )?;
        Ok(())
    }
}
