//! Backups, restores and copies as an operator makes them, and readers of another user.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use passbook::sandbox::Served;

use super::desk::{Desk, query, text, wait_for};
use super::left_out::left_out;

/// A user and a group that own nothing here.
const ANALYST: u32 = 54_321;
const GROUP: u32 = 54_322;

/// A desk with backups, and the key that opens them in `backup.key`.
fn desk() -> Desk {
    let desk = Desk::at(Served::Truv, 2);
    let key = Identity::generate();
    desk.secret("backup.key", &format!("# made for a test\n{}\n", key.to_string().expose_secret()));
    let config = std::fs::read_to_string(desk.config()).expect("reads");
    let section = format!("[backup]\nrecipients = [\"{}\"]\ndirectory = \"backups\"\n", key.to_public());
    std::fs::write(desk.config(), format!("{section}{config}")).expect("writes");
    desk
}

fn backups(desk: &Desk) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(desk.dir.path().join("backups")).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

#[test]
fn a_backup_is_made_listed_and_restored_with_the_daemon_and_without() {
    let desk = desk();
    desk.ends_with(0, &["run", "--once"]);
    assert!(desk.ends_with(0, &["backup", "--list"]).contains("no backup was made yet"));
    assert!(desk.ends_with(0, &["status"]).contains("no proved backup yet"));
    let made = desk.json(0, &["backup", "--json"]);
    assert_eq!((&made["error"], &made["is_there"]), (&serde_json::Value::Null, &true.into()));
    let daemon = desk.daemon();
    assert!(desk.ends_with(0, &["backup"]).contains("made and proved"));
    drop(daemon);
    let listed = desk.json(0, &["backup", "--list", "--json"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    assert!(desk.ends_with(0, &["backup", "--list"]).contains("proved"));
    assert!(desk.ends_with(0, &["status"]).contains("last proved backup"));
    assert!(desk.json(0, &["status", "--json"])["backups"]["last_proved_at"].is_string());

    let file = backups(&desk)[0].clone();
    let (file, key) = (file.to_str().expect("text"), desk.dir.path().join("backup.key"));
    let (key, to) = (key.to_str().expect("text"), desk.dir.path().join("restored.db"));
    let restore = ["restore", file, "--identity", key, "--to", to.to_str().expect("text")];
    assert!(desk.ends_with(0, &restore).contains("whole"));
    assert_eq!(query(&to, "SELECT count(*) FROM v_transactions"), desk.rows());
    desk.ends_with(3, &restore);
    desk.secret("other.key", Identity::generate().to_string().expose_secret());
    let other = desk.dir.path().join("other.key");
    let elsewhere = desk.dir.path().join("elsewhere.db");
    let wrong =
        ["restore", file, "--identity", other.to_str().expect("text"), "--to", elsewhere.to_str().expect("text")];
    let refused = desk.passbook(&wrong);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("other recipients"), "{}", text(&refused.stderr));
    assert!(!elsewhere.exists());
}

#[test]
fn a_disk_that_takes_no_more_costs_the_backup_and_nothing_else() {
    let desk = desk();
    desk.ends_with(0, &["run", "--once"]);
    // Files may have 200 kB from here on: the copy has more, the log of the store has less.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" --config \"$1\" backup";
    let limited = |shell: &str| {
        let mut command = Command::new(shell);
        command.args(["-c", script, env!("CARGO_BIN_EXE_passbook")]).arg(desk.config());
        command.output().expect("runs")
    };
    let failed = limited("bash");
    assert_eq!(failed.status.code(), Some(1), "{}", text(&failed.stderr));
    assert!(text(&failed.stderr).contains("no backup was made"), "{}", text(&failed.stderr));
    assert_eq!(backups(&desk), Vec::<std::path::PathBuf>::new());
    assert!(!desk.dir.path().join("passbook.db.backup").exists());
    let listed = desk.json(0, &["backup", "--list", "--json"]);
    assert!(listed[0]["error"].is_string() && listed[0]["file"].is_null(), "{listed}");
    desk.ends_with(0, &["backup"]);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

#[test]
fn a_backup_that_is_killed_leaves_no_half_file_under_a_backups_name() {
    let desk = desk();
    desk.ends_with(0, &["run", "--once"]);
    let key = desk.dir.path().join("backup.key");
    for pause_ms in [5, 20, 45, 80] {
        let mut command = desk.bare();
        let mut running = command.arg("--config").arg(desk.config()).arg("backup").spawn().expect("starts");
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        running.kill().expect("killed");
        running.wait().expect("ends");
    }
    desk.ends_with(0, &["backup"]);
    let files = backups(&desk);
    assert!(!files.is_empty());
    for (number, file) in files.iter().enumerate() {
        assert!(file.extension().is_some_and(|e| e == "age"), "{}", file.display());
        let to = desk.dir.path().join(format!("restored-{number}.db"));
        let paths = [file, &key, &to].map(|path| path.to_str().expect("text"));
        desk.ends_with(0, &["restore", paths[0], "--identity", paths[1], "--to", paths[2]]);
    }
    assert!(!desk.dir.path().join("passbook.db.backup").exists());
}

/// What another member of the store's group gets from the sqlite3 shell.
fn analyst(arguments: &[&str]) -> Output {
    let mut command = Command::new("sqlite3");
    command.uid(ANALYST).gid(GROUP).current_dir("/").args(arguments);
    command.output().expect("runs")
}

#[test]
fn another_user_of_the_group_reads_and_cannot_hurt() {
    let desk = desk();
    let is_root = std::fs::metadata("/proc/self").expect("a process").uid() == 0;
    if !is_root || Command::new("sqlite3").arg("--version").output().is_err() {
        left_out("reading as another user needs root and the sqlite3 shell");
        return;
    }
    // As the unit has it: the owner writes, the group enters and reads, new files belong to the group.
    chown(desk.dir.path(), None, Some(GROUP)).expect("root may");
    std::fs::set_permissions(desk.dir.path(), PermissionsExt::from_mode(0o2750)).expect("root may");
    let store = desk.store();
    let path = store.to_str().expect("text");
    let count = "SELECT count(*) FROM v_transactions";
    let reads = |path: &str, when: &str| {
        let answer = analyst(&["-readonly", path, count]);
        assert_eq!(text(&answer.stdout).trim(), "80", "{when}: {}", text(&answer.stderr));
    };
    let mut daemon = desk.daemon();
    wait_for("the first syncs", || store.exists() && desk.rows() == 80);
    reads(path, "while it runs");
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{path}{suffix}");
        let held = std::fs::metadata(&file).expect(&file);
        assert_eq!((held.mode() & 0o777, held.gid()), (0o640, GROUP), "{file}");
    }
    for harm in ["DELETE FROM links", "BEGIN IMMEDIATE; DELETE FROM links", "VACUUM", "PRAGMA user_version = 9"] {
        let answer = analyst(&[path, harm]);
        assert!(text(&answer.stderr).contains("readonly"), "{harm}: {}", text(&answer.stderr));
    }
    for attempt in ["PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE"] {
        // Whatever these answer: what they would do is not done.
        analyst(&[path, attempt]);
        assert_eq!(text(&analyst(&["-readonly", path, "PRAGMA journal_mode"]).stdout).trim(), "wal", "{attempt}");
    }
    for file in ["passbook.db", "passbook.db-wal", "passbook.db-shm", "passbook.db.lock"] {
        let removed = Command::new("rm").uid(ANALYST).gid(GROUP).arg("-f").arg(desk.dir.path().join(file)).status();
        assert!(!removed.expect("runs").success(), "{file}");
    }
    assert!(desk.ends_with(0, &["snapshot"]).contains("snapshot.db"));
    let snapshot = desk.dir.path().join("snapshot.db");
    reads(snapshot.to_str().expect("text"), "the published copy");
    let results = desk.json(0, &["sync", "--json"]);
    assert!(results.as_array().is_some_and(|r| r.iter().all(|r| r["outcome"] == "ok")), "{results}");
    daemon.signal("-TERM");
    assert!(daemon.0.wait().expect("ends").success());
    reads(path, "after it was stopped");
    drop(daemon);
    let killed = desk.daemon();
    killed.signal("-KILL");
    drop(killed);
    reads(path, "after it was killed");
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

/// Litestream itself reads the file that is given to operators, and brings back what the daemon wrote.
#[test]
fn the_litestream_configuration_replicates_and_restores() {
    const CONFIG: &str = include_str!("../../ops/litestream.yml");
    let document: serde_json::Value = serde_norway::from_str(CONFIG).expect("YAML");
    let db = &document["dbs"][0];
    assert_eq!(db["path"], "/var/lib/passbook/passbook.db");
    let pages = db["truncate-page-n"].as_u64().expect("pages");
    let log_bytes = pages * 8_192;
    assert!(log_bytes < passbook::config::readers::DEFAULT_WAL_WARN_BYTES / 2, "it must not look like a held reader");
    if Command::new("litestream").arg("version").output().is_err() {
        eprintln!("left out: replicating with Litestream, which is not installed; its configuration was only parsed");
        return;
    }
    let desk = Desk::at(Served::Truv, 2);
    let replica = desk.dir.path().join("replica");
    let config = desk.dir.path().join("litestream.yml");
    let text = CONFIG.replace("path: /var/lib/passbook/passbook.db", &format!("path: {}", desk.store().display()));
    let text = text.replace("path: /srv/passbook-replica", &format!("path: {}", replica.display()));
    std::fs::write(&config, text).expect("writes");
    let daemon = desk.daemon();
    let mut litestream =
        Command::new("litestream").arg("replicate").arg("-config").arg(&config).spawn().expect("starts");
    wait_for("the first syncs", || desk.rows() == 80);
    let restored = desk.dir.path().join("restored.db");
    wait_for("the replica", || {
        let _ = std::fs::remove_file(&restored);
        let mut restore = Command::new("litestream");
        restore.arg("restore").arg("-config").arg(&config).arg("-o").arg(&restored).arg(desk.store());
        restore.status().is_ok_and(|status| status.success()) && rows(&restored) == 80
    });
    litestream.kill().expect("killed");
    litestream.wait().expect("ends");
    drop(daemon);
    assert_eq!(desk.json(0, &["verify", "--json"])["clean"], true);
}

fn rows(store: &Path) -> usize {
    query(store, "SELECT count(*) FROM v_transactions")
}
