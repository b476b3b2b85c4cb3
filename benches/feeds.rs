//! What reading by user costs, where the aggregator tells changes since a cursor: requests of a sync without news, speed of
//! a first one, and a look at 10,000 users.
//!
//! Requests and the pace of the look are measured in virtual time, in which hours pass at once. For its memory the daemon runs
//! in a process of its own, against a bank on a loopback port, in real time and without limits.

#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/rates.rs"]
mod rates;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
mod table;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::Daemon;
use passbook::http::Transport;
use passbook::model::{LinkHealth, LinkRecord, UserRecord};
use passbook::sandbox::{Plan, Sandbox, Served, TrueLink};
use passbook::store::{FeedPosition, NewLink, Store, StoreError, WriteTxn};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use memory::status_kb;
use rates::{grouped, per_second};
use setup::Keys;
use table::{Table, percent, verdict};

const START: &str = "2026-03-02T12:00:00Z";

const ITEMS: usize = 8;
const TARGET_REQUESTS: u64 = 3;

const BACKFILL_USERS: usize = 60;
const ROWS_PER_USER: usize = 5_000;
const BACKFILL_ROWS: u64 = (BACKFILL_USERS * ROWS_PER_USER) as u64;
const ROUNDS: usize = 3;
const TARGET_ROWS_PER_SECOND: u64 = 50_000;

const USERS: usize = 10_000;
const APPLICATION_LIMIT: u64 = 2_000;
const APPLICATION_WINDOW: SignedDuration = SignedDuration::from_mins(5);
const TARGET_RESIDENT_KB: u64 = 80_000;

/// The most that a configuration allows. On the first of January at most is anything due a second time while this runs.
const FAST: &str = "requests_per_5_minutes = 500000\nuser_requests_per_minute = 100000\nbackfill_share = 90\n\
                    sync_schedule = \"0 0 1 1 *\"\nstatus_schedule = \"0 0 1 1 *\"";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if let Some(at) = arguments.iter().position(|a| a == "--daemon") {
        return runtime.block_on(daemon(&arguments[at + 1..]));
    }
    in_virtual_time(without_news());
    let peak_kb = runtime.block_on(memory_of_a_look());
    in_virtual_time(look_at_everybody(peak_kb));
    runtime.block_on(backfill());
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(work)
}

/// A bank behind a feed of changes, a store and a configuration.
struct Bench {
    bank: Sandbox,
    clock: Clock,
    config: Config,
    store: Store,
    keys: Keys,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn of(bank: Sandbox, clock: Clock, source_lines: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let keys = Keys::of(&bank);
        let config = setup::config(dir.path(), &keys, "http://127.0.0.1:1", source_lines);
        let store = setup::open_store(&config, &clock);
        Self { bank, clock, config, store, keys, _dir: dir }
    }

    /// In virtual time, with the limits that are documented.
    fn in_virtual_time(plan: &Plan) -> Self {
        let start: Timestamp = START.parse().expect("an instant");
        let bank = Sandbox::new(Clock::virtual_at(start), 7);
        bank.settings(|settings| settings.serves = Served::Bridge);
        bank.seed_world(plan);
        Self::of(bank, Clock::virtual_at(start), "")
    }

    async fn daemon(&self, once: bool) -> Daemon {
        let transport = Transport::in_process(self.bank.router());
        let engine = setup::engine(&self.config, &self.store, &self.clock, transport).await;
        Daemon::new(Arc::clone(&engine), setup::daemon_options(&self.config, once))
    }

    async fn run_once(&self) {
        self.daemon(true).await.run(CancellationToken::new()).await.expect("the store works");
    }

    async fn run_for(&self, duration: Duration) {
        let stop = CancellationToken::new();
        let daemon = self.daemon(false).await;
        let timer = async {
            tokio::time::sleep(duration).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), timer);
        result.expect("the store works");
    }

    /// What the sandbox received since this was last asked, by what it was about.
    fn requests(&self) -> Vec<String> {
        let log = self.bank.request_log();
        self.bank.clear_request_log();
        log.iter()
            .map(|logged| {
                let path = logged.path.split('?').next().unwrap_or_default();
                format!("{} {}", logged.method, path.rsplit('/').next().unwrap_or_default())
            })
            .collect()
    }
}

