//! How much of a store is encrypted, and the key to a file that is encrypted whole.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::key::{KEY_BYTES, StoreKey};

/// What the store key is asked for to give a file's key: a key of its own, so that neither tells the other.
const LABEL: &[u8] = b"passbook store file 1";

/// Whether this build can encrypt a whole file, and read one.
pub const HAS_CIPHER: bool = cfg!(feature = "sqlcipher");

/// How much of a store is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Access tokens, account numbers and the like; any SQLite tool reads the rest.
    #[default]
    Secrets,
    /// The whole file besides, by `SQLCipher`.
    Full,
}

impl Encryption {
    /// Its word in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Self::Secrets => "secrets",
            Self::Full => "full",
        }
    }
}

/// The key that encrypts a store's whole file.
///
/// Shape: HMAC-SHA256 of a label under the store key. `Debug` shows nothing of it, the memory is wiped when it is dropped.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; KEY_BYTES]>);

impl FileKey {
    /// The key as `SQLCipher` takes it: `x'…'` with 64 hexadecimal digits, used as it is. Wiped when dropped.
    pub fn to_raw(&self) -> Zeroizing<String> {
        // Room for all of it from the start: a string that grows leaves its beginnings behind.
        let mut raw = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 3));
        raw.push_str("x'");
        for byte in self.0.iter() {
            for digit in [byte >> 4, byte & 0x0f] {
                raw.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        raw.push('\'');
        raw
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey([redacted])")
    }
}

impl StoreKey {
    /// The key that encrypts a whole file under this store key.
    pub fn file_key(&self) -> FileKey {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block[..KEY_BYTES].copy_from_slice(self.bytes());
        let mut made = Hmac::<Sha256>::new(&block).chain_update(LABEL).finalize().into_bytes();
        block.as_mut_slice().zeroize();
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        bytes.copy_from_slice(&made);
        made.as_mut_slice().zeroize();
        FileKey(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 32 zero bytes as a store key.
    fn zero() -> StoreKey {
        StoreKey::from_bytes(Zeroizing::new([0; KEY_BYTES]))
    }

    #[test]
    fn a_file_key_never_changes_for_a_store_key() {
        // openssl dgst -sha256 -mac HMAC -macopt hexkey:00…00, over the label: another value would lock every file out.
        let expected = "x'56621580f52ede1b8089e915eb027a1a801f7d98915e53e0ce3ad7df2c7e9d5c'";
        assert_eq!(zero().file_key().to_raw().as_str(), expected);
    }

    #[test]
    fn a_file_key_is_neither_the_store_key_nor_shown() {
        let key = StoreKey::generate().expect("randomness");
        let raw = key.file_key().to_raw();
        assert_eq!(raw.len(), 67);
        assert_ne!(raw, StoreKey::generate().expect("randomness").file_key().to_raw());
        let plain = FileKey(Zeroizing::new(*key.bytes())).to_raw();
        assert_ne!(raw, plain);
        assert_eq!(format!("{:?}", key.file_key()), "FileKey([redacted])");
    }
}
