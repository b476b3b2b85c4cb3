//! The bank's state: users, links, accounts and transactions in neutral types.
//!
//! Nothing here knows an aggregator's JSON. The serving sides read it; scripts, the generator, the data set loader and
//! the living bank change it. What must stay true: rows of a link are kept in ascending order of their instant; an account's
//! balance moves with its posted rows; a change never edits what a published snapshot shows (rows carry the versions
//! between which they are visible, accounts are copied at publication).

mod accounts;
mod change;
mod customers;
mod dataset;
mod events;
mod generate;
mod institutions;
mod living;
mod merchants;
mod news;
mod owner;
mod publish;
mod rows;
mod stocks;
mod truth;
mod upkeep;

use std::collections::HashMap;

use jiff::Timestamp;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::id::{AccountId, LinkId, UserId};
use crate::clock::DAY_MS;

const EUROPE_SALT: u64 = 0x6575_726f_7065;

/// How long a customer's consent holds (upstream/bridge.md section 8.4).
pub(crate) const CONSENT_MS: i64 = 180 * DAY_MS;

pub(crate) use accounts::Account;
pub use accounts::NewAccount;
pub use change::{PostStyle, Reissue};
pub(crate) use customers::{Link, User};
pub use dataset::{DatasetError, DatasetOptions, DatasetProblem, Loaded};
pub use events::DeferredDebit;
pub use generate::Plan;
pub(crate) use institutions::{DEMO_BANK, INSTITUTIONS, Provider, Providers};
pub use living::LivingPlan;
pub(crate) use news::{AccountChange, Audience, Happened, News};
pub use owner::Served;
pub(crate) use owner::{Names, Owner};
pub(crate) use rows::{Detail, FOREVER, Row};
pub use rows::{NewTransaction, Status};
pub use stocks::NewStock;
pub(crate) use stocks::Stock;
pub use truth::{TrueAccount, TrueLink, TrueTransaction, World};
pub(crate) use upkeep::{FROM_EVER, Publication, Seen, Upkeep};

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
    /// To whom it matters what happens.
    pub(crate) audience: Audience,
    /// What happened and was not announced yet, oldest first.
    pub(crate) news: Vec<News>,
    numbers: owner::Numbers,
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
            audience: Audience::default(),
            news: Vec::new(),
            numbers: owner::Numbers::default(),
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
