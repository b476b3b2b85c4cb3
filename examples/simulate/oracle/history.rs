//! The history explains every difference: what a row was, changed as its changes say, is what it is.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::{Book, Verdict};
use crate::town::Town;

/// The columns that are followed.
const COLUMNS: [&str; 8] =
    ["upstream_id", "status", "amount_minor", "currency", "transacted_on", "posted_on", "description", "removed_at"];

/// Rows as they were at the last look.
#[derive(Default)]
pub(crate) struct History {
    /// With the id of their link.
    rows: HashMap<i64, (Vec<String>, String)>,
    last_change: i64,
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
        let forgotten = town.forgotten_links();
        let (gone, stayed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.rows).into_iter().partition(|(_, (_, link))| forgotten.contains(link));
        let gone: HashSet<i64> = gone.into_iter().map(|(id, _)| id).collect();
        let mut known: HashMap<i64, Known> =
            stayed.into_iter().map(|(id, (row, _))| (id, row.into_iter().map(Some).collect())).collect();
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
            if kind == "added" {
                let row = vec![None; COLUMNS.len()];
                if known.insert(id, row).is_some() {
                    return Err(format!("history: transaction {id} was added twice"));
                }
                continue;
            }
            let Some(row) = known.get_mut(&id) else {
                if gone.contains(&id) {
                    continue;
                }
                return Err(format!("history: transaction {id} was {kind} before it was added"));
            };
            follow(row, &parse(before), &parse(after))
                .map_err(|what| format!("history: change {change} of {id}: {what}"))?;
        }
        self.compare(book, &known, &forgotten)
    }

    /// Compares all rows but those of customers who are forgotten, of which anything may be gone; their ids are given anew.
    fn compare(&mut self, book: &Book, known: &HashMap<i64, Known>, forgotten: &HashSet<String>) -> Verdict {
        let columns = COLUMNS.map(|column| format!("t.{column}")).join(", ");
        let sql =
            format!("SELECT transaction_id, l.upstream_id, {columns} FROM transactions t JOIN links l USING (link_id)");
        let stored = book.texts(&sql)?;
        for mut row in stored {
            let id: i64 = row.remove(0).parse().unwrap_or(0);
            let link = row.remove(0);
            if forgotten.contains(&link) {
                self.rows.insert(id, (row, link));
                continue;
            }
            let Some(expected) = known.get(&id) else {
                return Err(format!("history: transaction {id} came without a change"));
            };
            for ((column, value), expected) in COLUMNS.iter().zip(&row).zip(expected) {
                if expected.as_ref().is_some_and(|expected| expected != value) {
                    return Err(format!(
                        "history: {column} of transaction {id} is {value}, its changes say {expected:?}"
                    ));
                }
            }
            self.rows.insert(id, (row, link));
        }
        match known.keys().find(|id| !self.rows.contains_key(*id)) {
            Some(id) => Err(format!("history: transaction {id} is gone")),
            None => Ok(()),
        }
    }
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
