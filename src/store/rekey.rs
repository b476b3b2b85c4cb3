//! Rotation of the store key: every sealed value is sealed anew, and a file that is encrypted whole gets its new key.
//!
//! A sealed value names its key, so what is left to do can be seen in the store itself. It is marked first
//! (`store_meta.rekeying_to`), and from then on nobody but this opens it for writing; the last transaction changes the proof of
//! the key (`key_check`) and takes the mark away. In between one transaction after another seals some values anew.
//!
//! What must stay true: nothing is changed before every value was seen to open with one of the two keys.

mod remains;

use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior, named_params};
use zeroize::Zeroizing;

use super::StoreError;
use super::convert::{ConvertError, Progress, replace, wipe_leftovers};
use super::file::{self, StoreFile, as_open_error, checkpoint, wal_path};
use super::migrate::SCHEMA_VERSION;
use super::open::{KEY_CHECK, KEY_CHECK_PLACE, OpenError, recognise_schema, rekeying};
use super::sealed::{SEALED, SealedColumn};
use crate::secret::{Encryption, Place, SealError, Sealer};

/// Values of one column looked at in one transaction.
const BATCH: usize = 500;

/// What is changed from which key to which. The caller holds the store's lock.
#[derive(Debug)]
pub struct RekeyOptions<'a> {
    /// The store's file.
    pub path: &'a Path,
    /// How much of it is encrypted.
    pub encryption: Encryption,
    /// Under the key that it shall have.
    pub to: &'a Sealer,
    /// Under the key that it has had.
    pub from: &'a Sealer,
}

/// What a rotation did, in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rekeyed {
    /// Values sealed anew. Zero where an earlier run did it all.
    pub values: u64,
    /// The whole file is under the new key since this run.
    pub file: bool,
}

/// Why a key was not changed, or not to the end. Whatever was done stays done, and calling it again goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The store was refused; it is untouched.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A value opens with neither key. Nothing was changed.
    #[error(
        "{what} opens with neither key: {source}; nothing was changed: give the key that sealed it, or restore a backup"
    )]
    Unopenable {
        /// Table, column and row.
        what: String,
        /// What the new key, or the former one, says of it.
        source: SealError,
    },
    /// The file that is encrypted whole could not be replaced.
    #[error(transparent)]
    File(#[from] ConvertError),
    /// A reader keeps the write-ahead log, in which values under the former key stand.
    #[error(
        "everything is under the new key, but a reader keeps the write-ahead log, in which values under the former one still \
        stand: end every program that has the store open, and run this again"
    )]
    Read,
    /// A value could not be sealed.
    #[error(transparent)]
    Seal(SealError),
    /// SQLite failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RekeyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Changes a store's key, or finishes a change that was cut off.
///
/// Errors: see [`RekeyError`].
/// After a crash: every value is under one of the two keys, and the store says that it is on its way; calling this again
/// finishes.
pub fn rekey(options: &RekeyOptions<'_>, progress: Progress<'_>) -> Result<Rekeyed, RekeyError> {
    let path = options.path;
    if !path.try_exists().map_err(|source| OpenError::Io { path: path.to_owned(), source })? {
        return Err(OpenError::NotFound(path.to_owned()).into());
    }
    wipe_leftovers(path)?;
    let new_file = StoreFile::new(path, options.encryption, options.to);
    let old_file = StoreFile::new(path, options.encryption, options.from);
    let is_old_file = is_under_old_key(&new_file, &old_file)?;
    let file = if is_old_file { &old_file } else { &new_file };
    let left = survey(&read(file)?, options)?;
    progress(&format!("{} values were looked at, {} are under the former key", left.seen, left.old));
    let mut connection = file.writer()?;
    let is_done = !is_old_file && left.old == 0 && !left.is_marked && left.is_proof_new;
    if !is_done {
        mark(&mut connection, options.to.key_id())?;
        progress("the store is marked as on its way to the new key");
        if is_old_file {
            connection.close().map_err(|(_, error)| error)?;
            replace(&old_file, &new_file, progress)?;
            connection = new_file.writer()?;
        }
        reseal_all(&mut connection, options, left.old, progress)?;
        finish(&mut connection, options.to)?;
        progress("the new key is the store's key");
    }
    empty_log(&connection, path)?;
    // What is encrypted whole shows its free space to nobody without the new key.
    if options.encryption == Encryption::Secrets && is_left(path, options.from)? {
        remains::rewrite(&connection)?;
        empty_log(&connection, path)?;
        progress("the file is written anew, because what the former key sealed was left in its free space");
    }
    file::close(connection);
    Ok(Rekeyed { values: left.old, file: is_old_file })
}

/// Moves the write-ahead log into the file and cuts it to nothing.
fn empty_log(connection: &Connection, path: &Path) -> Result<(), RekeyError> {
    checkpoint(connection)?;
    let bytes = std::fs::metadata(wal_path(path)).map_or(0, |m| m.len());
    if bytes > 0 { Err(RekeyError::Read) } else { Ok(()) }
}

