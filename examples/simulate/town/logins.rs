//! Logins that break, and customers who repair them.

use axum::body::{Body, to_bytes};
use axum::http::Request;
use passbook::sandbox::Served;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::{Town, instant};
use crate::plan::{DAY, HOUR, Verb};

/// An aggregator reads each bank once a day, and one that was down reads it the day after.
const NOTICED: i64 = 3 * DAY;

impl Town {
    pub(super) fn break_login(&mut self, link: usize, verb: &Verb) {
        let (now_ms, of) = (self.now_ms(), &mut self.links[link]);
        if of.trouble.is_some() {
            return;
        }
        let word = verb.text(if of.serves == Served::Truv { "truv" } else { "bridge" });
        self.bank.break_login(of.id, word);
        of.trouble = Some((word.to_owned(), now_ms));
    }

    /// Whatever refreshes of a link meet is over; returns what it was.
    pub(super) fn end_trouble(&mut self, link: usize) -> Option<String> {
        let now_ms = self.now_ms();
        let (word, since) = self.links[link].trouble.take()?;
        self.links[link].broken.push((since, now_ms));
        Some(word)
    }

    /// Whether a login was broken at an instant of our clock, or so lately that the aggregator may not have noticed the repair.
    pub(crate) fn was_broken(&self, link: &str, at_ms: i64) -> bool {
        let of = self.links.iter().filter(|of| of.id.to_string() == link);
        of.flat_map(|of| {
            of.broken.iter().copied().chain(of.trouble.iter().map(|(_, since)| (*since, i64::MAX - NOTICED)))
        })
        .any(|(from, until)| (from - HOUR..=until + NOTICED).contains(&at_ms))
    }

    /// The bank lets the aggregator in again, after the customer has been there where that is what it takes.
    ///
    /// Shape: what the customer must do in a browser, if anything.
    pub(crate) fn heal(&mut self, link: usize) -> Option<Errand> {
        let now_ms = self.now_ms();
        let word = self.end_trouble(link)?;
        self.links[link].calm_since = now_ms;
        let of = &self.links[link];
        self.bank.heal_login(of.id);
        match of.serves {
            Served::Bridge => {
                self.bank.set_consent_expiry(of.id, instant(now_ms + 180 * DAY));
                self.bank.refresh_item(of.id);
                None
            }
            Served::Truv if word == "unavailable" => None,
            Served::Truv => {
                let of = self.bank.true_link(of.id);
                let (user, token) = (of.user_upstream_id, of.access_token);
                Some(Errand { bank: self.bank.clone(), secret: self.others_secret.clone(), user, token })
            }
        }
    }
}

/// A customer on the way to log in again.
pub(crate) struct Errand {
    bank: passbook::sandbox::Sandbox,
    secret: String,
    user: String,
    token: String,
}

impl Errand {
    /// Goes through the widget; `false` where it did not work, as under a fault.
    pub(crate) async fn run(&self) -> bool {
        let body = json!({ "product_type": "transactions", "access_token": self.token });
        let opened = self.post(&format!("/v1/users/{}/tokens/", self.user), &body).await;
        let login = json!({
            "bridge_token": opened["bridge_token"], "username": "goodlogin", "password": "goodpassword",
        });
        self.post("/sandbox/connect", &login).await["link_id"].is_string()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = Request::post(path)
            .header("x-access-client-id", self.bank.truv_client_id())
            .header("x-access-secret", &self.secret)
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()));
        let Ok(request) = request else { return Value::Null };
        let patience = std::time::Duration::from_secs(30);
        let Ok(Ok(answer)) = tokio::time::timeout(patience, self.bank.router().oneshot(request)).await else {
            return Value::Null;
        };
        let bytes = to_bytes(answer.into_body(), 1 << 20).await.unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}
