//! Conversion: a store that any SQLite reads becomes one that is encrypted whole, or the other way round.
//!
//! The store's file is never changed in place: a copy is made beside it, compared with it, and takes its name in one step. So
//! at any instant the file under the store's name is one or the other, and complete.

mod copy;
mod swap;

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::OpenFlags;

use self::copy::{copy, to_one_file};
use self::swap::{Names, swap, wipe};
use super::StoreError;
use super::file::{Form, StoreFile, as_open_error, form};
use super::open::{self, OpenError, check_key, recognise_schema};
use crate::secret::{Encryption, HAS_CIPHER, Sealer};

/// Is told of every step that was done, in words.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// What is converted. The caller holds the store's lock.
#[derive(Debug)]
pub struct ConvertOptions<'a> {
    /// The store's file.
    pub path: &'a Path,
    /// Under the store's key.
    pub sealer: &'a Sealer,
    /// How much of it shall be encrypted.
    pub to: Encryption,
}

/// What a conversion did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Converted {
    /// The file was as it should be.
    Already,
    /// It is now.
    Done {
        /// Rows in all tables, counted before and after.
        rows: u64,
        /// Length of the new file.
        bytes: u64,
    },
}

/// Why a store's file was not replaced by a copy. The file is what it was.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The store itself was refused.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A reader has it open: end that, and try again.
    #[error(
        "somebody reads the store, and it cannot be replaced meanwhile; end every program that has it open, and try again"
    )]
    Read,
    /// There is not enough room for the copy.
    #[error("no room for a copy of the store beside it, which takes as much as the store; free some, and try again")]
    Full,
    /// The copy is not what was copied: keep the store, and report this.
    #[error("the copy differs from the store ({what}); the store is left as it was")]
    Differs {
        /// In what.
        what: String,
    },
    /// The file system refused.
    #[error("cannot write {path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else SQLite reports.
    #[error("cannot copy the store: {0}")]
    Sqlite(#[source] StoreError),
}

impl From<rusqlite::Error> for ConvertError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Read,
            _ => Self::Sqlite(error.into()),
        }
    }
}

/// Converts a store's file, or finishes a conversion that was cut off.
///
/// Errors: see [`ConvertError`]; the file is what it was.
/// After a crash: the file under the store's name is the old one or the new one, and complete; calling this again finishes.
pub fn convert(options: &ConvertOptions<'_>, progress: Progress<'_>) -> Result<Converted, ConvertError> {
    let path = options.path;
    if !path.try_exists().map_err(|source| OpenError::Io { path: path.to_owned(), source })? {
        return Err(OpenError::NotFound(path.to_owned()).into());
    }
    if !HAS_CIPHER && (options.to == Encryption::Full || form(path)? == Form::Whole) {
        return Err(OpenError::NoCipher(path.to_owned()).into());
    }
    wipe_leftovers(path)?;
    let plain = StoreFile::new(path, Encryption::Secrets, options.sealer);
    let whole = StoreFile::new(path, Encryption::Full, options.sealer);
    let (from, to) = match (form(path)?, options.to) {
        (Form::Plain, Encryption::Full) => (plain, whole),
        (Form::Whole, Encryption::Secrets) => (whole, plain),
        (Form::Plain, Encryption::Secrets) => return already(&plain, options.sealer),
        (Form::Whole, Encryption::Full) => return already(&whole, options.sealer),
    };
    refuse(&from, options.sealer)?;
    let (rows, bytes) = replace(&from, &to, progress)?;
    Ok(Converted::Done { rows, bytes })
}

fn already(file: &StoreFile, sealer: &Sealer) -> Result<Converted, ConvertError> {
    refuse(file, sealer)?;
    Ok(Converted::Already)
}

/// Refuses what the daemon would refuse: the new file must be one that it takes.
fn refuse(file: &StoreFile, sealer: &Sealer) -> Result<(), OpenError> {
    file.recognise()?;
    let reader = file.reader().map_err(|e| as_open_error(file.path(), e))?;
    recognise_schema(file.path(), &reader)?;
    open::refuse_half_rekeyed(file.path(), &reader)?;
    check_key(&reader, sealer)
}

/// Puts a copy of the file under another key in its place. Nobody else has it open.
///
/// Shape: the rows of all tables, and the new file's length.
/// After a crash: as for [`convert`]; [`wipe_leftovers`] removes what is left of it.
pub(super) fn replace(from: &StoreFile, to: &StoreFile, progress: Progress<'_>) -> Result<(u64, u64), ConvertError> {
    let names = Names::of(from.path());
    let result = copy_and_swap(from, to, &names, progress);
    if result.is_err() {
        // What counts is the error; what cannot be removed now is removed by the next command.
        let _ = wipe_leftovers(from.path());
    }
    result
}

fn copy_and_swap(
    from: &StoreFile,
    to: &StoreFile,
    names: &Names,
    progress: Progress<'_>,
) -> Result<(u64, u64), ConvertError> {
    let source = from.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    to_one_file(&source)?;
    progress("the store is one file, without a write-ahead log");
    let rows = copy(&source, from, &to.at(&names.draft), progress)?;
    source.close().map_err(|(_, error)| error)?;
    let bytes = swap(names, progress)?;
    Ok((rows, bytes))
}

/// Removes what a conversion that was cut off left beside the store; what is readable is overwritten first. Only whoever holds
/// the store's lock may.
pub(super) fn wipe_leftovers(path: &Path) -> Result<(), ConvertError> {
    let names = Names::of(path);
    for leftover in [&names.draft, &names.former] {
        wipe(leftover, path).map_err(|source| ConvertError::Io { path: leftover.clone(), source })?;
    }
    Ok(())
}
