//! What each part of writing a page costs: the bare loop with one part less or one more, each on a fresh file.

use std::time::Duration;

use super::bare::{Bare, Parts};
use super::pages::{copy_of, pages_of_link};
use super::rates::{grouped, per_second};
use super::table::{Table, percent};
use super::{LINK_ROWS, STEP_ROWS, now, open_store};

const ROUNDS: usize = 3;

/// Prints the median of some rounds of each variant, as rows/s and as a share of the bare loop.
pub(crate) async fn print() {
    let variants: [(&str, Parts); 9] = [
        ("bare loop", Parts::ALL),
        ("less jsonb(raw)", Parts { raw: false, ..Parts::ALL }),
        ("less CHECKs on days", Parts { day_checks: false, ..Parts::ALL }),
        ("less index by day", Parts { day_index: false, ..Parts::ALL }),
        ("synchronous = NORMAL", Parts { full: false, ..Parts::ALL }),
        ("less all four", Parts { raw: false, day_checks: false, day_index: false, full: false, ..Parts::ALL }),
        ("and a look before", Parts { find: true, ..Parts::ALL }),
        ("and a change row", Parts { change: true, ..Parts::ALL }),
        ("and both", Parts { find: true, change: true, ..Parts::ALL }),
    ];
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); variants.len() + 1];
    for _ in 0..ROUNDS {
        for (index, (_, parts)) in variants.iter().enumerate() {
            took[index].push(bare_round(*parts));
        }
        took[variants.len()].push(our_round().await);
    }
    let table = Table::new(
        "apply: what the parts of a page cost, 200,000 rows into a new store",
        &["what                 ", "   rows/s", "of the bare loop"],
    );
    let speeds: Vec<u64> = took.iter_mut().map(|rounds| median_speed(rounds)).collect();
    let names = variants.iter().map(|v| v.0).chain(["passbook"]);
    for (name, speed) in names.zip(&speeds) {
        table.row(&[name.to_owned(), grouped(*speed), format!("{} %", percent(*speed, speeds[0]))]);
    }
}

fn median_speed(rounds: &mut [Duration]) -> u64 {
    rounds.sort();
    per_second(STEP_ROWS as u64, rounds[rounds.len() / 2])
}

fn bare_round(parts: Parts) -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let mut bare = Bare::open(&dir.path().join("bare.db"), parts);
    (0..STEP_ROWS / LINK_ROWS).map(|link| bare.fill_link(link, &pages_of_link(link, now()))).sum()
}

async fn our_round() -> Duration {
    let dir = tempfile::tempdir().expect("a directory");
    let ours = open_store(&dir.path().join("ours.db")).await;
    let mut took = Duration::ZERO;
    for link in 0..STEP_ROWS / LINK_ROWS {
        let pages: Vec<_> = pages_of_link(link, now()).iter().map(copy_of).collect();
        took += ours.apply_link(link, pages, false).await;
    }
    took
}
