//! What data endpoints show, and when.

use std::cmp::Reverse;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use passbook::sandbox::{DeletedRows, NewAccount, NewTransaction, Plan, PostStyle};
use serde_json::{Value, json};

use crate::bench::{Bench, instant, same_rows};

const TRANSACTIONS: &str = "/v3/aggregation/transactions";

#[tokio::test(start_paused = true)]
async fn pages_hold_every_row_once_newest_day_first() {
    let bench = Bench::new();
    let plan = Plan { links: 1, transactions_per_link: 250, ..Plan::default() };
    let link = bench.sandbox.seed_world(&plan)[0];
    let world = bench.sandbox.served();
    let user = world.links[0].user_upstream_id.parse().expect("an id");
    let token = bench.token(user).await;
    let first = bench.get(&token, TRANSACTIONS).await;
    assert_eq!(first.rows().len(), 50);
    let next = first.next().expect("a next page");
    assert!(next.starts_with("/v3/aggregation/transactions?") && next.contains("after="), "{next}");
    let rows = bench.walk(&token, "limit=60&account_ids=1").await;
    same_rows(&rows, &world.link(link).expect("the link").transactions);
    assert_eq!(bench.sandbox.truth().transaction_count(), 250);
    assert!(rows.is_sorted_by_key(|row| Reverse((row["date"].as_str().map(str::to_owned), row["id"].as_u64()))));
    assert!(rows.iter().any(|row| row.get("booking_date").is_none() && row["future"] == false));
    assert!(rows.iter().any(|row| row.get("value_date").is_none()));
    assert!(rows.iter().all(|row| row["currency_code"] == "EUR"));
    for (query, status) in [("limit=0", 400), ("limit=501", 400), ("limit=x", 400), ("since=yesterday", 400)] {
        assert_eq!(bench.get(&token, &format!("{TRANSACTIONS}?{query}")).await.status, status, "{query}");
    }
    bench.sandbox.settings(|settings| settings.shuffled = true);
    let shuffled = bench.walk(&token, "limit=100").await;
    assert_eq!(shuffled.len(), 250);
    assert_ne!(shuffled, rows);
    let one = bench.get(&token, &format!("{TRANSACTIONS}/{}", rows[3]["id"])).await;
    assert_eq!(one.json(), rows[3]);
    assert_eq!(bench.get(&token, &format!("{TRANSACTIONS}/1")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_holds_for_its_own_list_only() {
    let bench = Bench::new();
    let small = bench.small_link(30).await;
    let next = bench.get(&small.token, &format!("{TRANSACTIONS}?limit=10&min_date=2026-03-01")).await.next();
    let next = next.expect("a next page");
    assert!(next.contains("limit=10") && next.contains("min_date=2026-03-01"), "{next}");
    let second = bench.get(&small.token, &next).await;
    assert_eq!(second.rows().len(), 10);
    let other = next.replace("after=", "starting_after=");
    assert_eq!(bench.get(&small.token, &other).await.rows(), second.rows());
    assert_eq!(bench.get(&small.token, &next.replace("03-01", "03-02")).await.status, 400);
    assert_eq!(bench.get(&small.token, &next.replace("after=", "after=x")).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn filters_restrict_and_combine() {
    let bench = Bench::new();
    let small = bench.small_link(0).await;
    let card = bench.sandbox.add_account(small.link, NewAccount::credit_card("Carte", 0));
    for (account, at) in [
        (small.account, "2026-03-01T00:00:00Z"),
        (small.account, "2026-03-02T23:59:59.999Z"),
        (card, "2026-03-02T10:00:00Z"),
        (small.account, "2026-03-03T00:00:00Z"),
    ] {
        bench.sandbox.add_transaction(account, NewTransaction::posted(-1, at).at(at.parse().expect("an instant")));
    }
    for (query, count) in [
        ("min_date=2026-03-02&max_date=2026-03-02".to_owned(), 2),
        ("max_date=2026-03-01".to_owned(), 1),
        (format!("account_id={}", small.account), 3),
        (format!("account_id={card}&min_date=2026-03-03"), 0),
        ("account_id=1".to_owned(), 0),
        ("since=2026-03-10T11:59:59.999Z".to_owned(), 4),
        ("since=2026-03-10T12:00:00.000Z".to_owned(), 0),
        ("until=2026-03-10T13:00:00%2B01:00".to_owned(), 0),
        ("since=2026-03-10".to_owned(), 4),
    ] {
        assert_eq!(bench.walk(&small.token, &query).await.len(), count, "{query}");
    }
    bench.sandbox.settings(|settings| settings.bridge.since_inclusive = true);
    assert_eq!(bench.walk(&small.token, "since=2026-03-10T12:00:00Z").await.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn since_tells_what_was_published_later() {
    let bench = Bench::new();
    let small = bench.small_link(3).await;
    let before = bench.walk(&small.token, "").await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    let at = bench.sandbox.now();
    bench.sandbox.edit_transaction(small.txns[0], Some(-777), Some("CORRECTED"));
    bench.sandbox.remove_transaction(small.txns[1]);
    let pending = bench.sandbox.add_transaction(small.account, NewTransaction::pending(-50, "COFFEE"));
    tokio::time::sleep(Duration::from_mins(30)).await;
    // Nothing shows before Bridge looks.
    assert_eq!(bench.walk(&small.token, "").await, before);
    let token = bench.token(small.user).await;
    bench.sandbox.refresh_item(small.link);
    let published = bench.sandbox.now();
    let since = format!("since={at}");
    let news = bench.walk(&token, &since).await;
    assert_eq!(news.len(), 3);
    assert!(news.iter().all(|row| instant(&row["updated_at"]) == published));
    let row = |rows: &[Value], id: &str| rows.iter().find(|row| row["id"].as_u64() == id.parse().ok()).cloned();
    let gone = row(&news, &small.txns[1].to_string()).expect("the deleted row");
    assert_eq!((&gone["deleted"], gone["amount"].as_f64()), (&json!(true), Some(-1.01)));
    let coffee = row(&news, &pending.to_string()).expect("the pending row");
    assert_eq!((coffee.get("booking_date"), &coffee["date"]), (None, &coffee["transaction_date"]));
    assert_eq!(bench.walk(&token, "").await.len(), 3);
    let served = &bench.sandbox.served().links[0];
    same_rows(&bench.walk(&token, "").await, &served.transactions);
    assert_eq!(served.deleted_transactions.len(), 1);
    bench.sandbox.settings(|settings| settings.bridge.deleted_rows = DeletedRows::Stub);
    let stub = row(&bench.walk(&token, &since).await, &small.txns[1].to_string()).expect("the deleted row");
    assert_eq!(stub.as_object().map(serde_json::Map::len), Some(3));
    for (deleted_rows, with_since, without) in [(DeletedRows::Never, 2, 3), (DeletedRows::Always, 3, 4)] {
        bench.sandbox.settings(|settings| settings.bridge.deleted_rows = deleted_rows);
        assert_eq!(bench.walk(&token, &since).await.len(), with_since);
        assert_eq!(bench.walk(&token, "").await.len(), without);
    }
    // A row that comes back is no longer deleted, and says when it came.
    bench.sandbox.restore_transaction(small.txns[1]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    bench.sandbox.refresh_item(small.link);
    let back = row(&bench.walk(&token, "").await, &small.txns[1].to_string()).expect("the row");
    assert_eq!((instant(&back["updated_at"]), &back["deleted"]), (bench.sandbox.now(), &json!(false)));
}

#[tokio::test(start_paused = true)]
async fn a_future_row_books_under_a_new_id() {
    let bench = Bench::new();
    let small = bench.small_link(1).await;
    let ahead: Timestamp = bench.sandbox.now() + SignedDuration::from_hours(24 * 5);
    let new = NewTransaction::future(-40_000, "LOYER", ahead).operation("direct_debit");
    let planned = bench.sandbox.add_transaction(small.account, new);
    let rows = bench.walk(&small.token, "").await;
    assert_eq!((&rows[0]["future"], &rows[0]["date"]), (&json!(true), &json!("2026-03-15")));
    assert_eq!((&rows[0]["amount"], &rows[0]["operation_type"]), (&json!(-400), &json!("direct_debit")));
    let accounts = bench.get(&small.token, "/v3/aggregation/accounts").await.rows();
    assert_eq!((accounts[0]["balance"].as_f64(), accounts[0]["instant_balance"].as_f64()), (Some(999.0), Some(599.0)));
    let booked = bench.sandbox.post_pending(planned, PostStyle::NewIdOnly);
    bench.sandbox.refresh_item(small.link);
    let rows = bench.walk(&small.token, "").await;
    assert_eq!((rows[0]["id"].to_string(), &rows[0]["future"]), (booked.to_string(), &json!(false)));
    assert_eq!(bench.sandbox.served().links[0].deleted_transactions[0].id, planned);
}
