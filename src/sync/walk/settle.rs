//! The end of a complete walk: what it alone can decide.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::rows::update;
use super::{Place, Reading, Walk};
use crate::model::{RowTraces, Status};
use crate::store::{AliasRule, PageWriter, ReadTxn, StoreError, WriteTxn};
use crate::sync::plan::{self, Gone, Held};

/// How long after a posted row was first missed a second complete walk may remove it.
pub(in crate::sync) const ABSENCE_CONFIRMED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A live row that the walk says is gone, or did not show.
#[derive(Debug, Clone, Copy)]
struct Missed {
    transaction_id: i64,
    place: Place,
    status: Status,
    /// Upstream itself took it back.
    is_taken_back: bool,
}

impl Walk {
    /// Ends a complete walk: recognises rows under new ids, stores the rest, decides about absences.
    ///
    /// Only rows of the `decided` accounts, which a complete list shows, can be absent; a row of any account can go on under a
    /// new id. Returns the accounts with rows that only another complete walk can decide about: posted ones that were missed
    /// for the first time, and those that may be a row which could not be read.
    /// After a crash: all of it or nothing; then the cursor stands where it stood and the next walk decides again.
    pub(in crate::sync) fn settle(
        &mut self,
        txn: &WriteTxn<'_>,
        decided: &HashSet<i64>,
        now: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut writer = txn.page_writer()?;
        let mut missed = self.taken_back(&mut writer, txn)?;
        // A whole list may tell of a row that is gone and not show it either: it goes once.
        let told: HashSet<i64> = missed.iter().map(|m| m.transaction_id).collect();
        missed.extend(self.unseen(txn)?.into_iter().filter(|m| !told.contains(&m.transaction_id)));
        let matched = self.settle_held(txn, &mut writer, &missed)?;
        missed.retain(|m| {
            let can_be_absent = m.is_taken_back || decided.contains(&m.place.account_id);
            can_be_absent && !matched.contains(&m.transaction_id)
        });
        let mut undecided = HashSet::new();
        let mut absent = Vec::with_capacity(missed.len());
        for m in missed {
            if self.may_be_there(txn, &m)? {
                undecided.insert(m.place.account_id);
            } else {
                absent.push(m);
            }
        }
        undecided.extend(self.settle_absences(txn, &mut writer, &absent, now)?);
        writer.finish()?;
        match self.reading {
            Reading::Window(window) => txn.resolve_rejected(self.lead.link_id, window.from, self.seen_at)?,
            Reading::Whole => {
                for link_id in self.link_ids() {
                    txn.resolve_rejected(link_id, None, self.seen_at)?;
                }
            }
            Reading::Account | Reading::Changes => {
                for link_id in self.link_ids() {
                    let seen = self.seen_upstream_ids.iter().chain(self.taken_back.keys());
                    txn.resolve_rejected_ids(link_id, seen, self.seen_at)?;
                }
            }
        }
        self.count(txn)?;
        Ok(undecided)
    }

    /// Whether a missed row may be one that could not be read.
    fn may_be_there(&self, txn: &ReadTxn<'_>, m: &Missed) -> Result<bool, StoreError> {
        let account_id = m.place.account_id;
        if self.is_open(account_id) || (self.has_nameless && !m.is_taken_back) {
            return Ok(true);
        }
        let mut of_account = self.unknown.iter().filter(|traces| self.is_of(traces, account_id)).peekable();
        if of_account.peek().is_none() {
            return Ok(false);
        }
        let stored = txn.transaction(m.transaction_id)?.record;
        Ok(of_account.any(|traces| plan::may_be(traces, &stored)))
    }

    /// Whether a malformed row may be one of an account.
    fn is_of(&self, traces: &RowTraces, account_id: i64) -> bool {
        let named = traces.upstream_account_id.as_deref();
        named.is_none_or(|upstream_id| self.account_id(upstream_id) == Some(account_id))
    }

    fn places_by_account(&self) -> HashMap<i64, Place> {
        self.places.values().flatten().map(|place| (place.account_id, *place)).collect()
    }

