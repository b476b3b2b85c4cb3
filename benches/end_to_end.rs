//! How fast a first run gets a bank into the store: discovery, every link's backfill, to the last commit.
//!
//! The sandbox answers in this process, at once and without a request limit; the program's own limiter is set to the most a
//! configuration allows, 100,000 requests a minute, which is far more than are sent. Two ceilings from the same run: the
//! requests of that very run sent to the sandbox again with the answers dropped, and the same links fetched through the
//! client and normalized, without a store.

#[path = "shared/rates.rs"]
mod rates;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
mod table;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use passbook::aggregator::{CallContext, Feed, Window};
use passbook::clock::Clock;
use passbook::daemon::{Daemon, Event};
use passbook::http::Transport;
use passbook::limits::requests::Lane;
use passbook::sandbox::{Pace, Plan, Sandbox};
use passbook::sync::{Engine, Step};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use rates::{grouped, per_second};
use setup::Keys;
use table::{Table, percent, verdict};

const LINKS: usize = 300;
const ROWS_PER_LINK: usize = 1_000;
const ROWS: u64 = (LINKS * ROWS_PER_LINK) as u64;
const ROUNDS: usize = 3;
const TARGET_ROWS_PER_SECOND: u64 = 50_000;

fn main() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(measure());
}

async fn measure() {
    let bank = Sandbox::new(Clock::system(), 7);
    bank.settings(|s| {
        s.request_limit = None;
        s.pace = Pace::instant();
    });
    bank.seed_world(&Plan { links: LINKS, transactions_per_link: ROWS_PER_LINK, ..Plan::default() });
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let (whole, without_store) = run(&bank).await;
        took[0].push(whole);
        took[1].push(without_store);
        took[2].push(replay(&bank).await);
    }
    let [speed, normalized, fetched] = took.map(|mut rounds| {
        rounds.sort();
        per_second(ROWS, rounds[rounds.len() / 2])
    });
    let title =
        format!("end to end: {} rows of {LINKS} links into a new store, median of {ROUNDS} (rows/s)", grouped(ROWS));
    let table = Table::new(&title, &["what                     ", "   rows/s", "passbook / this", "target", "      "]);
    table.row(&[
        "passbook".to_owned(),
        grouped(speed),
        String::new(),
        grouped(TARGET_ROWS_PER_SECOND),
        verdict(speed >= TARGET_ROWS_PER_SECOND),
    ]);
    for (what, ceiling) in [("fetched and normalized", normalized), ("fetched and dropped", fetched)] {
        table.row(&[what.to_owned(), grouped(ceiling), format!("{} %", percent(speed, ceiling))]);
    }
}

/// A first run on a new store: how long to its last commit, and how long the same links take without a store.
async fn run(bank: &Sandbox) -> (Duration, Duration) {
    let dir = tempfile::tempdir().expect("a directory");
    // On the first of January at most is a link due a second time while this runs.
    let lines = "requests_per_minute = 100000\nbackfill_share = 90\nsync_schedule = \"0 0 1 1 *\"";
    let config = setup::config(dir.path(), &Keys::of(bank), "http://127.0.0.1:1", lines);
    let clock = Clock::system();
    let store = setup::open_store(&config, &clock);
    let engine = setup::engine(&config, &store, &clock, Transport::in_process(bank.router())).await;
    bank.clear_request_log();
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let daemon = Daemon::new(Arc::clone(&engine), setup::daemon_options(&config, true)).watched_by(events);
    let began = Instant::now();
    let watch = async {
        let mut last = (Duration::ZERO, 0);
        while let Some(event) = seen.recv().await {
            if let Event::Stepped { step: Step::Ended(reports), .. } = event {
                last = (
                    began.elapsed(),
                    last.1 + reports.iter().map(|report| u64::from(report.counts.rows_added)).sum::<u64>(),
                );
            }
        }
        last
    };
    let (result, (took, rows)) = tokio::join!(daemon.run(CancellationToken::new()), watch);
    result.expect("the store works");
    assert_eq!(rows, ROWS, "everything is stored");
    let without_store = fetch_and_normalize(bank, &engine, config.schedule.workers).await;
    (took, without_store)
}

/// What a backfill asks of the aggregator, through the client, with nothing stored.
async fn fetch_and_normalize(bank: &Sandbox, engine: &Arc<Engine>, workers: usize) -> Duration {
    let links: VecDeque<String> = bank.served().links.into_iter().map(|link| link.upstream_id).collect();
    let links = Arc::new(Mutex::new(links));
    let source = Arc::clone(engine.sources().next().expect("a source"));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (links, source) = (Arc::clone(&links), Arc::clone(&source));
        tasks.spawn(async move {
            let context = CallContext::new(Lane::Scheduled);
            let mut rows = 0;
            let Feed::Windows(feed) = source.aggregator.feed() else { unreachable!("this bank is read in windows") };
            while let Some(link) = next(&links) {
                source.aggregator.link(&context, "", &link).await.expect("a link");
                feed.accounts(&context, &link, true).await.expect("accounts");
                let mut token = None;
                loop {
                    let window = Window { from: None };
                    let page = feed.transactions(&context, &link, window, token.as_ref()).await;
                    let page = page.expect("a page");
                    rows += page.rows.len();
                    token = page.next;
                    if token.is_none() {
                        break;
                    }
                }
            }
            rows
        });
    }
    let rows: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(rows as u64, ROWS, "everything is fetched");
    began.elapsed()
}

/// The requests of the last run once more, straight into the sandbox, the answers dropped.
async fn replay(bank: &Sandbox) -> Duration {
    let requests = bank.request_log();
    let paths: VecDeque<String> = requests.into_iter().map(|logged| logged.path).collect();
    let paths = Arc::new(Mutex::new(paths));
    let keys = Keys::of(bank);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (paths, keys, router) = (Arc::clone(&paths), keys.clone(), bank.router());
        tasks.spawn(async move {
            while let Some(path) = next(&paths) {
                let request = Request::get(path)
                    .header("x-access-client-id", &keys.client_id)
                    .header("x-access-secret", &keys.secret)
                    .body(Body::empty())
                    .expect("a request");
                let answer = router.clone().oneshot(request).await.expect("an answer");
                assert!(answer.status().is_success(), "{}", answer.status());
                answer.into_body().collect().await.expect("a body");
            }
        });
    }
    tasks.join_all().await;
    began.elapsed()
}

fn next(queue: &Mutex<VecDeque<String>>) -> Option<String> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}
