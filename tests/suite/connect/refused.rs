//! What must not work: old, unknown and hostile requests, each with one page, one status and nothing stored.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use passbook::sandbox::{Fault, Scope, Served};
use passbook::server::control::{Order, Private, carry_out};
use serde_json::json;

use super::desk::{Desk, EMAIL};

#[tokio::test(start_paused = true)]
async fn opening_an_invite_changes_nothing() {
    let desk = Desk::new(Served::Truv).await;
    let before = desk.bench.rows("SELECT * FROM invites");
    let requests = desk.bench.bank.request_log().len();
    for _ in 0..30 {
        assert_eq!(desk.open("").await.status, 200);
        assert_eq!(desk.open("/begin").await.header("location"), format!("{}?lang=en", desk.invite));
        let head = Request::head(&desk.invite).body(Body::empty()).expect("a request");
        assert_eq!(desk.send(head).await.status, 200);
    }
    assert_eq!(desk.bench.rows("SELECT * FROM invites"), before);
    assert_eq!(desk.bench.bank.request_log().len(), requests);
}

#[tokio::test(start_paused = true)]
async fn an_invite_may_be_begun_ten_times() {
    let desk = Desk::new(Served::Truv).await;
    let mut token = String::new();
    for _ in 0..10 {
        token = desk.begin().await.attribute("data-token");
    }
    for page in [desk.begin().await, desk.open("").await] {
        assert_eq!((page.status.as_u16(), page.heading()), (429, "Too many attempts"));
    }
    // The tenth may still be finished.
    let body = json!({ "bridge_token": token, "username": "goodlogin", "password": "goodpassword" });
    let done = desk.at_the_aggregator("/sandbox/connect", body).await;
    assert_eq!(desk.finish(done["public_token"].as_str().expect("a token")).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn an_invite_expires_but_what_was_begun_may_be_finished() {
    let desk = Desk::new(Served::Truv).await;
    desk.bench.pass(Duration::from_hours(7 * 24) - Duration::from_mins(1)).await;
    let token = desk.begin().await.attribute("data-token");
    desk.bench.pass(Duration::from_mins(2)).await;
    for page in [desk.open("").await, desk.begin().await] {
        assert_eq!((page.status.as_u16(), page.heading()), (410, "This link has expired"));
    }
    let body = json!({ "bridge_token": token, "username": "goodlogin", "password": "goodpassword" });
    let done = desk.at_the_aggregator("/sandbox/connect", body).await;
    assert_eq!(desk.finish(done["public_token"].as_str().expect("a token")).await.status, 200);
    let late = Desk::new(Served::Truv).await;
    late.bench.pass(Duration::from_hours(8 * 24)).await;
    let refused = late.finish("0123456789abcdef0123456789abcdef").await;
    assert_eq!((refused.status.as_u16(), refused.json()["error"].clone()), (410, json!("expired invite")));
}

#[tokio::test(start_paused = true)]
async fn an_invite_can_be_taken_back() {
    let desk = Desk::new(Served::Bridge).await;
    let revoke = || Order::Revoke { address: Private(format!("http://127.0.0.1:8780{}", desk.invite)) };
    carry_out(desk.bench.engine().await.as_ref(), revoke()).await.expect("revoked");
    for page in [desk.open("").await, desk.begin().await] {
        assert_eq!((page.status.as_u16(), page.heading()), (410, "This link is no longer valid"));
    }
    carry_out(desk.bench.engine().await.as_ref(), revoke()).await.expect_err("revoked already");
    assert_eq!(desk.bench.value("SELECT email_sealed FROM invites"), "NULL");
}

#[tokio::test(start_paused = true)]
async fn hostile_addresses_lead_nowhere() {
    let desk = Desk::new(Served::Truv).await;
    let token = desk.token();
    for path in [
        "/connect".to_owned(),
        "/connect/".to_owned(),
        format!("/connect/{}", "A".repeat(43)),
        format!("/connect/{}", &token[1..]),
        format!("/connect/{token}x"),
        format!("/connect/{token}/"),
        format!("/connect/{token}/../{token}"),
        format!("/connect/{token}/done/x"),
        format!("/connect/%2e%2e%2f{token}"),
        format!("/connect/{token}%00"),
        format!("/connect/{}", "%F0%9F%98%80".repeat(4)),
        "/connect/%ff%fe".to_owned(),
        "/connect/' OR 1=1 --".replace(' ', "%20"),
        "/connect/assets/../../etc/passwd".to_owned(),
        "/connect/assets/widget-99.js".to_owned(),
        "/connect/assets/widget--1.js".to_owned(),
        format!("/connect/{}", "a/".repeat(500)),
    ] {
        let page = desk.get(&path).await;
        assert!([400, 404].contains(&page.status.as_u16()), "{path}: {}", page.status);
    }
    let long = desk.open(&format!("?lang=fr&x={}", "y".repeat(3000))).await;
    assert_eq!(long.status, 414);
    let script = desk.open("?lang=%22%3E%3Cscript%3Ealert(1)%3C/script%3E").await;
    assert!(script.status == 200 && !script.text.contains("alert(1)"));
    for (name, value) in
        [("host", "evil.example"), ("x-forwarded-host", "evil.example"), ("accept-language", "\"><script>")]
    {
        let request = Request::get(&desk.invite).header(name, value).body(Body::empty()).expect("a request");
        let page = desk.send(request).await;
        assert!(page.status == 200 && !page.text.contains("evil.example"), "{name}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let request = Request::builder().method(method).uri(&desk.invite).body(Body::empty()).expect("a request");
        assert_eq!(desk.send(request).await.status, 405, "{method}");
    }
    assert_eq!(desk.stored(), ("0".to_owned(), "0".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn finishing_takes_what_the_page_sends_and_nothing_else() {
    let desk = Desk::new(Served::Truv).await;
    assert_eq!(desk.finish("0123456789abcdef0123456789abcdef").await.status, 409);
    desk.begin().await;
    let requests = desk.bench.bank.request_log().len();
    let good = json!({ "public_token": "x" }).to_string();
    for (media_type, body, status) in [
        ("text/plain", good.clone(), 415),
        ("application/x-www-form-urlencoded", "public_token=x".to_owned(), 415),
        ("application/json", "{".to_owned(), 400),
        ("application/json", "[]".to_owned(), 400),
        ("application/json", "{}".to_owned(), 400),
        ("application/json", json!({ "public_token": "" }).to_string(), 400),
        ("application/json", json!({ "public_token": 7 }).to_string(), 400),
        ("application/json", json!({ "public_token": "a b" }).to_string(), 400),
        ("application/json", json!({ "public_token": "x\r\ny" }).to_string(), 400),
        ("application/json", json!({ "public_token": "y".repeat(600) }).to_string(), 400),
        ("application/json", json!({ "public_token": "x", "link_id": "1" }).to_string(), 400),
        ("application/json", json!({ "public_token": "z".repeat(10_000) }).to_string(), 413),
    ] {
        let page = desk.finish_with(media_type, body.clone()).await;
        assert_eq!(page.status.as_u16(), status, "{media_type} {}", &body[..body.len().min(60)]);
    }
    let request = Request::post(format!("{}/begin", desk.invite)).body(Body::from("x".repeat(10_000)));
    assert_eq!(desk.send(request.expect("a request")).await.status, 413);
    assert_eq!(desk.bench.bank.request_log().len(), requests);
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_in_trouble_is_told_in_words() {
    for (which, path) in [(Served::Truv, "/tokens/"), (Served::Bridge, "/connect-sessions")] {
        let desk = Desk::new(which).await;
        for fault in [Fault::Hang, Fault::Status(500), Fault::NotJson, Fault::Status(400)] {
            let broken = desk.bench.bank.fault(fault.clone(), Scope::path(path));
            let page = desk.begin().await;
            assert_eq!((page.status.as_u16(), page.heading()), (503, "One moment, please"), "{fault:?}");
            desk.bench.bank.clear_fault(broken);
        }
        assert_eq!(desk.begin().await.status, 200);
    }
    let desk = Desk::new(Served::Bridge).await;
    let user = desk.bench.value("SELECT upstream_id FROM users").parse().expect("an id");
    desk.bench.bank.delete_user(user);
    assert_eq!(desk.begin().await.status, 410);
}

#[tokio::test(start_paused = true)]
async fn pages_speak_the_browsers_language_or_the_chosen_one() {
    let desk = Desk::new(Served::Truv).await;
    let french = Request::get(&desk.invite).header("accept-language", "fr-CH, fr;q=0.9, en;q=0.8");
    let page = desk.send(french.body(Body::empty()).expect("a request")).await;
    assert_eq!(page.heading(), "Connectez votre banque");
    assert!(page.text.contains("<html lang=\"fr\">") && page.text.contains("href=\"?lang=en\""), "{}", page.text);
    assert!(page.text.contains("jusqu’au 9 mars 2026."), "{}", page.text);
    let begin = Request::post(page.attribute("action")).body(Body::empty()).expect("a request");
    let widget = desk.send(begin).await;
    assert!(widget.text.contains("<html lang=\"fr\">"), "{}", widget.text);
    assert!(widget.attribute("data-finish").ends_with("/finish?lang=fr"));
    assert_eq!(desk.get("/connect/x?lang=fr").await.heading(), "Ce lien ne mène nulle part");
}

#[tokio::test(start_paused = true)]
async fn neither_store_nor_log_shows_what_is_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .finish();
    let _guard = crate::harness::log_to(subscriber);
    let desk = Desk::new(Served::Bridge).await;
    let page = desk.begin().await;
    let url = page.header("refresh").strip_prefix("1; url=").expect("a refresh").to_owned();
    let done = desk.at_the_aggregator("/sandbox/bridge/connect", json!({ "session": url, "login": "success" })).await;
    let back = done["callback"].as_str().expect("a callback").replace("http://127.0.0.1:8780", "");
    desk.get(&back.replace("context=", "context=f")).await;
    desk.get(&back).await;
    let context = back.split("context=").nth(1).expect("a context").to_owned();
    let truv = Desk::new(Served::Truv).await;
    let bridge_token = truv.begin().await.attribute("data-token");
    truv.finish("0123456789abcdef0123456789abcdef").await;
    let login = json!({ "bridge_token": bridge_token, "username": "goodlogin", "password": "goodpassword" });
    let login = truv.at_the_aggregator("/sandbox/connect", login).await;
    let public_token = login["public_token"].as_str().expect("a token").to_owned();
    truv.finish(&public_token).await;
    let link = truv.bench.bank.truth().links[0].clone();
    let text = log.text();
    assert!(text.contains("a connect request was refused") && text.contains("a customer connected a bank"), "{text}");
    for secret in [EMAIL, desk.token(), truv.token(), &context, &bridge_token, &public_token, &link.access_token] {
        assert!(!text.contains(secret), "{secret} is in the log");
        for desk in [&desk, &truv] {
            for file in ["passbook.db", "passbook.db-wal"] {
                let bytes = std::fs::read(desk.bench.path().with_file_name(file)).unwrap_or_default();
                let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!is_there, "{secret} is in the store in clear");
            }
        }
    }
    assert_eq!(text.matches("WARN").count(), 2, "{text}");
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("not poisoned")).into_owned()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