    /// Live rows that upstream took back. An id that a row used to have says nothing about the row.
    fn taken_back(&mut self, writer: &mut PageWriter<'_>, txn: &ReadTxn<'_>) -> Result<Vec<Missed>, StoreError> {
        let places = self.places_by_account();
        let links = self.link_ids();
        let mut missed = Vec::new();
        for (upstream_id, at) in &self.taken_back {
            // Held back rows that were taken back again within the walk never were.
            self.held.retain(|held| {
                held.record.upstream_id != *upstream_id || is_later(held.record.upstream_updated_at, *at)
            });
            for link_id in &links {
                let Some(known) = writer.find(*link_id, upstream_id)?.filter(|known| !known.is_removed) else {
                    continue;
                };
                let row = txn.transaction(known.transaction_id)?;
                let place = self.places.get(&row.record.upstream_account_id).copied().flatten();
                let place = place.or_else(|| places.get(&txn.account_of(known.transaction_id).ok()?).copied());
                if let Some(place) = place.filter(|_| !is_later(row.record.upstream_updated_at, *at)) {
                    let (transaction_id, status) = (known.transaction_id, row.record.status);
                    missed.push(Missed { transaction_id, place, status, is_taken_back: true });
                }
            }
        }
        Ok(missed)
    }

    /// Live rows that the walk should have shown and did not.
    fn unseen(&self, txn: &ReadTxn<'_>) -> Result<Vec<Missed>, StoreError> {
        if self.reading == Reading::Changes {
            return Ok(Vec::new());
        }
        let mut unseen = Vec::new();
        for (account_id, place) in self.places_by_account() {
            let rows = match self.reading {
                Reading::Window(window) => match window.from {
                    // Upstream cuts by the instant, so a window never shows a row without one: only a whole walk decides.
                    Some(from) => txn.live_rows_from(account_id, Some(from))?,
                    None => txn.live_rows_since(account_id, Date::ZERO)?,
                },
                // A connection made anew reaches less far back: what lies before its first row is history, not absence.
                Reading::Whole | Reading::Account | Reading::Changes => match self.oldest_seen.get(&account_id) {
                    Some(oldest) => txn.live_rows_since(account_id, *oldest)?,
                    None => Vec::new(),
                },
            };
            unseen.extend(
                rows.into_iter()
                    .filter(|(id, _)| !self.seen_transactions.contains(id))
                    .map(|(transaction_id, status)| Missed { transaction_id, place, status, is_taken_back: false }),
            );
        }
        unseen.sort_unstable_by_key(|m| m.transaction_id);
        Ok(unseen)
    }

