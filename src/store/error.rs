//! Why the store did not do what it was asked for.

use crate::secret::SealError;

/// Why an operation on an open store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk (or the page limit) is full: nothing of this operation was stored; free space and it goes on.
    #[error("the disk is full: nothing was stored; free some space, the next sync goes on from here")]
    Full,
    /// Another process held the file too long; nothing was stored, try later.
    #[error("the store is locked by another process; try again when it is done")]
    Busy,
    /// The file cannot be written; nothing was stored.
    #[error(
        "the store cannot be written: {}; look at the mount and the owner of its directory; once it can, the work goes on from here", words(.0)
    )]
    ReadOnly(#[source] rusqlite::Error),
    /// The file system failed: nothing of this operation was stored.
    #[error(
        "the file system does not read or write the store: {}; look at the disk, its mount, its room and quotas (dmesg tells more); once it does, the work \
         goes on from here", words(.0)
    )]
    Io(#[source] rusqlite::Error),
    /// The file is damaged, or the disk does not read it, which SQLite does not tell apart: have it checked, restore a backup.
    #[error(
        "the store is damaged, or its disk does not read it: {}; ask `passbook verify`, and if that finds damage stop the daemon \
         and restore a backup", words(.0)
    )]
    Damaged(#[source] rusqlite::Error),
    /// A copy of the store cannot be written.
    #[error("the copy cannot be written: {0}; look at the disk, its mount and the rights of the directory")]
    Copy(#[source] std::io::Error),
    /// A sealed value does not open.
    #[error("a sealed value in {table}.{column} row {row_id} does not open: {source}")]
    Sealed {
        /// Its table.
        table: &'static str,
        /// Its column.
        column: &'static str,
        /// Its row.
        row_id: i64,
        /// What failed.
        source: SealError,
    },
    /// A value in the store is none that this program writes.
    #[error("{column} holds {value:?}, which this program does not know")]
    UnknownWord {
        /// Where it stands.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// A source's name was used for another aggregator before; its links and rows are that one's.
    #[error(
        "the source {name:?} has been one at {had} until now, and its links and rows are in the store: give the new one another name"
    )]
    OtherAggregator {
        /// Its name.
        name: String,
        /// The word for its aggregator so far.
        had: String,
    },
    /// The row asked for is not there.
    #[error("{what} {id} is not in the store")]
    Missing {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: i64,
    },
    /// It is a customer's who was forgotten or is being forgotten: nothing of theirs is stored again.
    #[error(
        "this customer was forgotten, and nothing of theirs is stored again; `passbook users erasures` says how far that is"
    )]
    Forgotten,
    /// The closure panicked; its transaction was rolled back.
    #[error("a store operation panicked; nothing of it was stored")]
    Panicked,
    /// Anything else SQLite reports.
    #[error("{}", words(.0))]
    Sqlite(#[source] rusqlite::Error),
}

/// What SQLite says, without its number: that stands first where SQLite was not asked for more.
pub(super) fn words(error: &rusqlite::Error) -> String {
    let said = error.to_string();
    let is_numbered = matches!(error, rusqlite::Error::SqliteFailure(_, None));
    match said.split_once(": ").filter(|_| is_numbered) {
        Some((_, words)) => words.to_owned(),
        None => said,
    }
}

/// Whether a cause of an error is what SQLite says, in words that the error has and a number.
pub fn is_sqlite_code(cause: &(dyn std::error::Error + 'static)) -> bool {
    let is_numbered = |error: &rusqlite::Error| matches!(error, rusqlite::Error::SqliteFailure(_, None));
    cause.is::<rusqlite::ffi::Error>() || cause.downcast_ref().is_some_and(is_numbered)
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            Some(Code::ReadOnly) => Self::ReadOnly(error),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged(error),
            Some(Code::SystemIoFailure | Code::CannotOpen) => Self::Io(error),
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_of_sqlites_reaches_a_person() {
        for (code, words) in [(11, "malformed"), (10, "disk I/O error"), (8, "readonly"), (1, "SQL logic error")] {
            let bare = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let said = StoreError::from(bare).to_string();
            assert!(said.contains(words) && !said.contains("Error code"), "{said}");
        }
    }
}
