//! The stand-in widget as far as it goes without a browser.

use serde_json::{Value, json};

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn the_widgets_files_are_what_a_browser_takes_them_for() {
    let bench = Bench::new();
    for (path, media_type, holds) in [
        ("/sandbox/widget/bridge.js", "text/javascript; charset=utf-8", "window.TruvBridge"),
        ("/sandbox/widget/frame.js", "text/javascript; charset=utf-8", "\"use strict\""),
        ("/sandbox/widget/frame", "text/html; charset=utf-8", "id=\"username\""),
        ("/sandbox/bank.css", "text/css; charset=utf-8", ".card"),
    ] {
        let answer = bench.get(path).await;
        assert_eq!((answer.status, &answer.headers["content-type"]), (200, &media_type.parse().expect("a value")));
        assert!(String::from_utf8_lossy(&answer.bytes).contains(holds), "{path}");
    }
    let frame = bench.get("/sandbox/widget/frame").await;
    let policy = frame.headers["content-security-policy"].to_str().expect("a text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = String::from_utf8_lossy(&frame.bytes).into_owned();
    assert!(!html.contains("style=") && !html.contains("<script>") && !html.contains("onclick"));
    assert!(bench.sandbox.request_log().is_empty(), "a customer's browser counts against no limit");
}

#[tokio::test(start_paused = true)]
async fn the_widget_opens_at_the_bank_that_its_token_names() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    let user = bench.sandbox.truth().links[0].user_upstream_id.clone();
    let open = async |extra: Value| {
        let bridge = bench.bridge_token(&user, extra).await;
        bench.post("/sandbox/widget/open", json!({"bridge_token": bridge})).await.json()
    };
    let free = open(json!({})).await;
    assert_eq!((&free["bank"], free["banks"].as_array().map(Vec::len)), (&Value::Null, Some(12)));
    assert_eq!(open(json!({"provider_id": "ally"})).await["bank"], json!({"id": "ally", "name": "Ally Bank"}));
    let repair = open(json!({"access_token": bench.token(link)})).await;
    assert_eq!(repair["bank"], json!({"id": "chase", "name": "Chase"}));
    let bridge = bench.bridge_token(&user, json!({})).await;
    bench.sandbox.expire_tokens();
    assert_eq!(bench.post("/sandbox/widget/open", json!({"bridge_token": bridge})).await.status, 410);
    assert_eq!(bench.post("/sandbox/widget/open", json!({"bridge_token": "0".repeat(32)})).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_asked_for_the_code_before_a_task_begins() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1").to_string();
    let bridge = bench.bridge_token(&user, json!({})).await;
    let mut body = json!({"bridge_token": bridge, "username": "goodlogin", "password": "mfa", "interactive": true});
    assert_eq!(bench.post("/sandbox/connect", body.clone()).await.json(), json!({"mfa_required": true}));
    assert_eq!(bench.get("/v1/tasks/").await.json()["count"], 0);
    body["mfa"] = json!("54321");
    assert_eq!(bench.post("/sandbox/connect", body.clone()).await.json()["error"]["error_code"], "MFA_ERROR");
    body["mfa"] = json!("12345");
    assert_eq!(bench.post("/sandbox/connect", body).await.status, 200);
    assert_eq!(bench.get("/v1/tasks/").await.json()["count"], 2);
}
