//! Every link on time: no burst, no gap, nobody delayed by another.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use passbook::daemon::Daemon;
use passbook::model::Cause;
use passbook::sandbox::{Fault, LinkId, NewTransaction, Plan, Scope, Served};
use tokio_util::sync::CancellationToken;

use crate::harness::{Bench, at};
use crate::home::{Home, word};

at_every_aggregator!(
    every_link_is_synced_once_a_slot_and_not_all_in_one_second,
    missed_slots_are_caught_up_once,
    a_clock_that_is_set_back_or_forward_neither_silences_nor_hurries_links,
    a_clock_that_was_ahead_for_a_while_leaves_no_gap_in_the_data,
    a_hold_from_a_clock_that_was_ahead_ends_when_it_is_set_back,
    paused_links_rest_and_go_on_where_they_stood,
    what_a_person_asks_for_goes_first_in_a_backlog,
    a_link_that_hangs_meets_its_deadline_and_delays_nobody,
    links_of_one_customer_that_hang_are_asked_less_and_less,
    links_of_one_customer_rest_alone,
    a_link_that_keeps_failing_is_asked_less_and_less,
);

fn hours(hours: u64) -> Duration {
    Duration::from_hours(hours)
}

/// Customers with a link each, synced every eight hours. Nothing but the schedule makes a link due: an aggregator that reads
/// the banks by itself does not.
async fn town(serves: Served, source_lines: &str, links: usize) -> (Bench, Vec<LinkId>) {
    town_of(serves, source_lines, &Plan { links, transactions_per_link: 12, ..Plan::default() }).await
}

/// The same with customers of a plan.
async fn town_of(serves: Served, source_lines: &str, plan: &Plan) -> (Bench, Vec<LinkId>) {
    let bench = Bench::at(serves, &format!("sync_schedule = \"0 */8 * * *\"\n{source_lines}"));
    bench.bank.settings(|s| s.bridge.refresh_every = None);
    let links = bench.bank.seed_world(plan);
    bench.run_once().await;
    if serves == Served::Bridge {
        // A first sync is followed by another when the history is complete.
        bench.pass(Duration::from_mins(11)).await;
        bench.run_once().await;
    }
    (bench, links)
}

/// When each sync began, by link and then in order.
fn began(bench: &Bench) -> Vec<(i64, Timestamp)> {
    let rows = bench.rows("SELECT link_id, started_at FROM syncs ORDER BY link_id, sync_id");
    let number = |text: &str| text.parse::<i64>().expect("a number");
    rows.iter()
        .map(|row| (number(&row[0]), Timestamp::from_millisecond(number(&row[1])).expect("an instant")))
        .collect()
}

async fn every_link_is_synced_once_a_slot_and_not_all_in_one_second(serves: Served) {
    let (bench, links) = town(serves, "[schedule]\nspread = \"30m\"", 40).await;
    bench.run_for(hours(13)).await;
    let all = began(&bench);
    for link in &links {
        let link_id = bench.link_id(*link);
        let of_link: Vec<Timestamp> = all.iter().filter(|(id, _)| *id == link_id).map(|(_, at)| *at).collect();
        let firsts = if serves == Served::Truv { 1 } else { 2 };
        assert_eq!(of_link.len(), firsts + 2, "the first, 16:00 and 00:00: {of_link:?}");
        for (began, slot) in of_link[firsts..].iter().zip(["2026-03-02T16:00:00Z", "2026-03-03T00:00:00Z"]) {
            let late = began.duration_since(at(slot));
            assert!((SignedDuration::ZERO..SignedDuration::from_mins(31)).contains(&late), "{began} for {slot}");
        }
    }
    let in_slot = all.iter().filter(|(_, began)| *began >= at("2026-03-03T00:00:00Z"));
    let mut seconds: Vec<i64> = in_slot.map(|(_, began)| began.as_second()).collect();
    seconds.sort_unstable();
    assert!(seconds[seconds.len() - 1] - seconds[0] > 20 * 60, "{seconds:?}");
}

async fn missed_slots_are_caught_up_once(serves: Served) {
    let (bench, _) = town(serves, "", 5).await;
    bench.pass(hours(72)).await;
    let before = began(&bench).len();
    bench.run_for(hours(1)).await;
    assert_eq!(began(&bench).len() - before, 5, "one sync each for nine missed slots");
    bench.assert_store_is_truth();
}

