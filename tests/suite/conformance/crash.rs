//! Killed at any instant, the next run ends with the same store as an unbroken one.

use std::time::Duration;

use passbook::sandbox::{NewAccount, NewTransaction, Pace, Plan, PostStyle, Served};

use crate::harness::{Bench, assert_same};
use crate::home::word;

at_every_aggregator!(
    a_first_sync_killed_at_any_instant_is_finished_by_the_next_run,
    a_sync_with_news_killed_at_any_instant_is_finished_and_its_refresh_not_doubled,
    a_sync_of_a_new_link_beside_an_old_one_killed_at_any_instant_is_finished,
    a_crash_loop_gets_there_in_the_end,
);

/// Latency of every answer: kills a third of it apart meet every request before and after its answer.
const LATENCY: Duration = Duration::from_secs(2);

/// A bank with two customers, one of them with two links, and several pages each.
fn town(serves: Served) -> Bench {
    let polls = match serves {
        Served::Truv => "refresh_poll_first = \"4s\"\n",
        Served::Bridge => "",
    };
    let bench = Bench::at(serves, &format!("page_size = 10\n{polls}[schedule]\nspread = \"0s\""));
    bench.bank.seed_world(&Plan {
        links: 3,
        links_per_user: 2,
        transactions_per_link: 26,
        days: 20,
        ..Plan::default()
    });
    bench.bank.settings(|s| {
        s.latency = LATENCY;
        s.pace = Pace::instant();
    });
    bench
}

/// The same town nine hours later, after a first sync and with news at the bank.
async fn town_with_news(serves: Served) -> Bench {
    let bench = town(serves);
    bench.run_once().await;
    for link in bench.bank.truth().links {
        let pending: Vec<_> = link.transactions.iter().filter(|t| t.status.is_pending()).map(|t| t.id).collect();
        for (txn, style) in
            pending.into_iter().zip([PostStyle::SameId, PostStyle::NewIdSameExternalId, PostStyle::NewIdOnly])
        {
            bench.bank.post_pending(txn, style);
        }
        bench.bank.edit_transaction(link.transactions[8].id, Some(-4_321), None);
    }
    bench.pass(Duration::from_hours(9)).await;
    bench.aggregator_reads_banks();
    bench
}

async fn finish(bench: &Bench, case: &str) {
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
    assert_eq!(bench.value("SELECT count(*) FROM syncs WHERE outcome IS NULL"), "0", "{case}");
    let most = bench.bank.refreshes().iter().map(|r| r.at.len()).max().unwrap_or(0);
    assert!(most <= 1, "{case}: {:?}", bench.bank.refreshes());
}

async fn a_first_sync_killed_at_any_instant_is_finished_by_the_next_run(serves: Served) {
    let unbroken = town(serves);
    unbroken.run_once().await;
    let expected = unbroken.dump();
    for step in 0..40 {
        let after = LATENCY / 3 * step + Duration::from_millis(3);
        let mut bench = town(serves);
        let was_running = bench.run_and_kill(true, after).await;
        bench.reopen();
        finish(&bench, &format!("killed after {after:?}")).await;
        assert_same(&bench.dump(), &expected, &format!("killed after {after:?}"));
        if !was_running {
            break;
        }
    }
}

async fn a_sync_with_news_killed_at_any_instant_is_finished_and_its_refresh_not_doubled(serves: Served) {
    let unbroken = town_with_news(serves).await;
    unbroken.run_once().await;
    let expected = unbroken.dump();
    for step in 0..200 {
        let after = LATENCY / 3 * step + Duration::from_millis(3);
        let mut bench = town_with_news(serves).await;
        let was_running = bench.run_and_kill(true, after).await;
        bench.reopen();
        finish(&bench, &format!("killed after {after:?}")).await;
        assert_same(&bench.dump(), &expected, &format!("killed after {after:?}"));
        if !was_running {
            break;
        }
    }
}

async fn a_crash_loop_gets_there_in_the_end(serves: Served) {
    let mut bench = town_with_news(serves).await;
    let unbroken = town_with_news(serves).await;
    unbroken.run_once().await;
    for n in 0..60 {
        let was_running = bench.run_and_kill(true, Duration::from_millis(17_000 + 331 * n)).await;
        bench.reopen();
        if !was_running {
            break;
        }
    }
    finish(&bench, "a crash loop").await;
    assert_same(&bench.dump(), &unbroken.dump(), "a crash loop");
}

/// The town a day later, when a customer has connected another bank.
async fn town_with_a_new_link(serves: Served) -> Bench {
    let bench = town(serves);
    bench.run_once().await;
    bench.pass(Duration::from_hours(25)).await;
    let user = bench.bank.truth().links[0].user_upstream_id.parse().expect("an id");
    let link = bench.bank.add_link(user, "another_bank");
    let now = bench.bank.now();
    for name in ["Everyday", "Shared"] {
        let account = bench.bank.add_account(link, NewAccount::checking(name, 90_000));
        for n in 0..14 {
            let happened = now - jiff::SignedDuration::from_hours(24) * n / 2;
            let new = NewTransaction::posted(-100 - i64::from(n), &format!("SHOP {}", word(n.into())));
            bench.bank.add_transaction(account, new.at(happened));
        }
    }
    bench.bank.publish(link);
    bench.aggregator_reads_banks();
    bench
}

async fn a_sync_of_a_new_link_beside_an_old_one_killed_at_any_instant_is_finished(serves: Served) {
    let unbroken = town_with_a_new_link(serves).await;
    unbroken.run_once().await;
    unbroken.assert_store_is_truth();
    let expected = unbroken.dump();
    for step in 0..40 {
        let after = LATENCY * 2 / 3 * step + Duration::from_millis(3);
        let mut bench = town_with_a_new_link(serves).await;
        let was_running = bench.run_and_kill(true, after).await;
        bench.reopen();
        finish(&bench, &format!("killed after {after:?}")).await;
        assert_same(&bench.dump(), &expected, &format!("killed after {after:?}"));
        if !was_running {
            break;
        }
    }
}
