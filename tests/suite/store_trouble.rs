//! A store that is full, locked, damaged, foreign, newer, or sealed with another key.

use std::fs;
use std::path::Path;
use std::time::Duration;

use passbook::sandbox::{NewTransaction, Plan};
use passbook::store::{OpenError, StoreError, StoreLock};
use rusqlite::Connection;

use crate::harness::Bench;
use crate::home::Home;

/// A connection of somebody else to a file.
#[expect(clippy::disallowed_methods, reason = "stands for another program")]
fn somebody_else(path: &Path) -> Connection {
    Connection::open(path).expect("a SQLite file")
}

#[expect(clippy::disallowed_methods, reason = "reads as an analyst does")]
fn reader_of(path: &Path) -> Connection {
    Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}

/// A bench whose store is whole and closed, with everything in the one file.
async fn stored() -> Bench {
    let bench = Bench::new();
    bench.bank.seed_world(&Plan { links: 2, transactions_per_link: 40, ..Plan::default() });
    bench.run_once().await;
    bench
}

/// A copy of a store's file under another name, without a write-ahead log.
fn copy_of(bench: &Bench, name: &str) -> std::path::PathBuf {
    let copy = bench.path().with_file_name(name);
    somebody_else(&bench.path()).execute("VACUUM INTO ?1", [copy.to_str().expect("a plain path")]).expect("a copy");
    copy
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_ends_in_a_clear_error_and_the_work_goes_on_when_there_is_room() {
    for spare_pages in [0, 4, 16] {
        let bench = Bench::with("page_size = 10");
        bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 120, ..Plan::default() });
        let pages: u32 = bench.value("PRAGMA page_count").parse().expect("a number");
        bench.store.limit_pages(pages + spare_pages).await.expect("a limit");
        let error = tokio::time::timeout(Duration::from_hours(1), bench.try_run_once())
            .await
            .expect("it ends")
            .expect_err("no room");
        assert!(matches!(error, StoreError::Full), "{error:?}");
        assert_eq!(bench.value("PRAGMA integrity_check"), "ok");
        bench.store.limit_pages(1_000_000).await.expect("no limit");
        bench.pass(Duration::from_hours(1)).await;
        bench.run_once().await;
        bench.assert_store_is_truth();
        bench.assert_verifies().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_on_a_full_disk_rests_between_its_tries() {
    let bench = stored().await;
    bench.bank.clear_request_log();
    bench.pass(Duration::from_hours(9)).await;
    bench.bank.settings(|s| s.visible_immediately = true);
    for link in bench.bank.truth().links {
        for _ in 0..200 {
            let new = NewTransaction::posted(-100, &"A LONG STORY ".repeat(40));
            bench.bank.add_transaction(link.accounts[0].id, new);
        }
    }
    bench.store.limit_pages(1).await.expect("a limit");
    bench.run_for(Duration::from_mins(10)).await;
    let sent = bench.bank.request_log().len();
    assert!(sent < 500, "{sent} requests in ten minutes, and nothing to show for it");
    let doubled = bench.bank.refreshes().iter().map(|r| r.at.len()).max().unwrap_or(0);
    assert!(doubled <= 1, "{doubled} refreshes of one link");
    bench.store.limit_pages(1_000_000).await.expect("no limit");
    bench.run_for(Duration::from_mins(15)).await;
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_store_locked_by_somebody_else_is_waited_for() {
    let bench = stored().await;
    bench.pass(Duration::from_hours(9)).await;
    let other = somebody_else(&bench.path());
    other.execute_batch("BEGIN IMMEDIATE").expect("the lock");
    let error = bench.store.write(|_| Ok(())).await.expect_err("locked");
    assert!(matches!(error, StoreError::Busy), "{error:?}");
    assert!(bench.store.read(|txn| txn.next_due_at(1)).await.is_ok(), "readers do not care");
    other.execute_batch("ROLLBACK").expect("the lock given up");
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_refused_is_left_as_it_is() {
    let bench = stored().await;
    let whole = fs::read(copy_of(&bench, "whole.db")).expect("a file");
    let newer = copy_of(&bench, "newer.db");
    somebody_else(&newer).execute_batch("PRAGMA user_version = 99").expect("a version");
    let newer_wal = copy_of(&bench, "newer-wal.db");
    somebody_else(&newer_wal).execute_batch("PRAGMA journal_mode = WAL; PRAGMA user_version = 99").expect("a version");
    let foreign = bench.path().with_file_name("foreign.db");
    somebody_else(&foreign).execute_batch("CREATE TABLE songs (title)").expect("a table");
    let made = |name: &str, bytes: &[u8]| {
        let path = bench.path().with_file_name(name);
        fs::write(&path, bytes).expect("a file");
        path
    };
    let cases = [
        ("newer", newer),
        ("newer", newer_wal),
        ("foreign", foreign),
        ("damaged", made("empty.db", b"")),
        ("damaged", made("short.db", &whole[..50])),
        ("damaged", made("truncated.db", &whole[..whole.len() / 2])),
        ("damaged", made("cut-a-little.db", &whole[..whole.len() - 1])),
        ("damaged", made("text.db", "no database at all, only words ".repeat(40).as_bytes())),
    ];
    for (expected, path) in cases {
        let before = fs::read(&path).expect("a file");
        let error = bench.open_at(&path).err().unwrap_or_else(|| panic!("{} opened", path.display()));
        let is_expected = match expected {
            "newer" => matches!(error, OpenError::Newer { .. }),
            "foreign" => matches!(error, OpenError::Foreign(_)),
            _ => matches!(error, OpenError::Damaged { .. }),
        };
        assert!(is_expected, "{}: {error}", path.display());
        assert!(fs::read(&path).expect("a file") == before, "{} was changed", path.display());
    }
}

#[tokio::test(start_paused = true)]
async fn another_key_is_refused_and_the_right_one_still_opens() {
    let bench = stored().await;
    let copy = copy_of(&bench, "sealed.db");
    let before = fs::read(&copy).expect("a file");
    assert!(matches!(bench.open_with_another_key().err(), Some(OpenError::WrongKey(_))));
    assert!(bench.open_at(&copy).is_ok());
    assert!(!before.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reader_reads_while_the_store_is_open_and_after_it_is_closed() {
    let mut bench = stored().await;
    let count = |path: &Path| -> i64 {
        reader_of(path).query_row("SELECT count(*) FROM v_transactions", [], |row| row.get(0)).expect("a count")
    };
    let path = bench.path();
    assert_eq!(count(&path), 80);
    bench.reopen();
    assert_eq!(count(&path), 80);
    for suffix in ["-wal", "-shm"] {
        let mut beside = path.clone().into_os_string();
        beside.push(suffix);
        assert!(Path::new(&beside).exists(), "{suffix} stays, or a reader of another user could not open the store");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_in_the_middle_of_its_query_sees_one_state() {
    let home = Home::new();
    home.add_many(30, 1);
    home.settle().await;
    let path = home.bench.path();
    let reader = reader_of(&path);
    reader.execute_batch("BEGIN").expect("a view");
    let count =
        || -> i64 { reader.query_row("SELECT count(*) FROM v_transactions", [], |row| row.get(0)).expect("a count") };
    assert_eq!(count(), 30);
    home.add(0, NewTransaction::posted(-1, "NEWS"));
    home.settle().await;
    assert_eq!(count(), 30, "the same view");
    reader.execute_batch("COMMIT").expect("the end of the view");
    assert_eq!(count(), 31);
}

#[tokio::test(start_paused = true)]
async fn two_daemons_on_one_store_are_refused() {
    let bench = stored().await;
    let first = StoreLock::take(&bench.path(), "run").expect("free");
    let second = StoreLock::take(&bench.path(), "run").expect_err("held");
    assert!(second.to_string().contains("run, process"), "{second}");
    drop(first);
    assert!(StoreLock::take(&bench.path(), "sync").is_ok());
}
