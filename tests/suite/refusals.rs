//! What Truv refuses: links and refreshes.

use std::time::Duration;

use passbook::model::Cause;
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
async fn a_refresh_that_is_refused_is_done_without() {
    // Forbidden, of another product, with a stale token, not to be processed.
    for status in [403, 400, 404, 422] {
        let bench = three_links("").await;
        bench.bank.fault(Fault::Status(status), Scope::path("/v1/refresh/tasks/").method("POST"));
        bench.bank.settings(|s| s.visible_immediately = true);
        let link = bench.bank.truth().links[0].accounts[0].id;
        bench.bank.add_transaction(link, NewTransaction::posted(-100, "TEA").at(bench.bank.now()));
        let reports = bench.run_once().await;
        assert!(reports.iter().all(|r| r.outcome == Outcome::Ok), "{status}: {reports:#?}");
        assert_eq!(bench.value("SELECT count(*) FROM refreshes WHERE outcome = 'refused'"), "3", "{status}");
        assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3", "{status}");
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_may_not_be_looked_at_is_settled_before_another_is_asked_for() {
    let bench = three_links("").await;
    let fault = bench.bank.fault(Fault::Status(403), Scope::path("/v1/refresh/tasks/").method("GET"));
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'attention'"), "3");
    bench.bank.clear_fault(fault);
    bench.pass(hours(9)).await;
    bench.run_once().await;
    // Long before the next slot nobody waits for the first ones any more.
    let ledger =
        "SELECT sum(outcome = 'timed_out'), sum(outcome = 'done'), count(*), count(finished_at) FROM refreshes";
    assert_eq!(bench.rows(ledger), [["3", "3", "6", "6"].map(str::to_owned)]);
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_cannot_be_read_is_not_taken_for_gone() {
    let bench = three_links("").await;
    let fault = bench.bank.fault(Fault::RowWithoutId, Scope::path("/v1/links/"));
    let now = bench.clock.now();
    let users: Vec<i64> =
        bench.rows("SELECT user_id FROM users").iter().map(|r| r[0].parse().expect("an id")).collect();
    bench.store.write(move |txn| users.iter().try_for_each(|id| txn.set_links_due_at(*id, now))).await.expect("works");
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM users WHERE links_due_at IS NOT NULL"), "0", "they were looked at");
    assert_eq!(bench.value("SELECT count(*) FROM links WHERE removed_at IS NOT NULL"), "0");
    bench.bank.clear_fault(fault);
    bench.pass(hours(9)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_while_a_link_is_still_looked_at_comes_next() {
    let home = Home::with("");
    home.bench.run_once().await;
    // A link that needs a person is asked for by itself before its sync is opened.
    home.bench.bank.break_login(home.link, "login_error");
    home.hours(9).await;
    home.bench.run_once().await;
    assert_eq!(home.bench.states(&[home.link]), ["attention"]);
    home.hours(9).await;
    home.bench.bank.settings(|s| s.latency = Duration::from_secs(3));
    let link_id = home.bench.link_id(home.link);
    let engine = home.bench.engine().await;
    let order = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        home.bench.ask(&[home.link], Cause::Person, false).await;
    };
    let (stepped, ()) = tokio::join!(engine.advance(link_id), order);
    stepped.expect("the store works");
    let next = home.bench.rows("SELECT due_cause, sync_id IS NULL FROM links");
    assert_eq!(next, [["person", "1"].map(str::to_owned)], "the order is not lost");
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
