//! Links and customers that are announced: what is made due, and what the aggregator's API has the last word on.

use std::time::Duration;

use passbook::sandbox::{LinkId, NewAccount, NewTransaction, Plan, Served};
use serde_json::{Value, json};

use super::post::{Post, ids, item, link_changed, link_read, outcomes, seconds, signed, take, with_daemon};
use crate::harness::Bench;

const BOTH: [Served; 2] = [Served::Truv, Served::Bridge];

/// A store that holds some links of two customers, synced ten minutes ago and for the second time.
async fn some_links(serves: Served) -> (Bench, Vec<LinkId>) {
    let bench = Bench::pulling(serves, signed(serves));
    let links =
        bench.bank.seed_world(&Plan { links: 4, transactions_per_link: 20, links_per_user: 2, ..Plan::default() });
    bench.run_once().await;
    bench.pass(Duration::from_hours(1)).await;
    bench.run_once().await;
    bench.pass(Duration::from_mins(10)).await;
    (bench, links)
}

/// Adds a row that the aggregator reads at once.
fn news_at(bench: &Bench, link: LinkId) {
    let account = bench.bank.truth().link(link).expect("a link").accounts[0].id;
    bench.bank.add_transaction(account, NewTransaction::posted(-700, "TEA").at(bench.bank.now()));
    if bench.serves == Served::Bridge {
        bench.bank.refresh_item(link);
    }
}

fn state(bench: &Bench, link: LinkId) -> String {
    bench.states(&[link]).remove(0)
}

