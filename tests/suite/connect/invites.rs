//! Making invites: who gets one, what is refused, what is kept of it.

use passbook::sandbox::{Fault, Scope, Served};
use passbook::server::control::{Done, Order, Private, carry_out};

use crate::harness::Bench;

const EMAIL: &str = "canary.person@example.com";

pub(crate) fn order(user: Option<&str>, link: Option<String>) -> Order {
    Order::Invite {
        source: None,
        user: user.map(str::to_owned),
        link,
        email: Some(Private(EMAIL.to_owned())),
        first_name: Some(Private("Canaryfirst".to_owned())),
        last_name: Some(Private("Canarylast".to_owned())),
    }
}

async fn asked(bench: &Bench, order: Order) -> Result<Done, String> {
    carry_out(bench.engine().await.as_ref(), order).await.map_err(|error| error.to_string())
}

/// How many customers were made at the aggregator.
fn made(bench: &Bench) -> usize {
    let log = bench.bank.request_log();
    log.iter()
        .filter(|l| l.method == "POST" && l.path.trim_end_matches('/').ends_with("/users") && l.status == Some(201))
        .count()
}

#[tokio::test(start_paused = true)]
async fn an_invite_makes_the_customer_once() {
    for serves in [Served::Truv, Served::Bridge] {
        let bench = Bench::with_public_side(serves, "");
        let first = asked(&bench, order(Some("customer-9"), None)).await.expect("an invite");
        let second = asked(&bench, order(Some("customer-9"), None)).await.expect("an invite");
        assert_ne!(first.address, second.address);
        let address = first.address.expect("an address");
        assert!(address.starts_with("http://127.0.0.1:8780/connect/") && address.len() == 73, "{}", address.len());
        assert!(!format!("{second:?}").contains("/connect/"));
        assert_eq!(bench.value("SELECT max(expires_at - created_at) FROM invites"), (7 * 24 * 3_600_000).to_string());
        assert_eq!((made(&bench), bench.value("SELECT count(*) FROM users")), (1, "1".to_owned()), "{serves:?}");
        let store = std::fs::read(bench.path()).expect("the store's file");
        let wal = std::fs::read(bench.path().with_extension("db-wal")).unwrap_or_default();
        let token = address.rsplit('/').next().expect("a token").to_owned();
        for secret in [EMAIL, &token, "Canaryfirst", "Canarylast"] {
            let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_in(&store) && !is_in(&wal), "{secret} is in the store in clear");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_known_to_the_aggregator_alone_is_adopted() {
    for serves in [Served::Truv, Served::Bridge] {
        let bench = Bench::with_public_side(serves, "");
        let user = bench.bank.add_user_at(serves, "customer-7");
        asked(&bench, order(Some("customer-7"), None)).await.expect("an invite");
        assert_eq!(bench.value("SELECT upstream_id FROM users"), user.to_string(), "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_whose_making_was_not_answered_is_found() {
    for (serves, path) in [(Served::Truv, "/v1/users/"), (Served::Bridge, "/v3/aggregation/users")] {
        let bench = Bench::with_public_side(serves, "");
        bench.bank.fault(Fault::CutBody, Scope::path(path).method("POST").once());
        asked(&bench, order(Some("customer-5"), None)).await.expect("an invite");
        let posts = bench.bank.request_log().iter().filter(|l| l.method == "POST" && l.path == path).count();
        assert_eq!((made(&bench), posts), (1, 1), "{serves:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_lead_to_a_connection_is_refused_with_what_to_do() {
    let bench = Bench::new();
    let refused = asked(&bench, order(Some("customer-1"), None)).await.expect_err("no public side");
    assert!(refused.contains("public_listen"), "{refused}");
    let bench = Bench::with_public_side(Served::Bridge, "");
    for (user, link, email, expected) in [
        (None, None, Some(EMAIL), "--user"),
        (Some(" "), None, Some(EMAIL), "--user"),
        (Some("customer-1"), None, None, "--email"),
        (Some("customer-1"), None, Some("nobody"), "e-mail"),
        (Some("customer-1"), None, Some("a b@example.com"), "e-mail"),
        (None, Some("77"), None, "links list"),
    ] {
        let order = Order::Invite {
            source: None,
            user: user.map(str::to_owned),
            link: link.map(str::to_owned),
            email: email.map(|email| Private(email.to_owned())),
            first_name: None,
            last_name: None,
        };
        assert!(!format!("{order:?}").contains('@'), "{order:?}");
        let error = asked(&bench, order).await.expect_err("refused");
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(bench.value("SELECT count(*) FROM invites"), "0");
}
