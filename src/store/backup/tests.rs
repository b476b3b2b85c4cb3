use std::collections::BTreeSet;
use std::time::Duration;

use rusqlite::OpenFlags;

use super::*;
use crate::schedule::Schedule;
use crate::secret::{Encryption, Sealer, StoreKey};
use crate::store::{Access, OpenOptions};

/// A small store, and how backups of it are made.
struct Bench {
    dir: tempfile::TempDir,
    config: BackupConfig,
    key: Identity,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let key = Identity::generate();
        let config = BackupConfig {
            directory: dir.path().join("backups"),
            recipients: vec![key.to_public()],
            schedule: Schedule::parse("@daily", &TimeZone::UTC).expect("a schedule"),
            keep_last: 2,
            keep_for: Duration::ZERO,
        };
        let bench = Self { dir, config, key };
        let sealer = Sealer::new(StoreKey::generate().expect("randomness"));
        let now = Timestamp::UNIX_EPOCH;
        let path = bench.store();
        let encryption = Encryption::Secrets;
        Store::open(OpenOptions { path: &path, sealer, encryption, keep_raw: true, access: Access::Create, now })
            .expect("a store");
        bench
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("passbook.db")
    }

    fn make(&self, second: i64, go_on: impl FnMut(Stage) -> bool) -> Result<Backup, BackupError> {
        let mut go_on = go_on;
        let at = Timestamp::from_second(second).expect("an instant");
        let store = StoreFile::under(&self.store(), None);
        Work::new(&store, &self.config.directory, at).make(&self.config, &mut go_on)
    }

    /// Names in the directory of backups, and whether there is a copy beside the store.
    fn left(&self) -> (BTreeSet<String>, bool) {
        let entries = fs::read_dir(&self.config.directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().into_string().expect("text")).collect();
        (names, self.dir.path().join("passbook.db.backup").exists())
    }

    fn restored(&self, name: &str) -> Result<Note, String> {
        let to = self.dir.path().join("restored.db");
        let file = self.config.directory.join(name);
        let note = restore_file(&file, std::slice::from_ref(&self.key), &to).map_err(|e| e.to_string())?;
        prove(&StoreFile::under(&to, None), &note).map_err(|e| e.to_string())?;
        Ok(note)
    }
}

#[test]
fn the_name_of_a_backup_is_its_instant_and_no_other_name_is_one() {
    let at: Timestamp = "2026-11-21T18:05:25.120Z".parse().expect("an instant");
    let name = name_of(at);
    assert_eq!(name, "passbook-20261121T180525.120Z.db.zst.age");
    assert_eq!(instant_of(&name), Some(at));
    for other in [
        "passbook.db",
        "passbook-20261121T180525Z.db.zst.age",
        "passbook-20261121T180525.12Z.db.zst.age",
        "passbook-20261321T180525.120Z.db.zst.age",
        ".passbook-20261121T180525.120Z.db.zst.age",
        "passbook-20261121T180525.120Z.db.zst.age.part",
        "my-passbook-20261121T180525.120Z.db.zst.age",
        "passbook-20261121T180525.120Z.db.zst",
    ] {
        assert_eq!(instant_of(other), None, "{other}");
    }
}

