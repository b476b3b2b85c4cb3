//! The built binary against a bank on a real socket: what an operator does, and what comes back.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use passbook::clock::Clock;
use passbook::sandbox::{NewTransaction, Pace, Plan, Sandbox};
use serde_json::Value;

/// A bank on a port, a configuration for it, and the binary.
struct Desk {
    bank: Sandbox,
    dir: tempfile::TempDir,
    _server: tokio::runtime::Runtime,
}

impl Desk {
    fn new(links: usize) -> Self {
        let server =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let bank = server.block_on(async { Sandbox::new(Clock::system(), 3) });
        bank.settings(|s| s.pace = Pace::instant());
        bank.seed_world(&Plan { links, transactions_per_link: 40, ..Plan::default() });
        let listener = server.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = bank.router();
        server.handle().block_on(async {
            #[expect(clippy::disallowed_methods, reason = "ends with the runtime that the desk holds")]
            tokio::spawn(async move { axum::serve(listener, router).await });
        });
        let dir = tempfile::tempdir().expect("a directory");
        let desk = Self { bank, dir, _server: server };
        let key = desk.bare().arg("keygen").output().expect("runs").stdout;
        desk.secret("store.key", &String::from_utf8(key).expect("text"));
        desk.secret("truv.secret", &desk.bank.truv_secret());
        desk.write_config(&format!("http://{address}"), "");
        desk
    }

    fn secret(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("sets");
    }

    fn write_config(&self, base_url: &str, more: &str) {
        let text = format!(
            "[store]\npath = \"passbook.db\"\nkey = {{ file = \"store.key\" }}\n[[source]]\nname = \"truv\"\n\
             aggregator = \"truv\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
             access_secret = {{ file = \"truv.secret\" }}\nrefresh_poll_first = \"1s\"\nrequests_per_minute = 3000\n{more}\n",
            self.bank.truv_client_id()
        );
        self.bank.settings(|s| s.request_limit = Some(3000));
        std::fs::write(self.config(), text).expect("writes");
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("passbook.toml")
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("passbook.db")
    }

    #[expect(clippy::unused_self, reason = "reads like the others")]
    fn bare(&self) -> Command {
        Command::new(env!("CARGO_BIN_EXE_passbook"))
    }

    fn passbook(&self, arguments: &[&str]) -> Output {
        let mut command = self.bare();
        command.arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        command.output().expect("runs")
    }

    /// Runs a command that must end with `code`, and returns its standard output.
    fn ends_with(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.passbook(arguments);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        out
    }

    fn json(&self, code: i32, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ends_with(code, arguments)).expect("JSON")
    }

    /// Starts the daemon and waits until its control socket is there.
    fn daemon(&self) -> Daemon {
        let mut command = self.bare();
        command.arg("--config").arg(self.config()).arg("run").stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
        let socket = self.dir.path().join("passbook.db.sock");
        wait_for("the control socket", || socket.exists());
        Daemon(child)
    }

    fn rows(&self) -> usize {
        query(&self.store(), "SELECT count(*) FROM v_transactions")
    }
}

struct Daemon(Child);

impl Daemon {
    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").arg(signal).arg(self.0.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(30), "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(30));
    }
}

#[expect(clippy::disallowed_methods, reason = "the tests read as an analyst does")]
fn query(store: &Path, sql: &str) -> usize {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let connection = rusqlite::Connection::open_with_flags(store, flags).expect("a reader");
    connection.query_row(sql, [], |row| row.get(0)).expect(sql)
}

#[test]
fn a_stranger_checks_runs_once_and_looks_around() {
    let desk = Desk::new(5);
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

#[test]
fn sync_without_a_daemon_brings_news_and_says_so() {
    let desk = Desk::new(2);
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
fn a_broken_login_is_attention_for_scripts_too() {
    let desk = Desk::new(2);
    desk.ends_with(0, &["run", "--once"]);
    let link = desk.bank.truth().links[0].id;
    desk.bank.break_login(link, "login_error");
    let results = desk.json(4, &["sync", "--json"]);
    assert!(results.to_string().contains("attention"), "{results}");
    let status = desk.json(4, &["status", "--json"]);
    assert_eq!(status["needs_a_person"][0]["attention"], "login");
    assert!(desk.ends_with(4, &["status"]).contains("ask the customer to reconnect"));
    desk.bank.heal_login(link);
    let id = status["needs_a_person"][0]["link_id"].to_string();
    desk.ends_with(0, &["sync", &id]);
    desk.ends_with(0, &["status"]);
}

#[test]
fn commands_reach_the_running_daemon_and_sigterm_ends_it_in_time() {
    let desk = Desk::new(3);
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

#[test]
fn a_killed_daemon_leaves_a_store_that_goes_on() {
    let desk = Desk::new(12);
    desk.bank.settings(|s| s.latency = Duration::from_millis(10));
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

#[test]
fn links_are_added_and_removed_by_hand() {
    let desk = Desk::new(1);
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
fn what_is_wrong_has_its_exit_code_and_its_cure() {
    let desk = Desk::new(1);
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

#[test]
fn a_wrong_secret_is_named_and_no_link_is_blamed() {
    let desk = Desk::new(2);
    desk.ends_with(0, &["run", "--once"]);
    desk.bank.revoke_secret(&desk.bank.truv_secret());
    let failed = desk.passbook(&["check", "--online"]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stdout).contains("access_secret"), "{}", text(&failed.stdout));
    assert!(!text(&failed.stdout).contains(&desk.bank.truv_secret()));
    desk.passbook(&["sync", "1"]);
    let health = desk.json(0, &["links", "list", "--json"]);
    let failing = health.as_array().map_or(0, |l| l.iter().filter(|l| l["state"] == "failing").count());
    assert!(failing <= 1, "{health}");
}

#[test]
fn no_secret_reaches_a_log_an_answer_or_the_file() {
    let desk = Desk::new(3);
    let config = std::fs::read_to_string(desk.config()).expect("reads");
    std::fs::write(desk.config(), format!("[log]\nlevel = \"trace\"\nformat = \"json\"\n{config}")).expect("writes");
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
    assert!(query(&desk.store(), "SELECT count(*) FROM account_numbers WHERE account_number_sealed IS NOT NULL") > 0);
    let world = desk.bank.truth();
    let mut secrets = vec![desk.bank.truv_secret()];
    secrets.push(std::fs::read_to_string(desk.dir.path().join("store.key")).expect("reads").trim().to_owned());
    for link in &world.links {
        secrets.push(link.access_token.clone());
        secrets.extend(link.accounts.iter().map(|account| account.number.clone()));
    }
    assert!(secrets.len() > 6, "tokens and numbers to look for");
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

#[test]
fn whoever_may_read_the_store_may_ask_about_it_without_its_secrets() {
    let desk = Desk::new(2);
    desk.ends_with(0, &["run", "--once"]);
    std::fs::remove_file(desk.dir.path().join("store.key")).expect("removes");
    std::fs::remove_file(desk.dir.path().join("truv.secret")).expect("removes");
    for verb in [&["status"][..], &["explain", "1"], &["links", "list"], &["links", "show", "1"], &["verify"]] {
        desk.ends_with(0, verb);
    }
    desk.ends_with(2, &["sync", "1"]);
}

#[test]
fn keys_are_new_each_time() {
    let desk = Desk::new(1);
    let key = || text(&desk.bare().arg("keygen").output().expect("runs").stdout);
    assert_ne!(key(), key());
    assert!(Timestamp::UNIX_EPOCH < desk.bank.now());
}
