//! Backups, restores and published copies, while the bank and the daemon go on.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use age::x25519::Identity;
use passbook::daemon::{self, Assignment, Daemon};
use passbook::model::Cause;
use passbook::sandbox::{LinkId, NewTransaction, Plan, Served};
use passbook::store::{Backup, RestoreError, StoreLock, UnpackError, restore};
use passbook::sync::Engine;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::harness::Bench;

/// A bench whose backups one key opens.
struct Kept {
    bench: Bench,
    key: Identity,
}

impl Kept {
    fn new(lines: &str) -> Self {
        let key = Identity::generate();
        let section = format!("[backup]\nrecipients = [\"{}\"]\ndirectory = \"backups\"\n{lines}", key.to_public());
        let bench = Bench::at(Served::Truv, &section);
        bench.bank.settings(|s| s.visible_immediately = true);
        bench.bank.seed_world(&Plan { links: 3, transactions_per_link: 60, ..Plan::default() });
        Self { bench, key }
    }

    async fn back_up(&self) -> Backup {
        let config = self.bench.config.backup.clone().expect("a section");
        let made = self.bench.store.back_up(config, self.bench.clock.clone(), CancellationToken::new()).await;
        made.expect("the store works")
    }

    fn directory(&self) -> PathBuf {
        self.bench.path().with_file_name("backups")
    }

    fn file(&self, backup: &Backup) -> PathBuf {
        self.directory().join(backup.file_name.as_ref().expect("a file"))
    }

