//! What only aggregators that read the banks by themselves have: consents, states, sharing, accounts that go on.

use jiff::SignedDuration;
use passbook::sandbox::{NewAccount, NewStock, Plan, Served};
use serde_json::Value;

use super::desk::{Desk, query, tamper, text};

/// The reasons that `explain` gives, in one text.
fn reasons(desk: &Desk, link: &str) -> String {
    desk.json(0, &["explain", link, "--json"])["reasons"].to_string()
}

#[test]
fn a_link_says_who_reads_its_bank_and_what_it_is_read_with() {
    let desk = Desk::at(Served::Bridge, 0);
    desk.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 10, ..Plan::default() });
    desk.ends_with(0, &["run", "--once"]);
    let why = reasons(&desk, "1");
    assert!(why.contains("cannot be asked") && why.contains("customer's other link 2"), "{why}");
    assert!(!why.contains("refreshes_per_day"), "nothing to set: {why}");
    let links = desk.json(0, &["links", "list", "--json"]);
    assert_eq!((&links[0]["refreshes_left"], links[0]["refreshed_at"].is_string()), (&Value::Null, true));
    let status = desk.json(0, &["status", "--json"]);
    let source = &status["sources"][0];
    assert_eq!((&source["users"], &source["request_window_ms"]), (&Value::from(1), &Value::from(300_000)));
    assert!(source["requests_last_window"].as_u64().is_some_and(|requests| requests > 3), "{source}");
    assert!(desk.ends_with(0, &["status"]).contains("by the aggregator itself"));
}

#[test]
fn the_end_of_a_consent_is_said_in_time() {
    let desk = Desk::at(Served::Bridge, 2);
    let link = desk.bank.truth().links[0].id;
    desk.bank.set_consent_expiry(link, desk.bank.now() + SignedDuration::from_hours(6 * 24 + 1));
    desk.ends_with(0, &["run", "--once"]);
    let status = desk.json(0, &["status", "--json"]);
    assert_eq!(status["consent_ends"].as_array().map(Vec::len), Some(1), "{status}");
    let id = status["consent_ends"][0]["link_id"].to_string();
    assert!(desk.ends_with(0, &["status"]).contains("consent ends in 6 days"));
    assert!(desk.ends_with(0, &["links", "list"]).contains("consent ends in 6 days"));
    assert!(reasons(&desk, &id).contains("which renews it"));
}

#[test]
fn a_bank_that_is_not_reached_is_failing_and_nobody_is_asked_to_act() {
    let desk = Desk::at(Served::Bridge, 2);
    desk.ends_with(0, &["run", "--once"]);
    let link = desk.bank.truth().links[0].id;
    desk.bank.set_item_status(link, 1003);
    desk.passbook(&["sync", "--json"]);
    let status = desk.json(0, &["status", "--json"]);
    assert_eq!(status["failing"][0]["condition"], "passing", "{status}");
    let id = status["failing"][0]["link_id"].to_string();
    let why = reasons(&desk, &id);
    assert!(why.contains("does not reach the bank for") && why.contains("is tried again by itself"), "{why}");
    assert!(why.contains("it says 1003"), "{why}");
    desk.bank.refresh_item(link);
    desk.ends_with(0, &["sync"]);
    assert_eq!(desk.json(0, &["status", "--json"])["failing"], Value::Array(Vec::new()));
}

