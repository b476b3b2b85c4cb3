//! Customers: who they are, one who is forgotten, and the feed that tells other systems.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use passbook::sandbox::NewTransaction;
use serde_json::Value;

use super::desk::{BOTH, Desk, query, text};

/// The lines of a feed.
fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_customer_is_forgotten_with_and_without_a_daemon() {
    for served in BOTH {
        let desk = Desk::at(served, 3);
        desk.ends_with(0, &["run", "--once"]);
        let users = desk.json(0, &["users", "list", "--json"]);
        let [first, second] = [0, 1].map(|at| users[at]["upstream_id"].as_str().expect("an id").to_owned());
        let unsure = desk.passbook(&["users", "forget", "--user", &first]);
        assert_eq!(unsure.status.code(), Some(1), "nobody can be asked");
        assert!(text(&unsure.stderr).contains("--yes"), "{}", text(&unsure.stderr));
        assert_eq!(query(&desk.store(), "SELECT count(*) FROM users"), 3);

        let certificate = desk.json(0, &["users", "forget", "--user", &first, "--yes", "--json"]);
        assert_eq!((&certificate["state"], &certificate["upstream_outcome"]), (&"finished".into(), &"deleted".into()));
        assert!(!certificate.to_string().contains(&first), "{certificate}");

        let daemon = desk.daemon();
        let said = desk.ends_with(0, &["users", "forget", "--user", &second, "--yes"]);
        assert!(said.contains("forgotten"), "{said}");
        desk.ends_with(1, &["users", "forget", "--user", "nobody", "--yes"]);
        drop(daemon);

        assert_eq!(query(&desk.store(), "SELECT count(*) FROM users"), 1);
        assert_eq!(desk.bank.change(|bank| bank.deleted_users().len()), 2);
        let certificates = desk.json(0, &["users", "erasures", "--json"]);
        assert_eq!(certificates.as_array().map(Vec::len), Some(2));
        let proof = desk.json(0, &["users", "erasures", "--user", &first, "--json"]);
        assert_eq!(proof[0]["erasure_id"], certificate["erasure_id"]);
        let file = desk.dir.path().join("forgotten.json");
        std::fs::write(&file, certificates.to_string()).expect("writes");
        let file = file.to_str().expect("text");
        assert!(desk.ends_with(0, &["users", "forget", "--again", file, "--yes"]).starts_with("0 of 2"));
        assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
        desk.ends_with(2, &["users", "forget", "--yes"]);
    }
}

#[test]
fn the_feed_goes_on_where_a_reader_was() {
    for served in BOTH {
        let desk = Desk::at(served, 1);
        desk.ends_with(0, &["run", "--once"]);
        let first = lines(&desk.ends_with(0, &["changes", "--limit", "15"]));
        let rest = lines(&desk.ends_with(0, &["changes", "--since", &first[14]["change_id"].to_string()]));
        assert_eq!((first.len(), rest.len()), (15, 25));
        let ids: Vec<i64> = first.iter().chain(&rest).map(|line| line["change_id"].as_i64().expect("an id")).collect();
        assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
        assert!(
            first.iter().all(|line| line["kind"] == "added" && line["after"]["amount_minor"].is_i64()),
            "{first:#?}"
        );
        let ahead = desk.passbook(&["changes", "--since", "1000"]);
        assert_eq!(ahead.status.code(), Some(1));
        assert!(text(&ahead.stderr).contains("restored"), "{}", text(&ahead.stderr));
    }
}

#[test]
fn a_follower_hears_of_news_and_ends_quietly() {
    let desk = Desk::at(BOTH[0], 1);
    desk.ends_with(0, &["run", "--once"]);
    let mut follower = desk.bare();
    follower.arg("--config").arg(desk.config()).args(["changes", "--since", "40", "--follow"]);
    let mut follower = follower.stdout(Stdio::piped()).spawn().expect("runs");
    let mut said = BufReader::new(follower.stdout.take().expect("a pipe"));
    let account = desk.bank.truth().links[0].accounts[0].id;
    desk.bank.add_transaction(account, NewTransaction::posted(-1_234, "NEWS").at(desk.bank.now()));
    desk.ends_with(0, &["sync", "1"]);
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["change_id"], &line["after"]["description"]), (&Value::from(41), &Value::from("NEWS")));
    // Whoever read goes away; the next line meets a closed pipe.
    drop(said);
    desk.bank.add_transaction(account, NewTransaction::posted(-99, "MORE").at(desk.bank.now()));
    desk.ends_with(0, &["sync", "1"]);
    assert_eq!(follower.wait().expect("ends").code(), Some(0));
}
