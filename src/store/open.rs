//! Opening: create, recognise, refuse, migrate, configure.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};

use super::migrate::{self, APPLICATION_ID, MigrateError, SCHEMA, SCHEMA_VERSION};
use super::{Inner, Store, lock::LockError};
use crate::secret::{Place, SealError, Sealer};

/// Page size of a new store: a page holds nine usual transactions with little waste, and half as many pages are written as with
/// SQLite's default of 4096.
const PAGE_BYTES: u32 = 8_192;
/// Write-ahead log pages after which SQLite moves them into the file: rarely enough for bulk loads, 80 MB at most.
const WAL_CHECKPOINT_PAGES: u32 = 10_000;
/// What a write-ahead log is cut to when it starts anew: above its usual size, so that it is not cut and grown each time.
const WAL_KEPT_BYTES: u32 = 100_000_000;
/// Page cache of the write connection; the readers keep SQLite's default of 2 MB.
const WRITER_CACHE_KB: i32 = 16_384;
/// How long one statement waits for another process.
const BUSY_TIMEOUT_MS: u32 = 5_000;
/// How long a checkpoint waits for readers: it holds up writers and the end of the process, and comes again by itself.
const CHECKPOINT_TIMEOUT_MS: u32 = 200;
const STATEMENT_CACHE: usize = 96;
const KEY_CHECK: &[u8] = b"passbook";
const KEY_CHECK_PLACE: Place<'static> = Place { table: "store_meta", column: "value", row_id: 0 };
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How a store is opened.
pub struct OpenOptions<'a> {
    /// The file.
    pub path: &'a Path,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// Keep each transaction's upstream JSON.
    pub keep_raw: bool,
    /// What the opener wants to do.
    pub access: Access,
    /// Now, for a store that is created.
    pub now: Timestamp,
}

/// What the opener of a store wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Write, and create the file if it is not there. The caller holds the store's lock.
    Create,
    /// Read only; the file must be there and of this program's version. Sealed values stay sealed: no key is needed.
    ReadOnly,
}

/// Why a store was refused. It is left untouched in every case.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No file, and the caller only reads.
    #[error("there is no store at {}; `passbook run` creates it", .0.display())]
    NotFound(PathBuf),
    /// The file system refused.
    #[error("cannot open the store {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Shorter than its own header says, or no SQLite file at all.
    #[error("the store {path} is damaged ({reason}); it is left as it is: restore a backup, or move it away to start anew",
        path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A SQLite file of some other program.
    #[error("{} is a SQLite file but not a passbook store; set [store] path to another file", .0.display())]
    Foreign(PathBuf),
    /// Written by a newer passbook.
    #[error("the store {path} has schema version {found}, this program knows {known}; install a newer passbook",
        path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// An older store, and the caller only reads.
    #[error("the store {path} has schema version {found}, this program reads {known}; `passbook run` migrates it",
        path = path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Its secrets are sealed with another key.
    #[error("the store's secrets do not open with the configured [store] key: {0}")]
    WrongKey(#[source] SealError),
    /// A migration step failed; the store stays at the version before it.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Anything else SQLite reports.
    #[error("cannot open the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Store {
    /// Opens a store as `options` say.
    ///
    /// Errors: see [`OpenError`]; the file is left as it was.
    /// After a crash: a new store is made under another name and renamed when it is whole.
    pub fn open(options: OpenOptions<'_>) -> Result<Self, OpenError> {
        let path = options.path;
        let exists = path.try_exists().map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        match (exists, options.access) {
            (false, Access::ReadOnly) => return Err(OpenError::NotFound(path.to_owned())),
            (false, Access::Create) => create(path, &options.sealer, options.now)?,
            (true, _) => recognise_file(path)?,
        }
        // Everything that can refuse the file only reads it; a write connection alone would switch its journal.
        let reader = reader(path).map_err(|e| as_open_error(path, e))?;
        let found = recognise_schema(path, &reader)?;
        if options.access == Access::Create {
            check_key(&reader, &options.sealer)?;
        }
        let writer = match options.access {
            Access::Create => {
                let connection = writer(path)?;
                migrate::run(&connection, found)?;
                Some(connection)
            }
            Access::ReadOnly if found < SCHEMA_VERSION => {
                return Err(OpenError::Older { path: path.to_owned(), found, known: SCHEMA_VERSION });
            }
            Access::ReadOnly => None,
        };
        Ok(Self(Arc::new(Inner {
            path: path.to_owned(),
            writer: Mutex::new(writer),
            readers: Mutex::new(vec![reader]),
            sealer: options.sealer,
            opens_secrets: options.access == Access::Create,
            keep_raw: options.keep_raw,
            copying: Mutex::new(()),
            is_wal_over_limit: AtomicBool::new(false),
        })))
    }
}

