//! What an aggregator answers, in neutral types.

use jiff::Timestamp;

use crate::model::{AccountRecord, LinkHealth, LinkRecord, RejectedRow, TransactionRecord, UserRecord};

/// What a refresh is and costs at an aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshTerms {
    /// What a successful one is billed as.
    pub price_unit: &'static str,
    /// How many successful ones the credential allows, ever.
    pub lifetime_cap: Option<u32>,
}

/// How a refresh stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefreshProgress {
    /// Not over.
    Running {
        /// The aggregator's word.
        status: Option<String>,
    },
    /// Fresh data is there.
    Done,
    /// Over without fresh data; `health` tells whether a person is needed.
    Failed {
        /// What the status means.
        health: LinkHealth,
    },
    /// The aggregator does not know the task.
    Lost,
}

/// What deleting a user took with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Upstream ids of the links that were deleted one by one, now or before.
    pub links: Vec<String>,
}

/// One page of users.
#[derive(Debug)]
pub struct UserPage {
    /// The users.
    pub users: Vec<ListedUser>,
    /// The next page; `None`: this was the last.
    pub next: Option<PageToken>,
}

/// One user as a list shows it.
#[derive(Debug)]
pub struct ListedUser {
    /// The user.
    pub user: UserRecord,
    /// Its bank links with what tells a new token from a stored one; `None`: the list leaves links out, ask per user.
    pub links: Option<Vec<(LinkRecord, Option<String>)>>,
}

/// Where a list continues. Opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub(super) String);

/// The stretch of time that a walk over a link's transactions asks for; no start means the whole history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    /// Rows that happened at or after this instant.
    pub from: Option<Timestamp>,
}

/// What a walk over a user's transactions asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stretch<'a> {
    /// Whatever was written at the aggregator after this instant of its own clock, removals included.
    Since(Timestamp),
    /// Everything there is now.
    Whole,
    /// Everything there is now of one account, by its upstream id.
    Account(&'a str),
}

/// A row that upstream took back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// The row.
    pub upstream_id: String,
    /// When that was, on upstream's clock.
    pub upstream_updated_at: Option<Timestamp>,
}

/// One page of transactions.
#[derive(Debug, Default)]
pub struct TransactionPage {
    /// The accounts the aggregator shows beside them.
    pub accounts: Vec<AccountRecord>,
    /// Well-formed rows.
    pub rows: Vec<TransactionRecord>,
    /// Rows set aside.
    pub rejected: Vec<RejectedRow>,
    /// Rows taken back; a row may stand among `rows` on an earlier page and here on a later one.
    pub removed: Vec<Tombstone>,
    /// The latest instant at which upstream wrote any row of this page, on its own clock.
    pub latest_update: Option<Timestamp>,
    /// How many rows the whole list has, if the aggregator says.
    pub total: Option<u64>,
    /// The next page; `None`: this was the last.
    pub next: Option<PageToken>,
}

impl TransactionPage {
    /// Takes what was written after `now` as written now.
    ///
    /// Upstream's clock is ahead, or ours behind: a cursor in the future would pass over what is written once it is set right,
    /// and a version from the future would win over every later one.
    pub fn written_until(&mut self, now: Timestamp) {
        let live = self.rows.iter_mut().map(|row| &mut row.upstream_updated_at);
        let gone = self.removed.iter_mut().map(|tombstone| &mut tombstone.upstream_updated_at);
        for at in live.chain(gone).chain([&mut self.latest_update]) {
            *at = at.map(|at| at.min(now));
        }
    }
}
