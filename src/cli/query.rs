//! `passbook query SQL`: a question to the store, in the form of a table, CSV or JSON.

use std::io::{self, BufWriter, ErrorKind, Read as _, Stdout};
use std::path::Path;

use super::context::Context;
use super::{Exit, output};
use crate::store::{Access, AnswerSink, AskError, Cell, Store};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// One SELECT, or - to read it from standard input.
    sql: String,
    /// How the answer looks. CSV and JSON are written while they are read; a table needs all of it first.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Columns in line, for people; line breaks are spaces, and control characters are not shown.
    Table,
    /// A header and a line per row; NULL is empty, bytes are hexadecimal.
    Csv,
    /// A list of objects; numbers are exact, bytes are hexadecimal.
    Json,
}

pub(super) async fn query(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let sql = match arguments.sql.as_str() {
        "-" => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            text
        }
        sql => sql.to_owned(),
    };
    let context = Context::load_to_read(config)?;
    let store = context.open(Access::ReadOnly)?;
    let format = if arguments.json { Format::Json } else { arguments.format };
    match answer(&store, sql, format).await {
        // Whoever read the answer has seen enough.
        Err(AskError::Sink(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        other => Ok(other.map(|()| Exit::Done)?),
    }
}

async fn answer(store: &Store, sql: String, format: Format) -> Result<(), AskError> {
    match format {
        Format::Table => {
            let text = store.ask(sql, Table::default()).await?.text();
            output::print(&text).map_err(|error| AskError::Sink(io::Error::other(error)))
        }
        Format::Csv => store.ask(sql, Csv::new(io::stdout())).await?.0.flush().map_err(AskError::Sink),
        Format::Json => store.ask(sql, Json::new(BufWriter::new(io::stdout()))).await?.end().map_err(AskError::Sink),
    }
}

#[derive(Default)]
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
    /// Columns that hold something else than numbers.
    words: Vec<bool>,
}

impl Table {
    fn text(self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let numbers: Vec<usize> = (0..names.len()).filter(|index| !self.words[*index]).collect();
        output::table(&names, &numbers, self.rows)
    }
}

impl AnswerSink for Table {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.names = names.to_vec();
        self.words = vec![false; names.len()];
        Ok(())
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        for (is_word, cell) in self.words.iter_mut().zip(cells) {
            *is_word |= matches!(cell, Cell::Text(_) | Cell::Blob(_));
        }
        self.rows.push(cells.iter().map(plain).collect());
        Ok(())
    }
}

struct Csv(csv::Writer<Stdout>);

impl Csv {
    fn new(out: Stdout) -> Self {
        Self(csv::Writer::from_writer(out))
    }
}

impl AnswerSink for Csv {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        self.0.write_record(names).map_err(as_io)
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.0.write_record(cells.iter().map(plain)).map_err(as_io)
    }
}

/// What the system said, which tells a pipe that was closed.
fn as_io(error: csv::Error) -> io::Error {
    if error.is_io_error()
        && let csv::ErrorKind::Io(error) = error.into_kind()
    {
        return error;
    }
    io::Error::other("the answer does not fit into CSV")
}

/// A list of objects, one a line.
struct Json<W> {
    out: W,
    /// Each as JSON.
    names: Vec<String>,
    has_rows: bool,
}

impl<W: io::Write> Json<W> {
    fn new(out: W) -> Self {
        Self { out, names: Vec::new(), has_rows: false }
    }

    fn end(mut self) -> io::Result<()> {
        self.out.write_all(if self.has_rows { b"\n]\n" } else { b"[]\n" })?;
        self.out.flush()
    }
}

impl<W: io::Write> AnswerSink for Json<W> {
    fn columns(&mut self, names: &[String]) -> io::Result<()> {
        let mut taken: Vec<String> = Vec::new();
        for name in names {
            // Of two members with the same name a reader keeps one.
            let mut own = name.clone();
            let mut number = 1;
            while taken.contains(&own) {
                number += 1;
                own = format!("{name}:{number}");
            }
            self.names.push(serde_json::to_string(&own)?);
            taken.push(own);
        }
        Ok(())
    }

    fn row(&mut self, cells: &[Cell<'_>]) -> io::Result<()> {
        self.out.write_all(if self.has_rows { b",\n {" } else { b"[\n {" })?;
        self.has_rows = true;
        for (index, (name, cell)) in self.names.iter().zip(cells).enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(self.out, "{comma}{name}: ")?;
            match cell {
                Cell::Null => self.out.write_all(b"null")?,
                Cell::Integer(number) => write!(self.out, "{number}")?,
                // JSON knows no infinity; this is what SQLite writes for it, and what reads as it.
                Cell::Real(number) if number.is_infinite() => {
                    self.out.write_all(if number.is_sign_positive() { b"9.0e+999" } else { b"-9.0e+999" })?;
                }
                Cell::Real(number) => serde_json::to_writer(&mut self.out, number)?,
                Cell::Text(text) => serde_json::to_writer(&mut self.out, text.as_ref())?,
                Cell::Blob(bytes) => write!(self.out, "\"{}\"", hexadecimal(bytes))?,
            }
        }
        self.out.write_all(b"}")
    }
}

/// A value as text.
fn plain(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone().into_owned(),
        Cell::Blob(bytes) => hexadecimal(bytes),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_what_json_often_loses() {
        let mut json = Json::new(Vec::new());
        let names = ["n", "n", "r", "t", "b", "z"].map(str::to_owned);
        json.columns(&names).expect("written");
        let text = Cell::Text("a \"b\"\n\u{1}é".into());
        let cells = [
            Cell::Integer(i64::MIN),
            Cell::Integer(9_007_199_254_740_993),
            Cell::Real(0.1),
            text,
            Cell::Blob(&[0, 255]),
            Cell::Null,
        ];
        json.row(&cells).expect("written");
        json.row(&[Cell::Real(f64::INFINITY), Cell::Real(-0.0), Cell::Null, Cell::Null, Cell::Null, Cell::Null])
            .expect("written");
        let mut out = Vec::new();
        std::mem::swap(&mut out, &mut json.out);
        let mut text = String::from_utf8(out).expect("text");
        text.push_str("\n]");
        let first = r#"{"n": -9223372036854775808, "n:2": 9007199254740993, "r": 0.1, "t": "a \"b\"\n\u0001é", "b": "00ff", "z": null}"#;
        assert!(text.contains(first), "{text}");
        assert!(text.contains("\"n\": 9.0e+999, \"n:2\": -0.0"), "{text}");
    }

    #[test]
    fn an_answer_without_rows_is_an_empty_list() {
        let mut out = Vec::new();
        let mut json = Json::new(&mut out);
        json.columns(&["n".to_owned()]).expect("written");
        json.end().expect("written");
        assert_eq!(out, b"[]\n");
    }
}
