//! What happens in the bank that an aggregator announces: noted only for those somebody listens to.
//!
//! The bank says what happened and when; how an aggregator words it, and to whom, is its own side's affair.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Account, Bank, Owner, Served};

/// Something worth an announcement.
#[derive(Clone, Debug)]
pub(crate) struct News {
    pub(crate) at_ms: i64,
    pub(crate) owner: Owner,
    pub(crate) happened: Happened,
}

/// What happened; positions are those of the bank, and of Truv's tasks.
#[derive(Clone, Debug)]
pub(crate) enum Happened {
    /// A link came to be, or its login works again.
    Connected { link: usize },
    /// A login was found broken.
    Disconnected { link: usize },
    /// A link and its data are gone.
    Deleted { link: usize },
    /// A user is gone.
    UserDeleted { user: usize },
    /// A task of Truv's entered a status.
    TaskMoved { task: usize, status: String },
    /// An item was refreshed, well or not; `is_whole` if all of its history shows now.
    Refreshed { link: usize, status: String, is_whole: bool, by_customer: bool },
    /// A publication, or the customer, changed what readers see of an account.
    AccountChanged { link: usize, account: u128, change: AccountChange, shared: bool, balance_minor: i64 },
}

/// How an account changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccountChange {
    /// It was never seen before.
    Created,
    /// Its rows, its balance or the access to it; how many rows came, changed and went.
    Updated { new: usize, updated: usize, deleted: usize },
    /// It left the list.
    Deleted,
}

/// Which aggregators have an endpoint to announce to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Audience {
    pub(crate) truv: bool,
    pub(crate) bridge: bool,
}

/// What readers saw of a link.
struct Glance {
    /// First version and account of each row.
    rows: HashMap<u128, (u64, u16)>,
    accounts: Arc<Vec<Account>>,
}

impl Bank {
    /// Notes what happened to something of `owner`, if anybody listens.
    pub(crate) fn tell(&mut self, owner: Owner, happened: Happened) {
        if self.is_heard(owner) {
            self.news.push(News { at_ms: self.now_ms, owner, happened });
        }
    }

    /// The same for a link.
    pub(crate) fn tell_of(&mut self, link: usize, happened: Happened) {
        self.tell(self.owner_of(link), happened);
    }

    fn is_heard(&self, owner: Owner) -> bool {
        match owner.served() {
            Served::Truv => self.audience.truv,
            Served::Bridge => self.audience.bridge,
        }
    }

    /// Publishes a link and tells what that changed for its readers.
    pub(crate) fn publish_aloud(&mut self, link: usize, from_ms: i64) {
        if !self.is_heard(self.owner_of(link)) {
            return self.publish_from(link, from_ms);
        }
        let before = self.glance(link);
        self.publish_from(link, from_ms);
        let after = self.glance(link);
        self.tell_changes(link, &before, &after);
    }

    fn glance(&self, link: usize) -> Glance {
        let of = &self.links[link];
        let seen = of.seen_rows().into_iter().filter(|(_, seen)| !seen.deleted);
        let rows = seen.map(|(at, _)| (of.rows[at].id, (of.rows[at].since, of.rows[at].account)));
        Glance { rows: rows.collect(), accounts: Arc::clone(&of.shown_accounts) }
    }

    fn tell_changes(&mut self, link: usize, before: &Glance, after: &Glance) {
        let mut counts = vec![(0, 0, 0); after.accounts.len()];
        for (id, (since, account)) in &after.rows {
            match before.rows.get(id) {
                None => counts[usize::from(*account)].0 += 1,
                Some((known, _)) if known != since => counts[usize::from(*account)].1 += 1,
                Some(_) => {}
            }
        }
        for (_, (_, account)) in before.rows.iter().filter(|(id, _)| !after.rows.contains_key(id)) {
            if let Some(counts) = counts.get_mut(usize::from(*account)) {
                counts.2 += 1;
            }
        }
        for (at, (account, (new, updated, deleted))) in after.accounts.iter().zip(counts).enumerate() {
            let known = before.accounts.get(at).filter(|known| known.id == account.id);
            let was_listed = known.is_some_and(|known| known.listed);
            let has_moved = known.is_some_and(|known| known.booked_minor != account.booked_minor);
            let change = match (was_listed, account.listed) {
                (false, true) if known.is_none() => AccountChange::Created,
                (true, false) => AccountChange::Deleted,
                // One that comes back is told as changed.
                (false, true) => AccountChange::Updated { new, updated, deleted },
                (true, true) if has_moved || new + updated + deleted > 0 => {
                    AccountChange::Updated { new, updated, deleted }
                }
                (true, true) | (false, false) => continue,
            };
            self.tell_account(link, account, change);
        }
    }

    /// Tells of a change of one account.
    pub(crate) fn tell_account(&mut self, link: usize, of: &Account, change: AccountChange) {
        let (account, shared, balance_minor) = (of.id, of.shared, of.booked_minor);
        self.tell_of(link, Happened::AccountChanged { link, account, change, shared, balance_minor });
    }
}
