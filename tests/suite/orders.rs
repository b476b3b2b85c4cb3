//! Orders over the admin side: the same as over the socket, for whoever has the token.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use passbook::sandbox::Served;
use serde_json::{Value, json};

use crate::counter::{ADMIN, Counter};
use crate::harness::Bench;
use crate::home::Home;

async fn home() -> Home {
    let home = Home::of(Bench::pulling(Served::Truv, ADMIN));
    home.bench.run_once().await;
    home
}

#[tokio::test(start_paused = true)]
async fn orders_are_carried_out_and_answered_as_on_the_socket() {
    let home = home().await;
    let counter = Counter::open(&home.bench).await;
    let (link, state) = (home.link.to_string(), || home.bench.states(&[home.link]).remove(0));
    let paused = counter.post("/control/order", &json!({ "order": "pause", "link": link }).to_string()).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.text);
    let done: Value = serde_json::from_str(&paused.text).expect("JSON");
    assert_eq!((&done["links"], &done["message"]), (&json!([1]), &json!("link 1 paused")));
    assert_eq!(state(), "paused");
    counter.post("/control/order", &json!({ "order": "resume", "link": link }).to_string()).await;
    assert_eq!(state(), "active");
    let all = counter.post("/control/order", r#"{"order":"sync","links":[],"full":false}"#).await;
    assert_eq!(all.status, StatusCode::OK, "{}", all.text);
    assert_eq!(home.bench.value("SELECT due_cause FROM links"), "person");
    let missing = counter.post("/control/order", r#"{"order":"pause","link":"nobody"}"#).await;
    assert_eq!(missing.status, StatusCode::CONFLICT);
    assert!(missing.text.contains("passbook links list"), "{}", missing.text);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_order_changes_nothing() {
    let home = home().await;
    let counter = Counter::open(&home.bench).await;
    let before = home.bench.dump();
    let long = format!(r#"{{"order":"pause","link":"{}"}}"#, "x".repeat(70_000));
    for (json, status) in [
        (r#"{"order":"pause","link":"1","really":true}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"order":"discover","now":true}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"order":"explode"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"link":"1"}"#, StatusCode::UNPROCESSABLE_ENTITY),
        ("{", StatusCode::BAD_REQUEST),
        ("", StatusCode::BAD_REQUEST),
        (&long, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        let reply = counter.post("/control/order", json).await;
        assert_eq!(reply.status, status, "{json:.60}: {}", reply.text);
    }
    let as_form = Request::post("/control/order").header("content-type", "text/plain");
    let body = Body::from(r#"{"order":"pause","link":"1"}"#);
    let reply = counter.ask(as_form, Some(&counter.token), body).await;
    assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "no form of another site is an order");
    assert_eq!(counter.get("/control/order").await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(home.bench.dump(), before);
}

#[tokio::test(start_paused = true)]
async fn without_the_token_nothing_is_ordered_or_shown() {
    let home = home().await;
    let counter = Counter::open(&home.bench).await;
    let pause = || Body::from(r#"{"order":"pause","link":"1"}"#);
    let order = || Request::post("/control/order").header("content-type", "application/json");
    let almost = counter.token[..counter.token.len() - 1].to_owned();
    for token in [None, Some(""), Some("guess"), Some(almost.as_str())] {
        assert_eq!(counter.ask(order(), token, pause()).await.status, StatusCode::UNAUTHORIZED, "{token:?}");
        let status = counter.ask(Request::get("/control/status"), token, Body::empty()).await;
        assert_eq!(status.status, StatusCode::UNAUTHORIZED);
        assert!(!status.text.contains("truv"), "{}", status.text);
    }
    assert_eq!(home.bench.states(&[home.link]), ["active"]);
}

#[tokio::test(start_paused = true)]
async fn the_status_is_what_the_command_prints() {
    let home = home().await;
    home.bench.bank.break_login(home.link, "login_error");
    home.hours(9).await;
    home.bench.run_once().await;
    let counter = Counter::open(&home.bench).await;
    let reply = counter.get("/control/status").await;
    assert_eq!(reply.headers["cache-control"], "no-store");
    let status: Value = serde_json::from_str(&reply.text).expect("JSON");
    assert_eq!(status["sources"][0]["name"], "truv");
    assert_eq!(status["store"], json!(home.bench.path().display().to_string()));
    let keys: Vec<_> = status.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "backups",
        "config_read",
        "consent_ends",
        "daemon",
        "erasures",
        "failing",
        "incomplete",
        "needs_a_person",
        "sources",
        "store",
        "store_trouble",
        "wal_held_at",
        "wal_over_limit",
    ];
    assert_eq!(keys, expected);
}
