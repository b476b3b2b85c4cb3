//! What a day costs with a hundred links, and with a hundred thousand: `cargo bench --bench load [-- LINKS…]`.
//!
//! Each number of links has a process of its own, so that its memory is its own. There a made-up bank is read for the first
//! time, then a day passes in virtual time, with one sync of every link; what a person or a monitor asks for is asked for
//! afterwards. Time is that of the processor, the bank's part included, because the bank is in the same process; what is to
//! stay flat is the figure for one link.

#[path = "shared/admin.rs"]
mod admin;
#[path = "shared/memory.rs"]
mod memory;
#[path = "shared/processor.rs"]
mod processor;
#[path = "shared/rates.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod rates;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod table;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::Request;
use jiff::Timestamp;
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::Daemon;
use passbook::http::Transport;
use passbook::sandbox::{Plan, Sandbox};
use passbook::server::status::Seen;
use passbook::server::{self, Served};
use passbook::store::{Moment, Store};
use passbook::sync::Waker;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use admin::{ADMIN, ask, log_in};
use memory::status_kb;
use processor::processor_us;
use rates::grouped;
use setup::Keys;
use table::{Table, verdict};

const START: &str = "2026-03-02T12:00:00Z";
const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];
/// A sync a day, and no limit that would make a day of a hundred thousand links two.
const DAILY: &str = "requests_per_minute = 100000\nbackfill_share = 90\nsync_schedule = \"0 6 * * *\"\n\
                     [schedule]\nspread = \"6h\"\n";
/// How much more a link may cost among a hundred thousand than among a thousand.
const TARGET_RATIO: u64 = 150;
const TARGET_PAGE: Duration = Duration::from_secs(1);
const ASKED: usize = 5;

/// What one process found out.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    links: u64,
    /// Microseconds of the processor that the first read of a link took.
    first_read_us: u64,
    /// Milliseconds from an open file to a daemon that has looked at what is due.
    start_ms: u64,
    syncs: u64,
    /// Microseconds of the processor that a sync took.
    sync_us: u64,
    /// Transactions of the store, in hundredths, that a sync took.
    sync_transactions: u64,
    /// Microseconds of the processor for an hour in which nothing is due.
    idle_hour_us: u64,
    bank_kb: u64,
    peak_kb: u64,
    status_us: u64,
    overview_us: u64,
    metrics_us: u64,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [first, links] = &words[..]
        && first == "--one"
    {
        return in_virtual_time(one(links.parse().expect("a number of links")));
    }
    let asked: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    let sizes = if asked.is_empty() { SIZES.to_vec() } else { asked };
    let table = Table::new(
        "load: a day of so many links, one sync each",
        &[
            "   links",
            "first read, us a link",
            "start, ms",
            "  syncs",
            "us a sync",
            "transactions a sync",
            "idle hour, ms",
            "bank, MB",
            "peak, MB",
            "status, ms",
            "overview, ms",
            "/metrics, ms",
        ],
    );
    let all: Vec<Figures> = sizes.iter().map(|links| in_a_process(*links, &table)).collect();
    compare(&all);
}

fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(work)
}

/// Has one number of links measured, and shows what came out.
fn in_a_process(links: usize, table: &Table) -> Figures {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--one", &links.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .expect("a process");
    let of: Figures = serde_json::from_slice(&output.stdout).expect("figures");
    let thousandth = |micros: u64| format!("{}.{}", micros / 1000, micros % 1000 / 100);
    table.row(&[
        grouped(of.links),
        of.first_read_us.to_string(),
        of.start_ms.to_string(),
        grouped(of.syncs),
        of.sync_us.to_string(),
        format!("{}.{:02}", of.sync_transactions / 100, of.sync_transactions % 100),
        thousandth(of.idle_hour_us),
        (of.bank_kb / 1000).to_string(),
        (of.peak_kb / 1000).to_string(),
        thousandth(of.status_us),
        thousandth(of.overview_us),
        thousandth(of.metrics_us),
    ]);
    of
}

/// The largest against the smallest in which fixed costs no longer count.
fn compare(all: &[Figures]) {
    let Some(large) = all.last().filter(|large| large.links > 1000) else { return };
    let Some(small) = all.iter().rfind(|of| of.links <= 1000) else { return };
    let table = Table::new(
        &format!("load: {} links against {}", grouped(large.links), grouped(small.links)),
        &["what                          ", "  figure", "  target", "      "],
    );
    let ratio = |what: &str, large: u64, small: u64| {
        let percent = large * 100 / small.max(1);
        let target = format!("<= {TARGET_RATIO} %");
        table.row(&[what.to_owned(), format!("{percent} %"), target, verdict(percent <= TARGET_RATIO)]);
    };
    ratio("a sync", large.sync_us, small.sync_us);
    ratio("transactions of a sync", large.sync_transactions, small.sync_transactions);
    ratio("a first read", large.first_read_us, small.first_read_us);
    for (what, micros) in [("status", large.status_us), ("overview", large.overview_us), ("/metrics", large.metrics_us)]
    {
        let is_met = Duration::from_micros(micros) <= TARGET_PAGE;
        table.row(&[what.to_owned(), format!("{} ms", micros / 1000), "<= 1 s".to_owned(), verdict(is_met)]);
    }
}

