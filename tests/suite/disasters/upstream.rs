//! An aggregator that is away for a day.

use std::time::Duration;

use passbook::daemon::Daemon;
use passbook::sandbox::{Fault, NewTransaction, Plan, Scope};
use tokio_util::sync::CancellationToken;

use super::log::Log;
use crate::alerts::{Receiver, watch};
use crate::harness::Bench;

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

#[tokio::test(start_paused = true)]
async fn an_aggregator_that_is_down_for_a_day_is_asked_less_and_less_and_told_of_once() {
    let bench = Bench::with("sync_schedule = \"0 */8 * * *\"");
    let receiver = Receiver::new();
    bench.bank.seed_world(&Plan { links: 5, transactions_per_link: 12, ..Plan::default() });
    // It refuses no refresh, or one too many would not be seen.
    bench.bank.settings(|s| s.refresh_limit = None);
    bench.run_once().await;
    let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
    let story = async {
        bench.pass(hours(3)).await;
        bench.bank.clear_request_log();
        let down = bench.bank.fault(Fault::Status(503), Scope::all());
        let (log, _guard) = Log::listen();
        for _ in 0..27 {
            bench.pass(Duration::from_mins(58)).await;
            watch(&bench, &receiver, 2).await;
        }
        let sent = bench.bank.request_log().len();
        assert!((20..1_500).contains(&sent), "{sent} requests in a day for 5 links");
        let complaints = log.complaints().len();
        assert!(complaints < 300, "{complaints} lines in a day: one for each try");
        let of_states = bench.rows("SELECT state, count(*) FROM v_link_health GROUP BY state");
        assert_eq!(of_states, [["failing", "5"].map(str::to_owned)]);
        let error = bench.value("SELECT last_error FROM v_link_health LIMIT 1");
        assert!(error.contains("503"), "{error}");
        assert_eq!(receiver.events(), ["raised source_stale"], "one message for all links");
        for link in bench.bank.truth().links {
            bench.bank.add_transaction(link.accounts[0].id, NewTransaction::posted(-100, "NEWS"));
        }
        bench.bank.clear_fault(down);
        for _ in 0..4 {
            bench.pass(Duration::from_mins(58)).await;
            watch(&bench, &receiver, 2).await;
        }
        assert_eq!(receiver.events(), ["resolved source_stale"]);
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
    result.expect("the store works");
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "5");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
    for refreshes in bench.bank.refreshes() {
        assert!(refreshes.worst_day <= 2, "the third is a person's: {refreshes:?}");
    }
}
