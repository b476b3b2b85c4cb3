//! The history explains every difference: what a row was, changed as its changes say, is what it is.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use xxhash_rust::xxh3::Xxh3;

use super::{Book, Verdict, push_text};
use crate::town::Town;

/// The columns that are followed.
const COLUMNS: [&str; 8] =
    ["upstream_id", "status", "amount_minor", "currency", "transacted_on", "posted_on", "description", "removed_at"];

/// Where they stand in an answer.
const PLACES: std::ops::Range<usize> = 2..2 + COLUMNS.len();

/// Ends each value of a line; no value has it.
const END: char = '\u{1f}';

/// Rows as they were at the last look.
#[derive(Default)]
pub(crate) struct History {
    rows: HashMap<i64, Line>,
    /// Upstream ids of links, also of those that are no longer stored.
    links: HashMap<i64, String>,
    last_change: i64,
    looks: u64,
}

/// A row as it was.
struct Line {
    link_id: i64,
    /// The values of the columns in one text: most rows stay as they are, and there are many.
    values: String,
    /// A hash of them as the store has them, which costs less to compare.
    hash: u64,
    /// The look that saw it last.
    seen: u64,
}

fn as_text(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// A row under way: what is known of each column.
type Known = Vec<Option<String>>;

impl History {
    pub(super) fn look(&mut self, book: &Book, town: &Town) -> Verdict {
        self.looks += 1;
        self.links.extend(book.rows("SELECT link_id, upstream_id FROM links", |row| Ok((row.get(0)?, row.get(1)?)))?);
        // Of customers who are forgotten anything may be gone, and ids of rows may be given anew.
        let forgotten = town.forgotten_links();
        let forgotten: HashSet<i64> =
            self.links.iter().filter(|(_, upstream_id)| forgotten.contains(*upstream_id)).map(|(id, _)| *id).collect();
        let gone: HashSet<i64> =
            self.rows.extract_if(|_, line| forgotten.contains(&line.link_id)).map(|(id, _)| id).collect();
        let known = self.follow_changes(book, &gone)?;
        self.compare(book, known, &forgotten)
    }

    /// The rows that have changes since the last look, as these say that they are now.
    fn follow_changes(&mut self, book: &Book, gone: &HashSet<i64>) -> Result<HashMap<i64, Known>, String> {
        let mut known: HashMap<i64, Known> = HashMap::new();
        let sql = format!(
            "SELECT change_id, transaction_id, kind, before, after FROM transaction_changes WHERE change_id > {}
             ORDER BY change_id",
            self.last_change
        );
        let changes = book.rows(&sql, |row| {
            let json = |at: usize| row.get::<_, Option<String>>(at);
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?, json(3)?, json(4)?))
        })?;
        for (change, id, kind, before, after) in changes {
            self.last_change = change;
            let was = self.rows.get(&id);
            if kind == "added" {
                if was.is_some() || known.insert(id, vec![None; COLUMNS.len()]).is_some() {
                    return Err(format!("history: transaction {id} was added twice"));
                }
                continue;
            }
            let row = match (known.entry(id), was) {
                (Entry::Occupied(row), _) => row.into_mut(),
                (Entry::Vacant(unknown), Some(line)) => {
                    unknown.insert(line.values.split_terminator(END).map(|value| Some(value.to_owned())).collect())
                }
                (Entry::Vacant(_), None) if gone.contains(&id) => continue,
                (Entry::Vacant(_), None) => {
                    return Err(format!("history: transaction {id} was {kind} before it was added"));
                }
            };
            follow(row, &parse(before), &parse(after))
                .map_err(|what| format!("history: change {change} of {id}: {what}"))?;
        }
        Ok(known)
    }

    /// Compares all rows but those of forgotten links.
    fn compare(&mut self, book: &Book, mut known: HashMap<i64, Known>, forgotten: &HashSet<i64>) -> Verdict {
        let seen = self.looks;
        let sql = format!("SELECT transaction_id, link_id, {} FROM transactions", COLUMNS.join(", "));
        let wrong = book.rows(&sql, |row| {
            let (id, link_id): (i64, i64) = (row.get(0)?, row.get(1)?);
            let hash = hash_of(row)?;
            let expected = match (known.remove(&id), self.rows.get_mut(&id)) {
                (None, Some(line)) if line.hash == hash => {
                    (line.link_id, line.seen) = (link_id, seen);
                    return Ok(None);
                }
                (Some(expected), _) => expected,
                (None, Some(line)) => line.values.split_terminator(END).map(|value| Some(value.to_owned())).collect(),
                (None, None) if forgotten.contains(&link_id) => vec![None; COLUMNS.len()],
                (None, None) => return Ok(Some(format!("history: transaction {id} came without a change"))),
            };
            let mut values = String::new();
            for at in PLACES {
                push_text(&mut values, row.get_ref(at)?);
                values.push(END);
            }
            let mut pairs = COLUMNS.iter().zip(values.split_terminator(END)).zip(expected);
            let wrong =
                pairs.find(|((_, value), expected)| expected.as_ref().is_some_and(|expected| expected != value));
            let wrong = wrong.map(|((column, value), expected)| {
                format!("history: {column} of transaction {id} is {value}, its changes say {expected:?}")
            });
            self.rows.insert(id, Line { link_id, values, hash, seen });
            Ok(wrong.filter(|_| !forgotten.contains(&link_id)))
        })?;
        if let Some(wrong) = wrong.into_iter().flatten().next() {
            return Err(wrong);
        }
        let mut unseen = self.rows.iter().filter(|(_, line)| line.seen != seen).map(|(id, _)| id).chain(known.keys());
        unseen.next().map_or(Ok(()), |id| Err(format!("history: transaction {id} is gone")))
    }
}

/// Of every value, and of where it ends.
fn hash_of(row: &Row<'_>) -> rusqlite::Result<u64> {
    let mut hash = Xxh3::new();
    for at in PLACES {
        match row.get_ref(at)? {
            ValueRef::Null => hash.update(&[0]),
            ValueRef::Integer(number) => hash.update(&number.to_le_bytes()),
            ValueRef::Real(number) => hash.update(&number.to_bits().to_le_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => hash.update(bytes),
        }
        hash.update(&[END as u8]);
    }
    Ok(hash.digest())
}

fn parse(text: Option<String>) -> Map<String, Value> {
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn follow(row: &mut Known, before: &Map<String, Value>, after: &Map<String, Value>) -> Verdict {
    for (column, known) in COLUMNS.iter().zip(row) {
        let Some(next) = after.get(*column) else { continue };
        let was = before.get(*column).map_or_else(|| "nothing".to_owned(), as_text);
        if known.as_ref().is_some_and(|known| *known != was) {
            return Err(format!("{column} was {was}, and {known:?} before"));
        }
        *known = Some(as_text(next));
    }
    Ok(())
}
