//! `POST /sandbox/connect`: what a customer does in the widget, as one request (invented; logins of section 16).
//!
//! Body: `bridge_token`, `username`, `password`, optionally `mfa` (the code) and `provider_id`. It needs no secret and counts
//! against no limit, as the widget's own traffic. Answer: `public_token`, `task_id` and `link_id` at once, while the first
//! task is still running; or 400 with the widget's error object.

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::Response;
use serde_json::{Value, json};

use super::reply::{Answer, Reply};
use super::tasks::{self, Task};
use super::tokens::{BridgeToken, PublicToken, TOKEN_LIFE_MS};
use crate::sandbox::state::State;
use crate::sandbox::wire::{Wire, send};
use crate::sandbox::world::{Happened, INSTITUTIONS, Plan};
use crate::sandbox::{Sandbox, id};

const MFA_CODE: &str = "12345";
const MAX_REQUEST_BYTES: usize = 64 * 1024;
const ERROR_STATUSES: [&str; 9] = [
    "login_error",
    "mfa_error",
    "config_error",
    "account_locked",
    "unable_to_reset",
    "no_data",
    "unavailable",
    "error",
    "not_supported",
];

pub(super) async fn connect(Extract(sandbox): Extract<Sandbox>, request: Request) -> Response<Body> {
    answer(&sandbox, request, log_in).await
}

/// `POST /sandbox/widget/open`: what the page inside the widget asks when it is opened.
pub(super) async fn open(Extract(sandbox): Extract<Sandbox>, request: Request) -> Response<Body> {
    answer(&sandbox, request, |state, body| first_screen(state, body)).await
}

async fn answer(
    sandbox: &Sandbox,
    request: Request,
    work: impl FnOnce(&mut State, &Value) -> Answer,
) -> Response<Body> {
    let body = axum::body::to_bytes(request.into_body(), MAX_REQUEST_BYTES).await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut state = sandbox.lock();
        work(&mut state, &value).unwrap_or_else(|refusal| refusal)
    };
    send(sandbox, reply, &Wire::default())
}

/// What a login leads to: days of data and whether it takes long, or the failing status.
fn outcome(username: &str, password: &str, mfa: Option<&str>) -> Result<i64, &'static str> {
    match (username, password) {
        ("goodlogin", "goodpassword" | "longcheck" | "low_risk" | "high_risk") => Ok(90),
        ("goodlogin", "good_asset") => Ok(30),
        ("goodlogin", "mfa") if mfa == Some(MFA_CODE) => Ok(90),
        ("goodlogin", "mfa") => Err("mfa_error"),
        ("error.user", status) => {
            Err(ERROR_STATUSES.into_iter().find(|known| *known == status).unwrap_or("login_error"))
        }
        _ => Err("login_error"),
    }
}

/// Tells whether the bank asks for a code after this login.
fn asks_code(username: &str, password: &str) -> bool {
    (username, password) == ("goodlogin", "mfa")
}

/// The living bridge token that a body names.
fn bridge_token(state: &State, body: &Value) -> Result<(u128, BridgeToken), Reply> {
    let token = body.get("bridge_token").and_then(Value::as_str).and_then(id::parse);
    let token = token.ok_or_else(|| Reply::invalid("bridge_token", "This field is required."))?;
    let bridge = state.truv.bridge_tokens.get(&token).cloned().ok_or_else(Reply::not_found)?;
    if bridge.expires_ms <= state.bank.now_ms {
        return Err(Reply::error(410, "expired_token", "Bridge token expired"));
    }
    Ok((token, bridge))
}

/// What the widget shows first: the bank that the token names, by itself or by a link to repair, else all of them.
fn first_screen(state: &State, body: &Value) -> Answer {
    let (_, bridge) = bridge_token(state, body)?;
    let of_link = bridge.update.map(|link| &state.bank.links[link]);
    let named = of_link.map(|link| &*link.institution).or(bridge.provider.as_deref());
    let known = |id: &str| {
        INSTITUTIONS.iter().find(|(known, _)| *known == id).map_or(id.to_owned(), |(_, name)| (*name).to_owned())
    };
    let banks: Vec<Value> = INSTITUTIONS.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
    Ok(Reply::ok(&json!({"bank": named.map(|id| json!({"id": id, "name": known(id)})), "banks": banks})))
}

