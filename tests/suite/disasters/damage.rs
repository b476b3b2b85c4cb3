//! A damaged page, and a write-ahead log that is gone.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use passbook::daemon::Daemon;
use passbook::sandbox::Plan;
use passbook::server::Served;
use passbook::store::{StoreError, TroubleKind};
use passbook::sync::Waker;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::disk::{ask, much_news};
use super::log::Log;
use crate::harness::Bench;
use crate::webhooks::post::Post;

const ADMIN: &str = "[server]\nadmin_listen = \"127.0.0.1:0\"\nadmin_token = { credential = \"store-key\" }\n\
     public_listen = \"127.0.0.1:8780\"\npublic_url = \"http://127.0.0.1:8780\"\n";

#[tokio::test(start_paused = true)]
async fn a_damaged_page_ends_all_writing_while_the_daemon_still_says_so() {
    let mut bench = Bench::with(ADMIN);
    bench.bank.seed_world(&Plan { links: 4, transactions_per_link: 60, ..Plan::default() });
    bench.bank.settings(|s| s.visible_immediately = true);
    bench.run_once().await;
    bench.store.checkpoint().await.expect("room");
    let whole = fs::read(bench.path()).expect("a file");
    let page: u64 = bench.value("SELECT rootpage FROM sqlite_schema WHERE name = 'transactions'").parse().expect("one");
    let file = fs::File::options().write(true).open(bench.path()).expect("a file");
    file.write_all_at(&[0xA5; 8192], (page - 1) * 8192).expect("damages");
    bench.reopen();
    bench.pass(Duration::from_hours(9)).await;
    much_news(&bench.bank);
    bench.bank.clear_request_log();

    let (log, _guard) = Log::listen();
    let engine = bench.engine().await;
    let served = Served::new(Arc::clone(&engine), Waker::default(), Arc::new(bench.config.clone()));
    let post = Post::to(&bench).await;
    let (daemon, stop) = (Daemon::new(engine, bench.options(false)), CancellationToken::new());
    let story = async {
        bench.pass(Duration::from_hours(4)).await;
        let trouble = bench.store.trouble().expect("trouble");
        assert!(trouble.kind == TroubleKind::Damaged && trouble.said.contains("restore a backup"), "{trouble:?}");
        let sent = bench.bank.request_log().len();
        assert!(sent < 60, "{sent} requests in four hours");
        let mut complaints = log.complaints();
        complaints.retain(|line| !line.contains("no webhooks come to this address"));
        assert!(complaints.iter().any(|line| line.contains("the store is damaged")), "{complaints:#?}");
        assert!(complaints.len() <= 5, "once and once an hour: {complaints:#?}");
        let written = bench.store.write(|_| Ok(())).await;
        assert!(matches!(written, Err(StoreError::Damaged(_))), "{written:?}");
        let event = json!({ "event_type": "unheard-of" }).to_string();
        assert_eq!(post.send(post.request(event.as_bytes())).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ask(&served, "/health/ready").await.0, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ask(&served, "/metrics").await.1.contains("passbook_store_trouble{kind=\"damaged\"} 1"));
        let (_, status) = ask(&served, "/control/status").await;
        assert!(status.contains("\"kind\":\"damaged\""), "{status}");
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
    result.expect("the daemon stays, to say so");
    let worst = bench.bank.refreshes().iter().map(|r| r.worst_day).max().unwrap_or(0);
    assert!(worst <= 2, "{worst} refreshes of one link");

    // Somebody puts a whole one in its place.
    replace(&mut bench, &whole);
    bench.pass(Duration::from_hours(24)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn damage_that_was_only_in_the_reading_is_over_when_the_whole_file_is_found_good() {
    let mut bench = Bench::new();
    bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 60, ..Plan::default() });
    bench.bank.settings(|s| s.visible_immediately = true);
    bench.run_once().await;
    bench.store.checkpoint().await.expect("room");
    let page: u64 = bench.value("SELECT rootpage FROM sqlite_schema WHERE name = 'transactions'").parse().expect("one");
    let file = fs::File::options().read(true).write(true).open(bench.path()).expect("a file");
    let mut good = [0; 8192];
    file.read_exact_at(&mut good, (page - 1) * 8192).expect("reads");
    file.write_all_at(&[0xA5; 8192], (page - 1) * 8192).expect("damages");
    bench.reopen();
    bench.pass(Duration::from_hours(9)).await;
    much_news(&bench.bank);

    let (log, _guard) = Log::listen();
    let (daemon, stop) = (Daemon::new(bench.engine().await, bench.options(false)), CancellationToken::new());
    let story = async {
        bench.pass(Duration::from_mins(10)).await;
        assert_eq!(bench.store.trouble().expect("trouble").kind, TroubleKind::Damaged, "checks have found it damaged");
        file.write_all_at(&good, (page - 1) * 8192).expect("reads well again");
        bench.pass(Duration::from_hours(9)).await;
        assert_eq!(bench.store.trouble(), None);
        let complaints = log.complaints();
        let told = |words: &str| complaints.iter().filter(|line| line.contains(words)).count();
        assert_eq!((told("the store is damaged"), told("not damaged")), (1, 1), "{complaints:#?}");
        stop.cancel();
    };
    let (result, ()) = tokio::join!(daemon.run(stop.clone()), story);
    result.expect("the daemon goes on by itself");
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

/// Closes the store and puts a file in its place that has no write-ahead log.
fn replace(bench: &mut Bench, bytes: &[u8]) {
    bench.store = bench.open_at(&bench.path().with_file_name("aside.db")).expect("another store");
    for suffix in ["", "-wal", "-shm"] {
        let mut file = bench.path().into_os_string();
        file.push(suffix);
        fs::remove_file(file).expect("removes");
    }
    // A new file under the old name: what this process still knows of the old one is not about it.
    fs::write(bench.path(), bytes).expect("writes");
    bench.reopen();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lost_its_write_ahead_log_reads_again_what_was_in_it() {
    let mut bench = Bench::with("");
    bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 60, ..Plan::default() });
    // The aggregator refuses no refresh, or one too many would not be seen.
    bench.bank.settings(|s| (s.visible_immediately, s.refresh_limit) = (true, None));
    bench.run_once().await;
    bench.store.checkpoint().await.expect("room");
    bench.pass(Duration::from_hours(9)).await;
    much_news(&bench.bank);
    let reader = reader_of(&bench);
    reader.execute_batch("BEGIN; SELECT count(*) FROM links").expect("a view, which holds the log");
    bench.run_once().await;
    bench.assert_store_is_truth();
    // Nothing of the second sync, its refreshes included, is in the file.
    let without = fs::read(bench.path()).expect("a file");
    drop(reader);
    replace(&mut bench, &without);
    assert_eq!(bench.value("PRAGMA integrity_check"), "ok");
    assert_eq!(bench.value("SELECT count(*) FROM v_transactions"), "180", "what was in the log is gone");
    bench.pass(Duration::from_mins(1)).await;
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
    for refreshes in bench.bank.refreshes() {
        assert!(refreshes.worst_day <= 3, "the aggregator's limit holds though the ledger was lost: {refreshes:?}");
    }
}

#[expect(clippy::disallowed_methods, reason = "reads as an analyst does")]
fn reader_of(bench: &Bench) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(bench.path(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}
