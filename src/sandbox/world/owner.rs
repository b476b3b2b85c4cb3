//! To whom customers belong, and the identifiers that their aggregators give out.

use super::Bank;
use crate::sandbox::id;

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
pub(crate) struct Numbers {
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

impl Bank {
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
}