fn log_in(state: &mut State, body: &Value) -> Answer {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let (token, bridge) = bridge_token(state, body)?;
    let (username, password) = (text("username").unwrap_or_default(), text("password").unwrap_or_default());
    let provider = text("provider_id").or(bridge.provider.as_deref()).unwrap_or("truv_bank").to_owned();
    if body.get("interactive") == Some(&Value::Bool(true)) && asks_code(username, password) && text("mfa").is_none() {
        return Ok(Reply::ok(&json!({"mfa_required": true})));
    }
    let result = outcome(username, password, text("mfa"));
    let link = match (&result, bridge.update) {
        (_, Some(link)) => Some(link),
        (Ok(days), None) => Some(link_for(state, &bridge, username, &provider, *days)),
        (Err(_), None) => None,
    };
    let now_ms = state.bank.now_ms;
    let institution = link.map_or(provider, |link| state.bank.links[link].institution.to_string());
    let task = Task {
        id: id::draw(&mut state.bank.rng),
        user: bridge.user,
        link,
        institution,
        status: result.err().unwrap_or("new").to_owned(),
        product: bridge.product.clone(),
        created_ms: now_ms,
        updated_ms: now_ms,
        is_refresh: false,
        asks_mfa: password == "mfa",
        is_long: password == "longcheck",
        tracking: bridge.tracking.clone(),
        bridge_token: Some(token),
    };
    let (task_id, status) = (id::hex(task.id), task.status.clone());
    let task = state.truv.add_task(task);
    let owner = state.bank.users[bridge.user].owner;
    state.bank.tell(owner, Happened::TaskMoved { task, status: status.clone() });
    if let Some(link) = link {
        status.clone_into(&mut state.bank.links[link].status);
    }
    let Some(link) = link.filter(|_| result.is_ok()) else {
        let code =
            if status == "mfa_error" || status == "no_data" { status.to_uppercase() } else { widget_code(&status) };
        let error = json!({"error_type": "LINK_ERROR", "error_code": code, "error_message": status});
        return Err(Reply::json(400, &json!({"error": error, "task_id": task_id, "status": status})));
    };
    state.bank.links[link].trouble = None;
    tasks::start(state, task);
    let public = id::draw(&mut state.bank.rng);
    let token = PublicToken { link, expires_ms: now_ms + TOKEN_LIFE_MS, used: false };
    state.truv.public_tokens.insert(public, token);
    let link_id = id::hex(state.bank.links[link].id);
    Ok(Reply::ok(&json!({"public_token": id::hex(public), "task_id": task_id, "link_id": link_id})))
}

/// The widget's code of a failing status (section 15).
fn widget_code(status: &str) -> String {
    match status {
        "login_error" => "LOGIN_ERROR",
        "unavailable" => "UNAVAILABLE",
        _ => "ERROR",
    }
    .to_owned()
}

/// The link of the same user, provider and user name, or a new one with drawn data that shows when its task is done.
fn link_for(state: &mut State, bridge: &BridgeToken, username: &str, provider: &str, days: i64) -> usize {
    let hash = u128::from_be_bytes(digest(username));
    let known = state.bank.users[bridge.user].links.iter().copied().find(|link| {
        let link = &state.bank.links[*link];
        link.deleted_ms.is_none() && link.login_hash == hash && &*link.institution == provider
    });
    if let Some(known) = known {
        return known;
    }
    let link = state.bank.insert_link(bridge.user, provider);
    let made = &mut state.bank.links[link];
    made.login_hash = hash;
    made.tracking.clone_from(&bridge.tracking);
    made.product.clone_from(&bridge.product);
    // Nothing shows before the first task is done.
    made.visible = Some(0);
    let plan = Plan { links: 1, transactions_per_link: 60, days, every_kind: true, ..Plan::default() };
    state.bank.furnish(link, &plan);
    link
}

fn digest(text: &str) -> [u8; 16] {
    use sha2::Digest;
    let long = sha2::Sha256::digest(text.as_bytes());
    let mut short = [0; 16];
    short.copy_from_slice(&long[..16]);
    short
}
