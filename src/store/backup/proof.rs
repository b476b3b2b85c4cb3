//! What proves a backup: it is restored, and compared with what was copied.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;

use age::x25519::Identity;
use rusqlite::OpenFlags;

use crate::store::archive::{self, Note, UnpackError};
use crate::store::error::words;
use crate::store::file::{self, StoreFile};
use crate::store::fingerprint::{self, Fingerprint};
use crate::store::snapshot;

/// Why a store is not what its backup says.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// SQLite finds the file broken; for a backup in the making, the store itself may be: `passbook verify` tells.
    #[error("the store in it is damaged: {}; passbook verify looks at the store", .0.join("; "))]
    Integrity(Vec<String>),
    /// Tables or rows are missing, too many, or changed.
    #[error(
        "its content is not what was copied: {found} rows with hash {found_hash}, and not {expected} with {expected_hash}"
    )]
    Differs {
        /// Rows there were.
        expected: u64,
        /// Hash there was.
        expected_hash: String,
        /// Rows there are.
        found: u64,
        /// Hash there is.
        found_hash: String,
    },
    /// SQLite cannot read it.
    #[error("the store in it cannot be read: {}; look at the disk on which it was put", words(.0))]
    Sqlite(#[from] rusqlite::Error),
}

/// The schema's version of a copy, and what it holds.
pub(super) fn read_copy(copy: &StoreFile) -> rusqlite::Result<(u32, Fingerprint)> {
    let connection = copy.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((version, Fingerprint::take(&connection)?))
}

/// Restores the store that is in the backup `file` as the new file `to`, down to the disk; it is not compared yet.
pub(in crate::store) fn restore_file(file: &Path, identities: &[Identity], to: &Path) -> Result<Note, UnpackError> {
    let from = File::open(file).map_err(UnpackError::Damaged)?;
    snapshot::remove(to);
    file::create_private(to, 0o600).map_err(UnpackError::Write)?;
    let restored = File::options().write(true).open(to).map_err(UnpackError::Write)?;
    let mut out = BufWriter::new(&restored);
    let note = archive::unpack(BufReader::new(from), identities, &mut out)?;
    out.flush().map_err(UnpackError::Write)?;
    restored.sync_all().map_err(UnpackError::Write)?;
    Ok(note)
}

/// Compares a restored store with what its backup says.
pub(in crate::store) fn prove(restored: &StoreFile, note: &Note) -> Result<(), ContentError> {
    let connection = restored.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let problems = fingerprint::problems(&connection)?;
    if !problems.is_empty() {
        return Err(ContentError::Integrity(problems));
    }
    let found = Fingerprint::take(&connection)?;
    if found == note.fingerprint {
        return Ok(());
    }
    Err(ContentError::Differs {
        expected: note.fingerprint.row_count(),
        expected_hash: note.fingerprint.content_hash.clone(),
        found: found.row_count(),
        found_hash: found.content_hash,
    })
}
