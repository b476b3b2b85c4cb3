//! The widget on our page: a bridge token in, a public token out, and what is stored of it.

use passbook::sandbox::{Fault, Scope, Served};
use serde_json::{Value, json};

use super::desk::Desk;
use crate::harness::Bench;

/// What the customer does in the widget of a page.
async fn log_in(desk: &Desk, token: &str, username: &str, password: &str, mfa: Option<&str>) -> Value {
    let body = json!({ "bridge_token": token, "username": username, "password": password, "mfa": mfa });
    desk.at_the_aggregator("/sandbox/connect", body).await
}

/// Begins, logs in with the good login, and returns the public token.
async fn public_token(desk: &Desk) -> String {
    let page = desk.begin().await;
    assert_eq!(page.status, 200, "{}", page.text);
    let done = log_in(desk, &page.attribute("data-token"), "goodlogin", "goodpassword", None).await;
    done["public_token"].as_str().unwrap_or_else(|| panic!("{done}")).to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_customer_connects_a_bank() {
    let desk = Desk::new(Served::Truv).await;
    let landing = desk.open("").await;
    assert_eq!((landing.status.as_u16(), landing.heading()), (200, "Connect your bank"));
    assert!(landing.text.contains("until 9 March 2026."), "{}", landing.text);
    assert_eq!(landing.attribute("action"), format!("{}/begin?lang=en", desk.invite));
    let page = desk.begin().await;
    let policy = page.header("content-security-policy");
    let origins = "https://cdn.truv.com http://127.0.0.1:1 https://*.truv.com";
    for part in [
        "script-src 'self' https://cdn.truv.com;".to_owned(),
        format!("frame-src {origins}"),
        format!("connect-src 'self' {origins}"),
    ] {
        assert!(policy.contains(&part), "{policy}");
    }
    assert_eq!(page.attribute("data-script"), "https://cdn.truv.com/bridge.js");
    let glue = desk.get(&page.attribute("script src")).await;
    assert!(glue.status == 200 && glue.text.contains("TruvBridge.init"), "{}", glue.text);
    assert_eq!(desk.get("/connect/assets/connect.js").await.status, 200);
    assert_eq!(desk.get("/connect/assets/connect.css").await.header("content-type"), "text/css; charset=utf-8");
    let login = log_in(&desk, &page.attribute("data-token"), "goodlogin", "goodpassword", None).await;
    let finished = desk.finish(login["public_token"].as_str().expect("a token")).await;
    assert_eq!(
        (finished.status.as_u16(), finished.json()),
        (200, json!({"next": format!("{}/done?lang=en", desk.invite)}))
    );
    let done = desk.open("/done").await;
    assert_eq!((done.status.as_u16(), done.heading()), (200, "Your bank is connected"));
    assert_eq!(desk.bench.value("SELECT due_cause FROM links"), "person");
    assert_eq!(
        desk.bench.value("SELECT connected_link_id FROM invites"),
        desk.bench.value("SELECT link_id FROM links")
    );
    desk.bench.pass(std::time::Duration::from_mins(5)).await;
    desk.bench.run_once().await;
    assert_eq!(desk.bench.value("SELECT state FROM v_link_health"), "active");
    desk.bench.assert_store_is_truth();
    assert_ne!(desk.bench.value("SELECT count(*) FROM v_transactions"), "0");
    // The connection brought the data: nothing was paid for twice.
    assert_eq!(desk.bench.value("SELECT count(*) FROM refreshes"), "0");
}

#[tokio::test(start_paused = true)]
async fn an_invite_is_used_once() {
    let desk = Desk::new(Served::Truv).await;
    let page = desk.begin().await;
    let token = page.attribute("data-token");
    let first = log_in(&desk, &token, "goodlogin", "goodpassword", None).await;
    let second = log_in(&desk, &token, "goodlogin", "longcheck", None).await;
    assert_eq!(desk.finish(first["public_token"].as_str().expect("a token")).await.status, 200);
    let again = desk.finish(second["public_token"].as_str().expect("a token")).await;
    assert_eq!((again.status.as_u16(), again.json()["error"].clone()), (410, json!("used invite")));
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    for page in [desk.open("").await, desk.begin().await] {
        assert_eq!((page.status.as_u16(), page.heading()), (410, "This link has been used"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_login_takes_a_second_factor_and_tells_what_failed() {
    let desk = Desk::new(Served::Truv).await;
    let token = desk.begin().await.attribute("data-token");
    for (username, password, mfa, code) in [
        ("error.user", "login_error", None, "LOGIN_ERROR"),
        ("nobody", "nothing", None, "LOGIN_ERROR"),
        ("goodlogin", "mfa", Some("00000"), "MFA_ERROR"),
    ] {
        let failed = log_in(&desk, &token, username, password, mfa).await;
        assert_eq!(failed["error"]["error_code"], code, "{failed}");
    }
    assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()));
    let done = log_in(&desk, &token, "goodlogin", "mfa", Some("12345")).await;
    assert_eq!(desk.finish(done["public_token"].as_str().expect("a token")).await.status, 200);
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_customer_repairs_a_link() {
    let bench = Bench::with_public_side(Served::Truv, "");
    let user = bench.bank.add_user("customer-1");
    let link = bench.bank.add_link(user, "chase");
    bench.run_once().await;
    bench.bank.break_login(link, "login_error");
    bench.sync_all(false).await;
    assert_eq!(bench.states(&[link]), ["attention"]);
    let desk = Desk::on(bench, None, Some(link.to_string())).await;
    let landing = desk.open("").await;
    assert!(landing.heading().starts_with("Reconnect "), "{}", landing.heading());
    let token = public_token(&desk).await;
    assert_eq!(desk.finish(&token).await.status, 200);
    assert_eq!(desk.open("/done").await.heading(), "Your bank is connected again");
    assert_eq!(desk.bench.value("SELECT due_cause FROM links"), "person");
    desk.bench.pass(std::time::Duration::from_mins(5)).await;
    desk.bench.run_once().await;
    assert_eq!(desk.bench.states(&[link]), ["active"]);
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    desk.bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_public_token_that_was_exchanged_before_is_refused() {
    let mut desk = Desk::new(Served::Truv).await;
    let token = public_token(&desk).await;
    assert_eq!(desk.finish(&token).await.status, 200);
    desk.bench.pass(std::time::Duration::from_mins(1)).await;
    desk.invite_again(Some("customer-1"), None).await;
    assert_eq!(desk.begin().await.status, 200);
    for token in [token.as_str(), "00000000000000000000000000000000", "never-one"] {
        let refused = desk.finish(token).await;
        let expected = json!("public token expired, used or unknown");
        assert_eq!((refused.status.as_u16(), refused.json()["error"].clone()), (410, expected), "{token}");
    }
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_public_token_of_another_customer_stores_nothing() {
    let mut desk = Desk::new(Served::Truv).await;
    let stolen = public_token(&desk).await;
    desk.invite_again(Some("customer-2"), None).await;
    assert_eq!(desk.begin().await.status, 200);
    let refused = desk.finish(&stolen).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["error"].clone()),
        (403, json!("a link that is not this customer's"))
    );
    assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_connection_whose_exchange_was_not_answered_is_found_by_a_look() {
    for fault in [Fault::CutBody, Fault::Reset, Fault::EmptyBody, Fault::Status(502)] {
        let desk = Desk::new(Served::Truv).await;
        let token = public_token(&desk).await;
        desk.bench.bank.fault(fault.clone(), Scope::path("/v1/link-access-tokens/").once());
        let finished = desk.finish(&token).await;
        assert_eq!(finished.status, 200, "{fault:?} {}", finished.text);
        assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()), "{fault:?}");
        assert_eq!(desk.bench.value("SELECT access_token_sealed IS NOT NULL FROM links"), "1", "{fault:?}");
        let log = desk.bench.bank.request_log();
        assert_eq!(log.iter().filter(|l| l.path.starts_with("/v1/link-access-tokens/")).count(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_cannot_be_read_back_is_settled_later() {
    let desk = Desk::new(Served::Truv).await;
    let token = public_token(&desk).await;
    let fault = desk.bench.bank.fault(Fault::Hang, Scope::path("/v1/links/"));
    let finished = desk.finish(&token).await;
    assert_eq!((finished.status.as_u16(), desk.stored()), (200, ("0".to_owned(), "0".to_owned())));
    let pending = desk.open("/done").await;
    assert_eq!((pending.status.as_u16(), pending.heading()), (200, "We have it"));
    desk.bench.bank.clear_fault(fault);
    desk.bench.pass(std::time::Duration::from_mins(5)).await;
    desk.bench.run_once().await;
    assert_eq!(desk.stored(), ("1".to_owned(), "1".to_owned()));
    assert_eq!(desk.bench.value("SELECT links_due_at FROM users"), "NULL");
    assert_eq!(desk.open("/done").await.heading(), "Your bank is connected");
    desk.bench.assert_store_is_truth();
}
