//! Webhooks as Bridge words and signs them (section 12); endpoints are made in its dashboard, here by scripts.

use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use serde_json::{Value, json};
use sha2::Sha256;

use super::reply::Wish;
use super::rows::{amount, instant};
use super::{Bridge, items, words};
use crate::clock::DAY_MS;
use crate::sandbox::id;
use crate::sandbox::outbox::Sealed;
use crate::sandbox::world::{AccountChange, Bank, Happened, News};
use crate::sandbox::write::hex_lower;

/// How long the secret that was replaced goes on signing (section 12.4).
const OLD_SECRET_LIFE_MS: i64 = DAY_MS;
/// Secrets an endpoint has at once (section 12.4).
const MAX_SECRETS: usize = 2;
/// The item of the documents' test event (section 12.1).
const TEST_ITEM: u64 = 1_234_567_890;

/// One endpoint of an application.
#[derive(Debug)]
pub(super) struct Endpoint {
    application: usize,
    url: String,
    /// Types it wants; empty for all.
    wanted: Vec<String>,
    /// Newest first; the second one until it ends.
    secrets: Vec<EndpointSecret>,
}

#[derive(Debug)]
struct EndpointSecret {
    text: String,
    until_ms: i64,
}

impl Bridge {
    /// Makes an endpoint of the default application; answers its number and its secret.
    pub(crate) fn add_endpoint(&mut self, url: &str, wanted: &[&str]) -> String {
        let secret = self.draw_secret();
        self.endpoints.push(Endpoint {
            application: 0,
            url: url.to_owned(),
            wanted: wanted.iter().map(|&kind| kind.to_owned()).collect(),
            secrets: vec![EndpointSecret { text: secret.clone(), until_ms: i64::MAX }],
        });
        secret
    }

    /// Gives an endpoint a new secret beside the old one; answers it. `None`: no endpoint has this address.
    pub(crate) fn rotate_endpoint(&mut self, url: &str, now_ms: i64) -> Option<String> {
        let at = self.endpoints.iter().position(|endpoint| endpoint.url == url)?;
        let text = self.draw_secret();
        let secrets = &mut self.endpoints[at].secrets;
        for old in secrets.iter_mut() {
            old.until_ms = old.until_ms.min(now_ms + OLD_SECRET_LIFE_MS);
        }
        secrets.insert(0, EndpointSecret { text: text.clone(), until_ms: i64::MAX });
        secrets.truncate(MAX_SECRETS);
        Some(text)
    }

    fn draw_secret(&mut self) -> String {
        let bits: u128 = self.rng.random();
        format!("whsec_{bits:032x}")
    }

    /// Tells whether there is an endpoint to announce to.
    pub(crate) fn has_audience(&self) -> bool {
        !self.endpoints.is_empty()
    }

    /// The bodies that tell the endpoints of an application what happened: endpoint and body.
    pub(crate) fn word(&self, bank: &Bank, news: &News, application: usize) -> Vec<(usize, Vec<u8>)> {
        let Some((kind, content)) = content(bank, news) else { return Vec::new() };
        let body = envelope(kind, &content, news.at_ms);
        let wants =
            |endpoint: &Endpoint| endpoint.wanted.is_empty() || endpoint.wanted.iter().any(|known| known == kind);
        let mut listening = Vec::new();
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            if endpoint.application == application && wants(endpoint) {
                listening.push((at, body.clone()));
            }
        }
        listening
    }

    /// What the dashboard's test button sends to each endpoint with an address; its instant is in seconds (12.1).
    pub(crate) fn word_test(&self, bank: &Bank, url: &str) -> Vec<(usize, Vec<u8>)> {
        let user = bank.users.iter().find(|user| user.owner == crate::sandbox::world::Owner::Bridge(0));
        let user = user.map_or_else(|| id::text(0), |user| id::text(user.id));
        let content = json!({"item_id": TEST_ITEM, "status": 0, "user_uuid": user});
        let body = envelope("TEST_EVENT", &content, bank.now_ms.div_euclid(1000));
        let named = self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.url == url);
        named.map(|(at, _)| (at, body.clone())).collect()
    }

    /// Address and headers for a body, signed with every secret that is good now.
    pub(crate) fn seal(&self, endpoint: usize, body: &[u8], now_ms: i64) -> Option<Sealed> {
        let endpoint = self.endpoints.get(endpoint)?;
        let good = endpoint.secrets.iter().filter(|secret| secret.until_ms > now_ms);
        let signatures: Vec<String> = good.filter_map(|secret| signature(&secret.text, body)).collect();
        let signatures = signatures.join(",");
        let headers = [("Content-Type", "application/json"), ("BridgeApi-Signature", signatures.as_str())];
        Some(Sealed::new(&endpoint.url, &headers))
    }
}

