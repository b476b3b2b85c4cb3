//! What an incremental sync costs in a store of ten million rows and in an empty one: `cargo bench --bench growth [-- ROWS]`.
//!
//! Two banks that are the same, each with a store of its own, of which one holds the rows of a former source besides: read
//! through [`passbook::sync::Walk`] and [`Store::write`], as a daemon reads them. Days pass in virtual time, in turns, and
//! every link has news each day. Time is that of the processor, the bank's part included, which is the same on both sides;
//! the time by the clock, in which the disk is waited for, is printed beside it. The files lie in `target/tmp`.

#[path = "shared/fill.rs"]
mod fill;
#[path = "shared/pages.rs"]
#[expect(dead_code, reason = "other benches use more of it")]
mod pages;
#[path = "shared/processor.rs"]
mod processor;
#[path = "shared/rates.rs"]
mod rates;
#[path = "shared/setup.rs"]
mod setup;
#[path = "shared/table.rs"]
mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::Daemon;
use passbook::http::Transport;
use passbook::sandbox::{AccountId, NewAccount, NewTransaction, PostStyle, Sandbox, TransactionId};
use passbook::store::Store;
use tokio_util::sync::CancellationToken;

use fill::Filled;
use pages::{PAGE_ROWS, PAGES_PER_LINK, pages_of_link};
use processor::processor_us;
use rates::{grouped, per_second};
use setup::Keys;
use table::{Table, percent, verdict};

const ROWS: usize = 10_000_000;
const START: &str = "2026-03-02T13:00:00Z";
const LINKS: usize = 300;
/// Rows of a link that is measured, before the first day.
const ROWS_PER_LINK: i64 = 40;
const NEWS_PER_DAY: i64 = 4;
const TURNS: usize = 10;
/// A sync a day, refreshes by themselves, and no limit that holds anything up.
const DAILY: &str = "requests_per_minute = 100000\nbackfill_share = 90\nsync_schedule = \"0 6 * * *\"\n\
                     [schedule]\nspread = \"6h\"\n";
const TARGET_PERCENT: u64 = 110;

fn main() {
    let rows = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(ROWS);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
    runtime.block_on(measure(rows));
}

async fn measure(rows: usize) {
    // One of them lives while the other is down, so both have the same days.
    let mut small = Side::new(0).await;
    small.live_a_day().await;
    let mut large = Side::new(rows).await;
    large.live_a_day().await;
    let mut sides = [small, large];
    let table = Table::new(
        &format!("growth: a day of {LINKS} links, {} rows of others in the store, and none", grouped(rows as u64)),
        &["turn ", "  syncs", "CPU us a sync", "with none", "  ratio", "ms by the clock", "with none"],
    );
    for turn in 0..TURNS {
        if turn > 0 {
            for side in &mut sides {
                side.live_a_day().await;
            }
        }
        let [small, large] = sides.each_ref().map(|side| side.turns[turn]);
        assert_eq!(small.syncs, large.syncs, "both do the same");
        table.row(&[
            (turn + 1).to_string(),
            grouped(large.syncs),
            large.sync_us().to_string(),
            small.sync_us().to_string(),
            format!("{} %", percent(large.sync_us(), small.sync_us())),
            large.wall_ms().to_string(),
            small.wall_ms().to_string(),
        ]);
    }
    // The first turn reads everything there is.
    let [small, large] = sides.each_ref().map(|side| median(side.turns[1..].iter().map(Turn::sync_us)));
    let ratio = percent(large, small);
    table.row(&[
        "all".to_owned(),
        String::new(),
        large.to_string(),
        small.to_string(),
        format!("{ratio} %"),
        format!("<= {TARGET_PERCENT} %"),
        verdict(ratio <= TARGET_PERCENT),
    ]);
    let [small, large] = sides.each_ref().map(|side| median(side.turns[1..].iter().map(Turn::wall_ms)));
    table.row(&["by the clock".to_owned(), format!("{} %", percent(large, small))]);
    for side in &sides {
        side.prove().await;
    }
}

