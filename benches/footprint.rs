//! What a daemon with 10,000 links needs: time until it works, and memory.
//!
//! This process holds the bank, on a loopback port, and prepares the store. A child process opens the store and runs the daemon
//! for a minute of real time, with every link due, and reports on its standard output, so that its memory is the daemon's
//! alone.

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
mod table;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use passbook::aggregator::{TransactionPage, Window};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::Daemon;
use passbook::http::Transport;
use passbook::model::{Cause, LinkHealth, LinkRecord, Status, TransactionRecord, UserRecord};
use passbook::money::Currency;
use passbook::sandbox::{Pace, Plan, Sandbox, Served, Status as TrueStatus, TrueLink, TrueTransaction};
use passbook::secret::Secret;
use passbook::store::{FeedPosition, NewLink, Store, StoreError, WriteTxn};
use passbook::sync::Walk;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use memory::status_kb;
use setup::Keys;
use table::{Table, percent, verdict};

const LINKS: usize = 10_000;
const ROWS_PER_LINK: usize = 10;
const TARGET_READY_MS: u64 = 1_000;
const TARGET_RESIDENT_KB: u64 = 60_000;
const DAEMON_RUNS: Duration = Duration::from_mins(1);
/// What a production credential has; and the most a configuration allows, which keeps every worker busy all the time.
const PACES: [(&str, u32); 2] = [("at 300 requests a minute", 300), ("without a limit", 100_000)];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match arguments.iter().position(|a| a == "--daemon") {
        Some(at) => runtime.block_on(daemon(&arguments[at + 1..])),
        None => runtime.block_on(measure()),
    }
}

async fn measure() {
    let bank = Sandbox::new(Clock::system(), 7);
    bank.settings(|s| {
        s.request_limit = None;
        s.pace = Pace::instant();
    });
    bank.seed_world(&Plan { links: LINKS, transactions_per_link: ROWS_PER_LINK, ..Plan::default() });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let serve = axum::serve(listener, bank.router()).with_graceful_shutdown(stop.clone().cancelled_owned());
    let compare = async {
        let table = Table::new(
            "footprint: a daemon on a store with 10,000 links, all of them due",
            &[
                "what                                              ",
                "      figure",
                "     target",
                "of target",
                "      ",
            ],
        );
        for (name, requests_per_minute) in PACES {
            let keys = Keys::of(&bank);
            let dir = tempfile::tempdir().expect("a directory");
            let config = setup::config(dir.path(), &keys, &format!("http://{address}"), &lines(requests_per_minute));
            prepare(&bank, &config).await;
            let dir = dir.path().to_owned();
            let report =
                tokio::task::spawn_blocking(move || child(&dir, &keys, &address.to_string(), requests_per_minute))
                    .await
                    .expect("a report");
            let [ready_ms, at_start_kb, after_kb, peak_kb, steps] = report;
            let kb = |kb: u64| format!("{kb} kB");
            let memory = |what: &str, figure: u64| {
                vec![
                    format!("{what}, {name}"),
                    kb(figure),
                    format!("< {}", kb(TARGET_RESIDENT_KB)),
                    format!("{} %", percent(figure, TARGET_RESIDENT_KB)),
                    verdict(figure < TARGET_RESIDENT_KB),
                ]
            };
            table.row(&[
                format!("ready, {name}"),
                format!("{ready_ms} ms"),
                format!("< {TARGET_READY_MS} ms"),
                format!("{} %", percent(ready_ms, TARGET_READY_MS)),
                verdict(ready_ms < TARGET_READY_MS),
            ]);
            table.row(&memory("resident when ready", at_start_kb));
            table.row(&memory("resident after a minute", after_kb));
            table.row(&memory("peak", peak_kb));
            table.row(&[format!("steps done, {name}"), steps.to_string()]);
        }
        stop.cancel();
    };
    let (served, ()) = tokio::join!(serve, compare);
    served.expect("the bank serves");
}

fn lines(requests_per_minute: u32) -> String {
    format!("requests_per_minute = {requests_per_minute}\n")
}

/// Stores what the bank holds, as if every link had been synced before, and makes every link due.
async fn prepare(bank: &Sandbox, config: &Config) {
    let clock = Clock::system();
    let store = setup::open_store(config, &clock);
    // Building an engine records the source.
    drop(setup::engine(config, &store, &clock, Transport::in_process(bank.router())).await);
    let now = clock.now();
    for links in bank.served().links.chunks(500) {
        let links = links.to_vec();
        store.write(move |txn| links.iter().try_for_each(|link| put(txn, link, now))).await.expect("the store works");
    }
    store.checkpoint().await.expect("the store works");
}

