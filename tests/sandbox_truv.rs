//! The sandbox behaves towards a client as its table says Truv does.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request};
use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::sandbox::{
    DatasetOptions, Environment, Fault, LinkId, LivingPlan, NewAccount, NewTransaction, Pace, Plan, PostStyle, Reissue,
    Sandbox, Scope, Status, ThrottleForm, TransactionId, World,
};
use serde_json::{Value, json};
use tower::ServiceExt;

const NOW: &str = "2026-03-10T12:00:00Z";

struct Answer {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.bytes)))
    }
}

struct Bench {
    sandbox: Sandbox,
    secret: String,
}

impl Bench {
    fn new() -> Self {
        let clock = Clock::virtual_at(NOW.parse().expect("an instant"));
        let sandbox = Sandbox::new(clock, 7);
        let secret = sandbox.truv_secret();
        Self { sandbox, secret }
    }

    fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Request<Body> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("X-Access-Client-Id", self.sandbox.truv_client_id());
        request = request.header("x-access-secret", &self.secret);
        match body {
            Some(body) => request
                .header("content-type", "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        }
        .expect("a request")
    }

    async fn send(&self, request: Request<Body>) -> Result<Answer, axum::Error> {
        let response = self
            .sandbox
            .router()
            .oneshot(request)
            .await
            .expect("the router never fails");
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await?.to_vec();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            bytes,
        })
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path, None)).await.expect("a whole body")
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(self.request("POST", path, Some(&body)))
            .await
            .expect("a whole body")
    }

    /// A link with one account that has `rows` posted rows, one an hour.
    fn small_link(&self, rows: i64) -> (LinkId, passbook::sandbox::AccountId, Vec<TransactionId>) {
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

    async fn transactions(&self, link: LinkId) -> Vec<Value> {
        let answer = self.get(&format!("/v1/links/{link}/transactions/?page_size=500")).await;
        assert_eq!(answer.status, 200);
        answer.json()["transactions"].as_array().expect("a list").clone()
    }

    fn token(&self, link: LinkId) -> String {
        self.sandbox.truth().link(link).expect("the link").access_token.clone()
    }

    async fn start_refresh(&self, link: LinkId) -> Answer {
        let body = json!({"access_token": self.token(link), "product_type": "transactions"});
        self.post("/v1/refresh/tasks/", body).await
    }

    /// Refreshes and waits; answers the final status.
    async fn refresh(&self, link: LinkId) -> String {
        let answer = self.start_refresh(link).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        let task = answer.json()["task_id"].as_str().expect("an id").to_owned();
        tokio::time::sleep(Duration::from_secs(120)).await;
        let task = self.get(&format!("/v1/refresh/tasks/{task}")).await.json();
        task["status"].as_str().expect("a status").to_owned()
    }

    async fn bridge_token(&self, user: &str, extra: Value) -> String {
        let mut body = json!({"product_type": "transactions"});
        for (key, value) in extra.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let answer = self.post(&format!("/v1/users/{user}/tokens/"), body).await;
        assert_eq!(answer.status, 201);
        answer.json()["bridge_token"].as_str().expect("a token").to_owned()
    }

    async fn connect(&self, bridge: &str, username: &str, password: &str, mfa: Option<&str>) -> Answer {
        let body = json!({"bridge_token": bridge, "username": username, "password": password, "mfa": mfa});
        self.post("/sandbox/connect", body).await
    }
}

fn amount_minor(row: &Value) -> i64 {
    let text = row["amount"].as_str().expect("a decimal string").replace('.', "");
    let size: i64 = text.parse().expect("digits");
    if row["type"] == "DEBIT" { -size } else { size }
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().expect("a text").parse().expect("an instant")
}

/// Compares rows as served with the truth: ids, signed amounts, instants, status.
fn same_rows(served: &[Value], world: &World, link: LinkId) {
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

#[tokio::test(start_paused = true)]
async fn secrets_open_their_own_environment_only() {
    let mut bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    let path = format!("/v1/links/{link}");
    assert!(bench.secret.starts_with("sandbox-") && bench.secret.len() == 48);
    assert_eq!(bench.get(&path).await.status, 200);
    bench.secret = bench.sandbox.add_secret(Environment::Prod);
    let answer = bench.get(&path).await;
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (403, Some("not_authenticated"))
    );
    bench.sandbox.revoke_secret(&bench.secret);
    let answer = bench.get(&path).await;
    assert_eq!(
        (answer.status, answer.json()["error"]["code"].as_str()),
        (401, Some("authentication_failed"))
    );
    let (client, secret) = bench.sandbox.add_client();
    let request = Request::get(&path)
        .header("x-access-client-id", client)
        .header("x-access-secret", secret);
    let answer = bench
        .send(request.body(Body::empty()).expect("a request"))
        .await
        .expect("a body");
    assert_eq!((answer.status, answer.json()), (404, json!({"detail": "Not Found."})));
    let answer = bench
        .send(Request::get(&path).body(Body::empty()).expect("a request"))
        .await
        .expect("a body");
    assert_eq!(answer.status, 401);
}

