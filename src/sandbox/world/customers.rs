//! Users and links: who they are, how they come and go.

use std::sync::Arc;

use rand::RngExt;

use super::{Account, Bank, CONSENT_MS, Happened, Names, Owner, Row, Served, Stock, Upkeep, merchants, rows};
use crate::sandbox::id::{self, LinkId, UserId};

/// One end customer.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: u128,
    pub(crate) owner: Owner,
    pub(crate) external_id: Option<String>,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) email: Option<String>,
    pub(crate) phone: Option<String>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) deleted: bool,
    pub(crate) links: Vec<usize>,
}

/// One connection of a user to an institution.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: u128,
    pub(crate) user: usize,
    pub(crate) institution: Arc<str>,
    pub(crate) institution_name: Arc<str>,
    pub(crate) access_token: u128,
    pub(crate) login_hash: u128,
    pub(crate) tracking: Option<String>,
    pub(crate) product: String,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) deleted_ms: Option<i64>,
    /// State of the last task, as the aggregator names it.
    pub(crate) status: String,
    /// Why the login at the bank fails, as the status of the task that meets it; `None` when it works.
    pub(crate) trouble: Option<String>,
    pub(crate) accounts: Vec<Account>,
    /// Ascending by instant; every version of every row.
    pub(crate) rows: Vec<Row>,
    /// Every version of every stock.
    pub(crate) stocks: Vec<Stock>,
    /// Version of the bank that readers see; `None` until the first reader, who sees all that was built so far.
    pub(crate) visible: Option<u64>,
    pub(crate) shown_accounts: Arc<Vec<Account>>,
    pub(crate) published_ms: Option<i64>,
    pub(crate) revision: u64,
    /// Version of the bank at which the link last changed.
    pub(crate) changed: u64,
    pub(crate) upkeep: Upkeep,
    pub(crate) view: Option<rows::View>,
}

impl Bank {
    /// Adds a user of the default client, of the aggregator the sandbox serves, with a drawn name.
    pub fn add_user(&mut self, external_id: &str) -> UserId {
        self.add_user_at(self.serves, external_id)
    }

    /// Adds a user of the default client of an aggregator.
    pub fn add_user_at(&mut self, serves: Served, external_id: &str) -> UserId {
        let index = self.insert_user(serves.owner(), Some(external_id.to_owned()), None, None);
        UserId(self.users[index].id)
    }

    pub(crate) fn insert_user(
        &mut self,
        owner: Owner,
        external_id: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
    ) -> usize {
        let (first, last) = merchants::person(&mut self.rng);
        let id = match owner {
            Owner::Truv(_) => id::draw(&mut self.rng),
            Owner::Bridge(_) => id::draw_uuid(&mut self.rng),
        };
        if let (Owner::Bridge(_), Some(external_id)) = (owner, &external_id) {
            self.external_index.insert((owner, external_id.clone()), self.users.len());
        }
        let user = User {
            id,
            owner,
            email: Some(format!("{}.{}@example.com", first.to_lowercase(), last.to_lowercase())),
            phone: Some(format!("+1415555{:04}", self.rng.random_range(0..10_000))),
            external_id,
            first_name: first_name.unwrap_or_else(|| first.to_owned()),
            last_name: last_name.unwrap_or_else(|| last.to_owned()),
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            deleted: false,
            links: Vec::new(),
        };
        let index = self.users.len();
        self.user_index.insert(user.id, index);
        self.users.push(user);
        index
    }

    /// Connects `user` to `institution` (an id of the provider list, or any other word) with a working login.
    ///
    /// What is added to the link counts as known to the aggregator until somebody first reads or refreshes the link;
    /// from then on changes show only after a refresh.
    pub fn add_link(&mut self, user: UserId, institution: &str) -> LinkId {
        let user = self.user_at(user);
        let index = self.insert_link(user, institution);
        self.tell_of(index, Happened::Connected { link: index });
        LinkId(self.links[index].id)
    }

    pub(crate) fn insert_link(&mut self, user: usize, institution: &str) -> usize {
        let owner = self.users[user].owner;
        let (institution, institution_name) = self.institution(owner, institution);
        let (status, consent_until_ms) = match owner {
            Owner::Truv(_) => ("done", None),
            Owner::Bridge(_) => ("0_ok", Some(self.now_ms + CONSENT_MS)),
        };
        let link = Link {
            id: self.issue(owner, Names::Link),
            user,
            institution,
            institution_name,
            access_token: id::draw(&mut self.rng),
            login_hash: id::draw(&mut self.rng),
            tracking: None,
            product: "transactions".to_owned(),
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            deleted_ms: None,
            status: status.to_owned(),
            trouble: None,
            accounts: Vec::new(),
            rows: Vec::new(),
            stocks: Vec::new(),
            visible: None,
            shown_accounts: Arc::default(),
            published_ms: None,
            revision: 0,
            changed: 0,
            upkeep: Upkeep { consent_until_ms, ..Upkeep::default() },
            view: None,
        };
        let index = self.links.len();
        self.link_index.insert(link.id, index);
        match owner {
            Owner::Truv(_) => {
                self.token_index.insert(link.access_token, index);
            }
            Owner::Bridge(_) => self.unplanned.push(index),
        }
        self.users[user].links.push(index);
        self.links.push(link);
        index
    }

    /// The living Bridge user with an external id.
    pub(crate) fn find_external(&self, owner: Owner, external_id: &str) -> Option<usize> {
        self.external_index.get(&(owner, external_id.to_owned())).copied()
    }

    /// Upstream ids of the users that were deleted, oldest first.
    pub fn deleted_users(&self) -> Vec<String> {
        self.users.iter().filter(|user| user.deleted).map(|user| id::text(user.id)).collect()
    }

    /// Deletes a user with all links.
    pub fn delete_user(&mut self, user: UserId) {
        let user = self.user_at(user);
        self.delete_user_at(user);
    }

    pub(crate) fn delete_user_at(&mut self, user: usize) {
        let leaving = &mut self.users[user];
        leaving.deleted = true;
        if let Some(external_id) = &leaving.external_id {
            self.external_index.remove(&(leaving.owner, external_id.clone()));
        }
        for link in self.users[user].links.clone() {
            if self.links[link].deleted_ms.is_none() {
                self.delete_link_at(link);
            }
        }
        self.tell(self.users[user].owner, Happened::UserDeleted { user });
    }
}
