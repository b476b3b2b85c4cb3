//! What an operator does at every aggregator.

use std::time::{Duration, Instant};

use super::desk::{BOTH, Desk, text, wait_for};

#[test]
fn a_stranger_checks_runs_once_and_looks_around() {
    for served in BOTH {
        let desk = Desk::at(served, 5);
        assert!(desk.ends_with(0, &["check", "--online"]).contains("ok"));
        let nothing = desk.passbook(&["status"]);
        assert_eq!(nothing.status.code(), Some(3), "no store yet: {}", text(&nothing.stderr));
        assert!(text(&nothing.stderr).contains("passbook run"));

        let said = desk.ends_with(0, &["run", "--once"]);
        assert!(said.contains("5 ok") && said.contains("200 new"), "{said}");
        assert_eq!(desk.rows(), desk.bank.served().transaction_count());

        let status = desk.json(0, &["status", "--json"]);
        assert_eq!(status["sources"][0]["links"]["active"], 5);
        assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
        assert_eq!(desk.json(0, &["links", "list", "--json"]).as_array().map(Vec::len), Some(5));
        let explained = desk.json(0, &["explain", "1", "--json"]);
        assert_eq!(explained["state"], "active");
        let reasons = explained["reasons"].to_string();
        assert!(reasons.contains("no daemon is running"), "{reasons}");
        let shown = desk.json(0, &["links", "show", "1", "--json"]);
        assert!(shown["accounts"].as_array().is_some_and(|a| !a.is_empty()), "{shown}");
    }
}

#[test]
fn a_broken_login_is_attention_for_scripts_too() {
    for served in BOTH {
        let desk = Desk::at(served, 2);
        desk.ends_with(0, &["run", "--once"]);
        let link = desk.bank.truth().links[0].id;
        desk.break_login(link);
        let results = desk.json(4, &["sync", "--json"]);
        assert!(results.to_string().contains("attention"), "{results}");
        let status = desk.json(4, &["status", "--json"]);
        assert_eq!(status["needs_a_person"][0]["attention"], "login");
        assert!(desk.ends_with(4, &["status"]).contains("ask the customer to reconnect"));
        desk.heal_login(link);
        let id = status["needs_a_person"][0]["link_id"].to_string();
        desk.ends_with(0, &["sync", &id]);
        desk.ends_with(0, &["status"]);
    }
}

#[test]
fn commands_reach_the_running_daemon_and_sigterm_ends_it_in_time() {
    for served in BOTH {
        let desk = Desk::at(served, 3);
        let mut daemon = desk.daemon();
        wait_for("the first syncs", || desk.store().exists() && desk.rows() == 120);
        assert!(desk.ends_with(0, &["links", "pause", "2"]).contains("paused"));
        assert_eq!(desk.json(0, &["links", "show", "2", "--json"])["link"]["state"], "paused");
        assert!(desk.ends_with(0, &["links", "resume", "2"]).contains("resumed"));
        let results = desk.json(0, &["sync", "1", "3", "--json"]);
        assert!(results.as_array().is_some_and(|r| r.iter().all(|r| r["outcome"] == "ok")), "{results}");
        desk.ends_with(1, &["sync", "no-such-link"]);
        let second = desk.passbook(&["run"]);
        assert_eq!(second.status.code(), Some(3), "two daemons on one store are refused");
        assert!(text(&second.stderr).contains("another passbook"), "{}", text(&second.stderr));

        let began = Instant::now();
        daemon.signal("-TERM");
        let status = daemon.0.wait().expect("ends");
        assert!(status.success() && began.elapsed() < Duration::from_secs(10), "{status} after {:?}", began.elapsed());
        assert!(!desk.dir.path().join("passbook.db.sock").exists());
        assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
    }
}

#[test]
fn a_killed_daemon_leaves_a_store_that_goes_on() {
    for served in BOTH {
        let desk = Desk::at(served, 12);
        // The bank refuses no refresh, or one too many would not be seen.
        desk.bank.settings(|s| (s.latency, s.refresh_limit) = (Duration::from_millis(10), None));
        for round in 0..4 {
            let daemon = desk.daemon();
            std::thread::sleep(Duration::from_millis(60 + 90 * round));
            daemon.signal("-KILL");
            drop(daemon);
            let _ = std::fs::remove_file(desk.dir.path().join("passbook.db.sock"));
        }
        desk.bank.settings(|s| s.latency = Duration::ZERO);
        desk.ends_with(0, &["run", "--once"]);
        assert_eq!(desk.rows(), desk.bank.served().transaction_count());
        assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
        assert!(desk.bank.refreshes().iter().all(|r| r.worst_day <= 3));
    }
}

#[test]
fn a_wrong_secret_is_named_and_no_link_is_blamed() {
    for served in BOTH {
        let desk = Desk::at(served, 2);
        desk.ends_with(0, &["run", "--once"]);
        desk.bank.revoke_secret(&desk.bank_secret());
        let failed = desk.passbook(&["check", "--online"]);
        assert_eq!(failed.status.code(), Some(1));
        assert!(text(&failed.stdout).contains("secrets in the configuration"), "{}", text(&failed.stdout));
        assert!(!text(&failed.stdout).contains(&desk.bank_secret()));
        desk.passbook(&["sync", "1"]);
        let health = desk.json(0, &["links", "list", "--json"]);
        let failing = health.as_array().map_or(0, |l| l.iter().filter(|l| l["state"] == "failing").count());
        assert!(failing <= 1, "{health}");
    }
}

#[test]
fn whoever_may_read_the_store_may_ask_about_it_without_its_secrets() {
    for served in BOTH {
        let desk = Desk::at(served, 2);
        desk.ends_with(0, &["run", "--once"]);
        std::fs::remove_file(desk.dir.path().join("store.key")).expect("removes");
        std::fs::remove_file(desk.dir.path().join("bank.secret")).expect("removes");
        for verb in [&["status"][..], &["explain", "1"], &["links", "list"], &["links", "show", "1"], &["verify"]] {
            desk.ends_with(0, verb);
        }
        desk.ends_with(2, &["sync", "1"]);
    }
}

#[test]
fn what_is_wrong_has_its_exit_code_and_its_cure() {
    for served in BOTH {
        let desk = Desk::at(served, 1);
        desk.write_config("http://bank.example.com", "overlap = \"14\"");
        let wrong = desk.passbook(&["check"]);
        let said = text(&wrong.stderr);
        assert_eq!(wrong.status.code(), Some(2), "{said}");
        assert!(said.contains("overlap") && said.contains("base_url") && said.contains("https"), "{said}");
        assert_eq!(desk.passbook(&["no-such-verb"]).status.code(), Some(2));

        desk.write_config("http://127.0.0.1:9", "");
        assert_eq!(desk.passbook(&["check", "--online"]).status.code(), Some(1), "nobody listens there");
        std::fs::write(desk.store(), b"not a store").expect("writes");
        let refused = desk.passbook(&["run", "--once"]);
        assert_eq!(refused.status.code(), Some(3), "{}", text(&refused.stderr));
        assert_eq!(std::fs::read(desk.store()).expect("reads"), b"not a store", "left as it was");
    }
}
