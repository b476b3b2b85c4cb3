//! What can happen to the bank's data: the scripted part of the future.

use std::sync::Arc;

use super::{Bank, FOREVER, Happened, Names, NewTransaction, Row, Status};
use crate::sandbox::id::{AccountId, LinkId, TransactionId};

/// How a pending row becomes a posted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostStyle {
    /// Under the same upstream id.
    SameId,
    /// Under a new upstream id; the bank's own identifier stays.
    NewIdSameExternalId,
    /// Under a new upstream id and without an identifier of the bank.
    NewIdOnly,
}

/// Whose identifiers are issued anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reissue {
    /// Every transaction of a link.
    Link(LinkId),
    /// Every transaction of an account.
    Account(AccountId),
    /// The accounts of a link; its transactions keep their ids and point at the new ones.
    AccountsOf(LinkId),
}

impl Bank {
    pub(super) fn row_at(&self, txn: TransactionId) -> (usize, usize) {
        let link = self.link_of_row.get(&txn.0).copied();
        link.and_then(|link| Some((link, self.links[link].live_row(txn.0)?)))
            .unwrap_or_else(|| panic!("the bank has no transaction {txn}"))
    }

    /// Whether the bank has a row now: faults take some away that no script asked for.
    pub fn has_transaction(&self, txn: TransactionId) -> bool {
        self.link_of_row.get(&txn.0).is_some_and(|link| self.links[*link].live_row(txn.0).is_some())
    }

    /// Replaces the live version at a place by `next`, which is visible from the next version on.
    pub(super) fn replace(&mut self, link: usize, at: usize, next: Row) -> u128 {
        self.retire(link, at);
        self.insert_row(link, next)
    }

    fn retire(&mut self, link: usize, at: usize) {
        let version = self.touch(link);
        let holder = &mut self.links[link];
        let row = &mut holder.rows[at];
        row.until = version;
        holder.accounts[usize::from(row.account)].book(row, -1);
    }

    /// Books a pending row now; answers the id under which it is booked.
    pub fn post_pending(&mut self, txn: TransactionId, style: PostStyle) -> TransactionId {
        let (link, at) = self.row_at(txn);
        let mut next = self.links[link].rows[at].clone();
        next.status = Status::Posted;
        next.posted_ms = Some(self.now_ms);
        next.updated_ms = self.now_ms;
        // What was planned for later has happened by now.
        next.transacted_ms = next.transacted_ms.min(self.now_ms);
        if style != PostStyle::SameId {
            next.id = self.issue_transaction(link);
            next.created_ms = self.now_ms;
        }
        if style == PostStyle::NewIdOnly {
            next.external_id = None;
        }
        TransactionId(self.replace(link, at, next))
    }

    /// Lets a row vanish without a trace; [`Bank::restore_transaction`] brings it back.
    pub fn remove_transaction(&mut self, txn: TransactionId) {
        let (link, at) = self.row_at(txn);
        let row = self.links[link].rows[at].clone();
        self.retire(link, at);
        self.removed.insert(txn.0, row);
    }

    /// Brings back a removed row under its old id.
    pub fn restore_transaction(&mut self, txn: TransactionId) {
        let row = self.removed.remove(&txn.0).unwrap_or_else(|| panic!("no transaction {txn} was removed"));
        let link = self.link_of_row[&txn.0];
        self.insert_row(link, row);
    }

    /// Changes amount and description of a row under its id; `None` leaves a value alone.
    pub fn edit_transaction(&mut self, txn: TransactionId, amount_minor: Option<i64>, description: Option<&str>) {
        let (link, at) = self.row_at(txn);
        let mut next = self.links[link].rows[at].clone();
        next.amount_minor = amount_minor.unwrap_or(next.amount_minor);
        next.updated_ms = self.now_ms;
        if let Some(text) = description {
            text.clone_into(&mut Arc::make_mut(&mut next.detail).description);
        }
        self.replace(link, at, next);
    }

