//! Where webhooks are sent.

use std::time::Duration;

use passbook::aggregator::{CallContext, Registered};
use passbook::limits::requests::Lane;
use passbook::sandbox::{Fault, Scope, Served};
use serde_json::json;
use url::Url;

use super::post::{link_read, seconds, signed, with_daemon};
use crate::harness::Bench;

const SERVER: &str = "[server]\npublic_listen = \"127.0.0.1:0\"\npublic_url = \"https://bank.example.com\"\n";

#[tokio::test(start_paused = true)]
async fn an_address_is_registered_once_and_switched_on_again() {
    let bench = Bench::with(SERVER);
    let engine = bench.engine().await;
    let source = engine.sources().next().expect("a source");
    let endpoints = source.aggregator.webhook_endpoints().expect("a list");
    let address = source.webhook_address.clone().expect("an address");
    assert_eq!(address.as_str(), "https://bank.example.com/webhooks/truv");
    let context = CallContext::new(Lane::Person);
    let register = async |address: &Url| endpoints.register(&context, address).await.expect("an answer");

    assert_eq!(register(&address).await, Registered::Created);
    assert_eq!(register(&address).await, Registered::WasThere);
    let listed = endpoints.list(&context).await.expect("a list");
    assert_eq!(listed.len(), 1);
    assert!(listed[0].is_enabled && listed[0].url == address.as_str());
    bench.patch(&format!("/v1/webhooks/{}/", listed[0].upstream_id), &json!({ "enabled": false })).await;
    assert_eq!(register(&address).await, Registered::Enabled);
    assert!(endpoints.list(&context).await.expect("a list")[0].is_enabled);

    // Somebody registers it between our look and our request.
    bench.bank.fault(Fault::Status(500), Scope::path("/v1/webhooks/").method("GET").times(3));
    assert!(endpoints.register(&context, &address).await.is_err(), "nothing is registered unseen");
    assert_eq!(endpoints.list(&context).await.expect("a list").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_daemon_notices_when_no_webhooks_are_sent() {
    let bench = Bench::with(SERVER);
    let state = || bench.value("SELECT coalesce(webhook_endpoint, 'never asked') FROM sources");
    bench.run_once().await;
    assert_eq!(state(), "never asked", "a single run is no time to look for webhooks");
    bench.run_for(Duration::from_mins(1)).await;
    assert_eq!(state(), "missing");
    let made = bench
        .post(
            "/v1/webhooks/",
            &json!({ "name": "x", "webhook_url": "https://bank.example.com/webhooks/truv", "env_type": "sandbox" }),
        )
        .await;
    bench.run_for(Duration::from_mins(1)).await;
    assert_eq!(state(), "enabled", "a restart asks at once where all was not well");
    let path = format!("/v1/webhooks/{}/", made["id"].as_str().expect("an id"));
    bench.patch(&path, &json!({ "enabled": false })).await;
    bench.run_for(Duration::from_hours(23)).await;
    assert_eq!(state(), "enabled", "asked once a day");
    bench.run_for(Duration::from_hours(2)).await;
    assert_eq!(state(), "disabled");
    bench.patch(&path, &json!({ "enabled": true })).await;
    bench.run_for(Duration::from_mins(90)).await;
    assert_eq!(state(), "enabled", "asked every hour while somebody may be repairing it");
}

#[tokio::test(start_paused = true)]
async fn the_first_webhook_after_a_repair_tells_that_it_was_repaired() {
    let bench = Bench::with(SERVER);
    with_daemon(&bench, async |post| {
        seconds(30).await;
        let state = || bench.value("SELECT webhook_endpoint FROM sources");
        assert_eq!(state(), "missing");
        bench.bank.set_truv_webhook("https://bank.example.com/webhooks/truv");
        seconds(120).await;
        assert_eq!(state(), "missing", "nothing came yet, and it is not asked all the time");
        post.deliver(&link_read(Served::Truv, "a-link", "a-user", 0)).await;
        seconds(70).await;
        assert_eq!(state(), "enabled");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_list_nothing_is_asked_and_a_person_is_told_what_to_do() {
    let lines = format!("{}{SERVER}", signed(Served::Bridge));
    let bench = Bench::at(Served::Bridge, &lines);
    bench.run_for(Duration::from_hours(2)).await;
    assert_eq!(bench.value("SELECT coalesce(webhook_endpoint, 'never asked') FROM sources"), "never asked");
    let engine = bench.engine().await;
    let source = engine.sources().next().expect("a source");
    assert!(source.aggregator.webhook_endpoints().is_none());
    assert!(source.aggregator.webhooks().instructions().contains("webhook_secrets"));
}
