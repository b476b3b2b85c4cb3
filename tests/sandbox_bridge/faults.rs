//! What each fault does to Bridge's answers.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{Fault, Scope, ThrottleForm};
use serde_json::{Value, json};

use crate::bench::Bench;

const ITEMS: &str = "/v3/aggregation/items";

#[tokio::test(start_paused = true)]
async fn replacement_faults_answer_in_bridges_form() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    for (fault, status, retry_after, part) in [
        (Fault::Throttle(ThrottleForm::ErrorEnvelope), 429, Some("17"), "\"code\":\"rate_limit_exceeded\""),
        (Fault::Throttle(ThrottleForm::RetryDate), 429, Some("Tue, 10 Mar 2026 12:00:17 GMT"), "\"errors\":["),
        (Fault::Throttle(ThrottleForm::Detail), 429, None, "\"errors\":["),
        (Fault::Throttle(ThrottleForm::TextUnder503), 503, None, "Too many requests"),
        (Fault::Status(500), 500, None, "\"errors\":["),
        (Fault::Html502, 502, None, "<html>"),
        (Fault::Maintenance(SignedDuration::from_hours(1)), 503, Some("3600"), "under maintenance"),
        (Fault::NotJson, 200, None, "upstream connect error"),
        (Fault::EmptyBody, 200, None, ""),
    ] {
        bench.sandbox.fault(fault.clone(), Scope::path("/items").method("GET").once());
        assert_eq!(bench.get("", "/v3/aggregation/users").await.status, 200);
        let answer = bench.get(&small.token, ITEMS).await;
        assert_eq!(answer.headers.get("retry-after").and_then(|value| value.to_str().ok()), retry_after);
        let text = String::from_utf8(answer.bytes).expect("text");
        assert_eq!((answer.status, text.contains(part)), (status, true), "{fault:?}: {text}");
        assert_eq!(bench.get(&small.token, ITEMS).await.status, 200);
    }
    bench.sandbox.fault(Fault::ClockSkew(SignedDuration::from_hours(1)), Scope::all().once());
    assert_eq!(bench.get(&small.token, ITEMS).await.headers["date"], "Tue, 10 Mar 2026 13:00:00 GMT");
    bench.sandbox.fault(Fault::WrongContentType, Scope::all().once());
    assert_eq!(bench.get(&small.token, ITEMS).await.headers["content-type"], "text/html; charset=utf-8");
    bench.sandbox.fault(Fault::HugeBody(1_000_000), Scope::all().once());
    let huge = bench.get(&small.token, ITEMS).await;
    assert_eq!((huge.bytes.len(), &huge.json()["resources"]), (1_000_000, &json!([])));
    bench.sandbox.fault(Fault::BareErrorBody, Scope::all().once());
    let bare = bench.get(&small.token, &format!("{ITEMS}/1")).await;
    assert_eq!((bare.status, &bare.json()["code"]), (404, &json!("not_found")));
}

#[tokio::test(start_paused = true)]
async fn connection_faults_break_hang_or_delay() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    for fault in [Fault::Reset, Fault::CutBody] {
        bench.sandbox.fault(fault, Scope::all().once());
        assert!(bench.send(bench.request("GET", ITEMS, &small.token, None)).await.is_err());
    }
    bench.sandbox.fault(Fault::Hang, Scope::all().once());
    let hanging = tokio::time::timeout(Duration::from_mins(5), bench.get(&small.token, ITEMS)).await;
    assert!(hanging.is_err());
    assert_eq!(bench.sandbox.request_log().last().expect("a request").status, None);
    bench.sandbox.fault(Fault::Slow(SignedDuration::from_secs(9)), Scope::all().once());
    let started = bench.sandbox.now();
    bench.get(&small.token, ITEMS).await;
    assert_eq!(bench.sandbox.now().duration_since(started), SignedDuration::from_secs(9));
}

