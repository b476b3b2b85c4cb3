//! A store from a backup: restored beside its place, compared with what the backup says, and only then given its name.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use age::x25519::Identity;
use jiff::Timestamp;

use super::archive::UnpackError;
use super::backup::{ContentError, prove, restore_file};
use super::file::{self, Form, StoreFile, beside};
use super::migrate::SCHEMA_VERSION;
use super::{LockError, OpenError, StoreLock, instant, snapshot};
use crate::secret::StoreKey;

/// Why nothing was restored. The place is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A process works on a store there.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is something already.
    #[error("{} exists: nothing is ever overwritten; move it away, or restore to another path", .0.display())]
    Exists(PathBuf),
    /// The backup cannot be read.
    #[error("{}: {source}", path.display())]
    Unpack {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// It was made by a newer program.
    #[error(
        "the store in it has schema version {found}, this program knows {SCHEMA_VERSION}; install a newer passbook"
    )]
    Newer {
        /// Its version.
        found: u32,
    },
    /// Nothing can be compared without its key.
    #[error("the store in it is encrypted whole: give its store key with --store-key FILE")]
    NeedsKey,
    /// The key is another one's.
    #[error("the store in it is encrypted whole, and not with the key that was given")]
    OtherKey,
    /// What was restored is no store.
    #[error(transparent)]
    Form(#[from] OpenError),
    /// Its content is not what it says.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was begun: later news is to be asked for again, which the daemon does by itself.
    pub made_at: Timestamp,
    /// Size of the store.
    pub store_bytes: u64,
    /// Rows of all tables.
    pub row_count: u64,
    /// SHA-256 over its content.
    pub content_hash: String,
}

/// Restores the store in the backup `file` as the new file `to`, which the group may read.
///
/// Shape: the identities are tried one after the other; `key` is asked for only where the whole store was encrypted. Run by root, the store will belong to the owner of its directory.
/// After a crash: there is no file `to`, or the whole store; what was begun is removed by the next time.
pub fn restore(
    file: &Path,
    identities: &[Identity],
    key: Option<&StoreKey>,
    to: &Path,
) -> Result<Restored, RestoreError> {
    let io_error = |source| RestoreError::Io { path: to.to_owned(), source };
    let _lock = StoreLock::take(to, "restore")?;
    // A log or a journal beside it would be taken for that of the restored store.
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let path = beside(to, suffix);
        if path.symlink_metadata().is_ok() {
            return Err(RestoreError::Exists(path));
        }
    }
    let draft = beside(to, ".restoring");
    let restored = restore_draft(file, identities, key, &draft).and_then(|restored| {
        give_to_owner_of_directory(to, &[draft.clone(), beside(to, ".lock")]).map_err(io_error)?;
        // A link, because a rename would overwrite what came there meanwhile.
        fs::hard_link(&draft, to).map_err(|source| {
            let is_there = source.kind() == io::ErrorKind::AlreadyExists;
            if is_there { RestoreError::Exists(to.to_owned()) } else { io_error(source) }
        })?;
        file::sync_directory(to).map_err(io_error)?;
        Ok(restored)
    });
    snapshot::remove(&draft);
    restored
}

fn restore_draft(
    file: &Path,
    identities: &[Identity],
    key: Option<&StoreKey>,
    draft: &Path,
) -> Result<Restored, RestoreError> {
    let note = restore_file(file, identities, draft)
        .map_err(|source| RestoreError::Unpack { path: file.to_owned(), source })?;
    if note.schema_version > SCHEMA_VERSION {
        return Err(RestoreError::Newer { found: note.schema_version });
    }
    prove(&opened(draft, key)?, &note)?;
    let io_error = |source| RestoreError::Io { path: draft.to_owned(), source };
    fs::set_permissions(draft, fs::Permissions::from_mode(0o640)).map_err(io_error)?;
    File::open(draft).and_then(|file| file.sync_all()).map_err(io_error)?;
    Ok(Restored {
        made_at: instant(note.made_at),
        store_bytes: note.store_bytes,
        row_count: note.fingerprint.row_count(),
        content_hash: note.fingerprint.content_hash,
    })
}

/// What was restored, with the key that opens it.
fn opened(draft: &Path, key: Option<&StoreKey>) -> Result<StoreFile, RestoreError> {
    match (file::form(draft)?, key) {
        (Form::Plain, _) => Ok(StoreFile::under(draft, None)),
        (Form::Whole, None) => Err(RestoreError::NeedsKey),
        (Form::Whole, Some(key)) => {
            let store = StoreFile::under(draft, Some(key.file_key()));
            if store.is_opened()? { Ok(store) } else { Err(RestoreError::OtherKey) }
        }
    }
}

/// Root restores, and the daemon is another user: it could neither open a store of root's nor lock it.
fn give_to_owner_of_directory(to: &Path, files: &[PathBuf]) -> io::Result<()> {
    let directory = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let home = fs::metadata(directory)?;
    for file in files {
        let held = fs::metadata(file)?;
        if held.uid() == 0 && (home.uid(), home.gid()) != (held.uid(), held.gid()) {
            chown(file, Some(home.uid()), Some(home.gid()))?;
        }
    }
    Ok(())
}