async fn without_news() {
    let bench = Bench::in_virtual_time(&Plan {
        links: ITEMS,
        links_per_user: ITEMS,
        transactions_per_link: 200,
        ..Plan::default()
    });
    bench.bank.settings(|settings| settings.bridge.refresh_every = None);
    bench.run_once().await;
    let table = Table::new(
        "feeds: a sync of one user with eight items, no rows to tell",
        &[
            "what                                  ",
            "figure",
            "target",
            "      ",
            "requests                                       ",
        ],
    );
    // The sync after the first reads the overlap once more; from then on a sync is like any other.
    bench.run_for(Duration::from_hours(7)).await;
    for (what, reads_banks) in [("the banks were not read since", false), ("the banks were read since", true)] {
        // Syncs come every six hours and looks every hour: at a quarter to, a sync comes alone.
        bench.run_for(Duration::from_hours(7)).await;
        if reads_banks {
            for link in &bench.bank.truth().links {
                bench.bank.refresh_item(link.id);
            }
        }
        bench.store.write(make_due).await.expect("the store works");
        bench.requests();
        bench.run_once().await;
        let requests = bench.requests();
        let of_sync = requests.iter().filter(|r| !r.ends_with("token") && !is_discovery(r)).count() as u64;
        table.row(&[
            what.to_owned(),
            of_sync.to_string(),
            TARGET_REQUESTS.to_string(),
            verdict(of_sync <= TARGET_REQUESTS),
            requests.join(", "),
        ]);
    }
}

fn is_discovery(request: &str) -> bool {
    request.ends_with("users") || request.ends_with("categories") || request.contains("providers")
}

fn make_due(txn: &WriteTxn<'_>) -> Result<(), StoreError> {
    let now = START.parse::<Timestamp>().expect("an instant");
    for link_id in txn.syncable_links()? {
        txn.set_due_at(link_id, now)?;
    }
    Ok(())
}

/// One hourly look at the state of every user's links.
async fn look_at_everybody(peak_kb: u64) {
    let bench = Bench::in_virtual_time(&Plan { links: USERS, transactions_per_link: 2, days: 2, ..Plan::default() });
    bench.bank.settings(|settings| settings.bridge.refresh_every = None);
    prepare(&bench).await;
    let began = Instant::now();
    let mut minutes = 0;
    while looked_at(&bench).await < USERS as u64 && minutes < 180 {
        bench.run_for(Duration::from_mins(5)).await;
        minutes += 5;
    }
    let took = began.elapsed();
    let worst = bench.bank.bridge_worst_window(APPLICATION_WINDOW) as u64;
    let requests = bench.bank.request_log().len() as u64;
    let least_minutes = requests * 5 / APPLICATION_LIMIT;
    let throttled = bench.bank.throttled_count();
    let table = Table::new(
        "feeds: a look at 10,000 users with one item each, nobody has a token, restarted every five minutes",
        &["what                                      ", "      figure", "      target", "      "],
    );
    let row = |what: &str, figure: String, target: String, is_met: bool| {
        table.row(&[what.to_owned(), figure, target, verdict(is_met)]);
    };
    row(
        "most requests in any 5 minutes",
        worst.to_string(),
        format!("<= {APPLICATION_LIMIT}"),
        worst <= APPLICATION_LIMIT,
    );
    row("answered 429", throttled.to_string(), "0".to_owned(), throttled == 0);
    let wanted = 2 * USERS as u64;
    row("requests, discovery included", grouped(requests), format!("~ {}", grouped(wanted)), requests < wanted + 200);
    row("minutes until everybody was looked at", minutes.to_string(), "<= 60".to_owned(), minutes <= 60);
    table.row(&["minutes at the limit itself".to_owned(), least_minutes.to_string()]);
    let kb = |kb: u64| format!("{} kB", grouped(kb));
    let is_small = peak_kb < TARGET_RESIDENT_KB;
    row("peak of a daemon that does this", kb(peak_kb), format!("< {}", kb(TARGET_RESIDENT_KB)), is_small);
    table.row(&["wall time".to_owned(), format!("{} s", took.as_secs())]);
}

async fn looked_at(bench: &Bench) -> u64 {
    let rows = bench.store.read(|txn| txn.query("SELECT count(*) FROM users WHERE links_due_at > 1772452800000")).await;
    rows.expect("the store works").rows[0][0].parse().expect("a number")
}

/// Stores what the bank holds, as if every link had just been read, and has every user looked at.
async fn prepare(bench: &Bench) {
    // Records the source.
    let daemon = bench.daemon(true).await;
    drop(daemon);
    let now = bench.clock.now();
    let later = now.saturating_add(SignedDuration::from_hours(20)).expect("in range");
    let links = bench.bank.served().links;
    for chunk in links.chunks(500) {
        let chunk = chunk.to_vec();
        bench
            .store
            .write(move |txn| chunk.iter().try_for_each(|link| put(txn, link, now, later)))
            .await
            .expect("the store works");
    }
    bench
        .store
        .write(move |txn| txn.discovered(1, now, now, later, SignedDuration::ZERO))
        .await
        .expect("the store works");
}

