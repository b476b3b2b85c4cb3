//! How many requests a sync costs, and how well a backlog uses the request limit, also where every user has one of its own.
//! Virtual time: minutes pass at once.

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
mod table;
#[path = "requests/users.rs"]
mod users;

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::{Daemon, Event};
use passbook::http::Transport;
use passbook::sandbox::{Plan, Sandbox};
use passbook::store::{NewEvent, Store};
use passbook::sync::{Engine, Step, SyncReport};
use tokio_util::sync::CancellationToken;

use setup::Keys;
use table::{Table, percent, verdict};

const START: &str = "2026-03-02T12:00:00Z";
const LIMIT: u64 = 300;
const TARGET_POLLED: u64 = 5;
const TARGET_ANNOUNCED: u64 = 3;
const TARGET_USED_PERCENT: u64 = 85;
/// Links of the backlog: more than the minutes measured can work off.
const BACKLOG_LINKS: usize = 3_000;
/// Minutes before and after the restart.
const MINUTES: u64 = 6;

fn main() {
    // First, while this process has no memory of others' to use again.
    let bytes_of_a_user = in_virtual_time(users::bytes_of_a_user());
    in_virtual_time(incremental());
    in_virtual_time(backlog());
    in_virtual_time(users::users(bytes_of_a_user));
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(work)
}

/// A bank, a store and a configuration in virtual time.
struct Bench {
    bank: Sandbox,
    clock: Clock,
    config: Config,
    store: Store,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(plan: &Plan) -> Self {
        let start: Timestamp = START.parse().expect("an instant");
        let clock = Clock::virtual_at(start);
        let bank = Sandbox::new(Clock::virtual_at(start), 7);
        bank.seed_world(plan);
        let dir = tempfile::tempdir().expect("a directory");
        let config = setup::config(dir.path(), &Keys::of(&bank), "http://127.0.0.1:1", "");
        let store = setup::open_store(&config, &clock);
        Self { bank, clock, config, store, _dir: dir }
    }

    async fn engine(&self) -> Arc<Engine> {
        setup::engine(&self.config, &self.store, &self.clock, Transport::in_process(self.bank.router())).await
    }

    async fn run_once(&self) -> Vec<SyncReport> {
        let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let daemon = Daemon::new(self.engine().await, setup::daemon_options(&self.config, true)).watched_by(events);
        daemon.run(CancellationToken::new()).await.expect("the store works");
        let mut reports = Vec::new();
        while let Some(event) = seen.recv().await {
            if let Event::Stepped { step: Step::Ended(report), .. } = event {
                reports.extend(report);
            }
        }
        reports
    }

    async fn run_for(&self, duration: Duration) {
        let stop = CancellationToken::new();
        let daemon = Daemon::new(self.engine().await, setup::daemon_options(&self.config, false));
        let timer = async {
            tokio::time::sleep(duration).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), timer);
        result.expect("the store works");
    }

    /// What the sandbox received since this was last asked, without discovery; ids are shortened away.
    fn requests(&self) -> Vec<String> {
        let log = self.bank.request_log();
        self.bank.clear_request_log();
        log.iter()
            .map(|logged| {
                let path = logged.path.split('?').next().unwrap_or_default();
                let words: Vec<&str> = path.split('/').filter(|part| part.len() < 32 && *part != "v1").collect();
                format!("{} {}", logged.method, words.join("/").trim_matches('/'))
            })
            .filter(|line| line != "GET users" && line != "GET links")
            .collect()
    }
}

