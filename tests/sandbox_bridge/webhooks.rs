//! What Bridge announces: events and their contents, signatures and rotation, retries.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use passbook::sandbox::{NewAccount, NewTransaction, OutgoingWebhook, PostStyle, Sandbox};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::bench::Bench;
use crate::connect::{session, visit};

const URL: &str = "http://127.0.0.1:9/webhooks/europe";

/// Takes what is due and answers it with `status`.
fn deliver(sandbox: &Sandbox, status: Option<u16>) -> Vec<OutgoingWebhook> {
    let taken = sandbox.take_webhooks();
    for webhook in &taken {
        sandbox.webhook_answered(webhook.id, status);
    }
    taken
}

/// Type and content of what is due.
fn told(sandbox: &Sandbox) -> Vec<(String, Value)> {
    let read = |webhook: OutgoingWebhook| {
        let body: Value = serde_json::from_slice(&webhook.body).expect("JSON");
        (body["type"].as_str().expect("a type").to_owned(), body["content"].clone())
    };
    deliver(sandbox, Some(200)).into_iter().map(read).collect()
}

fn types(told: &[(String, Value)]) -> Vec<&str> {
    told.iter().map(|(kind, _)| kind.as_str()).collect()
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(body);
    mac.finalize().into_bytes().iter().fold("v1=".to_owned(), |text, byte| text + &format!("{byte:02X}"))
}

fn signed(webhook: &OutgoingWebhook) -> &str {
    let found = webhook.headers.iter().find(|(name, _)| name == "BridgeApi-Signature");
    found.map(|(_, value)| value.as_str()).expect("a signature")
}