#[test]
fn killed_at_any_step_it_leaves_no_half_backup_and_the_next_one_cleans_up() {
    for killed_at in [Stage::Begun, Stage::Copied, Stage::Packed, Stage::Restored, Stage::Proved, Stage::Named] {
        let bench = Bench::new();
        let killed = bench.make(1, |stage| stage != killed_at).expect_err("killed");
        assert!(matches!(killed, BackupError::Stopped));
        let (names, has_copy) = bench.left();
        let whole = names.iter().filter(|name| instant_of(name).is_some()).count();
        assert_eq!(whole, usize::from(killed_at == Stage::Named), "{killed_at:?}: {names:?}");
        assert_eq!(has_copy, matches!(killed_at, Stage::Copied | Stage::Restored), "{killed_at:?}");

        fs::write(bench.config.directory.join(".passbook-notes.part"), b"somebody's").expect("writes");
        let made = bench.make(2, |_| true).expect("a backup");
        let (mut names, has_copy) = bench.left();
        assert!(names.remove(".passbook-notes.part"), "what is not ours stays");
        assert_eq!((names.len(), has_copy), (whole + 1, false), "{killed_at:?}: {names:?}");
        for name in &names {
            let note = bench.restored(name).expect("restores");
            assert_eq!(Some(note.fingerprint.content_hash), made.content_hash, "{killed_at:?}");
        }
    }
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_store() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const DAEMON: (u32, u32) = (54_321, 54_322);
    const READERS: u32 = 54_323;
    if fs::metadata("/proc/self").expect("a process").uid() != 0 {
        eprintln!("left out: only root makes files that are not the daemon's");
        return;
    }
    let bench = Bench::new();
    chown(bench.store(), Some(DAEMON.0), Some(DAEMON.1)).expect("root may");
    let owner = |path: &Path| {
        let held = fs::metadata(path).expect("is there");
        (held.uid(), held.gid())
    };
    let made = |second| {
        let name = bench.make(second, |_| true).expect("a backup").file_name.expect("a name");
        owner(&bench.config.directory.join(name))
    };
    assert_eq!(made(1), DAEMON);
    assert_eq!(owner(&bench.config.directory), DAEMON);
    // As an operator may have it: what comes into the directory belongs to its group.
    chown(&bench.config.directory, None, Some(READERS)).expect("root may");
    fs::set_permissions(&bench.config.directory, std::os::unix::fs::PermissionsExt::from_mode(0o2750))
        .expect("root may");
    assert_eq!(made(2), (DAEMON.0, READERS));
}

#[test]
fn a_byte_that_the_disk_changed_is_found_by_the_proof() {
    for part in [0, 1, 2] {
        let bench = Bench::new();
        let damage = |stage| {
            if stage == Stage::Packed {
                let draft = bench
                    .config
                    .directory
                    .join(format!(".{}.part", name_of(Timestamp::from_second(1).expect("in range"))));
                let mut bytes = fs::read(&draft).expect("reads");
                let at = part * (bytes.len() - 1) / 2;
                bytes[at] ^= 0x10;
                fs::write(&draft, bytes).expect("writes");
            }
            true
        };
        let found = bench.make(1, damage).expect_err("damaged");
        assert!(matches!(found, BackupError::Unpack(_)), "{found}");
    }
}

#[test]
fn what_was_restored_and_differs_is_found_by_the_proof() {
    let bench = Bench::new();
    let tamper = |sql: &str, stage: Stage, at: Stage| {
        if stage == at {
            let copy = bench.dir.path().join("passbook.db.backup");
            let connection = StoreFile::under(&copy, None).connect(OpenFlags::SQLITE_OPEN_READ_WRITE).expect("opens");
            connection.execute_batch(sql).expect(sql);
        }
        true
    };
    let changed = "UPDATE store_meta SET value = value + 1 WHERE name = 'next_change_id'";
    let found = bench.make(1, |stage| tamper(changed, stage, Stage::Restored)).expect_err("differs");
    assert!(matches!(found, BackupError::Content(ContentError::Differs { .. })), "{found}");
    // As if an index of the copy had been damaged on its way.
    let broken = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'links_failures INTEGER NOT NULL', 'links_failures INTEGER')
                  WHERE name = 'users'; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'users')
                  WHERE name = 'users_due'";
    let found = bench.make(2, |stage| tamper(broken, stage, Stage::Restored)).expect_err("broken");
    assert!(matches!(found, BackupError::Content(_)), "{found}");
}

#[test]
fn a_disk_without_room_is_seen_before_it_is_full() {
    assert!(has_room(1_100, 1_000) && has_room(0, 0));
    assert!(!has_room(1_099, 1_000) && !has_room(0, 1) && !has_room(u64::MAX - 1, u64::MAX));
}
