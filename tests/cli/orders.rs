//! Orders, keys and secrets.

use jiff::Timestamp;
use passbook::sandbox::{NewTransaction, Served};
use serde_json::Value;

use super::desk::{BOTH, Desk, query, text};

#[test]
fn sync_without_a_daemon_brings_news_and_says_so() {
    let desk = Desk::at(Served::Truv, 2);
    desk.ends_with(0, &["run", "--once"]);
    let account = desk.bank.truth().links[0].accounts[0].id;
    desk.bank.add_transaction(account, NewTransaction::posted(-1_234, "NEW BOOKING").at(desk.bank.now()));
    let link = desk.bank.truth().links[0].upstream_id.clone();
    let results = desk.json(0, &["sync", &link, "--json"]);
    assert_eq!((&results[0]["outcome"], &results[0]["rows_added"]), (&Value::from("ok"), &Value::from(1)));
    assert_eq!(results[0]["refreshed"], "done");
    assert_eq!(query(&desk.store(), "SELECT count(*) FROM v_transactions WHERE description = 'NEW BOOKING'"), 1);
}

#[test]
fn links_are_added_and_removed_by_hand() {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    let user = desk.bank.add_user("a-late-customer");
    let link = desk.bank.add_link(user, "chase");
    let link = desk.bank.truth().link(link).expect("the link").upstream_id.clone();
    let user = desk.bank.truth().links[1].user_upstream_id.clone();
    assert!(desk.ends_with(0, &["links", "add", &link, "--user", &user]).contains("added"));
    desk.ends_with(1, &["links", "add", "0".repeat(32).as_str(), "--user", &user]);
    desk.ends_with(0, &["links", "remove", &link]);
    assert_eq!(desk.json(0, &["links", "list", "--state", "removed", "--json"]).as_array().map(Vec::len), Some(1));
    assert!(desk.ends_with(0, &["links", "resume", &link]).contains("resumed"));
}

#[test]
fn an_invite_is_printed_and_taken_back() {
    for served in BOTH {
        let desk = Desk::at(served, 1);
        let connect = ["links", "connect", "--user", "customer-9", "--email", "canary@example.com"];
        assert!(text(&desk.passbook(&connect).stderr).contains("public_listen"));
        let config = std::fs::read_to_string(desk.config()).expect("reads");
        let server = "[server]\npublic_listen = \"127.0.0.1:0\"\npublic_url = \"https://bank.example.com\"\n";
        std::fs::write(desk.config(), format!("{server}{config}")).expect("writes");
        let printed = desk.ends_with(0, &connect);
        assert!(printed.starts_with("https://bank.example.com/connect/"), "{printed}");
        assert!(printed.contains("until") && printed.contains("no daemon is running"), "{printed}");
        let invite = desk.json(0, &[&connect[..], &["--json"]].concat());
        assert_eq!((&invite["is_answered"], &invite["link_id"]), (&Value::Bool(false), &Value::Null));
        let address = invite["address"].as_str().expect("an address");
        assert!(desk.ends_with(0, &["links", "connect", "--revoke", address]).contains("taken back"));
        desk.ends_with(1, &["links", "connect", "--revoke", address]);
        desk.ends_with(2, &["links", "connect"]);
    }
}

#[test]
fn no_secret_reaches_a_log_an_answer_or_the_file() {
    for served in BOTH {
        let desk = Desk::at(served, 3);
        let config = std::fs::read_to_string(desk.config()).expect("reads");
        std::fs::write(desk.config(), format!("[log]\nlevel = \"trace\"\nformat = \"json\"\n{config}"))
            .expect("writes");
        let mut said = String::new();
        let verbs: [&[&str]; 7] = [
            &["check", "--online"],
            &["run", "--once"],
            &["sync", "--json"],
            &["status", "--json"],
            &["links", "show", "1", "--json"],
            &["explain", "1"],
            &["verify"],
        ];
        for verb in verbs {
            let output = desk.passbook(verb);
            said.push_str(&text(&output.stdout));
            said.push_str(&text(&output.stderr));
        }
        assert!(said.contains("\"sync\"") && said.contains("http.status"), "the logs are there");
        let mut files = Vec::new();
        for file in ["passbook.db", "passbook.db-wal", "passbook.db.lock"] {
            files.extend(std::fs::read(desk.dir.path().join(file)).unwrap_or_default());
        }
        let files = String::from_utf8_lossy(&files).into_owned();
        assert!(
            query(&desk.store(), "SELECT count(*) FROM account_numbers WHERE account_number_sealed IS NOT NULL") > 0
        );
        let world = desk.bank.truth();
        let mut secrets = vec![desk.bank_secret()];
        secrets.push(std::fs::read_to_string(desk.dir.path().join("store.key")).expect("reads").trim().to_owned());
        for link in &world.links {
            secrets.push(link.access_token.clone());
            secrets.extend(link.accounts.iter().map(|account| account.number.clone()));
            secrets.extend(link.accounts.iter().filter_map(|account| account.iban.clone()));
        }
        // One aggregator has no token for a link.
        secrets.retain(|secret| !secret.is_empty());
        assert!(secrets.len() > 5, "numbers to look for");
        for secret in secrets {
            assert!(!said.contains(&secret), "said");
            assert!(!files.contains(&secret), "stored in clear");
        }
        let descriptions = world.links.iter().flat_map(|link| link.transactions.iter().map(|t| &t.description));
        for description in descriptions.filter(|text| text.len() >= 12) {
            assert!(!said.contains(description.as_str()), "{description:?} was said");
            assert!(files.contains(description.as_str()), "the analysts' columns are there");
        }
    }
}

#[test]
fn keys_are_new_each_time() {
    let desk = Desk::at(Served::Truv, 1);
    let key = || text(&desk.bare().arg("keygen").output().expect("runs").stdout);
    assert_ne!(key(), key());
    assert!(Timestamp::UNIX_EPOCH < desk.bank.now());
}