    /// Stores the held rows: under the row they continue, or as new ones. Returns the rows that were continued.
    ///
    /// In a feed of changes new ones of accounts that wait for a read of their whole history are left to it.
    fn settle_held(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        missed: &[Missed],
    ) -> Result<HashSet<i64>, StoreError> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() {
            return Ok(HashSet::new());
        }
        let places = self.places_by_account();
        let is_for_good = self.is_feed();
        let mut gone = Vec::with_capacity(missed.len());
        for m in missed {
            gone.push(Gone { row: txn.transaction(m.transaction_id)?, account_id: m.place.account_id, is_for_good });
        }
        gone.extend(self.perhaps_taken_back(txn, &held, missed)?);
        let pairs = plan::match_held(&held, &gone);
        let mut by_held: HashMap<usize, (i64, AliasRule)> =
            pairs.into_iter().map(|(h, id, rule)| (h, (id, rule))).collect();
        self.match_former(txn, &held, &mut by_held)?;
        for (index, held) in held.iter().enumerate() {
            let place = places[&held.account_id];
            let at = self.at(place);
            if held.former_owner.is_some() {
                writer.drop_alias(place.link_id, &held.record.upstream_id)?;
            }
            if let Some((transaction_id, rule)) = by_held.get(&index) {
                let stored = txn.transaction(*transaction_id)?;
                writer.put_alias(at, *transaction_id, &stored.record.upstream_id, *rule)?;
                let change = plan::change_between(&stored, &held.record);
                update(writer, at, *transaction_id, &held.record, change.as_ref(), self.counts(place))?;
                txn.clear_absence(*transaction_id)?;
            } else if self.reading != Reading::Changes || !self.is_open(held.account_id) {
                let transaction_id = writer.insert(at, &held.record)?;
                self.seen_transactions.insert(transaction_id);
                self.counts(place).rows_added += 1;
            }
        }
        Ok(by_held.into_values().map(|(id, _)| id).collect())
    }

    /// Live rows like held ones that upstream may have taken back by a malformed row, which does not say by its id what is gone.
    fn perhaps_taken_back(&self, txn: &ReadTxn<'_>, held: &[Held], missed: &[Missed]) -> Result<Vec<Gone>, StoreError> {
        let told: Vec<&RowTraces> = self.unknown.iter().filter(|traces| traces.is_taken_back).collect();
        let mut perhaps = BTreeMap::new();
        if told.is_empty() {
            return Ok(Vec::new());
        }
        for Held { account_id, record, .. } in held {
            self.any_row_like(txn, *account_id, record, |like| {
                let id = like.transaction_id;
                if self.seen_transactions.contains(&id) || missed.iter().any(|m| m.transaction_id == id) {
                    return Ok(false);
                }
                let row = txn.transaction(id)?;
                if told.iter().any(|traces| self.is_of(traces, *account_id) && plan::may_be(traces, &row.record)) {
                    perhaps.insert(id, Gone { row, account_id: *account_id, is_for_good: true });
                }
                Ok(false)
            })?;
        }
        Ok(perhaps.into_values().collect())
    }

    /// Matches held rows of a feed with rows that their accounts had under a former id: a connection made anew shows the last
    /// days first, and the history before them later.
    fn match_former(
        &self,
        txn: &ReadTxn<'_>,
        held: &[Held],
        by_held: &mut HashMap<usize, (i64, AliasRule)>,
    ) -> Result<(), StoreError> {
        if self.reading != Reading::Changes {
            return Ok(());
        }
        let accounts: HashSet<i64> = held.iter().map(|held| held.account_id).collect();
        for account_id in accounts {
            let (reach, former) = txn.rows_under_former_id(account_id)?;
            let is_older = |held: &Held| held.account_id == account_id && held.record.transacted_on <= reach;
            let free: Vec<usize> =
                (0..held.len()).filter(|h| is_older(&held[*h]) && !by_held.contains_key(h)).collect();
            if free.is_empty() {
                continue;
            }
            let taken: HashSet<i64> = by_held.values().map(|(id, _)| *id).collect();
            let mut gone = Vec::new();
            for id in former.into_iter().filter(|id| !taken.contains(id)) {
                gone.push(Gone { row: txn.transaction(id)?, account_id, is_for_good: true });
            }
            let older: Vec<Held> = free.iter().map(|h| held[*h].clone()).collect();
            by_held.extend(plan::match_held(&older, &gone).into_iter().map(|(h, id, rule)| (free[h], (id, rule))));
        }
        Ok(())
    }

    /// A row that was taken back, or a pending one that is gone, is removed; a posted one only when a second complete walk,
    /// later, says the same.
    fn settle_absences(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        missed: &[Missed],
        now: Timestamp,
    ) -> Result<HashSet<i64>, StoreError> {
        let mut before: HashMap<i64, Timestamp> = HashMap::new();
        for link_id in self.link_ids() {
            before.extend(txn.absences(link_id)?);
        }
        for transaction_id in before.keys().filter(|id| self.seen_transactions.contains(id)) {
            txn.clear_absence(*transaction_id)?;
        }
        let mut undecided = HashSet::new();
        for m in missed {
            let is_confirmed =
                before.get(&m.transaction_id).is_some_and(|at| now.duration_since(*at) >= ABSENCE_CONFIRMED_AFTER);
            if m.status == Status::Posted && !m.is_taken_back && !is_confirmed {
                txn.note_absence(m.transaction_id, self.seen_at)?;
                undecided.insert(m.place.account_id);
            } else {
                writer.remove(self.at(m.place), m.transaction_id)?;
                txn.clear_absence(m.transaction_id)?;
                self.counts(m.place).rows_removed += 1;
            }
        }
        Ok(undecided)
    }
}

/// Whether a version was written after the row was taken back.
fn is_later(version: Option<Timestamp>, taken_back: Option<Timestamp>) -> bool {
    matches!((version, taken_back), (Some(version), Some(taken_back)) if version > taken_back)
}
