//! The first sync and the ones after it.

use std::time::Duration;

use passbook::sandbox::Plan;
use passbook::store::Outcome;

use crate::harness::Bench;

#[tokio::test(start_paused = true)]
async fn a_first_run_stores_everything_the_bank_holds() {
    let bench = Bench::new();
    bench.bank.seed_world(&Plan { links: 12, transactions_per_link: 120, ..Plan::default() });
    let reports = bench.run_once().await;
    assert_eq!(reports.len(), 12);
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{reports:#?}");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_sync_without_news_writes_no_transaction_row() {
    let bench = Bench::new();
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 60, ..Plan::default() });
    bench.run_once().await;
    let before = bench.changes();
    bench.pass(Duration::from_hours(9)).await;
    let reports = bench.run_once().await;
    assert_eq!(reports.len(), 3);
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok && r.counts.rows_changed() == 0), "{reports:#?}");
    assert_eq!(bench.changes(), before);
    bench.assert_store_is_truth();
}
