//! Accounts: what a bank shows of them, and what it does not.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{day_of, flag, id, instant_of, is_hidden, wire};
use crate::aggregator::loose::Loose;
use crate::model::{AccountNumber, AccountRecord, BalanceRecord, LoanRecord};
use crate::money::Currency;
use crate::secret::Secret;

/// How many of the account number's last characters are kept in the open.
const MASK_CHARS: usize = 4;
/// Kinds of accounts that hold securities. Source: section 9.1.
const HOLDS_SECURITIES: [&str; 4] = ["brokerage", "life_insurance", "market", "pea"];

/// One account; `None` for one without an id.
///
/// Source: section 9. What the customer does not share is left out even where it is sent.
pub(in crate::aggregator::bridge) fn account(raw: &RawValue) -> Option<AccountRecord> {
    let account: wire::Account<'_> = wire::object(raw.get()).ok()?;
    let currency: Option<Currency> = account.currency_code.text().and_then(|code| code.parse().ok());
    let is_shared = match account.data_access.text().map(|word| word.to_ascii_lowercase()).as_deref() {
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        _ => None,
    };
    let is_open_to_us = is_shared != Some(false);
    let shown = |value: &Loose<'_>| value.text().filter(|_| is_open_to_us);
    let iban = shown(&account.iban).map(|iban| iban.split_whitespace().collect::<String>());
    let name = account.name.text();
    let hides_name = name.as_deref().is_some_and(is_hidden);
    let is_obfuscated = hides_name || iban.as_deref().is_some_and(hides_number);
    let iban = iban.filter(|iban| !hides_number(iban));
    let loan = shown_loan(&account, currency).filter(|_| is_open_to_us);
    Some(AccountRecord {
        upstream_id: id(&account.id)?,
        kind: account.r#type.text(),
        subtype: None,
        name: name.filter(|_| !hides_name),
        mask: iban.as_deref().map(last_chars),
        currency,
        is_open: None,
        balance: currency.filter(|_| is_open_to_us).and_then(|currency| balance(&account, loan.as_ref(), currency)),
        numbers: iban.map(|iban| vec![number(iban)]),
        upstream_link_id: id(&account.item_id),
        is_shared,
        is_business: flag(&account.pro),
        refreshed_at: instant_of(&account.updated_at),
        is_refreshed: match account.last_refresh_status.text().map(|word| word.to_ascii_lowercase()).as_deref() {
            Some("successful") => Some(true),
            Some("failed") => Some(false),
            _ => None,
        },
        holds_securities: account.r#type.text().is_some_and(|kind| HOLDS_SECURITIES.contains(&kind.as_str())),
        loan,
        is_hidden: hides_name,
        raw: without_number(raw.get()).filter(|_| !is_obfuscated),
    })
}

/// Source: section 9.1: `balance` repeats one of the other two. A loan's comes with either sign, so what is owed is taken
/// from its capital, and nothing of it can be spent.
fn balance(account: &wire::Account<'_>, loan: Option<&LoanRecord>, currency: Currency) -> Option<BalanceRecord> {
    let owed = loan.and_then(|loan| loan.remaining_minor);
    let booked = || amount(&account.accounting_balance, currency).or_else(|| amount(&account.balance, currency));
    let record = BalanceRecord {
        currency,
        current_minor: owed.map(|minor| -minor).or_else(booked),
        available_minor: amount(&account.instant_balance, currency).filter(|_| owed.is_none()),
        credit_limit_minor: None,
    };
    (record.current_minor.is_some() || record.available_minor.is_some()).then_some(record)
}

fn shown_loan(account: &wire::Account<'_>, currency: Option<Currency>) -> Option<LoanRecord> {
    let loan: wire::Loan<'_> = wire::object(account.loan_details.raw()?).ok()?;
    // Amounts of a loan are sizes: the sign that some banks give them says nothing.
    let size = |value: &Loose<'_>| amount(value, currency?)?.checked_abs();
    let record = LoanRecord {
        kind: loan.r#type.text(),
        interest_rate: loan.interest_rate.decimal(),
        borrowed_minor: size(&loan.borrowed_capital),
        repaid_minor: size(&loan.repaid_capital),
        remaining_minor: size(&loan.remaining_capital),
        opened_on: day_of(&loan.opening_date),
        matures_on: day_of(&loan.maturity_date),
        next_payment_on: day_of(&loan.next_payment_date),
        next_payment_minor: size(&loan.next_payment_amount),
    };
    (record != LoanRecord::default()).then_some(record)
}

fn amount(value: &Loose<'_>, currency: Currency) -> Option<i64> {
    currency.parse_minor(&value.decimal()?).ok()
}

/// A hidden IBAN may keep its country in front.
fn hides_number(iban: &str) -> bool {
    iban.to_ascii_uppercase().contains("XXXX")
}

fn last_chars(iban: impl AsRef<str>) -> String {
    let chars: Vec<char> = iban.as_ref().chars().collect();
    chars[chars.len().saturating_sub(MASK_CHARS)..].iter().collect()
}

fn number(iban: String) -> AccountNumber {
    AccountNumber {
        network: "IBAN".to_owned(),
        account_number: Some(Secret::new(iban)),
        routing_number: None,
        is_tokenized: None,
    }
}

/// The JSON without the account number, every other value as it was written.
fn without_number(text: &str) -> Option<String> {
    let mut fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    fields.remove("iban");
    serde_json::to_string(&fields).ok()
}