fn put(txn: &WriteTxn<'_>, link: &TrueLink, now: Timestamp, later: Timestamp) -> Result<(), StoreError> {
    let user = UserRecord { upstream_id: link.user_upstream_id.clone(), external_id: link.user_external_id.clone() };
    let user_id = txn.put_user(1, &user, now)?;
    let record = LinkRecord {
        upstream_id: link.upstream_id.clone(),
        institution: None,
        access_token: None,
        health: LinkHealth::default(),
        is_removed: false,
        refreshed_at: link.published_at,
        tried_at: link.published_at,
        consent_expires_at: None,
    };
    let link_id = txn.put_link(1, &NewLink { user, link: record }, now)?.link_id;
    txn.move_cursor(link_id, now, FeedPosition { updated_to: Some(now), settled_to: None }, true)?;
    txn.set_read_tried_at(link_id, link.published_at)?;
    txn.set_due_at(link_id, later)?;
    // So that only looks are measured: a look makes links due that have news.
    txn.set_paused(link_id, true, now)?;
    txn.look_at_new_user(user_id, now)
}

/// The most memory that a daemon takes for a look at every user: a process of its own, against a bank on a port.
async fn memory_of_a_look() -> u64 {
    let bank = Sandbox::new(Clock::system(), 7);
    without_limits(&bank);
    bank.seed_world(&Plan { links: USERS, transactions_per_link: 2, days: 2, ..Plan::default() });
    let bench = Bench::of(bank, Clock::system(), FAST);
    prepare(&bench).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let directory = bench.config.store.path.parent().expect("a directory").to_owned();
    let keys = bench.keys.clone();
    let bank = bench.bank.router();
    let Bench { store, _dir, .. } = bench;
    drop(store);
    let child = tokio::task::spawn_blocking(move || child(&directory, &keys, &address));
    tokio::select! {
        peak_kb = child => peak_kb.expect("a report"),
        served = async { axum::serve(listener, bank).await } => panic!("the bank stopped: {served:?}"),
    }
}

/// Runs the daemon in a process of its own and reads the number it prints.
fn child(directory: &Path, keys: &Keys, address: &str) -> u64 {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .arg("--daemon")
        .args([directory.as_os_str()])
        .args([&keys.client_id, &keys.secret, &keys.store_key])
        .arg(address)
        .stderr(Stdio::inherit())
        .output()
        .expect("the daemon runs");
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().unwrap_or_else(|_| panic!("the daemon said {text:?}"))
}

/// The child: a daemon until every user was looked at. Prints its peak in kB.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn daemon(arguments: &[String]) {
    let [directory, client_id, secret, store_key, address] = arguments else {
        panic!("five arguments after --daemon");
    };
    let keys = Keys {
        serves: Served::Bridge,
        client_id: client_id.clone(),
        secret: secret.clone(),
        store_key: store_key.clone(),
    };
    let clock = Clock::system();
    let config = setup::config(Path::new(directory), &keys, &format!("http://{address}"), FAST);
    let store = setup::open_store(&config, &clock);
    let engine = setup::engine(&config, &store, &clock, Transport::network()).await;
    let daemon = Daemon::new(engine, setup::daemon_options(&config, true));
    daemon.run(CancellationToken::new()).await.expect("the store works");
    println!("{}", status_kb("VmHWM:"));
}

/// Lets a bank take whatever comes.
fn without_limits(bank: &Sandbox) {
    bank.settings(|settings| {
        settings.serves = Served::Bridge;
        let bridge = &mut settings.bridge;
        (bridge.application_limit, bridge.user_limit, bridge.token_limit) = (None, None, None);
    });
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
async fn transaction_count(store: &Store) -> u64 {
    store.read(|txn| txn.transaction_count()).await.expect("the store works")
}

/// A first run of users with long histories, in real time.
async fn backfill() {
    let bank = Sandbox::new(Clock::system(), 7);
    without_limits(&bank);
    bank.seed_world(&Plan {
        links: BACKFILL_USERS,
        transactions_per_link: ROWS_PER_USER,
        days: 700,
        ..Plan::default()
    });
    let mut took: Vec<Duration> = Vec::new();
    for _ in 0..ROUNDS {
        let bench = Bench::of(bank.clone(), Clock::system(), FAST);
        let began = Instant::now();
        bench.run_once().await;
        took.push(began.elapsed());
        let rows = transaction_count(&bench.store).await;
        assert_eq!(rows, BACKFILL_ROWS, "everything is stored");
    }
    took.sort();
    let speed = per_second(BACKFILL_ROWS, took[ROUNDS / 2]);
    let title = format!(
        "feeds: {} rows of {BACKFILL_USERS} users, pages of 500, into a new store, median of {ROUNDS}",
        grouped(BACKFILL_ROWS)
    );
    let table = Table::new(&title, &["what          ", "    figure", "    target", "of target", "      "]);
    table.row(&[
        "rows/s".to_owned(),
        grouped(speed),
        grouped(TARGET_ROWS_PER_SECOND),
        format!("{} %", percent(speed, TARGET_ROWS_PER_SECOND)),
        verdict(speed >= TARGET_ROWS_PER_SECOND),
    ]);
}
