//! Accounts and what they hold.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::money::Currency;
use crate::secret::Secret;

/// One account as one answer shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AccountRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// Upstream's type, verbatim.
    pub kind: Option<String>,
    /// Upstream's subtype, verbatim; an empty text is `None`.
    pub subtype: Option<String>,
    /// What the customer calls it.
    pub name: Option<String>,
    /// Last digits of the account number.
    pub mask: Option<String>,
    /// `None` until the bank says.
    pub currency: Option<Currency>,
    /// Whether the bank says it is open; `None` where the answer does not carry it.
    pub is_open: Option<bool>,
    /// The balances, where there are any.
    pub balance: Option<BalanceRecord>,
    /// Numbers for payments; `None` where the answer does not carry them, empty where it says there are none.
    pub numbers: Option<Vec<AccountNumber>>,
    /// The link it belongs to, where one answer shows the accounts of several.
    pub upstream_link_id: Option<String>,
    /// Whether the customer shares it with us; `None` where the aggregator has no such choice.
    pub is_shared: Option<bool>,
    /// Whether it is a business account.
    pub is_business: Option<bool>,
    /// When the aggregator last read it at the bank.
    pub refreshed_at: Option<Timestamp>,
    /// Whether the last try to read it there worked.
    pub is_refreshed: Option<bool>,
    /// Whether accounts of its kind hold securities.
    pub holds_securities: bool,
    /// Its name came hidden behind X: nobody can tell yet which account it is.
    pub is_hidden: bool,
    /// What the bank tells of a loan.
    pub loan: Option<LoanRecord>,
    /// Upstream's JSON without account numbers.
    pub raw: Option<String>,
}

/// One observation of an account's balances in minor units, the sign as the bank gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalanceRecord {
    /// The currency of all three.
    pub currency: Currency,
    /// Booked balance.
    pub current_minor: Option<i64>,
    /// What can be spent; may leave out pending rows.
    pub available_minor: Option<i64>,
    /// Credit limit.
    pub credit_limit_minor: Option<i64>,
}

/// The terms of a loan, as the bank tells them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoanRecord {
    /// Upstream's type, verbatim.
    pub kind: Option<String>,
    /// Percent a year, decimal text.
    pub interest_rate: Option<String>,
    /// What was lent, in minor units of the account's currency.
    pub borrowed_minor: Option<i64>,
    /// What has been paid back.
    pub repaid_minor: Option<i64>,
    /// What is still owed.
    pub remaining_minor: Option<i64>,
    /// Its first day.
    pub opened_on: Option<Date>,
    /// Its last day.
    pub matures_on: Option<Date>,
    /// The day of the next payment.
    pub next_payment_on: Option<Date>,
    /// How much that is.
    pub next_payment_minor: Option<i64>,
}

/// One security held on an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The aggregator's id of the account; `None` on a stub that only says it is gone.
    pub upstream_account_id: Option<String>,
    /// What it is called; `None`: not said, or hidden.
    pub label: Option<String>,
    /// International securities number.
    pub isin: Option<String>,
    /// The exchange's short name.
    pub ticker: Option<String>,
    /// Where it is traded.
    pub marketplace: Option<String>,
    /// How many, decimal text.
    pub quantity: Option<String>,
    /// Price of one, decimal text in the currency.
    pub price: Option<String>,
    /// What one cost on average, decimal text in the currency.
    pub average_purchase_price: Option<String>,
    /// What they are worth together, minor units; rounded half to even where upstream is finer.
    pub value_minor: Option<i64>,
    /// The currency of all of these.
    pub currency: Option<Currency>,
    /// The day of the price.
    pub valued_on: Option<Date>,
    /// Upstream's last change.
    pub upstream_updated_at: Option<Timestamp>,
    /// No longer held.
    pub is_removed: bool,
    /// Upstream's JSON; `None`: what it says is hidden.
    pub raw: Option<String>,
}

/// Where an account can be paid.
#[derive(Debug, Clone)]
pub struct AccountNumber {
    /// The payment network, e.g. `ACH`.
    pub network: String,
    /// The account number.
    pub account_number: Option<Secret>,
    /// The bank's routing number.
    pub routing_number: Option<Secret>,
    /// A stand-in number issued by the bank.
    pub is_tokenized: Option<bool>,
}

impl PartialEq for AccountNumber {
    fn eq(&self, other: &Self) -> bool {
        let text = |s: &Option<Secret>| s.as_ref().map(|s| s.expose().to_owned());
        self.network == other.network
            && text(&self.account_number) == text(&other.account_number)
            && text(&self.routing_number) == text(&other.routing_number)
            && self.is_tokenized == other.is_tokenized
    }
}
