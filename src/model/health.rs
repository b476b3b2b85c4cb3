//! How a connection is: what the aggregator says, what that means, and what only a person can repair.

use std::fmt;

use jiff::SignedDuration;

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

    /// Whether it is over when the customer connects the bank again.
    pub fn ends_by_reconnecting(self) -> bool {
        match self {
            Self::Login
            | Self::SecondFactor
            | Self::AccountLocked
            | Self::Configuration
            | Self::BankAction
            | Self::Identity
            | Self::Migration => true,
            Self::Unsupported | Self::Access | Self::Support => false,
        }
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
