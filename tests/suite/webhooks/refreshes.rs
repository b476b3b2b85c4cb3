//! Tasks whose status is announced: a refresh is over when it is said to be, and never goes backwards.

use passbook::sandbox::{LinkId, NewTransaction, Served};
use passbook::store::{Outcome, Phase};
use passbook::sync::Step;
use serde_json::json;

use super::post::{Post, ids, link_changed, outcomes, seconds, take, task_status, with_daemon};
use crate::harness::Bench;
use crate::home::Home;

/// A store that holds one link, nine hours later.
async fn a_home() -> Home {
    let home = Home::with("");
    home.bench.run_once().await;
    home.hours(9).await;
    home
}

/// Starts a refresh as a due link does, and returns its task.
async fn start_refresh(bench: &Bench) -> String {
    let step = bench.engine().await.advance(1).await.expect("the store works");
    assert!(matches!(step, Step::Waiting { .. }), "{step:?}");
    bench.value("SELECT upstream_task_id FROM refreshes WHERE outcome = 'running'")
}

/// Has somebody else refresh a link, and returns the task.
async fn foreign_refresh(bench: &Bench, link: LinkId) -> String {
    let token = bench.bank.truth().link(link).expect("a link").access_token.clone();
    let body = json!({ "access_token": token, "product_type": "transactions" });
    let answer = bench.post("/v1/refresh/tasks/", &body).await;
    answer["task_id"].as_str().expect("a task").to_owned()
}

#[tokio::test(start_paused = true)]
async fn statuses_that_come_in_any_order_never_take_a_refresh_backwards() {
    let home = a_home().await;
    let bench = &home.bench;
    let task = start_refresh(bench).await;
    let post = Post::to(bench).await;
    let (link, user) = ids(bench, home.link);
    for status in ["login", "full_parse", "parse", "new", "unheard_of"] {
        post.deliver(&task_status(&task, status, &link, &user)).await;
    }
    assert_eq!(take(bench).await, 2);
    assert_eq!(outcomes(bench), ["applied", "applied", "stale", "stale", "stale"]);
    let refresh = || bench.rows("SELECT outcome, upstream_status, polls FROM refreshes");
    assert_eq!(refresh(), [["running", "full_parse", "0"]]);
    for status in ["done", "mfa", "error", "login_error"] {
        post.deliver(&task_status(&task, status, &link, &user)).await;
    }
    seconds(60).await;
    assert_eq!(take(bench).await, 1);
    assert_eq!(outcomes(bench)[5..], ["applied", "stale", "stale", "stale"]);
    assert_eq!(refresh(), [["done", "done", "0"]]);
    let state = bench.store.read(|txn| txn.link_state(1)).await.expect("the store works");
    assert_eq!((state.phase, state.attention), (Phase::Pulling, None));
    bench.bank.clear_request_log();
    let reports = bench.run_once().await;
    assert_eq!(reports[0].outcome, Outcome::Ok);
    assert!(!bench.bank.request_log().iter().any(|logged| logged.path.contains("refresh")), "nothing more was asked");
    assert_eq!(bench.value("SELECT refreshed FROM syncs ORDER BY sync_id DESC LIMIT 1"), "done");
}

#[tokio::test(start_paused = true)]
async fn an_announced_failure_is_looked_at_once_more() {
    let home = a_home().await;
    let bench = &home.bench;
    bench.bank.break_login(home.link, "login_error");
    let task = start_refresh(bench).await;
    let (link, user) = ids(bench, home.link);
    seconds(10).await;
    Post::to(bench).await.deliver(&task_status(&task, "login_error", &link, &user)).await;
    assert_eq!(take(bench).await, 1);
    assert_eq!(bench.value("SELECT outcome FROM refreshes"), "running", "the task itself is the witness");
    let due_at: i64 = bench.value("SELECT due_at FROM links").parse().expect("a number");
    assert_eq!(due_at, bench.clock.now_ms());
    bench.run_once().await;
    assert_eq!(bench.value("SELECT state FROM v_link_health"), "attention");
}

#[tokio::test(start_paused = true)]
async fn an_announced_end_is_acted_on_at_once() {
    let home = a_home().await;
    let bench = &home.bench;
    bench.bank.settings(|s| s.pace.parse = std::time::Duration::from_secs(2));
    home.add(0, NewTransaction::posted(-100, "TEA"));
    with_daemon(bench, async |post| {
        seconds(5).await;
        let task = bench.value("SELECT upstream_task_id FROM refreshes");
        let (link, user) = ids(bench, home.link);
        seconds(10).await;
        post.deliver(&task_status(&task, "done", &link, &user)).await;
        seconds(2).await;
        assert_eq!(bench.value("SELECT outcome FROM syncs ORDER BY sync_id DESC LIMIT 1"), "ok", "not polled for yet");
    })
    .await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_refreshed_is_pulled_and_not_paid_for_again() {
    let home = a_home().await;
    let bench = &home.bench;
    bench.sync_all(false).await;
    let before = bench.value("SELECT count(*) FROM refreshes");
    home.add(0, NewTransaction::posted(-100, "TEA"));
    let (link, user) = ids(bench, home.link);
    with_daemon(bench, async |post| {
        let task = foreign_refresh(bench, home.link).await;
        seconds(60).await;
        post.deliver(&task_status(&task, "parse", &link, &user)).await;
        post.deliver(&task_status(&task, "done", &link, &user)).await;
        seconds(20).await;
    })
    .await;
    assert_eq!(outcomes(bench), ["stale", "applied"]);
    let last = bench.rows("SELECT cause, outcome, rows_added, refreshed FROM syncs ORDER BY sync_id DESC LIMIT 1");
    assert_eq!(last[0][..3], ["webhook", "ok", "1"], "{last:?}");
    assert!(last[0][3].contains("announced"), "{last:?}");
    assert_eq!(bench.value("SELECT count(*) FROM refreshes"), before);
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_failed_to_refresh_is_looked_at() {
    let home = a_home().await;
    let bench = &home.bench;
    bench.sync_all(false).await;
    let (link, user) = ids(bench, home.link);
    with_daemon(bench, async |post| {
        bench.bank.break_login(home.link, "mfa_error");
        let task = foreign_refresh(bench, home.link).await;
        seconds(60).await;
        post.deliver(&task_status(&task, "mfa_error", &link, &user)).await;
        post.deliver(&link_changed(Served::Truv, "disconnected", &link, &user)).await;
        seconds(10).await;
    })
    .await;
    assert_eq!(outcomes(bench), ["applied", "stale"], "one look does for both");
    assert_eq!(bench.value("SELECT attention FROM v_link_health"), "second_factor");
    assert_eq!(bench.value("SELECT links_due_at FROM users"), "NULL", "discovery looks again");
}
