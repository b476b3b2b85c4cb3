//! A link's accounts as the commands show them.

use jiff::Timestamp;
use rusqlite::{Row, named_params};

use crate::store::{ReadTxn, StoreError, instant};

/// One account with its latest balance.
#[derive(Debug, Clone)]
pub struct AccountSummary {
    /// Our id.
    pub account_id: i64,
    /// Upstream's type.
    pub kind: Option<String>,
    /// What the customer calls it.
    pub name: Option<String>,
    /// Last digits of its number.
    pub mask: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// Booked balance, the sign as the bank gives it.
    pub current_minor: Option<i64>,
    /// What can be spent.
    pub available_minor: Option<i64>,
    /// Live transactions.
    pub transactions: u64,
    /// Securities held.
    pub holdings: u64,
    /// Absent from the bank's list since.
    pub missing_at: Option<Timestamp>,
    /// Whether the customer shares it; `None`: there is no such choice.
    pub is_shared: Option<bool>,
    /// Whether it is a business account.
    pub is_business: Option<bool>,
    /// When the aggregator last read it at the bank; `None`: it does not say.
    pub refreshed_at: Option<Timestamp>,
    /// Whether the last try to read it there worked.
    pub is_refreshed: Option<bool>,
    /// Its whole history is to be read.
    pub needs_history: bool,
    /// Its terms, if it is a loan.
    pub loan: Option<LoanSummary>,
}

/// The terms of a loan.
#[derive(Debug, Clone)]
pub struct LoanSummary {
    /// Upstream's type.
    pub kind: Option<String>,
    /// Percent a year, decimal text.
    pub interest_rate: Option<String>,
    /// What was lent.
    pub borrowed_minor: Option<i64>,
    /// What is still owed, positive.
    pub remaining_minor: Option<i64>,
    /// The day of the next payment.
    pub next_payment_on: Option<String>,
    /// How much that is.
    pub next_payment_minor: Option<i64>,
    /// Its last day.
    pub matures_on: Option<String>,
}

/// An account that goes on under another id, because the bank was connected anew.
#[derive(Debug, Clone)]
pub struct ContinuedAccount {
    /// Our id.
    pub account_id: i64,
    /// The link it had.
    pub former_link_id: i64,
    /// Its id there.
    pub former_upstream_id: String,
    /// The link it has.
    pub link_id: i64,
    /// What was compared, for people.
    pub evidence: String,
    /// When the two were joined.
    pub matched_at: Timestamp,
}

fn summary(row: &Row<'_>) -> rusqlite::Result<AccountSummary> {
    let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
    let loan = LoanSummary {
        kind: row.get("loan_kind")?,
        interest_rate: row.get("interest_rate")?,
        borrowed_minor: row.get("borrowed_minor")?,
        remaining_minor: row.get("remaining_minor")?,
        next_payment_on: row.get("next_payment_on")?,
        next_payment_minor: row.get("next_payment_minor")?,
        matures_on: row.get("matures_on")?,
    };
    Ok(AccountSummary {
        account_id: row.get("account_id")?,
        kind: row.get("kind")?,
        name: row.get("name")?,
        mask: row.get("mask")?,
        currency: row.get("currency")?,
        current_minor: row.get("current_minor")?,
        available_minor: row.get("available_minor")?,
        transactions: row.get("transactions")?,
        holdings: row.get("holdings")?,
        missing_at: at("missing_at")?,
        is_shared: row.get("is_shared")?,
        is_business: row.get("is_business")?,
        refreshed_at: at("refreshed_at")?,
        is_refreshed: row.get("is_refreshed")?,
        needs_history: row.get("needs_history")?,
        loan: row.get::<_, bool>("is_loan")?.then_some(loan),
    })
}

impl ReadTxn<'_> {
    /// A link's accounts with their latest balances and how many live transactions and securities each has.
    pub fn account_summaries(&self, link_id: i64) -> Result<Vec<AccountSummary>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT v.account_id, v.kind, v.name, v.mask, v.currency,
                    v.current_minor, v.available_minor, v.missing_at, v.is_shared, v.is_business, v.refreshed_at,
                    v.is_refreshed, a.needs_history,
                    (SELECT count(*) FROM transactions t
                     WHERE t.account_id = v.account_id AND t.removed_at IS NULL) AS transactions,
                    (SELECT count(*) FROM holdings h
                     WHERE h.account_id = v.account_id AND h.removed_at IS NULL) AS holdings,
                    o.account_id IS NOT NULL AS is_loan, o.kind AS loan_kind, o.interest_rate, o.borrowed_minor,
                    o.remaining_minor, o.next_payment_on, o.next_payment_minor, o.matures_on
             FROM v_accounts v
             JOIN accounts a ON a.account_id = v.account_id
             LEFT JOIN loans o ON o.account_id = v.account_id
             WHERE v.link_id = :link_id ORDER BY v.account_id",
        )?;
        let rows = select.query_map(named_params! { ":link_id": link_id }, summary)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Accounts that came to a link from another, or went on from it, the latest first.
    pub fn continued_accounts(&self, link_id: i64) -> Result<Vec<ContinuedAccount>, StoreError> {
        self.continued("(x.link_id = :id OR a.link_id = :id)", link_id)
    }

    /// How an account came to its present id, the latest join first; empty: it never had another, or that was undone.
    pub fn former_ids_of_account(&self, account_id: i64) -> Result<Vec<ContinuedAccount>, StoreError> {
        self.continued("x.account_id = :id", account_id)
    }

    fn continued(&self, which: &str, id: i64) -> Result<Vec<ContinuedAccount>, StoreError> {
        let mut select = self.txn.prepare_cached(&format!(
            "SELECT x.account_id, x.link_id AS former_link_id, x.upstream_id, a.link_id, x.evidence, x.matched_at
             FROM account_aliases x JOIN accounts a ON a.account_id = x.account_id
             WHERE x.split_at IS NULL AND {which} ORDER BY x.matched_at DESC, x.account_alias_id DESC"
        ))?;
        let rows = select.query_map(named_params! { ":id": id }, |row| {
            Ok(ContinuedAccount {
                account_id: row.get("account_id")?,
                former_link_id: row.get("former_link_id")?,
                former_upstream_id: row.get("upstream_id")?,
                link_id: row.get("link_id")?,
                evidence: row.get("evidence")?,
                matched_at: instant(row.get("matched_at")?),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
