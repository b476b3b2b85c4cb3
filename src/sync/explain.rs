//! Why a link is as it is, in words: what the commands and the pages tell a person about it.

mod note;
mod reasons;

use jiff::Timestamp;
use serde::Serialize;

use crate::limits::refreshes::{REFRESH_WINDOW, RefreshPolicy, month_began};
use crate::store::{HealthRow, LinkDetail, ReadTxn, RefreshUse, SourceRow, StoreError, Surroundings, WalHeld};

pub use note::{note, told};

/// One thing that holds a link, or says what comes next.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Reason {
    /// What is the case.
    pub what: String,
    /// Until when, where waiting helps.
    pub until: Option<Timestamp>,
    /// What would free it; empty where nothing has to be done.
    pub remedy: String,
}

impl Reason {
    fn new(what: impl Into<String>, until: Option<Timestamp>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), until, remedy: remedy.into() }
    }
}

/// All that is known of a link.
pub struct Known {
    /// The link.
    pub detail: LinkDetail,
    /// Its health.
    pub health: HealthRow,
    /// What stands around it.
    pub around: Surroundings,
    source: Option<SourceRow>,
    used: RefreshUse,
    wal_held: Option<WalHeld>,
    circumstances: Circumstances,
}

/// What is known of a source's links besides what the store says.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// Whether the source is in the configuration.
    pub is_configured: bool,
    /// How refreshes are limited; `None`: its aggregator cannot be asked to refresh.
    pub refresh_policy: Option<RefreshPolicy>,
    /// Whether a daemon works on the store.
    pub daemon_runs: bool,
}

impl Known {
    /// Reads what the store knows of a link; `circumstances` are asked for by the name of its source.
    ///
    /// Errors: `Missing` where there is no such link.
    pub fn read(
        txn: &ReadTxn<'_>,
        link_id: i64,
        circumstances: impl FnOnce(&str) -> Circumstances,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let detail = txn.link_detail(link_id)?;
        let circumstances = circumstances(&detail.source);
        let policy = circumstances.refresh_policy;
        // Counting a month of a large source takes a while: only where it is capped.
        let month = policy.and_then(|policy| policy.per_month).map(|_| month_began(now));
        let done_cap = policy.and_then(|policy| policy.lifetime_cap);
        let day_began = now.saturating_sub(REFRESH_WINDOW).unwrap_or(now);
        Ok(Self {
            source: txn.source(&detail.source)?,
            health: txn.health_of(link_id)?,
            around: txn.surroundings(link_id)?,
            used: txn.refresh_use(detail.state.source_id, link_id, day_began, month, done_cap)?,
            wal_held: txn.wal_held()?,
            detail,
            circumstances,
        })
    }
}
