//! Accounts (section 9).

use serde_json::{Value, json};

use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, not_found};
use super::rows::{HIDDEN, amount, instant};
use super::{iban, items, words};
use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Account, Link};

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let mine = items::mine(state, call)?;
    let paging = Paging::of(call, &state.settings, &["item_id"])?;
    let item = call.param("item_id").map(id::parse_number);
    let links = mine.iter().map(|link| &state.bank.links[*link]);
    let wanted = links.filter(|link| item.is_none_or(|item| item == Some(link.id)));
    let listed = wanted.flat_map(|link| link.shown_accounts.iter().map(move |account| (link, account)));
    let listed = listed.filter(|(_, account)| account.listed);
    let mut rows: Vec<Listed<_>> = listed.map(|of| Listed { id: items::number(of.1.id), of }).collect();
    rows.sort_by_key(|row| row.id);
    Ok(paging.page(call, &rows, |(link, account)| object(link, account, call)))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let mine = items::mine(state, call)?;
    let wanted = id::parse_number(id).ok_or_else(not_found)?;
    let mut listed = mine.iter().flat_map(|link| {
        let link = &state.bank.links[*link];
        link.shown_accounts.iter().filter(|account| account.listed).map(move |account| (link, account))
    });
    let (link, account) = listed.find(|(_, account)| account.id == wanted).ok_or_else(not_found)?;
    Ok(Reply::ok(&object(link, account, call)))
}

/// An account; of one that is not shared, nothing but that it is there (section 16, 37).
fn object(link: &Link, account: &Account, call: &Call) -> Value {
    let hidden = call.wish.obfuscated || words::status_of(link).0 == words::PRO_LOCKED;
    let name = account.nickname.as_deref().unwrap_or("Compte");
    let is_fresh = Some(account.refreshed_ms) >= items::last_try_ms(link);
    let mut value = json!({
        "id": items::number(account.id),
        "item_id": items::number(link.id),
        "provider_id": items::provider_id(link),
        "name": if hidden { HIDDEN } else { name },
        "type": words::account_type(&account.kind),
        "currency_code": &*account.currency,
        "updated_at": instant(account.refreshed_ms, call.wish),
        "last_refresh_status": if is_fresh { "successful" } else { "failed" },
        "data_access": if account.shared { "enabled" } else { "disabled" },
        "pro": account.is_business,
    });
    if !account.shared {
        return value;
    }
    let accounting = amount(account.booked_minor, &account.currency);
    value["balance"] = accounting.clone();
    if words::is_payment(account) {
        value["accounting_balance"] = accounting;
        value["instant_balance"] = amount(account.booked_minor + account.pending_minor, &account.currency);
    }
    if let Some(iban) = iban::of(link, account) {
        value["iban"] = json!(if hidden { HIDDEN } else { &iban });
    }
    if &*account.kind == "LOAN" {
        value["loan_details"] = loan(account);
    }
    value
}

/// A loan's terms, made up from its number and what is left of it.
fn loan(account: &Account) -> Value {
    let remaining = account.booked_minor.abs();
    let borrowed = remaining + remaining / 4;
    let date = |ms: i64| instant(ms, super::reply::Wish::default())[..10].to_owned();
    let money = |minor: i64| amount(minor, &account.currency);
    let opened_ms = account.created_ms - 1_500 * DAY_MS;
    json!({
        "type": if account.number.is_multiple_of(2) { "mortgage" } else { "consumer" },
        "interest_rate": amount(90 + i64::try_from(account.number % 400).unwrap_or(0), "EUR"),
        "borrowed_capital": money(borrowed),
        "repaid_capital": money(borrowed - remaining),
        "remaining_capital": money(remaining),
        "opening_date": date(opened_ms),
        "maturity_date": date(opened_ms + 7_300 * DAY_MS),
        "next_payment_date": date(account.refreshed_ms + 15 * DAY_MS),
        "next_payment_amount": money(borrowed / 240),
    })
}
