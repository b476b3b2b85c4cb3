//! Who may ask, and how often.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use jiff::SignedDuration;
use passbook::sandbox::{LinkId, Served};
use serde_json::json;

use crate::bench::Bench;

#[tokio::test(start_paused = true)]
async fn every_call_needs_version_and_credentials() {
    let bench = Bench::new();
    let path = "/v3/aggregation/users";
    assert_eq!(bench.get("", path).await.status, 200);
    let without = async |name: &str| {
        let mut request = bench.request("GET", path, "", None);
        request.headers_mut().remove(name);
        bench.send(request).await.expect("a body").refusal()
    };
    assert_eq!(without("bridge-version").await.0, 400);
    assert_eq!(without("client-secret").await, (401, "invalid_client_credentials".to_owned()));
    assert_eq!(without("client-id").await, (401, "invalid_client_credentials".to_owned()));
    let small = bench.small_link(1).await;
    let mut request = bench.request("GET", "/v3/aggregation/items", &small.token, None);
    request.headers_mut().remove("client-id");
    assert_eq!(bench.send(request).await.expect("a body").status, 401);
    assert_eq!(bench.get("", "/v3/aggregation/items").await.status, 401);
    let window = SignedDuration::from_mins(5);
    let (second, before) = (bench.sandbox.add_bridge_secret(), bench.sandbox.bridge_worst_window(window));
    let mut request = bench.request("GET", path, "", None);
    request.headers_mut().insert("client-secret", second.parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 200);
    assert_eq!(bench.sandbox.bridge_worst_window(window), before + 1, "both are one application's");
    bench.sandbox.revoke_secret(&bench.sandbox.bridge_client_secret());
    assert_eq!(bench.get("", path).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn bodies_are_json_and_errors_a_list() {
    let bench = Bench::new();
    let path = "/v3/aggregation/authorization/token";
    let mut request = bench.request("POST", path, "", Some(&json!({})));
    request.headers_mut().insert("content-type", "text/plain".parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 415);
    assert_eq!(bench.send(bench.request("POST", path, "", None)).await.expect("a body").status, 415);
    let mut broken = bench.request("POST", path, "", Some(&json!({})));
    *broken.body_mut() = Body::from("{\"user_uuid\":");
    assert_eq!(bench.send(broken).await.expect("a body").status, 422);
    let invalid = bench.post("", path, json!({})).await;
    assert_eq!((invalid.status, &invalid.json()["errors"][0]["property"]), (400, &json!("user_uuid")));
    assert_eq!(bench.get("", "/v3/aggregation/nothing").await.status, 404);
    assert_eq!(bench.send(bench.request("PUT", "/v3/aggregation/users", "", None)).await.expect("a body").status, 405);
    let product = bench.get("", "/v3/aggregation/accounts-information").await;
    assert_eq!(product.status, 403);
}

#[tokio::test(start_paused = true)]
async fn users_come_go_and_are_listed() {
    let bench = Bench::new();
    let path = "/v3/aggregation/users";
    let first = bench.post("", path, json!({"external_user_id": "c-0"})).await;
    assert_eq!(first.status, 201);
    let uuid = first.json()["uuid"].as_str().expect("a uuid").to_owned();
    assert_eq!((uuid.len(), uuid.as_bytes()[8]), (36, b'-'));
    let again = bench.post("", path, json!({"external_user_id": "c-0"})).await;
    assert_eq!(again.refusal(), (409, "users.creation.already_exists_with_external_user_id".to_owned()));
    assert_eq!(bench.post("", path, json!({"external_user_id": "ö"})).await.status, 400);
    let nameless = bench.send(bench.request("POST", path, "", None)).await.expect("a body");
    assert_eq!((nameless.status, nameless.json().get("external_user_id")), (201, None));
    for n in 1..=58 {
        bench.post("", path, json!({"external_user_id": format!("c-{n}")})).await;
    }
    let page = bench.get("", path).await;
    assert_eq!(page.rows().len(), 50);
    let rest = bench.get("", &page.next().expect("a next page")).await;
    assert_eq!((rest.rows().len(), rest.next()), (10, None));
    assert_eq!(bench.get("", &format!("{path}?external_user_id=c-7")).await.rows().len(), 1);
    assert_eq!(bench.get("", &format!("{path}?limit=501")).await.status, 400);
    assert_eq!(bench.get("", &format!("{path}/{uuid}")).await.json(), first.json());
    let token = bench.post("", "/v3/aggregation/authorization/token", json!({"external_user_id": "c-0"})).await.json();
    assert_eq!(token["user"], first.json());
    let token = token["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(bench.get(&token, "/v3/aggregation/items").await.status, 200);
    assert_eq!(bench.delete("", &format!("{path}/{uuid}")).await.status, 204);
    assert_eq!(bench.get("", &format!("{path}/{uuid}")).await.status, 404);
    assert_eq!(bench.get(&token, "/v3/aggregation/items").await.status, 401);
    let gone = bench.post("", "/v3/aggregation/authorization/token", json!({"user_uuid": uuid})).await;
    assert_eq!(gone.status, 404);
    assert_eq!(bench.post("", path, json!({"external_user_id": "c-0"})).await.status, 201);
}

#[tokio::test(start_paused = true)]
async fn tokens_live_two_hours_and_several_at_once() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let answer =
        bench.post("", "/v3/aggregation/authorization/token", json!({"user_uuid": small.user.to_string()})).await;
    assert_eq!(answer.json()["expires_at"], "2026-03-10T14:00:00.000Z");
    let other = answer.json()["access_token"].as_str().expect("a token").to_owned();
    for token in [&small.token, &other] {
        assert_eq!(bench.get(token, "/v3/aggregation/items").await.status, 200);
    }
    tokio::time::sleep(Duration::from_hours(2)).await;
    assert_eq!(bench.get(&other, "/v3/aggregation/items").await.status, 401);
    let fresh = bench.token(small.user).await;
    bench.sandbox.expire_tokens();
    assert_eq!(bench.get(&fresh, "/v3/aggregation/items").await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn each_aggregator_sees_its_own_customers_only() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let american = bench.sandbox.add_user_at(Served::Truv, "customer-2");
    bench.sandbox.add_link(american, "chase");
    let truv = async |path: String| {
        let request = Request::get(path)
            .header("x-access-client-id", bench.sandbox.truv_client_id())
            .header("x-access-secret", bench.sandbox.truv_secret());
        bench.send(request.body(Body::empty()).expect("a request")).await.expect("a body")
    };
    assert_eq!(truv("/v1/users/".to_owned()).await.json()["count"], 1);
    assert_eq!(truv("/v1/links/".to_owned()).await.json()["count"], 1);
    let hex = format!("{:032x}", small.link.to_string().parse::<u128>().expect("a number"));
    assert_eq!(truv(format!("/v1/links/{hex}/")).await.status, 404);
    assert_eq!(truv(format!("/v1/users/{}/", small.user.to_string().replace('-', ""))).await.status, 404);
    assert_eq!(bench.get("", "/v3/aggregation/users").await.rows().len(), 1);
    let body = json!({"user_uuid": american.to_string()});
    assert_eq!(bench.post("", "/v3/aggregation/authorization/token", body).await.status, 404);
    let (_, secret) = bench.sandbox.add_bridge_application();
    let mut request = bench.request("GET", "/v3/aggregation/users", "", None);
    request.headers_mut().insert("client-secret", secret.parse().expect("a value"));
    assert_eq!(bench.send(request).await.expect("a body").status, 401);
    let id: LinkId = small.link.to_string().parse().expect("an id");
    assert_eq!(id, small.link);
}

#[tokio::test(start_paused = true)]
async fn the_limits_slide_for_application_user_and_tokens() {
    let bench = Bench::with_limits();
    let small = bench.small_link(1).await;
    for _ in 1..10 {
        bench.token(small.user).await;
    }
    let body = json!({"user_uuid": small.user.to_string()});
    let refused = bench.post("", "/v3/aggregation/authorization/token", body.clone()).await;
    assert_eq!(refused.refusal(), (429, "rate_limit_exceeded".to_owned()));
    assert!(!refused.headers.contains_key("retry-after"));
    for _ in 10..60 {
        assert_eq!(bench.get(&small.token, "/v3/aggregation/items").await.status, 200);
    }
    assert_eq!(bench.get(&small.token, "/v3/aggregation/items").await.status, 429);
    tokio::time::sleep(Duration::from_secs(59)).await;
    bench.sandbox.settings(|settings| settings.bridge.retry_after = true);
    assert_eq!(bench.get(&small.token, "/v3/aggregation/items").await.headers["retry-after"], "1");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.get(&small.token, "/v3/aggregation/items").await.status, 200);
    assert_eq!(bench.sandbox.bridge_worst_user_window(SignedDuration::from_mins(1)), 63);
    bench.sandbox.settings(|settings| settings.bridge.application_limit = Some(62));
    assert_eq!(bench.get("", "/v3/aggregation/users").await.status, 200);
    assert_eq!(bench.get("", "/v3/aggregation/users").await.status, 429);
    assert_eq!(bench.sandbox.bridge_worst_window(SignedDuration::from_mins(5)), 66);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(bench.get("", "/v3/aggregation/users").await.status, 200);
}
