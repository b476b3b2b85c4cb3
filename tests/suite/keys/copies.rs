//! Copies of a store that is encrypted whole: as unreadable as the store, and restored with its key.

use std::time::Duration;

use age::x25519::Identity;
use jiff::tz::TimeZone;
use passbook::clock::Clock;
use passbook::config::BackupConfig;
use passbook::schedule::Schedule;
use passbook::secret::Encryption;
use passbook::store::{Access, OpenError, RestoreError, SnapshotError, restore};
use tokio_util::sync::CancellationToken;

use super::vault::{Vault, new_key, open};
use crate::harness::{START, at};

#[tokio::test]
async fn a_backup_of_a_whole_store_is_proved_and_restored_with_its_key_alone() {
    let vault = Vault::whole().await;
    let store = vault.open(&vault.key, Encryption::Full).expect("opens");
    let directory = tempfile::tempdir().expect("a directory");
    let identity = Identity::generate();
    let config = BackupConfig {
        directory: directory.path().join("backups"),
        recipients: vec![identity.to_public()],
        schedule: Schedule::parse("@daily", &TimeZone::UTC).expect("a schedule"),
        keep_last: 1,
        keep_for: Duration::ZERO,
    };
    let made = store.back_up(config.clone(), Clock::virtual_at(at(START)), CancellationToken::new()).await;
    let made = made.expect("the store works");
    assert_eq!((made.error.as_deref(), made.proved_at.is_some()), (None, true));

    let file = config.directory.join(made.file_name.expect("a file"));
    let to = directory.path().join("passbook.db");
    let another = new_key();
    let restored = |key| restore(&file, std::slice::from_ref(&identity), key, &to);
    assert!(matches!(restored(None), Err(RestoreError::NeedsKey)));
    assert!(matches!(restored(Some(&another)), Err(RestoreError::OtherKey)));
    assert!(!to.exists());
    let whole = restored(Some(&vault.key)).expect("restores");
    assert_eq!(Some(whole.content_hash), made.content_hash);
    open(&to, &vault.key, Encryption::Full, Access::ReadOnly).expect("opens with the store's key");
}

#[tokio::test]
async fn a_published_copy_of_a_whole_store_opens_with_its_key_and_is_replaced() {
    let vault = Vault::whole().await;
    let store = vault.open(&vault.key, Encryption::Full).expect("opens");
    let directory = tempfile::tempdir().expect("a directory");
    let copy = directory.path().join("copy.db");
    for _ in 0..2 {
        store.publish_snapshot(copy.clone(), at(START)).await.expect("published");
        open(&copy, &vault.key, Encryption::Full, Access::ReadOnly).expect("opens with the store's key");
    }
    let refused = open(&copy, &new_key(), Encryption::Full, Access::ReadOnly).err();
    assert!(matches!(refused, Some(OpenError::OtherFileKey(_))), "{refused:?}");

    // Somebody's file that happens to be noise as well.
    let other = Vault::whole().await;
    let refused = store.publish_snapshot(other.path.clone(), at(START)).await.expect_err("another key");
    assert!(matches!(refused, SnapshotError::Foreign(_)), "{refused}");
}
