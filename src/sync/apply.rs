//! Writes what a walk brought: page by page what is certain, at its end what only the whole can tell.
//!
//! A row whose id is known, or that nothing stored resembles, is written with its page. A row that may be a stored one under
//! a new id waits for the end of the walk, when it is known which stored rows are gone. Only a complete walk decides about
//! absences and moves the cursor, in one transaction with everything it decided.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Span, Timestamp};

use super::plan::{self, Change, Gone, Held, MATCH_DAYS};
use crate::aggregator::{TransactionPage, Window};
use crate::model::{AccountRecord, RejectedRow, Status, TransactionRecord};
use crate::store::{AliasRule, PageWriter, ReadTxn, RowWrite, StoreError, SyncCounts, WriteTxn};

/// How long after a posted row was first missed a second complete walk may remove it.
pub(super) const ABSENCE_CONFIRMED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// What a walk has seen so far. Lost in a crash: the next walk begins anew, and rows already stored are recognised.
#[derive(Debug)]
pub struct Walk {
    link_id: i64,
    sync_id: i64,
    /// Start of the sync: the instant that everything it sees is stamped with.
    seen_at: Timestamp,
    window: Window,
    /// The link was walked completely before, so a new id may be a stored row under another name.
    has_history: bool,
    account_ids: HashMap<String, i64>,
    seen_upstream_ids: HashSet<String>,
    seen_transactions: HashSet<i64>,
    rejected: HashSet<u64>,
    /// A malformed row had no id: any stored row that was not seen may be that one.
    has_nameless: bool,
    held: Vec<Held>,
    totals: HashSet<Option<u64>>,
    /// Rows that came twice on one page. One page is one question, so no paging made them.
    repeats_on_page: usize,
    /// A row of one page came again on another: the list moved between the two, and others may have slipped through.
    has_repeats: bool,
}

impl Walk {
    /// A walk that has seen nothing.
    pub fn new(link_id: i64, sync_id: i64, seen_at: Timestamp, window: Window, has_history: bool) -> Self {
        Self {
            link_id,
            sync_id,
            seen_at,
            window,
            has_history,
            account_ids: HashMap::new(),
            seen_upstream_ids: HashSet::new(),
            seen_transactions: HashSet::new(),
            rejected: HashSet::new(),
            has_nameless: false,
            held: Vec::new(),
            totals: HashSet::new(),
            repeats_on_page: 0,
            has_repeats: false,
        }
    }

