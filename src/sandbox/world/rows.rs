//! Transactions of the bank: their versions, and the list a reader sees.

use std::sync::Arc;

use jiff::Timestamp;
use rand::RngExt;

use super::{Account, Bank, Link};
use crate::sandbox::id::{AccountId, TransactionId};

/// The version until which a live row is visible.
pub(crate) const FOREVER: u64 = u64::MAX;

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Booked: counts into the balance.
    Posted,
    /// Announced: counts into the available balance only.
    Pending,
    /// An authorization, e.g. of a card: as pending.
    Authorization,
    /// A remark without money: counts nowhere.
    Memo,
    /// Planned: counts into the available balance only, usually dated ahead.
    Future,
}

impl Status {
    /// The word of the newest documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Posted => "POSTED",
            // Truv knows no planned rows; there they look like pending ones.
            Self::Pending | Self::Future => "PENDING",
            Self::Authorization => "AUTHORIZATION",
            Self::Memo => "MEMO",
        }
    }

    /// Tells whether the row still waits to be booked.
    pub fn is_pending(self) -> bool {
        matches!(self, Self::Pending | Self::Authorization | Self::Future)
    }
}

/// What rows of the same merchant share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Detail {
    pub(crate) description: String,
    pub(crate) merchant: Option<String>,
    pub(crate) category: Option<String>,
    pub(crate) mcc: Option<u16>,
    pub(crate) memo: Option<String>,
    /// How the money moves, in Bridge's words; told from the rest when `None`.
    pub(crate) operation: Option<String>,
    /// Latitude and longitude in millionths of a degree.
    pub(crate) place: Option<(i32, i32)>,
}

/// One version of a transaction, visible from version `since` until before `until`.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: u128,
    pub(crate) since: u64,
    pub(crate) until: u64,
    pub(crate) amount_minor: i64,
    pub(crate) transacted_ms: i64,
    pub(crate) posted_ms: Option<i64>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) external_id: Option<Arc<str>>,
    pub(crate) detail: Arc<Detail>,
    pub(crate) check_number: Option<u32>,
    pub(crate) account: u16,
    pub(crate) status: Status,
}

impl Row {
    pub(crate) fn is_live(&self) -> bool {
        self.until == FOREVER
    }

    fn key(&self) -> (i64, u128) {
        (self.transacted_ms, !self.id)
    }
}

/// A transaction to add.
#[derive(Clone, Debug)]
pub struct NewTransaction {
    /// Signed, in minor units of the account's currency: positive is money into the account.
    pub amount_minor: i64,
    /// Where it stands.
    pub status: Status,
    /// When it happened; `None` is the bank's present.
    pub transacted_at: Option<Timestamp>,
    /// When it was booked; `None` is `transacted_at` for posted rows and absent for others.
    pub posted_at: Option<Timestamp>,
    /// The bank's text.
    pub description: String,
    /// The bank's own identifier, if it has one.
    pub external_id: Option<String>,
    /// The merchant.
    pub merchant: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// ISO 18245 merchant category code.
    pub mcc: Option<u16>,
    /// A free remark.
    pub memo: Option<String>,
    /// Number of the check.
    pub check_number: Option<u32>,
    /// How the money moves, in Bridge's words, e.g. `card`; told from the rest when `None`.
    pub operation: Option<String>,
}

impl NewTransaction {
    /// A posted transaction of now.
    pub fn posted(amount_minor: i64, description: &str) -> Self {
        Self {
            amount_minor,
            status: Status::Posted,
            transacted_at: None,
            posted_at: None,
            description: description.to_owned(),
            external_id: None,
            merchant: None,
            category: None,
            mcc: None,
            memo: None,
            check_number: None,
            operation: None,
        }
    }

    /// A pending transaction of now.
    pub fn pending(amount_minor: i64, description: &str) -> Self {
        Self { status: Status::Pending, ..Self::posted(amount_minor, description) }
    }

    /// A planned transaction of an instant, usually ahead of now.
    pub fn future(amount_minor: i64, description: &str, at: Timestamp) -> Self {
        Self { status: Status::Future, transacted_at: Some(at), ..Self::posted(amount_minor, description) }
    }

    /// The same moved in a way, in Bridge's words.
    #[must_use]
    pub fn operation(self, operation: &str) -> Self {
        Self { operation: Some(operation.to_owned()), ..self }
    }

    /// The same with an instant.
    #[must_use]
    pub fn at(self, transacted_at: Timestamp) -> Self {
        Self { transacted_at: Some(transacted_at), ..self }
    }

    /// The same with the bank's own identifier.
    #[must_use]
    pub fn external(self, external_id: &str) -> Self {
        Self { external_id: Some(external_id.to_owned()), ..self }
    }
}

