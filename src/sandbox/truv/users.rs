//! Users (section 4).

use serde_json::{Value, json};

use super::json::instant;
use super::links;
use super::paging;
use super::reply::{Answer, Call, Reply};
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Bank, Owner, User};

/// The living user with an id.
pub(super) fn find(state: &State, call: &Call, id: &str) -> Result<usize, Reply> {
    let user = id::parse(id).and_then(|id| state.bank.find_user(id)).ok_or_else(Reply::not_found)?;
    state.truv.may(call.tenant, state.bank.users[user].owner)?;
    if state.bank.users[user].deleted { Err(Reply::not_found()) } else { Ok(user) }
}

pub(super) fn list(state: &mut State, call: &Call) -> Answer {
    let external_id = call.param("external_user_id");
    let with_links = call.param("list_links") != Some("false");
    let bank = &state.bank;
    let wanted = |user: &&User| {
        user.owner == Owner::Truv(call.tenant)
            && !user.deleted
            && external_id.is_none_or(|wanted| user.external_id.as_deref() == Some(wanted))
    };
    let users: Vec<&User> = bank.users.iter().filter(wanted).collect();
    paging::results(call, &state.settings, &users, |user| object(bank, user, with_links))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let external_id = text("external_user_id").filter(|id| !id.is_empty());
    let external_id = external_id.ok_or_else(|| Reply::invalid("external_user_id", "This field is required."))?;
    let known = state.bank.users.iter().find(|user| {
        user.owner == Owner::Truv(call.tenant) && !user.deleted && user.external_id.as_deref() == Some(&external_id)
    });
    if let Some(known) = known {
        return if state.settings.duplicate_user_returns_existing {
            Ok(Reply::ok(&object(&state.bank, known, false)))
        } else {
            Err(Reply::invalid("external_user_id", "User with this external_user_id already exists."))
        };
    }
    let user =
        state.bank.insert_user(Owner::Truv(call.tenant), Some(external_id), text("first_name"), text("last_name"));
    let user = &mut state.bank.users[user];
    (user.email, user.phone) = (text("email"), text("phone"));
    let user = state.bank.users.len() - 1;
    Ok(Reply::json(201, &object(&state.bank, &state.bank.users[user], false)))
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let user = find(state, call, id)?;
    let with_links = call.param("list_links") == Some("true");
    Ok(Reply::ok(&object(&state.bank, &state.bank.users[user], with_links)))
}

pub(super) fn update(state: &mut State, call: &Call, id: &str) -> Answer {
    let at = find(state, call, id)?;
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let now_ms = state.bank.now_ms;
    let user = &mut state.bank.users[at];
    user.first_name = text("first_name").unwrap_or_else(|| std::mem::take(&mut user.first_name));
    user.last_name = text("last_name").unwrap_or_else(|| std::mem::take(&mut user.last_name));
    user.external_id = text("external_user_id").or(user.external_id.take());
    user.email = text("email").or(user.email.take());
    user.phone = text("phone").or(user.phone.take());
    user.updated_ms = now_ms;
    Ok(Reply::ok(&object(&state.bank, &state.bank.users[at], false)))
}

/// Deletes a user with all links; the effect on links is invented.
pub(super) fn delete(state: &mut State, call: &Call, id: &str) -> Answer {
    let user = find(state, call, id)?;
    state.bank.delete_user_at(user);
    Ok(Reply::empty())
}

fn object(bank: &Bank, user: &User, with_links: bool) -> Value {
    let mut value = json!({
        "id": id::hex(user.id),
        "external_user_id": user.external_id,
        "created_at": instant(user.created_ms),
        "updated_at": instant(user.updated_ms),
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "phone": user.phone,
        "ssn": null,
    });
    if with_links {
        // Masked here, whatever the filter (20.25).
        value["links"] = user.links.iter().map(|link| links::object(bank, *link, false)).collect();
    }
    value
}
