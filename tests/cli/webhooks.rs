//! What an operator does about webhooks, and one that comes in.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use hmac::{Hmac, KeyInit as _, Mac as _};
use passbook::sandbox::Served;
use sha2::Sha256;

use super::desk::{BOTH, Desk, query, text, wait_for};
use super::ports::free_address;

/// Adds a public side on a free port to a desk's configuration, and says where.
fn with_public_side(desk: &Desk) -> SocketAddr {
    let address = free_address();
    let config = std::fs::read_to_string(desk.config()).expect("reads");
    let server = format!("[server]\npublic_listen = \"{address}\"\npublic_url = \"https://bank.example.com\"\n");
    std::fs::write(desk.config(), format!("{config}{server}")).expect("writes");
    address
}

#[test]
fn an_address_is_registered_listed_and_registered_again() {
    let desk = Desk::at(Served::Truv, 1);
    let none = desk.passbook(&["webhooks", "register"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("public_url"), "{}", text(&none.stderr));
    assert_eq!(desk.json(0, &["webhooks", "list", "--json"])[0]["address"], serde_json::Value::Null);

    with_public_side(&desk);
    let listed = desk.json(0, &["webhooks", "list", "--json"]);
    assert_eq!(listed[0]["address"], "https://bank.example.com/webhooks/bank");
    assert_eq!(listed[0]["endpoints"], serde_json::json!([]));
    assert!(desk.ends_with(0, &["webhooks", "list"]).contains("passbook webhooks register"));
    assert!(desk.ends_with(0, &["webhooks", "register"]).contains("is registered"));
    assert!(desk.ends_with(0, &["webhooks", "register", "--source", "bank"]).contains("already"));
    let listed = desk.json(0, &["webhooks", "list", "--json"]);
    let ours = &listed[0]["endpoints"][0];
    assert_eq!((&ours["is_ours"], &ours["is_enabled"]), (&true.into(), &true.into()), "{listed}");
    assert!(desk.ends_with(0, &["webhooks", "list"]).contains("enabled, this machine's"));
    let elsewhere = ["webhooks", "register", "--url", "https://other.example.com/hook"];
    assert!(desk.ends_with(0, &elsewhere).contains("other.example.com"));
    let stranger = desk.passbook(&["webhooks", "register", "--source", "nobody"]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(text(&stranger.stderr).contains("configured are: bank"), "{}", text(&stranger.stderr));

    desk.bank.revoke_secret(&desk.bank_secret());
    let refused = desk.json(1, &["webhooks", "list", "--json"]);
    assert!(refused[0]["error"].as_str().is_some_and(|error| error.contains("credentials")), "{refused}");
}

#[test]
fn where_a_dashboard_is_all_there_is_it_is_told_what_to_enter() {
    let desk = Desk::at(Served::Bridge, 1);
    with_public_side(&desk);
    let said = desk.ends_with(0, &["webhooks", "register"]);
    assert!(said.contains("https://bank.example.com/webhooks/bank") && said.contains("dashboard"), "{said}");
    assert!(desk.ends_with(0, &["webhooks", "list"]).contains("item.refreshed"));
}

#[test]
fn a_running_daemon_takes_a_webhook_and_keeps_it_over_a_kill() {
    for served in BOTH {
        let desk = Desk::at(served, 2);
        if served == Served::Bridge {
            let config = std::fs::read_to_string(desk.config()).expect("reads");
            let secrets = "webhook_secrets = [{ file = \"bank.secret\" }]\n";
            std::fs::write(desk.config(), format!("{config}{secrets}")).expect("writes");
        }
        let address = with_public_side(&desk);
        let daemon = desk.daemon();
        let link = desk.bank.truth().links[0].clone();
        let (header, event) = match served {
            Served::Truv => (
                "X-WEBHOOK-SIGN",
                format!(
                    r#"{{"event_type":"link-connected","link_id":"{}","user_id":"{}"}}"#,
                    link.upstream_id, link.user_upstream_id
                ),
            ),
            Served::Bridge => (
                "BridgeApi-Signature",
                format!(
                    r#"{{"type":"item.refreshed","timestamp":1612782588323,"content":{{"item_id":{},"user_uuid":"{}"}}}}"#,
                    link.upstream_id, link.user_upstream_id
                ),
            ),
        };
        assert!(post(address, header, &desk.bank_secret(), &event).starts_with("HTTP/1.1 200"));
        daemon.signal("-KILL");
        drop(daemon);
        assert_eq!(query(&desk.store(), "SELECT count(*) FROM webhook_events"), 1, "acknowledged, so it is there");
        let _again = desk.daemon();
        wait_for("the public side", || TcpStream::connect(address).is_ok());
        assert!(post(address, header, &desk.bank_secret(), &event).starts_with("HTTP/1.1 200"));
        wait_for("the event", || query(&desk.store(), "SELECT count(*) FROM webhook_events WHERE handled_at > 0") == 1);
        assert_eq!(query(&desk.store(), "SELECT deliveries FROM webhook_events"), 2);
        let listed = desk.json(0, &["webhooks", "list", "--json"]);
        assert!(listed[0]["last_event_at"].is_string() && listed[0]["waiting"] == 0, "{listed}");
    }
}

/// Delivers one signed body and returns the answer.
fn post(address: SocketAddr, header: &str, secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(body.as_bytes());
    let bytes: [u8; 32] = mac.finalize().into_bytes().into();
    let digits = bytes.iter().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let mut stream = TcpStream::connect(address).expect("connects");
    let head = format!("POST /webhooks/bank HTTP/1.1\r\nHost: bank\r\nConnection: close\r\n{header}: v1={digits}\r\n");
    write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("reads");
    answer
}
