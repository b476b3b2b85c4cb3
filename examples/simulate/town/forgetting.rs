//! Customers whom the operator forgets: what nobody may find any more.

use std::collections::HashSet;

use passbook::sandbox::{Served, UserId};

use super::Town;

/// A customer as an operator names them.
pub(crate) struct Customer {
    pub(crate) user: UserId,
    /// The source's name.
    pub(crate) source: &'static str,
    /// The organisation's own id.
    pub(crate) external_id: String,
}

impl Town {
    /// The customer who has a link.
    pub(crate) fn customer(&self, link: usize) -> Option<Customer> {
        let user = self.links[link].user;
        let nth = self.users.iter().position(|(known, _)| *known == user)?;
        let source = if self.users[nth].1 == Served::Truv { "truv" } else { "bridge" };
        Some(Customer { user, source, external_id: external_id(nth) })
    }

    /// An order to forget a customer is on its way.
    pub(crate) fn may_forget(&mut self, user: UserId) {
        self.forgetting.insert(user);
    }

    /// The order was not taken.
    pub(crate) fn remember(&mut self, user: UserId) {
        self.forgetting.remove(&user);
    }

    /// The order was taken.
    pub(crate) fn forget(&mut self, user: UserId) {
        self.forgotten.insert(user);
        self.bury_all(user);
    }

    /// How many customers are forgotten for certain.
    pub(crate) fn forgotten(&self) -> usize {
        self.forgotten.len()
    }

    /// Ids of the links of customers who are forgotten, or may be.
    pub(crate) fn forgotten_links(&self) -> HashSet<String> {
        let theirs = self.links.iter().filter(|link| self.forgetting.contains(&link.user));
        theirs.map(|link| link.id.to_string()).collect()
    }

    /// What the organisation calls customers who are forgotten, or may be.
    pub(crate) fn forgotten_names(&self) -> Vec<String> {
        let theirs = self.users.iter().enumerate().filter(|(_, (user, _))| self.forgetting.contains(user));
        theirs.map(|(nth, _)| external_id(nth)).collect()
    }

    /// Whether a text is, or was, that of a row of a forgotten customer.
    pub(crate) fn is_of_forgotten(&self, text: &str) -> bool {
        self.texts.get(text).is_some_and(|user| self.forgotten.contains(user))
    }
}

/// What the organisation calls its `nth` customer: no such name is part of another one, or of anything else.
pub(super) fn external_id(nth: usize) -> String {
    format!("customer-{nth:06}-x")
}
