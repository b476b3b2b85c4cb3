//! Opening: create, recognise, refuse, migrate, configure.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};

use super::convert::{ConvertError, wipe_leftovers};
use super::erasures::KeyNotMade;
use super::file::{PAGE_BYTES, StoreFile, as_open_error, beside, create_private, sync_directory};
use super::migrate::{self, APPLICATION_ID, MigrateError, SCHEMA, SCHEMA_VERSION};
use super::{Inner, Store, StoreError, lock::LockError};
use crate::secret::{Encryption, HAS_CIPHER, Place, SealError, Sealer};

pub(super) const KEY_CHECK: &[u8] = b"passbook";
pub(super) const KEY_CHECK_PLACE: Place<'static> = Place { table: "store_meta", column: "value", row_id: 0 };

/// How a store is opened.
pub struct OpenOptions<'a> {
    /// The file.
    pub path: &'a Path,
    /// Seals and opens secrets.
    pub sealer: Sealer,
    /// How much of the file is encrypted.
    pub encryption: Encryption,
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
    /// Read only; the file must be there and of this program's version. Sealed values stay sealed: no key is
    /// needed, unless the whole file is encrypted.
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
    #[error("cannot open the store {path}: {source}; look at the disk, its mount and the rights of the directory",
        path = path.display())]
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
    #[error(
        "the store's secrets do not open with the configured [store] key: {0}; give it the right key, or change the \
        store's with `passbook rekey`"
    )]
    WrongKey(#[source] SealError),
    /// The whole file is encrypted with another key, which shows no name; or its beginning is damaged.
    #[error("the store {} does not open with the configured [store] key: it is encrypted with another one, or damaged; give it \
        the right key; while the key is being changed, finish that with `passbook rekey`", .0.display())]
    OtherFileKey(PathBuf),
    /// A rotation of the store key is half done.
    #[error("the store {path} is on its way from the key {from} to the key {to}: stop the daemon, set [store] key to {to} and \
        previous_key to {from}, and run `passbook rekey`, which finishes it", path = path.display())]
    Rekeying {
        /// The file.
        path: PathBuf,
        /// Name of the key it has had.
        from: String,
        /// Name of the key it shall have.
        to: String,
    },
    /// Encrypted whole, and the configuration says otherwise.
    #[error("the store {} is encrypted whole, and [store] encryption is \"secrets\": set it to \"full\"; or stop the daemon and run \
        `passbook convert`, which decrypts the file", .0.display())]
    Encrypted(PathBuf),
    /// Not encrypted whole, and the configuration says otherwise.
    #[error("the store {} is not encrypted whole, as [store] encryption = \"full\" asks: stop the daemon and run `passbook convert`, \
        which encrypts it; or set encryption to \"secrets\"", .0.display())]
    NotEncrypted(PathBuf),
    /// Encrypted whole, or to be, and this build cannot.
    #[error("the store {} is encrypted whole, or shall be, and this build of passbook has no SQLCipher for that: install the Debian \
        package, or build with `cargo build --release --features sqlcipher`", .0.display())]
    NoCipher(PathBuf),
    /// What a conversion that was cut off left beside the store cannot be removed.
    #[error("a file that a conversion left beside the store must go first: {0}")]
    Leftover(#[source] Box<ConvertError>),
    /// A migration step failed; the store stays at the version before it.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Anything else SQLite reports.
    #[error("cannot open the store: {0}")]
    Failed(#[from] StoreError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl Store {
    /// Opens a store as `options` say.
    ///
    /// Errors: see [`OpenError`]; the file is left as it was.
    /// After a crash: a new store is made under another name and renamed when it is whole.
    pub fn open(options: OpenOptions<'_>) -> Result<Self, OpenError> {
        let path = options.path;
        let file = StoreFile::new(path, options.encryption, &options.sealer);
        if file.key().is_some() && !HAS_CIPHER {
            return Err(OpenError::NoCipher(path.to_owned()));
        }
        let exists = path.try_exists().map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        match (exists, options.access) {
            (false, Access::ReadOnly) => return Err(OpenError::NotFound(path.to_owned())),
            (false, Access::Create) => create(&file, &options.sealer, options.now)?,
            (true, Access::Create) => {
                // Killed after the file was replaced and before the one it replaced was gone.
                wipe_leftovers(path).map_err(|source| OpenError::Leftover(Box::new(source)))?;
                file.recognise()?;
            }
            (true, Access::ReadOnly) => file.recognise()?,
        }
        // Everything that can refuse the file only reads it; a write connection alone would switch its journal.
        let reader = file.reader().map_err(|e| as_open_error(path, e))?;
        let found = recognise_schema(path, &reader)?;
        if options.access == Access::Create {
            refuse_half_rekeyed(path, &reader)?;
            check_key(&reader, &options.sealer)?;
        }
        let writer = match options.access {
            Access::Create => {
                let connection = file.writer().map_err(|e| as_open_error(path, e))?;
                migrate::run(&connection, found)?;
                Some(connection)
            }
            Access::ReadOnly if found < SCHEMA_VERSION => {
                return Err(OpenError::Older { path: path.to_owned(), found, known: SCHEMA_VERSION });
            }
            Access::ReadOnly => None,
        };
        Ok(Self(Arc::new(Inner {
            file,
            writer: Mutex::new(writer),
            readers: Mutex::new(vec![reader]),
            sealer: options.sealer,
            opens_secrets: options.access == Access::Create,
            keep_raw: options.keep_raw,
            copying: Mutex::new(()),
            is_wal_over_limit: AtomicBool::new(false),
            troubles: Mutex::default(),
            workplace: super::workplace::Workplace::default(),
        })))
    }
}

/// Makes a whole store under a temporary name, then gives it its own.
fn create(file: &StoreFile, sealer: &Sealer, now: Timestamp) -> Result<(), OpenError> {
    let path = file.path();
    let io_error = |source| OpenError::Io { path: path.to_owned(), source };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.is_dir()) {
        let missing =
            io::Error::new(io::ErrorKind::NotFound, format!("the directory {} does not exist", parent.display()));
        return Err(io_error(missing));
    }
    let draft = beside(path, ".new");
    let _ = fs::remove_file(&draft);
    create_private(&draft, 0o640).map_err(io_error)?;
    {
        let connection = file.at(&draft).connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.execute_batch(&format!(
            "PRAGMA page_size = {PAGE_BYTES}; PRAGMA synchronous = FULL; BEGIN IMMEDIATE; {SCHEMA} COMMIT;"
        ))?;
        let check = sealer.seal(KEY_CHECK_PLACE, KEY_CHECK).map_err(OpenError::WrongKey)?;
        let mut insert = connection.prepare("INSERT INTO store_meta (name, value) VALUES (?1, ?2)")?;
        insert.execute(params!["created_at", now.as_millisecond()])?;
        insert.execute(params!["key_id", sealer.key_id()])?;
        insert.execute(params!["key_check", check])?;
        insert.execute(params!["next_change_id", 1])?;
        super::erasures::put_key(&connection, sealer).map_err(|error| match error {
            KeyNotMade::Seal(error) => OpenError::WrongKey(error),
            KeyNotMade::Sqlite(error) => error.into(),
        })?;
    }
    fs::rename(&draft, path).map_err(io_error)?;
    sync_directory(path).map_err(io_error)
}