/// Makes a whole store under a temporary name, then gives it its own.
fn create(path: &Path, sealer: &Sealer, now: Timestamp) -> Result<(), OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        let missing =
            io::Error::new(io::ErrorKind::NotFound, format!("the directory {} does not exist", parent.display()));
        return Err(io_error(missing));
    }
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let _ = fs::remove_file(&draft);
    private_file(&draft, 0o640).map_err(io_error)?;
    {
        let connection = connect(&draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {SCHEMA} COMMIT;"
        ))?;
        let check = sealer.seal(KEY_CHECK_PLACE, KEY_CHECK).map_err(OpenError::WrongKey)?;
        let mut insert = connection.prepare("INSERT INTO store_meta (name, value) VALUES (?1, ?2)")?;
        insert.execute(params!["created_at", now.as_millisecond()])?;
        insert.execute(params!["key_id", sealer.key_id()])?;
        insert.execute(params!["key_check", check])?;
        insert.execute(params!["next_change_id", 1])?;
    }
    fs::rename(&draft, path).map_err(io_error)?;
    sync_directory_of(path).map_err(io_error)
}

/// Creates an empty file: with mode 0640 the owner writes it, the group reads it and nobody else sees it.
pub(super) fn private_file(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    File::options().write(true).create_new(true).mode(mode).open(path).map(drop)
}

/// Makes a new name of a file survive a loss of power.
pub(super) fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Whether a file is the store at `store`, or has a name that it gives the files beside it.
pub(super) fn is_beside(store: &Path, file: &Path) -> bool {
    let directory = |path: &Path| path.parent().and_then(|parent| parent.canonicalize().ok());
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    directory(store) == directory(file) && name(file).starts_with(&name(store))
}

/// Whether a file is a store of this program, of whatever version.
pub(super) fn is_store(path: &Path) -> bool {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let id = connection.and_then(|c| c.pragma_query_value(None, "application_id", |row| row.get::<_, u32>(0)));
    id.is_ok_and(|id| id == APPLICATION_ID)
}

/// Refuses a file that is no SQLite file or shorter than its header says, before SQLite touches it.
fn recognise_file(path: &Path) -> Result<(), OpenError> {
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    let damaged = |reason: String| OpenError::Damaged { path: path.to_owned(), reason };
    let mut header = [0_u8; 100];
    let mut file = File::open(path).map_err(io_error)?;
    let length = file.metadata().map_err(io_error)?.len();
    if let Err(error) = file.read_exact(&mut header) {
        let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
        return Err(if is_short { damaged(format!("{length} bytes, less than a header")) } else { io_error(error) });
    }
    if &header[..16] != SQLITE_MAGIC {
        return Err(damaged("no SQLite header".to_owned()));
    }
    let has_wal = fs::metadata(wal_path(path)).is_ok_and(|m| m.len() > 0);
    let page_size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    if !has_wal && length < pages * page_size {
        return Err(damaged(format!("{length} bytes where its header says {}", pages * page_size)));
    }
    Ok(())
}

fn writer(path: &Path) -> Result<Connection, OpenError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|e| as_open_error(path, e))?;
    let configure = || -> rusqlite::Result<()> {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch(&format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;
             PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}; PRAGMA cache_size = -{WRITER_CACHE_KB};
             PRAGMA journal_size_limit = {WAL_KEPT_BYTES}; PRAGMA temp_store = MEMORY;"
        ))
    };
    configure().map_err(|e| as_open_error(path, e))?;
    Ok(connection)
}

/// Moves the WAL into the file and cuts it, as far as readers allow within a moment.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    let wait = |ms: u32| connection.busy_timeout(std::time::Duration::from_millis(u64::from(ms)));
    wait(CHECKPOINT_TIMEOUT_MS)?;
    let done = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    wait(BUSY_TIMEOUT_MS)?;
    done
}

/// Opens one more read connection.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

#[expect(clippy::disallowed_methods, reason = "the one place that opens SQLite files")]
pub(super) fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_millis(u64::from(BUSY_TIMEOUT_MS)))?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // A plan must not depend on the values bound to it: plans stay the same from day to day, and a cached statement is
    // not prepared anew each time a value changes.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Refuses a file of another program or of a newer version of this one.
///
/// Shape: its schema version.
fn recognise_schema(path: &Path, reader: &Connection) -> Result<u32, OpenError> {
    let pragma = |name: &str| reader.pragma_query_value(None, name, |row| row.get::<_, u32>(0));
    let application = pragma("application_id").map_err(|e| as_open_error(path, e))?;
    if application != APPLICATION_ID {
        return Err(OpenError::Foreign(path.to_owned()));
    }
    let found = pragma("user_version")?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(found)
}

fn check_key(reader: &Connection, sealer: &Sealer) -> Result<(), OpenError> {
    let check: Vec<u8> =
        reader.query_row("SELECT value FROM store_meta WHERE name = 'key_check'", [], |row| row.get("value"))?;
    sealer.open(KEY_CHECK_PLACE, &check).map(drop).map_err(OpenError::WrongKey)
}

fn as_open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode as Code;
    match error.sqlite_error_code() {
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
            OpenError::Damaged { path: path.to_owned(), reason: error.to_string() }
        }
        _ => OpenError::Sqlite(error),
    }
}

/// Where SQLite keeps the write-ahead log of the store at `path`.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}
