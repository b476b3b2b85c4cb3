//! The store's key is changed.

use std::path::Path;

use passbook::secret::{Encryption, Place, Sealer, StoreKey};
use passbook::store::{Access, OpenError, RekeyError, RekeyOptions, Rekeyed};
use rusqlite::params;

use super::vault::{Vault, connect, dump, is_in_files, new_key, open, seal_of};
use crate::harness::{START, assert_same, at};

fn rekey(
    path: &Path,
    encryption: Encryption,
    (from, to): (&StoreKey, &StoreKey),
    progress: &mut dyn FnMut(&str),
) -> Result<Rekeyed, RekeyError> {
    let (from, to) = (Sealer::new(from.clone()), Sealer::new(to.clone()));
    passbook::store::rekey(&RekeyOptions { path, encryption, from: &from, to: &to }, progress)
}

/// Changes the key, then takes what a kill after each step would have left and finishes that.
fn sweep(vault: &Vault, encryption: Encryption) -> usize {
    let (from, to) = (&vault.key, &new_key());
    let before = dump(&vault.path, from, encryption);
    let mut album = vault.album();
    rekey(&vault.path, encryption, (from, to), &mut |step| album.take(step)).expect("changed");
    is_changed(&vault.path, encryption, (from, to), &before, "unbroken");
    for (image, step) in &album.taken {
        let refused = open(image, to, encryption, Access::Create).err().map(|error| error.to_string());
        let is_done = step.contains("store's key");
        assert_eq!(refused.is_none(), is_done, "{step}: {refused:?}");
        assert!(refused.is_none_or(|said| said.contains("passbook rekey")), "{step}");
        rekey(image, encryption, (from, to), &mut |_| ()).unwrap_or_else(|error| panic!("{step}: {error}"));
        is_changed(image, encryption, (from, to), &before, step);
    }
    album.taken.len()
}

fn is_changed(path: &Path, encryption: Encryption, (from, to): (&StoreKey, &StoreKey), before: &str, case: &str) {
    assert_same(&dump(path, to, encryption), before, case);
    let refused = open(path, from, encryption, Access::Create).err();
    assert!(matches!(refused, Some(OpenError::WrongKey(_) | OpenError::OtherFileKey(_))), "{case}: {refused:?}");
    assert!(!is_in_files(path, &seal_of(from)), "{case}: something sealed with the former key is still there");
    open(path, to, encryption, Access::Create).unwrap_or_else(|error| panic!("{case}: {error}"));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_killed_after_any_step_is_finished_by_the_next() {
    let vault = Vault::plain().await;
    assert!(is_in_files(&vault.path, &seal_of(&vault.key)), "or the sweep would look for nothing");
    let steps = sweep(&vault, Encryption::Secrets);
    assert_eq!(steps, 8, "a look, a mark, five columns, the end");
}

#[cfg(feature = "sqlcipher")]
#[tokio::test(start_paused = true)]
async fn a_rotation_of_a_file_encrypted_whole_is_finished_likewise() {
    let steps = sweep(&Vault::whole().await, Encryption::Full);
    assert_eq!(steps, 14, "the same and six of the file");
}

#[tokio::test(start_paused = true)]
async fn a_store_half_way_says_so_to_either_key_and_may_turn_back() {
    let vault = Vault::plain().await;
    let (from, to) = (&vault.key, &new_key());
    let before = dump(&vault.path, from, Encryption::Secrets);
    let mut album = vault.album();
    rekey(&vault.path, Encryption::Secrets, (from, to), &mut |step| album.take(step)).expect("changed");
    let (half, _) = album.taken.iter().find(|(_, step)| step.contains("sealed anew")).expect("a step half way");
    for key in [from, to] {
        let error = open(half, key, Encryption::Secrets, Access::Create).err().expect("half way");
        let said = error.to_string();
        assert!(
            matches!(error, OpenError::Rekeying { .. }) && said.contains(from.id()) && said.contains(to.id()),
            "{said}"
        );
    }
    let store = open(half, from, Encryption::Secrets, Access::ReadOnly).expect("what is not sealed can be read");
    let report = store.read(|txn| txn.verify(at(START))).await.expect("read");
    let keys = report.findings.iter().find(|finding| finding.check.starts_with("keys:")).expect("a check");
    assert!(keys.violations > 0 && keys.is_error, "{keys:?}");
    drop(store);

    rekey(half, Encryption::Secrets, (to, from), &mut |_| ()).expect("turned back");
    is_changed(half, Encryption::Secrets, (to, from), &before, "turned back");
}

#[tokio::test(start_paused = true)]
async fn a_value_under_a_third_key_is_named_and_nothing_is_changed() {
    let vault = Vault::plain().await;
    let (third, to) = (new_key(), new_key());
    let place = Place { table: "account_numbers", column: "routing_number_sealed", row_id: 1 };
    let sealed = Sealer::new(third.clone()).seal(place, b"lost").expect("sealed");
    let put = "UPDATE account_numbers SET routing_number_sealed = ?1 WHERE account_number_id = 1";
    connect(&vault.path, None).execute(put, params![sealed]).expect("put");
    let before = std::fs::read(&vault.path).expect("a file");
    let error = rekey(&vault.path, Encryption::Secrets, (&vault.key, &to), &mut |_| ()).expect_err("a third key");
    let said = error.to_string();
    assert!(said.contains("account_numbers.routing_number_sealed of row 1") && said.contains(third.id()), "{said}");
    assert!(said.contains("nothing was changed") && std::fs::read(&vault.path).expect("a file") == before);
    vault.open(&vault.key, Encryption::Secrets).expect("as before");
}

#[tokio::test(start_paused = true)]
async fn neither_of_two_wrong_keys_does_anything() {
    let vault = Vault::plain().await;
    let before = std::fs::read(&vault.path).expect("a file");
    let error = rekey(&vault.path, Encryption::Secrets, (&new_key(), &new_key()), &mut |_| ()).expect_err("two keys");
    assert!(error.to_string().contains("store_meta.value"), "{error}");
    assert!(std::fs::read(&vault.path).expect("a file") == before);
}

#[tokio::test(start_paused = true)]
async fn values_that_a_reader_keeps_in_the_log_are_told_of_until_they_are_gone() {
    let vault = Vault::plain().await;
    let to = new_key();
    drop(vault.open(&vault.key, Encryption::Secrets).expect("opens and switches to a log"));
    let reader = connect(&vault.path, None);
    reader.execute_batch("BEGIN; SELECT count(*) FROM links").expect("a view");
    let keys = (&vault.key, &to);
    let held = rekey(&vault.path, Encryption::Secrets, keys, &mut |_| ());
    assert!(matches!(held, Err(RekeyError::Read)), "{held:?}");
    reader.execute_batch("COMMIT").expect("the end of the view");
    let again = rekey(&vault.path, Encryption::Secrets, keys, &mut |_| ()).expect("done");
    assert_eq!(again, Rekeyed { values: 0, file: false });
    assert!(!is_in_files(&vault.path, &seal_of(&vault.key)));
}
