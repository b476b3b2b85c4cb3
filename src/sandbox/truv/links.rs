//! Links and the institutions behind them (sections 7 and 14).

use serde_json::{Value, json};

use super::json::instant;
use super::paging;
use super::reply::{Answer, Call, Reply};
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Bank, INSTITUTIONS, Owner};

/// The masked token shows this many of its last characters.
const SHOWN: usize = 4;

/// The link with an id, whether deleted or not.
pub(super) fn find(state: &State, call: &Call, id: &str) -> Result<usize, Reply> {
    let link = id::parse(id).and_then(|id| state.bank.find_link(id)).ok_or_else(Reply::not_found)?;
    let owner = state.bank.users[state.bank.links[link].user].owner;
    state.truv.may(call.tenant, owner)?;
    Ok(link)
}

/// The link with an id, for reading its data; ends its building phase.
pub(super) fn live(state: &mut State, call: &Call, id: &str) -> Result<usize, Reply> {
    let link = find(state, call, id)?;
    if state.bank.links[link].deleted_ms.is_some() {
        return Err(Reply::not_found());
    }
    state.bank.first_look(link);
    Ok(link)
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let bank = &state.bank;
    // An unknown user has no links.
    let user = call.param("user_id").filter(|text| !text.is_empty());
    let user = user.map(|text| id::parse(text).and_then(|id| bank.find_user(id)));
    let wanted: Vec<usize> = match user {
        Some(user) => user.map(|user| bank.users[user].links.clone()).unwrap_or_default(),
        None => (0..bank.links.len()).collect(),
    };
    let mine = wanted.into_iter().filter(|link| bank.users[bank.links[*link].user].owner == Owner::Truv(call.tenant));
    let mine: Vec<usize> = mine.collect();
    paging::results(call, &state.settings, &mine, |link| answered(call, object(bank, *link, user.is_some())))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = find(state, call, id)?;
    if state.settings.deleted_link_is_404 && state.bank.links[link].deleted_ms.is_some() {
        return Err(Reply::not_found());
    }
    Ok(Reply::ok(&answered(call, object(&state.bank, link, false))))
}

/// The object as it is answered: without its id where that damage is asked for.
fn answered(call: &Call, mut object: Value) -> Value {
    if let (true, Some(fields)) = (call.wish.row_without_id, object.as_object_mut()) {
        fields.remove("id");
    }
    object
}

pub(super) fn delete(state: &mut State, call: &Call, id: &str) -> Answer {
    let link = find(state, call, id)?;
    if state.bank.links[link].deleted_ms.is_some() {
        return Err(Reply::not_found());
    }
    state.bank.delete_link_at(link);
    Ok(Reply::empty())
}

/// The link object (page 004); the token is masked unless the list was filtered by user.
pub(super) fn object(bank: &Bank, link: usize, unmasked: bool) -> Value {
    let link = &bank.links[link];
    let token = id::hex(link.access_token);
    let shown = if unmasked { token } else { format!("{}{}", "*".repeat(28), &token[token.len() - SHOWN..]) };
    json!({
        "id": id::hex(link.id),
        "access_token": shown,
        "created_at": instant(link.created_ms),
        "updated_at": instant(link.updated_ms),
        "deleted_at": link.deleted_ms.map(instant),
        "tracking_info": link.tracking,
        "status": link.status,
        "user_external_id": bank.users[link.user].external_id,
        "provider_id": &*link.institution,
        "provider": provider_object(&link.institution, &link.institution_name),
        "company_mapping": null,
        "link_hash": id::hex(link.login_hash),
        "allowed_products": [&link.product],
        "initial_product_type": link.product,
        "data_source": "financial_accounts",
        "is_suspicious": false,
        "is_dds_available": null,
    })
}

pub(super) fn provider_object(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "logo_url": format!("https://cdn.truv.com/logos/{id}.svg")})
}

fn listed(id: &str, name: &str) -> Value {
    let mut provider = provider_object(id, name);
    provider["success_rate"] = json!("high");
    provider
}

/// Searches by `query`; other parameters are ignored, as observed. Not paged.
pub(super) fn providers(call: &Call) -> Reply {
    let query = call.param("query").unwrap_or_default().to_lowercase();
    let found = INSTITUTIONS.iter().filter(|(id, name)| id.contains(&query) || name.to_lowercase().contains(&query));
    let found: Vec<Value> = found.map(|(id, name)| listed(id, name)).collect();
    Reply::ok(&json!({"count": found.len(), "next": null, "previous": null, "results": found}))
}

pub(super) fn provider(wanted: &str) -> Answer {
    let found = INSTITUTIONS.iter().find(|(id, _)| *id == wanted);
    found.map(|(id, name)| Reply::ok(&listed(id, name))).ok_or_else(Reply::not_found)
}
