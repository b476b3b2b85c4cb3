//! Securities.

use serde_json::value::RawValue;

use super::{day_of, flag, id, instant_of, is_hidden, wire};
use crate::model::HoldingRecord;
use crate::money::Currency;

/// One security; `None` for one without an id, and for one that is held nowhere.
///
/// Source: section 11.3. As with transactions only the id is sure to be there once it is deleted.
pub(in crate::aggregator::bridge) fn holding(raw: &RawValue) -> Option<HoldingRecord> {
    let stock: wire::Stock<'_> = wire::object(raw.get()).ok()?;
    let currency: Option<Currency> = stock.currency_code.text().and_then(|code| code.parse().ok());
    let is_removed = flag(&stock.deleted) == Some(true);
    let upstream_account_id = id(&stock.account_id);
    if upstream_account_id.is_none() && !is_removed {
        return None;
    }
    let label = stock.label.text();
    let is_obfuscated = label.as_deref().is_some_and(is_hidden);
    Some(HoldingRecord {
        upstream_id: id(&stock.id)?,
        upstream_account_id,
        label: label.filter(|_| !is_obfuscated),
        isin: stock.isin.text(),
        ticker: stock.ticker.text(),
        marketplace: stock.marketplace.text(),
        quantity: stock.quantity.decimal(),
        price: stock.current_price.decimal(),
        average_purchase_price: stock.average_purchase_price.decimal(),
        value_minor: currency.and_then(|c| c.parse_minor_rounded(&stock.total_value.decimal()?).ok()),
        currency,
        valued_on: day_of(&stock.value_date),
        upstream_updated_at: instant_of(&stock.updated_at),
        is_removed,
        raw: (!is_obfuscated).then(|| raw.get().to_owned()),
    })
}