/// Stores the webhook that says that a task is done.
async fn announce(bench: &Bench, task: &str) {
    let event = NewEvent {
        source_id: 1,
        digest: [0; 32],
        user: None,
        link: None,
        event_type: "task-status-updated".to_owned(),
        announced_at: None,
        received_at: bench.clock.now(),
        body: format!(r#"{{"event_type":"task-status-updated","task_id":"{task}","status":"done"}}"#),
    };
    bench.store.write(move |txn| txn.put_event(&event)).await.expect("the store works");
}

async fn incremental() {
    let bench = Bench::new(&Plan { links: 1, transactions_per_link: 200, ..Plan::default() });
    bench.run_once().await;
    let link_id = 1;
    tokio::time::sleep(Duration::from_hours(9)).await;
    bench.requests();
    let polled: u32 = bench.run_once().await.iter().map(|r| r.counts.rows_changed()).sum();
    let polled_requests = bench.requests();

    tokio::time::sleep(Duration::from_hours(16)).await;
    let engine = bench.engine().await;
    let waiting = engine.advance(link_id).await.expect("the store works");
    assert!(matches!(waiting, Step::Waiting { .. }), "{waiting:?}");
    let refresh = bench.store.read(move |txn| txn.open_refresh(link_id)).await.expect("the store works");
    let task = refresh.and_then(|r| r.upstream_task_id).expect("a refresh that runs");
    tokio::time::sleep(Duration::from_mins(1)).await;
    announce(&bench, &task).await;
    assert_eq!(engine.take_news().await.expect("the store works").applied, 1);
    let step = engine.advance(link_id).await.expect("the store works");
    let Step::Ended(announced) = step else {
        panic!("the sync has not ended: {step:?}");
    };
    let announced_requests = bench.requests();

    let table = Table::new(
        "requests: a sync of one link without news, a refresh takes the bank 45 s",
        &["what                       ", "figure", "target", "      ", "requests                                     "],
    );
    for (what, requests, target) in [
        ("requests with polling", &polled_requests, TARGET_POLLED),
        ("requests when announced", &announced_requests, TARGET_ANNOUNCED),
    ] {
        let count = requests.len() as u64;
        table.row(&[
            what.to_owned(),
            count.to_string(),
            target.to_string(),
            verdict(count <= target),
            requests.join(", "),
        ]);
    }
    let written = polled + announced[0].counts.rows_changed();
    table.row(&["transaction rows written".to_owned(), written.to_string(), "0".to_owned(), verdict(written == 0)]);
}

async fn backlog() {
    let mut bench = Bench::new(&Plan { links: BACKLOG_LINKS, transactions_per_link: 10, ..Plan::default() });
    let began = bench.clock.now();
    bench.run_for(Duration::from_secs(MINUTES * 60)).await;
    let restarted = bench.clock.now();
    bench.store = setup::open_store(&bench.config, &bench.clock);
    bench.run_for(Duration::from_secs(MINUTES * 60)).await;
    let ended = bench.clock.now();

    // The first minute of a process starts with an empty bucket; what it leaves unused is told apart.
    let before = worst_minute(&bench.bank, began, restarted, 1);
    let after = worst_minute(&bench.bank, restarted, ended, 1);
    let across =
        requests_between(&bench.bank, restarted.saturating_sub(SignedDuration::from_secs(30)).expect("an instant"));
    let worst = bench.bank.worst_window(&bench.bank.truv_secret(), SignedDuration::from_mins(1)) as u64;
    let throttled = bench.bank.throttled_count() as u64;
    let table = Table::new(
        "requests: a backlog of 3,000 new links against a limit of 300 a minute, restarted after 6 of 12 minutes",
        &["what                                ", "figure", "of 300", " target", "      "],
    );
    for (what, count) in [
        ("fewest in a steady minute", before),
        ("the same after the restart", after),
        ("in the minute around the restart", across),
    ] {
        let used = percent(count, LIMIT);
        table.row(&[
            what.to_owned(),
            count.to_string(),
            format!("{used} %"),
            format!(">= {TARGET_USED_PERCENT} %"),
            verdict(used >= TARGET_USED_PERCENT),
        ]);
    }
    table.row(&[
        "most in any 60 s, as the bank saw it".to_owned(),
        worst.to_string(),
        format!("{} %", percent(worst, LIMIT)),
        format!("<= {LIMIT}"),
        verdict(worst <= LIMIT),
    ]);
    table.row(&[
        "answered 429".to_owned(),
        throttled.to_string(),
        String::new(),
        "0".to_owned(),
        verdict(throttled == 0),
    ]);
}

/// The fewest requests in any whole minute from `from` to `to`, without the first `skipped`.
fn worst_minute(bank: &Sandbox, from: Timestamp, to: Timestamp, skipped: i64) -> u64 {
    let minutes = to.duration_since(from).as_secs() / 60;
    (skipped..minutes)
        .filter_map(|minute| from.saturating_add(SignedDuration::from_mins(minute)).ok())
        .map(|start| requests_between(bank, start))
        .min()
        .unwrap_or(0)
}

/// Requests in the minute that starts at `start`.
fn requests_between(bank: &Sandbox, start: Timestamp) -> u64 {
    let end = start.saturating_add(SignedDuration::from_mins(1)).expect("an instant");
    bank.request_log().iter().filter(|logged| logged.at >= start && logged.at < end).count() as u64
}
