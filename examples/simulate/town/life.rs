//! What happens in the world: rows come, post, change, go and come back; accounts and links too.

use std::collections::HashMap;

use passbook::sandbox::{PostStyle, Reissue, Served, TransactionId, UserId};

use super::{Account, Row, Town, WINDOW, instant};
use crate::plan::{DAY, HOUR, Verb};

impl Town {
    /// Lets something happen; `false` where nothing fits it, or it is not the world's affair.
    pub(crate) fn happen(&mut self, verb: &Verb) -> bool {
        self.notice_returns();
        let Some(link) = self.some_link(verb) else { return false };
        match verb.word.as_str() {
            "row" => self.row(link, verb),
            "pending" => self.pending(link, verb),
            "post" => self.post(link, verb),
            "edit" => self.edit(link, verb),
            "remove" => self.remove(link, verb),
            "restore" => self.restore(link, verb),
            "reissue" => self.reissue(link, verb),
            "close-account" => self.list_account(link, verb, true),
            "reopen-account" => self.list_account(link, verb, false),
            "open-account" => self.one_more_account(link),
            "share" => self.share(link, verb),
            "new-link" => {
                let serves = self.links[link].serves;
                self.add_link(serves, 1, 12, 30);
            }
            "delete-link" => self.delete(link),
            "delete-user" => self.delete_user(link),
            "reconnect" => self.reconnect(link),
            "consent" => self.limit_consent(link, verb),
            "break" => self.break_login(link, verb),
            "read-bank" => {
                if self.links[link].serves == Served::Bridge {
                    self.bank.refresh_item(self.links[link].id);
                }
            }
            _ => return false,
        }
        true
    }

    fn open_accounts(&self, link: usize) -> Vec<usize> {
        let accounts = &self.links[link].accounts;
        (0..accounts.len()).filter(|at| !accounts[*at].is_closed && accounts[*at].is_shared).collect()
    }

    fn row(&mut self, link: usize, verb: &Verb) {
        let open = self.open_accounts(link);
        let Some(nth) = verb.pick("pick", open.len()) else { return };
        let at_ms = self.now_ms() - verb.number("hours-ago") * HOUR;
        self.add_row(link, open[nth], verb.number("amount"), at_ms, None);
    }

    fn pending(&mut self, link: usize, verb: &Verb) {
        let open = self.open_accounts(link);
        let Some(nth) = verb.pick("pick", open.len()) else { return };
        let now_ms = self.now_ms();
        let hours = verb.number("hours") * HOUR;
        self.add_row(link, open[nth], verb.number("amount"), now_ms - hours / 4, Some(now_ms + hours));
    }

    /// Rows that something can happen to: there, and in an account that is shown.
    fn rows_that(&self, link: usize, fits: impl Fn(&Row) -> bool) -> Vec<usize> {
        let of = &self.links[link];
        let is_shown = |row: &Row| {
            let account = &of.accounts[row.account];
            !account.is_closed && account.is_shared && !row.is_removed
        };
        (0..of.rows.len()).filter(|at| is_shown(&of.rows[*at]) && fits(&of.rows[*at])).collect()
    }

    /// One of them that the bank still has: faults take rows away.
    fn choose(&self, link: usize, verb: &Verb, fits: impl Fn(&Row) -> bool) -> Option<usize> {
        let rows = self.rows_that(link, fits);
        let row = rows[verb.pick("pick", rows.len())?];
        let id = self.links[link].rows[row].id;
        self.bank.change(|bank| bank.has_transaction(id)).then_some(row)
    }

    fn post(&mut self, link: usize, verb: &Verb) {
        let Some(row) = self.choose(link, verb, |row| row.is_pending) else { return };
        let style = match verb.text("style") {
            "external" => PostStyle::NewIdSameExternalId,
            "new" => PostStyle::NewIdOnly,
            _ => PostStyle::SameId,
        };
        let old = self.links[link].rows[row].id;
        let id = self.bank.post_pending(old, style);
        if id == old {
            self.change(link, row);
        } else {
            self.rename(link, row, id);
        }
        self.links[link].rows[row].is_pending = false;
    }

