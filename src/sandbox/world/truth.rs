//! The truth that tests compare with.

use jiff::Timestamp;

use super::{Account, Bank, Row, Status};
use crate::sandbox::id::{self, AccountId, LinkId, TransactionId};

/// A copy of the bank's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Every link that was ever made, oldest first.
    pub links: Vec<TrueLink>,
}

/// One link of a [`World`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueLink {
    /// Handle for scripts.
    pub id: LinkId,
    /// The link's upstream id.
    pub upstream_id: String,
    /// Upstream id of its user.
    pub user_upstream_id: String,
    /// The caller's own id of the user.
    pub user_external_id: Option<String>,
    /// Id of the institution.
    pub institution: String,
    /// The unmasked access token.
    pub access_token: String,
    /// Status of the last task.
    pub status: String,
    /// What the next refresh will meet; `None` when the login works.
    pub trouble: Option<String>,
    /// When it was deleted.
    pub deleted_at: Option<Timestamp>,
    /// When its data last became visible to readers.
    pub published_at: Option<Timestamp>,
    /// Its open accounts.
    pub accounts: Vec<TrueAccount>,
    /// Its transactions, newest first.
    pub transactions: Vec<TrueTransaction>,
}

/// One account of a [`TrueLink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueAccount {
    /// Handle for scripts.
    pub id: AccountId,
    /// The account's upstream id.
    pub upstream_id: String,
    /// Type, as served.
    pub kind: String,
    /// Last four digits.
    pub mask: String,
    /// The full account number.
    pub number: String,
    /// ISO 4217 code.
    pub currency: String,
    /// Balance in minor units as served: what is owed on cards and loans.
    pub balance_minor: i64,
    /// Available balance in minor units, where the bank tells one.
    pub available_minor: Option<i64>,
    /// Credit limit in minor units.
    pub credit_limit_minor: Option<i64>,
}

/// One transaction of a [`TrueLink`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrueTransaction {
    /// Handle for scripts.
    pub id: TransactionId,
    /// The transaction's upstream id.
    pub upstream_id: String,
    /// Upstream id of its account.
    pub account_upstream_id: String,
    /// Signed, in minor units: positive is money into the account.
    pub amount_minor: i64,
    /// ISO 4217 code.
    pub currency: String,
    /// Where it stands.
    pub status: Status,
    /// When it happened.
    pub transacted_at: Timestamp,
    /// When it was booked.
    pub posted_at: Option<Timestamp>,
    /// The bank's text.
    pub description: String,
    /// The bank's own identifier.
    pub external_id: Option<String>,
}

impl World {
    /// The link with an upstream id.
    pub fn link(&self, id: LinkId) -> Option<&TrueLink> {
        self.links.iter().find(|link| link.id == id)
    }

    /// How many transactions there are.
    pub fn transaction_count(&self) -> usize {
        self.links.iter().map(|link| link.transactions.len()).sum()
    }
}

fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Bank {
    /// The bank as it is (`immediately`), or as readers see it.
    pub(crate) fn snapshot(&mut self, immediately: bool) -> World {
        let users = &self.users;
        let links = self.links.iter_mut().map(|link| {
            let user = &users[link.user];
            let order = link.view(immediately, false);
            let accounts = link.accounts_for(immediately);
            TrueLink {
                id: LinkId(link.id),
                upstream_id: id::hex(link.id),
                user_upstream_id: id::hex(user.id),
                user_external_id: user.external_id.clone(),
                institution: link.institution.to_string(),
                access_token: id::hex(link.access_token),
                status: link.status.clone(),
                trouble: link.trouble.clone(),
                deleted_at: link.deleted_ms.map(instant),
                published_at: link.published_ms.map(instant),
                accounts: accounts.iter().filter(|account| account.listed).map(TrueAccount::of).collect(),
                transactions: order.iter().map(|at| TrueTransaction::of(accounts, &link.rows[*at])).collect(),
            }
        });
        World { links: links.collect() }
    }
}

impl TrueAccount {
    fn of(account: &Account) -> Self {
        Self {
            id: AccountId(account.id),
            upstream_id: id::hex(account.id),
            kind: account.kind.to_string(),
            mask: account.mask(),
            number: account.number.to_string(),
            currency: account.currency.to_string(),
            balance_minor: account.served_balance(),
            available_minor: account.served_available(),
            credit_limit_minor: account.limit_minor,
        }
    }
}

impl TrueTransaction {
    fn of(accounts: &[Account], row: &Row) -> Self {
        let account = &accounts[usize::from(row.account)];
        Self {
            id: TransactionId(row.id),
            upstream_id: id::hex(row.id),
            account_upstream_id: id::hex(account.id),
            amount_minor: row.amount_minor,
            currency: account.currency.to_string(),
            status: row.status,
            transacted_at: instant(row.transacted_ms),
            posted_at: row.posted_ms.map(instant),
            description: row.detail.description.clone(),
            external_id: row.external_id.as_deref().map(str::to_owned),
        }
    }
}