#[test]
fn what_a_link_holds_is_shown_with_its_terms() {
    let desk = Desk::at(Served::Bridge, 1);
    let link = desk.bank.truth().links[0].id;
    let account = |kind: &str, opening_minor: i64| NewAccount {
        kind: kind.to_owned(),
        ..NewAccount::savings(kind, opening_minor).currency("EUR")
    };
    desk.bank.add_account(link, account("LOAN", -18_400_000));
    let securities = desk.bank.add_account(link, account("INVESTMENT", 500_000));
    let (label, isin, ticker) = ("Air Liquide".to_owned(), "FR0000120073".to_owned(), "AI".to_owned());
    let stock = NewStock { label, isin, ticker, quantity_thousandths: 25_000, price_minor: 17_830, cost_minor: 15_112 };
    desk.bank.add_stock(securities, stock);
    let hidden = desk.bank.add_account(link, account("CHECKING", 100));
    desk.bank.set_data_access(hidden, false);
    desk.bank.publish(link);
    desk.ends_with(0, &["run", "--once"]);
    let shown = desk.ends_with(0, &["links", "show", "1"]);
    for words in ["Loans", "184000.00", "1 security", "not shared"] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(reasons(&desk, "1").contains("1 account is not shared"));
    assert_eq!(query(&desk.store(), "SELECT count(*) FROM v_holdings"), 1);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

#[test]
fn accounts_that_were_joined_are_taken_apart_again() {
    let desk = Desk::at(Served::Bridge, 1);
    desk.ends_with(0, &["run", "--once"]);
    let accounts = query(&desk.store(), "SELECT count(*) FROM accounts");
    let link = desk.bank.truth().links[0].id;
    let new = desk.bank.readd_link(link);
    desk.bank.publish(new);
    let upstream_id = desk.bank.truth().link(new).expect("the link").upstream_id.clone();
    let user = desk.bank.truth().links[0].user_upstream_id.clone();
    desk.ends_with(0, &["links", "add", &upstream_id, "--user", &user]);
    desk.ends_with(0, &["sync"]);
    assert_eq!(query(&desk.store(), "SELECT count(*) FROM accounts"), accounts, "the same ones");
    let shown = desk.json(0, &["links", "show", &upstream_id, "--json"]);
    let joined = &shown["continued_accounts"][0];
    assert_eq!(joined["former_link_id"], 1, "{shown}");
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);

    let account = joined["account_id"].to_string();
    let said = desk.ends_with(0, &["links", "split", &account]);
    assert!(said.contains("is in link 1 again") && said.contains("not joined again"), "{said}");
    let again = desk.passbook(&["links", "split", &account]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("does not go on"), "{}", text(&again.stderr));
    desk.ends_with(0, &["sync"]);
    assert_eq!(query(&desk.store(), "SELECT count(*) FROM accounts"), accounts + 1);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

#[test]
fn verify_names_what_is_off() {
    let cases = [
        ("no window has more requests", "INSERT INTO request_usage VALUES (1, 'secret', 60000, 20000, 0, 0, 0), (1, 'secret', 240000, 20000, 0, 0, 0)"),
        ("customer's links wait", "UPDATE users SET links_due_at = 1"),
        (
            "former id of an account lies in",
            "INSERT INTO account_aliases (account_id, link_id, upstream_id, new_upstream_id, rule, evidence, matched_at, sync_id)
             VALUES (1, 999, 'a', 'b', 'iban', '', 1, 1)",
        ),
        (
            "former id of a transaction is noted",
            "INSERT INTO transaction_aliases (transaction_id, link_id, upstream_id, rule, matched_at, sync_id)
             VALUES (1, 999, 'a', 'identical', 1, 1)",
        ),
        (
            "under the former one too",
            "INSERT INTO account_aliases (account_id, link_id, upstream_id, new_upstream_id, rule, evidence, matched_at, sync_id)
             SELECT 1, link_id, upstream_id, 'b', 'iban', '', 1, 1 FROM accounts WHERE account_id = 2",
        ),
    ];
    for (check, damage) in cases {
        let desk = Desk::at(Served::Bridge, 0);
        desk.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 10, ..Plan::default() });
        desk.ends_with(0, &["run", "--once"]);
        tamper(&desk.store(), damage);
        let report = desk.json(1, &["verify", "--json"]);
        let found: Vec<&Value> = report["findings"]
            .as_array()
            .map(|all| all.iter().filter(|f| f["violations"] != 0 && f["is_error"] == true).collect())
            .unwrap_or_default();
        assert_eq!(found.len(), 1, "{check}: {found:?}");
        assert!(found[0]["check"].as_str().is_some_and(|name| name.contains(check)), "{check}: {found:?}");
    }
}

#[test]
fn verify_asks_to_look_at_what_may_be_stored_twice_or_stale() {
    let desk = Desk::at(Served::Bridge, 0);
    desk.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 10, ..Plan::default() });
    desk.ends_with(0, &["run", "--once"]);
    tamper(
        &desk.store(),
        "UPDATE links SET institution_id = 1, refreshed_at = 1;
         UPDATE accounts SET mask = '1234', kind = 'checking', needs_history = 1, changed_at = 1",
    );
    let report = desk.json(0, &["verify", "--json"]);
    for check in ["live in two links", "gone unread by the aggregator", "waits for its whole history"] {
        let finding = report["findings"]
            .as_array()
            .and_then(|all| all.iter().find(|f| f["check"].as_str().is_some_and(|name| name.contains(check))));
        assert!(finding.is_some_and(|f| f["violations"] != 0), "{check}: {report}");
    }
}
