//! The aggregator's own pages: a session out, a way back in whose parameters are hints.

use std::time::Duration;

use passbook::sandbox::{Fault, Scope, Served};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::harness::Bench;

/// Begins, does at the hosted page what `fields` say, and returns the path and query of the way back.
async fn visit(desk: &Desk, fields: Value) -> String {
    let page = desk.begin().await;
    assert_eq!(page.status, 200, "{}", page.text);
    let url = page.header("refresh").strip_prefix("1; url=").expect("a refresh").to_owned();
    assert!(page.text.contains(&format!("href=\"{url}\"")), "{}", page.text);
    let mut body = json!({ "session": url });
    for (name, value) in fields.as_object().expect("an object") {
        body[name] = value.clone();
    }
    let done = desk.at_the_aggregator("/sandbox/bridge/connect", body).await;
    let callback = done["callback"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned();
    callback.strip_prefix("http://127.0.0.1:8780").expect("our address").to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_customer_connects_a_bank() {
    let desk = Desk::new(Served::Bridge).await;
    assert_eq!(desk.open("?lang=fr").await.heading(), "Connectez votre banque");
    let back = visit(&desk, json!({ "login": "otp", "code": "1234" })).await;
    let done = desk.come_back(&back).await;
    assert_eq!((done.status.as_u16(), done.heading()), (200, "Your bank is connected"));
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    assert_eq!(desk.bench.value("SELECT due_cause FROM links"), "person");
    // The page is reloaded.
    assert_eq!(desk.come_back(&back).await.heading(), "Your bank is connected");
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    desk.bench.pass(Duration::from_mins(2)).await;
    desk.bench.sync_all(false).await;
    assert_eq!(desk.bench.value("SELECT state FROM v_link_health"), "active");
    desk.bench.assert_store_is_truth();
    assert_ne!(desk.bench.value("SELECT count(*) FROM v_transactions"), "0");
    let sessions = desk.bench.bank.request_log().iter().filter(|l| l.path.ends_with("/connect-sessions")).count();
    assert_eq!(sessions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_customer_repairs_a_link() {
    for (status, forced) in [("402", false), ("1010", true)] {
        let bench = Bench::with_public_side(Served::Bridge, "");
        let user = bench.bank.add_user_at(Served::Bridge, "customer-1");
        let link = bench.bank.add_link(user, "574");
        bench.run_once().await;
        bench.bank.break_login(link, status);
        bench.bank.refresh_item(link);
        bench.pass(Duration::from_mins(1)).await;
        bench.sync_all(false).await;
        assert_eq!(bench.states(&[link]), ["attention"], "{status}");
        let desk = Desk::on(bench, None, Some(link.to_string())).await;
        let back = visit(&desk, json!({ "login": "success" })).await;
        let done = desk.come_back(&back).await;
        assert_eq!(done.heading(), "Your bank is connected again", "{status} {forced}");
        assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
        desk.bench.pass(Duration::from_mins(2)).await;
        desk.bench.sync_all(false).await;
        assert_eq!(desk.bench.states(&[link]), ["active"], "{status}");
        desk.bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_stops_is_told_why_and_may_try_again() {
    for (fields, english, french) in [
        (json!({ "leave": "highlighted_banks" }), "Not connected yet", "Pas encore connecté"),
        (json!({ "login": "402" }), "The login did not work", "L’identification n’a pas abouti"),
        (json!({ "login": "otp" }), "The confirmation is missing", "Il manque la confirmation"),
        (json!({ "login": "1003" }), "Your bank could not be read", "Votre banque n’a pas pu être lue"),
    ] {
        let desk = Desk::new(Served::Bridge).await;
        let back = visit(&desk, fields.clone()).await;
        let page = desk.come_back(&back).await;
        assert_eq!((page.status.as_u16(), page.heading()), (200, english), "{fields}");
        assert!(page.text.contains(&format!("class=\"primary\" href=\"{}?lang=en\"", desk.invite)), "{}", page.text);
        assert_eq!(desk.get(&back.replace("/return/en?", "/return/fr?")).await.heading(), french);
        assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()), "{fields}");
        assert_ne!(desk.bench.value("SELECT last_error FROM invites"), "NULL");
        let back = visit(&desk, json!({ "login": "success" })).await;
        assert_eq!(desk.come_back(&back).await.heading(), "Your bank is connected", "{fields}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forged_way_back_stores_nothing() {
    let desk = Desk::new(Served::Bridge).await;
    let nobody = desk.open("/return?success=true&item_id=1&context=").await;
    assert_eq!(nobody.status, 403);
    let back = visit(&desk, json!({ "login": "success" })).await;
    let (path, query) = back.split_once('?').expect("a query");
    let without: String = query.split('&').filter(|part| !part.starts_with("context=")).collect::<Vec<_>>().join("&");
    let user = desk.bench.value("SELECT upstream_id FROM users");
    for forged in [
        without.clone(),
        String::new(),
        format!("{without}&context="),
        format!("{without}&context={}", "0".repeat(64)),
        format!("{query}0"),
        format!("{query}&context=x"),
        query.replace(&user, "00000000-0000-4000-8000-000000000000"),
    ] {
        let page = desk.come_back(&format!("{path}?{forged}")).await;
        assert_eq!((page.status.as_u16(), page.heading()), (403, "This does not match"), "{forged}");
        assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()), "{forged}");
    }
    // What the aggregator does not show is not stored, whatever the hint says.
    let item = query.split('&').find(|part| part.starts_with("item_id=")).expect("an item");
    desk.bench.bank.delete_link(item["item_id=".len()..].parse().expect("an id"));
    let page = desk.come_back(&format!("{path}?{query}")).await;
    assert_eq!((page.status.as_u16(), page.heading()), (200, "We have it"));
    assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_back_is_settled_by_the_next_look() {
    for fault in [Fault::Hang, Fault::Status(503)] {
        let desk = Desk::new(Served::Bridge).await;
        let back = visit(&desk, json!({ "login": "success" })).await;
        let broken = desk.bench.bank.fault(fault.clone(), Scope::path("/v3/aggregation/items"));
        let page = desk.come_back(&back).await;
        assert_eq!((page.status.as_u16(), page.heading()), (200, "We have it"), "{fault:?}");
        assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()), "{fault:?}");
        desk.bench.bank.clear_fault(broken);
        desk.bench.pass(Duration::from_mins(2)).await;
        desk.bench.run_once().await;
        assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()), "{fault:?}");
        assert_eq!(desk.come_back(&back).await.heading(), "Your bank is connected");
        desk.bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_never_comes_back_is_connected_all_the_same() {
    let desk = Desk::new(Served::Bridge).await;
    visit(&desk, json!({ "login": "success" })).await;
    desk.bench.run_for(Duration::from_hours(2)).await;
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    assert_eq!(desk.open("").await.heading(), "This link has been used");
}

#[tokio::test(start_paused = true)]
async fn the_way_to_the_bank_is_only_ever_https_or_this_machine() {
    let desk = Desk::new(Served::Bridge).await;
    let page = desk.begin().await;
    assert!(page.header("refresh").starts_with("1; url=https://"), "{}", page.header("refresh"));
    assert_eq!(page.header("content-security-policy").matches("script-src").count(), 0);
}
