//! The truth that tests compare with.

use jiff::Timestamp;
use jiff::civil::Date;

use super::{Account, Bank, Row, Served, Status};
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
    /// Which aggregator serves it.
    pub served: Served,
    /// The link's upstream id.
    pub upstream_id: String,
    /// Upstream id of its user.
    pub user_upstream_id: String,
    /// The caller's own id of the user.
    pub user_external_id: Option<String>,
    /// Id of the institution.
    pub institution: String,
    /// The unmasked access token; empty at Bridge.
    pub access_token: String,
    /// Status of the last task; at Bridge, the item's number.
    pub status: String,
    /// Detail of the item's status; at Bridge only.
    pub status_info: Option<String>,
    /// Until when the customer's consent holds; at Bridge only.
    pub consent_expires_at: Option<Timestamp>,
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
    /// Those that readers see as deleted; at Bridge only, and not in the bank as it is.
    pub deleted_transactions: Vec<TrueTransaction>,
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
    /// Balance in minor units as served: what is owed on cards and loans; at Bridge negative when owed.
    pub balance_minor: i64,
    /// Available balance in minor units, where the bank tells one.
    pub available_minor: Option<i64>,
    /// Credit limit in minor units.
    pub credit_limit_minor: Option<i64>,
    /// At Bridge only.
    pub iban: Option<String>,
    /// Whether the customer shares it.
    pub data_access: bool,
    /// Whether it belongs to a business.
    pub is_business: bool,
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
    /// The bank's own identifier; Bridge tells none.
    pub external_id: Option<String>,
    /// How the money moves; at Bridge only, as all that follows.
    pub operation_type: Option<String>,
    /// The category.
    pub category_id: Option<i64>,
    /// Whether it is planned.
    pub future: bool,
    /// The one date that is always told, equal to one of the next three.
    pub date: Option<Date>,
    /// When it was booked.
    pub booking_date: Option<Date>,
    /// When it happened.
    pub transaction_date: Option<Date>,
    /// From when it bears interest.
    pub value_date: Option<Date>,
    /// Whether readers see it as deleted.
    pub deleted: bool,
    /// When readers first saw it so; `None` in the bank as it is.
    pub updated_at: Option<Timestamp>,
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
    /// When a link's data last became visible to readers, as [`TrueLink::published_at`] says it, copying nothing.
    pub fn published_at(&self, link: LinkId) -> Option<Timestamp> {
        self.links[self.link_at(link)].published_ms.map(instant)
    }

    /// A link as it is (`immediately`), or as readers see it, as far as every aggregator has it.
    pub(crate) fn true_link(&mut self, at: usize, immediately: bool) -> TrueLink {
        let user = &self.users[self.links[at].user];
        let link = &mut self.links[at];
        let order = link.view(immediately, false);
        let accounts = link.accounts_for(immediately);
        TrueLink {
            id: LinkId(link.id),
            served: user.owner.served(),
            upstream_id: id::text(link.id),
            user_upstream_id: id::text(user.id),
            user_external_id: user.external_id.clone(),
            institution: link.institution.to_string(),
            access_token: id::hex(link.access_token),
            status: link.status.clone(),
            status_info: None,
            consent_expires_at: None,
            trouble: link.trouble.clone(),
            deleted_at: link.deleted_ms.map(instant),
            published_at: link.published_ms.map(instant),
            accounts: accounts.iter().filter(|account| account.listed).map(TrueAccount::of).collect(),
            transactions: order.iter().map(|at| TrueTransaction::of(accounts, &link.rows[*at])).collect(),
            deleted_transactions: Vec::new(),
        }
    }
}

impl TrueAccount {
    fn of(account: &Account) -> Self {
        Self {
            id: AccountId(account.id),
            upstream_id: id::text(account.id),
            kind: account.kind.to_string(),
            mask: account.mask(),
            number: account.number.to_string(),
            currency: account.currency.to_string(),
            balance_minor: account.served_balance(),
            available_minor: account.served_available(),
            credit_limit_minor: account.limit_minor,
            iban: None,
            data_access: account.shared,
            is_business: account.is_business,
        }
    }
}

impl TrueTransaction {
    pub(crate) fn of(accounts: &[Account], row: &Row) -> Self {
        let account = &accounts[usize::from(row.account)];
        Self {
            id: TransactionId(row.id),
            upstream_id: id::text(row.id),
            account_upstream_id: id::text(account.id),
            amount_minor: row.amount_minor,
            currency: account.currency.to_string(),
            status: row.status,
            transacted_at: instant(row.transacted_ms),
            posted_at: row.posted_ms.map(instant),
            description: row.detail.description.clone(),
            external_id: row.external_id.as_deref().map(str::to_owned),
            operation_type: None,
            category_id: None,
            future: false,
            date: None,
            booking_date: None,
            transaction_date: None,
            value_date: None,
            deleted: false,
            updated_at: None,
        }
    }
}
