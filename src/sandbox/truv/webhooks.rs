//! Webhook configuration, and the history of what was delivered (section 13.1).

use serde_json::{Value, json};

use super::Truv;
use super::json::instant;
use super::paging;
use super::reply::{Answer, Call, Reply};
use crate::sandbox::id;
use crate::sandbox::state::State;

/// One configured endpoint; account-wide, so that any key of the client sees it.
#[derive(Debug)]
pub(super) struct Webhook {
    pub(super) id: u128,
    pub(super) client: usize,
    name: String,
    pub(super) url: String,
    pub(super) env_type: String,
    events: Value,
    pub(super) enabled: bool,
    /// Deliveries given up since the last one that arrived.
    pub(super) given_up: usize,
    created_ms: i64,
    updated_ms: i64,
}

impl Webhook {
    /// Tells whether an event is wanted; without a list of events all are (invented).
    pub(super) fn wants(&self, event: &str) -> bool {
        let wanted = self.events.as_array();
        wanted.is_none_or(|wanted| wanted.is_empty() || wanted.iter().any(|wanted| wanted == event))
    }
}

impl Truv {
    /// Configures an endpoint of the default client for every event of its sandbox environment, unless there is one.
    pub(crate) fn set_webhook(&mut self, id: u128, url: &str, now_ms: i64) {
        self.webhooks.retain(|known| known.client != 0 || known.url != url || known.env_type != "sandbox");
        self.webhooks.push(Webhook {
            id,
            client: 0,
            name: "script".to_owned(),
            url: url.to_owned(),
            env_type: "sandbox".to_owned(),
            events: json!([]),
            enabled: true,
            given_up: 0,
            created_ms: now_ms,
            updated_ms: now_ms,
        });
    }

    /// Tells whether there is an endpoint to announce to.
    pub(crate) fn has_audience(&self) -> bool {
        self.webhooks.iter().any(|webhook| webhook.enabled)
    }
}

pub(super) fn list(state: &mut State, call: &Call) -> Reply {
    let client = state.truv.tenants[call.tenant].client;
    let mine: Vec<&Webhook> = state.truv.webhooks.iter().filter(|webhook| webhook.client == client).collect();
    paging::results(call, &state.settings, &mine, |webhook| object(webhook)).unwrap_or_else(|refusal| refusal)
}

pub(super) fn create(state: &mut State, call: &Call) -> Answer {
    let body = call.json()?;
    let text = |name: &'static str, most: usize| {
        let value = body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let value = value.ok_or_else(|| Reply::invalid(name, "This field is required."))?;
        if value.len() > most {
            Err(Reply::invalid(name, "Ensure this field is not too long."))
        } else {
            Ok(value.to_owned())
        }
    };
    let (name, url, env_type) = (text("name", 128)?, text("webhook_url", 2048)?, text("env_type", 16)?);
    if !matches!(env_type.as_str(), "sandbox" | "dev" | "prod") {
        return Err(Reply::invalid("env_type", "Value is not a valid choice."));
    }
    let client = state.truv.tenants[call.tenant].client;
    let taken = |known: &Webhook| known.client == client && known.url == url && known.env_type == env_type;
    if state.truv.webhooks.iter().any(taken) {
        return Err(Reply::invalid("env_type", &format!("Webhook url for {env_type} already registered")));
    }
    let webhook = Webhook {
        id: id::draw(&mut state.bank.rng),
        client,
        name,
        url,
        env_type,
        events: body.get("events").cloned().unwrap_or_else(|| json!([])),
        enabled: true,
        given_up: 0,
        created_ms: state.bank.now_ms,
        updated_ms: state.bank.now_ms,
    };
    let answer = object(&webhook);
    state.truv.webhooks.push(webhook);
    state.update_audience();
    Ok(Reply::json(201, &answer))
}

fn find(state: &State, call: &Call, id: &str) -> Result<usize, Reply> {
    let client = state.truv.tenants[call.tenant].client;
    let wanted = id::parse(id);
    let mut known = state.truv.webhooks.iter();
    known.position(|webhook| webhook.client == client && Some(webhook.id) == wanted).ok_or_else(Reply::not_found)
}

pub(super) fn retrieve(state: &mut State, call: &Call, id: &str) -> Answer {
    let at = find(state, call, id)?;
    Ok(Reply::ok(&object(&state.truv.webhooks[at])))
}

pub(super) fn update(state: &mut State, call: &Call, id: &str) -> Answer {
    let at = find(state, call, id)?;
    let body = call.json()?;
    let webhook = &mut state.truv.webhooks[at];
    if let Some(enabled) = body.get("enabled").and_then(Value::as_bool) {
        webhook.enabled = enabled;
        webhook.given_up = 0;
    }
    if let Some(name) = body.get("name").and_then(Value::as_str) {
        name.clone_into(&mut webhook.name);
    }
    if let Some(events) = body.get("events").filter(|events| events.is_array()) {
        webhook.events = events.clone();
    }
    webhook.updated_ms = state.bank.now_ms;
    let answer = object(webhook);
    state.update_audience();
    Ok(Reply::ok(&answer))
}

pub(super) fn delete(state: &mut State, call: &Call, id: &str) -> Answer {
    let at = find(state, call, id)?;
    state.truv.webhooks.remove(at);
    state.update_audience();
    Ok(Reply::empty())
}

fn object(webhook: &Webhook) -> Value {
    json!({
        "id": id::hex(webhook.id),
        "name": webhook.name,
        "webhook_url": webhook.url,
        "env_type": webhook.env_type,
        "events": webhook.events,
        "enabled": webhook.enabled,
        "created_at": instant(webhook.created_ms),
        "updated_at": instant(webhook.updated_ms),
    })
}
