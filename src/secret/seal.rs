//! Sealing a column's value: XChaCha20-Poly1305, bound to the place where it is stored.

use std::fmt;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::file::FileKey;
use super::key::{KEY_ID_BYTES, StoreKey, id_text};

/// The first byte of a sealed value; a change of its form takes the next number.
const VERSION: u8 = 1;

/// Bytes at the beginning of a sealed value that tell its form and its key.
pub const SEAL_HEAD_BYTES: usize = 1 + KEY_ID_BYTES;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const HEAD_BYTES: usize = SEAL_HEAD_BYTES + NONCE_BYTES;

/// Where a sealed value is stored. It opens nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The table.
    pub table: &'a str,
    /// The column.
    pub column: &'a str,
    /// The row's integer id.
    pub row_id: i64,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} of row {}", self.table, self.column, self.row_id)
    }
}

/// Why a value cannot be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed with another key: give that one, or `passbook rekey` from it to this one.
    #[error("sealed with the key {sealed_with}, and the key at hand is {have}")]
    WrongKey {
        /// Name of the key that sealed it.
        sealed_with: String,
        /// Name of the key at hand.
        have: String,
    },
    /// Cut, changed, or moved here from another row or column: restore it from a backup.
    #[error("the sealed value is damaged or belongs elsewhere")]
    Damaged,
    /// Sealed by a newer program: use that.
    #[error("sealed in form {found}, and this version knows {VERSION}")]
    UnknownVersion {
        /// The form's number.
        found: u8,
    },
    /// The system gave no random bytes; nothing was sealed.
    #[error("no random bytes from the system: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// Seals values under one key and opens them again. Cheap enough to use per value; shared by reference between threads.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    key: StoreKey,
}

