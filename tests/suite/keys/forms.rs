//! A file of another form than the configuration says.

use std::fs;

use passbook::secret::{Encryption, HAS_CIPHER};
use passbook::store::{Access, OpenError};

use super::vault::{Vault, new_key, open};

/// Two pages of noise, as a file that is encrypted whole.
fn noise() -> Vec<u8> {
    (0..16_384).map(|_| rand::random()).collect()
}

#[tokio::test(start_paused = true)]
async fn noise_is_taken_for_an_encrypted_store_and_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("passbook.db");
    let bytes = noise();
    fs::write(&path, &bytes).expect("a file");
    for (encryption, access) in [
        (Encryption::Secrets, Access::Create),
        (Encryption::Secrets, Access::ReadOnly),
        (Encryption::Full, Access::Create),
        (Encryption::Full, Access::ReadOnly),
    ] {
        let error = open(&path, &new_key(), encryption, access).err().expect("no store");
        let said = error.to_string();
        let expected = match (HAS_CIPHER, encryption) {
            (false, _) => matches!(error, OpenError::NoCipher(_)) && said.contains("--features sqlcipher"),
            (true, Encryption::Secrets) => {
                matches!(error, OpenError::Encrypted(_)) && said.contains("passbook convert")
            }
            (true, Encryption::Full) => matches!(error, OpenError::OtherFileKey(_)) && said.contains("passbook rekey"),
        };
        assert!(expected, "{encryption:?} {access:?}: {said}");
        assert!(fs::read(&path).expect("a file") == bytes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_plain_file_is_refused_where_all_of_it_shall_be_encrypted() {
    let vault = Vault::plain().await;
    let before = fs::read(&vault.path).expect("a file");
    let error = vault.open(&vault.key, Encryption::Full).err().expect("refused");
    let said = error.to_string();
    let named = if HAS_CIPHER { "passbook convert" } else { "--features sqlcipher" };
    assert!(said.contains(named), "{said}");
    assert!(fs::read(&vault.path).expect("a file") == before);
}

#[cfg(not(feature = "sqlcipher"))]
#[tokio::test(start_paused = true)]
async fn a_build_without_sqlcipher_converts_nothing() {
    use passbook::secret::Sealer;
    use passbook::store::{ConvertError, ConvertOptions, Converted, convert};
    let vault = Vault::plain().await;
    let sealer = Sealer::new(vault.key.clone());
    let to = |to| convert(&ConvertOptions { path: &vault.path, sealer: &sealer, to }, &mut |_| ());
    assert!(matches!(to(Encryption::Full), Err(ConvertError::Open(OpenError::NoCipher(_)))));
    assert_eq!(to(Encryption::Secrets).expect("as it is"), Converted::Already);
}