#[tokio::test(start_paused = true)]
async fn tokens_are_masked_unless_filtered_by_user() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(0);
    let token = bench.token(link);
    let user = bench.sandbox.truth().links[0].user_upstream_id.clone();
    let masked = format!("{}{}", "*".repeat(28), &token[28..]);
    let list = bench.get("/v1/links/").await.json();
    assert_eq!(
        (list["count"].as_i64(), &list["results"][0]["access_token"]),
        (Some(1), &json!(masked))
    );
    assert_eq!(
        bench.get(&format!("/v1/links/{link}/")).await.json()["access_token"],
        masked.as_str()
    );
    let list = bench.get(&format!("/v1/links/?user_id={user}")).await.json();
    assert_eq!(list["results"][0]["access_token"], token.as_str());
    let users = bench.get("/v1/users/?external_user_id=customer-1").await.json();
    assert_eq!(users["results"][0]["links"][0]["access_token"], masked.as_str());
    let none = bench
        .get("/v1/links/?user_id=ffffffffffffffffffffffffffffffff")
        .await
        .json();
    assert_eq!(none["count"], 0);
}

#[tokio::test(start_paused = true)]
async fn pages_hold_every_row_once_newest_first() {
    let bench = Bench::new();
    let link = bench.sandbox.seed_world(&Plan {
        links: 1,
        transactions_per_link: 250,
        ..Plan::default()
    })[0];
    let mut rows = Vec::new();
    for page in 1..=3 {
        let answer = bench
            .get(&format!("/v1/links/{link}/transactions/?page={page}"))
            .await
            .json();
        assert_eq!(answer["count"], 250);
        assert_eq!(answer["next"].is_null(), page == 3);
        assert_eq!(answer["previous"].is_null(), page == 1);
        rows.extend(answer["transactions"].as_array().expect("a list").clone());
    }
    same_rows(&rows, &bench.sandbox.truth(), link);
    assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(instant(&row["transacted_at"]))));
    let beyond = bench.get(&format!("/v1/links/{link}/transactions/?page=4")).await;
    assert_eq!(
        (beyond.status, beyond.json()),
        (404, json!({"detail": "Invalid page."}))
    );
    assert_eq!(
        bench
            .get(&format!("/v1/links/{link}/transactions/?page_size=0"))
            .await
            .status,
        400
    );
    let capped = bench
        .get(&format!("/v1/links/{link}/transactions/?page_size=9999&unknown=1"))
        .await
        .json();
    assert_eq!(capped["transactions"].as_array().map(Vec::len), Some(250));
    bench.sandbox.settings(|settings| settings.shuffled = true);
    let shuffled = bench.transactions(link).await;
    assert_eq!(shuffled.len(), 250);
    assert_ne!(shuffled, rows);
}

#[tokio::test(start_paused = true)]
async fn filters_are_inclusive_and_combine() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(0);
    let card = bench
        .sandbox
        .add_account(link, NewAccount::credit_card("Card", 500_000));
    for (account, at) in [
        (account, "2026-03-01T00:00:00Z"),
        (account, "2026-03-02T23:59:59.999Z"),
        (card, "2026-03-02T10:00:00Z"),
        (account, "2026-03-03T00:00:00Z"),
    ] {
        bench.sandbox.add_transaction(
            account,
            NewTransaction::posted(-1, at).at(at.parse().expect("an instant")),
        );
    }
    let base = format!("/v1/links/{link}/transactions/");
    for (query, count) in [
        (
            "transacted_at_from=2026-03-02&transacted_at_to=2026-03-02".to_owned(),
            2,
        ),
        ("transacted_at_from=2026-03-01T00:00:00Z".to_owned(), 4),
        ("transacted_at_from=2026-03-01T00:00:01Z".to_owned(), 3),
        ("transacted_at_to=2026-03-02T10:00:00%2B00:00".to_owned(), 2),
        ("account_types=CREDIT_CARD".to_owned(), 1),
        (format!("account_ids={account}&transacted_at_from=2026-03-02"), 2),
        ("account_ids=".to_owned(), 4),
    ] {
        let answer = bench.get(&format!("{base}?{query}")).await.json();
        assert_eq!(answer["count"], count, "{query}");
        assert_eq!(answer["accounts"].as_array().map(Vec::len), Some(2));
    }
    assert_eq!(
        bench.get(&format!("{base}?transacted_at_from=yesterday")).await.status,
        400
    );
}