fn median(figures: impl Iterator<Item = u64>) -> u64 {
    let mut figures: Vec<u64> = figures.collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

/// What one day cost.
#[derive(Clone, Copy)]
struct Turn {
    syncs: u64,
    cpu_us: u64,
    wall: Duration,
}

impl Turn {
    fn sync_us(&self) -> u64 {
        self.cpu_us / self.syncs.max(1)
    }

    fn wall_ms(&self) -> u64 {
        u64::try_from(self.wall.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A bank and its store.
struct Side {
    bank: Sandbox,
    accounts: Vec<AccountId>,
    pending: Vec<TransactionId>,
    rows: i64,
    clock: Clock,
    config: Config,
    store: Store,
    turns: Vec<Turn>,
    _dir: tempfile::TempDir,
}

impl Side {
    async fn new(others: usize) -> Self {
        let start: Timestamp = START.parse().expect("an instant");
        let clock = Clock::virtual_at(start);
        let bank = Sandbox::new(clock.clone(), 7);
        bank.settings(|settings| settings.request_limit = None);
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let config = setup::config(dir.path(), &Keys::of(&bank), "http://127.0.0.1:1", DAILY);
        let store = setup::open_store(&config, &clock);
        store.work_in_place(Arc::new(|_| true));
        fill(&store, others, start).await;
        let mut side = Self {
            bank,
            accounts: Vec::new(),
            pending: Vec::new(),
            rows: 0,
            clock,
            config,
            store,
            turns: Vec::new(),
            _dir: dir,
        };
        side.found();
        side
    }

    fn found(&mut self) {
        for nth in 0..LINKS {
            let user = self.bank.add_user(&format!("customer-{nth}"));
            let link = self.bank.add_link(user, "wells_fargo");
            let account = self.bank.add_account(link, NewAccount::checking("Everyday", 500_000));
            self.accounts.push(account);
            for row in 0..ROWS_PER_LINK {
                self.add_row(account, SignedDuration::from_hours(36 * (row + 1)));
            }
        }
    }

    fn text(&mut self) -> String {
        self.rows += 1;
        format!("POS PURCHASE BLUE BOTTLE COFFEE #{} OAKLAND CA", self.rows)
    }

    fn add_row(&mut self, account: AccountId, age: SignedDuration) {
        let text = self.text();
        let row = NewTransaction::posted(-1_000 - self.rows % 977, &text).at(self.clock.now() - age);
        self.bank.add_transaction(account, row);
    }

    /// Every link has some new rows, one that waits, and one that waited and is booked.
    fn news(&mut self) {
        for row in std::mem::take(&mut self.pending) {
            self.bank.post_pending(row, PostStyle::SameId);
        }
        for account in self.accounts.clone() {
            for hours in 1..=NEWS_PER_DAY {
                self.add_row(account, SignedDuration::from_hours(hours));
            }
            let text = self.text();
            let row = NewTransaction::pending(-700, &text).at(self.clock.now());
            self.pending.push(self.bank.add_transaction(account, row));
        }
    }

    async fn syncs(&self) -> u64 {
        let rows = self.store.read(|txn| txn.query("SELECT count(*) FROM syncs")).await.expect("the store works").rows;
        rows[0][0].parse().expect("a number")
    }

    async fn live_a_day(&mut self) {
        self.news();
        let transport = Transport::in_process(self.bank.router());
        let engine = setup::engine(&self.config, &self.store, &self.clock, transport).await;
        let daemon = Daemon::new(engine, setup::daemon_options(&self.config, false));
        let (stop, before) = (CancellationToken::new(), self.syncs().await);
        let (cpu_us, began) = (processor_us(), Instant::now());
        let timer = async {
            tokio::time::sleep(Duration::from_hours(24)).await;
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), timer);
        result.expect("the store works");
        let (cpu_us, wall) = (processor_us() - cpu_us, began.elapsed());
        self.turns.push(Turn { syncs: self.syncs().await - before, cpu_us, wall });
        self.bank.clear_request_log();
    }

    /// What is measured is the real thing: every row of the bank is in the store.
    async fn prove(&self) {
        let sql = "SELECT count(*) FROM v_transactions JOIN sources ON sources.name = v_transactions.source WHERE retired_at IS NULL";
        let rows = self.store.read(move |txn| txn.query(sql)).await.expect("the store works").rows;
        let stored: i64 = rows[0][0].parse().expect("a number");
        assert_eq!(stored, self.rows, "every row of the bank is stored");
    }
}

/// Rows of a source that is not read any more.
#[expect(clippy::print_stdout, reason = "a benchmark is a program whose output is its result")]
async fn fill(store: &Store, rows: usize, now: Timestamp) {
    if rows == 0 {
        return;
    }
    let filled = Filled::over(store.clone(), "former", now).await;
    let links = rows.div_ceil(PAGE_ROWS * PAGES_PER_LINK);
    let mut took = Duration::ZERO;
    for link in 0..links {
        took += filled.apply_link(link, pages_of_link(link, now), false).await;
    }
    println!("{} rows of others stored, {} a second", grouped(rows as u64), grouped(per_second(rows as u64, took)));
}
