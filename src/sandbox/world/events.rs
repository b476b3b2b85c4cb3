//! What happens at European banks above all: accounts connected twice, cards with deferred debit, new categories.

use std::sync::Arc;

use super::{Account, Bank, FOREVER, Happened, Names, NewTransaction};
use crate::clock::DAY_MS;
use crate::sandbox::id::{AccountId, LinkId, TransactionId};
use jiff::Timestamp;

/// Where the bank books the monthly debit of a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeferredDebit {
    /// On the card's account, where it brings the purchases back to nothing.
    OnCard,
    /// On the account that pays.
    OnChecking,
    /// On both.
    OnBoth,
}

/// What is bought in a month: how many days ago, and for how much in minor units.
const PURCHASES: [(i64, i64); 3] = [(24, 1_250), (16, 8_990), (8, 640)];

impl Bank {
    /// Connects the customer once more to the same bank and login; answers the new link.
    ///
    /// Shape: the same accounts and rows under new ids, numbers and IBANs unchanged. The old link stays.
    pub fn readd_link(&mut self, link: LinkId) -> LinkId {
        let old = self.link_at(link);
        let new = self.readd_link_at(old);
        self.tell_of(new, Happened::Connected { link: new });
        LinkId(self.links[new].id)
    }

    pub(crate) fn readd_link_at(&mut self, old: usize) -> usize {
        let institution = Arc::clone(&self.links[old].institution);
        let new = self.insert_link(self.links[old].user, &institution);
        self.links[new].login_hash = self.links[old].login_hash;
        self.links[new].upkeep.every_kind = self.links[old].upkeep.every_kind;
        let owner = self.owner_of(new);
        for at in 0..self.links[old].accounts.len() {
            let id = self.issue(owner, Names::Account);
            let account = &self.links[old].accounts[at];
            let account = Account { id, listed: true, shared: true, created_ms: self.now_ms, ..account.clone() };
            self.account_index.insert(id, (new, at));
            self.links[new].accounts.push(account);
        }
        let version = self.touch(new);
        for at in 0..self.links[old].rows.len() {
            if !self.links[old].rows[at].is_live() {
                continue;
            }
            let mut row = self.links[old].rows[at].clone();
            row.id = self.issue(owner, Names::Transaction);
            (row.since, row.until, row.created_ms) = (version, FOREVER, self.now_ms);
            self.link_of_row.insert(row.id, new);
            self.links[new].place(row);
        }
        new
    }

    /// Gives a row another category: a word of the bank's, or at Bridge also a number.
    pub fn recategorise(&mut self, txn: TransactionId, category: &str) {
        let (link, at) = self.row_at(txn);
        let mut next = self.links[link].rows[at].clone();
        Arc::make_mut(&mut next.detail).category = Some(category.to_owned());
        next.updated_ms = self.now_ms;
        self.replace(link, at, next);
    }

    /// Lets a month pass on a card with deferred debit: purchases on the card, then one debit for all of them.
    ///
    /// Shape: the purchases in the order of their days, then the debit on the card, then the one on the checking account.
    pub fn deferred_debit_month(
        &mut self,
        card: AccountId,
        checking: AccountId,
        booked: DeferredDebit,
    ) -> Vec<TransactionId> {
        let mut made = Vec::new();
        for (days, cost_minor) in PURCHASES {
            let at = Timestamp::from_millisecond(self.now_ms - days * DAY_MS).unwrap_or(Timestamp::UNIX_EPOCH);
            let new = NewTransaction::posted(-cost_minor, "CARTE BOULANGERIE").operation("card").at(at);
            made.push(self.add_transaction(card, new));
        }
        let total: i64 = PURCHASES.iter().map(|(_, cost_minor)| cost_minor).sum();
        let debit = |amount| NewTransaction::posted(amount, "DEBIT DIFFERE CARTE").operation("deferred_debit_card");
        if matches!(booked, DeferredDebit::OnCard | DeferredDebit::OnBoth) {
            made.push(self.add_transaction(card, debit(total)));
        }
        if matches!(booked, DeferredDebit::OnChecking | DeferredDebit::OnBoth) {
            made.push(self.add_transaction(checking, debit(-total)));
        }
        made
    }
}
