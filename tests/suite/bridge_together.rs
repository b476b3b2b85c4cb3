//! Links of one user are read together, and do not make each other's troubles worse.

use std::time::Duration;

use passbook::sandbox::{Fault, Plan, Scope, Served};

use crate::harness::Bench;

#[tokio::test(start_paused = true)]
async fn links_whose_common_sync_hangs_are_given_up_and_tried_again_together() {
    let bench = Bench::at(Served::Bridge, "");
    bench.bank.seed_world(&Plan { links: 3, links_per_user: 3, transactions_per_link: 5, ..Plan::default() });
    bench.run_once().await;
    let fault = bench.bank.fault(Fault::Hang, Scope::path("/v3/aggregation/transactions"));
    bench.bank.clear_request_log();
    // Past the next slot of the schedule and the deadline of a sync.
    bench.run_for(Duration::from_hours(7)).await;
    let failures = bench.rows("SELECT consecutive_failures, last_error FROM links");
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(|row| row == &failures[0]), "{failures:#?}");
    let tries: usize = failures[0][0].parse().expect("a number");
    let hung = bench.bank.request_log().iter().filter(|logged| logged.path.contains("/transactions")).count();
    assert_eq!(hung, 3 * tries, "the door asks three times, and each try is that of all three links");
    bench.bank.clear_fault(fault);
    bench.pass(Duration::from_hours(7)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state <> 'active'"), "0");
}

#[tokio::test(start_paused = true)]
async fn a_first_connection_that_runs_does_not_have_the_other_links_read_again() {
    let bench = Bench::at(Served::Bridge, "");
    let links =
        bench.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 5, ..Plan::default() });
    bench.run_once().await;
    bench.bank.settings(|settings| settings.bridge.refresh_every = None);
    bench.bank.set_item_status(links[1], -3);
    bench.pass(Duration::from_hours(7)).await;
    bench.run_once().await;
    bench.bank.clear_request_log();
    bench.run_for(Duration::from_mins(15)).await;
    let log = bench.bank.request_log();
    let about = |word: &str| log.iter().filter(|logged| logged.path.contains(word)).count();
    assert!(about("/items") >= 3, "the connection is looked at");
    assert_eq!((about("/accounts"), about("/transactions")), (0, 0), "{log:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_customer_whose_links_cannot_be_read_is_asked_less_and_less_and_shown() {
    let bench = Bench::at(Served::Bridge, "");
    bench.bank.seed_world(&Plan { links: 1, transactions_per_link: 5, ..Plan::default() });
    let fault = bench.bank.fault(Fault::Status(500), Scope::path("/v3/aggregation/items"));
    bench.run_for(Duration::from_hours(6)).await;
    let asked = bench.bank.request_log().iter().filter(|logged| logged.path.contains("/items")).count();
    assert!((9..=40).contains(&asked), "{asked} requests in six hours");
    let now = bench.clock.now();
    let report = bench.store.read(move |txn| txn.verify(now)).await.expect("the store works");
    let shown = report.findings.iter().find(|finding| finding.violations > 0).expect("a finding");
    assert!(shown.examples[0].starts_with("customer customer-00001, "), "{shown:?}");
    bench.bank.clear_fault(fault);
    bench.run_for(Duration::from_hours(7)).await;
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT links_failures || coalesce(links_error, '') FROM users"), "0");
}
