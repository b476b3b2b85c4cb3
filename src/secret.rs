//! Values that must not be seen: secrets in memory, and the sealing of columns in the store.
//!
//! The config yields [`Secret`]s and the [`StoreKey`]; the store seals access tokens and the like with a [`Sealer`] before they
//! are written and opens them when a sync needs them. A file that is encrypted whole has a [`FileKey`] besides.
//!
//! What must stay true: nothing here shows its content through `Debug` or `Display`, memory is wiped when a value goes, and a
//! sealed value opens only in the place it was sealed for, so that copying a row's token into another row is noticed.
//!
//! It reads no files (that is `config`), and it does not protect against someone who holds the key.

mod dump;
mod file;
mod key;
mod pseudonym;
mod seal;

pub use dump::forbid_dumps;
pub use file::{Encryption, FileKey, HAS_CIPHER};
pub use key::{KEY_BYTES, KEY_PREFIX, KeyError, StoreKey};
pub use pseudonym::{PSEUDONYM_BYTES, PseudonymKey};
pub use seal::{Place, SEAL_HEAD_BYTES, SealError, Sealer};

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};

/// A secret text: a password, a token, an API secret.
///
/// Shape: `Debug` says `[redacted]`, there is no `Display`, the memory is wiped when it is dropped. Two of them are compared
/// in a time that depends on their length only.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a text into keeping. The caller wipes any other copy.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The secret itself. Only for the moment in which it is sent or compared.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        let (left, right) = (self.expose().as_bytes(), other.expose().as_bytes());
        let difference = left.iter().zip(right).fold(0, |acc, (a, b)| acc | (a ^ b));
        left.len() == right.len() && std::hint::black_box(difference) == 0
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_itself_only_when_asked() {
        let secret = Secret::new("canary");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)), "[redacted] Some(\n    [redacted],\n)");
        assert_eq!(secret.expose(), "canary");
    }

    #[test]
    fn secrets_are_equal_when_their_texts_are() {
        assert_eq!(Secret::new("one"), Secret::new("one"));
        for other in ["", "on", "onE", "one1"] {
            assert_ne!(Secret::new("one"), Secret::new(other), "{other}");
        }
    }
}
