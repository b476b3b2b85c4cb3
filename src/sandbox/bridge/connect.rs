//! `POST /sandbox/bridge/connect`: what a customer does on the hosted page, as one request (invented; logins of section 13).
//!
//! Body: `session` (its id or address), `login`, optionally `provider_id` (else the session's, else the Demo Bank),
//! `code` (for the login `otp`) and `leave` (a step of section 7.2 at which the customer leaves). It needs no credentials and
//! counts against no limit, as the page's own traffic. Answer: `item_id`, `success` and `callback`, the address the browser
//! would be sent to, at once, while the first refresh is still running.

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::Response;
use rand::RngExt;
use serde_json::{Value, json};
use sha2::Digest;

use super::refresh::Step;
use super::reply::Reply;
use super::sessions::{self, Session};
use super::{items, words};
use crate::sandbox::state::{Event, State};
use crate::sandbox::wire::{Wire, send};
use crate::sandbox::world::{Bank, CONSENT_MS, DEMO_BANK, Happened, NewAccount, NewStock, Plan};
use crate::sandbox::{Sandbox, id};

const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// Days of history that a new item has in the end, and how many rows.
const HISTORY_DAYS: i64 = 90;
const HISTORY_ROWS: usize = 60;

pub(super) async fn connect(Extract(sandbox): Extract<Sandbox>, request: Request) -> Response<Body> {
    let body = axum::body::to_bytes(request.into_body(), MAX_REQUEST_BYTES).await.unwrap_or_default();
    let value: Value = serde_json::from_slice(&body).unwrap_or_default();
    let reply = {
        let mut state = sandbox.lock();
        log_in(&mut state, &value).map_or_else(|refusal| refusal, |visit| visit.reply())
    };
    send(&sandbox, reply, &Wire::default())
}

/// How a login's refreshes end, and the step at which the customer is stuck, if so.
fn outcome(login: &str, code: Option<&str>) -> (String, Option<&'static str>) {
    match (login, code) {
        ("otp", None) => ("1010_OTP_REQUIRED".to_owned(), Some("otp_form")),
        ("otp_fail", _) => ("1010_OTP_FAILED".to_owned(), Some("otp_form")),
        ("app2app_expiry", _) => ("1010_OTP_FAILED".to_owned(), Some("sync_error")),
        (scenario, _) => {
            let stuck = match words::status_for(scenario.split('.').next().unwrap_or_default()).0 {
                0 => None,
                402 => Some("bank_creds_form"),
                1010 => Some("otp_form"),
                _ => Some("sync_error"),
            };
            (scenario.to_owned(), stuck)
        }
    }
}

/// How a visit to the hosted page ended.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) item: Option<u64>,
    pub(super) success: bool,
    /// Where the browser goes, if the session says.
    pub(super) callback: Option<String>,
}

impl Visit {
    fn reply(&self) -> Reply {
        Reply::ok(&json!({"item_id": self.item, "success": self.success, "callback": self.callback}))
    }
}

/// Tells whether the bank asks for a code after this login (section 13).
pub(super) fn asks_code(login: &str) -> bool {
    matches!(login, "otp" | "otp_fail")
}

