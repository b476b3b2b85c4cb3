//! The bank's state: users, links, accounts and transactions in neutral types.
//!
//! Nothing here knows an aggregator's JSON. The serving sides read it; scripts, the generator, the data set loader and
//! the living bank change it. What must stay true: rows of a link are kept in ascending order of their instant; an account's
//! balance moves with its posted rows; a change never edits what a published snapshot shows (rows carry the versions
//! between which they are visible, accounts are copied at publication).

mod accounts;
mod change;
mod dataset;
mod generate;
mod living;
mod merchants;
mod rows;
mod truth;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::id::{self, AccountId, LinkId, UserId};

pub(crate) use accounts::Account;
pub use accounts::NewAccount;
pub use change::{PostStyle, Reissue};
pub use dataset::{DatasetError, DatasetOptions, DatasetProblem, Loaded};
pub use generate::Plan;
pub use living::LivingPlan;
pub(crate) use rows::{Detail, FOREVER, Row};
pub use rows::{NewTransaction, Status};
pub use truth::{TrueAccount, TrueLink, TrueTransaction, World};

/// Institutions every sandbox knows: id and name. Others are accepted and named after their id.
pub(crate) const INSTITUTIONS: [(&str, &str); 12] = [
    ("truv_bank", "Truv Bank (non-oAuth)"),
    ("truv_bank_oauth", "Truv Bank (oAuth)"),
    ("chase", "Chase"),
    ("bank_of_america", "Bank of America"),
    ("wells_fargo", "Wells Fargo"),
    ("citibank", "Citibank Online"),
    ("us_bank", "U.S. Bank"),
    ("capital_one", "Capital One"),
    ("pnc", "PNC"),
    ("navy_federal", "Navy Federal Credit Union"),
    ("ally", "Ally Bank"),
    ("usaa", "USAA"),
];

/// The bank behind the sandbox, open for change.
///
/// Scripts reach it through [`super::Sandbox::change`] and [`super::Sandbox::at`]; the methods of `Sandbox` of the same names are
/// shorthand. An id that was never issued is a bug in the script: the methods panic on it.
#[derive(Debug)]
pub struct Bank {
    pub(crate) rng: StdRng,
    pub(crate) now_ms: i64,
    pub(crate) users: Vec<User>,
    pub(crate) links: Vec<Link>,
    pub(crate) version: u64,
    user_index: HashMap<u128, usize>,
    link_index: HashMap<u128, usize>,
    account_index: HashMap<u128, (usize, usize)>,
    link_of_row: HashMap<u128, usize>,
    token_index: HashMap<u128, usize>,
    removed: HashMap<u128, Row>,
    merchants: merchants::Pool,
    living: Option<living::Living>,
}

/// One end customer.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: u128,
    /// Which tenant (client and environment of an aggregator) the user belongs to; 0 is the default one.
    pub(crate) owner: usize,
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
    /// Version of the bank that readers see; `None` until the first reader, who sees all that was built so far.
    pub(crate) visible: Option<u64>,
    pub(crate) shown_accounts: Arc<Vec<Account>>,
    pub(crate) published_ms: Option<i64>,
    pub(crate) revision: u64,
    pub(crate) view: Option<rows::View>,
}

impl Bank {
    pub(crate) fn new(seed: u64, now_ms: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let merchants = merchants::Pool::draw(&mut rng);
        Self {
            rng,
            now_ms,
            users: Vec::new(),
            links: Vec::new(),
            version: 1,
            user_index: HashMap::new(),
            link_index: HashMap::new(),
            account_index: HashMap::new(),
            link_of_row: HashMap::new(),
            token_index: HashMap::new(),
            removed: HashMap::new(),
            merchants,
            living: None,
        }
    }

    /// The instant the bank lives in.
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.now_ms).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Adds a user of the default client with a drawn name.
    pub fn add_user(&mut self, external_id: &str) -> UserId {
        let index = self.insert_user(0, Some(external_id.to_owned()), None, None);
        UserId(self.users[index].id)
    }

    pub(crate) fn insert_user(
        &mut self,
        owner: usize,
        external_id: Option<String>,
        first_name: Option<String>,
        last_name: Option<String>,
    ) -> usize {
        let (first, last) = merchants::person(&mut self.rng);
        let user = User {
            id: id::draw(&mut self.rng),
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
        LinkId(self.links[index].id)
    }

    pub(crate) fn insert_link(&mut self, user: usize, institution: &str) -> usize {
        let name = INSTITUTIONS.iter().find(|(id, _)| *id == institution).map_or(institution, |(_, name)| name);
        let link = Link {
            id: id::draw(&mut self.rng),
            user,
            institution: institution.into(),
            institution_name: name.into(),
            access_token: id::draw(&mut self.rng),
            login_hash: id::draw(&mut self.rng),
            tracking: None,
            product: "transactions".to_owned(),
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            deleted_ms: None,
            status: "done".to_owned(),
            trouble: None,
            accounts: Vec::new(),
            rows: Vec::new(),
            visible: None,
            shown_accounts: Arc::default(),
            published_ms: None,
            revision: 0,
            view: None,
        };
        let index = self.links.len();
        self.link_index.insert(link.id, index);
        self.token_index.insert(link.access_token, index);
        self.users[user].links.push(index);
        self.links.push(link);
        index
    }

    /// Makes the present state of `link` what readers see, as a finished refresh does.
    pub fn publish(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.publish_at(link);
    }

    pub(crate) fn publish_at(&mut self, link: usize) {
        let (version, now_ms) = (self.version, self.now_ms);
        let link = &mut self.links[link];
        link.visible = Some(version);
        link.shown_accounts = Arc::new(link.accounts.clone());
        link.published_ms = Some(now_ms);
        link.prune(version);
        link.revision += 1;
    }

    /// Ends the building phase of a link that somebody reads or refreshes for the first time.
    pub(crate) fn first_look(&mut self, link: usize) {
        if self.links[link].visible.is_none() {
            self.publish_at(link);
        }
    }

    /// Notes a change of a link; answers the version from which it holds.
    pub(crate) fn touch(&mut self, link: usize) -> u64 {
        self.version += 1;
        self.links[link].revision += 1;
        self.version
    }

    pub(crate) fn find_user(&self, id: u128) -> Option<usize> {
        self.user_index.get(&id).copied()
    }

    pub(crate) fn find_link(&self, id: u128) -> Option<usize> {
        self.link_index.get(&id).copied()
    }

    pub(crate) fn find_token(&self, token: u128) -> Option<usize> {
        self.token_index.get(&token).copied()
    }

    fn user_at(&self, id: UserId) -> usize {
        self.find_user(id.0).unwrap_or_else(|| panic!("the sandbox issued no user {id}"))
    }

    pub(crate) fn link_at(&self, id: LinkId) -> usize {
        self.find_link(id.0).unwrap_or_else(|| panic!("the sandbox issued no link {id}"))
    }

    pub(crate) fn account_at(&self, id: AccountId) -> (usize, usize) {
        *self.account_index.get(&id.0).unwrap_or_else(|| panic!("the sandbox has no account {id}"))
    }
}