/// A bank, a store and a configuration.
struct Bench {
    bank: Sandbox,
    clock: Clock,
    config: Config,
    store: Store,
    operations: Arc<AtomicU64>,
}

impl Bench {
    async fn daemon(&self, once: bool) -> Daemon {
        let transport = Transport::in_process(self.bank.router());
        let engine = setup::engine(&self.config, &self.store, &self.clock, transport).await;
        Daemon::new(engine, setup::daemon_options(&self.config, once))
    }

    async fn run_for(&self, duration: Duration) {
        let (daemon, stop) = (self.daemon(false).await, CancellationToken::new());
        let timer = async {
            tokio::time::sleep(duration).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), timer);
        result.expect("the store works");
        // The bank remembers every request, which no bank's customer pays for.
        self.bank.clear_request_log();
    }

    async fn number(&self, sql: &'static str) -> u64 {
        let rows = self.store.read(move |txn| txn.query(sql)).await.expect("the store works").rows;
        rows[0][0].parse().expect("a number")
    }
}

#[expect(clippy::print_stdout, reason = "the parent reads it")]
async fn one(links: usize) {
    let start: Timestamp = START.parse().expect("an instant");
    let bank = Sandbox::new(Clock::virtual_at(start), 7);
    bank.settings(|settings| settings.request_limit = None);
    bank.seed_world(&Plan { links, transactions_per_link: 12, days: 60, ..Plan::default() });
    let bank_kb = status_kb("VmRSS:");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let clock = Clock::virtual_at(start);
    let config = setup::config(dir.path(), &Keys::of(&bank), "http://127.0.0.1:1", &format!("{DAILY}{ADMIN}"));
    let store = setup::open_store(&config, &clock);
    let operations = count_operations(&store);
    let bench = Bench { bank, clock, config, store, operations };

    let began = processor_us();
    bench.daemon(true).await.run(CancellationToken::new()).await.expect("the store works");
    let first_read_us = (processor_us() - began) / links as u64;
    assert_eq!(bench.number("SELECT count(*) FROM cursors").await, links as u64, "every link was read");

    let start_ms = start_again(&bench).await;
    // To the next noon: the syncs of six o'clock are over, and nothing is due before the next ones.
    let (syncs, began, operations) =
        (bench.number("SELECT count(*) FROM syncs").await, processor_us(), bench.operations.load(Ordering::Relaxed));
    bench.run_for(Duration::from_hours(25)).await;
    let (took, operations) = (processor_us() - began, bench.operations.load(Ordering::Relaxed) - operations);
    let syncs = bench.number("SELECT count(*) FROM syncs").await - syncs;
    assert!(syncs >= links as u64, "{syncs} syncs of {links} links");
    let began = processor_us();
    bench.run_for(Duration::from_hours(1)).await;
    let idle_hour_us = processor_us() - began;
    let peak_kb = status_kb("VmHWM:");
    let [status_us, overview_us, metrics_us] = ask_for_pages(&bench).await;
    let figures = Figures {
        links: links as u64,
        first_read_us,
        start_ms,
        syncs,
        sync_us: took / syncs,
        sync_transactions: operations * 100 / syncs,
        idle_hour_us,
        bank_kb,
        peak_kb,
        status_us,
        overview_us,
        metrics_us,
    };
    println!("{}", serde_json::to_string(&figures).expect("JSON"));
}

/// Counts what is asked of a store, each a transaction.
fn count_operations(store: &Store) -> Arc<AtomicU64> {
    let operations = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&operations);
    store.work_in_place(Arc::new(move |moment| {
        if moment != Moment::Done {
            count.fetch_add(1, Ordering::Relaxed);
        }
        true
    }));
    operations
}

/// Milliseconds until a process that starts has looked at what is due.
async fn start_again(bench: &Bench) -> u64 {
    let began = Instant::now();
    let store = setup::open_store(&bench.config, &bench.clock);
    drop(store);
    bench.run_for(Duration::from_millis(1)).await;
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Medians, in microseconds, of what people and monitors ask for: status, the dashboard's overview, `/metrics`.
async fn ask_for_pages(bench: &Bench) -> [u64; 3] {
    let transport = Transport::in_process(bench.bank.router());
    let engine = setup::engine(&bench.config, &bench.store, &bench.clock, transport).await;
    let served = Served::new(engine, Waker::default(), Arc::new(bench.config.clone()));
    let token = served.admin().expect("an admin side").token.expose().to_owned();
    let router = server::admin::router(&served);
    let cookie = log_in(&router, &token).await;
    let mut took: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ASKED {
        let (now, began) = (bench.clock.now(), Instant::now());
        bench.store.read(move |txn| Seen::read(txn, 20, now)).await.expect("the store works");
        took[0].push(began.elapsed());
        for (at, path) in [(1, "/"), (2, "/metrics")] {
            let request =
                Request::get(path).header("cookie", &cookie).header("authorization", format!("Bearer {token}"));
            let began = Instant::now();
            let (status, _, page) = ask(&router, request, String::new()).await;
            took[at].push(began.elapsed());
            assert!(status.is_success() && page.len() > 2_000, "{path}: {status}");
        }
    }
    took.map(|mut of| {
        of.sort();
        u64::try_from(of[of.len() / 2].as_micros()).unwrap_or(u64::MAX)
    })
}
