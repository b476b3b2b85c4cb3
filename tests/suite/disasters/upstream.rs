//! An aggregator that is away for a day.

use std::time::Duration;

use passbook::daemon::Daemon;
use passbook::sandbox::{Fault, NewTransaction, Plan, Scope, Served};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use crate::alerts::{Receiver, watch};
use crate::harness::Bench;

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_is_down_for_a_day_is_asked_less_and_less_and_told_of_once() {
    for serves in [Served::Truv, Served::Bridge] {
        for fault in [Fault::Status(503), Fault::Reset] {
            let case = format!("{serves:?} {fault:?}");
            let bench = Bench::at(serves, "sync_schedule = \"0 */8 * * *\"");
            let receiver = Receiver::new();
            bench.bank.settings(|s| s.bridge.refresh_every = None);
            bench.bank.seed_world(&Plan { links: 10, transactions_per_link: 12, ..Plan::default() });
            bench.run_once().await;
            let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
            let story = async {
                bench.pass(hours(3)).await;
                bench.bank.clear_request_log();
                let refreshed: usize = bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
                let down = bench.bank.fault(fault.clone(), Scope::all());
                let (log, _guard) = Log::listen();
                watch(&bench, &receiver, 24 * 60).await;
                let sent = bench.bank.request_log().len();
                assert!((20..2_500).contains(&sent), "{case}: {sent} requests in a day for 10 links");
                let complaints = log.complaints().len();
                assert!(complaints < 200, "{case}: {complaints} lines in a day");
                let of_states = bench.rows("SELECT state, count(*) FROM v_link_health GROUP BY state");
                assert_eq!(of_states, [["failing", "10"].map(str::to_owned)], "{case}");
                for link in bench.bank.truth().links {
                    bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-100, "NEWS"));
                }
                bench.aggregator_reads_banks();
                bench.bank.clear_fault(down);
                watch(&bench, &receiver, 9 * 60).await;
                let events = receiver.events();
                assert!(matches!(events.len(), 0 | 2), "{case}: {events:?}");
                let now: usize = bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
                assert!(now - refreshed <= 30, "{case}: {refreshed} refreshes before, {now} after");
                stop.cancel();
            };
            let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
            result.expect("the store works");
            assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "10", "{case}");
            bench.assert_store_is_truth();
            bench.assert_verifies().await;
            assert!(bench.bank.refreshes().iter().all(|r| r.worst_day <= 3), "{case}");
        }
    }
}
