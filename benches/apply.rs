//! How fast pages of parsed rows get into the store: plan and commit, side by side with the fastest thing that does less.
//!
//! `cargo bench --bench apply` fills two stores in turns, 200,000 rows each at a time: ours through [`Walk::apply_page`] and
//! [`Store::write`], and the ceiling, a bare loop of one prepared upsert into the same table with the same indexes, CHECKs
//! and pragmas, one immediate transaction per page. `-- --breakdown` tells what each part of a page costs by leaving it out.
//! `-- --rows N` fills less.

#[path = "shared/bare.rs"]
mod bare;
#[path = "shared/breakdown.rs"]
mod breakdown;
#[path = "shared/fill.rs"]
mod fill;
#[path = "shared/pages.rs"]
mod pages;
#[path = "shared/rates.rs"]
mod rates;
#[path = "shared/table.rs"]
mod table;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use passbook::aggregator::TransactionPage;
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::store::{Access, OpenOptions, Store};

use bare::Bare;
use fill::Filled;
use pages::{PAGE_ROWS, PAGES_PER_LINK, copy_of, pages_of_link};
use rates::{grouped, per_second};
use table::{Table, percent, verdict};

const ROWS: usize = 2_000_000;
const STEP_ROWS: usize = 200_000;
const TARGET_ROWS_PER_SECOND: u64 = 100_000;
const TARGET_PERCENT: u64 = 60;
/// The median step of the second half beside that of the first: the rest is the noise of the machine.
const TARGET_FLAT_PERCENT: u64 = 90;
const LINK_ROWS: usize = PAGES_PER_LINK * PAGE_ROWS;
const NOW: &str = "2026-03-02T12:00:00Z";

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rows =
        arguments.iter().position(|a| a == "--rows").and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(ROWS);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if arguments.iter().any(|a| a == "--breakdown") {
        runtime.block_on(breakdown::print());
    } else {
        runtime.block_on(fill(rows));
    }
}

async fn fill(rows: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = open_store(&dir.path().join("ours.db")).await;
    let mut bare = Bare::open(&dir.path().join("bare.db"), bare::Parts::ALL);
    let table = Table::new(
        "apply: pages of 500 rows into a store that grows (rows/s)",
        &["rows stored        ", " passbook", "bare loop", "ratio", "  target", "      "],
    );
    let links_per_step = STEP_ROWS / LINK_ROWS;
    let mut totals = (Duration::ZERO, Duration::ZERO);
    let mut again = Duration::ZERO;
    let (mut speeds, mut ceilings) = (Vec::new(), Vec::new());
    for step in 0..rows / STEP_ROWS {
        let links = step * links_per_step..(step + 1) * links_per_step;
        let (mut took, mut bare_took) = (Duration::ZERO, Duration::ZERO);
        for link in links {
            let pages = pages_of_link(link, now());
            let copies: Vec<TransactionPage> = pages.iter().map(copy_of).collect();
            bare_took += bare.fill_link(link, &pages);
            took += ours.apply_link(link, pages, false).await;
            if step == 0 {
                again += ours.apply_link(link, copies, true).await;
            }
        }
        let (speed, ceiling) = (per_second(STEP_ROWS as u64, took), per_second(STEP_ROWS as u64, bare_took));
        speeds.push(speed);
        ceilings.push(ceiling);
        table.row(&line(
            &format!("{} to {}", grouped((step * STEP_ROWS) as u64), grouped(((step + 1) * STEP_ROWS) as u64)),
            speed,
            ceiling,
        ));
        totals.0 += took;
        totals.1 += bare_took;
    }
    let speed = per_second(rows as u64, totals.0);
    let ceiling = per_second(rows as u64, totals.1);
    table.row(&line("all", speed, ceiling));
    table.row(&[
        "ratio".to_owned(),
        String::new(),
        String::new(),
        format!("{} %", percent(speed, ceiling)),
        format!("{TARGET_PERCENT} %"),
        verdict(percent(speed, ceiling) >= TARGET_PERCENT),
    ]);
    let flatness = second_half_of_first(&mut speeds);
    table.row(&[
        "second half / first".to_owned(),
        format!("{flatness} %"),
        format!("{} %", second_half_of_first(&mut ceilings)),
        String::new(),
        format!("{TARGET_FLAT_PERCENT} %"),
        verdict(flatness >= TARGET_FLAT_PERCENT),
    ]);
    table.row(&["the same again".to_owned(), grouped(per_second(STEP_ROWS as u64, again))]);
}

/// The median speed of the second half of the steps, in percent of that of the first half.
fn second_half_of_first(speeds: &mut [u64]) -> u64 {
    let middle = speeds.len() / 2;
    let (first, second) = speeds.split_at_mut(middle);
    percent(median(second), median(first))
}

/// The speed of the middle step; zero without any.
fn median(speeds: &mut [u64]) -> u64 {
    speeds.sort_unstable();
    speeds.get(speeds.len() / 2).copied().unwrap_or(0)
}

fn line(what: &str, speed: u64, ceiling: u64) -> Vec<String> {
    vec![
        what.to_owned(),
        grouped(speed),
        grouped(ceiling),
        format!("{} %", percent(speed, ceiling)),
        grouped(TARGET_ROWS_PER_SECOND),
        verdict(speed >= TARGET_ROWS_PER_SECOND),
    ]
}

fn now() -> Timestamp {
    NOW.parse().expect("an instant")
}

/// A new store, made by the program itself.
pub(crate) async fn open_store(path: &Path) -> Filled {
    let key = StoreKey::generate().expect("randomness");
    let store = Store::open(OpenOptions {
        path,
        sealer: Sealer::new(key),
        encryption: Encryption::Secrets,
        keep_raw: true,
        access: Access::Create,
        now: now(),
    })
    .expect("a new store");
    Filled::over(store, "truv", now()).await
}
