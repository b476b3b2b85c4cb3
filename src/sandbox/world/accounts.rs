//! Accounts of the bank, and what they tell of their balance.

use std::sync::Arc;

use rand::RngExt;

use super::{AccountChange, Bank, Names, Row, Status};
use crate::sandbox::id::{AccountId, LinkId};

/// One account of a link.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one account")]
pub(crate) struct Account {
    pub(crate) id: u128,
    pub(crate) kind: Arc<str>,
    pub(crate) subtype: Option<Arc<str>>,
    pub(crate) nickname: Option<Arc<str>>,
    pub(crate) number: u64,
    pub(crate) routing: u32,
    pub(crate) currency: Arc<str>,
    /// Money the holder has: posted rows only; negative when owed.
    pub(crate) booked_minor: i64,
    /// Sum of the rows that are announced or planned but not booked.
    pub(crate) pending_minor: i64,
    pub(crate) limit_minor: Option<i64>,
    pub(crate) listed: bool,
    /// Whether the customer shares it; consent is not the bank's, so it shows at once.
    pub(crate) shared: bool,
    /// Whether it belongs to a business.
    pub(crate) is_business: bool,
    /// Left out by refreshes.
    pub(crate) stalled: bool,
    /// When a refresh last read it.
    pub(crate) refreshed_ms: i64,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
}

impl Account {
    /// Moves the balance by a row that appears (`1`) or goes (`-1`).
    pub(crate) fn book(&mut self, row: &Row, direction: i64) {
        match row.status {
            Status::Posted => self.booked_minor += direction * row.amount_minor,
            Status::Pending | Status::Authorization | Status::Future => {
                self.pending_minor += direction * row.amount_minor;
            }
            Status::Memo => {}
        }
    }

    /// Tells whether the balance is what is owed.
    pub(crate) fn owes(&self) -> bool {
        matches!(&*self.kind, "CREDIT_CARD" | "LOAN")
    }

    /// Tells whether it holds securities.
    pub(crate) fn invests(&self) -> bool {
        matches!(&*self.kind, "INVESTMENT" | "PEA" | "LIFE_INSURANCE")
    }

    /// The balance as served: what is owed on cards and loans, what is held elsewhere.
    pub(crate) fn served_balance(&self) -> i64 {
        if self.owes() { -self.booked_minor } else { self.booked_minor }
    }

    /// What can be spent, where the bank tells.
    pub(crate) fn served_available(&self) -> Option<i64> {
        match &*self.kind {
            "CREDIT_CARD" => self.limit_minor.map(|limit| limit + self.booked_minor + self.pending_minor),
            "LOAN" | "INVESTMENT" => None,
            _ => Some(self.booked_minor + self.pending_minor),
        }
    }

    /// The last four digits of the number.
    pub(crate) fn mask(&self) -> String {
        format!("{:04}", self.number % 10_000)
    }
}

/// An account to open.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Type, e.g. `CHECKING`, `SAVINGS`, `CREDIT_CARD`, `LOAN`, `INVESTMENT`: Truv's words, which Bridge's side translates.
    pub kind: String,
    /// Subtype; `Some("")` is served as the empty string.
    pub subtype: Option<String>,
    /// The holder's name for it.
    pub nickname: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
    /// Money the holder has before the first row, in minor units; negative when owed (cards, loans).
    pub opening_minor: i64,
    /// Credit limit in minor units.
    pub credit_limit_minor: Option<i64>,
    /// Account number; drawn when `None`.
    pub number: Option<u64>,
}

impl NewAccount {
    /// A checking account in US dollars with `opening_minor` on it.
    pub fn checking(nickname: &str, opening_minor: i64) -> Self {
        Self {
            kind: "CHECKING".to_owned(),
            subtype: None,
            nickname: Some(nickname.to_owned()),
            currency: "USD".to_owned(),
            opening_minor,
            credit_limit_minor: None,
            number: None,
        }
    }

    /// The same in another currency.
    #[must_use]
    pub fn currency(self, code: &str) -> Self {
        Self { currency: code.to_owned(), ..self }
    }

    /// A savings account in US dollars with `opening_minor` on it.
    pub fn savings(nickname: &str, opening_minor: i64) -> Self {
        Self {
            kind: "SAVINGS".to_owned(),
            subtype: Some("MONEY_MARKET".to_owned()),
            ..Self::checking(nickname, opening_minor)
        }
    }

    /// A credit card in US dollars on which nothing is owed yet.
    pub fn credit_card(nickname: &str, credit_limit_minor: i64) -> Self {
        Self {
            kind: "CREDIT_CARD".to_owned(),
            subtype: Some(String::new()),
            credit_limit_minor: Some(credit_limit_minor),
            ..Self::checking(nickname, 0)
        }
    }
}

impl Bank {
    /// Opens an account on `link`.
    pub fn add_account(&mut self, link: LinkId, new: NewAccount) -> AccountId {
        let link = self.link_at(link);
        let account = self.insert_account(link, new);
        AccountId(self.links[link].accounts[account].id)
    }

    /// Lets the customer share an account with the aggregator, or not; it shows at once.
    pub fn set_data_access(&mut self, account: AccountId, shared: bool) {
        let (link, account) = self.account_at(account);
        let holder = &mut self.links[link];
        holder.accounts[account].shared = shared;
        let shown = Arc::make_mut(&mut holder.shown_accounts).get_mut(account).map(|shown| {
            shown.shared = shared;
            shown.clone()
        });
        self.touch(link);
        if let Some(shown) = shown {
            self.tell_account(link, &shown, AccountChange::Updated { new: 0, updated: 0, deleted: 0 });
        }
    }

    /// Makes an account that of a business, or not.
    pub fn set_business(&mut self, account: AccountId, is_business: bool) {
        let (link, account) = self.account_at(account);
        self.links[link].accounts[account].is_business = is_business;
        self.touch(link);
    }

    /// Lets refreshes leave an account out, or read it again.
    pub fn set_stalled(&mut self, account: AccountId, stalled: bool) {
        let (link, account) = self.account_at(account);
        self.links[link].accounts[account].stalled = stalled;
    }

    pub(crate) fn insert_account(&mut self, link: usize, new: NewAccount) -> usize {
        let owner = self.owner_of(link);
        let id = self.issue(owner, Names::Account);
        let account = Account {
            id,
            kind: new.kind.into(),
            subtype: new.subtype.map(Into::into),
            nickname: new.nickname.map(Into::into),
            number: new.number.unwrap_or_else(|| self.rng.random_range(100_000_000..9_999_999_999)),
            routing: self.rng.random_range(11_000_000..322_000_000),
            currency: new.currency.into(),
            booked_minor: new.opening_minor,
            pending_minor: 0,
            limit_minor: new.credit_limit_minor,
            listed: true,
            shared: true,
            is_business: false,
            stalled: false,
            refreshed_ms: self.now_ms,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
        };
        let index = self.links[link].accounts.len();
        self.account_index.insert(account.id, (link, index));
        self.links[link].accounts.push(account);
        self.touch(link);
        index
    }
}
