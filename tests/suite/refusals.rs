//! What Truv refuses: links and refreshes.

use std::time::Duration;

use passbook::sandbox::{Fault, NewTransaction, Plan, Scope};
use passbook::store::Outcome;

use crate::harness::Bench;
use crate::home::Home;

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// A store that holds three links, nine hours later.
async fn three_links(source_lines: &str) -> Bench {
    let bench = Bench::with(source_lines);
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 30, ..Plan::default() });
    bench.run_once().await;
    bench.pass(hours(9)).await;
    bench
}

#[tokio::test(start_paused = true)]
async fn a_link_that_is_forbidden_needs_a_person_and_returns_by_itself_when_it_is_allowed() {
    let bench = three_links("").await;
    let victim = bench.bank.truth().links[1].id;
    let fault = bench.bank.fault(Fault::Status(403), Scope::link(victim));
    bench.run_once().await;
    let state = || bench.rows("SELECT state, attention FROM v_link_health ORDER BY link_id");
    let (fine, off) = (["active", "NULL"], ["attention", "access"]);
    assert_eq!(state(), [fine, off, fine].map(|row| row.map(str::to_owned)));
    bench.bank.clear_fault(fault);
    bench.pass(hours(9)).await;
    bench.run_once().await;
    assert_eq!(state(), [fine, fine, fine].map(|row| row.map(str::to_owned)));
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_forbidden_is_done_without() {
    let bench = three_links("").await;
    bench.bank.fault(Fault::Status(403), Scope::path("/v1/refresh/tasks/").method("POST"));
    let reports = bench.run_once().await;
    assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{reports:#?}");
    assert_eq!(bench.value("SELECT count(*) FROM refreshes WHERE outcome = 'refused'"), "3");
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3");
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_is_down_costs_one_refresh_a_schedule_and_no_more() {
    let bench = three_links("").await;
    let victim = bench.bank.truth().links[1].id;
    bench.bank.break_login(victim, "unavailable");
    bench.run_for(hours(2)).await;
    let accepted = bench.bank.refreshes();
    let accepted = accepted.iter().find(|r| r.link_upstream_id == victim.to_string()).expect("refreshed");
    assert_eq!(accepted.at.len(), 1, "retries must not burn the day's refreshes");
    assert_eq!(bench.rows("SELECT state FROM v_link_health ORDER BY link_id")[1][0], "failing");
    bench.bank.heal_login(victim);
    bench.run_for(hours(9)).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_bank_that_is_down_shows_as_failing_also_where_only_what_is_there_was_read() {
    let bench = three_links("sync_schedule = \"0 */6 * * *\"").await;
    let victim = bench.bank.truth().links[1].id;
    bench.bank.break_login(victim, "unavailable");
    bench.run_for(hours(13)).await;
    let state = || bench.rows("SELECT state, condition FROM v_link_health ORDER BY link_id")[1].clone();
    for hour in 0..72 {
        bench.run_for(hours(1)).await;
        assert_eq!(state(), ["failing", "passing"], "after {hour} hours");
    }
    let without =
        "SELECT count(*) > 3 FROM syncs WHERE link_id = 2 AND outcome = 'ok' AND refreshed LIKE '%refresh_reserve%'";
    assert_eq!(bench.value(without), "1", "what is there is read when no refresh is left");
    bench.bank.heal_login(victim);
    bench.run_for(hours(25)).await;
    assert_eq!(state(), ["active", "well"]);
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_never_ends_is_given_up_and_what_is_there_is_pulled() {
    let home = Home::with("");
    home.bench.run_once().await;
    home.bench.bank.settings(|s| s.pace.parse = hours(5));
    home.add(0, NewTransaction::posted(-100, "TEA"));
    home.hours(9).await;
    let reports = home.bench.run_once().await;
    assert_eq!(reports[0].outcome, Outcome::Ok, "{reports:?}");
    assert_eq!(home.bench.value("SELECT outcome FROM refreshes"), "timed_out");
    let polls: i64 = home.bench.value("SELECT polls FROM refreshes").parse().expect("a number");
    assert!(polls <= 14, "sparse: {polls}");
    home.bench.assert_store_is_truth();
}
