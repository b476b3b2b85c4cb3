//! Stocks on securities accounts, and what becomes of them. Only Bridge's side serves them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Bank, FOREVER, Link, Names, Seen};
use crate::sandbox::id::{AccountId, StockId};

/// One version of a holding, visible from version `since` until before `until`.
#[derive(Clone, Debug)]
pub(crate) struct Stock {
    pub(crate) id: u128,
    pub(crate) account: u16,
    pub(crate) since: u64,
    pub(crate) until: u64,
    pub(crate) label: Arc<str>,
    pub(crate) isin: Arc<str>,
    pub(crate) ticker: Arc<str>,
    pub(crate) quantity_thousandths: i64,
    pub(crate) price_minor: i64,
    pub(crate) cost_minor: i64,
    pub(crate) created_ms: i64,
    pub(crate) priced_ms: i64,
}

/// A stock to hold.
#[derive(Clone, Debug)]
pub struct NewStock {
    /// Its name.
    pub label: String,
    /// ISO 6166 code.
    pub isin: String,
    /// The exchange's short name.
    pub ticker: String,
    /// How many pieces, in thousandths.
    pub quantity_thousandths: i64,
    /// Price of a piece now, in minor units of the account's currency.
    pub price_minor: i64,
    /// Price of a piece when it was bought.
    pub cost_minor: i64,
}

impl Link {
    /// The last version of every stock that readers have seen, by id.
    pub(crate) fn seen_stocks(&self) -> Vec<(&Stock, Seen)> {
        let mut last = BTreeMap::new();
        for stock in &self.stocks {
            if let Some(seen) = self.upkeep.seen(stock.since, stock.until, i64::MAX) {
                last.insert(stock.id, (stock, seen));
            }
        }
        last.into_values().collect()
    }
}

impl Bank {
    /// Puts a stock on a securities account; the account's balance stays as it is.
    pub fn add_stock(&mut self, account: AccountId, new: NewStock) -> StockId {
        let (link, account) = self.account_at(account);
        let id = self.issue(self.owner_of(link), Names::Stock);
        let stock = Stock {
            id,
            account: u16::try_from(account).unwrap_or(u16::MAX),
            since: self.touch(link),
            until: FOREVER,
            label: new.label.into(),
            isin: new.isin.into(),
            ticker: new.ticker.into(),
            quantity_thousandths: new.quantity_thousandths,
            price_minor: new.price_minor,
            cost_minor: new.cost_minor,
            created_ms: self.now_ms,
            priced_ms: self.now_ms,
        };
        self.links[link].stocks.push(stock);
        self.link_of_stock.insert(id, link);
        StockId(id)
    }

    /// Changes the price of a stock.
    pub fn price_stock(&mut self, stock: StockId, price_minor: i64) {
        let (link, old) = self.retire_stock(stock);
        let next = Stock { since: self.version, until: FOREVER, price_minor, priced_ms: self.now_ms, ..old };
        self.links[link].stocks.push(next);
    }

    /// Sells a stock: it vanishes.
    pub fn sell_stock(&mut self, stock: StockId) {
        self.retire_stock(stock);
    }

    fn retire_stock(&mut self, stock: StockId) -> (usize, Stock) {
        let link = self.link_of_stock.get(&stock.0).copied();
        let held = link.and_then(|link| {
            let at = self.links[link].stocks.iter().rposition(|held| held.id == stock.0 && held.until == FOREVER);
            Some((link, at?))
        });
        let (link, at) = held.unwrap_or_else(|| panic!("nobody holds the stock {stock}"));
        let version = self.touch(link);
        let held = &mut self.links[link].stocks[at];
        held.until = version;
        (link, held.clone())
    }
}
