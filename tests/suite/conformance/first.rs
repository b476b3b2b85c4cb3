//! The first sync and the ones after it.

use std::time::Duration;

use passbook::sandbox::{Plan, PostStyle, Served};
use passbook::store::Outcome;

use crate::harness::Bench;

at_every_aggregator!(
    a_first_run_stores_everything_the_bank_holds,
    a_sync_without_news_writes_no_transaction_row,
    new_changed_and_vanished_rows_are_followed,
);

async fn a_first_run_stores_everything_the_bank_holds(serves: Served) {
    let bench = Bench::at(serves, "");
    bench.bank.seed_world(&Plan { links: 12, transactions_per_link: 120, links_per_user: 3, ..Plan::default() });
    let reports = bench.run_once().await;
    assert_eq!(reports.len(), 12);
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{reports:#?}");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

async fn a_sync_without_news_writes_no_transaction_row(serves: Served) {
    let bench = Bench::at(serves, "");
    bench.bank.seed_world(&Plan { links: 4, transactions_per_link: 60, links_per_user: 2, ..Plan::default() });
    bench.run_once().await;
    let before = bench.changes();
    bench.pass(Duration::from_hours(9)).await;
    let reports = bench.run_once().await;
    assert_eq!(reports.len(), 4);
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok && r.counts.rows_changed() == 0), "{reports:#?}");
    assert_eq!(bench.changes(), before);
    bench.assert_store_is_truth();
}

async fn new_changed_and_vanished_rows_are_followed(serves: Served) {
    let bench = Bench::at(serves, "");
    let links =
        bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 60, links_per_user: 2, ..Plan::default() });
    bench.run_once().await;
    let truth = bench.bank.truth();
    let rows = &truth.link(links[0]).expect("a link").transactions;
    bench.bank.edit_transaction(rows[20].id, Some(-4242), None);
    bench.bank.post_pending(rows[0].id, PostStyle::NewIdOnly);
    bench.bank.remove_transaction(rows[1].id);
    bench.bank.step();
    bench.aggregator_reads_banks();
    // A posted row that vanished is believed gone when a second look an hour later says the same.
    for _ in 0..2 {
        bench.pass(Duration::from_hours(9)).await;
        bench.sync_all(true).await;
    }
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
