//! Truv's JSON of accounts, and its usual instant.

use serde_json::{Value, json};

use crate::sandbox::id;
use crate::sandbox::world::{Account, Link};
use crate::sandbox::write::{decimal, push_instant};

/// An instant as text, in the API's usual style.
pub(super) fn instant(ms: i64) -> String {
    let mut out = Vec::with_capacity(32);
    push_instant(&mut out, ms, 1);
    String::from_utf8_lossy(&out).into_owned()
}

/// An account as in balances and transactions (section 9).
pub(super) fn account(account: &Account) -> Value {
    let money = |minor: Option<i64>| minor.map(|minor| decimal(minor, &account.currency));
    json!({
        "id": id::hex(account.id),
        "created_at": instant(account.created_ms),
        "updated_at": instant(account.updated_ms),
        "type": &*account.kind,
        "subtype": account.subtype.as_deref(),
        "mask": account.mask(),
        "nickname": account.nickname.as_deref(),
        "balances": {
            "currency_code": &*account.currency,
            "balance": money(Some(account.served_balance())),
            "available_balance": money(account.served_available()),
            "credit_limit": money(account.limit_minor),
        },
    })
}

/// An account with its numbers, as in auth (section 9, page 001).
pub(super) fn account_with_numbers(link: &Link, of: &Account) -> Value {
    let number = json!({
        "account_number": of.number.to_string(),
        "routing_number": format!("{:09}", of.routing),
        "is_tokenized_account_number": of.number.is_multiple_of(2),
    });
    let moves_money = !of.owes();
    let mut value = account(of);
    value["is_open"] = json!(of.listed);
    value["provider"] = json!(&*link.institution);
    value["provider_name"] = json!(&*link.institution_name);
    value["numbers"] = json!({
        "ACH": if moves_money { vec![number.clone()] } else { vec![] },
        "RTP": if moves_money && &*of.kind == "CHECKING" { vec![number.clone()] } else { vec![] },
        "OTHERS": if moves_money { vec![] } else { vec![number] },
    });
    value
}
