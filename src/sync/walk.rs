//! Writes what a walk over a list of transactions brought: page by page what is certain, at its end what only the whole can
//! tell.
//!
//! A row whose id is known, or that nothing stored resembles, is written with its page. A row that may be a stored one under
//! a new id waits for the end of the walk, when it is known which stored rows are gone. Only a complete walk decides about
//! absences, in the transaction that also moves the cursor.

mod places;
mod rows;
mod settle;

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;

use super::plan::Held;
use crate::aggregator::{TransactionPage, Window};
use crate::model::RowTraces;
use crate::store::{RowWrite, StoreError, SyncCounts, WriteTxn};

/// Where the rows of one account are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its link.
    pub link_id: i64,
    /// The account.
    pub account_id: i64,
    /// The open sync of that link.
    pub sync_id: i64,
    /// Rows of it were stored before, so a new id may be a stored row under another name.
    pub has_history: bool,
}

/// What a walk reads, which decides what an absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// A link's rows in a window of time: what a complete walk does not show is gone.
    Window(Window),
    /// What changed for a user: what is gone is said.
    Changes,
    /// Everything that is there: what it does not show is gone, as far back as it reaches.
    Whole,
    /// The same of one account.
    Account,
}

/// What a walk has seen so far. Lost in a crash: the next walk begins anew, and rows already stored are recognised.
#[derive(Debug)]
pub struct Walk {
    /// Whose walk it is: rows and accounts that nothing else claims are this link's. Its account id means nothing.
    lead: Place,
    /// Start of the sync: the instant that everything it sees is stamped with.
    seen_at: Timestamp,
    reading: Reading,
    /// By upstream account id; `None`: rows of this account are not taken.
    places: HashMap<String, Option<Place>>,
    /// Rows of accounts that are not among the places may be those of links that are not read now.
    ignores_strays: bool,
    seen_upstream_ids: HashSet<String>,
    seen_transactions: HashSet<i64>,
    /// Rows that were set aside, by the fingerprint of their JSON, each with the link that it belongs to.
    rejected: HashMap<u64, i64>,
    /// Those of the present page.
    rejected_on_page: HashSet<u64>,
    /// A malformed row had no id: any stored row that was not seen may be that one.
    has_nameless: bool,
    /// Accounts that rows which were set aside belong to.
    incomplete: HashSet<i64>,
    /// Malformed rows of no id that is stored: rows that upstream made anew may be among them.
    unknown: Vec<RowTraces>,
    held: Vec<Held>,
    /// Ids that upstream took back, with the instant of that on its clock.
    taken_back: HashMap<String, Option<Timestamp>>,
    /// How far back the walk reached, by account.
    oldest_seen: HashMap<i64, Date>,
    /// Accounts with rows that came obfuscated and are not stored.
    hidden: HashSet<i64>,
    /// Accounts whose whole history is to be read again, because some of it could not be taken.
    waiting: HashSet<i64>,
    latest_update: Option<Timestamp>,
    totals: HashSet<Option<u64>>,
    /// Rows that came twice on one page. One page is one question, so no paging made them.
    repeats_on_page: usize,
    /// A row of one page came again on another: the list moved between the two, and others may have slipped through.
    has_repeats: bool,
    /// What was done since it was last counted, by sync.
    tally: BTreeMap<i64, SyncCounts>,
}

impl Walk {
    /// A walk over one link that has seen nothing; accounts come with its pages.
    pub fn over_link(link_id: i64, sync_id: i64, seen_at: Timestamp, window: Window, has_history: bool) -> Self {
        let lead = Place { link_id, account_id: 0, sync_id, has_history };
        Self::new(lead, seen_at, Reading::Window(window), HashMap::new())
    }

    /// A walk over the accounts in `places`, on behalf of the link of `lead`.
    pub fn new(lead: Place, seen_at: Timestamp, reading: Reading, places: HashMap<String, Option<Place>>) -> Self {
        Self {
            lead,
            seen_at,
            reading,
            places,
            ignores_strays: false,
            seen_upstream_ids: HashSet::new(),
            seen_transactions: HashSet::new(),
            rejected: HashMap::new(),
            rejected_on_page: HashSet::new(),
            has_nameless: false,
            incomplete: HashSet::new(),
            unknown: Vec::new(),
            held: Vec::new(),
            taken_back: HashMap::new(),
            oldest_seen: HashMap::new(),
            hidden: HashSet::new(),
            waiting: HashSet::new(),
            latest_update: None,
            totals: HashSet::new(),
            repeats_on_page: 0,
            has_repeats: false,
            tally: BTreeMap::new(),
        }
    }

    /// The same where links that are not read now may have accounts that nobody knows yet.
    pub(super) fn beside_other_links(self) -> Self {
        Self { ignores_strays: true, ..self }
    }

