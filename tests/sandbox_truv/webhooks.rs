//! What Truv announces: events and their order, signatures, retries, and what each switch does.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use passbook::sandbox::{Environment, NewTransaction, OutgoingWebhook, Sandbox, TruvWebhookForm};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bench::{Bench, instant};

const URL: &str = "http://127.0.0.1:9/webhooks/us";

/// Takes what is due and answers it with `status`.
fn deliver(sandbox: &Sandbox, status: Option<u16>) -> Vec<(OutgoingWebhook, Value)> {
    let taken = sandbox.take_webhooks();
    for webhook in &taken {
        sandbox.webhook_answered(webhook.id, status);
    }
    let with_body = |webhook: OutgoingWebhook| {
        let body = serde_json::from_slice(&webhook.body).expect("JSON");
        (webhook, body)
    };
    taken.into_iter().map(with_body).collect()
}

fn header<'a>(webhook: &'a OutgoingWebhook, name: &str) -> &'a str {
    let found = webhook.headers.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.as_str()).expect("the header")
}

fn told(webhooks: &[(OutgoingWebhook, Value)]) -> Vec<String> {
    let word = |body: &Value| match body["status"].as_str() {
        Some(status) => status.to_owned(),
        None => body["event_type"].as_str().expect("a type").to_owned(),
    };
    webhooks.iter().map(|(_, body)| word(body)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_refresh_is_announced_status_by_status_at_its_own_instants() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    bench.sandbox.set_truv_webhook(URL);
    let task = bench.start_refresh(link).await.json()["task_id"].clone();
    let began = bench.sandbox.now();
    let mut all = deliver(&bench.sandbox, Some(200));
    assert_eq!(told(&all), ["new"]);
    tokio::time::sleep(Duration::from_secs(20)).await;
    all = deliver(&bench.sandbox, Some(200));
    assert_eq!(told(&all), ["login", "parse"]);
    tokio::time::sleep(Duration::from_secs(40)).await;
    all.extend(deliver(&bench.sandbox, Some(200)));
    assert_eq!(told(&all), ["login", "parse", "full_parse", "done"]);
    let (webhook, body) = all.last().expect("the last");
    assert_eq!(webhook.url, URL);
    assert_eq!((&body["task_id"], &body["link_id"]), (&task, &json!(link.to_string())));
    assert_eq!(body["user_id"], bench.sandbox.truth().links[0].user_upstream_id);
    let fixed = ["event_type", "product", "data_source"].map(|name| body[name].as_str());
    assert_eq!(fixed, [Some("task-status-updated"), Some("transactions"), Some("financial_accounts")]);
    let at = instant(&body["event_created_at"]);
    assert_eq!((at, instant(&body["updated_at"])), (began + Duration::from_secs(45), at));
    let styles = ["event_created_at", "updated_at"].map(|name| body[name].as_str().expect("a text").ends_with('Z'));
    assert_eq!(styles, [true, false]);
    assert!(deliver(&bench.sandbox, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_webhook_is_signed_with_the_secret_of_its_environment() {
    let mut bench = Bench::new();
    bench.sandbox.set_truv_webhook(URL);
    bench.secret = bench.sandbox.add_secret(Environment::Prod);
    let body = json!({"name": "p", "webhook_url": "http://127.0.0.1:9/prod", "env_type": "prod"});
    assert_eq!(bench.post("/v1/webhooks/", body).await.status, 201);
    bench.sandbox.add_link(bench.sandbox.add_user("in-sandbox"), "chase");
    let user = bench.sandbox.add_user_of(&bench.secret, "in-prod");
    bench.sandbox.add_link(user, "chase");
    let taken = deliver(&bench.sandbox, Some(204));
    assert_eq!(told(&taken), ["link-connected", "link-connected"]);
    for ((webhook, _), (url, secret)) in
        taken.iter().zip([(URL, &bench.sandbox.truv_secret()), ("http://127.0.0.1:9/prod", &bench.secret)])
    {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(&webhook.body);
        let digest = mac.finalize().into_bytes();
        let hex = digest.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!((webhook.url.as_str(), header(webhook, "X-WEBHOOK-SIGN")), (url, format!("v1={hex}").as_str()));
        assert_eq!(header(webhook, "User-Agent"), "Truv-Webhook-Service/2.0");
        assert_eq!(header(webhook, "Content-Type"), "application/json");
    }
}

#[tokio::test(start_paused = true)]
async fn links_are_announced_when_they_connect_break_and_go() {
    let bench = Bench::new();
    bench.sandbox.set_truv_webhook(URL);
    let user = bench.sandbox.add_user("c-1");
    let bridge = bench.bridge_token(&user.to_string(), json!({"tracking_info": "t-1"})).await;
    bench.connect(&bridge, "error.user", "login_error", None).await;
    let failed = deliver(&bench.sandbox, Some(200));
    assert_eq!((told(&failed), &failed[0].1["link_id"]), (vec!["login_error".to_owned()], &Value::Null));
    let connected = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let all = deliver(&bench.sandbox, Some(200));
    assert_eq!(told(&all), ["new", "login", "parse", "link-connected", "full_parse", "done"]);
    let body = &all[3].1;
    assert_eq!((&body["link_id"], &body["tracking_info"]), (&connected["link_id"], &json!("t-1")));
    assert_eq!((body.get("updated_at"), body.get("template_id"), body.get("task_id")), (None, None, None));
    let link = connected["link_id"].as_str().expect("an id").parse().expect("an id");
    bench.sandbox.break_login(link, "login_error");
    for expected in [vec!["new", "login", "login_error", "link-disconnected"], vec!["new", "login", "login_error"]] {
        assert_eq!(bench.refresh(link).await, "login_error");
        assert_eq!(told(&deliver(&bench.sandbox, Some(200))), expected);
    }
    bench.sandbox.break_login(link, "unavailable");
    bench.refresh(link).await;
    assert_eq!(told(&deliver(&bench.sandbox, Some(200))), ["new", "login", "unavailable"]);
    bench.send(bench.request("DELETE", &format!("/v1/links/{link}/"), None)).await.expect("a body");
    assert_eq!(told(&deliver(&bench.sandbox, Some(200))), ["link-deleted"]);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_a_production_endpoint_that_keeps_failing_is_disabled() {
    let mut bench = Bench::new();
    bench.secret = bench.sandbox.add_secret(Environment::Prod);
    let body = json!({"name": "p", "webhook_url": URL, "env_type": "prod", "events": ["link-connected"]});
    let id = bench.post("/v1/webhooks/", body).await.json()["id"].as_str().expect("an id").to_owned();
    let user = bench.sandbox.add_user_of(&bench.secret, "c-1");
    bench.sandbox.add_link(user, "chase");
    let first = deliver(&bench.sandbox, Some(500));
    for (wait, status) in [(10, None), (60, Some(404)), (300, Some(500))] {
        tokio::time::sleep(Duration::from_secs(wait - 1)).await;
        assert!(deliver(&bench.sandbox, None).is_empty());
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(deliver(&bench.sandbox, status), first);
    }
    tokio::time::sleep(Duration::from_hours(24)).await;
    assert!(deliver(&bench.sandbox, None).is_empty());
    bench.sandbox.settings(|settings| settings.webhooks.truv_retries.clear());
    let enabled = async || bench.get(&format!("/v1/webhooks/{id}")).await.json()["enabled"].clone();
    for still in [true, false] {
        bench.sandbox.add_link(user, "chase");
        assert_eq!(deliver(&bench.sandbox, Some(503)).len(), 1);
        assert_eq!(enabled().await, still);
    }
    bench.sandbox.add_link(user, "chase");
    assert!(deliver(&bench.sandbox, None).is_empty());
    let again = bench.request("PATCH", &format!("/v1/webhooks/{id}/"), Some(&json!({"enabled": true})));
    assert_eq!(bench.send(again).await.expect("a body").json()["enabled"], true);
    bench.sandbox.add_link(user, "chase");
    assert_eq!(told(&deliver(&bench.sandbox, Some(200))), ["link-connected"]);
    // Every attempt is in the history, newest first, page by page.
    let history = bench.get("/v1/webhook-requests/?page_size=5").await.json();
    let codes = |page: &Value| -> Vec<Value> {
        page["results"].as_array().expect("a list").iter().map(|row| row["status_code"].clone()).collect()
    };
    assert_eq!(codes(&history), [json!(200), json!(503), json!(503), json!(500), json!(404)]);
    let next = history["next"].as_str().expect("more").split_once("/v1/").expect("a path").1.to_owned();
    let rest = bench.get(&format!("/v1/{next}")).await.json();
    assert_eq!((codes(&rest), &rest["next"]), (vec![Value::Null, json!(500)], &Value::Null));
    let row = &rest["results"][0];
    assert_eq!((&row["webhook_id"], &row["webhook_url"]), (&json!(id), &json!(URL)));
    assert_eq!(row["webhook_payload"], first[0].1);
    assert_eq!(codes(&bench.get("/v1/webhook-requests/?status_code=404").await.json()), [json!(404)]);
}

#[tokio::test(start_paused = true)]
async fn older_generations_duplicates_disorder_delay_and_loss_are_switches() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    bench.sandbox.set_truv_webhook(URL);
    let mut forms = Vec::new();
    for form in [TruvWebhookForm::Newest, TruvWebhookForm::Earlier, TruvWebhookForm::Oldest] {
        bench.sandbox.settings(|settings| settings.webhooks.truv_form = form);
        bench.start_refresh(link).await;
        bench.sandbox.delete_link(bench.sandbox.add_link(bench.sandbox.add_user("c"), "ally"));
        let taken = deliver(&bench.sandbox, Some(200));
        let has = |at: usize, name: &str| taken[at].1.get(name).is_some();
        forms.push(
            [(0, "event_created_at"), (0, "user_id"), (0, "updated_at"), (2, "updated_at"), (2, "user_id")]
                .map(|(at, name)| has(at, name)),
        );
        tokio::time::sleep(Duration::from_hours(9)).await;
        deliver(&bench.sandbox, Some(200));
    }
    assert_eq!(forms, [[true, true, true, false, true], [true; 5], [false, false, true, true, false]]);
    let ids = |taken: Vec<(OutgoingWebhook, Value)>| -> Vec<Value> {
        taken.into_iter().map(|(_, body)| body["webhook_id"].clone()).collect()
    };
    bench.sandbox.settings(|settings| {
        (settings.webhooks.twice, settings.webhooks.disorderly) = (true, true);
        settings.webhooks.delay = Duration::from_secs(30);
    });
    bench.refresh(link).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let taken = deliver(&bench.sandbox, Some(200));
    assert_eq!(told(&taken)[..4], ["done", "done", "full_parse", "full_parse"]);
    let ids = ids(taken);
    assert_eq!(ids[0], ids[1]);
    bench.sandbox.settings(|settings| settings.webhooks.lose_one_in = 1);
    tokio::time::sleep(Duration::from_hours(24)).await;
    bench.refresh(link).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(deliver(&bench.sandbox, None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_world_without_endpoints_keeps_nothing_and_goes_the_same_way_as_one_with_them() {
    let play = async |with_endpoint: bool| {
        let bench = Bench::new();
        if with_endpoint {
            bench.sandbox.set_truv_webhook(URL);
            bench.sandbox.add_bridge_webhook("http://127.0.0.1:9/europe");
        }
        let (link, account, _) = bench.small_link(2);
        bench.refresh(link).await;
        bench.sandbox.add_transaction(account, NewTransaction::posted(-7, "LATER"));
        bench.refresh(link).await;
        let announced = deliver(&bench.sandbox, Some(200)).len();
        bench.sandbox.set_truv_webhook(URL);
        (announced, deliver(&bench.sandbox, None).len(), bench.sandbox.truth())
    };
    let (quiet, loud) = (play(false).await, play(true).await);
    assert_eq!((quiet.0, quiet.1), (0, 0));
    assert_eq!((loud.0, loud.1), (11, 0));
    assert_eq!(quiet.2, loud.2);
}
