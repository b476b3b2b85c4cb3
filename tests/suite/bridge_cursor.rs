//! Where the feed of a Bridge customer goes on: watermarks, walks that are cut short, links that come and go.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use passbook::sandbox::{AccountId, DeletedRows, Fault, LinkId, NewAccount, NewTransaction, Plan, Scope, UserId};
use passbook::store::RemovedBy;

use crate::bridge_states::{health, last_sync, quiet};
use crate::harness::Bench;

const HOUR: Duration = Duration::from_hours(1);

/// One more item of a customer, with an account and rows of the last months.
fn add_link(bench: &Bench, user: UserId, institution: &str, rows: i64) -> (LinkId, AccountId) {
    let link = bench.bank.add_link(user, institution);
    let account = bench.bank.add_account(link, NewAccount::checking(institution, 100_000).currency("EUR"));
    for nth in 0..rows {
        let at = bench.clock.now() - SignedDuration::from_hours(24 * nth);
        bench.bank.add_transaction(account, NewTransaction::posted(-100 - nth, "CARTE").at(at));
    }
    (link, account)
}

fn customer(bench: &Bench, items: usize) -> (UserId, Vec<(LinkId, AccountId)>) {
    let user = bench.bank.add_user("customer");
    let institutions = ["574", "6", "14", "23", "31"];
    (user, (0..items).map(|nth| add_link(bench, user, institutions[nth % 5], 40)).collect())
}

fn spend(bench: &Bench, of: (LinkId, AccountId), amount: i64) {
    bench.bank.add_transaction(of.1, NewTransaction::posted(amount, "NOUVEAU"));
    bench.bank.refresh_item(of.0);
}

async fn hours(bench: &Bench, hours: u32) {
    bench.pass(hours * HOUR).await;
    bench.run_once().await;
}

/// What was asked of the aggregator since the log was cleared.
fn asked(bench: &Bench) -> Vec<String> {
    let log = bench.bank.request_log();
    log.iter().map(|logged| format!("{} {}", logged.method, logged.path)).collect()
}

fn cursors(bench: &Bench) -> Vec<i64> {
    let rows = bench.rows("SELECT updated_to_at FROM cursors ORDER BY link_id");
    rows.iter().map(|row| row[0].parse().expect("an instant")).collect()
}

fn newest_update(bench: &Bench) -> i64 {
    let served = bench.bank.served();
    let rows = served.links.iter().flat_map(|link| link.transactions.iter().chain(&link.deleted_transactions));
    rows.filter_map(|row| row.updated_at).map(Timestamp::as_millisecond).max().expect("a row")
}

