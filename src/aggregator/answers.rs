//! What an aggregator answers, in neutral types.

use jiff::Timestamp;

use super::call::CallError;
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
#[derive(Debug, Default)]
pub struct UserPage {
    /// The users.
    pub users: Vec<ListedUser>,
    /// What is wrong with entries that cannot be read: somebody is there, and nobody knows who.
    pub unreadable: Vec<CallError>,
    /// The next page; `None`: this was the last.
    pub next: Option<PageToken>,
}

impl UserPage {
    /// Takes an entry as far as it can be read.
    pub(super) fn push(&mut self, entry: Result<ListedUser, CallError>) {
        match entry {
            Ok(user) => self.users.push(user),
            Err(error) => self.unreadable.push(error),
        }
    }
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
pub struct PageToken {
    /// The page, as the aggregator names it.
    pub(super) page: String,
    /// Fingerprints of the pages that were asked for on the way to it.
    passed: Vec<u64>,
}

impl PageToken {
    /// A page, wherever the walk came from.
    pub(super) fn new(page: String) -> Self {
        Self { page, passed: Vec::new() }
    }

    /// The page that the answer to `asked` names as the next one; `None`: the walk was there before.
    pub(super) fn after(asked: Option<&Self>, page: String) -> Option<Self> {
        let mut passed = Vec::new();
        if let Some(asked) = asked {
            passed.extend_from_slice(&asked.passed);
            passed.push(fingerprint(&asked.page));
        }
        (!passed.contains(&fingerprint(&page))).then_some(Self { page, passed })
    }
}

fn fingerprint(page: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(page.as_bytes())
}

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