pub(super) fn log_in(state: &mut State, body: &Value) -> Result<Visit, Reply> {
    let session = sessions::find(state, body)?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    if let Some(step) = text("leave") {
        return Ok(callback(state, &session, session.link, Some(step)));
    }
    let login = text("login").unwrap_or("success");
    let provider = body.get("provider_id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
    let provider = session.provider.or(provider).unwrap_or(DEMO_BANK);
    let (results, stuck) = outcome(login, text("code"));
    let (link, status) = if let Some(link) = session.link {
        state.bank.first_look(link);
        (link, "-3")
    } else {
        let link = link_for(&mut state.bank, &session, login, provider);
        state.bank.tell_of(link, Happened::Connected { link });
        (link, "-2")
    };
    let bank = &mut state.bank;
    bank.set_status(link, status);
    let repaired = &mut bank.links[link];
    repaired.trouble = None;
    repaired.upkeep.results = results.split('.').map(str::to_owned).collect();
    if stuck.is_none() {
        repaired.upkeep.consent_until_ms = Some(bank.now_ms + CONSENT_MS);
    }
    let takes_ms = i64::try_from(state.settings.bridge.first_refresh.as_millis()).unwrap_or(0);
    state.schedule(state.bank.now_ms + takes_ms, Event::BridgeStep(link, Step::First));
    Ok(callback(state, &session, Some(link), stuck))
}

/// Where the browser goes, with the parameters of section 7.2.
fn callback(state: &State, session: &Session, link: Option<usize>, stuck: Option<&str>) -> Visit {
    let user = id::text(state.bank.users[session.user].id);
    let item = link.map(|link| items::number(state.bank.links[link].id));
    let target = session.callback.clone().map(|mut url| {
        let mut query = url.query_pairs_mut();
        query.append_pair("user_uuid", &user);
        if let Some(item) = item {
            query.append_pair("item_id", &item.to_string());
        }
        query.append_pair("success", if stuck.is_none() { "true" } else { "false" });
        if let Some(step) = stuck {
            query.append_pair("step", step);
        }
        query.append_pair("source", "connect");
        if let Some(context) = &session.context {
            query.append_pair("context", context);
        }
        drop(query);
        url.to_string()
    });
    Visit { item, success: stuck.is_none(), callback: target }
}

/// A new item; of a login that was connected before, the same accounts again under new ids (section 16, 40).
fn link_for(bank: &mut Bank, session: &Session, login: &str, provider: u32) -> usize {
    let hash = digest(login);
    let institution = provider.to_string();
    let known = bank.users[session.user].links.iter().copied().find(|link| {
        let link = &bank.links[*link];
        link.login_hash == hash && *link.institution == *institution && !link.accounts.is_empty()
    });
    let link = if let Some(known) = known {
        bank.readd_link_at(known)
    } else {
        let link = bank.insert_link(session.user, &institution);
        furnish(bank, link, provider, session.every_kind);
        link
    };
    let made = &mut bank.links[link];
    made.login_hash = hash;
    made.upkeep.every_kind = Some(session.every_kind);
    // Nothing shows before the first refresh is done.
    made.visible = Some(0);
    link
}

/// The accounts of the Demo Bank (section 13), or fewer at another bank, and a history.
fn furnish(bank: &mut Bank, link: usize, provider: u32, every_kind: bool) {
    let is_demo = provider == DEMO_BANK;
    let mut open = |kind: &str, name: &str, opening_minor: i64| {
        let new = NewAccount { kind: kind.to_owned(), ..NewAccount::checking(name, opening_minor).currency("EUR") };
        bank.insert_account(link, new)
    };
    let checking = open("CHECKING", "Compte courant", 148_954);
    if is_demo {
        open("CHECKING", "Compte joint", 52_310);
        open("CHECKING", "Compte secondaire", 8_055);
        open("CHECKING", "Compte professionnel", 731_020);
        open("CREDIT_CARD", "Carte Premier à débit différé", 0);
    }
    open("CREDIT_CARD", "Carte à débit différé", 0);
    let mut securities = Vec::new();
    if every_kind {
        open("SAVINGS", "Livret A", 1_020_000);
        open("LOAN", "Prêt immobilier", -14_020_000);
        securities.push(open("INVESTMENT", "Compte titres", 2_410_000));
        if is_demo {
            open("LOAN", "Prêt personnel", -640_000);
            securities.push(open("PEA", "PEA", 1_180_000));
            securities.push(open("LIFE_INSURANCE", "Assurance vie", 3_300_000));
        }
    }
    for (nth, account) in securities.into_iter().enumerate() {
        let account = crate::sandbox::AccountId(bank.links[link].accounts[account].id);
        let price_minor = bank.rng.random_range(2_000..40_000);
        bank.add_stock(
            account,
            NewStock {
                label: format!("Société {nth} SA"),
                isin: format!("FR000012{:04}", 1_000 + nth),
                ticker: format!("SOC{nth}"),
                quantity_thousandths: 12_500,
                price_minor,
                cost_minor: price_minor * 9 / 10,
            },
        );
    }
    let plan = Plan { links: 1, transactions_per_link: HISTORY_ROWS, days: HISTORY_DAYS, ..Plan::default() };
    bank.fill(link, checking, &plan);
}

fn digest(text: &str) -> u128 {
    let long = sha2::Sha256::digest(text.as_bytes());
    long.iter().take(16).fold(0, |digest, byte| (digest << 8) | u128::from(*byte))
}