#[tokio::test(start_paused = true)]
async fn a_scope_meets_the_requests_of_an_item_or_a_user() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let other = bench.sandbox.add_link(small.user, "112");
    let stranger = bench.sandbox.add_user("customer-2");
    let foreign = bench.token(stranger).await;
    bench.sandbox.fault(Fault::Status(500), Scope::link(small.link));
    for (path, status) in [
        (format!("{ITEMS}/{}", small.link), 500),
        (format!("{ITEMS}/{other}"), 200),
        (ITEMS.to_owned(), 500),
        (format!("/v3/aggregation/transactions?account_id={}", small.account), 500),
        (format!("/v3/aggregation/transactions/{}", small.txns[0]), 500),
        (format!("/v3/aggregation/accounts?item_id={other}"), 200),
    ] {
        assert_eq!(bench.get(&small.token, &path).await.status, status, "{path}");
    }
    assert_eq!(bench.get(&foreign, ITEMS).await.status, 200);
    bench.token(small.user).await;
    bench.sandbox.clear_faults();
    bench.sandbox.fault(Fault::Status(500), Scope::user(stranger));
    assert_eq!(bench.get(&foreign, ITEMS).await.status, 500);
    assert_eq!(bench.get(&small.token, ITEMS).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn paging_faults_move_the_list_or_lie_about_the_next_page() {
    let bench = Bench::new();
    let small = bench.small_link(25).await;
    let list = "/v3/aggregation/transactions?limit=10";
    let next = bench.get(&small.token, list).await.next().expect("a next page");
    let second = bench.get(&small.token, &next).await;
    let later = async |fault: Fault| {
        bench.sandbox.fault(fault, Scope::path("/transactions").once());
        bench.get(&small.token, &next).await
    };
    let repeated = later(Fault::RepeatPage).await;
    assert_eq!((repeated.next().as_ref(), repeated.rows()), (Some(&next), second.rows()));
    assert_eq!(later(Fault::InvalidPage404).await.status, 404);
    // Cursors stand for rows: what comes above moves nothing, what goes above neither.
    assert_eq!(later(Fault::DriftWhilePaging).await.rows(), second.rows());
    assert_eq!(bench.walk(&small.token, "").await.len(), 26);
    assert_eq!(later(Fault::ShrinkWhilePaging).await.rows(), second.rows());
    assert_eq!(bench.walk(&small.token, "").await.len(), 25);
    let elsewhere = later(Fault::NextUriElsewhere).await.next().expect("a next page");
    assert!(elsewhere.starts_with("https://elsewhere.example/v3/aggregation/transactions?"), "{elsewhere}");
    let absolute = later(Fault::NextUriAbsolute).await.next().expect("a next page");
    assert!(absolute.starts_with("https://api.bridgeapi.io/v3/aggregation/transactions?"), "{absolute}");
    for (fault, expected) in [(Fault::NextUriNull, Value::Null), (Fault::NextUriNullText, json!("null"))] {
        bench.sandbox.fault(fault, Scope::all().once());
        let items = bench.get(&small.token, ITEMS).await.json();
        assert_eq!(items["pagination"].get("next_uri"), Some(&expected));
    }
    assert_eq!(bench.get(&small.token, ITEMS).await.json()["pagination"], json!({}));
}

#[tokio::test(start_paused = true)]
async fn row_faults_damage_what_is_served() {
    let bench = Bench::new();
    let small = bench.small_link(3).await;
    let rows = async |fault: Fault| {
        bench.sandbox.fault(fault, Scope::path("/transactions").once());
        bench.get(&small.token, "/v3/aggregation/transactions").await
    };
    assert!(rows(Fault::RowWithoutId).await.rows()[0].get("id").is_none());
    assert_eq!(rows(Fault::BadAmount).await.rows()[0]["amount"], 12.34567);
    let doubled = rows(Fault::DuplicateRow).await.rows();
    assert_eq!((doubled.len(), &doubled[0]), (4, &doubled[1]));
    let text = String::from_utf8(rows(Fault::ExponentAmount).await.bytes).expect("text");
    assert!(text.contains("\"amount\":-1.02e0") && text.contains("\"amount\":-1e0"), "{text}");
    assert_eq!(rows(Fault::TimestampsWithoutFraction).await.rows()[0]["updated_at"], "2026-03-10T12:00:00Z");
    assert!(rows(Fault::ObfuscatedEverywhere).await.rows().iter().all(|row| row["clean_description"] == "XXXX"));
    assert_eq!(rows(Fault::RefreshLimit).await.rows()[0]["clean_description"], "ROW 2");
}
