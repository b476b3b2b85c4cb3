//! A clock that jumps, and a machine that sleeps.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::daemon::Daemon;
use passbook::sandbox::{NewTransaction, Plan, Served};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use crate::harness::Bench;

const BOTH: [Served; 2] = [Served::Truv, Served::Bridge];
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

fn assert_within_limits(bench: &Bench) {
    let (most, window) = match bench.serves {
        Served::Truv => (300, MINUTE),
        Served::Bridge => (2_000, MINUTE * 5),
    };
    assert!(bench.bank.worst_window(&bench.secret, window) <= most);
    assert_eq!(bench.bank.throttled_count(), 0);
    for refreshes in bench.bank.refreshes() {
        assert!(refreshes.worst_day <= 3, "{refreshes:?}");
    }
}

fn syncs(bench: &Bench) -> usize {
    bench.value("SELECT count(*) FROM syncs").parse().expect("a number")
}

fn news(bench: &Bench) {
    for link in bench.bank.truth().links {
        bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-100, "NEWS"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_a_day_either_way_starves_nobody_and_breaks_no_limit() {
    let bench = Bench::with("sync_schedule = \"0 */8 * * *\"");
    bench.bank.seed_world(&Plan { links: 4, transactions_per_link: 12, ..Plan::default() });
    let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
    let story = async {
        bench.pass(hours(3)).await;
        let (log, _guard) = Log::listen();
        for jump in [24, -24, -24, 24] {
            bench.clock.shift(SignedDuration::from_hours(jump));
            news(&bench);
            let (before, requests) = (syncs(&bench), bench.bank.request_log().len());
            bench.pass(hours(9)).await;
            let synced = syncs(&bench) - before;
            assert!((4..=12).contains(&synced), "{jump} h: {synced} syncs of 4 links in nine hours");
            let sent = bench.bank.request_log().len() - requests;
            assert!(sent < 300, "{jump} h: {sent} requests");
            bench.assert_store_is_truth();
        }
        let told = log.complaints().iter().filter(|line| line.contains("set back")).count();
        assert_eq!(told, 2, "once for each time, and for one source");
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
    result.expect("the store works");
    assert_within_limits(&bench);
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_three_days_syncs_each_link_once_and_within_the_limits() {
    for serves in BOTH {
        let bench = Bench::at(serves, "sync_schedule = \"0 */8 * * *\"");
        bench.bank.settings(|s| s.bridge.refresh_every = None);
        bench.bank.seed_world(&Plan { links: 40, transactions_per_link: 4, ..Plan::default() });
        bench.run_once().await;
        let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
        let story = async {
            bench.pass(hours(1)).await;
            // The wall clocks go on, and nothing on this machine does.
            for clock in [&bench.clock, &bench.bank_clock] {
                clock.shift(SignedDuration::from_hours(72));
            }
            news(&bench);
            bench.aggregator_reads_banks();
            let before = syncs(&bench);
            bench.pass(hours(1)).await;
            assert_eq!(syncs(&bench) - before, 40, "one each for nine missed slots");
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
        result.expect("the store works");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
        assert_within_limits(&bench);
    }
}
