//! What refreshes and backfills mean for being on time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use passbook::sandbox::{LinkId, Plan};
use passbook::store::Moment;

use crate::harness::Bench;

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

async fn town(source_lines: &str, links: usize) -> (Bench, Vec<LinkId>) {
    let bench = Bench::with(source_lines);
    let links = bench.bank.seed_world(&Plan { links, transactions_per_link: 12, ..Plan::default() });
    bench.run_once().await;
    (bench, links)
}

#[tokio::test(start_paused = true)]
async fn backfills_do_not_starve_the_links_of_every_day() {
    let (bench, _) = town("page_size = 10\ndiscover_schedule = \"0 * * * *\"\n[schedule]\nspread = \"0s\"", 10).await;
    bench.bank.seed_world(&Plan { links: 60, transactions_per_link: 300, ..Plan::default() });
    // At 16:00 the ten old links are due and the new ones are discovered.
    bench.pass(Duration::from_mins(241)).await;
    let started = bench.clock.now();
    bench.run_for(Duration::from_mins(4)).await;
    let done = bench.value(&format!(
        "SELECT count(*) FROM links WHERE link_id <= 10 AND last_success_at >= {}",
        started.as_millisecond()
    ));
    assert_eq!(done, "10", "of the old links, in four minutes");
    let backfilled: i64 = bench
        .value("SELECT count(*) FROM links WHERE link_id > 10 AND last_success_at IS NOT NULL")
        .parse()
        .expect("a number");
    assert!(backfilled > 3, "and backfills had their share: {backfilled}");
}

#[tokio::test(start_paused = true)]
async fn while_an_answer_is_waited_for_the_store_is_left_alone() {
    let (bench, _) = town("", 1).await;
    let reads = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&reads);
    bench.store.work_in_place(Arc::new(move |moment| {
        count.fetch_add(u64::from(moment == Moment::Read), Ordering::Relaxed);
        true
    }));
    bench.bank.settings(|settings| settings.latency = Duration::from_secs(25));
    bench.pass(hours(9)).await;
    let before = bench.bank.request_log().len();
    bench.run_for(Duration::from_mins(2)).await;
    assert!(bench.bank.request_log().len() >= before + 3, "the link is worked on all the time");
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads < 120, "{reads} reads in two minutes");
}

#[tokio::test(start_paused = true)]
async fn a_broken_login_costs_one_refresh_and_heals_within_a_schedule() {
    for (status, attention) in
        [("login_error", "login"), ("mfa_error", "second_factor"), ("account_locked", "account_locked")]
    {
        let (bench, links) = town("", 3).await;
        bench.bank.break_login(links[1], status);
        bench.run_for(hours(18)).await;
        let states = bench.rows("SELECT state, attention FROM v_link_health ORDER BY link_id");
        let row = |state: &str, attention: &str| vec![state.to_owned(), attention.to_owned()];
        assert_eq!(states, [row("active", "NULL"), row("attention", attention), row("active", "NULL")]);
        let spent = |bench: &Bench| {
            let all = bench.bank.refreshes();
            let of_link = all.iter().find(|r| r.link_upstream_id == links[1].to_string());
            of_link.map_or(0, |r| r.at.len())
        };
        assert_eq!(spent(&bench), 1, "none while it is broken");
        bench.reconnect(links[1]).await;
        bench.run_for(hours(9)).await;
        assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3", "{status}");
        assert!(spent(&bench) >= 1);
        bench.assert_store_is_truth();
    }
}
