//! The file of a store: its form, and the one way in which connections to it are opened.
//!
//! A file is either one that any SQLite reads, or encrypted whole by `SQLCipher` under a [`FileKey`]. Everything that opens a
//! store, or a file that stands for one (a draft, a copy), has a [`StoreFile`] and asks that.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use zeroize::Zeroizing;

use super::open::OpenError;
use crate::secret::{Encryption, FileKey, HAS_CIPHER, Sealer};

/// Page size of a new store: a page holds nine usual transactions with little waste, and half as many pages are written as with
/// SQLite's default of 4096. A file that is encrypted whole does not tell its own, so all of them have this one.
pub(super) const PAGE_BYTES: u32 = 8_192;
/// The settings of `SQLCipher` that our files have, whatever a later one prefers.
pub(super) const CIPHER_COMPATIBILITY: u32 = 4;
/// Write-ahead log pages after which SQLite moves them into the file: rarely enough for bulk loads, 80 MB at most.
const WAL_CHECKPOINT_PAGES: u32 = 10_000;
/// What a write-ahead log is cut to when it starts anew: above its usual size, so that it is not cut and grown each time.
const WAL_KEPT_BYTES: u32 = 100_000_000;
/// Page cache of the write connection; the readers keep SQLite's default of 2 MB.
const WRITER_CACHE_KB: i32 = 16_384;
/// How long one statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a checkpoint waits for readers: it holds up writers and the end of the process, and comes again by itself.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(200);
/// As many statements as a connection meets again and again: compiling one takes longer than most of them run.
const STATEMENT_CACHE: usize = 256;

const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER_BYTES: usize = 100;
/// What is looked at of a file without SQLite's header, and the least page SQLite knows.
const BEGINNING_BYTES: u16 = 512;
/// Of 512 random bytes about 220 differ; words, zeros and SQLite pages stay far below.
const RANDOM_DIFFERENT_BYTES: usize = 150;

/// What of a file shows without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Any SQLite reads it.
    Plain,
    /// No header and nothing but noise: encrypted whole, under some key.
    Whole,
}

/// A store's file, and what opens it.
#[derive(Debug, Clone)]
pub(super) struct StoreFile {
    path: PathBuf,
    /// `None`: it is not encrypted whole.
    key: Option<FileKey>,
}

impl StoreFile {
    /// The file at `path`, encrypted as `encryption` says.
    pub(super) fn new(path: &Path, encryption: Encryption, sealer: &Sealer) -> Self {
        let key = match encryption {
            Encryption::Secrets => None,
            Encryption::Full => Some(sealer.file_key()),
        };
        Self::under(path, key)
    }

    /// The file at `path`, encrypted whole under `key` if there is one.
    pub(super) fn under(path: &Path, key: Option<FileKey>) -> Self {
        Self { path: path.to_owned(), key }
    }

    /// Another file under the same key.
    pub(super) fn at(&self, path: &Path) -> Self {
        Self::under(path, self.key.clone())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn key(&self) -> Option<&FileKey> {
        self.key.as_ref()
    }

    /// Opens a read connection.
    pub(super) fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;")?;
        Ok(connection)
    }

    /// Opens the write connection, which switches the file to a write-ahead log.
    pub(super) fn writer(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;
             PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}; PRAGMA cache_size = -{WRITER_CACHE_KB};
             PRAGMA journal_size_limit = {WAL_KEPT_BYTES}; PRAGMA temp_store = MEMORY;"
        ))?;
        Ok(connection)
    }

    /// Opens a connection: the key first, because nothing is read without it.
    #[expect(clippy::disallowed_methods, reason = "the one place that opens SQLite files")]
    pub(super) fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        if let Some(key) = &self.key {
            unlock(&connection, key)?;
        }
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        // A plan must not depend on the values bound to it: plans stay the same from day to day, and a cached statement is
        // not prepared anew each time a value changes.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        Ok(connection)
    }

    /// Whether its key opens the file: reads the first page.
    ///
    /// Errors: SQLite's, where that is not because of the key.
    pub(super) fn is_opened(&self) -> Result<bool, OpenError> {
        let read = || -> rusqlite::Result<()> {
            self.reader()?.pragma_query_value(None, "application_id", |row| row.get::<_, i64>(0)).map(drop)
        };
        match read() {
            Ok(()) => Ok(true),
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => Ok(false),
            Err(error) => Err(as_open_error(&self.path, error)),
        }
    }

    /// Refuses a file of another form than expected, of no form at all, or shorter than it says, before SQLite touches it.
    pub(super) fn recognise(&self) -> Result<(), OpenError> {
        let path = || self.path.clone();
        match (form(&self.path)?, &self.key) {
            (Form::Plain, None) => Ok(()),
            (Form::Plain, Some(_)) => Err(OpenError::NotEncrypted(path())),
            (Form::Whole, _) if !HAS_CIPHER => Err(OpenError::NoCipher(path())),
            (Form::Whole, None) => Err(OpenError::Encrypted(path())),
            (Form::Whole, Some(_)) if self.is_opened()? => self.refuse_cut(),
            (Form::Whole, Some(_)) => Err(OpenError::OtherFileKey(path())),
        }
    }

    /// An encrypted file tells its length only to whoever has the key.
    fn refuse_cut(&self) -> Result<(), OpenError> {
        let pages = self.reader()?.pragma_query_value(None, "page_count", |row| row.get::<_, u64>(0));
        let pages = pages.map_err(|error| as_open_error(&self.path, error))?;
        let length = fs::metadata(&self.path).map_err(|source| io_error(&self.path, source))?.len();
        let expected = pages * u64::from(PAGE_BYTES);
        if !has_wal(&self.path) && length < expected {
            return Err(cut(&self.path, length, expected));
        }
        Ok(())
    }
}

