//! What the tests share: a sandbox in virtual time, requests to it, and the comparison with the truth.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::sandbox::{
    AccountId, LinkId, NewAccount, NewTransaction, Sandbox, Served, TransactionId, TrueTransaction, UserId,
};
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

    /// The resources of a list.
    pub(crate) fn rows(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.json());
        self.json()["resources"].as_array().expect("a list").clone()
    }

    pub(crate) fn next(&self) -> Option<String> {
        self.json()["pagination"]["next_uri"].as_str().map(str::to_owned)
    }

    /// Status and code of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String) {
        (self.status, self.json()["errors"][0]["code"].as_str().expect("a code").to_owned())
    }
}

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
}

impl Bench {
    /// A sandbox for Bridge without limits.
    pub(crate) fn new() -> Self {
        let bench = Self::with_limits();
        bench.sandbox.settings(|settings| {
            let bridge = &mut settings.bridge;
            (bridge.application_limit, bridge.user_limit, bridge.token_limit) = (None, None, None);
        });
        bench
    }

    pub(crate) fn with_limits() -> Self {
        let clock = Clock::virtual_at(NOW.parse().expect("an instant"));
        let sandbox = Sandbox::new(clock, 7);
        sandbox.settings(|settings| settings.serves = Served::Bridge);
        Self { sandbox }
    }

    /// A request with all headers, and a bearer if there is one.
    pub(crate) fn request(&self, method: &str, path: &str, bearer: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("Bridge-Version", "2025-01-15");
        request = request.header("Client-Id", self.sandbox.bridge_client_id());
        request = request.header("Client-Secret", self.sandbox.bridge_client_secret());
        if !bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
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

    pub(crate) async fn get(&self, bearer: &str, path: &str) -> Answer {
        self.send(self.request("GET", path, bearer, None)).await.expect("a whole body")
    }

    pub(crate) async fn post(&self, bearer: &str, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path, bearer, Some(&body))).await.expect("a whole body")
    }

    pub(crate) async fn delete(&self, bearer: &str, path: &str) -> Answer {
        self.send(self.request("DELETE", path, bearer, None)).await.expect("a whole body")
    }

    pub(crate) async fn token(&self, user: UserId) -> String {
        let body = json!({"user_uuid": user.to_string()});
        let answer = self.post("", "/v3/aggregation/authorization/token", body).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer.json()["access_token"].as_str().expect("a token").to_owned()
    }

    /// A user, a link with one account that has `rows` posted rows, one an hour, and the user's token.
    pub(crate) async fn small_link(&self, rows: i64) -> Small {
        let user = self.sandbox.add_user("customer-1");
        let link = self.sandbox.add_link(user, "574");
        let account = self.sandbox.add_account(link, NewAccount::checking("Main", 100_000).currency("EUR"));
        let now = self.sandbox.now();
        let at = |hours: i64| now - SignedDuration::from_hours(hours);
        let txns = (0..rows).map(|n| {
            let new = NewTransaction::posted(-100 - n, &format!("ROW {n}")).at(at(rows - n));
            self.sandbox.add_transaction(account, new)
        });
        let txns = txns.collect();
        Small { user, link, account, txns, token: self.token(user).await }
    }

    /// Every row of a walk along `next_uri`.
    pub(crate) async fn walk(&self, bearer: &str, query: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut next = Some(format!("/v3/aggregation/transactions?{query}"));
        while let Some(path) = next {
            let answer = self.get(bearer, &path).await;
            rows.extend(answer.rows());
            next = answer.next();
        }
        rows
    }
}

pub(crate) struct Small {
    pub(crate) user: UserId,
    pub(crate) link: LinkId,
    pub(crate) account: AccountId,
    pub(crate) txns: Vec<TransactionId>,
    pub(crate) token: String,
}

pub(crate) fn instant(value: &Value) -> Timestamp {
    value.as_str().expect("a text").parse().expect("an instant")
}

/// An amount in hundredths, read from its digits.
pub(crate) fn amount_minor(value: &Value) -> i64 {
    let text = value.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<2}").parse().expect("digits")
}

/// Compares rows as served with the truth.
pub(crate) fn same_rows(served: &[Value], truth: &[TrueTransaction]) {
    assert_eq!(served.len(), truth.len());
    let text = |date: &Option<jiff::civil::Date>| date.map_or(Value::Null, |date| json!(date.to_string()));
    for (row, truth) in served.iter().zip(truth) {
        assert_eq!(row["id"].to_string(), truth.upstream_id);
        assert_eq!(row["account_id"].to_string(), truth.account_upstream_id);
        assert_eq!(amount_minor(&row["amount"]), truth.amount_minor);
        assert_eq!(row["provider_description"], truth.description.as_str());
        assert_eq!(row["currency_code"], truth.currency.as_str());
        assert_eq!(row["operation_type"], truth.operation_type.as_deref().expect("an operation"));
        assert_eq!(row["category_id"].as_i64(), truth.category_id);
        assert_eq!((&row["future"], &row["deleted"]), (&json!(truth.future), &json!(truth.deleted)));
        assert_eq!(Some(instant(&row["updated_at"])), truth.updated_at);
        for (name, date) in [
            ("date", &truth.date),
            ("booking_date", &truth.booking_date),
            ("transaction_date", &truth.transaction_date),
            ("value_date", &truth.value_date),
        ] {
            assert_eq!(row[name], text(date), "{name}");
        }
    }
}