impl Sealer {
    /// A sealer under `key`.
    pub fn new(key: StoreKey) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.bytes().into()), key }
    }

    /// The name of the key, [`StoreKey::id`].
    pub fn key_id(&self) -> &str {
        self.key.id()
    }

    /// How every value begins that this sealer sealed: its form, and the name of the key.
    pub fn head(&self) -> [u8; SEAL_HEAD_BYTES] {
        let mut head = [VERSION; SEAL_HEAD_BYTES];
        head[1..].copy_from_slice(&self.key.id_bytes());
        head
    }

    /// The key of a file that is encrypted whole under the same store key.
    pub fn file_key(&self) -> FileKey {
        self.key.file_key()
    }

    /// Seals `plain` for `place`.
    ///
    /// Shape: a version byte, four bytes that name the key, the nonce, and the ciphertext with its tag: 45 bytes longer than
    /// `plain`. The nonce is random, so sealing twice gives two different values that both open.
    /// Errors: [`SealError::NoRandomness`] only, in practice.
    pub fn seal(&self, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let bound = self.bound_to(place);
        let ciphertext = self
            .cipher
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &bound })
            .map_err(|_| SealError::Damaged)?;
        let mut sealed = Vec::with_capacity(HEAD_BYTES + ciphertext.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.key.id_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what was sealed for `place`. The result is wiped when dropped.
    ///
    /// Errors: [`SealError::WrongKey`] (another key is needed), [`SealError::UnknownVersion`] (a newer program is needed),
    /// [`SealError::Damaged`] (restore).
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, rest) = sealed.split_first().ok_or(SealError::Damaged)?;
        if *version != VERSION {
            return Err(SealError::UnknownVersion { found: *version });
        }
        let (key_id, rest) = rest.split_first_chunk::<KEY_ID_BYTES>().ok_or(SealError::Damaged)?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::Damaged)?;
        if ciphertext.len() < TAG_BYTES {
            return Err(SealError::Damaged);
        }
        if *key_id != self.key.id_bytes() {
            return Err(SealError::WrongKey { sealed_with: id_text(*key_id), have: self.key_id().to_owned() });
        }
        let bound = self.bound_to(place);
        self.cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg: ciphertext, aad: &bound })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Damaged)
    }

    /// The bytes that bind a value to its place. Lengths go first, so that no two places give the same bytes.
    fn bound_to(&self, place: Place<'_>) -> Vec<u8> {
        let mut bound = vec![VERSION];
        bound.extend_from_slice(&self.key.id_bytes());
        for name in [place.table, place.column] {
            bound.extend_from_slice(&(name.len() as u64).to_be_bytes());
            bound.extend_from_slice(name.as_bytes());
        }
        bound.extend_from_slice(&place.row_id.to_be_bytes());
        bound
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.key_id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { table: "links", column: "access_token", row_id: 7 };
    const PLAIN: &[u8] = b"canary access token";

    fn sealer() -> Sealer {
        Sealer::new(StoreKey::generate().expect("randomness"))
    }

    #[test]
    fn what_is_sealed_opens_in_its_place() {
        let sealer = sealer();
        for plain in [PLAIN, b"", &[0xff; 4096]] {
            let blob = sealer.seal(HERE, plain).expect("sealed");
            assert_eq!(blob.len(), plain.len() + 45);
            assert_eq!(sealer.open(HERE, &blob).expect("opened").as_slice(), plain);
            assert_ne!(blob, sealer.seal(HERE, plain).expect("sealed"), "nonces differ");
        }
    }

    #[test]
    fn a_value_moved_elsewhere_does_not_open() {
        let sealer = sealer();
        let blob = sealer.seal(HERE, PLAIN).expect("sealed");
        for elsewhere in [
            Place { row_id: 8, ..HERE },
            Place { row_id: -7, ..HERE },
            Place { column: "refresh_token", ..HERE },
            Place { table: "users", ..HERE },
            // The same letters, parted differently.
            Place { table: "linksaccess", column: "_token", ..HERE },
            Place { table: "linksa", column: "ccess_token", ..HERE },
        ] {
            assert_eq!(sealer.open(elsewhere, &blob), Err(SealError::Damaged), "{elsewhere}");
        }
    }

    #[test]
    fn the_wrong_key_is_named() {
        let (one, two) = (sealer(), sealer());
        let blob = one.seal(HERE, PLAIN).expect("sealed");
        let error = two.open(HERE, &blob).expect_err("wrong key");
        assert_eq!(error, SealError::WrongKey { sealed_with: one.key_id().to_owned(), have: two.key_id().to_owned() });
        assert!(error.to_string().contains(one.key_id()) && error.to_string().contains(two.key_id()));
    }

    #[test]
    fn every_cut_is_refused() {
        let sealer = sealer();
        let blob = sealer.seal(HERE, PLAIN).expect("sealed");
        for length in 0..blob.len() {
            assert_eq!(sealer.open(HERE, &blob[..length]), Err(SealError::Damaged), "{length}");
        }
        let longer = [blob.as_slice(), b"\0"].concat();
        assert_eq!(sealer.open(HERE, &longer), Err(SealError::Damaged));
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let sealer = sealer();
        let blob = sealer.seal(HERE, PLAIN).expect("sealed");
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[at] ^= 1 << bit;
                let error = sealer.open(HERE, &changed).expect_err("changed");
                let expected = match at {
                    0 => matches!(error, SealError::UnknownVersion { .. }),
                    1..=KEY_ID_BYTES => matches!(error, SealError::WrongKey { .. }),
                    _ => error == SealError::Damaged,
                };
                assert!(expected, "byte {at} bit {bit}: {error}");
            }
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let key = StoreKey::generate().expect("randomness");
        let shown = format!("{:?} {key:?}", Sealer::new(key.clone()));
        assert!(!shown.contains(&key.to_text()[KEY_PREFIX_CHARS..]) && shown.contains(key.id()), "{shown}");
    }

    const KEY_PREFIX_CHARS: usize = super::super::KEY_PREFIX.len();
}
