//! Users and their tokens (sections 5 and 6).

use serde_json::{Value, json};

use super::Bridge;
use super::lists::{Listed, Paging};
use super::reply::{Answer, Call, Reply, invalid, not_found, refusal};
use super::rows::instant;
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::{Bank, Owner, User};

const MAX_EXTERNAL_ID: usize = 128;

/// The living user of an application with an id.
fn find(state: &State, call: &Call, id: &str) -> Result<usize, Reply> {
    let user = id::parse_uuid(id).and_then(|id| state.bank.find_user(id)).ok_or_else(not_found)?;
    let found = &state.bank.users[user];
    let mine = found.owner == Owner::Bridge(call.application) && !found.deleted;
    if mine { Ok(user) } else { Err(not_found()) }
}

pub(super) fn list(state: &State, call: &Call) -> Answer {
    let paging = Paging::of(call, &state.settings, &["external_user_id"])?;
    let owner = Owner::Bridge(call.application);
    let bank = &state.bank;
    // Users are listed in the order of their creation, from behind the cursor: a page costs a page.
    let numbered: Box<dyn Iterator<Item = usize>> = if let Some(external_id) = call.param("external_user_id") {
        Box::new(bank.find_external(owner, external_id).into_iter())
    } else {
        let from = paging.after.and_then(|after| usize::try_from(after.id).ok()).unwrap_or(0);
        Box::new((from..bank.users.len()).filter(move |at| bank.users[*at].owner == owner && !bank.users[*at].deleted))
    };
    let rows = numbered.take(paging.limit + 1).map(|at| Listed { id: at as u64 + 1, of: &bank.users[at] });
    Ok(paging.page(call, &rows.collect::<Vec<_>>(), |user| object(user)))
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let body = if call.body.is_empty() { Value::Null } else { call.json()? };
    let owner = Owner::Bridge(call.application);
    let external_id = match body.get("external_user_id").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => {
            let text = value.as_str().filter(|text| is_external_id(text));
            Some(text.ok_or_else(|| invalid("external_user_id", "must match [a-zA-Z0-9-_]{1,128}"))?.to_owned())
        }
    };
    if let Some(taken) = external_id.as_ref().filter(|id| state.bank.find_external(owner, id).is_some()) {
        let message = format!("A user with external_user_id {taken} exists");
        let code = "users.creation.already_exists_with_external_user_id";
        return Err(refusal(409, code, &message, Some("external_user_id")));
    }
    let user = state.bank.insert_user(owner, external_id, None, None);
    Ok(Reply::json(201, &object(&state.bank.users[user])))
}

fn is_external_id(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    plain && (1..=MAX_EXTERNAL_ID).contains(&text.len())
}

pub(super) fn retrieve(state: &State, call: &Call, id: &str) -> Answer {
    Ok(Reply::ok(&object(&state.bank.users[find(state, call, id)?])))
}

pub(super) fn delete(state: &mut State, call: &Call, id: &str) -> Answer {
    let user = find(state, call, id)?;
    state.bank.delete_user_at(user);
    state.bridge.forget(user);
    Ok(Reply::empty())
}

fn object(user: &User) -> Value {
    let mut value = json!({"uuid": id::text(user.id)});
    if let Some(external_id) = &user.external_id {
        value["external_user_id"] = json!(external_id);
    }
    value
}

/// The user that a body asks a token for, if there is such a living one.
pub(super) fn named(bank: &Bank, application: usize, body: &Value) -> Option<usize> {
    let owner = Owner::Bridge(application);
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let found = match text("user_uuid") {
        Some(uuid) => id::parse_uuid(uuid).and_then(|id| bank.find_user(id)),
        None => text("external_user_id").and_then(|external_id| bank.find_external(owner, external_id)),
    };
    found.filter(|user| bank.users[*user].owner == owner && !bank.users[*user].deleted)
}

pub(super) fn authorize(state: &mut State, call: &Call) -> Answer {
    let body = call.json()?;
    if body.get("user_uuid").is_none() && body.get("external_user_id").is_none() {
        return Err(invalid("user_uuid", "user_uuid or external_user_id is required"));
    }
    let user = named(&state.bank, call.application, &body).ok_or_else(not_found)?;
    let now_ms = state.bank.now_ms;
    let life_ms = i64::try_from(state.settings.bridge.token_life.as_millis()).unwrap_or(i64::MAX);
    let token = state.bridge.issue_token(call.application, user, now_ms, life_ms);
    Ok(Reply::ok(&json!({
        "access_token": token,
        "expires_at": instant(now_ms + life_ms, call.wish),
        "user": object(&state.bank.users[user]),
    })))
}

/// Lets its bearer at one user's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    application: usize,
    user: usize,
    expires_ms: i64,
}

impl Bridge {
    fn issue_token(&mut self, application: usize, user: usize, now_ms: i64, life_ms: i64) -> String {
        // Tokens nobody can use any more are dropped as often as their number doubles.
        if self.tokens.len() >= self.purge_tokens_at {
            self.tokens.retain(|_, token| token.expires_ms > now_ms);
            self.purge_tokens_at = (self.tokens.len() * 2).max(1024);
        }
        let (secret, uuid) = (id::draw(&mut self.rng), id::draw_uuid(&mut self.rng));
        let text = format!("{}-{}", id::hex(secret), id::text(uuid));
        self.tokens.insert(text.clone(), Token { application, user, expires_ms: now_ms.saturating_add(life_ms) });
        text
    }

    /// Lets every token that was issued so far expire now.
    pub(crate) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }

    /// The living user whom a bearer stands for.
    pub(super) fn bearer(&self, bank: &Bank, application: usize, authorization: &str) -> Option<usize> {
        let token = self.tokens.get(authorization.strip_prefix("Bearer ")?)?;
        let is_good = token.application == application && token.expires_ms > bank.now_ms;
        (is_good && !bank.users[token.user].deleted).then_some(token.user)
    }
}
