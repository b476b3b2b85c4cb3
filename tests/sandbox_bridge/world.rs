//! Drawn, living and loaded worlds.

use std::time::Duration;

use passbook::sandbox::{DatasetOptions, LivingPlan, Plan, Served, Status};

use crate::bench::{Bench, same_rows};

const ROWS: usize = 20_000;
/// Unoptimised, and on a busy machine; optimised it is far more.
const MIN_ROWS_PER_SECOND: usize = 20_000;

#[tokio::test(start_paused = true)]
async fn a_drawn_world_is_deterministic_european_and_whole() {
    let (one, two) = (Bench::new(), Bench::new());
    let plan = Plan { links: 12, transactions_per_link: 100, links_per_user: 3, every_kind: true, ..Plan::default() };
    one.sandbox.seed_world(&plan);
    two.sandbox.seed_world(&plan);
    let world = one.sandbox.served();
    assert_eq!(world, two.sandbox.served());
    assert!(world.links.iter().all(|link| link.served == Served::Bridge && link.status == "0"));
    let user = world.links[0].user_upstream_id.parse().expect("an id");
    let token = one.token(user).await;
    let mut truth: Vec<_> = world.links[..3].iter().flat_map(|link| link.transactions.clone()).collect();
    truth.sort_by_key(|row| std::cmp::Reverse((row.date, row.id)));
    same_rows(&one.walk(&token, "limit=500").await, &truth);
    for operation in ["card", "transfer", "direct_debit", "withdrawal", "check", "deferred_debit_card"] {
        let mut rows = world.links.iter().flat_map(|link| &link.transactions);
        assert!(rows.any(|row| row.operation_type.as_deref() == Some(operation)), "{operation}");
    }
    assert!(truth.iter().any(|row| row.future) && truth.iter().all(|row| row.status != Status::Memo));
    assert!(world.links.iter().all(|link| link.accounts.iter().all(|account| account.currency == "EUR")));
    // Both aggregators in one bank.
    one.sandbox.seed_world(&Plan { links: 2, serves: Some(Served::Truv), ..Plan::default() });
    let world = one.sandbox.truth();
    assert_eq!(world.links.iter().filter(|link| link.served == Served::Truv).count(), 2);
    assert!(world.links.iter().rev().take(2).all(|link| link.accounts[0].currency == "USD"));
}

#[tokio::test(start_paused = true)]
async fn a_living_bank_shows_what_bridge_fetches() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan { links: 5, transactions_per_link: 50, ..Plan::default() });
    bench.sandbox.settings(|settings| settings.bridge.refresh_every = Some(Duration::from_secs(20)));
    bench.sandbox.live(LivingPlan { break_login_one_in: 0, ..LivingPlan::default() });
    tokio::time::sleep(Duration::from_secs(100)).await;
    let (truth, served) = (bench.sandbox.truth(), bench.sandbox.served());
    assert_eq!(truth.transaction_count(), 250 + 80);
    assert!(served.transaction_count() > 250 + 40, "{}", served.transaction_count());
    let link = &served.links[1];
    let token = bench.token(link.user_upstream_id.parse().expect("an id")).await;
    same_rows(&bench.walk(&token, "").await, &link.transactions);
    assert!(served.links.iter().any(|link| !link.deleted_transactions.is_empty()));
    bench.sandbox.live(LivingPlan { break_login_one_in: 1, ..LivingPlan::default() });
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert!(bench.sandbox.truth().links.iter().any(|link| ["402", "1010", "1003"].contains(&link.status.as_str())));
}

#[tokio::test(start_paused = true)]
async fn a_data_set_becomes_items_of_the_demo_bank() {
    let bench = Bench::new();
    let csv = "transaction_id,account_id,date,amount,currency,description,counterparty,balance_after\n\
               1,77,1993-01-01,700.00,CZK,cash deposit,,700.00\n2,77,1993-01-05,-200.25,CZK,rent,,499.75\n";
    let loaded = bench.sandbox.load_dataset(csv.as_bytes(), &DatasetOptions::default()).expect("a good file");
    let served = bench.sandbox.served();
    let link = served.link(loaded.links[0]).expect("the link");
    assert_eq!((link.institution.as_str(), link.accounts[0].balance_minor), ("574", 49_975));
    let token = bench.token(link.user_upstream_id.parse().expect("an id")).await;
    same_rows(&bench.walk(&token, "").await, &link.transactions);
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "the wall clock measures speed, not the program's time")]
async fn pages_are_served_fast() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan { links: 1, transactions_per_link: ROWS, ..Plan::default() });
    let user = bench.sandbox.served().links[0].user_upstream_id.parse().expect("an id");
    let token = bench.token(user).await;
    let started = std::time::SystemTime::now();
    let mut next = Some("/v3/aggregation/transactions?limit=500".to_owned());
    let mut bytes = 0;
    while let Some(path) = next {
        let answer = bench.get(&token, &path).await;
        bytes += answer.bytes.len();
        // The end of the text holds the next page; reading all of it would measure the reader.
        let tail = String::from_utf8_lossy(&answer.bytes[answer.bytes.len().saturating_sub(400)..]).into_owned();
        next = tail.split_once("\"next_uri\":\"").map(|(_, rest)| rest.trim_end_matches("\"}}").to_owned());
    }
    let took = started.elapsed().expect("a clock that runs forward");
    let per_second = ROWS as u128 * 1_000_000 / took.as_micros().max(1);
    println!("{per_second} rows/s, {} bytes a row", bytes / ROWS);
    assert!(bytes > ROWS * 250);
    assert!(per_second > MIN_ROWS_PER_SECOND as u128, "{per_second} rows/s");
}