    /// Rows that an incremental read shows, or any if the event says so.
    fn within_reach(&self, verb: &Verb) -> impl Fn(&Row) -> bool + use<> {
        let (is_deep, oldest) = (verb.is("deep"), self.now_ms() - WINDOW);
        move |row| is_deep || row.transacted_ms >= oldest
    }

    /// Notes that a row has other values; its new id, if it has one, may come together with them.
    fn change(&mut self, link: usize, row: usize) {
        self.touch(link, row);
        if self.links[link].rows[row].is_renamed {
            self.estrange(link, row);
        }
    }

    fn edit(&mut self, link: usize, verb: &Verb) {
        let Some(row) = self.choose(link, verb, self.within_reach(verb)) else { return };
        self.change(link, row);
        let id = self.links[link].rows[row].id;
        let amount = (verb.number("what") & 1 != 0).then(|| verb.number("amount"));
        let text = (verb.number("what") & 2 != 0).then(|| self.text(link));
        self.bank.edit_transaction(id, amount, text.as_deref());
    }

    fn remove(&mut self, link: usize, verb: &Verb) {
        let Some(row) = self.choose(link, verb, self.within_reach(verb)) else { return };
        self.bank.remove_transaction(self.links[link].rows[row].id);
        self.take_out(link, row, self.now_ms());
        self.links[link].rows[row].is_removed = true;
    }

    /// Notes that a row went.
    fn take_out(&mut self, link: usize, row: usize, at_ms: i64) {
        self.touch(link, row);
        // It may go before anybody has seen its new id, and come back when what it was is long removed.
        if self.links[link].rows[row].is_renamed {
            self.estrange(link, row);
        }
        self.withdraw(link, self.links[link].rows[row].id, at_ms);
    }

    /// Notes which rows a fault took away, at any instant since `since`.
    pub(crate) fn notice_vanished(&mut self, since: i64) {
        for link in 0..self.links.len() {
            for row in 0..self.links[link].rows.len() {
                let Row { id, is_removed, .. } = self.links[link].rows[row];
                if !is_removed
                    && !self.is_gone(link, &id.to_string())
                    && !self.bank.change(|bank| bank.has_transaction(id))
                {
                    self.take_out(link, row, since);
                }
            }
        }
    }

    fn restore(&mut self, link: usize, verb: &Verb) {
        let removed: Vec<usize> = {
            let rows = &self.links[link].rows;
            (0..rows.len()).filter(|at| rows[*at].is_removed).collect()
        };
        // The last one that went comes back first, so that some are away for minutes only.
        let Some(row) = removed.into_iter().max_by_key(|at| self.links[link].rows[*at].touched_ms) else { return };
        let _ = verb;
        self.bank.restore_transaction(self.links[link].rows[row].id);
        self.links[link].rows[row].is_removed = false;
        self.touch(link, row);
        self.come_or_go(link, row);
    }

    /// Notes whether the bank shows a row, whose account or which itself came or went.
    fn come_or_go(&mut self, link: usize, row: usize) {
        let Row { id, account, .. } = self.links[link].rows[row];
        let Account { is_closed, is_shared, .. } = self.links[link].accounts[account];
        if !is_closed && is_shared && !self.links[link].is_deleted && self.bank.change(|bank| bank.has_transaction(id))
        {
            self.give_back(link, id);
        } else {
            self.lose(link, id, self.now_ms());
        }
    }

    fn reissue(&mut self, link: usize, verb: &Verb) {
        let of = &self.links[link];
        if of.accounts.iter().any(|account| account.is_closed || !account.is_shared) {
            return;
        }
        let whose = match verb.number("pick") % 2 {
            0 => Reissue::Link(of.id),
            _ => Reissue::Account(of.accounts[0].id),
        };
        for (old, new) in self.bank.reissue_ids(whose, verb.is("keep")) {
            if let Some(row) = self.links[link].rows.iter().position(|row| row.id == old) {
                self.rename(link, row, new);
            } else {
                // A row that a fault brought, on whatever day.
                self.lose(link, old, self.now_ms());
                self.deep.extend([(old.to_string(), link), (new.to_string(), link)]);
            }
        }
    }

    fn list_account(&mut self, link: usize, verb: &Verb, is_closed: bool) {
        let now_ms = self.now_ms();
        let Some(nth) = verb.pick("pick", self.links[link].accounts.len()) else { return };
        let account = &mut self.links[link].accounts[nth];
        if account.is_closed == is_closed {
            return;
        }
        account.is_closed = is_closed;
        if is_closed {
            self.bank.close_account(account.id);
        } else {
            self.bank.reopen_account(account.id);
        }
        self.turn(link, nth, now_ms);
    }

