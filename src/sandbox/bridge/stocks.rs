//! Stocks (section 11.3).

use serde_json::{Value, json};

use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, not_found};
use super::rows::{HIDDEN, amount, instant, plain_number};
use super::transactions::instant_of;
use super::{items, words};
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Account, Link, Seen, Stock};

/// A stock with its surroundings.
struct Shown<'a> {
    link: &'a Link,
    account: &'a Account,
    stock: &'a Stock,
    seen: Seen,
}

/// Those of shared accounts that readers have seen, also as deleted.
fn shown<'a>(state: &'a State, mine: &'a [usize]) -> impl Iterator<Item = Shown<'a>> {
    mine.iter().map(|link| &state.bank.links[*link]).flat_map(|link| {
        link.seen_stocks().into_iter().filter_map(move |(stock, seen)| {
            let account = link.shown_accounts.get(usize::from(stock.account))?;
            (account.listed && account.shared).then_some(Shown { link, account, stock, seen })
        })
    })
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let mine = items::mine(state, call)?;
    let paging = Paging::of(call, &state.settings, &["since", "account_id"])?;
    let since = instant_of(call, "since")?;
    let account = call.param("account_id").map(id::parse_number);
    let wanted = shown(state, &mine).filter(|shown| {
        since.map_or(!shown.seen.deleted, |since| shown.seen.updated_ms > since)
            && account.is_none_or(|account| account == Some(shown.account.id))
    });
    let mut rows: Vec<_> = wanted.map(|shown| Listed { id: items::number(shown.stock.id), of: shown }).collect();
    rows.sort_by_key(|row| row.id);
    Ok(paging.page(call, &rows, |shown| object(shown, call)))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let mine = items::mine(state, call)?;
    let wanted = id::parse_number(id).ok_or_else(not_found)?;
    let found = shown(state, &mine).find(|shown| shown.stock.id == wanted && !shown.seen.deleted);
    Ok(Reply::ok(&object(&found.ok_or_else(not_found)?, call)))
}

fn object(shown: &Shown<'_>, call: &Call) -> Value {
    let Shown { link, account, stock, seen } = shown;
    let hidden = call.wish.obfuscated || words::status_of(link).0 == words::PRO_LOCKED;
    let money = |minor: i64| amount(minor, &account.currency);
    json!({
        "id": items::number(stock.id),
        "account_id": items::number(account.id),
        "label": if hidden { HIDDEN } else { &*stock.label },
        "isin": &*stock.isin,
        "ticker": &*stock.ticker,
        "stock_key": format!("{}:{}", stock.isin, stock.ticker),
        "marketplace": "XPAR",
        "quantity": plain_number(stock.quantity_thousandths, 3),
        "current_price": money(stock.price_minor),
        "average_purchase_price": money(stock.cost_minor),
        "total_value": money(stock.price_minor * stock.quantity_thousandths / 1000),
        "currency_code": &*account.currency,
        "value_date": instant(stock.priced_ms, call.wish)[..10].to_owned(),
        "created_at": instant(stock.created_ms, call.wish),
        "updated_at": instant(seen.updated_ms, call.wish),
        "deleted": seen.deleted,
    })
}
