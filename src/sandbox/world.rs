//! The bank's state: users, links, accounts and transactions in neutral types.
//!
//! Nothing here knows an aggregator's JSON. The serving sides read it; scripts, the generator, the data set loader and
//! the living bank change it. What must stay true: rows of a link are kept in ascending order of their instant; an account's
//! balance moves with its posted rows; a change never edits what a published snapshot shows (rows carry the versions
//! between which they are visible, accounts are copied at publication).

mod accounts;
mod change;
mod dataset;
mod events;
mod generate;
mod institutions;
mod living;
mod merchants;
mod rows;
mod stocks;
mod truth;
mod upkeep;

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::id::{self, AccountId, LinkId, UserId};
use crate::clock::DAY_MS;

const EUROPE_SALT: u64 = 0x6575_726f_7065;

/// How long a customer's consent holds (upstream/bridge.md section 8.4).
pub(crate) const CONSENT_MS: i64 = 180 * DAY_MS;

pub(crate) use accounts::Account;
pub use accounts::NewAccount;
pub use change::{PostStyle, Reissue};
pub use dataset::{DatasetError, DatasetOptions, DatasetProblem, Loaded};
pub use events::DeferredDebit;
pub use generate::Plan;
pub(crate) use institutions::{DEMO_BANK, INSTITUTIONS, Provider, Providers};
pub use living::LivingPlan;
pub(crate) use rows::{Detail, FOREVER, Row};
pub use rows::{NewTransaction, Status};
pub use stocks::NewStock;
pub(crate) use stocks::Stock;
pub use truth::{TrueAccount, TrueLink, TrueTransaction, World};
pub(crate) use upkeep::{FROM_EVER, Publication, Seen, Upkeep};

/// Which aggregator's customers scripts make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Served {
    /// Truv's.
    #[default]
    Truv,
    /// Bridge's.
    Bridge,
}

impl Served {
    /// The default client of the aggregator.
    pub(crate) fn owner(self) -> Owner {
        match self {
            Self::Truv => Owner::Truv(0),
            Self::Bridge => Owner::Bridge(0),
        }
    }
}

/// To whom a customer belongs; 0 is the default one of its aggregator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// A tenant of Truv: a client in one environment.
    Truv(usize),
    /// An application of Bridge.
    Bridge(usize),
}

impl Owner {
    pub(crate) fn served(self) -> Served {
        match self {
            Self::Truv(_) => Served::Truv,
            Self::Bridge(_) => Served::Bridge,
        }
    }
}

/// What an identifier names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Names {
    Link,
    Account,
    Transaction,
    Stock,
}

/// The next numbers of the aggregator that numbers its things.
#[derive(Debug)]
struct Numbers {
    link: u128,
    account: u128,
    transaction: u128,
    stock: u128,
}

impl Default for Numbers {
    fn default() -> Self {
        // Lengths as seen at Bridge (upstream/bridge.md sections 8 to 10).
        Self { link: 10_000_001, account: 48_100_001, transaction: 33_000_191_035_701, stock: 7_300_001 }
    }
}

impl Numbers {
    fn next(&mut self, names: Names) -> u128 {
        let (next, stride) = match names {
            Names::Link => (&mut self.link, 7),
            Names::Account => (&mut self.account, 3),
            Names::Transaction => (&mut self.transaction, 11),
            Names::Stock => (&mut self.stock, 1),
        };
        let issued = *next;
        *next += stride;
        issued
    }
}

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
    /// Whose customers scripts make, unless they say.
    pub(crate) serves: Served,
    pub(crate) providers: Providers,
    /// Links that an aggregator refreshes by itself, and that nobody planned yet.
    pub(crate) unplanned: Vec<usize>,
    numbers: Numbers,
    /// Users of Bridge's applications by external id.
    external_index: HashMap<(Owner, String), usize>,
    user_index: HashMap<u128, usize>,
    link_index: HashMap<u128, usize>,
    account_index: HashMap<u128, (usize, usize)>,
    link_of_row: HashMap<u128, usize>,
    link_of_stock: HashMap<u128, usize>,
    token_index: HashMap<u128, usize>,
    removed: HashMap<u128, Row>,
    /// American and European ones.
    merchants: [merchants::Pool; 2],
    living: Option<living::Living>,
}

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
    pub(crate) fn new(seed: u64, now_ms: i64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let american = merchants::Pool::draw(&mut rng);
        // Drawn apart, so that one continent's merchants do not depend on the other's.
        let merchants = [american, merchants::Pool::european(&mut StdRng::seed_from_u64(seed ^ EUROPE_SALT))];
        Self {
            rng,
            now_ms,
            users: Vec::new(),
            links: Vec::new(),
            version: 1,
            serves: Served::default(),
            providers: Providers::default(),
            unplanned: Vec::new(),
            numbers: Numbers::default(),
            external_index: HashMap::new(),
            user_index: HashMap::new(),
            link_index: HashMap::new(),
            account_index: HashMap::new(),
            link_of_row: HashMap::new(),
            link_of_stock: HashMap::new(),
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

    /// Makes the present state of `link` what readers see, as a finished refresh does.
    pub fn publish(&mut self, link: LinkId) {
        let link = self.link_at(link);
        self.publish_at(link);
    }

    pub(crate) fn publish_at(&mut self, link: usize) {
        self.publish_from(link, FROM_EVER);
    }

    /// The same without rows older than `from_ms`, where the aggregator can leave them out.
    pub(crate) fn publish_from(&mut self, link: usize, from_ms: i64) {
        let (version, now_ms) = (self.version, self.now_ms);
        let owner = self.owner_of(link);
        let link = &mut self.links[link];
        for account in link.accounts.iter_mut().filter(|account| !account.stalled) {
            account.refreshed_ms = now_ms;
        }
        link.visible = Some(version);
        link.shown_accounts = Arc::new(link.accounts.clone());
        link.published_ms = Some(now_ms);
        let is_news = match owner {
            Owner::Truv(_) => {
                link.prune(version);
                true
            }
            Owner::Bridge(_) => {
                let news = link.upkeep.publish(Publication { version, at_ms: now_ms, from_ms }, link.changed);
                if news {
                    link.prune_superseded();
                }
                news
            }
        };
        link.revision += u64::from(is_news);
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
        self.links[link].changed = self.version;
        self.version
    }

    pub(crate) fn owner_of(&self, link: usize) -> Owner {
        self.users[self.links[link].user].owner
    }

    /// A fresh identifier, in the form of the owner's aggregator.
    pub(crate) fn issue(&mut self, owner: Owner, names: Names) -> u128 {
        match owner {
            Owner::Truv(_) => id::draw(&mut self.rng),
            Owner::Bridge(_) => self.numbers.next(names),
        }
    }

    /// A fresh identifier of a transaction on a link.
    pub(crate) fn issue_transaction(&mut self, link: usize) -> u128 {
        self.issue(self.owner_of(link), Names::Transaction)
    }

    /// The living Bridge user with an external id.
    pub(crate) fn find_external(&self, owner: Owner, external_id: &str) -> Option<usize> {
        self.external_index.get(&(owner, external_id.to_owned())).copied()
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

    /// The link that an item, an account or a transaction with a number belongs to.
    pub(crate) fn link_about(&self, id: u128) -> Option<usize> {
        let account = || self.account_index.get(&id).map(|(link, _)| *link);
        self.find_link(id).or_else(account).or_else(|| self.link_of_row.get(&id).copied())
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
