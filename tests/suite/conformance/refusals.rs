//! What the aggregator refuses, or does not know any more.

use std::time::Duration;

use passbook::sandbox::{Fault, LinkId, NewTransaction, Plan, Scope, Served};

use crate::harness::Bench;

at_every_aggregator!(
    a_refused_secret_rests_the_source_and_spoils_no_link_for_good,
    a_discovery_with_a_refused_secret_says_so_and_tries_again,
    a_deleted_link_is_removed_and_its_history_stays,
    a_link_deleted_at_any_moment_of_its_sync_is_removed,
    a_link_that_was_gone_and_is_shown_again_goes_on,
);

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// A store that holds three links, the first two of one customer, nine hours later.
async fn three_links(serves: Served, source_lines: &str) -> Bench {
    three_links_of(serves, 2, source_lines).await
}

/// The same with so many links a customer.
async fn three_links_of(serves: Served, links_per_user: usize, source_lines: &str) -> Bench {
    let bench = Bench::at(serves, source_lines);
    bench.bank.seed_world(&Plan { links: 3, links_per_user, transactions_per_link: 30, ..Plan::default() });
    bench.run_once().await;
    bench.pass(hours(9)).await;
    bench
}

fn links_of(bench: &Bench) -> Vec<LinkId> {
    bench.bank.truth().links.iter().map(|link| link.id).collect()
}

async fn a_refused_secret_rests_the_source_and_spoils_no_link_for_good(serves: Served) {
    let bench = three_links(serves, "").await;
    bench.bank.clear_request_log();
    let fault = bench.bank.fault(Fault::Status(401), Scope::all());
    bench.run_once().await;
    bench.run_once().await;
    let sent = bench.bank.request_log().len();
    assert!(sent <= 4, "{sent} requests, though the first answer said it all");
    let reason = bench.value("SELECT hold_reason FROM sources");
    assert_eq!(reason, "credentials refused");
    let errors = bench.rows("SELECT DISTINCT last_error FROM v_link_health WHERE last_error IS NOT NULL");
    assert!(errors[0][0].contains("check its ids and secrets"), "{errors:?}");
    assert_eq!(bench.value("SELECT count(*) FROM refreshes WHERE outcome <> 'not_sent'"), "0");
    bench.bank.clear_fault(fault);
    bench.pass(hours(1)).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state <> 'active'"), "0");
    bench.assert_store_is_truth();
}

async fn a_discovery_with_a_refused_secret_says_so_and_tries_again(serves: Served) {
    let bench = Bench::at(serves, "");
    bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 10, ..Plan::default() });
    let fault = bench.bank.fault(Fault::Status(401), Scope::all());
    bench.run_once().await;
    let error = bench.value("SELECT discover_error FROM sources");
    assert!(error.contains("check its ids and secrets"), "{error}");
    assert_eq!(bench.bank.request_log().len(), 1);
    bench.bank.clear_fault(fault);
    bench.pass(hours(1)).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT discover_error IS NULL FROM sources"), "1");
    bench.assert_store_is_truth();
}

async fn a_deleted_link_is_removed_and_its_history_stays(serves: Served) {
    for is_404 in [false, true] {
        let bench = three_links(serves, "").await;
        bench.bank.settings(|s| s.deleted_link_is_404 = is_404);
        let rows = bench.value("SELECT count(*) FROM v_transactions");
        let links = links_of(&bench);
        bench.bank.delete_link(links[1]);
        bench.run_once().await;
        assert_eq!(bench.value("SELECT sum(consecutive_failures) FROM links"), "0");
        assert_eq!(bench.states(&links), ["active", "removed", "active"]);
        assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), rows);
        bench.pass(hours(24)).await;
        bench.bank.clear_request_log();
        bench.run_once().await;
        assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'removed'"), "1");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

async fn a_link_deleted_at_any_moment_of_its_sync_is_removed(serves: Served) {
    for after_ms in (0..9).map(|n| n * 6_000) {
        let bench = three_links(serves, "page_size = 10").await;
        bench.bank.settings(|s| s.latency = Duration::from_secs(2));
        let links = links_of(&bench);
        let victim = links[1];
        let at = bench.bank.now() + jiff::SignedDuration::from_millis(after_ms);
        bench.bank.at(at, move |bank| bank.delete_link(victim));
        bench.run_once().await;
        bench.pass(hours(24)).await;
        bench.run_once().await;
        assert_eq!(bench.states(&links), ["active", "removed", "active"], "{after_ms}");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
        assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome IS NULL"), "0");
    }
}

async fn a_link_that_was_gone_and_is_shown_again_goes_on(serves: Served) {
    let bench = three_links_of(serves, 1, "discover_schedule = \"0 */3 * * *\"").await;
    let victim = bench.bank.truth().links[1].clone();
    let scope = match serves {
        Served::Truv => Scope::link(victim.id),
        Served::Bridge => Scope::user(victim.user_upstream_id.parse().expect("an id")),
    };
    let rows = bench.value("SELECT count(*) FROM v_transactions");
    let fault = bench.bank.fault(Fault::Status(404), scope);
    bench.run_once().await;
    assert_eq!(bench.states(&[victim.id]), ["removed"]);
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), rows, "its history stays");
    bench.bank.clear_fault(fault);
    bench.bank.add_transaction(victim.accounts[0].id, NewTransaction::posted(-100, "TEA"));
    for _ in 0..2 {
        bench.aggregator_reads_banks();
        bench.run_for(hours(9)).await;
    }
    assert_eq!(bench.states(&links_of(&bench)), ["active"; 3]);
    assert_eq!(bench.value("SELECT count(*) FROM links"), "3", "the same links");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
