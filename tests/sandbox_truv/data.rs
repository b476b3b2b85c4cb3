//! What data endpoints show, and when.

use std::time::Duration;

use jiff::SignedDuration;
use passbook::sandbox::{NewAccount, NewTransaction, Plan, PostStyle, Reissue};
use serde_json::{Value, json};

use crate::bench::{Bench, instant, same_rows};

#[tokio::test(start_paused = true)]
async fn pages_hold_every_row_once_newest_first() {
    let bench = Bench::new();
    let link = bench.sandbox.seed_world(&Plan { links: 1, transactions_per_link: 250, ..Plan::default() })[0];
    let mut rows = Vec::new();
    for page in 1..=3 {
        let answer = bench.get(&format!("/v1/links/{link}/transactions/?page={page}")).await.json();
        assert_eq!(answer["count"], 250);
        assert_eq!(answer["next"].is_null(), page == 3);
        assert_eq!(answer["previous"].is_null(), page == 1);
        rows.extend(answer["transactions"].as_array().expect("a list").clone());
    }
    same_rows(&rows, &bench.sandbox.truth(), link);
    assert!(rows.is_sorted_by_key(|row| std::cmp::Reverse(instant(&row["transacted_at"]))));
    let beyond = bench.get(&format!("/v1/links/{link}/transactions/?page=4")).await;
    assert_eq!((beyond.status, beyond.json()), (404, json!({"detail": "Invalid page."})));
    assert_eq!(bench.get(&format!("/v1/links/{link}/transactions/?page_size=0")).await.status, 400);
    let capped = bench.get(&format!("/v1/links/{link}/transactions/?page_size=9999&unknown=1")).await.json();
    assert_eq!(capped["transactions"].as_array().map(Vec::len), Some(250));
    bench.sandbox.settings(|settings| settings.shuffled = true);
    let shuffled = bench.transactions(link).await;
    assert_eq!(shuffled.len(), 250);
    assert_ne!(shuffled, rows);
}