fn put(txn: &WriteTxn<'_>, link: &TrueLink, now: jiff::Timestamp) -> Result<(), StoreError> {
    let new = NewLink {
        user: UserRecord { upstream_id: link.user_upstream_id.clone(), external_id: link.user_external_id.clone() },
        link: LinkRecord {
            upstream_id: link.upstream_id.clone(),
            institution: None,
            access_token: Some(Secret::new(link.access_token.clone())),
            health: LinkHealth { upstream_status: Some("done".to_owned()), ..LinkHealth::default() },
            is_removed: false,
            refreshed_at: None,
            tried_at: None,
            consent_expires_at: None,
        },
    };
    let link_id = txn.put_link(1, &new, now)?.link_id;
    let page = TransactionPage {
        rows: link.transactions.iter().map(record).collect(),
        total: Some(link.transactions.len() as u64),
        ..TransactionPage::default()
    };
    Walk::over_link(link_id, 0, now, Window { from: None }, false).apply_page(txn, &page)?;
    txn.move_cursor(link_id, now, FeedPosition::default(), true)?;
    txn.ask_for_sync(link_id, Cause::Schedule, false, now)
}

fn record(row: &TrueTransaction) -> TransactionRecord {
    let is_posted = row.status == TrueStatus::Posted;
    TransactionRecord {
        upstream_id: row.upstream_id.clone(),
        upstream_account_id: row.account_upstream_id.clone(),
        external_id: row.external_id.clone(),
        status: if is_posted { Status::Posted } else { Status::Pending },
        amount_minor: row.amount_minor,
        memo_minor: None,
        currency: Currency::USD,
        transacted_at: Some(row.transacted_at),
        transacted_on: row.transacted_at.to_zoned(jiff::tz::TimeZone::UTC).date(),
        posted_at: row.posted_at,
        posted_on: row.posted_at.map(|at| at.to_zoned(jiff::tz::TimeZone::UTC).date()),
        description: row.description.clone(),
        clean_description: None,
        merchant: None,
        category: None,
        upstream_category_id: None,
        merchant_code: None,
        check_number: None,
        memo: None,
        latitude: None,
        longitude: None,
        operation_type: None,
        upstream_status: None,
        upstream_updated_at: None,
        is_obfuscated: false,
        content_hash: 0,
        raw: "{}".to_owned(),
    }
}

/// Runs the daemon in a process of its own and reads the five numbers it prints.
fn child(dir: &Path, keys: &Keys, address: &str, requests_per_minute: u32) -> [u64; 5] {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .arg("--daemon")
        .args([dir.as_os_str()])
        .args([&keys.client_id, &keys.secret, &keys.store_key])
        .args([address, &requests_per_minute.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("the daemon runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("the daemon said {text:?}"))
}

/// The child: a daemon for a minute. Prints milliseconds until ready, kB resident then and at the end, the peak, and steps.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn daemon(arguments: &[String]) {
    let [dir, client_id, secret, store_key, address, requests_per_minute] = arguments else {
        panic!("six arguments after --daemon");
    };
    let keys = Keys {
        serves: Served::Truv,
        client_id: client_id.clone(),
        secret: secret.clone(),
        store_key: store_key.clone(),
    };
    let requests_per_minute = requests_per_minute.parse().expect("a number");
    let began = Instant::now();
    let clock = Clock::system();
    let config = setup::config(Path::new(dir), &keys, &format!("http://{address}"), &lines(requests_per_minute));
    let store: Store = setup::open_store(&config, &clock);
    let engine = setup::engine(&config, &store, &clock, Transport::network()).await;
    let now = clock.now();
    let due =
        store.read(move |txn| txn.agenda(1, passbook::store::Due::now(now), 128)).await.expect("the store works").links;
    let ready_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    assert_eq!(due.len(), 128, "every link is due");
    let at_start_kb = status_kb("VmRSS:");
    let (events, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let stop = CancellationToken::new();
    let daemon = Daemon::new(Arc::clone(&engine), setup::daemon_options(&config, false)).watched_by(events);
    let timer = async {
        tokio::time::sleep(DAEMON_RUNS).await;
        let resident = status_kb("VmRSS:");
        stop.cancel();
        resident
    };
    let count = async {
        let mut steps = 0_u64;
        while seen.recv().await.is_some() {
            steps += 1;
        }
        steps
    };
    let (result, after_kb, steps) = tokio::join!(daemon.run(stop.clone()), timer, count);
    result.expect("the store works");
    println!("{ready_ms} {at_start_kb} {after_kb} {} {steps}", status_kb("VmHWM:"));
}
