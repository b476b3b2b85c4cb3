//! The key that encrypts the store, and its text form.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

/// Length of a key.
pub const KEY_BYTES: usize = 32;

/// What the text form of a key begins with; the number is that of the form.
pub const KEY_PREFIX: &str = "pbk1_";

const CHECK_BYTES: usize = 4;

/// Characters of the text form, prefix and checksum included.
const TEXT_CHARS: usize = KEY_PREFIX.len() + (KEY_BYTES + CHECK_BYTES) * 4 / 3;

/// Bytes of a key's digest that name it.
pub(super) const KEY_ID_BYTES: usize = 4;

/// The key that encrypts the store.
///
/// Shape: 32 random bytes. As text `pbk1_` and 48 characters of unpadded base64url: the key and a checksum of it, so that a key
/// cut or mistyped while copying is named as such rather than found not to fit. `Debug` shows [`StoreKey::id`] only.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreKey {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: String,
}

/// Why a text is no store key. The text is not repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Something else altogether; `passbook keygen` makes a key.
    #[error("not a store key: a key begins with {KEY_PREFIX}")]
    NotAKey,
    /// Cut off, or with something added.
    #[error("a store key has {TEXT_CHARS} characters, and this one has {found}: it was {}", if *.found < TEXT_CHARS { "cut off" } else { "added to" })]
    WrongLength {
        /// Characters that were found.
        found: usize,
    },
    /// The right length, but some character was changed.
    #[error("the checksum of the store key does not match: a character was changed")]
    Mistyped,
    /// The system gave no random bytes.
    #[error("no random bytes from the system: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

impl StoreKey {
    /// Makes a new key from the system's randomness.
    ///
    /// Errors: [`KeyError::NoRandomness`] only.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self::from_bytes(bytes))
    }

    /// Reads the text form; surrounding white space is allowed.
    ///
    /// Errors: every variant but [`KeyError::NoRandomness`], for a person to repair.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let body = text.strip_prefix(KEY_PREFIX).ok_or(KeyError::NotAKey)?;
        let found = text.chars().count();
        if found != TEXT_CHARS {
            return Err(KeyError::WrongLength { found });
        }
        let decoded = Zeroizing::new(URL_SAFE_NO_PAD.decode(body).map_err(|_| KeyError::Mistyped)?);
        let (key, check) = decoded.split_first_chunk::<KEY_BYTES>().ok_or(KeyError::Mistyped)?;
        if check != checksum(key) {
            return Err(KeyError::Mistyped);
        }
        Ok(Self::from_bytes(Zeroizing::new(*key)))
    }

    /// The text form, as `passbook keygen` prints it. Wiped when dropped.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut whole = [0; KEY_BYTES + CHECK_BYTES];
        whole[..KEY_BYTES].copy_from_slice(self.bytes.as_slice());
        whole[KEY_BYTES..].copy_from_slice(&checksum(&self.bytes));
        let body = Zeroizing::new(URL_SAFE_NO_PAD.encode(whole));
        whole.zeroize();
        Zeroizing::new(format!("{KEY_PREFIX}{}", body.as_str()))
    }

    /// What names the key without giving it away: the first eight hexadecimal digits of its SHA-256.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    pub(super) fn id_bytes(&self) -> [u8; KEY_ID_BYTES] {
        first_bytes(&Sha256::digest(self.bytes.as_slice()))
    }

    pub(super) fn from_bytes(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        let mut key = Self { bytes, id: String::new() };
        key.id = id_text(key.id_bytes());
        key
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({}, [redacted])", self.id)
    }
}

/// A key's name as text.
pub(super) fn id_text(id: [u8; KEY_ID_BYTES]) -> String {
    format!("{:08x}", u32::from_be_bytes(id))
}

/// The checksum has a domain of its own, so that it says nothing that the key's name does not.
fn checksum(key: &[u8; KEY_BYTES]) -> [u8; CHECK_BYTES] {
    first_bytes(&Sha256::new().chain_update(b"passbook store key checksum").chain_update(key).finalize())
}

fn first_bytes<const N: usize>(digest: &[u8]) -> [u8; N] {
    let mut first = [0; N];
    first.copy_from_slice(&digest[..N]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "pbk1_";

    #[test]
    fn a_key_survives_its_text_form() {
        let key = StoreKey::generate().expect("randomness");
        let text = key.to_text();
        assert_eq!(text.len(), TEXT_CHARS);
        assert!(text.starts_with(TEXT));
        assert_eq!(StoreKey::parse(&text), Ok(key.clone()));
        assert_eq!(StoreKey::parse(&format!("  {}\n", text.as_str())), Ok(key));
    }

    #[test]
    fn keys_differ_and_so_do_their_names() {
        let (one, two) = (StoreKey::generate().expect("randomness"), StoreKey::generate().expect("randomness"));
        assert_ne!(one, two);
        assert_ne!(one.id(), two.id());
        assert_eq!(one.id().len(), 8);
    }

    #[test]
    fn the_name_is_the_beginning_of_the_digest() {
        // SHA-256 of 32 zero bytes begins with 66687aad.
        let key = StoreKey::from_bytes(Zeroizing::new([0; KEY_BYTES]));
        assert_eq!(key.id(), "66687aad");
        assert_eq!(format!("{key:?}"), "StoreKey(66687aad, [redacted])");
    }

    #[test]
    fn every_cut_key_is_named_as_cut() {
        let text = StoreKey::generate().expect("randomness").to_text();
        for length in 0..text.len() {
            let expected =
                if length < KEY_PREFIX.len() { KeyError::NotAKey } else { KeyError::WrongLength { found: length } };
            assert_eq!(StoreKey::parse(&text[..length]), Err(expected), "{length}");
        }
        let longer = format!("{}A", text.as_str());
        assert_eq!(StoreKey::parse(&longer), Err(KeyError::WrongLength { found: TEXT_CHARS + 1 }));
        assert!(KeyError::WrongLength { found: 20 }.to_string().contains("cut off"));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let text = StoreKey::generate().expect("randomness").to_text();
        for at in KEY_PREFIX.len()..text.len() {
            for other in ['A', 'z', '0', '-', '!'] {
                let mut changed: Vec<char> = text.chars().collect();
                if changed[at] != other {
                    changed[at] = other;
                    let changed: String = changed.into_iter().collect();
                    assert_eq!(StoreKey::parse(&changed), Err(KeyError::Mistyped), "{at} {other}");
                }
            }
        }
    }
}
