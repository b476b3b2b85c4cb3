//! One question of a person to the store, in SQL, answered row by row.
//!
//! It has a read connection of its own, on which nothing is allowed but reading this store: no other file, no extension, no
//! setting that would change something.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;

use super::{Store, StoreError, lock};

/// Pragmas that tell something and take no value.
const TELLING: &[&str] = &[
    "application_id",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "encoding",
    "freelist_count",
    "function_list",
    "journal_mode",
    "module_list",
    "page_count",
    "page_size",
    "pragma_list",
    "schema_version",
    "user_version",
];
/// Pragmas that tell something about what is named.
const TELLING_OF: &[&str] = &[
    "foreign_key_check",
    "foreign_key_list",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "quick_check",
    "table_info",
    "table_list",
    "table_xinfo",
];
/// Functions that reach beyond the store.
const FORBIDDEN_FUNCTIONS: &[&str] = &["fts3_tokenizer", "load_extension", "sqlcipher_export"];

/// A value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// NULL.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text; what is no UTF-8 in it is replaced.
    Text(Cow<'a, str>),
    /// Bytes.
    Blob(&'a [u8]),
}

/// Takes an answer: the names of its columns, then each row.
pub trait AnswerSink {
    /// The columns' names, as many as every row has values.
    fn columns(&mut self, names: &[String]) -> io::Result<()>;
    /// The next row.
    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()>;
}

/// Why a question was not answered, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It would do more than read this store.
    #[error("only questions are answered here, and {what}")]
    Refused {
        /// What it would do.
        what: String,
    },
    /// It is no SQL, or names what is not there.
    #[error("{0}")]
    Wrong(rusqlite::Error),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Sink(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for AskError {
    fn from(error: rusqlite::Error) -> Self {
        let error = StoreError::from(error);
        if let StoreError::Sqlite(error) = error { Self::Wrong(error) } else { Self::Store(error) }
    }
}

impl Store {
    /// Answers one question into `sink`, row by row, and gives the sink back.
    ///
    /// Errors: see [`AskError`]; rows before it have gone to the sink.
    pub async fn ask<S>(&self, sql: String, mut sink: S) -> Result<S, AskError>
    where
        S: AnswerSink + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        let answered = tokio::task::spawn_blocking(move || {
            let mut connection = inner.file.reader()?;
            answer(&mut connection, &sql, &mut sink).map(|()| sink)
        });
        answered.await.unwrap_or(Err(AskError::Store(StoreError::Panicked)))
    }
}

fn answer(connection: &mut Connection, sql: &str, sink: &mut impl AnswerSink) -> Result<(), AskError> {
    let refused = confine(connection)?;
    let mut statement = connection.prepare(sql).map_err(|error| match (lock(&refused).take(), error) {
        (Some(what), _) => AskError::Refused { what },
        (None, rusqlite::Error::MultipleStatement) => {
            AskError::Refused { what: "these are several at once".to_owned() }
        }
        (None, error) => AskError::from(error),
    })?;
    let refuse = |what: &str| Err(AskError::Refused { what: what.to_owned() });
    if !statement.readonly() {
        return refuse("this would change something");
    }
    if statement.parameter_count() > 0 {
        return refuse("this one has parameters, for which there are no values");
    }
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    if names.is_empty() {
        return refuse("this asks for nothing");
    }
    sink.columns(&names).map_err(AskError::Sink)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let cells = (0..names.len()).map(|index| row.get_ref(index).map(cell));
        let cells: Vec<Cell<'_>> = cells.collect::<Result<_, _>>()?;
        sink.row(&cells).map_err(AskError::Sink)?;
    }
    Ok(())
}

fn cell(value: ValueRef<'_>) -> Cell<'_> {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    }
}

/// Takes every right from a connection but that to read.
///
/// Shape: where it is written down what was refused.
fn confine(connection: &mut Connection) -> rusqlite::Result<Arc<Mutex<Option<String>>>> {
    connection.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    let refused = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&refused);
    connection.authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| match refusal(&context.action) {
        None => Authorization::Allow,
        Some(what) => {
            *lock(&noted) = Some(what);
            Authorization::Deny
        }
    }))?;
    Ok(refused)
}

/// Why an action is not allowed; `None` if it is.
fn refusal(action: &AuthAction<'_>) -> Option<String> {
    if let AuthAction::Function { function_name } = action {
        let is_forbidden = FORBIDDEN_FUNCTIONS.iter().any(|name| name.eq_ignore_ascii_case(function_name));
        return is_forbidden.then(|| format!("{function_name}() reaches beyond the store"));
    }
    if let AuthAction::Pragma { pragma_name, pragma_value } = action {
        let is_among = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(pragma_name));
        let is_allowed = is_among(TELLING_OF) || (pragma_value.is_none() && is_among(TELLING));
        return (!is_allowed).then(|| format!("PRAGMA {pragma_name} is none of those that only tell something"));
    }
    if let AuthAction::Attach { .. } | AuthAction::Detach { .. } = action {
        return Some("ATTACH and DETACH open and close other files".to_owned());
    }
    let reads = matches!(action, AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive);
    (!reads).then(|| "this would change something".to_owned())
}
