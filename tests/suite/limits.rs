//! No limit on refreshes is exceeded, whatever happens to the process.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::model::Cause;
use passbook::sandbox::{Fault, LinkId, Plan, Scope};
use passbook::store::{Outcome, UsageRow};

use crate::harness::Bench;
use crate::home::Home;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

fn town(source_lines: &str, links: usize) -> (Bench, Vec<LinkId>) {
    let bench = Bench::with(source_lines);
    let links = bench.bank.seed_world(&Plan { links, transactions_per_link: 12, ..Plan::default() });
    (bench, links)
}

fn assert_within_limits(bench: &Bench, case: &str) {
    let worst = bench.bank.worst_window(&bench.secret, MINUTE);
    assert!(worst <= 300, "{case}: {worst} requests in a minute");
    assert_eq!(bench.bank.throttled_count(), 0, "{case}");
    for refreshes in bench.bank.refreshes() {
        assert!(refreshes.worst_day <= 3, "{case}: {refreshes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn scheduled_syncs_leave_one_refresh_of_the_day_to_a_person() {
    let (bench, links) = town("sync_schedule = \"0 */4 * * *\"", 3);
    for day in 0..2 {
        bench.run_for(hours(24)).await;
        for refreshes in bench.bank.refreshes() {
            assert!(refreshes.worst_day <= 2, "day {day}: {refreshes:?}");
        }
    }
    // A person's sync uses the reserve, and the next one says that it went without.
    bench.ask(&links[..1], Cause::Person, false).await;
    let reports = bench.run_once().await;
    assert_eq!(reports.len(), 1);
    let refreshed = |sync_id: i64| bench.value(&format!("SELECT refreshed FROM syncs WHERE sync_id = {sync_id}"));
    assert_eq!(refreshed(reports[0].sync_id), "done");
    bench.ask(&links[..1], Cause::Person, false).await;
    let reports = bench.run_once().await;
    assert_eq!(reports[0].outcome, Outcome::Ok);
    let word = refreshed(reports[0].sync_id);
    assert!(word.contains("until") || word.contains("limit"), "{word}");
    assert_within_limits(&bench, "a person");
    bench.assert_verifies().await;
}

/// One that was given up was taken by the aggregator all the same, which counts it and has it paid for.
#[tokio::test(start_paused = true)]
async fn refreshes_that_were_given_up_count_as_the_others_do() {
    let (bench, links) = town("sync_schedule = \"0 */4 * * *\"", 1);
    bench.run_once().await;
    bench.bank.settings(|s| {
        s.pace.parse = hours(24 * 7);
        // The aggregator refuses none, or one too many would not be seen.
        s.refresh_limit = None;
    });
    let received = || {
        let log = bench.bank.request_log();
        log.iter().filter(|logged| logged.method == "POST" && logged.path.starts_with("/v1/refresh/tasks/")).count()
    };
    for expected in [1, 2, 2] {
        bench.pass(hours(5)).await;
        let reports = bench.run_once().await;
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(received(), expected);
    }
    let given_up = ["timed_out".to_owned()];
    assert_eq!(bench.rows("SELECT outcome FROM refreshes"), [given_up.clone(), given_up]);
    let last = bench.value("SELECT refreshed FROM syncs ORDER BY sync_id DESC LIMIT 1");
    assert!(last.contains("refresh_reserve"), "{last}");
    // The third is a person's, and the last.
    for _ in 0..2 {
        bench.ask(&links, Cause::Person, false).await;
        bench.run_once().await;
        assert_eq!(received(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn the_months_cap_holds_for_all_links_together() {
    let (bench, _) = town("refreshes_per_month = 5", 4);
    for _ in 0..4 {
        bench.run_once().await;
        bench.pass(hours(9)).await;
    }
    let accepted: usize = bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
    assert_eq!(accepted, 5);
    let last = bench.value("SELECT refreshed FROM syncs ORDER BY sync_id DESC LIMIT 1");
    assert!(last.contains("month"), "{last}");
    bench.pass(hours(24 * 30)).await;
    bench.run_once().await;
    let accepted: usize = bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
    assert_eq!(accepted, 9, "a new month");
}

#[tokio::test(start_paused = true)]
async fn a_development_secret_stops_at_its_cap_and_the_links_stay_well() {
    for upstream_cap in [50, 4] {
        let bench = Bench::in_development("sync_schedule = \"0 * * * *\"");
        bench.bank.settings(|s| s.dev_task_limit = upstream_cap);
        for n in 0..8 {
            let user = bench.bank.add_user_of(&bench.secret, &format!("customer-{n}"));
            let link = bench.bank.add_link(user, "wells_fargo");
            bench.bank.add_account(link, passbook::sandbox::NewAccount::checking("Everyday", 1_000));
        }
        for _ in 0..if upstream_cap == 50 { 36 } else { 9 } {
            bench.run_once().await;
            bench.pass(hours(3)).await;
        }
        let accepted: usize = bench.bank.refreshes().iter().map(|r| r.at.len()).sum();
        assert!(accepted <= 50.min(upstream_cap + 7), "{accepted}");
        assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "8");
        let last = bench.value("SELECT outcome FROM syncs ORDER BY sync_id DESC LIMIT 1");
        assert_eq!(last, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn the_ledger_knows_of_a_refresh_before_it_is_sent() {
    let mut home = Home::with("");
    home.bench.run_once().await;
    home.hours(9).await;
    home.bench.bank.fault(Fault::Hang, Scope::path("/v1/refresh/tasks/").method("POST"));
    assert!(home.bench.run_and_kill(true, Duration::from_secs(9)).await);
    assert_eq!(home.bench.value("SELECT outcome FROM refreshes"), "sending");
    assert_eq!(home.bench.bank.refreshes()[0].at.len(), 1, "the aggregator has it");
    home.bench.bank.clear_faults();
    home.bench.reopen();
    home.bench.run_once().await;
    assert_eq!(home.bench.rows("SELECT outcome FROM refreshes"), [["done".to_owned()]]);
    assert_eq!(home.bench.bank.refreshes()[0].at.len(), 1);
    home.bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_minute_that_a_clock_lives_twice_breaks_no_limit() {
    let (bench, _) = town("", 1);
    bench.run_once().await;
    let ran_on = bench.clock.now() + hours(1);
    // As two processes count: between them the clock was set back by a minute.
    for (minutes, requests) in [(0, 200), (1, 10), (0, 200), (1, 200), (2, 10)] {
        let minute_at = ran_on + MINUTE * minutes;
        let row = UsageRow { minute_at, requests, rate_limited: 0, failed: 0, clock_set_back: false };
        bench.store.write(move |txn| txn.add_usage(1, "secret", &[row])).await.expect("the store works");
    }
    let counted = "SELECT requests, clock_set_back FROM request_usage ORDER BY minute_at DESC LIMIT 3";
    assert_eq!(bench.rows(counted), [["10", "0"], ["210", "1"], ["400", "1"]]);
    bench.assert_verifies().await;
}