    /// The same where some accounts wait for a read of their whole history, which decides about their rows.
    pub(super) fn beside_waiting(self, accounts: HashSet<i64>) -> Self {
        Self { waiting: accounts, ..self }
    }

    /// Whether a row of an account may be one that could not be read, so that the read which shows that one decides.
    fn is_open(&self, account_id: i64) -> bool {
        self.hidden.contains(&account_id) || self.waiting.contains(&account_id)
    }

    /// Whether everything that the list has was seen.
    ///
    /// A total may count a row twice that one page shows twice. A row that comes again on a later page makes up for nothing:
    /// it stands where another one should have been. In a feed of changes it does no harm: it was written again meanwhile.
    pub(super) fn is_complete(&self) -> bool {
        if self.reading == Reading::Changes {
            return true;
        }
        let seen = self.seen_rows();
        let mut totals = self.totals.iter();
        match (totals.next(), totals.next()) {
            (Some(Some(total)), None) => *total == seen || *total == seen + self.repeats_on_page as u64,
            // An aggregator that names no total: a list without repeats is taken as whole.
            (Some(None), None) => !self.has_repeats,
            _ => false,
        }
    }

    /// Whether `earlier` saw exactly the same: reading this list once more will not help.
    pub(super) fn saw_the_same_as(&self, earlier: &Self) -> bool {
        self.totals.len() == 1
            && self.totals == earlier.totals
            && self.seen_upstream_ids == earlier.seen_upstream_ids
            && self.rejected == earlier.rejected
    }

    /// Different rows seen, malformed ones included.
    pub(super) fn seen_rows(&self) -> u64 {
        (self.seen_upstream_ids.len() + self.rejected.len()) as u64
    }

    /// Rows set aside by this walk.
    pub(super) fn rejected_rows(&self) -> usize {
        self.rejected.len()
    }

    /// Rows of one link set aside by this walk.
    pub(super) fn rejected_rows_of(&self, link_id: i64) -> usize {
        self.rejected.values().filter(|of| **of == link_id).count()
    }

    /// Accounts with rows that this walk set aside.
    pub(super) fn incomplete_accounts(&self) -> &HashSet<i64> {
        &self.incomplete
    }

    /// Accounts with rows that came obfuscated and were left out.
    pub(super) fn hidden_accounts(&self) -> &HashSet<i64> {
        &self.hidden
    }

    /// The latest instant at which upstream wrote anything that was seen, on its own clock.
    pub(super) fn latest_update(&self) -> Option<Timestamp> {
        self.latest_update
    }

    /// Our id of a listed account.
    pub(super) fn account_id(&self, upstream_id: &str) -> Option<i64> {
        self.places.get(upstream_id).copied().flatten().map(|place| place.account_id)
    }

    /// Whether the list tells what changed or what there is, and so shows or tells every row that is gone.
    fn is_feed(&self) -> bool {
        !matches!(self.reading, Reading::Window(_))
    }

    fn at(&self, place: Place) -> RowWrite {
        RowWrite { link_id: place.link_id, account_id: place.account_id, sync_id: place.sync_id, seen_at: self.seen_at }
    }

    fn counts(&mut self, place: Place) -> &mut SyncCounts {
        self.tally.entry(place.sync_id).or_default()
    }

    /// Adds what was done since the last call to the syncs it belongs to.
    fn count(&mut self, txn: &WriteTxn<'_>) -> Result<(), StoreError> {
        for (sync_id, counts) in std::mem::take(&mut self.tally) {
            txn.count_sync(sync_id, &counts)?;
        }
        Ok(())
    }

    /// Stores one page: accounts, certain rows, rows set aside; counts them with their syncs.
    ///
    /// After a crash: the page is stored whole or not at all, and coming again it changes nothing.
    pub fn apply_page(&mut self, txn: &WriteTxn<'_>, page: &TransactionPage) -> Result<(), StoreError> {
        self.put_accounts(txn, page)?;
        let lead = self.lead;
        self.counts(lead).pages += 1;
        self.totals.insert(page.total);
        self.latest_update = self.latest_update.max(page.latest_update);
        self.rejected_on_page.clear();
        let mut writer = txn.page_writer()?;
        for row in &page.rejected {
            let place = self.place_of_malformed(&row.traces);
            self.counts(place).rows_seen += 1;
            self.set_aside(txn, &mut writer, row)?;
        }
        let mut on_page = HashSet::with_capacity(page.rows.len());
        for row in &page.rows {
            let is_first_on_page = on_page.insert(row.upstream_id.as_str());
            self.take_row(txn, &mut writer, row, is_first_on_page)?;
        }
        for gone in &page.removed {
            self.taken_back.insert(gone.upstream_id.clone(), gone.upstream_updated_at);
        }
        writer.finish()?;
        self.count(txn)
    }
}