#[tokio::test(start_paused = true)]
async fn a_new_item_is_announced_from_its_very_start_to_the_end_of_its_history() {
    let bench = Bench::new();
    bench.sandbox.add_bridge_webhook(URL);
    let user = bench.sandbox.add_user("customer-1");
    let id = session(&bench, user, json!({})).await;
    let item = visit(&bench, &id, json!({"login": "success"})).await["item_id"].clone();
    let start = told(&bench.sandbox);
    assert_eq!(start, [("item.created".to_owned(), json!({"item_id": item, "user_uuid": user.to_string()}))]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let first = told(&bench.sandbox);
    assert_eq!(types(&first), [&["item.account.created"; 6][..], &["item.refreshed"]].concat());
    let token = bench.token(user).await;
    let week = bench.walk(&token, "").await.len() as u64;
    let shown = bench.get(&token, "/v3/aggregation/accounts").await.rows();
    for ((_, content), account) in first.iter().zip(&shown) {
        assert_eq!((&content["account_id"], &content["balance"]), (&account["id"], &account["balance"]));
    }
    let expected = json!({
        "item_id": item, "user_uuid": user.to_string(), "status_code": 0, "status_code_info": "ok",
        "full_refresh": false, "refresh_trigger": "connect", "account_types": "payment",
        "authentication_expires_at": "2026-09-06T12:00:00Z",
    });
    assert_eq!(first[6].1, expected);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let rest = told(&bench.sandbox);
    let (refreshed, accounts) = rest.split_last().expect("some");
    assert_eq!((types(accounts), refreshed.0.as_str()), (vec!["item.account.updated"; 6], "item.refreshed"));
    let sum = |name: &str| accounts.iter().map(|(_, content)| content[name].as_u64().expect("a count")).sum::<u64>();
    assert_eq!(sum("nb_new_transactions"), 60 - week);
    assert_eq!((sum("nb_updated_transactions"), sum("nb_deleted_transactions")), (0, 0));
    assert_eq!(refreshed.1["full_refresh"], true);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_tells_each_account_that_changed_and_how_it_ended() {
    let bench = Bench::new();
    let small = bench.small_link(3).await;
    let sold = bench.sandbox.add_account(small.link, NewAccount::savings("Livret", 500).currency("EUR"));
    let pending = bench.sandbox.add_transaction(small.account, NewTransaction::pending(-50, "SOON"));
    bench.walk(&small.token, "").await;
    bench.sandbox.add_bridge_webhook(URL);
    bench.sandbox.refresh_item(small.link);
    let quiet = told(&bench.sandbox);
    assert_eq!(types(&quiet), ["item.refreshed"]);
    assert_eq!(quiet[0].1["refresh_trigger"], "scheduler");
    bench.sandbox.change(|bank| {
        bank.add_transaction(small.account, NewTransaction::posted(-1_000, "NEW"));
        bank.post_pending(pending, PostStyle::SameId);
        bank.remove_transaction(small.txns[0]);
        bank.close_account(sold);
        bank.refresh_item(small.link);
    });
    let (account, item) = (small.account.to_string(), small.link.to_string());
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let news = told(&bench.sandbox);
    assert_eq!(types(&news), ["item.account.updated", "item.account.deleted", "item.refreshed"]);
    let balance = bench.sandbox.truth().links[0].accounts[0].balance_minor;
    assert_eq!((balance, &news[0].1["balance"]), (98_747, &json!(987.47)));
    let expected = json!({
        "account_id": number(&account), "item_id": number(&item), "user_uuid": small.user.to_string(), "balance": 987.47,
        "nb_new_transactions": 1, "nb_updated_transactions": 1, "nb_deleted_transactions": 1, "data_access": "enabled",
    });
    assert_eq!(news[0].1, expected);
    bench.sandbox.reopen_account(sold);
    bench.sandbox.refresh_item(small.link);
    assert_eq!(types(&told(&bench.sandbox)), ["item.account.updated", "item.refreshed"]);
    bench.sandbox.set_data_access(small.account, false);
    let content = json!({
        "account_id": number(&account), "item_id": number(&item), "user_uuid": small.user.to_string(),
        "data_access": "disabled",
    });
    assert_eq!(told(&bench.sandbox), [("item.account.updated".to_owned(), content)]);
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_but_a_locked_business_item_never_is() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    bench.walk(&small.token, "").await;
    bench.sandbox.add_bridge_webhook_for(URL, &["item.refreshed", "item.deleted", "user.deleted"]);
    bench.sandbox.script_item(small.link, "402_WRONG_PWD.1003.1100.success");
    let mut seen = Vec::new();
    for _ in 0..4 {
        bench.sandbox.refresh_item(small.link);
        let told = told(&bench.sandbox);
        seen.extend(told.iter().map(|(_, content)| {
            let word = content["status_code_info"].as_str().expect("a word").to_owned();
            (content["status_code"].as_i64().expect("a number"), word, content["full_refresh"].clone())
        }));
    }
    let expected = [(402, "wrong_pwd", false), (1003, "cnt_crash", false), (0, "ok", true)];
    assert_eq!(seen, expected.map(|(code, info, whole)| (code, info.to_owned(), json!(whole))));
    bench.sandbox.set_item_status(small.link, 1100);
    assert!(told(&bench.sandbox).is_empty());
    bench.sandbox.delete_user(small.user);
    let gone = told(&bench.sandbox);
    assert_eq!(types(&gone), ["item.deleted", "user.deleted"]);
    assert_eq!(gone[1].1, json!({"user_uuid": small.user.to_string()}));
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_was_replaced_goes_on_signing_for_a_day() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1");
    let first = bench.sandbox.add_bridge_webhook(URL);
    let next = || {
        bench.sandbox.add_link(user, "574");
        let webhook = deliver(&bench.sandbox, Some(200)).remove(0);
        (signed(&webhook).to_owned(), webhook.body)
    };
    let (header, body) = next();
    assert_eq!(header, signature(&first, &body));
    let second = bench.sandbox.rotate_bridge_webhook(URL);
    let (header, body) = next();
    assert_eq!(header, format!("{},{}", signature(&second, &body), signature(&first, &body)));
    let third = bench.sandbox.rotate_bridge_webhook(URL);
    let (header, body) = next();
    assert_eq!(header, format!("{},{}", signature(&third, &body), signature(&second, &body)));
    tokio::time::sleep(Duration::from_hours(24)).await;
    let (header, body) = next();
    assert_eq!(header, signature(&third, &body));
}

#[tokio::test(start_paused = true)]
async fn the_test_event_counts_in_seconds_and_the_others_in_milliseconds() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1");
    bench.sandbox.add_bridge_webhook(URL);
    bench.sandbox.test_bridge_webhook(URL);
    bench.sandbox.add_link(user, "574");
    let bodies: Vec<Value> = deliver(&bench.sandbox, Some(200))
        .iter()
        .map(|webhook| serde_json::from_slice(&webhook.body).expect("JSON"))
        .collect();
    let content = json!({"item_id": 1_234_567_890, "status": 0, "user_uuid": user.to_string()});
    assert_eq!(bodies[0], json!({"type": "TEST_EVENT", "timestamp": 1_773_144_000, "content": content}));
    assert_eq!(bodies[1]["timestamp"], 1_773_144_000_000_i64);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_for_two_days_with_longer_and_longer_waits() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1");
    bench.sandbox.add_bridge_webhook(URL);
    bench.sandbox.add_link(user, "574");
    let began = bench.sandbox.now();
    let mut minutes = Vec::new();
    for _ in 0..3 * 24 * 60 {
        for webhook in bench.sandbox.take_webhooks() {
            minutes.push(bench.sandbox.now().duration_since(began).as_mins());
            bench.sandbox.webhook_answered(webhook.id, if minutes.len() % 2 == 0 { None } else { Some(500) });
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
    }
    assert_eq!(minutes[..7], [0, 1, 3, 7, 15, 31, 63]);
    assert!(minutes.len() < 20 && minutes.last().is_some_and(|last| (40 * 60..=48 * 60).contains(last)), "{minutes:?}");
}