async fn a_clock_that_is_set_back_or_forward_neither_silences_nor_hurries_links(serves: Served) {
    for shift_hours in [-72, -5, 5, 72] {
        let (bench, _) = town(serves, "", 4).await;
        let stop = CancellationToken::new();
        let daemon = Daemon::new(bench.engine().await, bench.options(false));
        let script = async {
            tokio::time::sleep(hours(6)).await;
            bench.clock.shift(SignedDuration::from_hours(shift_hours));
            let before = began(&bench).len();
            tokio::time::sleep(hours(17)).await;
            let synced = began(&bench).len() - before;
            assert!((8..=16).contains(&synced), "{shift_hours} h: {synced} syncs of 4 links in 17 hours");
            stop.cancel();
        };
        let (result, ()) = tokio::join!(daemon.run(stop.clone()), script);
        result.expect("the store works");
        bench.assert_store_is_truth();
    }
}

async fn a_clock_that_was_ahead_for_a_while_leaves_no_gap_in_the_data(serves: Served) {
    let home = Home::of(Bench::at(serves, "reconcile_schedule = \"0 4 1 1 *\""));
    home.add_many(20, 1);
    home.bench.run_once().await;
    let ahead = SignedDuration::from_hours(24 * 200);
    home.bench.clock.shift(ahead);
    home.add(0, NewTransaction::posted(-100, "WHILE AHEAD"));
    home.bench.run_once().await;
    home.bench.clock.shift(-ahead);
    for n in 0..3 {
        home.add(0, NewTransaction::posted(-200 - n, "AFTERWARDS"));
        home.bench.run_for(hours(9)).await;
    }
    home.bench.assert_store_is_truth();
    home.bench.assert_verifies().await;
}

async fn a_hold_from_a_clock_that_was_ahead_ends_when_it_is_set_back(serves: Served) {
    let (bench, _) = town(serves, "", 2).await;
    bench.pass(hours(9)).await;
    bench.clock.shift(SignedDuration::from_hours(48));
    let fault = bench.bank.fault(Fault::Status(401), Scope::all());
    bench.run_once().await;
    bench.bank.clear_fault(fault);
    bench.clock.shift(SignedDuration::from_hours(-48));
    let before = began(&bench).len();
    bench.run_for(hours(9)).await;
    assert!(began(&bench).len() - before >= 2, "held for two days by a hold of minutes");
}

async fn paused_links_rest_and_go_on_where_they_stood(serves: Served) {
    let (bench, links) = town(serves, "", 3).await;
    let (now, link_id) = (bench.clock.now(), bench.link_id(links[1]));
    let pause = |paused: bool| bench.store.write(move |txn| txn.set_paused(link_id, paused, now));
    pause(true).await.expect("the store works");
    bench.run_for(hours(13)).await;
    let of_paused = began(&bench).iter().filter(|(id, began)| *id == link_id && *began > now).count();
    assert_eq!(of_paused, 0);
    bench.ask(&links[1..2], Cause::Person, false).await;
    assert!(bench.run_once().await.is_empty(), "asked for, and still paused");
    pause(false).await.expect("the store works");
    assert_eq!(bench.run_once().await.len(), 1);
    bench.assert_store_is_truth();
}

async fn what_a_person_asks_for_goes_first_in_a_backlog(serves: Served) {
    let (bench, links) = town(serves, "[schedule]\nspread = \"0s\"", 150).await;
    bench.pass(hours(9)).await;
    if serves == Served::Bridge {
        // Nothing waits for refreshes there, so the line must be slow for a backlog to last.
        bench.bank.settings(|s| s.latency = Duration::from_secs(4));
    }
    let stop = CancellationToken::new();
    let daemon = Daemon::new(bench.engine().await, bench.options(false));
    let waker = daemon.waker();
    let script = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let asked_at = bench.clock.now();
        bench.ask(&links[140..141], Cause::Person, false).await;
        waker.wake();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let ended = bench.rows("SELECT finished_at FROM syncs WHERE cause = 'person' AND outcome = 'ok'");
            if !ended.is_empty() {
                break;
            }
        }
        let took = bench.clock.now().duration_since(asked_at);
        assert!(took < SignedDuration::from_secs(90), "{took:#} though a refresh takes 45 s");
        let waiting: i64 = bench
            .value(&format!("SELECT count(*) FROM links WHERE last_success_at < {}", asked_at.as_millisecond()))
            .parse()
            .expect("a number");
        assert!(waiting > 20, "the backlog still stands: {waiting}");
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), script);
    result.expect("the store works");
}

