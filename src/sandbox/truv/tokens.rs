//! Bridge tokens and the exchange of public tokens (sections 5 and 6).

use serde_json::{Value, json};

use super::reply::{Answer, Call, Reply};
use super::{Truv, tasks, users};
use crate::sandbox::id;
use crate::sandbox::state::State;

/// How long bridge and public tokens live.
pub(super) const TOKEN_LIFE_MS: i64 = 6 * 60 * 60 * 1000;

/// Lets a widget connect for a user.
#[derive(Clone, Debug)]
pub(super) struct BridgeToken {
    pub(super) user: usize,
    pub(super) product: String,
    pub(super) tracking: Option<String>,
    pub(super) provider: Option<String>,
    /// The link to repair, in update mode.
    pub(super) update: Option<usize>,
    pub(super) expires_ms: i64,
}

/// Stands for a new connection until it is exchanged.
#[derive(Debug)]
pub(super) struct PublicToken {
    pub(super) link: usize,
    pub(super) expires_ms: i64,
    pub(super) used: bool,
}

impl Truv {
    pub(crate) fn expire_tokens(&mut self) {
        for token in self.bridge_tokens.values_mut() {
            token.expires_ms = i64::MIN;
        }
        for token in self.public_tokens.values_mut() {
            token.expires_ms = i64::MIN;
        }
    }
}

pub(super) fn create_bridge_token(state: &mut State, call: &Call, user: &str) -> Answer {
    let user = users::find(state, call, user)?;
    let body = call.json()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let product = text("product_type").filter(|product| tasks::is_product(product));
    let product = product.ok_or_else(|| Reply::invalid("product_type", "This field is required."))?;
    let update = match text("access_token") {
        None => None,
        Some(token) => {
            let link = id::parse(&token).and_then(|token| state.bank.find_token(token));
            let link = link
                .filter(|link| state.bank.links[*link].user == user && state.bank.links[*link].deleted_ms.is_none());
            Some(link.ok_or_else(|| Reply::invalid("access_token", "Invalid access token."))?)
        }
    };
    let token = id::draw(&mut state.bank.rng);
    state.truv.bridge_tokens.insert(
        token,
        BridgeToken {
            user,
            product: product.clone(),
            tracking: text("tracking_info"),
            provider: text("provider_id"),
            update,
            expires_ms: state.bank.now_ms + TOKEN_LIFE_MS,
        },
    );
    let allowed = body.get("allowed_products").cloned().filter(Value::is_array);
    Ok(Reply::json(
        201,
        &json!({
            "bridge_token": id::hex(token),
            "tracking_info": text("tracking_info"),
            "client_name": text("client_name"),
            "product_type": product,
            "allowed_products": allowed.unwrap_or_else(|| json!([product])),
            "company_mapping_id": text("company_mapping_id"),
            "access_token": text("access_token"),
            "user_id": id::hex(state.bank.users[user].id),
            "template_id": text("template_id"),
            "data_sources": body.get("data_sources"),
        }),
    ))
}

pub(super) fn exchange(state: &mut State, call: &Call) -> Answer {
    let body = call.json()?;
    let text = body.get("public_token").and_then(Value::as_str);
    let text = text.ok_or_else(|| Reply::invalid("public_token", "This field is required."))?;
    let incorrect = || Reply::error(403, "incorrect_token", "Token is invalid");
    let now_ms = state.bank.now_ms;
    let token = id::parse(text).and_then(|token| state.truv.public_tokens.get(&token)).ok_or_else(incorrect)?;
    let link = &state.bank.links[token.link];
    state.truv.may(call.tenant, state.bank.users[link.user].owner).map_err(|_| incorrect())?;
    if token.used || token.expires_ms <= now_ms {
        return Err(Reply::error(410, "expired_token", &format!("Public token expired: {text}")));
    }
    let answer = json!({
        "access_token": id::hex(link.access_token),
        "link_id": id::hex(link.id),
        "link_hash": id::hex(link.login_hash),
    });
    if let Some(token) = id::parse(text).and_then(|token| state.truv.public_tokens.get_mut(&token)) {
        token.used = true;
    }
    Ok(Reply::ok(&answer))
}