#[tokio::test(start_paused = true)]
async fn the_request_limit_slides_and_says_when_to_come_back() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.request_limit = Some(3));
    for _ in 0..3 {
        assert_eq!(bench.get("/v1/users/").await.status, 200);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let refused = bench.get("/v1/users/").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.headers["retry-after"], "30");
    assert_eq!(
        refused.json()["error"],
        json!({"code": "throttled", "message": "Request was throttled. Expected available in 30 seconds."})
    );
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.get("/v1/users/").await.status, 200);
    assert_eq!(bench.get("/v1/users/").await.status, 429);
    assert_eq!(bench.sandbox.throttled_count(), 2);
    assert_eq!(
        bench.sandbox.worst_window(&bench.secret, SignedDuration::from_mins(1)),
        5
    );
    assert_eq!(bench.sandbox.request_log().len(), 6);
    assert_eq!(
        bench.get("/v1/users/").await.headers["content-type"],
        "application/json"
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_walks_its_statuses_and_then_shows_new_data() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(2);
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench
        .sandbox
        .add_transaction(account, NewTransaction::pending(-900, "COFFEE"));
    assert_eq!(bench.transactions(link).await.len(), 2);
    let task = bench.start_refresh(link).await.json()["task_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut seen = Vec::new();
    for _ in 0..46 {
        let status = bench.get(&format!("/v1/refresh/tasks/{task}/")).await.json()["status"].clone();
        let link_status = bench.get(&format!("/v1/links/{link}/")).await.json()["status"].clone();
        assert_eq!(status, link_status);
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(json!(seen), json!(["new", "login", "parse", "full_parse", "done"]));
    let rows = bench.transactions(link).await;
    same_rows(&rows, &bench.sandbox.truth(), link);
    assert_eq!(
        (rows.len(), &rows[0]["status"], &rows[0]["posted_at"]),
        (3, &json!("PENDING"), &Value::Null)
    );
    let listed = bench.get(&format!("/v1/tasks/?link_id={link}")).await.json();
    assert_eq!(
        (listed["count"].as_i64(), &listed["results"][0]["id"]),
        (Some(1), &json!(task))
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_after_the_task_ended_waits_for_the_next_refresh_even_when_nobody_looked() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(1);
    bench.start_refresh(link).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    bench
        .sandbox
        .add_transaction(account, NewTransaction::posted(-5, "LATE"));
    assert_eq!(bench.transactions(link).await.len(), 1);
    assert_eq!(bench.refresh(link).await, "done");
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    bench
        .sandbox
        .add_transaction(account, NewTransaction::posted(-5, "AT ONCE"));
    assert_eq!(bench.transactions(link).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn three_refreshes_a_day_and_no_hint_when_the_next_is_free() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    for _ in 0..3 {
        assert_eq!(bench.start_refresh(link).await.status, 201);
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
    let refused = bench.start_refresh(link).await;
    assert_eq!((refused.status, refused.headers.get("retry-after")), (429, None));
    let expected = json!({"code": "throttled", "message": "Refresh limit for the access_token exceeded"});
    assert_eq!(refused.json()["error"], expected);
    tokio::time::sleep(Duration::from_secs(21 * 3600 - 1)).await;
    assert_eq!(bench.start_refresh(link).await.status, 429);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.start_refresh(link).await.status, 201);
    let refreshes = bench.sandbox.refreshes();
    assert_eq!((refreshes[0].at.len(), refreshes[0].worst_day), (4, 3));
    assert_eq!(refreshes[0].access_token, bench.token(link));
}

#[tokio::test(start_paused = true)]
async fn a_broken_login_fails_the_refresh_and_keeps_the_old_data() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.refresh_limit = None);
    let (link, account, _) = bench.small_link(1);
    bench.transactions(link).await;
    bench
        .sandbox
        .add_transaction(account, NewTransaction::posted(-5, "NEW"));
    for status in [
        "login_error",
        "mfa_error",
        "no_data",
        "unavailable",
        "error",
        "account_locked",
    ] {
        bench.sandbox.break_login(link, status);
        assert_eq!(bench.refresh(link).await, status);
        assert_eq!(bench.sandbox.truth().links[0].status, status);
        assert_eq!(bench.transactions(link).await.len(), 1);
    }
    bench.sandbox.heal_login(link);
    assert_eq!(bench.refresh(link).await, "done");
    assert_eq!(bench.transactions(link).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn dev_secrets_stop_after_their_successful_tasks() {
    let mut bench = Bench::new();
    bench
        .sandbox
        .settings(|settings| (settings.dev_task_limit, settings.pace) = (1, Pace::instant()));
    bench.secret = bench.sandbox.add_secret(Environment::Dev);
    let user = bench.sandbox.add_user_of(&bench.secret, "dev-customer");
    let link = bench.sandbox.add_link(user, "chase");
    assert_eq!(bench.refresh(link).await, "done");
    let refused = bench.start_refresh(link).await;
    assert_eq!(
        (refused.status, refused.json()["error"]["code"].as_str()),
        (403, Some("task_limit_exceeded"))
    );
}

#[tokio::test(start_paused = true)]
async fn the_test_logins_do_as_documented() {
    let bench = Bench::new();
    let user = bench.post("/v1/users/", json!({"external_user_id": "c-9"})).await;
    assert_eq!(user.status, 201);
    assert_eq!(
        bench
            .post("/v1/users/", json!({"external_user_id": "c-9"}))
            .await
            .status,
        400
    );
    let user = user.json()["id"].as_str().expect("an id").to_owned();
    let bridge = bench.bridge_token(&user, json!({"tracking_info": "t-1"})).await;
    for (username, password, mfa, error) in [
        ("error.user", "login_error", None, "LOGIN_ERROR"),
        ("error.user", "unavailable", None, "UNAVAILABLE"),
        ("goodlogin", "mfa", Some("00000"), "MFA_ERROR"),
        ("goodlogin", "guess", None, "LOGIN_ERROR"),
        ("somebody", "goodpassword", None, "LOGIN_ERROR"),
    ] {
        let answer = bench.connect(&bridge, username, password, mfa).await;
        assert_eq!(
            (answer.status, answer.json()["error"]["error_code"].as_str()),
            (400, Some(error))
        );
    }
    assert_eq!(bench.sandbox.truth().links.len(), 0);
    let connected = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json();
    let link: LinkId = connected["link_id"].as_str().expect("an id").parse().expect("an id");
    assert_eq!(bench.transactions(link).await.len(), 0);
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(bench.get(&format!("/v1/links/{link}")).await.json()["status"], "done");
    assert_eq!(bench.transactions(link).await.len(), 60);
    let again = bench.connect(&bridge, "goodlogin", "mfa", Some("12345")).await.json();
    assert_eq!(again["link_id"], connected["link_id"]);
    let other = bench.bridge_token(&user, json!({"provider_id": "chase"})).await;
    let short = bench.connect(&other, "goodlogin", "good_asset", None).await.json();
    assert_ne!(short["link_id"], connected["link_id"]);
    tokio::time::sleep(Duration::from_hours(6)).await;
    assert_eq!(
        bench.connect(&bridge, "goodlogin", "goodpassword", None).await.status,
        410
    );
}

#[tokio::test(start_paused = true)]
async fn a_public_token_is_exchanged_once_and_within_six_hours() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1").to_string();
    let bridge = bench.bridge_token(&user, json!({})).await;
    let public = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json()["public_token"].clone();
    let exchange = async |token: &Value| {
        bench
            .post("/v1/link-access-tokens/", json!({"public_token": token}))
            .await
    };
    let first = exchange(&public).await;
    assert_eq!(first.status, 200);
    let truth = bench.sandbox.truth();
    assert_eq!(first.json()["access_token"], truth.links[0].access_token.as_str());
    assert_eq!(first.json()["link_id"], truth.links[0].upstream_id.as_str());
    let again = exchange(&public).await;
    assert_eq!(
        (again.status, again.json()["error"]["code"].as_str()),
        (410, Some("expired_token"))
    );
    let unknown = exchange(&json!("0".repeat(32))).await;
    assert_eq!(
        (unknown.status, unknown.json()["error"]["code"].as_str()),
        (403, Some("incorrect_token"))
    );
    let late = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json()["public_token"].clone();
    bench.sandbox.expire_tokens();
    assert_eq!(exchange(&late).await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn update_mode_repairs_the_same_link() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    bench.sandbox.break_login(link, "login_error");
    assert_eq!(bench.refresh(link).await, "login_error");
    let user = bench.sandbox.truth().links[0].user_upstream_id.clone();
    let bridge = bench
        .bridge_token(&user, json!({"access_token": bench.token(link)}))
        .await;
    let connected = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json();
    assert_eq!(connected["link_id"], link.to_string());
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(bench.get(&format!("/v1/links/{link}")).await.json()["status"], "done");
    assert_eq!(bench.refresh(link).await, "done");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_link_keeps_its_object_and_loses_its_data() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    let deleted = bench
        .send(bench.request("DELETE", &format!("/v1/links/{link}/"), None))
        .await
        .expect("a body");
    assert_eq!((deleted.status, deleted.bytes.len()), (204, 0));
    let object = bench.get(&format!("/v1/links/{link}")).await;
    assert_eq!(object.status, 200);
    assert!(object.json()["deleted_at"].is_string());
    for data in ["transactions", "balances", "auth"] {
        assert_eq!(bench.get(&format!("/v1/links/{link}/{data}/")).await.status, 404);
    }
    assert_eq!(bench.start_refresh(link).await.status, 404);
    bench.sandbox.settings(|settings| settings.deleted_link_is_404 = true);
    assert_eq!(bench.get(&format!("/v1/links/{link}")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn pending_rows_post_in_three_ways() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    let (link, account, _) = bench.small_link(0);
    for style in [PostStyle::SameId, PostStyle::NewIdSameExternalId, PostStyle::NewIdOnly] {
        let new = NewTransaction::pending(-2_500, "LUNCH").external("ext-1");
        let pending = bench.sandbox.add_transaction(account, new);
        let before = &bench.transactions(link).await[0];
        assert_eq!(
            (before["id"].as_str(), &before["posted_at"]),
            (Some(&*pending.to_string()), &Value::Null)
        );
        let posted = bench.sandbox.post_pending(pending, style);
        let after = bench.transactions(link).await;
        assert_eq!((after.len(), &after[0]["status"]), (1, &json!("POSTED")));
        assert_eq!(after[0]["id"], posted.to_string());
        assert_eq!(posted == pending, style == PostStyle::SameId);
        assert_eq!(after[0]["external_id"] == "ext-1", style != PostStyle::NewIdOnly);
        bench.sandbox.remove_transaction(posted);
        assert_eq!(bench.transactions(link).await.len(), 0);
        bench.sandbox.restore_transaction(posted);
        bench.sandbox.remove_transaction(posted);
    }
    assert_eq!(bench.sandbox.truth().links[0].accounts[0].balance_minor, 100_000);
}

#[tokio::test(start_paused = true)]
async fn ids_are_reissued_and_rows_edited_only_in_the_next_snapshot() {
    let bench = Bench::new();
    let (link, account, txns) = bench.small_link(3);
    let before = bench.transactions(link).await;
    bench.sandbox.edit_transaction(txns[0], Some(-777), Some("CORRECTED"));
    let renamed = bench.sandbox.reissue_ids(Reissue::Link(link), true);
    assert_eq!(renamed.len(), 3);
    assert!(bench.sandbox.reissue_ids(Reissue::AccountsOf(link), true).is_empty());
    assert_eq!(bench.transactions(link).await, before);
    assert_eq!(bench.refresh(link).await, "done");
    let after = bench.transactions(link).await;
    same_rows(&after, &bench.sandbox.truth(), link);
    assert!(after.iter().all(|row| before.iter().all(|old| old["id"] != row["id"])));
    assert_eq!(
        (after[2]["amount"].as_str(), &after[2]["description"]),
        (Some("7.77"), &json!("CORRECTED"))
    );
    assert_ne!(after[0]["account_id"], account.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_leaves_every_list_and_comes_back() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    let (link, account, _) = bench.small_link(2);
    bench.sandbox.close_account(account);
    assert_eq!(
        bench.get(&format!("/v1/links/{link}/balances/")).await.json()["count"],
        0
    );
    assert_eq!(bench.transactions(link).await.len(), 0);
    bench.sandbox.reopen_account(account);
    let auth = bench.get(&format!("/v1/links/{link}/auth/")).await.json();
    let truth = bench.sandbox.truth().links[0].accounts[0].clone();
    assert_eq!(
        auth["accounts"][0]["numbers"]["ACH"][0]["account_number"],
        truth.number.as_str()
    );
    assert_eq!(auth["accounts"][0]["mask"], truth.mask.as_str());
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench.sandbox.set_balance(account, 4_200);
    let balances = bench.get(&format!("/v1/links/{link}/balances/")).await.json();
    assert_eq!(balances["results"][0]["balances"]["balance"], "42.00");
}

#[tokio::test(start_paused = true)]
async fn a_script_happens_at_its_instant_whoever_looks_later() {
    let bench = Bench::new();
    let (link, account, txns) = bench.small_link(1);
    let now = bench.sandbox.now();
    bench.start_refresh(link).await;
    // One change before the task ends and one after it; nobody looks until both are past.
    bench.sandbox.at(now + SignedDuration::from_secs(30), move |bank| {
        bank.add_transaction(account, NewTransaction::posted(-1, "EARLY"));
    });
    let gone = txns[0];
    bench.sandbox.at(now + SignedDuration::from_secs(60), move |bank| {
        bank.remove_transaction(gone)
    });
    tokio::time::sleep(Duration::from_secs(600)).await;
    let rows = bench.transactions(link).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(instant(&rows[0]["transacted_at"]), now + SignedDuration::from_secs(30));
    assert_eq!(bench.sandbox.truth().transaction_count(), 1);
    assert_eq!(bench.sandbox.served().transaction_count(), 2);
}

#[tokio::test(start_paused = true)]
async fn replacement_faults_answer_in_their_form() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan {
        links: 1,
        ..Plan::default()
    });
    for (fault, status, part) in [
        (
            Fault::Throttle(ThrottleForm::ErrorEnvelope),
            429,
            "\"code\":\"throttled\"",
        ),
        (
            Fault::Throttle(ThrottleForm::Detail),
            429,
            "{\"detail\":\"Request was throttled.",
        ),
        (
            Fault::Throttle(ThrottleForm::TextUnder503),
            503,
            "Expected available in 17 seconds.",
        ),
        (Fault::Status(500), 500, "error"),
        (Fault::Html502, 502, "<html>"),
        (Fault::NotJson, 200, "upstream connect error"),
        (Fault::EmptyBody, 200, ""),
    ] {
        bench
            .sandbox
            .fault(fault.clone(), Scope::path("/links").method("GET").once());
        assert_eq!(bench.get("/v1/users/").await.status, 200);
        let answer = bench.get("/v1/links/").await;
        let text = String::from_utf8(answer.bytes).expect("text");
        assert_eq!(
            (answer.status, text.contains(part)),
            (status, true),
            "{fault:?}: {text}"
        );
        assert_eq!(bench.get("/v1/links/").await.status, 200);
    }
    bench.sandbox.fault(Fault::WrongContentType, Scope::all());
    bench
        .sandbox
        .fault(Fault::ClockSkew(SignedDuration::from_hours(1)), Scope::all());
    let answer = bench.get("/v1/links/").await;
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(answer.headers["date"], "Tue, 10 Mar 2026 13:00:00 GMT");
    assert_eq!(answer.json()["count"], 1);
    bench.sandbox.clear_faults();
    bench.sandbox.fault(Fault::HugeBody(1_000_000), Scope::all());
    let answer = bench.get("/v1/links/").await;
    assert_eq!(answer.bytes.len(), 1_000_000);
    assert_eq!(answer.json()["count"], 0);
}

#[tokio::test(start_paused = true)]
async fn connection_faults_break_hang_or_delay() {
    let bench = Bench::new();
    for fault in [Fault::Reset, Fault::CutBody] {
        bench.sandbox.fault(fault, Scope::all().once());
        assert!(bench.send(bench.request("GET", "/v1/users/", None)).await.is_err());
    }
    bench.sandbox.fault(Fault::Hang, Scope::all().once());
    let hanging = tokio::time::timeout(Duration::from_hours(5), bench.get("/v1/users/")).await;
    assert!(hanging.is_err());
    assert_eq!(bench.sandbox.request_log().last().expect("a request").status, None);
    bench
        .sandbox
        .fault(Fault::Slow(SignedDuration::from_secs(9)), Scope::all().after(1).once());
    let started = bench.sandbox.now();
    bench.get("/v1/users/").await;
    assert_eq!(bench.sandbox.now(), started);
    bench.get("/v1/users/").await;
    assert_eq!(
        bench.sandbox.now().duration_since(started),
        SignedDuration::from_secs(9)
    );
}

#[tokio::test(start_paused = true)]
async fn paging_faults_move_the_list_under_the_reader() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.default_page_size = 10);
    let (link, ..) = bench.small_link(25);
    let page = async |n: usize| bench.get(&format!("/v1/links/{link}/transactions/?page={n}")).await;
    let id = |answer: &Answer, at: usize| answer.json()["transactions"][at]["id"].as_str().map(str::to_owned);
    let (first, second) = (page(1).await, page(2).await);
    bench.sandbox.fault(Fault::RepeatPage, Scope::link(link).once());
    let repeated = page(2).await;
    assert_eq!(repeated.json()["transactions"], first.json()["transactions"]);
    assert!(repeated.json()["next"].as_str().expect("a URL").ends_with("page=3"));
    bench.sandbox.fault(Fault::InvalidPage404, Scope::link(link).once());
    assert_eq!(page(1).await.status, 200);
    assert_eq!(page(2).await.status, 404);
    bench.sandbox.fault(Fault::DriftWhilePaging, Scope::link(link).once());
    let drifted = page(2).await;
    assert_eq!(
        (drifted.json()["count"].as_i64(), id(&drifted, 0)),
        (Some(26), id(&first, 9))
    );
    bench.sandbox.fault(Fault::ShrinkWhilePaging, Scope::link(link).once());
    assert_eq!(id(&page(2).await, 0), id(&second, 0));
    bench.sandbox.fault(Fault::ShrinkWhilePaging, Scope::link(link).once());
    let shrunk = page(2).await;
    assert_eq!(
        (shrunk.json()["count"].as_i64(), id(&shrunk, 0)),
        (Some(24), id(&second, 1))
    );
    assert_eq!(bench.sandbox.truth().transaction_count(), 24);
    same_rows(&bench.transactions(link).await, &bench.sandbox.truth(), link);
}

#[tokio::test(start_paused = true)]
async fn row_faults_damage_the_first_row_of_a_page() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(3);
    bench
        .sandbox
        .fault(Fault::RowWithoutId, Scope::path("/transactions").once());
    assert!(bench.transactions(link).await[0].get("id").is_none());
    bench
        .sandbox
        .fault(Fault::BadAmount, Scope::path("/transactions").once());
    assert_eq!(bench.transactions(link).await[0]["amount"], "12,34 or so");
    bench
        .sandbox
        .fault(Fault::DuplicateRow, Scope::path("/transactions").once());
    let rows = bench.transactions(link).await;
    assert_eq!((rows.len(), &rows[0]), (4, &rows[1]));
    bench.sandbox.fault(Fault::RefreshLimit, Scope::link(link).once());
    assert_eq!(bench.start_refresh(link).await.status, 429);
    assert_eq!(bench.start_refresh(link).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn a_drawn_world_is_deterministic_odd_and_adds_up() {
    let (one, two) = (Bench::new(), Bench::new());
    let plan = Plan {
        links: 20,
        transactions_per_link: 200,
        ..Plan::default()
    };
    let links = one.sandbox.seed_world(&plan);
    two.sandbox.seed_world(&plan);
    let world = one.sandbox.truth();
    assert_eq!(world, two.sandbox.truth());
    let mut rows = Vec::new();
    for link in &links {
        let served = one.transactions(*link).await;
        same_rows(&served, &world, *link);
        rows.extend(served);
    }
    let any = |test: &dyn Fn(&Value) -> bool| assert!(rows.iter().any(test));
    any(&|row| row["merchant_category_code"].is_u64());
    any(&|row| row["merchant_category_code"].is_string());
    any(&|row| row["location"]["latitude"].is_f64());
    any(&|row| row["location"]["latitude"].is_string());
    any(&|row| row["location"].is_null());
    any(&|row| row["status"] == "PENDING" && row["posted_at"].is_null());
    any(&|row| row["status"] == "AUTHORIZATION");
    any(&|row| row["status"] == "MEMO" && row["type"] == "MEMO" && row["amount"] == "0.00");
    any(&|row| row.get("merchant_name").is_none());
    any(&|row| row.get("enrichment").is_some());
    any(&|row| row["transacted_at"].as_str().is_some_and(|at| at.ends_with("+00:00")));
    any(&|row| row["transacted_at"].as_str().is_some_and(|at| at.ends_with(".000000Z")));
    one.sandbox.settings(|settings| settings.oddities = false);
    assert!(
        one.transactions(links[0])
            .await
            .iter()
            .all(|row| !row["merchant_category_code"].is_string())
    );
    // Balances move with the rows: taking every posted row out leaves the opening balance, a round-trip brings it back.
    let link = &world.links[0];
    let account = &link.accounts[0];
    let booked = |status: Status| {
        let mine = link
            .transactions
            .iter()
            .filter(|t| t.account_upstream_id == account.upstream_id && t.status == status);
        mine.map(|t| t.amount_minor).sum::<i64>()
    };
    let pending = booked(Status::Pending) + booked(Status::Authorization);
    assert_eq!(account.available_minor, Some(account.balance_minor + pending));
    let posted: Vec<_> = link
        .transactions
        .iter()
        .filter(|t| t.status == Status::Posted)
        .map(|t| t.id)
        .collect();
    one.sandbox
        .change(|bank| posted.iter().for_each(|txn| bank.remove_transaction(*txn)));
    let opening = one.sandbox.truth().links[0].accounts[0].balance_minor;
    assert_eq!(opening + booked(Status::Posted), account.balance_minor);
}

#[tokio::test(start_paused = true)]
async fn a_living_bank_moves_with_time() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan {
        links: 5,
        transactions_per_link: 50,
        ..Plan::default()
    });
    bench.sandbox.live(LivingPlan {
        break_login_one_in: 5,
        ..LivingPlan::default()
    });
    assert_eq!(bench.sandbox.truth().transaction_count(), 250);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let world = bench.sandbox.truth();
    assert_eq!(world.transaction_count(), 250 + 80);
    assert_eq!(bench.sandbox.served().transaction_count(), 250);
    bench.sandbox.step();
    assert_eq!(bench.sandbox.truth().transaction_count(), 250 + 88);
    tokio::time::sleep(Duration::from_hours(24 * 60)).await;
    assert!(bench.sandbox.truth().transaction_count() < 250 + 80_000);
}

const CSV: &str = "\
transaction_id,account_id,date,amount,currency,description,counterparty,balance_after
1,77,1993-01-01,700.00,CZK,cash deposit,,700.00
2,78,1993-01-01,900.5,CZK,cash deposit,,1000.00
3,77,1993-01-05,-200.25,CZK,\"rent, flat\",AB/123,499.75
4,77,1993-01-05,100.00,CZK,credit,,799.75
5,79,1993-01-06,1.00,CZK,credit,,1.00
";

#[tokio::test(start_paused = true)]
async fn a_data_set_becomes_links_that_add_up() {
    let bench = Bench::new();
    let loaded = bench
        .sandbox
        .load_dataset(CSV.as_bytes(), &DatasetOptions::default())
        .expect("a good file");
    assert_eq!((loaded.links.len(), loaded.accounts, loaded.transactions), (2, 3, 5));
    // The rows of account 77 lead to 599.75, not to 799.75.
    assert_eq!(loaded.unbalanced_accounts, 1);
    let world = bench.sandbox.truth();
    let account = |link: usize, account: usize| world.links[link].accounts[account].balance_minor;
    assert_eq!((account(0, 0), account(0, 1), account(1, 0)), (59_975, 100_000, 100));
    let last = &world.links[1].transactions[0];
    assert_eq!(
        (last.currency.as_str(), last.external_id.as_deref()),
        ("CZK", Some("5"))
    );
    assert_eq!(last.transacted_at, bench.sandbox.now());
    let days = last.transacted_at - SignedDuration::from_hours(24 * 5);
    assert_eq!(
        world.links[0].transactions.last().map(|row| row.transacted_at),
        Some(days)
    );
    same_rows(&bench.transactions(loaded.links[0]).await, &world, loaded.links[0]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_data_set_is_refused_with_line_and_reason() {
    let bench = Bench::new();
    for (from, to, expected) in [
        ("700.00,CZK", "7x,CZK", "data set, line 2: `7x` is not an amount"),
        (
            "1993-01-05,100",
            "1993-02-30,100",
            "data set, line 5: `1993-02-30` is not a date",
        ),
        ("\n4,", "\n3,", "data set, line 5: transaction `3` came before"),
        ("\n5,79", "\n5,", "data set, line 6: `account_id` is empty"),
        ("currency", "money", "data set, line 1: no column `currency`"),
        ("5,79,", "", "data set, line 6: "),
    ] {
        let text = CSV.replacen(from, to, 1);
        let error = bench
            .sandbox
            .load_dataset(text.as_bytes(), &DatasetOptions::default())
            .expect_err(expected);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert_eq!(bench.sandbox.truth().links.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn small_manners_of_the_api() {
    let bench = Bench::new();
    let put = bench
        .send(bench.request("PUT", "/v1/users/", None))
        .await
        .expect("a body");
    assert_eq!(put.status, 405);
    assert_eq!(bench.get("/v1/nothing/").await.status, 404);
    assert_eq!(bench.get("/v2/users/").await.status, 404);
    let mut request = bench.request("POST", "/v1/users/", Some(&json!({})));
    let missing = bench.post("/v1/users", json!({})).await;
    assert_eq!(
        missing.json()["error"]["extra"]["invalid-params"][0]["field"],
        "external_user_id"
    );
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 415);
    let mut request = bench.request("GET", "/v1/users/", None);
    request
        .headers_mut()
        .insert("accept", "text/html".parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 406);
    let found = bench.get("/v1/providers/?query=CHASE&search=x").await.json();
    assert_eq!(
        (found["count"].as_i64(), &found["results"][0]["id"]),
        (Some(1), &json!("chase"))
    );
    let hook = json!({"name": "n", "webhook_url": "http://example.com/", "env_type": "sandbox"});
    assert_eq!(bench.post("/v1/webhooks/", hook.clone()).await.status, 201);
    let twice = bench.post("/v1/webhooks/", hook).await;
    assert_eq!(twice.json()["error"]["extra"]["invalid-params"][0]["field"], "env_type");
    assert_eq!(bench.get("/v1/webhooks/").await.json()["count"], 1);
}

/// Sends bytes to a bound sandbox and reads until the connection ends or the answer is whole.
async fn over_the_wire(address: std::net::SocketAddr, bench: &Bench) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /v1/users/ HTTP/1.1\r\nhost: {address}\r\nx-access-client-id: {}\r\nx-access-secret: {}\r\n\
         connection: close\r\n\r\n",
        bench.sandbox.truv_client_id(),
        bench.secret
    );
    stream.write_all(request.as_bytes()).await.expect("a sent request");
    let mut answer = Vec::new();
    // A reset is as good an end as any other.
    while let Ok(1..) = stream.read_buf(&mut answer).await {}
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn over_a_socket_cut_and_reset_end_the_connection() {
    let sandbox = Sandbox::new(Clock::system(), 7);
    let bench = Bench {
        secret: sandbox.truv_secret(),
        sandbox,
    };
    for n in 0..20 {
        bench.sandbox.add_user(&format!("customer-{n}"));
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut served = tokio::task::JoinSet::new();
    let router = bench.sandbox.router();
    served.spawn(async move { axum::serve(listener, router).await });
    let whole = over_the_wire(address, &bench).await;
    assert!(whole.starts_with("HTTP/1.1 200 OK") && whole.ends_with('}'), "{whole}");
    bench.sandbox.fault(Fault::CutBody, Scope::all().once());
    let cut = over_the_wire(address, &bench).await;
    assert!(
        cut.contains("customer-0") && !cut.contains("customer-19") && !cut.ends_with("0\r\n\r\n"),
        "{cut}"
    );
    bench.sandbox.fault(Fault::Reset, Scope::all().once());
    let reset = over_the_wire(address, &bench).await;
    assert!(
        !reset.contains("customer-0") && !reset.ends_with("0\r\n\r\n"),
        "{reset}"
    );
    assert_eq!(over_the_wire(address, &bench).await.len(), whole.len());
}
