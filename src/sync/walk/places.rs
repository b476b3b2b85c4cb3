//! Where rows go: to the account they name, or aside.

use std::collections::HashSet;

use super::{Place, Reading, Walk};
use crate::aggregator::TransactionPage;
use crate::model::{RejectedRow, RowTraces, TransactionRecord};
use crate::store::{PageWriter, StoreError, WriteTxn};

impl Walk {
    /// Where a row belongs; `None`: it is not taken, or set aside because no list shows its account.
    pub(super) fn place_of(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        row: &TransactionRecord,
    ) -> Result<Option<Place>, StoreError> {
        if let Some(place) = self.places.get(&row.upstream_account_id) {
            return Ok(*place);
        }
        if self.ignores_strays {
            // Their accounts are new when they are read, and new accounts have their whole history read.
            return Ok(None);
        }
        let stray = RejectedRow {
            upstream_id: Some(row.upstream_id.clone()),
            transacted_at: row.transacted_at,
            reason: format!("no list of accounts shows its account {}", row.upstream_account_id),
            traces: RowTraces {
                upstream_account_id: Some(row.upstream_account_id.clone()),
                external_id: row.external_id.clone(),
                amount_minor: Some(row.amount_minor),
                transacted_on: Some(row.transacted_on),
                is_taken_back: false,
            },
            raw: row.raw.clone(),
        };
        self.set_aside(txn, writer, &stray)?;
        Ok(None)
    }

    /// Sets a malformed row aside. A stored row of its id is still there, whatever its values are now.
    pub(super) fn set_aside(
        &mut self,
        txn: &WriteTxn<'_>,
        writer: &mut PageWriter<'_>,
        row: &RejectedRow,
    ) -> Result<(), StoreError> {
        let fingerprint = xxhash_rust::xxh3::xxh3_64(row.raw.as_bytes());
        if !self.rejected_on_page.insert(fingerprint) {
            self.repeats_on_page += 1;
            return Ok(());
        }
        let mut row = row.clone();
        if let Reading::Window(window) = self.reading {
            row.transacted_at = row.transacted_at.or(window.from);
        }
        let place = self.place_of_malformed(&row.traces);
        txn.put_rejected(place.link_id, &row, self.seen_at)?;
        let mut is_known = false;
        match &row.upstream_id {
            Some(upstream_id) => {
                for link_id in self.link_ids() {
                    let known = writer.find(link_id, upstream_id)?;
                    is_known |= known.is_some();
                    self.seen_transactions.extend(known.map(|known| known.transaction_id));
                }
            }
            None => self.has_nameless = true,
        }
        match &row.traces.upstream_account_id {
            Some(upstream_id) => self.incomplete.extend(self.account_id(upstream_id)),
            None => self.incomplete.extend(self.places.values().flatten().map(|place| place.account_id)),
        }
        let is_new = self.rejected.insert(fingerprint, place.link_id).is_none();
        if is_new && !is_known {
            self.unknown.push(row.traces.clone());
        }
        self.has_repeats |= !is_new;
        self.counts(place).rows_rejected += u32::from(is_new);
        Ok(())
    }

    /// Where a malformed row belongs: with the account it names, or whoever the walk is made for.
    pub(super) fn place_of_malformed(&self, traces: &RowTraces) -> Place {
        let named = traces.upstream_account_id.as_ref().and_then(|upstream_id| self.places.get(upstream_id));
        named.copied().flatten().unwrap_or(self.lead)
    }

    /// The links whose rows this walk stores.
    pub(super) fn link_ids(&self) -> HashSet<i64> {
        let placed = self.places.values().flatten().map(|place| place.link_id);
        placed.chain([self.lead.link_id]).collect()
    }

    /// Rows of a link may name an account that no list shows: it gets a row of its own, known by its id alone, and is missing
    /// until a list shows it.
    pub(super) fn put_accounts(&mut self, txn: &WriteTxn<'_>, page: &TransactionPage) -> Result<(), StoreError> {
        if !matches!(self.reading, Reading::Window(_)) {
            return Ok(());
        }
        let unknown: HashSet<&str> = page
            .rows
            .iter()
            .map(|row| row.upstream_account_id.as_str())
            .filter(|id| !self.places.contains_key(*id) && page.accounts.iter().all(|a| a.upstream_id != *id))
            .collect();
        let is_news = page.accounts.iter().any(|a| !self.places.contains_key(&a.upstream_id));
        if unknown.is_empty() && !is_news {
            return Ok(());
        }
        let lead = self.lead;
        for upstream_id in unknown {
            txn.put_unlisted_account(lead.link_id, upstream_id, self.seen_at)?;
        }
        let ids = txn.put_accounts(lead.link_id, &page.accounts, false, self.seen_at)?;
        self.places = ids.into_iter().map(|(id, account_id)| (id, Some(Place { account_id, ..lead }))).collect();
        Ok(())
    }
}
