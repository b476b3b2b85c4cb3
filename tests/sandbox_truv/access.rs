//! Who may ask, how often, and how links come about.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use jiff::SignedDuration;
use passbook::sandbox::{Environment, LinkId, Pace};
use serde_json::{Value, json};

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn secrets_open_their_own_environment_only() {
    let mut bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    let path = format!("/v1/links/{link}");
    assert!(bench.secret.starts_with("sandbox-") && bench.secret.len() == 48);
    assert_eq!(bench.get(&path).await.status, 200);
    bench.secret = bench.sandbox.add_secret(Environment::Prod);
    let answer = bench.get(&path).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (403, Some("not_authenticated")));
    bench.sandbox.revoke_secret(&bench.secret);
    let answer = bench.get(&path).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (401, Some("authentication_failed")));
    let (client, secret) = bench.sandbox.add_client();
    let request = Request::get(&path).header("x-access-client-id", client).header("x-access-secret", secret);
    let answer = bench.send(request.body(Body::empty()).expect("a request")).await.expect("a body");
    assert_eq!((answer.status, answer.json()), (404, json!({"detail": "Not Found."})));
    let answer = bench.send(Request::get(&path).body(Body::empty()).expect("a request")).await.expect("a body");
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
    assert_eq!((list["count"].as_i64(), &list["results"][0]["access_token"]), (Some(1), &json!(masked)));
    assert_eq!(bench.get(&format!("/v1/links/{link}/")).await.json()["access_token"], masked.as_str());
    let list = bench.get(&format!("/v1/links/?user_id={user}")).await.json();
    assert_eq!(list["results"][0]["access_token"], token.as_str());
    let users = bench.get("/v1/users/?external_user_id=customer-1").await.json();
    assert_eq!(users["results"][0]["links"][0]["access_token"], masked.as_str());
    let none = bench.get("/v1/links/?user_id=ffffffffffffffffffffffffffffffff").await.json();
    assert_eq!(none["count"], 0);
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
    assert_eq!(bench.sandbox.worst_window(&bench.secret, SignedDuration::from_mins(1)), 5);
    assert_eq!(bench.sandbox.request_log().len(), 6);
    assert_eq!(bench.get("/v1/users/").await.headers["content-type"], "application/json");
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
async fn dev_secrets_stop_after_their_successful_tasks() {
    let mut bench = Bench::new();
    bench.sandbox.settings(|settings| (settings.dev_task_limit, settings.pace) = (1, Pace::instant()));
    bench.secret = bench.sandbox.add_secret(Environment::Dev);
    let user = bench.sandbox.add_user_of(&bench.secret, "dev-customer");
    let link = bench.sandbox.add_link(user, "chase");
    assert_eq!(bench.refresh(link).await, "done");
    let refused = bench.start_refresh(link).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (403, Some("task_limit_exceeded")));
}

#[tokio::test(start_paused = true)]
async fn the_test_logins_do_as_documented() {
    let bench = Bench::new();
    let user = bench.post("/v1/users/", json!({"external_user_id": "c-9"})).await;
    assert_eq!(user.status, 201);
    assert_eq!(bench.post("/v1/users/", json!({"external_user_id": "c-9"})).await.status, 400);
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
        assert_eq!((answer.status, answer.json()["error"]["error_code"].as_str()), (400, Some(error)));
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
    assert_eq!(bench.connect(&bridge, "goodlogin", "goodpassword", None).await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn a_public_token_is_exchanged_once_and_within_six_hours() {
    let bench = Bench::new();
    let user = bench.sandbox.add_user("c-1").to_string();
    let bridge = bench.bridge_token(&user, json!({})).await;
    let public = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json()["public_token"].clone();
    let exchange = async |token: &Value| bench.post("/v1/link-access-tokens/", json!({"public_token": token})).await;
    let first = exchange(&public).await;
    assert_eq!(first.status, 200);
    let truth = bench.sandbox.truth();
    assert_eq!(first.json()["access_token"], truth.links[0].access_token.as_str());
    assert_eq!(first.json()["link_id"], truth.links[0].upstream_id.as_str());
    let again = exchange(&public).await;
    assert_eq!((again.status, again.json()["error"]["code"].as_str()), (410, Some("expired_token")));
    let unknown = exchange(&json!("0".repeat(32))).await;
    assert_eq!((unknown.status, unknown.json()["error"]["code"].as_str()), (403, Some("incorrect_token")));
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
    let bridge = bench.bridge_token(&user, json!({"access_token": bench.token(link)})).await;
    let connected = bench.connect(&bridge, "goodlogin", "goodpassword", None).await.json();
    assert_eq!(connected["link_id"], link.to_string());
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(bench.get(&format!("/v1/links/{link}")).await.json()["status"], "done");
    assert_eq!(bench.refresh(link).await, "done");
}

#[tokio::test(start_paused = true)]
async fn small_manners_of_the_api() {
    let bench = Bench::new();
    let put = bench.send(bench.request("PUT", "/v1/users/", None)).await.expect("a body");
    assert_eq!(put.status, 405);
    assert_eq!(bench.get("/v1/nothing/").await.status, 404);
    assert_eq!(bench.get("/v2/users/").await.status, 404);
    let mut request = bench.request("POST", "/v1/users/", Some(&json!({})));
    let missing = bench.post("/v1/users", json!({})).await;
    assert_eq!(missing.json()["error"]["extra"]["invalid-params"][0]["field"], "external_user_id");
    request.headers_mut().insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 415);
    let mut request = bench.request("GET", "/v1/users/", None);
    request.headers_mut().insert("accept", "text/html".parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 406);
    let found = bench.get("/v1/providers/?query=CHASE&search=x").await.json();
    assert_eq!((found["count"].as_i64(), &found["results"][0]["id"]), (Some(1), &json!("chase")));
    let hook = json!({"name": "n", "webhook_url": "http://example.com/", "env_type": "sandbox"});
    assert_eq!(bench.post("/v1/webhooks/", hook.clone()).await.status, 201);
    let twice = bench.post("/v1/webhooks/", hook).await;
    assert_eq!(twice.json()["error"]["extra"]["invalid-params"][0]["field"], "env_type");
    assert_eq!(bench.get("/v1/webhooks/").await.json()["count"], 1);
}
