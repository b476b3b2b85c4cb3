//! The normalized records: what every aggregator's JSON becomes before anything above looks at it.
//!
//! Plain data without behaviour. `normalize` makes them, `sync` compares them with the store, `store` keeps them. Ids here
//! are upstream's; our own integers appear only in the store.

use std::fmt;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use crate::money::Currency;
use crate::secret::Secret;

/// One end customer at an aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The organisation's own id for this customer.
    pub external_id: Option<String>,
}

/// One bank as an aggregator names it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstitutionRecord {
    /// The aggregator's id, e.g. `chase`.
    pub upstream_id: String,
    /// The name a person knows.
    pub name: Option<String>,
    /// ISO 3166 country, two letters.
    pub country: Option<String>,
    /// The banking group it belongs to.
    pub group_name: Option<String>,
    /// Where its logo is.
    pub logo_url: Option<String>,
    /// Whether the aggregator can reach it at present, verbatim: a word, or JSON where there are several.
    pub service_status: Option<String>,
}

/// One category of transactions as an aggregator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoryRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The category above it.
    pub parent_upstream_id: Option<String>,
    /// In the configured language.
    pub name: String,
}

/// One customer's connection to one institution.
#[derive(Debug, Clone)]
pub struct LinkRecord {
    /// The aggregator's id.
    pub upstream_id: String,
    /// The bank, where the aggregator says.
    pub institution: Option<InstitutionRecord>,
    /// What a refresh needs; `None` where the answer masks or omits it.
    pub access_token: Option<Secret>,
    /// What the aggregator says about the connection.
    pub health: LinkHealth,
    /// Deleted at the aggregator.
    pub is_removed: bool,
    /// When the aggregator last read the bank with success, where it says.
    pub refreshed_at: Option<Timestamp>,
    /// When it last tried.
    pub tried_at: Option<Timestamp>,
    /// When the customer's consent ends and must be renewed.
    pub consent_expires_at: Option<Timestamp>,
}

/// What an aggregator says about a link's connection to the bank.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkHealth {
    /// The aggregator's word, verbatim; `None` where it says nothing.
    pub upstream_status: Option<String>,
    /// The aggregator's own sentence for the customer, in the configured language.
    pub detail: Option<String>,
    /// What that means for us.
    pub condition: Condition,
}

impl LinkHealth {
    /// The aggregator's word without the detail behind it.
    pub fn code(&self) -> Option<&str> {
        self.upstream_status.as_deref().and_then(|status| status.split(' ').next())
    }
}

/// What the state of a connection means for us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Condition {
    /// Data flows.
    #[default]
    Well,
    /// The first connection, or one with new credentials, is under way: wait.
    Connecting,
    /// Data flows, and the aggregator says that some of it is missing.
    Incomplete,
    /// No fresh data for now and nobody here can help: it passes.
    Passing {
        /// After this long it is the aggregator's support that must help; `None`: it may take as long as it takes.
        patience: Option<SignedDuration>,
    },
    /// Only a person can repair it.
    NeedsPerson(Attention),
}

impl Condition {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Connecting => "connecting",
            Self::Incomplete => "incomplete",
            Self::Passing { .. } => "passing",
            Self::NeedsPerson(_) => "needs_person",
        }
    }

    /// What a person must repair, if that is what it needs.
    pub fn attention(self) -> Option<Attention> {
        match self {
            Self::NeedsPerson(attention) => Some(attention),
            Self::Well | Self::Connecting | Self::Incomplete | Self::Passing { .. } => None,
        }
    }
}

/// What only a person can repair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attention {
    /// The bank no longer accepts the credentials.
    Login,
    /// The bank asks for a second factor.
    SecondFactor,
    /// The bank locked the customer's access.
    AccountLocked,
    /// The bank or organisation chosen does not fit.
    Configuration,
    /// The aggregator does not support this bank (any more).
    Unsupported,
    /// The aggregator refuses us this link's data.
    Access,
    /// The bank wants something done on its own site: terms, a contract, identity papers.
    BankAction,
    /// The customer's identity must be confirmed; until then the data comes obfuscated.
    Identity,
    /// The bank is moving to another connection.
    Migration,
    /// The aggregator's support must look at it.
    Support,
}