    /// Issues new upstream ids, with or without the bank's own identifiers; answers old and new ids of transactions.
    ///
    /// Empty for [`Reissue::AccountsOf`], whose new ids the truth shows.
    pub fn reissue_ids(&mut self, whose: Reissue, keep_external_id: bool) -> Vec<(TransactionId, TransactionId)> {
        let (link, account) = match whose {
            Reissue::Link(link) => (self.link_at(link), None),
            Reissue::Account(account) => {
                let (link, account) = self.account_at(account);
                (link, Some(account))
            }
            Reissue::AccountsOf(link) => {
                self.reissue_accounts(link);
                return Vec::new();
            }
        };
        let (version, now_ms) = (self.touch(link), self.now_ms);
        let owner = self.owner_of(link);
        let mut fresh = Vec::new();
        let mut ids = Vec::new();
        for at in 0..self.links[link].rows.len() {
            let row = &self.links[link].rows[at];
            if !row.is_live() || account.is_some_and(|account| account != usize::from(row.account)) {
                continue;
            }
            let mut next = row.clone();
            self.links[link].rows[at].until = version;
            next.id = self.issue(owner, Names::Transaction);
            (next.since, next.until) = (version, FOREVER);
            (next.created_ms, next.updated_ms) = (now_ms, now_ms);
            if !keep_external_id {
                next.external_id = next.external_id.is_some().then(|| self.draw_external_id());
            }
            ids.push((TransactionId(self.links[link].rows[at].id), TransactionId(next.id)));
            self.link_of_row.insert(next.id, link);
            fresh.push(next);
        }
        let rows = &mut self.links[link].rows;
        rows.extend(fresh);
        rows.sort_by_key(|row| (row.transacted_ms, !row.id));
        ids
    }

    fn reissue_accounts(&mut self, link: LinkId) {
        let link = self.link_at(link);
        for account in 0..self.links[link].accounts.len() {
            let new = self.issue(self.owner_of(link), Names::Account);
            let old = std::mem::replace(&mut self.links[link].accounts[account].id, new);
            self.account_index.remove(&old);
            self.account_index.insert(new, (link, account));
        }
        self.touch(link);
    }

    /// Sets an account's balance, in minor units as served (what is owed on cards and loans), whatever its rows say.
    pub fn set_balance(&mut self, account: AccountId, balance_minor: i64) {
        let (link, account) = self.account_at(account);
        let now_ms = self.now_ms;
        let holder = &mut self.links[link].accounts[account];
        holder.booked_minor = if holder.owes() { -balance_minor } else { balance_minor };
        holder.updated_ms = now_ms;
        self.touch(link);
    }

    /// Lets every later refresh of `link` end in `status`, e.g. `login_error`, `mfa_error`, `unavailable`, `no_data`.
    pub fn break_login(&mut self, link: LinkId, status: &str) {
        let link = self.link_at(link);
        self.links[link].trouble = Some(status.to_owned());
    }

    /// Lets refreshes of `link` succeed again, as when the bank is back or the customer repaired the login.
    pub fn heal_login(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.links[link].trouble = None;
    }

    /// Deletes a link: its data and access token are gone at once.
    pub fn delete_link(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.delete_link_at(link);
    }

    pub(crate) fn delete_link_at(&mut self, link: usize) {
        self.touch(link);
        self.links[link].deleted_ms = Some(self.now_ms);
        self.links[link].updated_ms = self.now_ms;
        self.tell_of(link, Happened::Deleted { link });
    }

    /// Closes an account: it and its rows disappear from every list.
    pub fn close_account(&mut self, account: AccountId) {
        self.list_account(account, false);
    }

    /// Opens a closed account again, with all its rows.
    pub fn reopen_account(&mut self, account: AccountId) {
        self.list_account(account, true);
    }

    fn list_account(&mut self, account: AccountId, listed: bool) {
        let (link, account) = self.account_at(account);
        self.links[link].accounts[account].listed = listed;
        self.touch(link);
    }

    /// Inserts a row at the top of what readers of `link` see now, without a refresh.
    pub(crate) fn drift(&mut self, link: usize) {
        if self.links[link].accounts.is_empty() {
            return;
        }
        let id = self.insert_new(link, 0, NewTransaction::posted(-101, "DRIFTED IN"));
        let holder = &mut self.links[link];
        if let Some(at) = holder.live_row(id) {
            holder.rows[at].since = 0;
        }
        holder.revision += 1;
    }

    /// Takes the newest row out of the world.
    pub(crate) fn remove_newest(&mut self, link: usize) {
        let newest = self.links[link].view(true, false).first().copied();
        if let Some(at) = newest {
            self.retire(link, at);
        }
    }

    /// Takes the newest row that readers of `link` see out of the world, without a refresh.
    pub(crate) fn shrink(&mut self, link: usize) {
        self.touch(link);
        let holder = &mut self.links[link];
        let newest = holder.view(false, false).first().copied();
        if let Some(at) = newest {
            let row = holder.rows.remove(at);
            if row.is_live() {
                holder.accounts[usize::from(row.account)].book(&row, -1);
            } else {
                let next = holder.live_row(row.id);
                if let Some(next) = next {
                    let live = holder.rows.remove(next);
                    holder.accounts[usize::from(live.account)].book(&live, -1);
                }
            }
            holder.revision += 1;
        }
    }
}