fn is_left(path: &Path, from: &Sealer) -> Result<bool, OpenError> {
    remains::is_in(path, from.head()).map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// Tells with which of two keys the file opens. One that is not encrypted whole opens with both.
fn is_under_old_key(new: &StoreFile, old: &StoreFile) -> Result<bool, OpenError> {
    match new.recognise() {
        Ok(()) => Ok(false),
        Err(OpenError::OtherFileKey(_)) => old.recognise().map(|()| true),
        Err(error) => Err(error),
    }
}

/// Opens the file for a first look, which changes nothing.
fn read(file: &StoreFile) -> Result<Connection, OpenError> {
    let reader = file.reader().map_err(|error| as_open_error(file.path(), error))?;
    let found = recognise_schema(file.path(), &reader)?;
    if found < SCHEMA_VERSION {
        return Err(OpenError::Older { path: file.path().to_owned(), found, known: SCHEMA_VERSION });
    }
    Ok(reader)
}

/// What a store is like before anything is done.
struct Survey {
    seen: u64,
    /// Values under the former key.
    old: u64,
    is_proof_new: bool,
    is_marked: bool,
}

/// Opens every sealed value, with one key or the other.
fn survey(connection: &Connection, options: &RekeyOptions<'_>) -> Result<Survey, RekeyError> {
    let is_proof_new = matches!(open_value(options, KEY_CHECK_PLACE, &key_check(connection)?)?, Value::New);
    let mut survey = Survey { seen: 0, old: 0, is_proof_new, is_marked: rekeying(connection)?.is_some() };
    for column in SEALED {
        let mut after = i64::MIN;
        loop {
            let values = next(connection, column, after)?;
            let Some((last, _)) = values.last() else { break };
            after = *last;
            for (row_id, sealed) in &values {
                survey.seen += 1;
                if let Value::Old(_) = open_value(options, place(column, *row_id), sealed)? {
                    survey.old += 1;
                }
            }
        }
    }
    Ok(survey)
}

fn key_check(connection: &Connection) -> rusqlite::Result<Vec<u8>> {
    connection.query_row("SELECT value FROM store_meta WHERE name = 'key_check'", [], |row| row.get("value"))
}

/// A sealed value, opened.
enum Value {
    /// It is under the new key.
    New,
    /// It is under the former key; what it says.
    Old(Zeroizing<Vec<u8>>),
}

fn open_value(options: &RekeyOptions<'_>, place: Place<'_>, sealed: &[u8]) -> Result<Value, RekeyError> {
    let opened = match options.to.open(place, sealed) {
        Ok(_) => return Ok(Value::New),
        Err(SealError::WrongKey { .. }) => options.from.open(place, sealed),
        Err(error) => Err(error),
    };
    opened.map(Value::Old).map_err(|source| RekeyError::Unopenable { what: place.to_string(), source })
}

fn place(column: &SealedColumn, row_id: i64) -> Place<'static> {
    Place { table: column.table, column: column.column, row_id }
}

fn next(connection: &Connection, column: &SealedColumn, after: i64) -> rusqlite::Result<Vec<(i64, Vec<u8>)>> {
    let mut select = connection.prepare_cached(column.next)?;
    let parameters = named_params! { ":after": after, ":limit": i64::try_from(BATCH).unwrap_or(i64::MAX) };
    select.query_map(parameters, |row| Ok((row.get("row_id")?, row.get("sealed")?)))?.collect()
}

fn mark(connection: &mut Connection, to: &str) -> rusqlite::Result<()> {
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    txn.execute(
        "INSERT INTO store_meta (name, value) VALUES ('rekeying_to', :to)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        named_params! { ":to": to },
    )?;
    txn.commit()
}

fn reseal_all(
    connection: &mut Connection,
    options: &RekeyOptions<'_>,
    total: u64,
    progress: Progress<'_>,
) -> Result<(), RekeyError> {
    let mut done = 0;
    for column in SEALED {
        let mut after = i64::MIN;
        loop {
            let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (last, resealed) = reseal_some(&txn, options, column, after)?;
            txn.commit()?;
            let Some(last) = last else { break };
            after = last;
            if resealed > 0 {
                done += resealed;
                progress(&format!("{done} of {total} values are sealed anew"));
            }
        }
    }
    Ok(())
}

/// Seals the next values of a column anew, where they are under the former key.
///
/// Shape: the last row looked at, `None` after the last of all; and how many values were sealed.
fn reseal_some(
    txn: &Transaction<'_>,
    options: &RekeyOptions<'_>,
    column: &SealedColumn,
    after: i64,
) -> Result<(Option<i64>, u64), RekeyError> {
    let values = next(txn, column, after)?;
    let mut put = txn.prepare_cached(column.put)?;
    let mut resealed = 0;
    for (row_id, sealed) in &values {
        let place = place(column, *row_id);
        if let Value::Old(plain) = open_value(options, place, sealed)? {
            let sealed = options.to.seal(place, &plain).map_err(RekeyError::Seal)?;
            put.execute(named_params! { ":sealed": sealed, ":row_id": row_id })?;
            resealed += 1;
        }
    }
    Ok((values.last().map(|(row_id, _)| *row_id), resealed))
}

/// Makes the new key the store's key.
fn finish(connection: &mut Connection, to: &Sealer) -> Result<(), RekeyError> {
    let check = to.seal(KEY_CHECK_PLACE, KEY_CHECK).map_err(RekeyError::Seal)?;
    let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    txn.execute("UPDATE store_meta SET value = :check WHERE name = 'key_check'", named_params! { ":check": check })?;
    txn.execute("UPDATE store_meta SET value = :id WHERE name = 'key_id'", named_params! { ":id": to.key_id() })?;
    txn.execute("DELETE FROM store_meta WHERE name = 'rekeying_to'", [])?;
    Ok(txn.commit()?)
}
