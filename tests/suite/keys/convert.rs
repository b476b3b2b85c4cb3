//! The whole file is encrypted, and decrypted again.

use std::fs::{self, File};
use std::io::Read as _;

use passbook::secret::Encryption;
use passbook::store::{Access, ConvertError, Converted, OpenError};

use super::vault::{Vault, connect, dump, is_in_files, new_key, open};
use crate::harness::{START, assert_same, at};

const OTHER: fn(Encryption) -> Encryption = |encryption| match encryption {
    Encryption::Secrets => Encryption::Full,
    Encryption::Full => Encryption::Secrets,
};

/// Converts a store, then takes what a kill after each step would have left and finishes that.
fn sweep(vault: &Vault, to: Encryption) {
    let before = dump(&vault.path, &vault.key, OTHER(to));
    let mut album = vault.album();
    album.take("nothing");
    let done = vault.convert(to, &mut |step| album.take(step)).expect("converted");
    assert!(matches!(done, Converted::Done { rows, .. } if rows > 40), "{done:?}");
    assert_eq!(album.taken.len(), 7, "nothing and six steps");
    assert_same(&dump(&vault.path, &vault.key, to), &before, "unbroken");
    for (image, step) in &album.taken {
        let is = if step.contains("in its place") || step.contains("is gone") { to } else { OTHER(to) };
        assert_same(&dump(image, &vault.key, is), &before, step);
        let image = Vault::at(image, &vault.key);
        image.convert(to, &mut |_| ()).unwrap_or_else(|error| panic!("{step}: {error}"));
        assert_same(&dump(&image.path, &vault.key, to), &before, step);
        let left: Vec<_> = fs::read_dir(image.path.parent().expect("a directory")).expect("a list").collect();
        assert_eq!(left.len(), 1, "{step}: {left:?}");
        assert_eq!(image.convert(to, &mut |_| ()).expect("nothing to do"), Converted::Already, "{step}");
        image.open(&vault.key, to).unwrap_or_else(|error| panic!("{step}: {error}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_conversion_killed_after_any_step_is_finished_by_the_next() {
    sweep(&Vault::plain().await, Encryption::Full);
}

#[tokio::test(start_paused = true)]
async fn a_conversion_back_is_finished_likewise() {
    sweep(&Vault::whole().await, Encryption::Secrets);
}

#[tokio::test(start_paused = true)]
async fn a_file_encrypted_whole_shows_nothing_and_what_was_plain_is_overwritten() {
    let vault = Vault::plain().await;
    let one = |sql: &str| -> String { connect(&vault.path, None).query_row(sql, [], |row| row.get(0)).expect(sql) };
    let canaries = [
        one("SELECT description FROM transactions ORDER BY transaction_id LIMIT 1"),
        one("SELECT name FROM institutions ORDER BY institution_id LIMIT 1"),
        one("SELECT name FROM accounts ORDER BY account_id LIMIT 1"),
        "CREATE TABLE".to_owned(),
        "SQLite format 3".to_owned(),
    ];
    let shown = || canaries.iter().filter(|canary| is_in_files(&vault.path, canary.as_bytes())).count();
    assert_eq!(shown(), canaries.len(), "or the test would look for nothing");
    let mut plain = File::open(&vault.path).expect("a file");

    vault.convert(Encryption::Full, &mut |_| ()).expect("converted");
    assert_eq!(shown(), 0);
    let mut bytes = Vec::new();
    plain.read_to_end(&mut bytes).expect("the file without a name");
    assert!(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0), "what was plain is overwritten");

    // The write-ahead log shows as little.
    let store = vault.open(&vault.key, Encryption::Full).expect("opens");
    store.write(|txn| txn.put_sources(&[], at(START))).await.expect("written");
    assert_eq!(shown(), 0);
}

#[tokio::test(start_paused = true)]
async fn another_key_and_another_form_are_refused_by_name() {
    let vault = Vault::whole().await;
    let before = fs::read(&vault.path).expect("a file");
    for access in [Access::Create, Access::ReadOnly] {
        let other = open(&vault.path, &new_key(), Encryption::Full, access).err().expect("another key");
        assert!(matches!(other, OpenError::OtherFileKey(_)) && other.to_string().contains("passbook rekey"), "{other}");
        let form = open(&vault.path, &vault.key, Encryption::Secrets, access).err().expect("another form");
        assert!(matches!(form, OpenError::Encrypted(_)) && form.to_string().contains("passbook convert"), "{form}");
    }
    let other = Vault::at(&vault.path, &new_key());
    assert!(matches!(
        other.convert(Encryption::Secrets, &mut |_| ()),
        Err(ConvertError::Open(OpenError::OtherFileKey(_)))
    ));
    fs::write(&vault.path, &before[..before.len() - 8192]).expect("a file");
    let cut = vault.open(&vault.key, Encryption::Full).err().expect("cut");
    assert!(matches!(cut, OpenError::Damaged { .. }), "{cut}");
}

#[tokio::test(start_paused = true)]
async fn a_plain_store_is_not_encrypted_with_a_key_that_is_not_its_own() {
    let vault = Vault::plain().await;
    let other = Vault::at(&vault.path, &new_key());
    let error = other.convert(Encryption::Full, &mut |_| ()).expect_err("another key");
    assert!(matches!(error, ConvertError::Open(OpenError::WrongKey(_))), "{error}");
    vault.open(&vault.key, Encryption::Secrets).expect("as before");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_somebody_reads_is_not_replaced() {
    let vault = Vault::plain().await;
    let reader = connect(&vault.path, None);
    reader.execute_batch("PRAGMA journal_mode = WAL; BEGIN; SELECT count(*) FROM links").expect("a view");
    let error = vault.convert(Encryption::Full, &mut |_| ()).expect_err("it is read");
    assert!(matches!(error, ConvertError::Read), "{error}");
    drop(reader);
    vault.convert(Encryption::Full, &mut |_| ()).expect("converted");
}

#[tokio::test(start_paused = true)]
async fn a_new_store_can_be_encrypted_whole_from_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let (path, key) = (dir.path().join("passbook.db"), new_key());
    drop(open(&path, &key, Encryption::Full, Access::Create).expect("a new store"));
    assert!(!is_in_files(&path, b"CREATE TABLE"));
    let length = fs::metadata(&path).expect("a file").len();
    let pages: u64 = connect(&path, Some(&key)).query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a count");
    assert_eq!(length, pages * 8_192);
    open(&path, &key, Encryption::Full, Access::ReadOnly).expect("opens again");
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_sqlite_makes_of_a_store_encrypted_whole_is_encrypted_likewise() {
    let vault = Vault::whole().await;
    let copy = vault.path.with_file_name("copy.db");
    let source = connect(&vault.path, Some(&vault.key));
    source.execute("VACUUM INTO ?1", [copy.to_str()]).expect("a copy");
    assert!(!is_in_files(&copy, b"CREATE TABLE"));
    assert_same(
        &dump(&copy, &vault.key, Encryption::Full),
        &dump(&vault.path, &vault.key, Encryption::Full),
        "the copy",
    );
    open(&copy, &vault.key, Encryption::Full, Access::Create).expect("opens as a store");
}
