//! Accounts as any of Truv's three answers shows them, with their balances and numbers.
//!
//! Source: upstream/truv.md section 9.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::aggregator::listed::Listed;
use crate::aggregator::loose::Loose;
use crate::aggregator::truv::wire;
use crate::model::{AccountNumber, AccountRecord, BalanceRecord};
use crate::money::Currency;
use crate::secret::Secret;

/// One account, from any of the three answers that show accounts; `None` for one without an id.
pub(in crate::aggregator::truv) fn account(raw: &RawValue) -> Option<AccountRecord> {
    let account: wire::Account<'_> = serde_json::from_str(raw.get()).ok()?;
    let balances = balances(&account.balances);
    let currency: Option<Currency> = balances.currency_code.text().and_then(|code| code.parse().ok());
    let amount = |value: &Loose<'_>| currency.and_then(|c| c.parse_minor(&value.text()?).ok());
    let balance = currency.map(|currency| BalanceRecord {
        currency,
        current_minor: amount(&balances.balance),
        available_minor: amount(&balances.available_balance),
        credit_limit_minor: amount(&balances.credit_limit),
    });
    let has_numbers = account.numbers.raw().is_some();
    Some(AccountRecord {
        upstream_id: account.id,
        kind: account.r#type.text(),
        subtype: account.subtype.text(),
        name: account.nickname.text(),
        mask: account.mask.text(),
        currency,
        is_open: account.is_open,
        balance: balance.filter(|b| b.current_minor.is_some() || b.available_minor.is_some()),
        numbers: account.numbers.raw().map(numbers),
        raw: (!has_numbers).then(|| raw.get().to_owned()),
        ..AccountRecord::default()
    })
}

/// Source: section 9: an object in every sample, an array in old tables.
fn balances<'a>(value: &Loose<'a>) -> wire::Balances<'a> {
    let Some(raw) = value.raw() else {
        return wire::Balances::default();
    };
    if raw.starts_with('[') {
        // Asked for first: serde also reads a struct from an array, field by field.
        let list: Listed<wire::Balances<'a>> = serde_json::from_str(raw).unwrap_or_default();
        return list.into_iter().next().unwrap_or_default();
    }
    serde_json::from_str(raw).unwrap_or_default()
}

/// Source: section 9: keys ACH, RTP, OTHERS (old text misprints RPT), each a list.
fn numbers(raw: &str) -> Vec<AccountNumber> {
    let networks: BTreeMap<String, Option<Listed<wire::Number<'_>>>> = serde_json::from_str(raw).unwrap_or_default();
    let mut all = Vec::new();
    for (network, list) in networks {
        let network = if network == "RPT" { "RTP".to_owned() } else { network };
        for number in list.unwrap_or_default() {
            all.push(AccountNumber {
                network: network.clone(),
                account_number: number.account_number.text().map(Secret::new),
                routing_number: number.routing_number.text().map(Secret::new),
                is_tokenized: number.is_tokenized_account_number,
            });
        }
    }
    all
}