async fn a_link_that_hangs_meets_its_deadline_and_delays_nobody(serves: Served) {
    let (bench, links) = town(serves, "[schedule]\nspread = \"0s\"\nsync_deadline = \"1m\"", 20).await;
    bench.pass(hours(9)).await;
    for link in &links[..2] {
        bench.bank.fault(Fault::Hang, Scope::link(*link).method("GET"));
    }
    let started = bench.clock.now();
    bench.run_for(Duration::from_mins(10)).await;
    assert_eq!(bench.states(&links[..2]), ["failing"; 2]);
    let late = format!("SELECT count(*) FROM v_link_health WHERE last_success_at < {}", started.as_millisecond());
    assert_eq!(bench.value(&late), "2");
    let error = bench.value(&format!("SELECT last_error FROM links WHERE link_id = {}", bench.link_id(links[0])));
    assert!(error.contains("deadline"), "{error}");
    let last = bench.value("SELECT max(last_success_at) FROM links");
    let took = last.parse::<i64>().expect("a number") - started.as_millisecond();
    assert!(took < 240_000, "the others took {took} ms");
}

async fn a_link_that_keeps_failing_is_asked_less_and_less(serves: Served) {
    let (bench, links) = town(serves, "", 2).await;
    let started = bench.clock.now();
    bench.bank.fault(Fault::Status(500), Scope::link(links[0]).with_path("/transactions"));
    bench.run_for(hours(11)).await;
    let link_id = bench.link_id(links[0]);
    let tries = began(&bench).iter().filter(|(id, began)| *id == link_id && *began > started).count();
    assert!((6..=12).contains(&tries), "{tries} tries in seven hours");
    let failures: i64 =
        bench.value(&format!("SELECT consecutive_failures FROM links WHERE link_id = {link_id}")).parse().expect("one");
    assert_eq!(i64::try_from(tries).expect("small"), failures);
    bench.bank.clear_faults();
    bench.run_for(hours(9)).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "2");
    bench.assert_store_is_truth();
}

async fn links_of_one_customer_that_hang_are_asked_less_and_less(serves: Served) {
    let plan = Plan { links: 3, links_per_user: 3, transactions_per_link: 12, ..Plan::default() };
    let (bench, links) = town_of(serves, "[schedule]\nspread = \"0s\"\nsync_deadline = \"1m\"", &plan).await;
    bench.pass(hours(9)).await;
    for link in &links {
        bench.bank.fault(Fault::Hang, Scope::link(*link).with_path("/transactions"));
    }
    let started = bench.clock.now();
    bench.run_for(hours(2)).await;
    let states = bench.rows("SELECT DISTINCT state FROM v_link_health");
    assert_eq!(states, [["failing".to_owned()]]);
    assert_eq!(bench.value("SELECT count(*) FROM links WHERE last_error NOT LIKE '%deadline%'"), "0");
    let tries = began(&bench).iter().filter(|(_, began)| *began > started).count();
    assert!((6..=27).contains(&tries), "{tries} tries of three links in two hours");
    bench.bank.clear_faults();
    bench.run_for(hours(3)).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "3");
    assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome IS NULL"), "0");
    bench.assert_store_is_truth();
}

async fn links_of_one_customer_rest_alone(serves: Served) {
    let plan = Plan { links: 2, links_per_user: 2, transactions_per_link: 12, ..Plan::default() };
    let (bench, links) = town_of(serves, "reconcile_schedule = \"0 4 1 1 *\"", &plan).await;
    let (now, ids) = (bench.clock.now(), [bench.link_id(links[0]), bench.link_id(links[1])]);
    let pause = |paused: bool| bench.store.write(move |txn| txn.set_paused(ids[1], paused, now));
    pause(true).await.expect("the store works");
    for n in 0..2 {
        for link in &links {
            let account = bench.bank.truth().link(*link).expect("a link").accounts[0].id;
            bench.bank.add_transaction(account, NewTransaction::posted(-700 - n, &format!("NEWS {}", word(n))));
        }
        bench.aggregator_reads_banks();
        bench.run_for(hours(17)).await;
    }
    let news = |link_id: i64| {
        bench.value(&format!(
            "SELECT count(*) FROM v_transactions WHERE link_id = {link_id} AND description LIKE 'NEWS%'"
        ))
    };
    assert_eq!((news(ids[0]), news(ids[1])), ("2".to_owned(), "0".to_owned()));
    pause(false).await.expect("the store works");
    bench.run_for(hours(9)).await;
    assert_eq!(news(ids[1]), "2", "written while it rested");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}
