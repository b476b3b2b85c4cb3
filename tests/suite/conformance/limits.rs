//! No limit of the aggregator is exceeded, whatever happens to the process.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{LinkId, NewTransaction, Plan, Served};
use passbook::store::Outcome;

use crate::harness::Bench;
use crate::home::Home;

at_every_aggregator!(
    a_backlog_stays_within_the_limit_and_uses_most_of_it,
    a_backlog_stays_within_the_limit_across_restarts_at_any_instant,
    a_long_history_stays_within_the_limit_of_one_customer_run_after_run,
    a_person_may_ask_as_often_as_he_likes,
    a_throttle_is_no_failure_and_is_waited_out,
);

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

fn town(serves: Served, links: usize) -> (Bench, Vec<LinkId>) {
    let bench = Bench::at(serves, "");
    let links = bench.bank.seed_world(&Plan { links, transactions_per_link: 12, ..Plan::default() });
    (bench, links)
}

/// What the aggregator takes: requests in a stretch of time.
fn limit(serves: Served) -> (usize, SignedDuration) {
    match serves {
        Served::Truv => (300, MINUTE),
        Served::Bridge => (2_000, MINUTE * 5),
    }
}

fn assert_within_limits(bench: &Bench, case: &str) {
    let (most, window) = limit(bench.serves);
    let worst = bench.bank.worst_window(&bench.secret, window);
    assert!(worst <= most, "{case}: {worst} requests");
    assert!(bench.bank.bridge_worst_user_window(MINUTE) <= 60, "{case}: of one customer");
    assert_eq!(bench.bank.throttled_count(), 0, "{case}");
    for refreshes in bench.bank.refreshes() {
        assert!(refreshes.worst_day <= 3, "{case}: {refreshes:?}");
    }
}

async fn a_backlog_stays_within_the_limit_and_uses_most_of_it(serves: Served) {
    // Work for more than one window of the limit.
    let customers = match serves {
        Served::Truv => 250,
        Served::Bridge => 900,
    };
    let (bench, _) = town(serves, customers);
    let started = bench.clock.now();
    bench.run_once().await;
    assert_within_limits(&bench, "a backlog");
    let minutes = bench.clock.now().duration_since(started).as_secs() / 60;
    let sent = bench.bank.request_log().len();
    let rate = i64::try_from(sent).expect("a number") / minutes.max(1);
    let (most, window) = limit(serves);
    let wanted = i64::try_from(most).expect("a number") * 85 / 100 * 60 / window.as_secs();
    assert!(rate >= wanted, "{sent} requests in {minutes} minutes");
    bench.assert_store_is_truth();
    let counted = bench.value("SELECT sum(requests) FROM v_api_usage");
    assert_eq!(counted, sent.to_string(), "every request is counted");
}

async fn a_backlog_stays_within_the_limit_across_restarts_at_any_instant(serves: Served) {
    let (mut bench, _) = town(serves, 150);
    let mut wait_ms = 977;
    for _ in 0..60 {
        wait_ms = wait_ms * 7_919 % 30_011;
        let was_running = bench.run_and_kill(true, Duration::from_millis(wait_ms)).await;
        bench.reopen();
        if !was_running {
            break;
        }
    }
    bench.run_once().await;
    assert_within_limits(&bench, "a crash loop");
    bench.assert_store_is_truth();
}

async fn a_person_may_ask_as_often_as_he_likes(serves: Served) {
    let home = Home::of(Bench::at(serves, ""));
    home.bench.run_once().await;
    for n in 0..6 {
        home.add(0, NewTransaction::posted(-100 - n, "TEA"));
        let report = home.sync().await;
        assert_eq!(report.outcome, Outcome::Ok, "{report:?}");
    }
    assert_within_limits(&home.bench, "a keen person");
    let refreshes = if serves == Served::Truv { "3" } else { "0" };
    assert_eq!(home.bench.value("SELECT count(*) FROM refreshes WHERE outcome = 'done'"), refreshes);
    home.bench.assert_store_is_truth();
}

async fn a_throttle_is_no_failure_and_is_waited_out(serves: Served) {
    let (bench, _) = town(serves, 6);
    bench.run_once().await;
    bench.pass(hours(9)).await;
    bench.bank.settings(|s| {
        s.request_limit = Some(20);
        s.bridge.application_limit = Some(20);
    });
    bench.run_for(hours(2)).await;
    let failed = bench.value("SELECT count(*) FROM syncs WHERE outcome = 'failed'");
    assert_eq!(failed, "0");
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state <> 'active'"), "0");
    bench.assert_store_is_truth();
}

async fn a_long_history_stays_within_the_limit_of_one_customer_run_after_run(serves: Served) {
    let mut bench = Bench::at(serves, "page_size = 10");
    bench.bank.seed_world(&Plan { links: 2, links_per_user: 2, transactions_per_link: 450, ..Plan::default() });
    for _ in 0..2 {
        bench.run_once().await;
        bench.reopen();
        bench.sync_all(true).await;
        bench.reopen();
    }
    assert_within_limits(&bench, "a long history");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