#[tokio::test(start_paused = true)]
async fn a_burst_makes_one_sync() {
    for serves in BOTH {
        let (bench, links) = some_links(serves).await;
        let (link, user) = ids(&bench, links[1]);
        let link_id = bench.link_id(links[1]);
        let syncs = format!("SELECT count(*) FROM syncs WHERE link_id = {link_id}");
        with_daemon(&bench, async |post| {
            news_at(&bench, links[1]);
            let before: i64 = bench.value(&syncs).parse().expect("a number");
            for number in 0..8 {
                post.deliver(&link_read(serves, &link, &user, number)).await;
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            assert_eq!(bench.value(&syncs), before.to_string(), "not while the burst may go on");
            seconds(60).await;
            assert_eq!(bench.value(&syncs), (before + 1).to_string());
        })
        .await;
        let last = bench.rows("SELECT cause, outcome, rows_added FROM syncs ORDER BY sync_id DESC");
        assert!(last.contains(&["webhook", "ok", "1"].map(str::to_owned).to_vec()), "{last:?}");
        assert_eq!(outcomes(&bench).iter().filter(|outcome| *outcome == "applied").count(), 1);
        assert_eq!(bench.value(&format!("SELECT count(*) FROM webhook_events WHERE link_id = {link_id}")), "8");
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn news_during_a_sync_makes_another() {
    for serves in BOTH {
        let (bench, links) = some_links(serves).await;
        let (link, user) = ids(&bench, links[0]);
        bench.bank.settings(|s| s.latency = Duration::from_secs(3));
        with_daemon(&bench, async |post| {
            post.deliver(&link_read(serves, &link, &user, 0)).await;
            while bench.value("SELECT count(*) FROM syncs WHERE outcome IS NULL") == "0" {
                seconds(1).await;
            }
            news_at(&bench, links[0]);
            post.deliver(&link_read(serves, &link, &user, 1)).await;
            seconds(90).await;
        })
        .await;
        assert_eq!(outcomes(&bench), ["applied", "applied"]);
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn a_deleted_link_is_removed_when_it_is_announced() {
    for serves in BOTH {
        let (bench, links) = some_links(serves).await;
        let (link, user) = ids(&bench, links[0]);
        with_daemon(&bench, async |post| {
            post.deliver(&link_changed(serves, "deleted", &link, &user)).await;
            seconds(20).await;
            assert_eq!(state(&bench, links[0]), "active", "the aggregator still shows it: what is announced is a hint");
            bench.bank.delete_link(links[0]);
            let mut again = link_changed(serves, "deleted", &link, &user);
            again["again"] = json!(true);
            post.deliver(&again).await;
            seconds(20).await;
            assert_eq!(state(&bench, links[0]), "removed");
        })
        .await;
        assert_eq!(bench.states(&links[1..]), ["active"; 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_link_is_found_and_read_also_of_a_customer_who_is_new() {
    for serves in BOTH {
        let (bench, _) = some_links(serves).await;
        bench.bank.settings(|s| s.pace = passbook::sandbox::Pace::instant());
        let user = bench.bank.add_user("somebody-new");
        let link = bench.bank.add_link(user, "wells_fargo");
        let account = bench.bank.add_account(link, NewAccount::checking("Checking", 1_000));
        bench.bank.add_transaction(account, NewTransaction::posted(-700, "TEA").at(bench.bank.now()));
        bench.bank.publish(link);
        let (link_id, user_id) = ids(&bench, link);
        with_daemon(&bench, async |post| {
            post.deliver(&link_changed(serves, "created", &link_id, &user_id)).await;
            post.deliver(&link_read(serves, &link_id, &user_id, 0)).await;
            seconds(200).await;
        })
        .await;
        assert_eq!(state(&bench, link), "active", "{serves:?}");
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn late_news_of_deleted_links_and_customers_brings_nothing_back() {
    for serves in BOTH {
        let bench = Bench::pulling(serves, signed(serves));
        let customer = bench.bank.add_user("customer");
        let links = [0, 1].map(|_| bench.bank.add_link(customer, "wells_fargo"));
        bench.run_once().await;
        bench.pass(Duration::from_hours(1)).await;
        let (link, user) = ids(&bench, links[0]);
        let events: [Value; 3] = [
            link_read(serves, &link, &user, 0),
            link_changed(serves, "created", &link, &user),
            link_read(serves, &link, &user, 1),
        ];
        with_daemon(&bench, async |post| {
            bench.bank.delete_link(links[0]);
            post.deliver(&link_changed(serves, "deleted", &link, &user)).await;
            seconds(20).await;
            for event in &events[..2] {
                post.deliver(event).await;
                seconds(20).await;
                assert_eq!(state(&bench, links[0]), "removed");
            }
            assert_eq!(state(&bench, links[1]), "active");
            bench.bank.delete_user(customer);
            if serves == Served::Bridge {
                post.deliver(&json!({ "content": { "user_uuid": user }, "timestamp": 1, "type": "user.deleted" }))
                    .await;
            } else {
                post.deliver(&link_changed(serves, "disconnected", &link, &user)).await;
            }
            seconds(20).await;
            post.deliver(&events[2]).await;
            seconds(20).await;
        })
        .await;
        assert_eq!(bench.states(&links), ["removed"; 2], "{serves:?}");
        assert_eq!(bench.value("SELECT count(*) FROM webhook_events WHERE handled_at IS NULL"), "0");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_operator_paused_or_took_out_stays_so() {
    for serves in BOTH {
        let (bench, links) = some_links(serves).await;
        let (paused, taken_out) = (bench.link_id(links[0]), bench.link_id(links[2]));
        let syncs = format!("SELECT count(*) FROM syncs WHERE link_id IN ({paused}, {taken_out})");
        let before = bench.value(&syncs);
        let now = bench.clock.now();
        bench
            .store
            .write(move |txn| {
                txn.set_paused(paused, true, now)?;
                txn.remove_link(taken_out, passbook::store::RemovedBy::Operator, now)
            })
            .await
            .expect("the store works");
        with_daemon(&bench, async |post| {
            for (number, link) in [(0, links[0]), (1, links[2])] {
                let (link, user) = ids(&bench, link);
                post.deliver(&link_read(serves, &link, &user, number)).await;
                post.deliver(&link_changed(serves, "created", &link, &user)).await;
            }
            seconds(60).await;
        })
        .await;
        assert_eq!(bench.states(&links), ["paused", "active", "removed", "active"]);
        let outcomes = outcomes(&bench);
        assert_eq!((outcomes[0].as_str(), outcomes[2].as_str()), ("ignored", "ignored"));
        assert_eq!(bench.value(&syncs), before);
    }
}

#[tokio::test(start_paused = true)]
async fn news_of_nobody_known_lists_everybody_but_not_all_the_time() {
    let (bench, _) = some_links(Served::Truv).await;
    let user = bench.bank.add_user("somebody-new");
    let link = bench.bank.add_link(user, "wells_fargo");
    let (link_id, _) = ids(&bench, link);
    // The oldest generation names no customer.
    let oldest = |number: u32| json!({ "webhook_id": number, "event_type": "link-connected", "link_id": link_id });
    let listings = || {
        let log = bench.bank.request_log();
        log.iter().filter(|logged| logged.path.starts_with("/v1/users/")).count()
    };
    with_daemon(&bench, async |post| {
        seconds(1).await;
        bench.bank.clear_request_log();
        post.deliver(&oldest(0)).await;
        seconds(30).await;
        assert_eq!(listings(), 1);
        assert_ne!(bench.value(&format!("SELECT count(*) FROM links WHERE upstream_id = '{link_id}'")), "0");
        let nobody = |number: u32| json!({ "webhook_id": number, "event_type": "link-connected", "link_id": "nobody" });
        for number in 0..100 {
            post.deliver(&nobody(number)).await;
            seconds(6).await;
        }
    })
    .await;
    let listings = listings();
    assert!((2..=4).contains(&listings), "{listings} in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn what_was_stored_before_a_crash_is_handled_after_it() {
    for serves in BOTH {
        let (mut bench, links) = some_links(serves).await;
        news_at(&bench, links[0]);
        let (link, user) = ids(&bench, links[0]);
        Post::to(&bench).await.deliver(&link_read(serves, &link, &user, 0)).await;
        assert_eq!(outcomes(&bench), ["waits"]);
        bench.reopen();
        for after in [1, 50, 120, 300] {
            bench.run_and_kill(false, Duration::from_millis(after)).await;
            bench.reopen();
        }
        bench.run_for(Duration::from_mins(1)).await;
        assert_eq!(outcomes(&bench), ["applied"]);
        bench.assert_store_is_truth();
    }
}

#[tokio::test(start_paused = true)]
async fn after_downtime_without_webhooks_the_schedule_catches_up() {
    for serves in BOTH {
        let (bench, links) = some_links(serves).await;
        news_at(&bench, links[0]);
        bench.bank.delete_link(links[3]);
        bench.pass(Duration::from_hours(30)).await;
        bench.run_for(Duration::from_hours(9)).await;
        bench.assert_store_is_truth();
        assert_eq!(state(&bench, links[3]), "removed");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_run_takes_what_waits() {
    let (bench, links) = some_links(Served::Bridge).await;
    let (link, user) = ids(&bench, links[0]);
    Post::to(&bench).await.deliver(&item("item.deleted", &link, &user, 0)).await;
    bench.bank.delete_link(links[0]);
    bench.run_once().await;
    assert_ne!(outcomes(&bench), ["waits"]);
    assert_eq!(state(&bench, links[0]), "removed");
    assert_eq!(take(&bench).await, 0, "nothing is left");
}
