//! Drawn, living and loaded worlds.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{DatasetOptions, LivingPlan, Plan, Status};
use serde_json::Value;

use crate::bench::{Bench, same_rows};

#[tokio::test(start_paused = true)]
async fn a_drawn_world_is_deterministic_odd_and_adds_up() {
    let (one, two) = (Bench::new(), Bench::new());
    let plan = Plan { links: 20, transactions_per_link: 200, ..Plan::default() };
    let links = one.sandbox.seed_world(&plan);
    two.sandbox.seed_world(&plan);
    let world = one.sandbox.truth();
    assert_eq!(world, two.sandbox.truth());
    let mut rows = Vec::new();
    for link in &links {
        let served = one.transactions(*link).await;
        same_rows(&served, &world, *link);
        rows.extend(served);
    }
    let any = |test: &dyn Fn(&Value) -> bool| assert!(rows.iter().any(test));
    any(&|row| row["merchant_category_code"].is_u64());
    any(&|row| row["merchant_category_code"].is_string());
    any(&|row| row["location"]["latitude"].is_f64());
    any(&|row| row["location"]["latitude"].is_string());
    any(&|row| row["location"].is_null());
    any(&|row| row["status"] == "PENDING" && row["posted_at"].is_null());
    any(&|row| row["status"] == "AUTHORIZATION");
    any(&|row| row["status"] == "MEMO" && row["type"] == "MEMO" && row["amount"] == "0.00");
    any(&|row| row.get("merchant_name").is_none());
    any(&|row| row.get("enrichment").is_some());
    any(&|row| row["transacted_at"].as_str().is_some_and(|at| at.ends_with("+00:00")));
    any(&|row| row["transacted_at"].as_str().is_some_and(|at| at.ends_with(".000000Z")));
    one.sandbox.settings(|settings| settings.oddities = false);
    assert!(one.transactions(links[0]).await.iter().all(|row| !row["merchant_category_code"].is_string()));
    // Balances move with the rows: taking every posted row out leaves the opening balance, a round-trip brings it back.
    let link = &world.links[0];
    let account = &link.accounts[0];
    let booked = |status: Status| {
        let mine =
            link.transactions.iter().filter(|t| t.account_upstream_id == account.upstream_id && t.status == status);
        mine.map(|t| t.amount_minor).sum::<i64>()
    };
    let pending = booked(Status::Pending) + booked(Status::Authorization);
    assert_eq!(account.available_minor, Some(account.balance_minor + pending));
    let posted: Vec<_> = link.transactions.iter().filter(|t| t.status == Status::Posted).map(|t| t.id).collect();
    one.sandbox.change(|bank| posted.iter().for_each(|txn| bank.remove_transaction(*txn)));
    let opening = one.sandbox.truth().links[0].accounts[0].balance_minor;
    assert_eq!(opening + booked(Status::Posted), account.balance_minor);
}

#[tokio::test(start_paused = true)]
async fn a_living_bank_moves_with_time() {
    let bench = Bench::new();
    bench.sandbox.seed_world(&Plan { links: 5, transactions_per_link: 50, ..Plan::default() });
    bench.sandbox.live(LivingPlan { break_login_one_in: 5, ..LivingPlan::default() });
    assert_eq!(bench.sandbox.truth().transaction_count(), 250);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let world = bench.sandbox.truth();
    assert_eq!(world.transaction_count(), 250 + 80);
    assert_eq!(bench.sandbox.served().transaction_count(), 250);
    bench.sandbox.step();
    assert_eq!(bench.sandbox.truth().transaction_count(), 250 + 88);
    tokio::time::sleep(Duration::from_hours(24 * 60)).await;
    assert!(bench.sandbox.truth().transaction_count() < 250 + 80_000);
}

const CSV: &str = "\
transaction_id,account_id,date,amount,currency,description,counterparty,balance_after
1,77,1993-01-01,700.00,CZK,cash deposit,,700.00
2,78,1993-01-01,900.5,CZK,cash deposit,,1000.00
3,77,1993-01-05,-200.25,CZK,\"rent, flat\",AB/123,499.75
4,77,1993-01-05,100.00,CZK,credit,,799.75
5,79,1993-01-06,1.00,CZK,credit,,1.00
";

#[tokio::test(start_paused = true)]
async fn a_data_set_becomes_links_that_add_up() {
    let bench = Bench::new();
    let loaded = bench.sandbox.load_dataset(CSV.as_bytes(), &DatasetOptions::default()).expect("a good file");
    assert_eq!((loaded.links.len(), loaded.accounts, loaded.transactions), (2, 3, 5));
    // The rows of account 77 lead to 599.75, not to 799.75.
    assert_eq!((loaded.unbalanced_accounts, loaded.worst_drift_minor), (1, 10_000));
    let world = bench.sandbox.truth();
    let account = |link: usize, account: usize| world.links[link].accounts[account].balance_minor;
    assert_eq!((account(0, 0), account(0, 1), account(1, 0)), (59_975, 100_000, 100));
    let last = &world.links[1].transactions[0];
    assert_eq!((last.currency.as_str(), last.external_id.as_deref()), ("CZK", Some("5")));
    assert_eq!(last.transacted_at, bench.sandbox.now());
    let days = last.transacted_at - SignedDuration::from_hours(24 * 5);
    assert_eq!(world.links[0].transactions.last().map(|row| row.transacted_at), Some(days));
    same_rows(&bench.transactions(loaded.links[0]).await, &world, loaded.links[0]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_data_set_is_refused_with_line_and_reason() {
    let bench = Bench::new();
    for (from, to, expected) in [
        ("700.00,CZK", "7x,CZK", "data set, line 2: `7x` is not an amount"),
        ("1993-01-05,100", "1993-02-30,100", "data set, line 5: `1993-02-30` is not a date"),
        ("\n4,", "\n3,", "data set, line 5: transaction `3` came before"),
        ("\n5,79", "\n5,", "data set, line 6: `account_id` is empty"),
        ("currency", "money", "data set, line 1: no column `currency`"),
        ("5,79,", "", "data set, line 6: "),
    ] {
        let text = CSV.replacen(from, to, 1);
        let error = bench.sandbox.load_dataset(text.as_bytes(), &DatasetOptions::default()).expect_err(expected);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    assert_eq!(bench.sandbox.truth().links.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_data_set_may_come_compressed() {
    use std::io::Write;
    let bench = Bench::new();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(CSV.as_bytes()).expect("memory");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rows.csv.gz");
    std::fs::write(&path, packed.finish().expect("memory")).expect("a file");
    let loaded = bench.sandbox.load_dataset_file(&path, &DatasetOptions::default()).expect("a good file");
    assert_eq!(loaded.transactions, 5);
    let missing = bench.sandbox.load_dataset_file(&directory.path().join("none"), &DatasetOptions::default());
    assert!(missing.is_err());
}