    fn files(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.directory()).expect("a directory");
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
    }

    fn restore(&self, file: &Path, to: &Path) -> Result<passbook::store::Restored, RestoreError> {
        restore(file, std::slice::from_ref(&self.key), None, to)
    }

    /// What a daemon with this engine would work on.
    fn assigned(&self, engine: &Arc<Engine>) -> watch::Receiver<Assignment> {
        Daemon::new(Arc::clone(engine), self.bench.options(false)).assignment().subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn a_backup_made_while_links_are_synced_restores_to_one_state_of_the_store() {
    let kept = Kept::new("");
    let bench = &kept.bench;
    let mut made = Vec::new();
    for full in [false, true] {
        let (backup, reports) = tokio::join!(kept.back_up(), async {
            if full { bench.sync_all(true).await } else { bench.run_once().await }
        });
        assert_eq!((backup.error.as_deref(), reports.len()), (None, 3));
        made.push(backup);
    }
    made.push(kept.back_up().await);
    for (number, backup) in made.iter().enumerate() {
        let to = bench.path().with_file_name(format!("restored-{number}.db"));
        let restored = kept.restore(&kept.file(backup), &to).expect("restores");
        assert_eq!(Some(&restored.content_hash), backup.content_hash.as_ref());
        assert_eq!(Some(restored.row_count), backup.row_count);
        let store = bench.open_at(&to).expect("opens with the same key");
        let now = bench.clock.now();
        let report = store.read(move |txn| txn.verify(now)).await.expect("the store works");
        let off: Vec<_> =
            report.findings.iter().filter(|f| f.violations > 0 && f.check.contains("integrity")).collect();
        assert!(off.is_empty(), "{off:#?}");
    }
    assert_eq!(bench.value("SELECT count(*) FROM backups WHERE proved_at IS NOT NULL AND error IS NULL"), "3");
}

#[tokio::test(start_paused = true)]
async fn what_was_restored_is_what_was_there_and_goes_on_from_there() {
    let mut kept = Kept::new("");
    kept.bench.run_once().await;
    let backup = kept.back_up().await;
    let dump = kept.bench.dump();
    let to = kept.bench.path().with_file_name("restored.db");
    kept.restore(&kept.file(&backup), &to).expect("restores");
    kept.bench.pass(Duration::from_hours(9)).await;
    kept.bench.run_once().await;
    // The restored store takes the place of the one that was lost.
    for suffix in ["", "-wal", "-shm"] {
        let mut lost = kept.bench.path().into_os_string();
        lost.push(suffix);
        std::fs::remove_file(lost).expect("lost");
    }
    std::fs::rename(&to, kept.bench.path()).expect("renames");
    kept.bench.reopen();
    assert_eq!(kept.bench.dump(), dump);
    kept.bench.run_once().await;
    kept.bench.assert_store_is_truth();
    kept.bench.assert_verifies().await;
}

#[tokio::test(start_paused = true)]
async fn a_restore_overwrites_nothing_and_leaves_nothing_behind() {
    let kept = Kept::new("");
    kept.bench.run_once().await;
    let backup = kept.back_up().await;
    let (file, home) = (kept.file(&backup), kept.directory().with_file_name("home"));
    std::fs::create_dir(&home).expect("a directory");
    let to = home.join("passbook.db");
    let occupied = |name: &str| {
        let path = home.join(name);
        std::fs::write(&path, b"somebody's").expect("writes");
        let refused = kept.restore(&file, &to).expect_err("occupied");
        assert!(matches!(&refused, RestoreError::Exists(at) if *at == path), "{refused}");
        assert_eq!(std::fs::read(&path).expect("reads"), b"somebody's");
        std::fs::remove_file(path).expect("removes");
    };
    ["passbook.db", "passbook.db-wal", "passbook.db-shm", "passbook.db-journal"].into_iter().for_each(occupied);
    {
        let _held = StoreLock::take(&to, "run").expect("free");
        assert!(matches!(kept.restore(&file, &to), Err(RestoreError::Lock(_))));
    }
    let wrong = restore(&file, &[Identity::generate()], None, &to).expect_err("another key");
    assert!(matches!(wrong, RestoreError::Unpack { source: UnpackError::WrongIdentity, .. }), "{wrong}");
    let whole = std::fs::read(&file).expect("reads");
    for at in [30, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let damaged = home.with_file_name("damaged.age");
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(&damaged, bytes).expect("writes");
        let refused = kept.restore(&damaged, &to).expect_err("damaged");
        assert!(matches!(refused, RestoreError::Unpack { .. }), "byte {at}: {refused}");
    }
    let left: Vec<_> = std::fs::read_dir(&home).expect("reads").map(|e| e.expect("an entry").file_name()).collect();
    assert_eq!(left, ["passbook.db.lock"]);
    kept.restore(&file, &to).expect("restores");
    assert_eq!(std::fs::metadata(&to).expect("a file").permissions().mode() & 0o777, 0o640);
}

#[tokio::test(start_paused = true)]
async fn the_daemon_makes_backups_by_their_schedule_and_keeps_the_newest() {
    let kept = Kept::new("schedule = \"15 3 * * *\"\nkeep_last = 2\nkeep_for = \"0s\"");
    kept.bench.run_once().await;
    let stop = CancellationToken::new();
    let engine = kept.bench.engine().await;
    let other = kept.directory().with_file_name("backups").join("passbook-of-somebody.db.zst.age");
    let days = async {
        kept.bench.pass(Duration::from_mins(1)).await;
        std::fs::write(&other, b"somebody's").expect("writes");
        kept.bench.pass(Duration::from_hours(4 * 24)).await;
        stop.cancel();
    };
    tokio::join!(daemon::keep_copies(kept.assigned(&engine), stop.clone()), days);
    let rows = kept
        .bench
        .rows("SELECT file_name, proved_at IS NOT NULL, removed_at IS NOT NULL FROM backups ORDER BY backup_id");
    assert_eq!(rows.len(), 5, "one at once and one each night: {rows:?}");
    assert!(rows.iter().all(|row| row[1] == "1"), "{rows:?}");
    let there: BTreeSet<String> = rows.iter().filter(|row| row[2] == "0").map(|row| row[0].clone()).collect();
    let mut files = kept.files();
    assert!(files.remove("passbook-of-somebody.db.zst.age"), "what is not ours stays");
    assert_eq!((files.len(), &files), (2, &there));
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_fails_is_noted_and_tried_again_and_the_old_one_stays() {
    let kept = Kept::new("keep_last = 1\nkeep_for = \"0s\"");
    kept.bench.run_once().await;
    let good = kept.back_up().await;
    kept.bench.pass(Duration::from_hours(30)).await;
    // A directory that is in the way of the copy: also root cannot write there.
    let in_the_way = kept.bench.path().with_file_name("passbook.db.backup");
    std::fs::create_dir(&in_the_way).expect("a directory");
    let stop = CancellationToken::new();
    let engine = kept.bench.engine().await;
    let hours = async {
        kept.bench.pass(Duration::from_mins(150)).await;
        std::fs::remove_dir(&in_the_way).expect("removes");
        kept.bench.pass(Duration::from_hours(1)).await;
        stop.cancel();
    };
    tokio::join!(daemon::keep_copies(kept.assigned(&engine), stop.clone()), hours);
    assert_eq!(kept.bench.value("SELECT count(*) FROM backups WHERE error IS NOT NULL AND file_name IS NULL"), "3");
    assert_eq!(kept.bench.value("SELECT count(*) FROM backups WHERE proved_at IS NOT NULL"), "2");
    assert_eq!(kept.files().len(), 1, "the first made room once the next was proved");
    assert!(!kept.files().contains(good.file_name.as_deref().expect("a file")));
}

#[tokio::test(start_paused = true)]
async fn a_published_copy_is_replaced_whole_and_whoever_has_the_old_one_keeps_it() {
    let kept = Kept::new("");
    let bench = &kept.bench;
    let to = bench.path().with_file_name("snapshot.db");
    let count = |connection: &rusqlite::Connection| -> i64 {
        connection.query_row("SELECT count(*) FROM v_transactions", [], |row| row.get(0)).expect("a count")
    };
    bench.store.publish_snapshot(to.clone(), bench.clock.now()).await.expect("published");
    let old = reader_of(&to);
    assert_eq!(count(&old), 0);
    std::fs::write(to.with_file_name(".snapshot.db.part"), b"left behind by a killed process").expect("writes");
    bench.run_once().await;
    bench.store.publish_snapshot(to.clone(), bench.clock.now()).await.expect("published");
    assert_eq!((count(&old), count(&reader_of(&to))), (0, 180));
    let mode: String = reader_of(&to).query_row("PRAGMA journal_mode", [], |row| row.get(0)).expect("a mode");
    assert_eq!(mode, "delete", "one file, which opens where nothing may be written");
    for name in [".snapshot.db.part", "snapshot.db-wal", "snapshot.db-shm", "snapshot.db-journal"] {
        assert!(!to.with_file_name(name).exists(), "{name}");
    }
    for own in ["passbook.db", "passbook.db-wal", "passbook.db.lock"] {
        let own = bench.path().with_file_name(own);
        assert!(bench.store.publish_snapshot(own, bench.clock.now()).await.is_err());
    }
    let letter = bench.path().with_file_name("letter.txt");
    std::fs::write(&letter, b"somebody's").expect("writes");
    assert!(bench.store.publish_snapshot(letter.clone(), bench.clock.now()).await.is_err());
    assert_eq!(std::fs::read(&letter).expect("reads"), b"somebody's");
    bench.assert_store_is_truth();
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_never_ends_is_told_of_and_cannot_make_the_log_grow_for_ever() {
    let mut kept = Kept::new("");
    let readers = &mut kept.bench.config.store.readers;
    (readers.wal_warn_bytes, readers.wal_limit_bytes) = (50_000, 150_000);
    let bench = &kept.bench;
    bench.run_once().await;
    let held_at = "SELECT count(*) FROM store_meta WHERE name IN ('wal_held_at', 'wal_over_limit')";
    let reader = reader_of(&bench.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM links").expect("a view");
    let wal = || bench.store.size().wal_bytes;
    let links: Vec<LinkId> = bench.bank.truth().links.iter().map(|link| link.id).collect();
    let a_day_later = || async {
        for link in bench.bank.truth().links {
            for _ in 0..40 {
                let new = NewTransaction::posted(-100, &"A LONG STORY,".repeat(40));
                bench.bank.add_transaction(link.accounts[0].id, new);
            }
        }
        bench.pass(Duration::from_hours(24)).await;
        bench.ask(&links, Cause::Person, false).await;
        bench.run_for(Duration::from_mins(3)).await;
    };
    let syncs = || bench.value("SELECT count(*) FROM syncs");
    a_day_later().await;
    assert!(wal() > 150_000 && bench.store.is_wal_over_limit(), "{} bytes", wal());
    assert_eq!(bench.value(held_at), "2");
    let (bound, before) = (wal(), syncs());
    a_day_later().await;
    assert_eq!(syncs(), before, "nothing is synced");
    assert!(wal() < bound + 200_000, "{bound} before, {} now", wal());

    reader.execute_batch("COMMIT").expect("the end of the view");
    bench.run_for(Duration::from_mins(3)).await;
    assert_eq!(bench.value(held_at), "0");
    assert_ne!(syncs(), before, "what was due is synced");
    assert!(!bench.store.is_wal_over_limit());
    bench.run_once().await;
    bench.assert_store_is_truth();
    bench.assert_verifies().await;
}

#[expect(clippy::disallowed_methods, reason = "reads as an analyst does")]
fn reader_of(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a reader")
}
