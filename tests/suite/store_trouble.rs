//! A store that is damaged, foreign, newer, sealed with another key, or in use.

use std::fs;
use std::path::Path;

use passbook::sandbox::{NewTransaction, Plan};
use passbook::store::{OpenError, StoreLock};
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
    // Of those that were closed nothing is left open.
    let open_files = || {
        let open = fs::read_dir("/proc/self/fd").expect("a list").flatten();
        open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|file| file == path)).count()
    };
    let once = open_files();
    bench.reopen();
    bench.reopen();
    assert_eq!(open_files(), once);
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

#[tokio::test(start_paused = true)]
async fn a_sources_name_is_not_given_to_another_aggregator() {
    let bench = stored().await;
    let before = bench.dump();
    let taken = bench.store.write(|txn| {
        let settings = passbook::store::SourceSettings {
            name: "truv".to_owned(),
            aggregator: "bridge".to_owned(),
            base_url: "http://127.0.0.1:1".to_owned(),
            request_limit: 1,
            request_window_ms: 1,
            refreshes_per_day: 0,
            refresh_reserve: 0,
            refreshes_per_month: None,
        };
        txn.put_sources(&[settings], passbook::clock::Clock::system().now())
    });
    let refused = taken.await.expect_err("the links are another's").to_string();
    assert!(refused.contains("\"truv\" has been one at truv"), "{refused}");
    assert_eq!(bench.dump(), before);
}