fn signature(secret: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    Some(format!("v1={}", hex_lower(&mac.finalize().into_bytes()).to_uppercase()))
}

fn envelope(kind: &str, content: &Value, timestamp: i64) -> Vec<u8> {
    json!({"content": content, "timestamp": timestamp, "type": kind}).to_string().into_bytes()
}

/// Type and content of what happened; `None` for what Bridge announces nothing of, as status 1100 (12.3).
fn content(bank: &Bank, news: &News) -> Option<(&'static str, Value)> {
    let of_item = |link: usize| {
        let user = id::text(bank.users[bank.links[link].user].id);
        json!({"item_id": items::number(bank.links[link].id), "user_uuid": user})
    };
    match &news.happened {
        Happened::Connected { link } => Some(("item.created", of_item(*link))),
        Happened::Deleted { link } => Some(("item.deleted", of_item(*link))),
        Happened::UserDeleted { user } => Some(("user.deleted", json!({"user_uuid": id::text(bank.users[*user].id)}))),
        Happened::Refreshed { link, status, is_whole, by_customer } => {
            let (code, info) = words::split_status(status);
            if code == words::PRO_LOCKED {
                return None;
            }
            let of = &bank.links[*link];
            let mut content = of_item(*link);
            content["status_code"] = json!(code);
            content["status_code_info"] = json!(info);
            content["full_refresh"] = json!(is_whole);
            content["refresh_trigger"] = json!(if *by_customer { "connect" } else { "scheduler" });
            content["account_types"] = json!(items::account_types(of));
            if let Some(until_ms) = of.upkeep.consent_until_ms {
                // Without a fraction here, unlike everywhere else.
                let whole_seconds = Wish { whole_seconds: true, ..Wish::default() };
                content["authentication_expires_at"] = json!(instant(until_ms, whole_seconds));
            }
            Some(("item.refreshed", content))
        }
        Happened::AccountChanged { link, account, change, shared, balance_minor } => {
            let mut content = of_item(*link);
            content["account_id"] = json!(items::number(*account));
            let of = bank.links[*link].accounts.iter().find(|of| of.id == *account);
            let currency = of.map_or("EUR", |of| &*of.currency);
            let kind = match change {
                AccountChange::Created => "item.account.created",
                AccountChange::Updated { .. } => "item.account.updated",
                AccountChange::Deleted => return Some(("item.account.deleted", content)),
            };
            if *shared {
                content["balance"] = amount(*balance_minor, currency);
            }
            if let AccountChange::Updated { new, updated, deleted } = change {
                content["data_access"] = json!(if *shared { "enabled" } else { "disabled" });
                let counts = [
                    ("nb_new_transactions", new),
                    ("nb_updated_transactions", updated),
                    ("nb_deleted_transactions", deleted),
                ];
                for (name, count) in counts.into_iter().filter(|_| *shared) {
                    content[name] = json!(count);
                }
            }
            Some((kind, content))
        }
        Happened::Disconnected { .. } | Happened::TaskMoved { .. } => None,
    }
}
