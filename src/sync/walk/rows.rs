//! What becomes of a row as a page shows it: written, held until the end of the walk, or left as it is.

use jiff::Span;

use super::{Place, Reading, Walk};
use crate::model::TransactionRecord;
use crate::store::{LikeRow, PageWriter, ReadTxn, RowWrite, StoreError, SyncCounts, WriteTxn};
use crate::sync::plan::{self, Change, Held, MATCH_DAYS};

impl Walk {
    /// Looks at a row for the first time in this walk, or once more where lists are not snapshots.
    pub(super) fn take_row(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        row: &TransactionRecord,
        is_first_on_page: bool,
    ) -> Result<(), StoreError> {
        let Some(place) = self.place_of(txn, writer, row)? else {
            return Ok(());
        };
        self.counts(place).rows_seen += 1;
        if !is_first_on_page {
            self.repeats_on_page += 1;
            return Ok(());
        }
        if self.seen_upstream_ids.insert(row.upstream_id.clone()) {
            return self.apply_row(txn, writer, place, row);
        }
        self.has_repeats = true;
        if self.reading == Reading::Changes { self.apply_again(txn, writer, place, row) } else { Ok(()) }
    }

    /// A row of a feed that came before in this walk: the newer of its versions counts.
    fn apply_again(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        place: Place,
        row: &TransactionRecord,
    ) -> Result<(), StoreError> {
        if let Some(held) = self.held.iter_mut().find(|held| held.record.upstream_id == row.upstream_id) {
            if !plan::is_older(row, &held.record) {
                held.record = row.clone();
            }
            return Ok(());
        }
        self.apply_row(txn, writer, place, row)
    }

    fn apply_row(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        place: Place,
        row: &TransactionRecord,
    ) -> Result<(), StoreError> {
        let at = self.at(place);
        let is_whole = matches!(self.reading, Reading::Whole | Reading::Account);
        if is_whole {
            let oldest = self.oldest_seen.entry(place.account_id).or_insert(row.transacted_on);
            *oldest = row.transacted_on.min(*oldest);
        }
        if let Some(known) = writer.find(place.link_id, &row.upstream_id)? {
            self.seen_transactions.insert(known.transaction_id);
            if known.content_hash != row.content_hash || known.is_removed {
                let stored = txn.transaction(known.transaction_id)?;
                if row.is_obfuscated {
                    self.hidden.insert(place.account_id);
                } else if is_whole || !plan::is_older(row, &stored.record) {
                    // A whole list says what there is, whatever the clock said when it was written.
                    let change = plan::change_between(&stored, row);
                    update(writer, at, known.transaction_id, row, change.as_ref(), self.counts(place))?;
                }
            }
            return Ok(());
        }
        if row.is_obfuscated {
            self.hidden.insert(place.account_id);
            return Ok(());
        }
        let former_owner = if place.has_history { writer.find_alias(place.link_id, &row.upstream_id)? } else { None };
        if former_owner.is_some() || (place.has_history && self.may_be_stored(txn, place.account_id, row)?) {
            self.held.push(Held { record: row.clone(), account_id: place.account_id, former_owner });
            return Ok(());
        }
        let transaction_id = writer.insert(at, row)?;
        self.seen_transactions.insert(transaction_id);
        self.counts(place).rows_added += 1;
        Ok(())
    }

    fn may_be_stored(&self, txn: &ReadTxn<'_>, account_id: i64, row: &TransactionRecord) -> Result<bool, StoreError> {
        let is_feed = self.is_feed();
        self.any_row_like(txn, account_id, row, |like| {
            let id = like.transaction_id;
            // Ids may be issued anew while the list is read: a row that was seen comes again, and the next walk tells. One that
            // waited when it was seen may have posted since.
            let is_open = like.is_waiting || !self.seen_transactions.contains(&id);
            Ok(like.is_same || (is_open && plan::may_replace(&txn.transaction(id)?.record, row, is_feed)))
        })
    }

    /// Whether `is_it` for any live row of an account that `row` may be under a new id, as far as the store can tell quickly.
    pub(super) fn any_row_like(
        &self,
        txn: &ReadTxn<'_>,
        account_id: i64,
        row: &TransactionRecord,
        is_it: impl FnMut(LikeRow) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let span = Span::new().days(MATCH_DAYS);
        let from = row.transacted_on.saturating_sub(span);
        let to = row.transacted_on.saturating_add(span);
        let posted = if self.is_feed() { (from, to) } else { (row.transacted_on, row.transacted_on) };
        txn.any_live_row_like(account_id, (from, to), posted, row, is_it)
    }
}

/// Writes what is known of a row, and counts what that was.
pub(super) fn update(
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