/// What opens a file that is encrypted whole, as the first statements on a connection, one a line. Wiped when dropped.
pub fn cipher_settings(key: &FileKey) -> Zeroizing<String> {
    let (before, raw) = ("PRAGMA key = \"", key.to_raw());
    let after = format!(
        "\";\nPRAGMA cipher_compatibility = {CIPHER_COMPATIBILITY};\nPRAGMA cipher_page_size = {PAGE_BYTES};\n"
    );
    // Room for all of it from the start: a string that grows leaves its beginnings behind.
    let mut settings = Zeroizing::new(String::with_capacity(before.len() + raw.len() + after.len()));
    for part in [before, raw.as_str(), after.as_str()] {
        settings.push_str(part);
    }
    settings
}

/// Gives a connection the key of its file. An error says nothing of the statement, which holds the key.
fn unlock(connection: &Connection, key: &FileKey) -> rusqlite::Result<()> {
    // Otherwise a file that does not open is told of on standard error, past our own errors; and the copy that VACUUM INTO
    // makes has other pages than this file.
    connection
        .execute_batch(&format!("PRAGMA cipher_log_level = NONE; PRAGMA cipher_default_page_size = {PAGE_BYTES};"))?;
    connection.execute_batch(&cipher_settings(key)).map_err(|error| {
        error.sqlite_error().map_or(rusqlite::Error::InvalidQuery, |code| rusqlite::Error::SqliteFailure(*code, None))
    })
}

/// Tells the form of the file at `path`.
///
/// Errors: damaged, if it has none or is shorter than its header says.
pub(super) fn form(path: &Path) -> Result<Form, OpenError> {
    let failed = |source| io_error(path, source);
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut beginning = Vec::new();
    file.take(u64::from(BEGINNING_BYTES)).read_to_end(&mut beginning).map_err(failed)?;
    let Some(header) = beginning.get(..HEADER_BYTES) else {
        return Err(damaged(path, format!("{length} bytes, less than a header")));
    };
    if &header[..16] != SQLITE_MAGIC {
        let is_paged = length.is_multiple_of(u64::from(PAGE_BYTES));
        return if is_paged && is_noise(&beginning) {
            Ok(Form::Whole)
        } else {
            Err(damaged(path, "no SQLite header".to_owned()))
        };
    }
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    if !has_wal(path) && length < pages * page_size {
        return Err(cut(path, length, pages * page_size));
    }
    Ok(Form::Plain)
}

fn is_noise(bytes: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in bytes {
        seen[usize::from(*byte)] = true;
    }
    seen.iter().filter(|seen| **seen).count() >= RANDOM_DIFFERENT_BYTES
}

fn damaged(path: &Path, reason: String) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason }
}

fn cut(path: &Path, length: u64, expected: u64) -> OpenError {
    damaged(path, format!("{length} bytes where its header says {expected}"))
}

fn io_error(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

pub(super) fn as_open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        // SQLite says the same of a page that the disk does not read.
        Some(Code::DatabaseCorrupt) => damaged(path, format!("{error}, or the disk does not read it: dmesg tells")),
        Some(Code::NotADatabase) => damaged(path, error.to_string()),
        _ => error.into(),
    }
}

/// Moves the WAL into the file and cuts it, as far as readers allow within a moment.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(CHECKPOINT_TIMEOUT)?;
    let done = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    connection.busy_timeout(BUSY_TIMEOUT)?;
    done
}

/// Closes a connection and leaves the write-ahead log beside the file: closing would take it away, and then a reader of another
/// user, who may not create files here, could not open the store.
pub(super) fn close(connection: Connection) {
    // It cannot fail on an open connection.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    drop(connection);
}

/// Where SQLite keeps the write-ahead log of the store at `path`.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

/// The path with something added to the file's name.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = path.as_os_str().to_owned();
    longer.push(suffix);
    longer.into()
}

fn has_wal(path: &Path) -> bool {
    fs::metadata(wal_path(path)).is_ok_and(|m| m.len() > 0)
}

/// Creates an empty file: with mode 0640 the owner writes it, the group reads it and nobody else sees it.
pub(super) fn create_private(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create_new(true).mode(mode).open(path).map(drop)
}

/// Makes a name given or taken away in the directory of `path` outlast a power cut.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    match path.parent().filter(|p| !p.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_words_and_from_zeros() {
        let noise: Vec<u8> =
            (0..512_u32).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).expect("a byte")).collect();
        assert!(is_noise(&noise));
        assert!(!is_noise(&[0; 512]));
        assert!(!is_noise("no database at all, only words ".repeat(17).as_bytes()));
    }
}