    /// Whether every page named the same total and that many rows were seen.
    ///
    /// A total may count a row twice that one page shows twice. A row that comes again on a later page makes up for nothing:
    /// it stands where another one should have been.
    pub(super) fn is_complete(&self) -> bool {
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

    fn at(&self, account_id: i64) -> RowWrite {
        RowWrite { link_id: self.link_id, account_id, sync_id: self.sync_id, seen_at: self.seen_at }
    }

    /// Stores one page: accounts, certain rows, rows set aside.
    ///
    /// After a crash: the page is stored whole or not at all, and coming again it changes nothing.
    pub fn apply_page(&mut self, txn: &WriteTxn<'_>, page: &TransactionPage) -> Result<SyncCounts, StoreError> {
        self.put_accounts(txn, page)?;
        let mut counts = SyncCounts {
            pages: 1,
            rows_seen: u32::try_from(page.rows.len() + page.rejected.len()).unwrap_or(u32::MAX),
            ..SyncCounts::default()
        };
        self.totals.insert(page.total);
        let mut writer = txn.page_writer()?;
        for row in &page.rejected {
            if self.set_aside(txn, &mut writer, row)? {
                counts.rows_rejected += 1;
            }
        }
        let mut on_page = HashSet::with_capacity(page.rows.len());
        for row in &page.rows {
            if !on_page.insert(row.upstream_id.as_str()) {
                self.repeats_on_page += 1;
            } else if self.seen_upstream_ids.insert(row.upstream_id.clone()) {
                self.apply_row(txn, &mut writer, row, &mut counts)?;
            } else {
                self.has_repeats = true;
            }
        }
        writer.finish()?;
        Ok(counts)
    }

    /// Sets a malformed row aside. A stored row of its id is still there, whatever its values are now.
    ///
    /// Shape: whether this walk had not met it.
    fn set_aside(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        row: &RejectedRow,
    ) -> Result<bool, StoreError> {
        let mut row = row.clone();
        row.transacted_at = row.transacted_at.or(self.window.from);
        txn.put_rejected(self.link_id, &row, self.seen_at)?;
        match &row.upstream_id {
            Some(upstream_id) => {
                let known = writer.find(self.link_id, upstream_id)?;
                self.seen_transactions.extend(known.map(|known| known.transaction_id));
            }
            None => self.has_nameless = true,
        }
        let is_new = self.rejected.insert(xxhash_rust::xxh3::xxh3_64(row.raw.as_bytes()));
        self.has_repeats |= !is_new;
        Ok(is_new)
    }

    /// Rows may name an account that no list shows: it gets a row of its own, known by its id alone.
    fn put_accounts(&mut self, txn: &WriteTxn<'_>, page: &TransactionPage) -> Result<(), StoreError> {
        let unknown: HashSet<&str> = page
            .rows
            .iter()
            .map(|row| row.upstream_account_id.as_str())
            .filter(|id| !self.account_ids.contains_key(*id) && page.accounts.iter().all(|a| a.upstream_id != *id))
            .collect();
        let is_news = page.accounts.iter().any(|a| !self.account_ids.contains_key(&a.upstream_id));
        if unknown.is_empty() && !is_news {
            return Ok(());
        }
        let mut accounts = page.accounts.clone();
        accounts.extend(unknown.into_iter().map(bare_account));
        self.account_ids = txn.put_accounts(self.link_id, &accounts, self.seen_at)?;
        Ok(())
    }

    fn apply_row(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        row: &TransactionRecord,
        counts: &mut SyncCounts,
    ) -> Result<(), StoreError> {
        let account_id = self.account_ids[&row.upstream_account_id];
        let at = self.at(account_id);
        if let Some(known) = writer.find(self.link_id, &row.upstream_id)? {
            self.seen_transactions.insert(known.transaction_id);
            if known.content_hash != row.content_hash || known.is_removed {
                let change = plan::change_between(&txn.transaction(known.transaction_id)?, row);
                update(writer, at, known.transaction_id, row, change.as_ref(), counts)?;
            }
            return Ok(());
        }
        let former_owner = if self.has_history { writer.find_alias(self.link_id, &row.upstream_id)? } else { None };
        if former_owner.is_some() || (self.has_history && self.may_replace_unseen(txn, account_id, row)?) {
            self.held.push(Held { record: row.clone(), account_id, former_owner });
            return Ok(());
        }
        let transaction_id = writer.insert(at, row)?;
        self.seen_transactions.insert(transaction_id);
        counts.rows_added += 1;
        Ok(())
    }

    fn may_replace_unseen(
        &self,
        txn: &ReadTxn<'_>,
        account_id: i64,
        row: &TransactionRecord,
    ) -> Result<bool, StoreError> {
        let span = Span::new().days(MATCH_DAYS);
        let from = row.transacted_on.saturating_sub(span);
        let to = row.transacted_on.saturating_add(span);
        let near = txn.live_rows_between(account_id, from, to)?;
        Ok(near
            .iter()
            .any(|s| !self.seen_transactions.contains(&s.transaction_id) && plan::may_replace(&s.record, row)))
    }

    /// Ends a complete walk: recognises rows under new ids, stores the rest, decides about absences, moves the cursor.
    ///
    /// `listed` are the accounts that a complete list shows; only their rows can be absent.
    /// After a crash: all of it or nothing; then the cursor stands where it stood and the next walk decides again.
    pub(super) fn finish(
        mut self,
        txn: &WriteTxn<'_>,
        listed: &[AccountRecord],
        now: Timestamp,
    ) -> Result<SyncCounts, StoreError> {
        let mut counts = SyncCounts::default();
        let mut writer = txn.page_writer()?;
        let accounts: Vec<i64> = listed.iter().filter_map(|a| self.account_ids.get(&a.upstream_id).copied()).collect();
        let mut unseen = self.unseen(txn, &accounts)?;
        let matched = self.settle_held(txn, &mut writer, &unseen, &mut counts)?;
        unseen.retain(|(id, _, _)| !matched.contains(id));
        if !self.has_nameless {
            self.settle_absences(txn, &mut writer, &unseen, &mut counts, now)?;
        }
        writer.finish()?;
        txn.resolve_rejected(self.link_id, self.window.from, self.seen_at)?;
        for account in listed {
            if let (Some(balance), Some(id)) = (&account.balance, self.account_ids.get(&account.upstream_id)) {
                txn.put_balance(*id, balance, self.seen_at, self.sync_id)?;
            }
        }
        let listed_ids: Vec<String> = listed.iter().map(|a| a.upstream_id.clone()).collect();
        txn.mark_missing_accounts(self.link_id, &listed_ids, self.seen_at)?;
        txn.move_cursor(self.link_id, self.seen_at, self.window.from.is_none())?;
        Ok(counts)
    }

    /// Live rows of the listed accounts that the walk should have shown and did not: (our id, account, where it stands).
    fn unseen(&self, txn: &ReadTxn<'_>, accounts: &[i64]) -> Result<Vec<(i64, i64, Status)>, StoreError> {
        let mut unseen = Vec::new();
        for account_id in accounts {
            let rows = txn.live_rows_from(*account_id, self.window.from)?;
            unseen.extend(
                rows.into_iter()
                    .filter(|(id, _)| !self.seen_transactions.contains(id))
                    .map(|(id, status)| (id, *account_id, status)),
            );
        }
        Ok(unseen)
    }

    /// Stores the held rows: under the row they continue, or as new ones. Returns the rows that were continued.
    fn settle_held(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        unseen: &[(i64, i64, Status)],
        counts: &mut SyncCounts,
    ) -> Result<HashSet<i64>, StoreError> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(HashSet::new());
        }
        let mut gone = Vec::with_capacity(unseen.len());
        for (id, account_id, _) in unseen {
            gone.push(Gone { row: txn.transaction(*id)?, account_id: *account_id });
        }
        let pairs = plan::match_held(&held, &gone);
        let by_held: HashMap<usize, (i64, AliasRule)> =
            pairs.into_iter().map(|(h, id, rule)| (h, (id, rule))).collect();
        for (index, held) in held.iter().enumerate() {
            let at = self.at(held.account_id);
            if held.former_owner.is_some() {
                writer.drop_alias(self.link_id, &held.record.upstream_id)?;
            }
            if let Some((transaction_id, rule)) = by_held.get(&index) {
                let stored = txn.transaction(*transaction_id)?;
                writer.put_alias(at, *transaction_id, &stored.record.upstream_id, *rule)?;
                let change = plan::change_between(&stored, &held.record);
                update(writer, at, *transaction_id, &held.record, change.as_ref(), counts)?;
                txn.clear_absence(*transaction_id)?;
            } else {
                writer.insert(at, &held.record)?;
                counts.rows_added += 1;
            }
        }
        Ok(by_held.into_values().map(|(id, _)| id).collect())
    }

    /// A pending row that is gone is removed; a posted one only when a second complete walk, later, says the same.
    fn settle_absences(
        &self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        unseen: &[(i64, i64, Status)],
        counts: &mut SyncCounts,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let missed: HashMap<i64, Timestamp> = txn.absences(self.link_id)?.into_iter().collect();
        for transaction_id in missed.keys().filter(|id| self.seen_transactions.contains(id)) {
            txn.clear_absence(*transaction_id)?;
        }
        for (transaction_id, account_id, status) in unseen {
            let is_confirmed =
                missed.get(transaction_id).is_some_and(|at| now.duration_since(*at) >= ABSENCE_CONFIRMED_AFTER);
            if *status == Status::Posted && !is_confirmed {
                txn.note_absence(*transaction_id, self.seen_at)?;
            } else {
                writer.remove(self.at(*account_id), *transaction_id)?;
                txn.clear_absence(*transaction_id)?;
                counts.rows_removed += 1;
            }
        }
        Ok(())
    }
}

fn update(
    writer: &mut PageWriter<'_>,
    at: RowWrite,
    transaction_id: i64,
    row: &TransactionRecord,
    change: Option<&Change>,
    counts: &mut SyncCounts,
) -> Result<(), StoreError> {
    match change.map(|c| c.kind) {
        Some("posted") => counts.rows_posted += 1,
        Some("restored") => counts.rows_restored += 1,
        Some(_) => counts.rows_updated += 1,
        None => {}
    }
    let change = change.map(|c| (c.kind, c.before.as_str(), c.after.as_str()));
    writer.update(at, transaction_id, row, change)
}

fn bare_account(upstream_id: &str) -> AccountRecord {
    AccountRecord { upstream_id: upstream_id.to_owned(), ..AccountRecord::default() }
}
