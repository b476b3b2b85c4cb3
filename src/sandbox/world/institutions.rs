//! The institutions a sandbox knows: American ones by word, European ones by number, as their aggregators name them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Bank, Owner};

/// American institutions: id and name. Others are accepted and named after their id.
pub(crate) const INSTITUTIONS: [(&str, &str); 12] = [
    ("truv_bank", "Truv Bank (non-oAuth)"),
    ("truv_bank_oauth", "Truv Bank (oAuth)"),
    ("chase", "Chase"),
    ("bank_of_america", "Bank of America"),
    ("wells_fargo", "Wells Fargo"),
    ("citibank", "Citibank Online"),
    ("us_bank", "U.S. Bank"),
    ("capital_one", "Capital One"),
    ("pnc", "PNC"),
    ("navy_federal", "Navy Federal Credit Union"),
    ("ally", "Ally Bank"),
    ("usaa", "USAA"),
];

/// The aggregator's own test bank.
pub(crate) const DEMO_BANK: u32 = 574;

/// European institutions: id, name, country.
const EUROPEAN: [(u32, &str, &str); 14] = [
    (DEMO_BANK, "Demo Bank", "FR"),
    (6, "BNP Paribas", "FR"),
    (14, "Crédit Agricole Île-de-France", "FR"),
    (23, "Société Générale", "FR"),
    (31, "La Banque Postale", "FR"),
    (42, "Caisse d'Épargne", "FR"),
    (57, "Crédit Mutuel", "FR"),
    (64, "Banque Populaire Rives de Paris", "FR"),
    (79, "Boursorama Banque", "FR"),
    (112, "LCL", "FR"),
    (240, "Fortuneo", "FR"),
    (401, "Banco Santander", "ES"),
    (433, "ING-DiBa", "DE"),
    (520, "Intesa Sanpaolo", "IT"),
];

/// Institutions that a script named by a word get numbers from here.
const FIRST_EXTRA: u32 = 9_001;

/// One institution of the European list.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) country: &'static str,
}

/// The European list, which grows by the words of scripts.
#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) known: Vec<Provider>,
    /// Those whose connector is switched off.
    pub(crate) disabled: BTreeSet<u32>,
}

impl Default for Providers {
    fn default() -> Self {
        let known = EUROPEAN.iter().map(|(id, name, country)| Provider { id: *id, name: (*name).into(), country });
        Self { known: known.collect(), disabled: BTreeSet::new() }
    }
}

impl Providers {
    pub(crate) fn find(&self, id: u32) -> Option<&Provider> {
        self.known.iter().find(|provider| provider.id == id)
    }

    /// The institution that a script means by a number or a word; an unknown one joins the list.
    pub(crate) fn intern(&mut self, word: &str) -> &Provider {
        let number: Option<u32> = word.parse().ok();
        let at = self.known.iter().position(|known| Some(known.id) == number || &*known.name == word);
        let at = at.unwrap_or_else(|| {
            let extra = self.known.iter().map(|known| known.id + 1).max().unwrap_or(0).max(FIRST_EXTRA);
            self.known.push(Provider { id: number.unwrap_or(extra), name: word.into(), country: "FR" });
            self.known.len() - 1
        });
        &self.known[at]
    }
}

impl Bank {
    /// Switches the connector of a European institution off or on; its links then end refreshes accordingly.
    pub fn set_provider_disabled(&mut self, provider: u32, disabled: bool) {
        if disabled {
            self.providers.disabled.insert(provider);
        } else {
            self.providers.disabled.remove(&provider);
        }
    }

    /// Id and name of the institution meant by a word, for links of `owner`.
    pub(crate) fn institution(&mut self, owner: Owner, word: &str) -> (Arc<str>, Arc<str>) {
        match owner {
            Owner::Truv(_) => {
                let name = INSTITUTIONS.iter().find(|(id, _)| *id == word).map_or(word, |(_, name)| name);
                (word.into(), name.into())
            }
            Owner::Bridge(_) => {
                let provider = self.providers.intern(word);
                (provider.id.to_string().into(), Arc::clone(&provider.name))
            }
        }
    }
}