#[tokio::test(start_paused = true)]
async fn the_watermark_is_what_upstream_wrote_last_and_the_next_sync_asks_for_an_hour_more() {
    let bench = quiet("");
    let (_, links) = customer(&bench, 2);
    bench.run_once().await;
    let first = cursors(&bench)[0];
    // What is written while a walk goes on may lie before the latest row that it saw: it is taken off.
    let is_newest = |cursor: i64| (0..1_000).contains(&(newest_update(&bench) - cursor));
    assert!(is_newest(first), "{first} instead of {}", newest_update(&bench));
    assert_eq!(cursors(&bench), [first, first]);
    hours(&bench, 7).await;
    let now = cursors(&bench);
    assert!(now.iter().all(|cursor| is_newest(*cursor) && *cursor >= first), "nothing came: {now:?} after {first}");
    let first = now[0];
    spend(&bench, links[1], -4_242);
    bench.bank.clear_request_log();
    hours(&bench, 7).await;
    // Nothing came for hours, so everything up to the watermark has settled: from there on it is asked again.
    let since = Timestamp::from_millisecond(first).expect("an instant").strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let log = asked(&bench);
    let walks: Vec<&String> = log.iter().filter(|line| line.contains("/transactions")).collect();
    assert_eq!(walks.len(), 1, "{log:#?}");
    assert!(walks[0].replace("%3A", ":").contains(&format!("since={since}")), "{walks:?} instead of {since}");
    assert!(newest_update(&bench) > first);
    assert!(cursors(&bench).into_iter().all(is_newest), "{:?}", cursors(&bench));
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_walk_that_is_killed_between_pages_leaves_the_cursor_where_it_was() {
    for is_first in [true, false] {
        let bench = quiet("page_size = 20");
        let (_, links) = customer(&bench, 3);
        if !is_first {
            bench.run_once().await;
            bench.pass(7 * HOUR).await;
            for nth in 0..60 {
                spend(&bench, links[nth % 3], -1_000 - i64::try_from(nth).expect("few"));
            }
        }
        let before = cursors(&bench);
        // One that has ended may be followed by another before the kill, which is open then.
        let ended = || bench.value("SELECT count(*) FROM syncs WHERE outcome = 'ok'");
        let ended_before = ended();
        bench.bank.settings(|settings| settings.latency = Duration::from_secs(1));
        let mut kills = 0;
        for seconds in 3..40 {
            let rows: u32 = bench.value("SELECT count(*) FROM transactions").parse().expect("a number");
            if !bench.run_and_kill(true, Duration::from_secs(seconds)).await {
                break;
            }
            kills += 1;
            let now: u32 = bench.value("SELECT count(*) FROM transactions").parse().expect("a number");
            assert!(now >= rows);
            assert!(ended() != ended_before || cursors(&bench) == before, "the cursor moved before the end");
        }
        assert!(kills > 3, "{kills} kills");
        bench.run_once().await;
        bench.assert_store_is_truth();
        assert_eq!(cursors(&bench).len(), 3);
        assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind <> 'added'"), "0");
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_written_while_a_long_walk_goes_on_is_not_passed_by() {
    let bench = quiet("page_size = 10");
    let (_, links) = customer(&bench, 2);
    bench.bank.settings(|settings| settings.latency = Duration::from_mins(9));
    // Half through the walk a row of the first pages is written, later one that the walk still sees.
    let (link, account) = links[0];
    for (minutes, days_ago) in [(40, 0), (45, 39)] {
        let at = bench.clock.now() + SignedDuration::from_mins(minutes);
        bench.bank.at(at, move |bank| {
            let on = at - SignedDuration::from_hours(24 * days_ago);
            bank.add_transaction(account, NewTransaction::posted(-9_000 - minutes, "PENDANT").at(on));
            bank.refresh_item(link);
        });
    }
    bench.run_once().await;
    bench.bank.settings(|settings| settings.latency = Duration::ZERO);
    hours(&bench, 7).await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_history_in_two_steps_is_complete_after_the_follow_up() {
    let bench = quiet("sync_schedule = \"0 3 * * *\"\nstatus_schedule = \"0 4 * * *\"");
    let (_, links) = customer(&bench, 1);
    bench.run_once().await;
    let (link, account) = links[0];
    bench.pass(Duration::from_mins(3)).await;
    for month in 2..12 {
        let at = bench.clock.now() - SignedDuration::from_hours(24 * 30 * month);
        bench.bank.add_transaction(account, NewTransaction::posted(-month, "ANCIEN").at(at));
    }
    bench.bank.refresh_item(link);
    bench.pass(Duration::from_mins(8)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    assert_eq!(bench.value("SELECT count(*) FROM syncs"), "2", "the first and its follow-up");
    bench.pass(2 * HOUR).await;
    bench.run_once().await;
    assert_eq!(bench.value("SELECT count(*) FROM syncs"), "2", "there is one follow-up");
}

#[tokio::test(start_paused = true)]
async fn a_link_added_to_a_customer_of_others_is_read_by_itself() {
    for status in ["0", "1009", "402", "1100", "1003", "-3"] {
        let bench = quiet("");
        let (user, links) = customer(&bench, 2);
        bench.run_once().await;
        bench.pass(7 * HOUR).await;
        let new = add_link(&bench, user, "31", 25);
        bench.bank.set_item_status(new.0, status.parse().expect("a number"));
        bench.bank.clear_request_log();
        bench.run_once().await;
        let log = asked(&bench);
        let whole =
            log.iter().filter(|l| l.contains("/transactions") && !l.contains("since") && !l.contains("account_id"));
        assert_eq!(whole.count(), 0, "{status}: the others' histories are not read again: {log:#?}");
        assert_eq!(last_sync(&bench, links[0].0), ("ok".to_owned(), "NULL".to_owned()), "{status}");
        assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0", "{status}");
        bench.bank.script_item(new.0, "success");
        bench.bank.refresh_item(new.0);
        hours(&bench, 7).await;
        assert_eq!(last_sync(&bench, new.0).0, "ok", "{status}");
        bench.assert_store_is_truth();
        assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0", "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_customer_whose_links_are_all_new_is_read_in_one_walk() {
    let bench = quiet("");
    let (_, links) = customer(&bench, 5);
    bench.run_once().await;
    let log = asked(&bench);
    let walks: Vec<&String> = log.iter().filter(|line| line.contains("/transactions")).collect();
    assert_eq!(walks.len(), 1, "{log:#?}");
    assert!(!walks[0].contains("account_id") && !walks[0].contains("since"), "{walks:?}");
    assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome = 'ok'"), links.len().to_string());
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_customer_deleted_upstream_keeps_the_history_and_is_asked_for_no_more() {
    let bench = quiet("");
    let (user, _) = customer(&bench, 2);
    bench.run_once().await;
    let rows = bench.value("SELECT count(*) FROM v_transactions");
    bench.pass(HOUR).await;
    bench.bank.delete_user(user);
    hours(&bench, 3).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'removed'"), "2");
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), rows);
    assert_eq!(bench.value("SELECT removed_at IS NOT NULL FROM users"), "1");
    hours(&bench, 2).await;
    bench.bank.clear_request_log();
    hours(&bench, 30).await;
    let about_user: Vec<String> =
        asked(&bench).into_iter().filter(|line| !line.contains("/users") && !line.contains("categories")).collect();
    assert_eq!(about_user, Vec::<String>::new());
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), rows);
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_customer_who_reappears_comes_back_with_all_links() {
    let bench = quiet("");
    let (_, links) = customer(&bench, 2);
    bench.run_once().await;
    let fault = bench.bank.fault(Fault::Status(404), Scope::path("/authorization/token"));
    hours(&bench, 3).await;
    bench.bank.clear_fault(fault);
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'removed'"), "2");
    let rows = bench.value("SELECT count(*) FROM v_transactions");
    spend(&bench, links[0], -8_181);
    hours(&bench, 2).await;
    assert_eq!(bench.value("SELECT count(*) FROM v_link_health WHERE state = 'active'"), "2");
    assert_ne!(bench.value("SELECT count(*) FROM v_transactions"), rows);
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn an_item_that_vanishes_is_removed_and_leaves_the_others_alone() {
    let bench = quiet("");
    let (_, links) = customer(&bench, 3);
    bench.run_once().await;
    let rows = bench.value("SELECT count(*) FROM v_transactions");
    bench.bank.delete_link(links[1].0);
    spend(&bench, links[2], -5_000);
    hours(&bench, 7).await;
    assert_eq!(health(&bench, links[1].0)[0], "removed");
    assert_eq!([health(&bench, links[0].0), health(&bench, links[2].0)].map(|h| h[0].clone()), ["active", "active"]);
    let now: u32 = bench.value("SELECT count(*) FROM v_transactions").parse().expect("a number");
    assert_eq!(now, rows.parse::<u32>().expect("a number") + 1);
    assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0");
    // A walk of everything does not take the vanished item's rows for absent either.
    for _ in 0..2 {
        bench.pass(2 * HOUR).await;
        bench.sync_all(true).await;
    }
    assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_the_feed_never_tells_is_found_by_the_weekly_walk() {
    let bench = quiet("");
    bench.bank.settings(|settings| settings.bridge.deleted_rows = DeletedRows::Never);
    let (_, links) = customer(&bench, 2);
    bench.run_once().await;
    let row = bench.bank.truth().link(links[0].0).expect("a link").transactions[5].id;
    bench.bank.remove_transaction(row);
    bench.bank.refresh_item(links[0].0);
    hours(&bench, 7).await;
    let gone = || bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'");
    assert_eq!(gone(), "0");
    for _ in 0..8 * 4 {
        hours(&bench, 6).await;
    }
    assert_eq!(gone(), "1");
    bench.assert_store_is_truth();
    let full = bench.rows("SELECT full_walked_at > covered_to_at - 8 * 86400000 FROM cursors");
    assert!(full.iter().all(|row| row[0] == "1"), "{full:?}");
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_paused_link_are_left_out_and_come_when_it_goes_on() {
    for was_read in [true, false] {
        let bench = quiet("");
        let (user, links) = customer(&bench, 2);
        bench.run_once().await;
        let (paused, _) = if was_read { links[0] } else { add_link(&bench, user, "31", 30) };
        if !was_read {
            // Found by a look and paused before its first sync.
            bench.bank.set_item_status(paused, -2);
            hours(&bench, 2).await;
            bench.bank.set_item_status(paused, 0);
        }
        let link_id: i64 =
            bench.value(&format!("SELECT link_id FROM links WHERE upstream_id = '{paused}'")).parse().expect("an id");
        let now = bench.clock.now();
        bench.store.write(move |txn| txn.set_paused(link_id, true, now)).await.expect("the store works");
        let held = |bench: &Bench| bench.value(&format!("SELECT count(*) FROM transactions WHERE link_id = {link_id}"));
        let before = held(&bench);
        let of_paused = bench.bank.truth().link(paused).expect("a link").accounts[0].id;
        for round in 0..3 {
            spend(&bench, (paused, of_paused), -100 - round);
            spend(&bench, links[1], -200 - round);
            hours(&bench, 7).await;
            assert_eq!(last_sync(&bench, links[1].0), ("ok".to_owned(), "NULL".to_owned()), "{was_read}");
        }
        // A walk of everything leaves them out as well.
        bench.ask(&[links[1].0], passbook::model::Cause::Person, true).await;
        bench.run_once().await;
        assert_eq!(held(&bench), before);
        assert_eq!(health(&bench, paused)[0], "paused");
        assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
        let now = bench.clock.now();
        bench.store.write(move |txn| txn.set_paused(link_id, false, now)).await.expect("the store works");
        bench.run_once().await;
        assert_eq!(last_sync(&bench, paused).0, "ok");
        bench.assert_store_is_truth();
        assert_eq!(bench.value("SELECT count(*) FROM transaction_changes WHERE kind = 'removed'"), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn rows_of_a_link_that_was_taken_out_here_are_left_out() {
    let bench = quiet("");
    let (user, links) = customer(&bench, 2);
    let third = add_link(&bench, user, "31", 10);
    bench.bank.set_item_status(third.0, -2);
    bench.run_once().await;
    let ids = format!("SELECT link_id FROM links WHERE upstream_id IN ('{}', '{}')", links[0].0, third.0);
    let now = bench.clock.now();
    for row in bench.rows(&ids) {
        let link_id: i64 = row[0].parse().expect("an id");
        let removed = bench.store.write(move |txn| txn.remove_link(link_id, RemovedBy::Operator, now)).await;
        assert!(removed.expect("the store works"));
    }
    bench.bank.set_item_status(third.0, 0);
    let rows = bench.value("SELECT count(*) FROM transactions");
    for of in [links[0], third, links[1]] {
        spend(&bench, of, -3_210);
    }
    hours(&bench, 7).await;
    assert_eq!(last_sync(&bench, links[1].0), ("ok".to_owned(), "NULL".to_owned()));
    let now: u32 = bench.value("SELECT count(*) FROM transactions").parse().expect("a number");
    assert_eq!(now, rows.parse::<u32>().expect("a number") + 1, "those of the link that stayed");
    assert_eq!(bench.value("SELECT count(*) FROM rejected_rows"), "0");
    assert_eq!(health(&bench, links[0].0)[0], "removed");
}

#[tokio::test(start_paused = true)]
async fn a_sync_without_news_takes_three_requests_however_many_items_there_are() {
    let bench = quiet("status_schedule = \"30 4 * * *\"\ndiscover_schedule = \"0 2 1 * *\"");
    bench.bank.seed_world(&Plan { links: 30, links_per_user: 30, transactions_per_link: 20, ..Plan::default() });
    bench.run_once().await;
    bench.pass(2 * HOUR).await;
    // What was written within an hour before the cursor is read again: from now on that is one row.
    let link = bench.bank.truth().links[0].clone();
    spend(&bench, (link.id, link.accounts[0].id), -4_321);
    hours(&bench, 7).await;
    for has_news in [false, true] {
        bench.pass(6 * HOUR).await;
        if has_news {
            bench.aggregator_reads_banks();
        }
        bench.bank.clear_request_log();
        let reports = bench.run_once().await;
        assert_eq!(reports.len(), 30, "{reports:#?}");
        let log = asked(&bench);
        assert_eq!(log.len(), 3 + usize::from(has_news), "news: {has_news}; {log:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_takes_one_request_and_a_token_every_110_minutes() {
    let bench = quiet("sync_schedule = \"0 3 * * *\"\nstatus_schedule = \"*/10 * * * *\"");
    let (_, _) = customer(&bench, 5);
    bench.run_for(Duration::from_mins(30)).await;
    bench.bank.clear_request_log();
    bench.run_for(10 * HOUR).await;
    let log = asked(&bench);
    let tokens = log.iter().filter(|line| line.contains("/authorization/token")).count();
    let looks = log.iter().filter(|line| line.contains("/items")).count();
    assert!((59..=61).contains(&looks), "{log:#?}");
    assert!((5..=7).contains(&tokens), "{log:#?}");
    assert_eq!(log.len(), tokens + looks, "{log:#?}");
}