    fn share(&mut self, link: usize, verb: &Verb) {
        if self.links[link].serves == Served::Truv {
            return;
        }
        let now_ms = self.now_ms();
        let Some(nth) = verb.pick("pick", self.links[link].accounts.len()) else { return };
        let account = &mut self.links[link].accounts[nth];
        account.is_shared = verb.is("shared");
        self.bank.set_data_access(account.id, account.is_shared);
        self.turn(link, nth, now_ms);
    }

    /// An account came or went, and its rows with it.
    fn turn(&mut self, link: usize, account: usize, now_ms: i64) {
        self.links[link].calm_since = now_ms;
        for row in 0..self.links[link].rows.len() {
            if self.links[link].rows[row].account == account {
                self.come_or_go(link, row);
            }
        }
    }

    fn one_more_account(&mut self, link: usize) {
        if self.links[link].accounts.len() >= 4 {
            return;
        }
        self.open_account(link);
        let account = self.links[link].accounts.len() - 1;
        let now_ms = self.now_ms();
        for nth in 0..9 {
            self.add_row(link, account, -500 - nth, now_ms - nth * 3 * DAY, None);
        }
        self.links[link].calm_since = now_ms;
    }

    fn delete(&mut self, link: usize) {
        self.bank.delete_link(self.links[link].id);
        self.bury(link);
    }

    /// A customer leaves the aggregator, with every link.
    fn delete_user(&mut self, link: usize) {
        let user = self.links[link].user;
        self.bank.delete_user(user);
        self.bury_all(user);
    }

    /// Nothing of a customer is read from now on.
    pub(super) fn bury_all(&mut self, user: UserId) {
        for link in 0..self.links.len() {
            if self.links[link].user == user && !self.links[link].is_deleted {
                self.bury(link);
            }
        }
    }

    fn bury(&mut self, link: usize) {
        self.links[link].is_deleted = true;
        let ids: Vec<_> = self.links[link].rows.iter().map(|row| row.id).collect();
        for id in ids {
            self.lose(link, id, self.now_ms());
        }
    }

    /// A customer connects the bank once more instead of repairing it: another item with other ids throughout, and the former one
    /// goes.
    fn reconnect(&mut self, link: usize) {
        let of = &self.links[link];
        if of.serves == Served::Truv || of.accounts.iter().any(|account| account.is_closed || !account.is_shared) {
            return;
        }
        let (old, serves, user) = (of.id, of.serves, of.user);
        let was = self.bank.true_link(old);
        let new = self.bank.readd_link(old);
        let is = self.bank.true_link(new);
        self.bank.delete_link(old);
        // Texts tell rows apart. What the bank had removed stays away for good.
        let texts: HashMap<TransactionId, &str> =
            was.transactions.iter().map(|row| (row.id, row.description.as_str())).collect();
        let ids: HashMap<&str, TransactionId> =
            is.transactions.iter().map(|row| (row.description.as_str(), row.id)).collect();
        self.links[link].rows.retain(|row| !row.is_removed && texts.contains_key(&row.id));
        for row in 0..self.links[link].rows.len() {
            let id = ids[texts[&self.links[link].rows[row].id]];
            self.rename(link, row, id);
        }
        self.end_trouble(link);
        let broken = self.links[link].broken.clone();
        let former = self.note_link(old, serves, user);
        self.links[former].is_deleted = true;
        self.links[former].broken = broken;
        let of = &mut self.links[link];
        of.id = new;
        for (account, new) in of.accounts.iter_mut().zip(&is.accounts) {
            account.id = new.id;
        }
        of.calm_since = self.clock.now_ms();
    }

    fn limit_consent(&mut self, link: usize, verb: &Verb) {
        if self.links[link].serves == Served::Truv || self.links[link].trouble.is_some() {
            return;
        }
        let until = self.now_ms() + verb.number("pick") % 4 * DAY;
        self.bank.set_consent_expiry(self.links[link].id, instant(until));
        self.links[link].trouble = Some(("1010".to_owned(), until));
    }
}