#[tokio::test(start_paused = true)]
async fn filters_are_inclusive_and_combine() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(0);
    let card = bench.sandbox.add_account(link, NewAccount::credit_card("Card", 500_000));
    for (account, at) in [
        (account, "2026-03-01T00:00:00Z"),
        (account, "2026-03-02T23:59:59.999Z"),
        (card, "2026-03-02T10:00:00Z"),
        (account, "2026-03-03T00:00:00Z"),
    ] {
        bench.sandbox.add_transaction(account, NewTransaction::posted(-1, at).at(at.parse().expect("an instant")));
    }
    let base = format!("/v1/links/{link}/transactions/");
    for (query, count) in [
        ("transacted_at_from=2026-03-02&transacted_at_to=2026-03-02".to_owned(), 2),
        ("transacted_at_from=2026-03-01T00:00:00Z".to_owned(), 4),
        ("transacted_at_from=2026-03-01T00:00:01Z".to_owned(), 3),
        ("transacted_at_to=2026-03-02T10:00:00%2B00:00".to_owned(), 2),
        ("account_types=CREDIT_CARD".to_owned(), 1),
        (format!("account_ids={account}&transacted_at_from=2026-03-02"), 2),
        ("account_ids=".to_owned(), 4),
    ] {
        let answer = bench.get(&format!("{base}?{query}")).await.json();
        assert_eq!(answer["count"], count, "{query}");
        assert_eq!(answer["accounts"].as_array().map(Vec::len), Some(2));
    }
    assert_eq!(bench.get(&format!("{base}?transacted_at_from=yesterday")).await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn a_task_walks_its_statuses_and_then_shows_new_data() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(2);
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench.sandbox.add_transaction(account, NewTransaction::pending(-900, "COFFEE"));
    assert_eq!(bench.transactions(link).await.len(), 2);
    let task = bench.start_refresh(link).await.json()["task_id"].as_str().expect("an id").to_owned();
    let mut seen = Vec::new();
    for _ in 0..46 {
        let status = bench.get(&format!("/v1/refresh/tasks/{task}/")).await.json()["status"].clone();
        let link_status = bench.get(&format!("/v1/links/{link}/")).await.json()["status"].clone();
        assert_eq!(status, link_status);
        if seen.last() != Some(&status) {
            seen.push(status);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(json!(seen), json!(["new", "login", "parse", "full_parse", "done"]));
    let rows = bench.transactions(link).await;
    same_rows(&rows, &bench.sandbox.truth(), link);
    assert_eq!((rows.len(), &rows[0]["status"], &rows[0]["posted_at"]), (3, &json!("PENDING"), &Value::Null));
    let listed = bench.get(&format!("/v1/tasks/?link_id={link}")).await.json();
    assert_eq!((listed["count"].as_i64(), &listed["results"][0]["id"]), (Some(1), &json!(task)));
}

#[tokio::test(start_paused = true)]
async fn a_change_after_the_task_ended_waits_for_the_next_refresh_even_when_nobody_looked() {
    let bench = Bench::new();
    let (link, account, _) = bench.small_link(1);
    bench.start_refresh(link).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    bench.sandbox.add_transaction(account, NewTransaction::posted(-5, "LATE"));
    assert_eq!(bench.transactions(link).await.len(), 1);
    assert_eq!(bench.refresh(link).await, "done");
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    bench.sandbox.add_transaction(account, NewTransaction::posted(-5, "AT ONCE"));
    assert_eq!(bench.transactions(link).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_broken_login_fails_the_refresh_and_keeps_the_old_data() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.refresh_limit = None);
    let (link, account, _) = bench.small_link(1);
    bench.transactions(link).await;
    bench.sandbox.add_transaction(account, NewTransaction::posted(-5, "NEW"));
    for status in ["login_error", "mfa_error", "no_data", "unavailable", "error", "account_locked"] {
        bench.sandbox.break_login(link, status);
        assert_eq!(bench.refresh(link).await, status);
        assert_eq!(bench.sandbox.truth().links[0].status, status);
        assert_eq!(bench.transactions(link).await.len(), 1);
    }
    bench.sandbox.heal_login(link);
    assert_eq!(bench.refresh(link).await, "done");
    assert_eq!(bench.transactions(link).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_link_keeps_its_object_and_loses_its_data() {
    let bench = Bench::new();
    let (link, ..) = bench.small_link(1);
    let deleted = bench.send(bench.request("DELETE", &format!("/v1/links/{link}/"), None)).await.expect("a body");
    assert_eq!((deleted.status, deleted.bytes.len()), (204, 0));
    let object = bench.get(&format!("/v1/links/{link}")).await;
    assert_eq!(object.status, 200);
    assert!(object.json()["deleted_at"].is_string());
    for data in ["transactions", "balances", "auth"] {
        assert_eq!(bench.get(&format!("/v1/links/{link}/{data}/")).await.status, 404);
    }
    assert_eq!(bench.start_refresh(link).await.status, 404);
    bench.sandbox.settings(|settings| settings.deleted_link_is_404 = true);
    assert_eq!(bench.get(&format!("/v1/links/{link}")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn pending_rows_post_in_three_ways() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    let (link, account, _) = bench.small_link(0);
    for style in [PostStyle::SameId, PostStyle::NewIdSameExternalId, PostStyle::NewIdOnly] {
        let new = NewTransaction::pending(-2_500, "LUNCH").external("ext-1");
        let pending = bench.sandbox.add_transaction(account, new);
        let before = &bench.transactions(link).await[0];
        assert_eq!((before["id"].as_str(), &before["posted_at"]), (Some(&*pending.to_string()), &Value::Null));
        let posted = bench.sandbox.post_pending(pending, style);
        let after = bench.transactions(link).await;
        assert_eq!((after.len(), &after[0]["status"]), (1, &json!("POSTED")));
        assert_eq!(after[0]["id"], posted.to_string());
        assert_eq!(posted == pending, style == PostStyle::SameId);
        assert_eq!(after[0]["external_id"] == "ext-1", style != PostStyle::NewIdOnly);
        bench.sandbox.remove_transaction(posted);
        assert_eq!(bench.transactions(link).await.len(), 0);
        bench.sandbox.restore_transaction(posted);
        bench.sandbox.remove_transaction(posted);
    }
    assert_eq!(bench.sandbox.truth().links[0].accounts[0].balance_minor, 100_000);
}

#[tokio::test(start_paused = true)]
async fn ids_are_reissued_and_rows_edited_only_in_the_next_snapshot() {
    let bench = Bench::new();
    let (link, account, txns) = bench.small_link(3);
    let before = bench.transactions(link).await;
    bench.sandbox.edit_transaction(txns[0], Some(-777), Some("CORRECTED"));
    let renamed = bench.sandbox.reissue_ids(Reissue::Link(link), true);
    assert_eq!(renamed.len(), 3);
    assert!(bench.sandbox.reissue_ids(Reissue::AccountsOf(link), true).is_empty());
    assert_eq!(bench.transactions(link).await, before);
    assert_eq!(bench.refresh(link).await, "done");
    let after = bench.transactions(link).await;
    same_rows(&after, &bench.sandbox.truth(), link);
    assert!(after.iter().all(|row| before.iter().all(|old| old["id"] != row["id"])));
    assert_eq!((after[2]["amount"].as_str(), &after[2]["description"]), (Some("7.77"), &json!("CORRECTED")));
    assert_ne!(after[0]["account_id"], account.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_closed_account_leaves_every_list_and_comes_back() {
    let bench = Bench::new();
    bench.sandbox.settings(|settings| settings.visible_immediately = true);
    let (link, account, _) = bench.small_link(2);
    bench.sandbox.close_account(account);
    assert_eq!(bench.get(&format!("/v1/links/{link}/balances/")).await.json()["count"], 0);
    assert_eq!(bench.transactions(link).await.len(), 0);
    bench.sandbox.reopen_account(account);
    let auth = bench.get(&format!("/v1/links/{link}/auth/")).await.json();
    let truth = bench.sandbox.truth().links[0].accounts[0].clone();
    assert_eq!(auth["accounts"][0]["numbers"]["ACH"][0]["account_number"], truth.number.as_str());
    assert_eq!(auth["accounts"][0]["mask"], truth.mask.as_str());
    assert_eq!(bench.transactions(link).await.len(), 2);
    bench.sandbox.set_balance(account, 4_200);
    let balances = bench.get(&format!("/v1/links/{link}/balances/")).await.json();
    assert_eq!(balances["results"][0]["balances"]["balance"], "42.00");
}

#[tokio::test(start_paused = true)]
async fn a_script_happens_at_its_instant_whoever_looks_later() {
    let bench = Bench::new();
    let (link, account, txns) = bench.small_link(1);
    let now = bench.sandbox.now();
    bench.start_refresh(link).await;
    // One change before the task ends and one after it; nobody looks until both are past.
    bench.sandbox.at(now + SignedDuration::from_secs(30), move |bank| {
        bank.add_transaction(account, NewTransaction::posted(-1, "EARLY"));
    });
    let gone = txns[0];
    bench.sandbox.at(now + SignedDuration::from_mins(1), move |bank| {
        bank.remove_transaction(gone);
    });
    tokio::time::sleep(Duration::from_mins(10)).await;
    let rows = bench.transactions(link).await;
    assert_eq!(rows.len(), 2);
    assert_eq!(instant(&rows[0]["transacted_at"]), now + SignedDuration::from_secs(30));
    assert_eq!(bench.sandbox.truth().transaction_count(), 1);
    assert_eq!(bench.sandbox.served().transaction_count(), 2);
}
