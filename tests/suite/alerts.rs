//! Who is told what, and how often: breaks and repairs of the bank against a receiver that may be down, slow or gone.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use passbook::alert::{self, AlertOptions, Alerts};
use passbook::config::AlertConfig;
use passbook::config::alert::Command;
use passbook::http::Transport;
use passbook::sandbox::{Fault, LinkId, Plan, Scope, Served};
use passbook::secret::Secret;
use passbook::store::Way;
use serde_json::Value;

use crate::harness::Bench;

/// How a receiver takes messages.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Takes,
    Refuses,
    /// Takes it, and never says so.
    Hangs,
}

/// Whoever should be told.
#[derive(Clone)]
pub(crate) struct Receiver {
    heard: Arc<Mutex<Vec<Value>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Receiver {
    pub(crate) fn new() -> Self {
        Self { heard: Arc::default(), mood: Arc::new(Mutex::new(Mood::Takes)) }
    }

    fn becomes(&self, mood: Mood) {
        *self.mood.lock().expect("a mood") = mood;
    }

    /// What was taken since the last time this was asked.
    pub(crate) fn heard(&self) -> Vec<Value> {
        std::mem::take(&mut *self.heard.lock().expect("messages"))
    }

    /// The same, as event and kind.
    pub(crate) fn events(&self) -> Vec<String> {
        let word = |message: &Value, key: &str| message[key].as_str().expect("text").to_owned();
        self.heard().iter().map(|message| format!("{} {}", word(message, "event"), word(message, "kind"))).collect()
    }

    fn transport(&self) -> Transport {
        Transport::in_process(Router::new().fallback(hear).with_state(self.clone()))
    }
}

async fn hear(State(receiver): State<Receiver>, body: Bytes) -> StatusCode {
    let mood = *receiver.mood.lock().expect("a mood");
    if mood == Mood::Refuses {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let message = serde_json::from_slice(&body).expect("JSON");
    receiver.heard.lock().expect("messages").push(message);
    if mood == Mood::Hangs {
        std::future::pending::<()>().await;
    }
    StatusCode::NO_CONTENT
}

fn by_webhook() -> AlertConfig {
    AlertConfig { webhook_url: Some(Secret::new("https://hooks.example.com/t0ken")), ..AlertConfig::default() }
}

/// As a process that has just started has them.
fn alerts(bench: &Bench, receiver: &Receiver, config: &AlertConfig) -> Alerts {
    Alerts::new(AlertOptions {
        store: bench.store.clone(),
        clock: bench.clock.clone(),
        config,
        dashboard: Some("http://127.0.0.1:8781/".to_owned()),
        transport: receiver.transport(),
        seed: 3,
    })
    .expect("alerts")
}

/// Passes every 15 seconds for a while, by a process that has just started.
pub(crate) async fn watch(bench: &Bench, receiver: &Receiver, minutes: u64) {
    let alerts = alerts(bench, receiver, &by_webhook());
    for _ in 0..minutes * 4 {
        bench.pass(Duration::from_secs(15)).await;
        alerts.pass().await.expect("the store works");
    }
}

/// A store that holds some links, nine hours later.
async fn street(links: usize) -> (Bench, Vec<LinkId>) {
    let bench = Bench::pulling(Served::Truv, "");
    bench.bank.seed_world(&Plan { links, transactions_per_link: 3, ..Plan::default() });
    bench.run_once().await;
    bench.pass(Duration::from_hours(9)).await;
    let links = bench.bank.truth().links.iter().map(|link| link.id).collect();
    (bench, links)
}

async fn forbid(bench: &Bench, links: &[LinkId]) -> Vec<passbook::sandbox::FaultId> {
    let faults = links.iter().map(|link| bench.bank.fault(Fault::Status(403), Scope::link(*link))).collect();
    bench.sync_all(false).await;
    faults
}

async fn mend(bench: &Bench, faults: Vec<passbook::sandbox::FaultId>) {
    for fault in faults {
        bench.bank.clear_fault(fault);
    }
    bench.sync_all(false).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_link_is_told_once_after_the_grace_and_its_repair_once() {
    let (bench, links) = street(3).await;
    let receiver = Receiver::new();
    watch(&bench, &receiver, 1).await;
    assert_eq!(receiver.events(), [""; 0], "all is well");
    let faults = forbid(&bench, &links[1..2]).await;
    watch(&bench, &receiver, 9).await;
    assert_eq!(receiver.events(), [""; 0], "within the grace");
    watch(&bench, &receiver, 5).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    let message = &heard[0];
    let link_id = bench.link_id(links[1]);
    assert_eq!(
        [&message["event"], &message["kind"], &message["source"], &message["aggregator"], &message["reason"]],
        ["raised", "link_attention", "truv", "truv", "access"]
    );
    assert_eq!((&message["link_id"], &message["upstream_link_id"]), (&link_id.into(), &links[1].to_string().into()));
    assert_eq!(message["dashboard"], format!("http://127.0.0.1:8781/links/{link_id}"));
    let text = message["text"].as_str().expect("text");
    assert!(text.starts_with(&format!("truv: link {link_id} has needed a person since 2026-03-02 21:")), "{text}");
    watch(&bench, &receiver, 60).await;
    assert_eq!(receiver.events(), [""; 0], "told once");
    mend(&bench, faults).await;
    watch(&bench, &receiver, 5).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_eq!([&heard[0]["event"], &heard[0]["link_id"]], [&Value::from("resolved"), &link_id.into()]);
    assert!(heard[0]["resolved_at"].is_string() && heard[0]["id"] != message["id"]);
    watch(&bench, &receiver, 60).await;
    assert_eq!(receiver.events(), [""; 0]);
    forbid(&bench, &links[1..2]).await;
    watch(&bench, &receiver, 15).await;
    let again = receiver.heard();
    assert_eq!((again.len(), again[0]["id"] == message["id"]), (1, false), "a new break is a new alert");
}

#[tokio::test(start_paused = true)]
async fn a_kill_between_sending_and_noting_sends_again_under_the_same_id() {
    let (bench, links) = street(1).await;
    let receiver = Receiver::new();
    forbid(&bench, &links).await;
    bench.pass(Duration::from_mins(11)).await;
    receiver.becomes(Mood::Hangs);
    let killed = alerts(&bench, &receiver, &by_webhook());
    assert!(tokio::time::timeout(Duration::from_secs(1), killed.pass()).await.is_err(), "killed while it waits");
    let first = receiver.heard();
    receiver.becomes(Mood::Takes);
    watch(&bench, &receiver, 10).await;
    let second = receiver.heard();
    assert_eq!((first.len(), &first), (1, &second));
    watch(&bench, &receiver, 60).await;
    assert_eq!(receiver.events(), [""; 0]);
    assert_eq!(bench.value("SELECT count(*) FROM alerts"), "1");
}

#[tokio::test(start_paused = true)]
async fn an_alert_that_ends_while_its_message_may_be_known_is_ended_aloud() {
    let (bench, links) = street(1).await;
    let receiver = Receiver::new();
    let faults = forbid(&bench, &links).await;
    bench.pass(Duration::from_mins(11)).await;
    receiver.becomes(Mood::Hangs);
    let killed = alerts(&bench, &receiver, &by_webhook());
    let _ = tokio::time::timeout(Duration::from_secs(1), killed.pass()).await;
    assert_eq!(receiver.events(), ["raised link_attention"]);
    mend(&bench, faults).await;
    receiver.becomes(Mood::Takes);
    watch(&bench, &receiver, 10).await;
    assert_eq!(receiver.events(), ["resolved link_attention"]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_down_is_tried_less_and_less_and_hears_in_the_end() {
    let (bench, links) = street(1).await;
    let receiver = Receiver::new();
    receiver.becomes(Mood::Refuses);
    forbid(&bench, &links).await;
    watch(&bench, &receiver, 10 * 60).await;
    let tries: u32 = bench.value("SELECT tries FROM alerts").parse().expect("a number");
    assert!((6..12).contains(&tries), "{tries}");
    let error = bench.value("SELECT last_error FROM alerts");
    assert_eq!(error, "the alert webhook: answered with status 503", "and not where");
    receiver.becomes(Mood::Takes);
    watch(&bench, &receiver, 7 * 60).await;
    assert_eq!(receiver.events(), ["raised link_attention"]);
    assert_eq!(bench.rows("SELECT tries, next_try_at, last_error FROM alerts"), [["0", "NULL", "NULL"]]);
}

#[tokio::test(start_paused = true)]
async fn what_begins_again_is_told_after_its_former_end_and_no_later_for_it() {
    let (bench, links) = street(2).await;
    let receiver = Receiver::new();
    let faults = forbid(&bench, &links[..1]).await;
    watch(&bench, &receiver, 15).await;
    assert_eq!(receiver.events(), ["raised link_attention"]);
    receiver.becomes(Mood::Refuses);
    mend(&bench, faults).await;
    watch(&bench, &receiver, 10 * 60).await;
    forbid(&bench, &links[..1]).await;
    watch(&bench, &receiver, 15).await;
    assert_eq!(bench.value("SELECT count(*) FROM alerts WHERE next_try_at IS NOT NULL"), "2");
    receiver.becomes(Mood::Takes);
    watch(&bench, &receiver, 20).await;
    assert_eq!(receiver.events(), ["resolved link_attention", "raised link_attention"]);
    assert_eq!(bench.value("SELECT count(*) FROM alerts WHERE next_try_at IS NOT NULL"), "0");
}

#[tokio::test(start_paused = true)]
async fn what_ends_before_anybody_heard_is_not_told_at_all() {
    let (bench, links) = street(1).await;
    let receiver = Receiver::new();
    receiver.becomes(Mood::Refuses);
    let faults = forbid(&bench, &links).await;
    watch(&bench, &receiver, 20).await;
    assert_eq!(bench.value("SELECT tries > 0 FROM alerts"), "1");
    mend(&bench, faults).await;
    receiver.becomes(Mood::Takes);
    watch(&bench, &receiver, 120).await;
    assert_eq!(receiver.events(), [""; 0]);
    assert_eq!(bench.value("SELECT resolved_at IS NOT NULL AND next_try_at IS NULL FROM alerts"), "1");
}

#[tokio::test(start_paused = true)]
async fn many_links_at_once_are_one_message_each_way() {
    let (bench, links) = street(25).await;
    let receiver = Receiver::new();
    let faults = forbid(&bench, &links[..23]).await;
    receiver.becomes(Mood::Refuses);
    watch(&bench, &receiver, 13).await;
    receiver.becomes(Mood::Takes);
    forbid(&bench, &links[23..24]).await;
    watch(&bench, &receiver, 15).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 2, "{heard:#?}");
    let summary = &heard[0];
    assert_eq!((&summary["links"], &summary["reasons"]["access"]), (&23.into(), &23.into()));
    assert!(summary.get("link_id").is_none() && summary["id"].as_str().expect("text").starts_with("summary-"));
    assert!(summary["text"].as_str().expect("text").contains("23 links need a person (access 23)"));
    assert_eq!(heard[1]["link_id"], bench.link_id(links[23]), "one that came later stands alone");
    mend(&bench, faults).await;
    watch(&bench, &receiver, 5).await;
    let heard = receiver.heard();
    assert_eq!(heard.len(), 1, "{heard:#?}");
    assert_eq!((&heard[0]["event"], &heard[0]["links"]), (&"resolved".into(), &23.into()));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_stands_still_is_told_and_its_return_too() {
    let (bench, _) = street(2).await;
    let receiver = Receiver::new();
    bench.run_once().await;
    let fault = bench.bank.fault(Fault::Status(500), Scope::all());
    bench.pass(Duration::from_hours(23)).await;
    bench.run_once().await;
    watch(&bench, &receiver, 5).await;
    assert_eq!(receiver.events(), [""; 0]);
    bench.pass(Duration::from_hours(1)).await;
    watch(&bench, &receiver, 5).await;
    assert_eq!(receiver.events(), ["raised source_stale"]);
    bench.bank.clear_fault(fault);
    bench.sync_all(false).await;
    watch(&bench, &receiver, 5).await;
    assert_eq!(receiver.events(), ["resolved source_stale"]);
}

#[tokio::test(start_paused = true)]
async fn a_source_without_links_or_whose_links_all_need_a_person_is_not_stale() {
    let empty = Bench::pulling(Served::Truv, "");
    empty.run_once().await;
    let (bench, links) = street(2).await;
    forbid(&bench, &links).await;
    for bench in [empty, bench] {
        let receiver = Receiver::new();
        bench.pass(Duration::from_hours(48)).await;
        watch(&bench, &receiver, 1).await;
        assert!(!receiver.events().contains(&"raised source_stale".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn refused_credentials_are_told_once_until_they_work_again() {
    let (bench, _) = street(2).await;
    let receiver = Receiver::new();
    let fault = bench.bank.fault(Fault::Status(401), Scope::all());
    for _ in 0..5 {
        bench.run_once().await;
        watch(&bench, &receiver, 7).await;
    }
    assert_eq!(receiver.events(), ["raised source_refused"]);
    bench.bank.clear_fault(fault);
    bench.pass(Duration::from_hours(1)).await;
    bench.sync_all(false).await;
    watch(&bench, &receiver, 2).await;
    assert_eq!(receiver.events(), ["resolved source_refused"]);
}

#[tokio::test(start_paused = true)]
async fn webhooks_that_stopped_are_told_until_they_come_again() {
    let (bench, _) = street(1).await;
    let receiver = Receiver::new();
    for (state, events) in [
        ("missing", Vec::new()),
        ("disabled", vec!["raised webhooks_disabled"]),
        ("enabled", vec!["resolved webhooks_disabled"]),
    ] {
        note_endpoint(&bench, state);
        watch(&bench, &receiver, 2).await;
        assert_eq!(receiver.events(), events, "{state}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the state is set as a look at the aggregator would, without one")]
fn note_endpoint(bench: &Bench, state: &str) {
    let connection = rusqlite::Connection::open(bench.path()).expect("the store's file");
    connection.execute("UPDATE sources SET webhook_endpoint = ?1", [state]).expect("written");
}

#[tokio::test(start_paused = true)]
async fn nothing_private_is_in_any_message() {
    let (bench, links) = street(24).await;
    let receiver = Receiver::new();
    forbid(&bench, &links[..1]).await;
    watch(&bench, &receiver, 12).await;
    forbid(&bench, &links[1..23]).await;
    watch(&bench, &receiver, 13).await;
    bench.bank.fault(Fault::Status(401), Scope::all());
    bench.sync_all(false).await;
    watch(&bench, &receiver, 2).await;
    bench.pass(Duration::from_hours(30)).await;
    watch(&bench, &receiver, 2).await;
    let heard = receiver.heard();
    let kinds: BTreeSet<_> = heard.iter().map(|message| message["kind"].as_str().expect("text")).collect();
    assert_eq!(kinds, BTreeSet::from(["link_attention", "source_refused", "source_stale"]));
    let said: String = heard.iter().map(Value::to_string).collect();
    let private = bench.rows(
        "SELECT upstream_id FROM users UNION SELECT external_id FROM users WHERE external_id IS NOT NULL
         UNION SELECT name FROM institutions UNION SELECT name FROM accounts UNION SELECT attention_detail FROM links
         WHERE attention_detail IS NOT NULL UNION SELECT description FROM transactions",
    );
    assert!(private.len() > 20);
    let leaked: Vec<_> =
        private.iter().map(|row| &row[0]).filter(|text| text.len() > 3 && said.contains(*text)).collect();
    assert_eq!(leaked, Vec::<&String>::new());
    assert!(!said.contains(&bench.secret) && !said.contains("t0ken"));
}

#[tokio::test(start_paused = true)]
async fn without_anybody_to_tell_the_store_notes_it_all_the_same() {
    let (bench, links) = street(2).await;
    let receiver = Receiver::new();
    forbid(&bench, &links[..1]).await;
    bench.pass(Duration::from_mins(11)).await;
    let alerts = alerts(&bench, &receiver, &AlertConfig::default());
    alerts.pass().await.expect("the store works");
    assert_eq!(
        bench.rows("SELECT kind, resolved_at, raised_told_at FROM alerts"),
        [["link_attention", "NULL", "NULL"]]
    );
    assert_eq!(receiver.events(), [""; 0]);
    watch(&bench, &receiver, 1).await;
    assert_eq!(receiver.events(), ["raised link_attention"], "as soon as there is somebody");
}

#[tokio::test(start_paused = true)]
async fn a_paused_or_removed_link_needs_nobody() {
    let (bench, links) = street(2).await;
    let receiver = Receiver::new();
    forbid(&bench, &links).await;
    watch(&bench, &receiver, 11).await;
    assert_eq!(receiver.heard().len(), 2);
    let (first, second, now) = (bench.link_id(links[0]), bench.link_id(links[1]), bench.clock.now());
    let change = move |txn: &passbook::store::WriteTxn<'_>| {
        txn.set_paused(first, true, now)?;
        txn.remove_link(second, passbook::store::RemovedBy::Operator, now)
    };
    bench.store.write(change).await.expect("the store works");
    watch(&bench, &receiver, 1).await;
    assert_eq!(receiver.events(), ["resolved link_attention"; 2]);
}

mod commands {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// A program that does as `script` says, with the directory as its second argument.
    fn program(dir: &Path, script: &str) -> Command {
        let arguments = ["-c", script, "page", "--urgent", &dir.display().to_string()].map(str::to_owned);
        Command { program: "/bin/sh".into(), arguments: arguments.to_vec() }
    }

    async fn tell(config: &AlertConfig, receiver: &Receiver) -> Vec<(Way, Result<(), String>)> {
        let now = "2026-03-02T12:00:00Z".parse().expect("an instant");
        let results = alert::test(config, receiver.transport(), None, now).await.expect("alerts");
        results.into_iter().map(|(way, result)| (way, result.map_err(|error| error.to_string()))).collect()
    }

    // A child process knows nothing of virtual time.
    #[tokio::test]
    async fn a_command_hears_the_message_and_sees_nothing_else_of_us() {
        let dir = tempfile::tempdir().expect("a directory");
        let script = "cat >\"$2/heard\"; env >\"$2/env\"; echo \"$1\" >\"$2/argument\"; echo noise; echo noise >&2";
        let config = AlertConfig { command: Some(program(dir.path(), script)), ..AlertConfig::default() };
        assert_eq!(tell(&config, &Receiver::new()).await, [(Way::Command, Ok(()))]);
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).expect("written");
        let message: Value = serde_json::from_str(&read("heard")).expect("JSON");
        assert_eq!((&message["event"], &message["kind"]), (&"test".into(), &"test".into()));
        assert_eq!(read("argument"), "--urgent\n");
        let names: BTreeSet<String> =
            read("env").lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.to_owned()).collect();
        for name in ["PASSBOOK_EVENT", "PASSBOOK_KIND", "PASSBOOK_SOURCE", "PASSBOOK_LINK", "PATH"] {
            assert!(names.contains(name), "{name} is not in {names:?}");
        }
        // What a shell adds by itself.
        let ours = names.iter().filter(|name| !["PWD", "OLDPWD", "SHLVL", "_"].contains(&name.as_str()));
        assert_eq!(ours.count(), 5, "{names:?}");
    }

    #[tokio::test]
    async fn a_command_that_fails_or_is_not_there_is_said_and_the_other_way_is_taken() {
        let dir = tempfile::tempdir().expect("a directory");
        let receiver = Receiver::new();
        let failing = AlertConfig { command: Some(program(dir.path(), "exit 3")), ..by_webhook() };
        let results = tell(&failing, &receiver).await;
        assert_eq!(results[0], (Way::Webhook, Ok(())));
        assert_eq!(results[1].1.as_ref().expect_err("it fails"), "the alert command: ended with exit status: 3");
        assert_eq!(receiver.events(), ["test test"]);
        let gone = Command { program: dir.path().join("gone"), arguments: Vec::new() };
        let gone = AlertConfig { command: Some(gone), ..AlertConfig::default() };
        let results = tell(&gone, &receiver).await;
        assert!(results[0].1.as_ref().expect_err("it is gone").starts_with("the alert command: not started: "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_way_that_has_taken_the_message_is_not_told_again_for_the_others_sake() {
        let (bench, links) = street(1).await;
        let dir = tempfile::tempdir().expect("a directory");
        let receiver = Receiver::new();
        forbid(&bench, &links).await;
        bench.pass(Duration::from_mins(11)).await;
        let gone = Command { program: dir.path().join("gone"), arguments: Vec::new() };
        let both = AlertConfig { command: Some(gone), ..by_webhook() };
        let alerts = alerts(&bench, &receiver, &both);
        for _ in 0..60 {
            alerts.pass().await.expect("the store works");
            bench.pass(Duration::from_mins(1)).await;
        }
        assert_eq!(receiver.events(), ["raised link_attention"]);
        assert_eq!(bench.rows("SELECT accepted_by, tries > 3, raised_told_at FROM alerts"), [["webhook", "1", "NULL"]]);
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_has_the_id_that_one_of_a_forgotten_customer_had() {
    let (bench, links) = street(2).await;
    let receiver = Receiver::new();
    forbid(&bench, &links[1..]).await;
    watch(&bench, &receiver, 15).await;
    let first = receiver.heard();
    let customer = bench.bank.true_link(links[1]).user_upstream_id;
    let engine = bench.engine().await;
    let forgotten = engine.forget(1, customer, false).await.expect("the store works");
    assert_eq!(forgotten.len(), 1);
    assert_eq!(bench.value("SELECT count(*) FROM alerts"), "0");
    forbid(&bench, &links[..1]).await;
    watch(&bench, &receiver, 15).await;
    let second = receiver.heard();
    assert_eq!((first.len(), second.len()), (1, 1), "{second:#?}");
    assert_ne!(first[0]["id"], second[0]["id"]);
}
