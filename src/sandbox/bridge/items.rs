//! Items: links as Bridge shows them (section 8).

use serde_json::{Value, json};

use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, not_found};
use super::rows::instant;
use super::words;
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Bank, Link};

/// The living links of the bearer's user, their building phase ended: positions in the bank.
pub(super) fn mine(state: &mut State, call: &Call) -> Result<Vec<usize>, Reply> {
    let user = call.user()?;
    Ok(living(&mut state.bank, user, state.settings.visible_immediately))
}

/// The same for a user.
pub(super) fn living(bank: &mut Bank, user: usize, immediately: bool) -> Vec<usize> {
    let links: Vec<usize> = bank.users[user].links.clone();
    let living: Vec<usize> = links.into_iter().filter(|link| bank.links[*link].deleted_ms.is_none()).collect();
    for link in &living {
        bank.first_look(*link);
        if immediately && bank.links[*link].visible.is_some_and(|seen| seen < bank.links[*link].changed) {
            bank.publish_at(*link);
        }
    }
    living
}

/// The living link of the bearer's user with an id.
pub(super) fn find(state: &mut State, call: &Call, id: &str) -> Result<usize, Reply> {
    let mine = mine(state, call)?;
    let link = id::parse_number(id).and_then(|id| state.bank.find_link(id)).filter(|link| mine.contains(link));
    link.ok_or_else(not_found)
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let mine = mine(state, call)?;
    let paging = Paging::of(call, &state.settings, &[])?;
    let links = mine.into_iter().map(|link| &state.bank.links[link]);
    let mut rows: Vec<Listed<&Link>> = links.map(|link| Listed { id: number(link.id), of: link }).collect();
    rows.sort_by_key(|row| row.id);
    Ok(paging.page(call, &rows, |link| object(link, call)))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = find(state, call, id)?;
    Ok(Reply::ok(&object(&state.bank.links[link], call)))
}

pub(super) fn delete(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = find(state, call, id)?;
    state.bank.delete_link_at(link);
    Ok(Reply::empty())
}

/// An identifier as a number.
pub(super) fn number(id: u128) -> u64 {
    u64::try_from(id).unwrap_or(u64::MAX)
}

/// The provider of a link.
pub(super) fn provider_id(link: &Link) -> u32 {
    link.institution.parse().unwrap_or(0)
}

/// When a refresh was last tried, well or not.
pub(super) fn last_try_ms(link: &Link) -> Option<i64> {
    link.upkeep.last_try_ms.max(link.published_ms)
}

/// Which kinds of accounts the customer connected.
pub(super) fn account_types(link: &Link) -> &'static str {
    let every_kind = link.upkeep.every_kind.unwrap_or_else(|| !link.accounts.iter().all(words::is_payment));
    if every_kind { "all" } else { "payment" }
}

fn object(link: &Link, call: &Call) -> Value {
    let (status, info) = words::status_of(link);
    let mut value = json!({
        "id": number(link.id),
        "provider_id": provider_id(link),
        "status": status,
        "status_code_info": info,
        "status_code_description": words::description(status, call.is_english),
        "account_types": account_types(link),
        "created_at": instant(link.created_ms, call.wish),
    });
    // What is not known is left out (1.3).
    for (name, at_ms) in [
        ("last_successful_refresh", link.published_ms),
        ("last_try_refresh", last_try_ms(link)),
        ("authentication_expires_at", link.upkeep.consent_until_ms),
    ] {
        if let Some(at_ms) = at_ms {
            value[name] = json!(instant(at_ms, call.wish));
        }
    }
    value
}