impl Attention {
    /// Every reason, in the order of the schema.
    pub const ALL: [Self; 10] = [
        Self::Login,
        Self::SecondFactor,
        Self::AccountLocked,
        Self::Configuration,
        Self::Unsupported,
        Self::Access,
        Self::BankAction,
        Self::Identity,
        Self::Migration,
        Self::Support,
    ];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::SecondFactor => "second_factor",
            Self::AccountLocked => "account_locked",
            Self::Configuration => "configuration",
            Self::Unsupported => "unsupported",
            Self::Access => "access",
            Self::BankAction => "bank_action",
            Self::Identity => "identity",
            Self::Migration => "migration",
            Self::Support => "support",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.as_str() == word)
    }

    /// What a person should do about it, one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Login => "the bank refused the login: ask the customer to reconnect this bank",
            Self::SecondFactor => "the bank asks for a second factor: ask the customer to reconnect this bank",
            Self::AccountLocked => "the bank locked the access: the customer unlocks it at the bank, then reconnects",
            Self::Configuration => "the connection's settings do not fit: ask the customer to connect the bank anew",
            Self::Unsupported => "the aggregator does not support this bank: remove the link or ask the aggregator",
            Self::Access => {
                "the aggregator refuses this link's data: check the products of the link and the key's rights"
            }
            Self::BankAction => {
                "the bank wants something done on its own site: the customer does that there, then reconnects this bank"
            }
            Self::Identity => {
                "the bank asks who the customer is, and hides the data until then: ask the customer to reconnect this bank"
            }
            Self::Migration => {
                "the bank moves to another connection: follow what the aggregator says, then ask the customer to connect it anew"
            }
            Self::Support => {
                "the aggregator has not reached the bank for too long: ask its support, and name the upstream link id"
            }
        }
    }
}

impl fmt::Display for Attention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

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

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Announced; may change, vanish or come back under another id.
    Pending,
    /// Booked.
    Posted,
    /// Planned by the bank.
    Future,
}

impl Status {
    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Posted => "posted",
            Self::Future => "future",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Posted, Self::Future].into_iter().find(|s| s.as_str() == word)
    }
}

/// One transaction, every value in the store's units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    /// The aggregator's id; unique within a link.
    pub upstream_id: String,
    /// The aggregator's id of the account.
    pub upstream_account_id: String,
    /// The bank's own identifier.
    pub external_id: Option<String>,
    /// Where it stands.
    pub status: Status,
    /// Positive is money into the account; 0 for rows that move no money.
    pub amount_minor: i64,
    /// The figure on a row that moves no money.
    pub memo_minor: Option<i64>,
    /// The currency of the amount.
    pub currency: Currency,
    /// When it happened; `None` where upstream tells only the day.
    pub transacted_at: Option<Timestamp>,
    /// The civil day of it at the bank.
    pub transacted_on: Date,
    /// When the money moved; `None` while pending.
    pub posted_at: Option<Timestamp>,
    /// The civil day of that.
    pub posted_on: Option<Date>,
    /// The bank's text.
    pub description: String,
    /// The aggregator's tidier version of it.
    pub clean_description: Option<String>,
    /// Who was paid.
    pub merchant: Option<String>,
    /// Free text.
    pub category: Option<String>,
    /// The aggregator's id of a category, where it keeps a list of them.
    pub upstream_category_id: Option<String>,
    /// ISO 18245 code.
    pub merchant_code: Option<String>,
    /// The number of a cheque.
    pub check_number: Option<String>,
    /// A note.
    pub memo: Option<String>,
    /// Decimal text.
    pub latitude: Option<String>,
    /// Decimal text.
    pub longitude: Option<String>,
    /// What kind of operation, where the aggregator says.
    pub operation_type: Option<String>,
    /// Upstream's status, verbatim.
    pub upstream_status: Option<String>,
    /// When upstream last wrote this version; an older one never replaces a newer one.
    pub upstream_updated_at: Option<Timestamp>,
    /// Its texts are hidden behind X: such a version never replaces one that can be read.
    pub is_obfuscated: bool,
    /// Hash of upstream's JSON without its update time: equal means nothing changed.
    pub content_hash: i64,
    /// Upstream's JSON.
    pub raw: String,
}

/// A row that could not be understood, set aside with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// `None` where the row has none.
    pub upstream_id: Option<String>,
    /// `None` where it cannot be read.
    pub transacted_at: Option<Timestamp>,
    /// What is wrong with it.
    pub reason: String,
    /// Upstream's JSON.
    pub raw: String,
}

/// Why a sync runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its time in the schedule came.
    Schedule,
    /// A person asked.
    Person,
    /// The aggregator announced news.
    Webhook,
    /// The link's first sync.
    Backfill,
    /// The last sync failed.
    Retry,
}

impl Cause {
    /// Every cause.
    pub const ALL: [Self; 5] = [Self::Schedule, Self::Person, Self::Webhook, Self::Backfill, Self::Retry];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Person => "person",
            Self::Webhook => "webhook",
            Self::Backfill => "backfill",
            Self::Retry => "retry",
        }
    }

    /// Reads the word the store keeps.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.as_str() == word)
    }
}
