//! Whatever a person asks, read only.

use rusqlite::types::ValueRef;
use rusqlite::{Params, Statement};

use super::{ReadTxn, StoreError};

/// What a query answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryAnswer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows, every value as text; NULL is empty.
    pub rows: Vec<Vec<String>>,
}

impl ReadTxn<'_> {
    /// Runs one query of a person's own.
    pub fn query(&self, sql: &str) -> Result<QueryAnswer, StoreError> {
        answer(&mut self.txn.prepare(sql)?, [])
    }
}

/// Runs a prepared query and keeps what it answers as text.
pub(super) fn answer(statement: &mut Statement<'_>, parameters: impl Params) -> Result<QueryAnswer, StoreError> {
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query(parameters)?;
    let mut answer = QueryAnswer { columns, rows: Vec::new() };
    while let Some(row) = rows.next()? {
        let values = (0..answer.columns.len()).map(|i| row.get_ref(i).map(text));
        answer.rows.push(values.collect::<Result<_, _>>()?);
    }
    Ok(answer)
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
