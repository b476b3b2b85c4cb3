//! Ids that can be recognised and not read: keyed hashes.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of the key and of a hash.
pub const PSEUDONYM_BYTES: usize = 32;

/// The key of all pseudonyms of a store. `Debug` shows nothing of it.
pub struct PseudonymKey(Zeroizing<[u8; PSEUDONYM_BYTES]>);

impl PseudonymKey {
    /// Makes a key from the system's randomness.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; PSEUDONYM_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    /// The key with these bytes; `None` unless there are [`PSEUDONYM_BYTES`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// Its bytes, to be sealed.
    pub fn bytes(&self) -> &[u8; PSEUDONYM_BYTES] {
        &self.0
    }

    /// The pseudonym of an id of some kind: its HMAC-SHA-256 under the key, the kind before it and a zero byte between.
    pub fn of(&self, kind: &str, id: &str) -> [u8; PSEUDONYM_BYTES] {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_slice()) else {
            // Every length of key is accepted.
            return [0; PSEUDONYM_BYTES];
        };
        mac.update(kind.as_bytes());
        mac.update(&[0]);
        mac.update(id.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_key_kind_and_id() {
        let key = PseudonymKey::generate().expect("randomness");
        let again = PseudonymKey::from_bytes(key.bytes()).expect("as many bytes");
        assert_eq!(key.of("user", "17"), again.of("user", "17"));
        assert_ne!(key.of("user", "17"), key.of("link", "17"));
        assert_ne!(key.of("user", "17"), key.of("user", "18"));
        assert_ne!(key.of("user", "17"), PseudonymKey::generate().expect("randomness").of("user", "17"));
        assert_eq!(format!("{key:?}"), "PseudonymKey([redacted])");
    }
}
