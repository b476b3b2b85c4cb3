//! One sync of one link: refresh where allowed, wait as data, pull, plan, apply.
//!
//! A sync is not one long call. [`Engine::advance`] does the next step of one link and says through the store when the step
//! after that is due: asking for a refresh, looking whether it is over, or pulling. So thousands of links can wait for their
//! refreshes without holding a worker, and a process that dies leaves nothing behind but rows that say what comes next.
//!
//! What an aggregator announces by itself makes links due (`news`), and says nothing about what there is: the next sync or look
//! reads that.
//!
//! The decisions are pure (`plan`, `limits::refreshes`, `schedule`); the edges are the aggregator and the store.

mod aside;
mod catalog;
mod discover;
mod endpoints;
mod engine;
mod erase;
pub mod explain;
mod news;
mod outcome;
mod plan;
mod presence;
mod pull;
mod refresh;
mod source;
mod user;
mod waker;
mod walk;

use jiff::Timestamp;

use crate::aggregator::{CallContext, CallError};
use crate::model::{Cause, LinkRecord};
use crate::store::{Cursor, LinkState, Outcome, Phase, Store, StoreError, SyncCounts};

pub use aside::reason_of;
pub use discover::Discovered;
pub use engine::Engine;
pub use news::TakenNews;
pub use outcome::{CREDENTIALS_REFUSED, CREDENTIALS_REST};
pub use source::Source;
pub use user::Looked;
pub use waker::Waker;
pub use walk::{Place, Reading, Walk};

/// What a step of a link led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing to do: the link is paused, removed, or its source is not configured.
    Nothing,
    /// The refresh runs; it is looked at again then.
    Waiting {
        /// When.
        until: Timestamp,
    },
    /// The sync is over: that of the link asked for first, then those of the links that were read with it.
    Ended(Vec<SyncReport>),
}

impl Step {
    /// What the syncs did that ended with it.
    fn into_reports(self) -> Vec<SyncReport> {
        match self {
            Self::Ended(reports) => reports,
            Self::Nothing | Self::Waiting { .. } => Vec::new(),
        }
    }
}

/// What a sync did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncReport {
    /// The link.
    pub link_id: i64,
    /// The sync.
    pub sync_id: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong and what to do.
    pub error: Option<String>,
    /// What all its steps did.
    pub counts: SyncCounts,
    /// When the link is due next.
    pub next_due_at: Timestamp,
}

/// One step of one link under way.
struct Trip<'a> {
    engine: &'a Engine,
    source: &'a Source,
    link: LinkState,
    cursor: Option<Cursor>,
    context: CallContext,
    cause: Cause,
    sync_id: i64,
    is_full: bool,
    began: Timestamp,
    /// What became of the refresh, to be stored with the next commit.
    refreshed: Option<String>,
    /// The account numbers were read, or refused, in this step.
    numbers_checked: bool,
}

/// Why a step stopped.
#[derive(Debug, thiserror::Error)]
enum Stop {
    /// The aggregator.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The list would not hold still.
    #[error("the list of transactions changed each of {walks} times it was read; the next sync reads it again")]
    Restless {
        /// How often it was read.
        walks: u32,
    },
    /// The list stands still and yet does not show what it counts.
    #[error(
        "the list of transactions shows {seen} different rows, twice the same, and counts another number; nothing was \
         removed; if this stays, report it to the aggregator"
    )]
    Inconsistent {
        /// Different rows it showed.
        seen: u64,
    },
    /// The bank could not be reached by the aggregator.
    #[error("the aggregator could not refresh this link ({status}); tried again later")]
    RefreshFailed {
        /// The aggregator's word.
        status: String,
    },
}

impl Stop {
    /// When the aggregator wants to be asked again; `None`: it did not say.
    fn retry_at(&self) -> Option<Timestamp> {
        match self {
            Self::Call(CallError::Transient { retry_at, .. }) => *retry_at,
            Self::Call(_)
            | Self::Store(_)
            | Self::Restless { .. }
            | Self::Inconsistent { .. }
            | Self::RefreshFailed { .. } => None,
        }
    }
}

impl Trip<'_> {
    fn now(&self) -> Timestamp {
        self.engine.clock.now()
    }

    fn store(&self) -> &Store {
        &self.engine.store
    }

    fn spread_key(&self) -> &str {
        self.source.spread_key(&self.link.upstream_id, &self.link.upstream_user_id)
    }

    /// Reads the link by itself.
    async fn ask_for_link(&self) -> Result<Option<LinkRecord>, CallError> {
        self.source.aggregator.link(&self.context, &self.link.upstream_user_id, &self.link.upstream_id).await
    }

    /// The cause of its sync, and the one that it was due for.
    fn causes(&self) -> (Cause, Cause) {
        (self.cause, self.link.due_cause)
    }

    /// Whether the link's time has come, or its sync is under way.
    fn is_due(&self) -> bool {
        self.link.phase != Phase::Idle || self.link.due_at <= self.began
    }

    /// Opens a sync row unless one is open.
    async fn open_sync(&mut self) -> Result<(), StoreError> {
        if self.link.sync_id.is_none() {
            let (link_id, causes, is_full, now) = (self.link.link_id, self.causes(), self.is_full, self.began);
            let sync_id = self.store().write(move |txn| txn.begin_sync(link_id, causes, is_full, now)).await?;
            self.link.sync_id = Some(sync_id);
            self.sync_id = sync_id;
        }
        Ok(())
    }

    /// Requests sent since this was last asked, as part of the sync's counts.
    fn requests(&self) -> SyncCounts {
        SyncCounts { requests: self.context.take_requests(), ..SyncCounts::default() }
    }
}
