//! The copy of a store's file under another key, and the proof that nothing is missing in it.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, named_params};
use zeroize::Zeroizing;

use super::{ConvertError, Progress};
use crate::store::file::{CIPHER_COMPATIBILITY, PAGE_BYTES, StoreFile, create_private};

/// How often, and after what pause, a store that is read is tried again: most queries are short.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Moves the write-ahead log into the file and does without one: so the file alone is the store, and nobody else has it open.
pub(super) fn to_one_file(source: &Connection) -> Result<(), ConvertError> {
    for attempt in 1.. {
        match source.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "delete" => break,
            Ok(_) => {}
            Err(error) => {
                let error = ConvertError::from(error);
                if !matches!(error, ConvertError::Read) {
                    return Err(error);
                }
            }
        }
        if attempt == TRIES {
            return Err(ConvertError::Read);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Copies everything into the file of `draft` and compares.
///
/// Shape: how many rows there are.
pub(super) fn copy(
    source: &Connection,
    from: &StoreFile,
    draft: &StoreFile,
    progress: Progress<'_>,
) -> Result<u64, ConvertError> {
    let io_error = |source| ConvertError::Io { path: draft.path().to_owned(), source };
    create_private(draft.path(), 0o640).map_err(io_error)?;
    // The command may be root's, and the daemon is not.
    let like = fs::metadata(from.path()).map_err(io_error)?;
    let made = fs::metadata(draft.path()).map_err(io_error)?;
    if (made.uid(), made.gid()) != (like.uid(), like.gid()) {
        chown(draft.path(), Some(like.uid()), Some(like.gid())).map_err(io_error)?;
    }
    fs::set_permissions(draft.path(), like.permissions()).map_err(io_error)?;
    export(source, draft)?;
    progress("everything is copied");
    let rows = compare(source, draft)?;
    File::open(draft.path()).and_then(|file| file.sync_all()).map_err(io_error)?;
    progress("the copy is compared and on the disk");
    Ok(rows)
}

fn export(source: &Connection, draft: &StoreFile) -> Result<(), ConvertError> {
    let raw = draft.key().map_or_else(Zeroizing::default, crate::secret::FileKey::to_raw);
    let path = draft.path().to_string_lossy();
    source.execute(
        "ATTACH DATABASE :path AS draft KEY :key",
        named_params! { ":path": path.as_ref(), ":key": raw.as_str() },
    )?;
    if draft.key().is_some() {
        source.execute_batch(&format!(
            "PRAGMA draft.cipher_compatibility = {CIPHER_COMPATIBILITY}; PRAGMA draft.cipher_page_size = {PAGE_BYTES};"
        ))?;
    }
    // Nothing of the draft needs to survive a crash before it is synced as a whole.
    source.execute_batch(&format!(
        "PRAGMA draft.page_size = {PAGE_BYTES}; PRAGMA draft.journal_mode = OFF; PRAGMA draft.synchronous = OFF;
         PRAGMA foreign_keys = OFF;"
    ))?;
    source.query_row("SELECT sqlcipher_export('draft')", [], |_| Ok(()))?;
    for pragma in ["application_id", "user_version"] {
        let value: i64 = source.pragma_query_value(None, pragma, |row| row.get(0))?;
        source.pragma_update(Some("draft"), pragma, value)?;
    }
    source.execute_batch("DETACH DATABASE draft")?;
    Ok(())
}

/// Compares what the copy says of itself, its schema and the number of rows of every table, and has it checked as a whole.
fn compare(source: &Connection, draft: &StoreFile) -> Result<u64, ConvertError> {
    let copy = draft.reader()?;
    for pragma in ["application_id", "user_version"] {
        same(pragma, &number(source, pragma)?, &number(&copy, pragma)?)?;
    }
    same("page_size", &i64::from(PAGE_BYTES), &number(&copy, "page_size")?)?;
    same("schema", &schema(source)?, &schema(&copy)?)?;
    let mut rows = 0;
    for table in tables(source)? {
        let here = count(source, &table)?;
        same(&format!("rows of {table}"), &here, &count(&copy, &table)?)?;
        rows += here;
    }
    let integrity: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    same("integrity", "ok", integrity.as_str())?;
    if draft.key().is_some() {
        let broken = copy.query_row("PRAGMA cipher_integrity_check", [], |row| row.get::<_, String>(0)).optional()?;
        same("integrity of its encryption", &None, &broken)?;
    }
    Ok(rows)
}

fn same<T: PartialEq + ?Sized>(what: &str, left: &T, right: &T) -> Result<(), ConvertError> {
    if left == right { Ok(()) } else { Err(ConvertError::Differs { what: what.to_owned() }) }
}

/// The value of a pragma; `SQLCipher` answers some as text.
fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, pragma, |row| match row.get_ref(0)? {
        ValueRef::Text(text) => Ok(String::from_utf8_lossy(text).parse().unwrap_or(-1)),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => row.get(0),
    })
}

type Schema = Vec<(String, String, Option<String>)>;

fn schema(connection: &Connection) -> rusqlite::Result<Schema> {
    let mut select = connection.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name")?;
    let rows = select.query_map([], |row| Ok((row.get("type")?, row.get("name")?, row.get("sql")?)))?;
    rows.collect()
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")?;
    select.query_map([], |row| row.get("name"))?.collect()
}

/// The one query that cannot be written out: over every table there is, this program's or not.
fn count(connection: &Connection, table: &str) -> rusqlite::Result<u64> {
    let quoted = table.replace('"', "\"\"");
    connection.query_row(&format!("SELECT count(*) AS rows FROM \"{quoted}\""), [], |row| row.get("rows"))
}
