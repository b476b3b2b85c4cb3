//! Orders that cannot be carried out, or whose end nobody would tell; and words of banks that a terminal would obey.

use std::io::Read as _;
use std::process::Stdio;
use std::time::Duration;

use passbook::sandbox::Served;

use super::desk::{Daemon, Desk, query, text, wait_for};

fn desk() -> Desk {
    let desk = Desk::at(Served::Truv, 2);
    desk.ends_with(0, &["run", "--once"]);
    desk
}

/// A command that may be waiting for something; it does not outlive the test.
struct Waiting(Daemon);

impl Waiting {
    fn begin(desk: &Desk, arguments: &[&str]) -> Self {
        let mut command = desk.bare();
        command.arg("--config").arg(desk.config()).args(arguments).stdin(Stdio::null());
        Self(Daemon(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")))
    }

    /// How it ended, soon, with what it said: (code, standard output, standard error).
    fn end(mut self) -> (Option<i32>, String, String) {
        let child = &mut self.0.0;
        wait_for("the command to end", || child.try_wait().expect("a state").is_some());
        let code = child.wait().expect("ended").code();
        let (mut out, mut err) = (String::new(), String::new());
        child.stdout.take().expect("a pipe").read_to_string(&mut out).expect("text");
        child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
        (code, out, err)
    }
}

fn is_refused(desk: &Desk, arguments: &[&str], words: &[&str]) {
    let (code, out, err) = Waiting::begin(desk, arguments).end();
    assert_eq!(code, Some(1), "{arguments:?}\n{out}\n{err}");
    assert!(words.iter().all(|word| err.contains(word)), "{arguments:?}: {err}");
}

#[test]
fn a_link_that_no_sync_would_come_to_is_refused_with_what_to_do() {
    for is_daemon_there in [true, false] {
        let desk = desk();
        let daemon = is_daemon_there.then(|| desk.daemon());
        desk.ends_with(0, &["links", "pause", "1"]);
        is_refused(&desk, &["sync", "1"], &["link 1", "paused", "passbook links resume 1"]);
        is_refused(&desk, &["sync", "2", "1"], &["link 1", "paused"]);
        let asked = "SELECT count(*) FROM links WHERE due_cause = 'person' OR sync_id IS NOT NULL";
        assert_eq!(query(&desk.store(), asked), 0, "of several none is asked for");
        let results = desk.json(0, &["sync", "--json"]);
        assert_eq!(results.as_array().map(Vec::len), Some(1), "all means all that are synced: {results}");
        assert_eq!((&results[0]["link_id"], &results[0]["outcome"]), (&2.into(), &"ok".into()), "{results}");
        desk.ends_with(0, &["links", "remove", "2"]);
        is_refused(&desk, &["sync", "2"], &["link 2", "removed", "passbook links resume 2"]);
        desk.ends_with(0, &["links", "resume", "1"]);
        drop(daemon);
        let config = std::fs::read_to_string(desk.config()).expect("reads");
        std::fs::write(desk.config(), config.replace("name = \"bank\"", "name = \"other\"")).expect("writes");
        is_refused(&desk, &["sync", "1"], &["link 1", "not in the configuration", "[[source]]"]);
    }
}

#[test]
fn a_link_that_is_named_twice_is_waited_for_once() {
    let desk = desk();
    let _daemon = desk.daemon();
    let upstream_id = desk.json(0, &["links", "show", "1", "--json"])["link"]["upstream_link_id"].clone();
    let upstream_id = upstream_id.as_str().expect("an id");
    let (code, out, err) = Waiting::begin(&desk, &["sync", "1", upstream_id, "1", "--json"]).end();
    assert_eq!(code, Some(0), "{out}\n{err}");
    let results: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(results.as_array().map(Vec::len), Some(1), "{out}");
}

#[test]
fn whoever_waits_for_a_sync_is_told_when_the_link_is_paused_or_the_daemon_goes() {
    let desk = desk();
    let daemon = desk.daemon();
    // Nothing comes to an end as long as anybody waits here.
    desk.bank.settings(|settings| settings.latency = Duration::from_secs(25));
    let begun =
        |link: i64| query(&desk.store(), &format!("SELECT sync_id IS NOT NULL FROM links WHERE link_id = {link}"));
    let waiting = Waiting::begin(&desk, &["sync", "1", "--json"]);
    wait_for("the sync to begin", || begun(1) == 1);
    desk.ends_with(0, &["links", "pause", "1"]);
    let (code, out, err) = waiting.end();
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(out.contains("\"not synced\""), "{out}");

    let waiting = Waiting::begin(&desk, &["sync", "2"]);
    wait_for("the other sync to begin", || begun(2) == 1);
    daemon.signal("-KILL");
    let (code, out, err) = waiting.end();
    assert_eq!(code, Some(1), "{out}\n{err}");
    assert!(out.contains("not synced") && err.contains("the daemon ended"), "{out}\n{err}");
}

#[test]
fn words_that_a_terminal_would_obey_are_shown_and_stay_exact_for_programs() {
    let desk = desk();
    let sql = "SELECT 1 AS n, char(27) || ']0;owned' || char(7) || 'a' || char(10) || 'b' || char(8238) AS words";
    let table = desk.ends_with(0, &["query", sql]);
    assert!(table.contains("\u{fffd}]0;owned\u{fffd}a b\u{fffd}\n"), "{table:?}");
    let csv = desk.ends_with(0, &["query", "--format", "csv", sql]);
    assert_eq!(csv, "n,words\n1,\"\u{1b}]0;owned\u{7}a\nb\u{202e}\"\n");
    let json = desk.json(0, &["query", "--json", sql]);
    assert_eq!(json[0]["words"], "\u{1b}]0;owned\u{7}a\nb\u{202e}");

    // An error of a link, as a bank could word it.
    let words = "UPDATE links SET last_error = 'no' || char(27) || '[2J', consecutive_failures = 1 WHERE link_id = 1;
                 UPDATE users SET external_id = 'eve' || char(155) || '31m' WHERE user_id = 1;";
    super::desk::tamper(&desk.store(), words);
    for command in [&["status"][..], &["links", "list"], &["links", "show", "1"], &["explain", "1"]] {
        let said = text(&desk.passbook(command).stdout);
        let is_obeyed = |c: char| c.is_control() && c != '\n';
        assert!(!said.contains(is_obeyed) && said.contains('\u{fffd}'), "{command:?}: {said:?}");
    }
}
