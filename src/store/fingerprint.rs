//! What a store holds, as numbers to compare: rows of each table, and a hash over everything.
//!
//! Two files with the same fingerprint answer every query alike, whatever their pages look like. It is taken of the copy that a
//! backup is made of and of what is restored from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Rows are hashed in runs of so many bytes.
const RUN_BYTES: usize = 64 * 1024;
/// How many of its problems a damaged file is asked for.
const PROBLEMS: u32 = 5;

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
    /// SHA-256 over the schema and every value of every row, in the order of the tables' names and of the rowids; hexadecimal.
    pub content_hash: String,
}

impl Fingerprint {
    /// Reads everything that `connection` sees. The caller sees to it that nobody writes meanwhile.
    pub(super) fn take(connection: &Connection) -> rusqlite::Result<Self> {
        let mut hash = Sum { hash: Sha256::new(), run: Vec::with_capacity(2 * RUN_BYTES) };
        for pragma in ["application_id", "user_version"] {
            let value: i64 = connection.pragma_query_value(None, pragma, |row| row.get(0))?;
            hash.value(ValueRef::Integer(value));
        }
        let schema = "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name";
        hash.rows_of(connection, schema)?;
        let mut rows = BTreeMap::new();
        for table in tables(connection)? {
            hash.value(ValueRef::Text(table.as_bytes()));
            // Whatever columns there are, also in a store of an older version.
            let everything = format!("SELECT * FROM \"{}\" ORDER BY rowid", table.replace('"', "\"\""));
            rows.insert(table, hash.rows_of(connection, &everything)?);
        }
        Ok(Self { rows, content_hash: hash.finish() })
    }

    /// All rows together.
    pub fn row_count(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// What SQLite finds wrong with a file.
///
/// Shape: a few problems; empty: none.
pub(super) fn problems(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection.prepare(&format!("PRAGMA integrity_check({PROBLEMS})"))?;
    let lines: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut select = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")?;
    select.query_map([], |row| row.get("name"))?.collect()
}

struct Sum {
    hash: Sha256,
    run: Vec<u8>,
}

impl Sum {
    /// Adds everything that a query answers, and tells how many rows that is.
    fn rows_of(&mut self, connection: &Connection, sql: &str) -> rusqlite::Result<u64> {
        let mut select = connection.prepare(sql)?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        let mut count = 0_u64;
        while let Some(row) = rows.next()? {
            count += 1;
            for column in 0..columns {
                self.value(row.get_ref(column)?);
            }
        }
        self.run.push(b'#');
        self.run.extend_from_slice(&count.to_le_bytes());
        Ok(count)
    }

    /// Adds a value with its type and its length, so that no two rows of values read the same.
    fn value(&mut self, value: ValueRef<'_>) {
        let mut put = |tag: u8, bytes: &[u8]| {
            self.run.push(tag);
            self.run.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            self.run.extend_from_slice(bytes);
        };
        match value {
            ValueRef::Null => put(b'n', &[]),
            ValueRef::Integer(number) => put(b'i', &number.to_le_bytes()),
            ValueRef::Real(number) => put(b'r', &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => put(b't', text),
            ValueRef::Blob(bytes) => put(b'b', bytes),
        }
        if self.run.len() >= RUN_BYTES {
            self.hash.update(&self.run);
            self.run.clear();
        }
    }

    fn finish(mut self) -> String {
        self.hash.update(&self.run);
        self.hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to text cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(sql: &str) -> Fingerprint {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(sql).expect(sql);
        Fingerprint::take(&connection).expect("a fingerprint")
    }

    #[test]
    fn whatever_differs_shows() {
        let base = "CREATE TABLE a (x, y); CREATE TABLE b (z); INSERT INTO a VALUES ('1', 'ab'), (NULL, 2.0);";
        assert_eq!(of(base), of(base));
        assert_eq!(of(base).rows, [("a".to_owned(), 2), ("b".to_owned(), 0)].into());
        let others = [
            base.replace("'1'", "1"),
            base.replace("('1', 'ab')", "('1a', 'b')"),
            base.replace("NULL", "''"),
            base.replace("2.0", "2.5"),
            base.replace("'ab'", "x'6162'"),
            base.replace("('1', 'ab'), (NULL, 2.0)", "(NULL, 2.0), ('1', 'ab')"),
            base.replace("(x, y)", "(x, w)"),
            format!("{base} INSERT INTO b VALUES (1);"),
            format!("{base} CREATE INDEX c ON a (x);"),
            format!("{base} PRAGMA user_version = 2;"),
        ];
        for other in others {
            assert_ne!(of(base).content_hash, of(&other).content_hash, "{other}");
        }
    }
}