/// Refuses a file of another program or of a newer version of this one.
///
/// Shape: its schema version.
pub(super) fn recognise_schema(path: &Path, reader: &Connection) -> Result<u32, OpenError> {
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

/// Refuses a store whose sealed values may be under either of two keys.
pub(super) fn refuse_half_rekeyed(path: &Path, reader: &Connection) -> Result<(), OpenError> {
    match rekeying(reader)? {
        Some((from, to)) => Err(OpenError::Rekeying { path: path.to_owned(), from, to }),
        None => Ok(()),
    }
}

/// The names of the store's key and of the one it is on its way to.
///
/// Shape: `None`: it is on no way.
pub(super) fn rekeying(reader: &Connection) -> rusqlite::Result<Option<(String, String)>> {
    let row = reader.query_row(
        "SELECT k.value AS from_id, r.value AS to_id FROM store_meta k JOIN store_meta r ON r.name = 'rekeying_to'
         WHERE k.name = 'key_id'",
        [],
        |row| Ok((row.get("from_id")?, row.get("to_id")?)),
    );
    row.optional()
}

pub(super) fn check_key(reader: &Connection, sealer: &Sealer) -> Result<(), OpenError> {
    let check: Vec<u8> =
        reader.query_row("SELECT value FROM store_meta WHERE name = 'key_check'", [], |row| row.get("value"))?;
    sealer.open(KEY_CHECK_PLACE, &check).map(drop).map_err(OpenError::WrongKey)
}
