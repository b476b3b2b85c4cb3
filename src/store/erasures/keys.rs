//! The ids of forgotten customers, which can be recognised and not read.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension as _, named_params, params};

use crate::secret::{Place, PseudonymKey, SealError, Sealer};
use crate::store::{ReadTxn, StoreError};

const KEY_ROW: i64 = 1;
const KEY_PLACE: Place<'static> = Place { table: "erasure_keys", column: "key_sealed", row_id: KEY_ROW };

/// What kind of id it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    /// The aggregator's id of a customer.
    User,
    /// The organisation's own.
    External,
    /// The aggregator's id of a link.
    Link,
}

impl IdKind {
    /// The word the store keeps, and what a hash begins with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::External => "external",
            Self::Link => "link",
        }
    }
}

/// Gives a new store its key.
pub(in crate::store) fn put_key(connection: &Connection, sealer: &Sealer) -> Result<(), KeyNotMade> {
    let key = sealer.seal(KEY_PLACE, PseudonymKey::generate().map_err(SealError::from)?.bytes())?;
    connection
        .execute("INSERT INTO erasure_keys (erasure_key_id, key_sealed) VALUES (?1, ?2)", params![KEY_ROW, key])?;
    Ok(())
}

/// Why a new store got no key.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum KeyNotMade {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl ReadTxn<'_> {
    /// The key of the hashes in `forgotten_ids`; it opens with the store key only.
    pub(super) fn pseudonym_key(&self) -> Result<PseudonymKey, StoreError> {
        let damaged =
            |source| StoreError::Sealed { table: "erasure_keys", column: "key_sealed", row_id: KEY_ROW, source };
        let mut select = self.txn.prepare_cached("SELECT key_sealed FROM erasure_keys WHERE erasure_key_id = :row")?;
        let sealed: Option<Vec<u8>> =
            select.query_row(named_params! { ":row": KEY_ROW }, |row| row.get(0)).optional()?;
        let sealed = sealed.ok_or(StoreError::Missing { what: "erasure key", id: KEY_ROW })?;
        let opened = self.sealer.open(KEY_PLACE, &sealed).map_err(damaged)?;
        PseudonymKey::from_bytes(&opened).ok_or(damaged(SealError::Damaged))
    }

    /// Whether nothing that bears this id is to be stored: it is that of a forgotten customer, or of a link of theirs.
    ///
    /// Shape: one look into a small index at a source of which nobody was ever forgotten.
    pub fn is_forgotten(&self, source_id: i64, kind: IdKind, id: &str) -> Result<bool, StoreError> {
        let mut any = self.txn.prepare_cached("SELECT 1 FROM forgotten_ids WHERE source_id = :source_id LIMIT 1")?;
        if !any.exists(named_params! { ":source_id": source_id })? {
            return Ok(false);
        }
        let hash = self.pseudonym_key()?.of(kind.as_str(), id);
        let mut select = self.txn.prepare_cached(
            "SELECT 1 FROM forgotten_ids WHERE source_id = :source_id AND kind = :kind AND id_hash = :hash LIMIT 1",
        )?;
        Ok(select.exists(named_params! { ":source_id": source_id, ":kind": kind.as_str(), ":hash": hash })?)
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
