//! What the tests share: a sandbox in virtual time, requests to it, and the comparison with the truth.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::sandbox::{LinkId, NewAccount, NewTransaction, Sandbox, TransactionId, World};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const NOW: &str = "2026-03-10T12:00:00Z";

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.bytes)))
    }
}

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) secret: String,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let clock = Clock::virtual_at(NOW.parse().expect("an instant"));
        let sandbox = Sandbox::new(clock, 7);
        let secret = sandbox.truv_secret();
        Self { sandbox, secret }
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("X-Access-Client-Id", self.sandbox.truv_client_id());
        request = request.header("x-access-secret", &self.secret);
        match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        }
        .expect("a request")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Answer, axum::Error> {
        let response = self.sandbox.router().oneshot(request).await.expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await?.to_vec();
        Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, bytes })
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, None)).await.expect("a whole body")
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path, Some(&body))).await.expect("a whole body")
    }

    /// A link with one account that has `rows` posted rows, one an hour.
    pub(crate) fn small_link(&self, rows: i64) -> (LinkId, passbook::sandbox::AccountId, Vec<TransactionId>) {
        let user = self.sandbox.add_user("customer-1");
        let link = self.sandbox.add_link(user, "chase");
        let account = self.sandbox.add_account(link, NewAccount::checking("Main", 100_000));
        let now = self.sandbox.now();
        let at = |hours: i64| now - SignedDuration::from_hours(hours);
        let txns = (0..rows).map(|n| {
            let new = NewTransaction::posted(-100 - n, &format!("ROW {n}")).at(at(rows - n));
            self.sandbox.add_transaction(account, new)
        });
        (link, account, txns.collect())
    }

    pub(crate) async fn transactions(&self, link: LinkId) -> Vec<Value> {
        let answer = self.get(&format!("/v1/links/{link}/transactions/?page_size=500")).await;
        assert_eq!(answer.status, 200);
        answer.json()["transactions"].as_array().expect("a list").clone()
    }

    pub(crate) fn token(&self, link: LinkId) -> String {
        self.sandbox.truth().link(link).expect("the link").access_token.clone()
    }

    pub(crate) async fn start_refresh(&self, link: LinkId) -> Answer {
        let body = json!({"access_token": self.token(link), "product_type": "transactions"});
        self.post("/v1/refresh/tasks/", body).await
    }

    /// Refreshes and waits; answers the final status.
    pub(crate) async fn refresh(&self, link: LinkId) -> String {
        let answer = self.start_refresh(link).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        let task = answer.json()["task_id"].as_str().expect("an id").to_owned();
        tokio::time::sleep(Duration::from_mins(2)).await;
        let task = self.get(&format!("/v1/refresh/tasks/{task}")).await.json();
        task["status"].as_str().expect("a status").to_owned()
    }

    pub(crate) async fn bridge_token(&self, user: &str, extra: Value) -> String {
        let mut body = json!({"product_type": "transactions"});
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = self.post(&format!("/v1/users/{user}/tokens/"), body).await;
        assert_eq!(answer.status, 201);
        answer.json()["bridge_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn connect(&self, bridge: &str, username: &str, password: &str, mfa: Option<&str>) -> Answer {
        let body = json!({"bridge_token": bridge, "username": username, "password": password, "mfa": mfa});
        self.post("/sandbox/connect", body).await
    }
}

pub(crate) fn amount_minor(row: &Value) -> i64 {
    let text = row["amount"].as_str().expect("a decimal string").replace('.', "");
    let size: i64 = text.parse().expect("digits");
    if row["type"] == "DEBIT" { -size } else { size }
}

pub(crate) fn instant(value: &Value) -> Timestamp {
    value.as_str().expect("a text").parse().expect("an instant")
}

/// Compares rows as served with the truth: ids, signed amounts, instants, status.
pub(crate) fn same_rows(served: &[Value], world: &World, link: LinkId) {
    let truth = &world.link(link).expect("the link").transactions;
    assert_eq!(served.len(), truth.len());
    for (row, truth) in served.iter().zip(truth) {
        assert_eq!(row["id"], truth.upstream_id.as_str());
        assert_eq!(row["account_id"], truth.account_upstream_id.as_str());
        assert_eq!(amount_minor(row), truth.amount_minor);
        assert_eq!(row["status"], truth.status.as_str());
        assert_eq!(instant(&row["transacted_at"]), truth.transacted_at);
        assert_eq!(row["posted_at"].is_null(), truth.posted_at.is_none());
        assert_eq!(row["description"], truth.description.as_str());
    }
}