/// The rows of one link in served order, for one version and one revision of the link.
#[derive(Debug)]
pub(crate) struct View {
    version: u64,
    revision: u64,
    shuffled: bool,
    pub(crate) rows: Arc<Vec<usize>>,
}

impl Link {
    /// Puts a row at its place; rows in ascending order cost nothing.
    pub(crate) fn place(&mut self, row: Row) {
        let at = match self.rows.last() {
            Some(last) if last.key() > row.key() => self.rows.partition_point(|other| other.key() <= row.key()),
            _ => self.rows.len(),
        };
        self.rows.insert(at, row);
    }

    /// Position of the live version of a row.
    pub(crate) fn live_row(&self, id: u128) -> Option<usize> {
        self.rows.iter().rposition(|row| row.id == id && row.is_live())
    }

    /// Drops row versions that no reader can see any more, once they are many.
    pub(crate) fn prune(&mut self, version: u64) {
        let dead = self.rows.iter().filter(|row| row.until <= version).count();
        if dead > 64 && dead * 4 > self.rows.len() {
            self.rows.retain(|row| row.until > version);
        }
    }

    /// The accounts a reader sees; with `immediately` those of this moment.
    pub(crate) fn accounts_for(&self, immediately: bool) -> &[Account] {
        if immediately || self.visible.is_none() { &self.accounts } else { &self.shown_accounts }
    }

    /// Positions of the rows a reader sees, newest first, or in a fixed disorder.
    pub(crate) fn view(&mut self, immediately: bool, shuffled: bool) -> Arc<Vec<usize>> {
        let version = if immediately { FOREVER - 1 } else { self.visible.unwrap_or(FOREVER - 1) };
        if let Some(view) = &self.view
            && (view.version, view.revision, view.shuffled) == (version, self.revision, shuffled)
        {
            return Arc::clone(&view.rows);
        }
        let accounts = self.accounts_for(immediately);
        let mut rows: Vec<usize> = (0..self.rows.len())
            .rev()
            .filter(|at| {
                let row = &self.rows[*at];
                let listed = accounts.get(usize::from(row.account)).is_some_and(|account| account.listed);
                listed && row.since <= version && version < row.until
            })
            .collect();
        if shuffled {
            rows.sort_by_key(|at| self.rows[*at].id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        }
        let rows = Arc::new(rows);
        self.view = Some(View { version, revision: self.revision, shuffled, rows: Arc::clone(&rows) });
        rows
    }
}

impl Bank {
    /// Adds a transaction to `account` and moves its balance.
    pub fn add_transaction(&mut self, account: AccountId, new: NewTransaction) -> TransactionId {
        let (link, account) = self.account_at(account);
        TransactionId(self.insert_new(link, account, new))
    }

    pub(crate) fn insert_new(&mut self, link: usize, account: usize, new: NewTransaction) -> u128 {
        let transacted_ms = new.transacted_at.map_or(self.now_ms, Timestamp::as_millisecond);
        let posted_ms = match (new.status, new.posted_at) {
            (_, Some(at)) => Some(at.as_millisecond()),
            (Status::Posted, None) => Some(transacted_ms),
            (Status::Pending | Status::Authorization | Status::Memo | Status::Future, None) => None,
        };
        let row = Row {
            id: self.issue_transaction(link),
            since: 0,
            until: FOREVER,
            amount_minor: new.amount_minor,
            transacted_ms,
            posted_ms,
            created_ms: self.now_ms,
            updated_ms: self.now_ms,
            external_id: new.external_id.map(Into::into),
            detail: Arc::new(Detail {
                description: new.description,
                merchant: new.merchant,
                category: new.category,
                mcc: new.mcc,
                memo: new.memo,
                operation: new.operation,
                place: None,
            }),
            check_number: new.check_number,
            account: u16::try_from(account).unwrap_or(u16::MAX),
            status: new.status,
        };
        self.insert_row(link, row)
    }

    /// Puts a live row into the world from the next version on.
    pub(crate) fn insert_row(&mut self, link: usize, mut row: Row) -> u128 {
        row.since = self.touch(link);
        row.until = FOREVER;
        let id = row.id;
        let now_ms = self.now_ms;
        let holder = &mut self.links[link];
        let account = &mut holder.accounts[usize::from(row.account)];
        account.book(&row, 1);
        account.updated_ms = account.updated_ms.max(now_ms);
        holder.place(row);
        self.link_of_row.insert(id, link);
        id
    }

    /// An identifier such as a bank's core system writes.
    pub(crate) fn draw_external_id(&mut self) -> Arc<str> {
        format!("external_key_{}", self.rng.random_range(100_000_000_u64..999_999_999_999)).into()
    }
}
