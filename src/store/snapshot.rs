//! Copies of the whole store: what a backup is made of, and what is published for heavy work.
//!
//! A copy is made by `VACUUM INTO` on a read connection of its own: one consistent view, no writer waits, free pages (and what
//! was in them) stay behind, and the copy is as encrypted as its source. It is one file in rollback mode, so that it opens
//! read-only anywhere, without files beside it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::OpenFlags;

use super::file::{self, Form, StoreFile};
use super::migrate::APPLICATION_ID;
use super::{Moment, Store, StoreError, lock};

/// Why no copy was published. What was published before is still there.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The store could not be read or its copy not be written.
    #[error("the store cannot be copied to {}: {source}", path.display())]
    Copy {
        /// The copy.
        path: PathBuf,
        /// What SQLite says.
        source: StoreError,
    },
    /// The file system refused.
    #[error("the copy {} cannot be published: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It would overwrite the store, or something that belongs to it.
    #[error("{} belongs to the store itself; name another file", .0.display())]
    Own(PathBuf),
    /// Something else has the name.
    #[error("{} is no copy of this store, or one under another key: it is left as it is; name another file, or move it away", .0.display())]
    Foreign(PathBuf),
}

impl Store {
    /// Publishes a copy of the store as the file `to`, in place of the copy that is there. Whoever has that open keeps it.
    ///
    /// Shape: the bytes of the copy, whose time of change is `now`.
    /// After a crash: `to` is the former copy or the new one; what was begun is removed by the next time.
    pub async fn publish_snapshot(&self, to: PathBuf, now: Timestamp) -> Result<u64, SnapshotError> {
        let inner = Arc::clone(&self.0);
        let path = to.clone();
        let published = self.0.workplace.run(Moment::Read, move || {
            let _one_at_a_time = lock(&inner.copying);
            Ok(publish(&inner.file, &to, now))
        });
        published.await.unwrap_or_else(|source| Err(SnapshotError::Copy { path, source }))
    }
}

fn publish(store: &StoreFile, to: &Path, now: Timestamp) -> Result<u64, SnapshotError> {
    let io_error = |source| SnapshotError::Io { path: to.to_owned(), source };
    if is_beside(store.path(), to) {
        return Err(SnapshotError::Own(to.to_owned()));
    }
    // A mistyped path must not cost somebody a file.
    if to.try_exists().map_err(io_error)? && !is_copy(store, to) {
        return Err(SnapshotError::Foreign(to.to_owned()));
    }
    let draft = draft_of(to);
    let copied = copy(store, &draft, 0o640).map_err(|source| SnapshotError::Copy { path: draft.clone(), source });
    let published = copied.and_then(|bytes| {
        File::options().write(true).open(&draft).and_then(|f| f.set_modified(now.into())).map_err(io_error)?;
        fs::rename(&draft, to).map_err(io_error)?;
        file::sync_directory(to).map_err(io_error)?;
        Ok(bytes)
    });
    if published.is_err() {
        remove(&draft);
    }
    published
}

/// When the copy that is published at `path` was made; `None`: there is none.
pub fn snapshot_made_at(path: &Path) -> Option<Timestamp> {
    let made = fs::metadata(path).and_then(|file| file.modified()).ok()?;
    Timestamp::try_from(made).ok()
}

/// Where a copy is made until it is whole: in the same directory, so that it can take the name at once.
fn draft_of(to: &Path) -> PathBuf {
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    to.with_file_name(format!(".{name}.part"))
}

/// Whether a file is the store at `store`, or has a name that it gives the files beside it.
fn is_beside(store: &Path, file: &Path) -> bool {
    let directory = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    directory(store) == directory(file) && name(file).starts_with(&name(store))
}

/// Whether a file is a store of this program, of whatever version, that is plain or opens with the key of `store`.
fn is_copy(store: &StoreFile, path: &Path) -> bool {
    let candidate = match file::form(path) {
        Ok(Form::Plain) => StoreFile::under(path, None),
        Ok(Form::Whole) => store.at(path),
        Err(_) => return false,
    };
    let connection = candidate.connect(OpenFlags::SQLITE_OPEN_READ_ONLY);
    let id = connection.and_then(|c| c.pragma_query_value(None, "application_id", |row| row.get::<_, u32>(0)));
    id.is_ok_and(|id| id == APPLICATION_ID)
}

/// Copies `store` to the new file `to`, down to the disk; one that a killed process left there is removed.
///
/// Shape: the bytes of the copy.
pub(super) fn copy(store: &StoreFile, to: &Path, mode: u32) -> Result<u64, StoreError> {
    remove(to);
    file::create_private(to, mode).map_err(cannot_write)?;
    let target = to.to_str().ok_or_else(|| cannot_write(io::Error::other("its path is no text")))?;
    // Not one of the shared readers: those refuse to write anything, also to another file.
    let source = store.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.execute("VACUUM INTO ?1", [target])?;
    let file = File::open(to).map_err(cannot_write)?;
    file.sync_all().map_err(cannot_write)?;
    Ok(file.metadata().map_err(cannot_write)?.len())
}

fn cannot_write(error: io::Error) -> StoreError {
    if error.kind() == io::ErrorKind::StorageFull { StoreError::Full } else { StoreError::Copy(error) }
}

/// Removes a file that may be there, and SQLite's journal of it.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_file(file::beside(path, "-journal"));
}
