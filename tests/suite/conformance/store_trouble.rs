//! A store that is full or locked.

use std::path::Path;
use std::time::Duration;

use passbook::sandbox::{NewTransaction, Plan, Served};
use passbook::store::StoreError;
use rusqlite::Connection;

use crate::harness::Bench;

at_every_aggregator!(
    a_full_disk_ends_in_a_clear_error_and_the_work_goes_on_when_there_is_room,
    a_daemon_on_a_full_disk_rests_between_its_tries,
    a_store_locked_by_somebody_else_is_waited_for,
);

/// A connection of somebody else to a file.
#[expect(clippy::disallowed_methods, reason = "stands for another program")]
fn somebody_else(path: &Path) -> Connection {
    Connection::open(path).expect("a SQLite file")
}

/// A bench whose store holds two links.
async fn stored(serves: Served) -> Bench {
    let bench = Bench::at(serves, "");
    bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 40, ..Plan::default() });
    bench.run_once().await;
    bench
}

async fn a_full_disk_ends_in_a_clear_error_and_the_work_goes_on_when_there_is_room(serves: Served) {
    for spare_pages in [0, 4, 16] {
        let bench = Bench::at(serves, "page_size = 10");
        bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 120, ..Plan::default() });
        let pages: u32 = bench.value("PRAGMA page_count").parse().expect("a number");
        bench.store.limit_pages(pages + spare_pages).await.expect("a limit");
        let error = tokio::time::timeout(Duration::from_hours(1), bench.try_run_once())
            .await
            .expect("it ends")
            .expect_err("no room");
        assert!(matches!(error, StoreError::Full), "{error:?}");
        assert_eq!(bench.value("PRAGMA integrity_check"), "ok");
        bench.store.limit_pages(1_000_000).await.expect("no limit");
        bench.pass(Duration::from_hours(1)).await;
        bench.run_once().await;
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

async fn a_daemon_on_a_full_disk_rests_between_its_tries(serves: Served) {
    let bench = stored(serves).await;
    bench.bank.clear_request_log();
    bench.pass(Duration::from_hours(9)).await;
    bench.bank.settings(|s| s.visible_immediately = true);
    for link in bench.bank.truth().links {
        for _ in 0..200 {
            let new = NewTransaction::posted(-100, &"A LONG STORY,".repeat(40));
            bench.bank.add_transaction(link.accounts[0].id, new);
        }
    }
    bench.store.limit_pages(1).await.expect("a limit");
    bench.run_for(Duration::from_mins(10)).await;
    let sent = bench.bank.request_log().len();
    assert!(sent < 500, "{sent} requests in ten minutes, and nothing to show for it");
    let doubled = bench.bank.refreshes().iter().map(|r| r.at.len()).max().unwrap_or(0);
    assert!(doubled <= 1, "{doubled} refreshes of one link");
    bench.store.limit_pages(1_000_000).await.expect("no limit");
    bench.run_for(Duration::from_mins(15)).await;
    bench.assert_store_is_truth();
}

async fn a_store_locked_by_somebody_else_is_waited_for(serves: Served) {
    let bench = stored(serves).await;
    bench.pass(Duration::from_hours(9)).await;
    let other = somebody_else(&bench.path());
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let error = bench.store.write(|_| Ok(())).await.expect_err("locked");
    assert!(matches!(error, StoreError::Busy), "{error:?}");
    assert!(bench.store.read(|txn| txn.query("SELECT count(*) FROM links")).await.is_ok(), "readers do not care");
    other.execute_batch("ROLLBACK").expect("the lock given up");
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
