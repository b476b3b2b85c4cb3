//! Connect sessions and user management sessions (section 7.1).

use serde_json::{Value, json};

use super::items;
use super::reply::{Answer, Call, Reply, invalid, not_found, refusal};
use crate::sandbox::id;
use crate::sandbox::state::State;
use crate::sandbox::world::Bank;

/// How long a session lives; a client's assumption (section 7.1).
pub(super) const SESSION_LIFE_MS: i64 = 30 * 60 * 1000;
const MAX_CONTEXT: usize = 100;

/// What a customer may do on the hosted page.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: usize,
    pub(super) callback: Option<url::Url>,
    pub(super) context: Option<String>,
    pub(super) every_kind: bool,
    pub(super) provider: Option<u32>,
    /// The item to repair.
    pub(super) link: Option<usize>,
    pub(super) expires_ms: i64,
}

/// Makes a connect session, which may name an item or a provider.
pub(super) fn connect(state: &mut State, call: &Call) -> Answer {
    let user = call.user()?;
    let body = call.json()?;
    let link = match number(&body, "item_id")? {
        None => None,
        Some(id) => Some(items::find(state, call, &id.to_string())?),
    };
    let provider = match number(&body, "provider_id")? {
        None => None,
        Some(id) => {
            let known = u32::try_from(id).ok().filter(|id| state.bank.providers.find(*id).is_some());
            Some(known.ok_or_else(|| invalid("provider_id", "no such provider"))?)
        }
    };
    flag(&body, "force_reauthentication")?;
    if number(&body, "max_selectable_accounts")?.is_some_and(|most| most < 1) {
        return Err(invalid("max_selectable_accounts", "at least 1"));
    }
    // Clients that repair an item leave the address out, and it works (7.1).
    open(state, call, &body, &Session { provider, link, ..Session::of(user) }, link.is_none())
}

/// Makes a session for all items of the user.
pub(super) fn manage(state: &mut State, call: &Call) -> Answer {
    let user = call.user()?;
    let body = call.json()?;
    open(state, call, &body, &Session::of(user), true)
}

impl Session {
    fn of(user: usize) -> Self {
        let (callback, context, provider, link) = (None, None, None, None);
        Self { user, callback, context, every_kind: false, provider, link, expires_ms: 0 }
    }
}

/// Checks what both kinds have, and answers with the page's address.
fn open(state: &mut State, call: &Call, body: &Value, start: &Session, needs_address: bool) -> Answer {
    let address = text(body, "user_email")?;
    if needs_address && !address.is_some_and(|address| address.contains('@')) {
        return Err(invalid("user_email", "an e-mail address is required"));
    }
    let context = text(body, "context")?;
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if context.is_some_and(|context| context.len() > MAX_CONTEXT || !is_plain(context)) {
        return Err(invalid("context", "at most 100 letters, digits and hyphens"));
    }
    let every_kind = match text(body, "account_types")? {
        None | Some("payment") => false,
        Some("all") => true,
        Some(_) => return Err(invalid("account_types", "payment or all")),
    };
    let is_country = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
    if text(body, "country_code")?.is_some_and(|country| !is_country(country)) {
        return Err(invalid("country_code", "two capital letters"));
    }
    let capabilities = body.get("capabilities").filter(|value| !value.is_null());
    if capabilities.is_some_and(|all| !all.as_array().is_some_and(|all| all.iter().all(Value::is_string))) {
        return Err(invalid("capabilities", "a list of texts"));
    }
    flag(body, "allow_account_selection")?;
    let callback = match text(body, "callback_url")? {
        None => None,
        Some(text) => {
            let url = url::Url::parse(text).map_err(|_| invalid("callback_url", "not a URL"))?;
            let host = url.host_str().unwrap_or_default();
            if !state.bridge.applications[call.application].allows_callback(host) {
                let code = "connect_session.callback_url_not_whitelisted";
                return Err(refusal(400, code, "The domain is not whitelisted", Some("callback_url")));
            }
            Some(url)
        }
    };
    let expires_ms = state.bank.now_ms + SESSION_LIFE_MS;
    let session = Session { callback, context: context.map(str::to_owned), every_kind, expires_ms, ..start.clone() };
    let id = state.bridge.open_session(session, state.bank.now_ms);
    let url = format!("{}{}", state.settings.bridge.connect_url, id::text(id));
    Ok(Reply::ok(&json!({"id": id::text(id), "url": url})))
}

/// The living session that a body names by `session`: its id, or the page's address.
pub(super) fn find(state: &State, body: &Value) -> Result<Session, Reply> {
    let named = body.get("session").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
    let id = named.and_then(id::parse_uuid).ok_or_else(|| invalid("session", "a session is required"))?;
    let session = state.bridge.sessions.get(&id).ok_or_else(not_found)?;
    let is_over = session.expires_ms <= state.bank.now_ms || is_gone(&state.bank, session);
    if is_over { Err(refusal(410, "session_expired", "The session has expired", None)) } else { Ok(session.clone()) }
}

fn is_gone(bank: &Bank, session: &Session) -> bool {
    bank.users[session.user].deleted || session.link.is_some_and(|link| bank.links[link].deleted_ms.is_some())
}

fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, Reply> {
    match body.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or_else(|| invalid(name, "a text is expected")),
    }
}

fn number(body: &Value, name: &str) -> Result<Option<i64>, Reply> {
    match body.get(name).filter(|value| !value.is_null()) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| invalid(name, "a whole number is expected")),
    }
}

fn flag(body: &Value, name: &str) -> Result<(), Reply> {
    let is_flag = body.get(name).is_none_or(|value| value.is_boolean() || value.is_null());
    if is_flag { Ok(()) } else { Err(invalid(name, "true or false is expected")) }
}
