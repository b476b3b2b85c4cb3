//! `schema.sql` read as documentation: every table with what its comments say of it and of its columns.
//!
//! SQLite decides what there is; the parser only adds the comments, and a test holds the two against each other.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::views;

const SCHEMA: &str = include_str!("../../schema.sql");
/// Comments at most this far in stand for themselves; further in they continue that of a column.
const COLUMN_INDENT: usize = 4;

/// A table or a view.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entity {
    pub(crate) name: String,
    pub(crate) is_view: bool,
    pub(crate) about: String,
    pub(crate) columns: Vec<Column>,
    /// What makes a row one of its kind, beside the primary key.
    pub(crate) keys: Vec<String>,
    /// Columns of the indexes, with the rows they are for.
    pub(crate) indexes: Vec<String>,
}

/// A column with all that is said of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// SQLite's word for its type; empty where an expression has none.
    pub(crate) declared: String,
    pub(crate) is_nullable: bool,
    pub(crate) is_primary_key: bool,
    /// The table it refers to.
    pub(crate) references: Option<String>,
    /// The values that a CHECK allows, in its order.
    pub(crate) values: Vec<String>,
    /// What stands above it and those that follow.
    pub(crate) heading: String,
    pub(crate) comment: String,
    /// For a view: the table or view and the column it comes from.
    pub(crate) origin: Option<(String, String)>,
}

impl Entity {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// The schema, executed.
pub(crate) fn connection() -> Connection {
    let connection = Connection::open_in_memory().expect("memory");
    connection.execute_batch(SCHEMA).expect("the schema executes");
    connection
}

/// Every table and view, in the order of the file.
pub(crate) fn entities() -> Vec<Entity> {
    assert!(!SCHEMA.contains("/*"), "comments of this kind are not read");
    let mut entities: Vec<Entity> = Vec::new();
    let mut lines = SCHEMA.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
            let name = rest.split_whitespace().next().expect("a name");
            let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with(')')).collect();
            entities.push(table(name, &body));
        } else if let Some(rest) = line.strip_prefix("CREATE VIEW ") {
            let name = rest.split_whitespace().next().expect("a name");
            let mut body = Vec::new();
            for line in lines.by_ref() {
                body.push(line);
                if code_of(line).trim_end().ends_with(';') {
                    break;
                }
            }
            entities.push(views::view(name, &body, &entities));
        } else if let Some(rest) = line.strip_prefix("CREATE ").map(|rest| rest.trim_start_matches("UNIQUE "))
            && let Some(index) = rest.strip_prefix("INDEX ")
        {
            let (_, on) = index.split_once(" ON ").expect("a table");
            let (table, columns) = on.split_once(' ').expect("columns");
            let entity = entities.iter_mut().find(|entity| entity.name == table).expect("a known table");
            entity.indexes.push(columns.trim_end_matches(';').to_owned());
        }
    }
    entities
}

/// The code of a line, without its comment.
pub(crate) fn code_of(line: &str) -> &str {
    let mut is_quoted = false;
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\'' => is_quoted = !is_quoted,
            b'-' if !is_quoted && bytes.get(at + 1) == Some(&b'-') => return &line[..at],
            _ => {}
        }
    }
    line
}

/// The comment of a line.
pub(crate) fn comment_of(line: &str) -> Option<&str> {
    line[code_of(line).len()..].strip_prefix("--").map(str::trim)
}

/// Puts a further line of prose behind what there is.
pub(crate) fn continue_with(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push(' ');
    }
    text.push_str(more);
}

fn table(name: &str, body: &[&str]) -> Entity {
    let mut entity = Entity { name: name.to_owned(), ..Entity::default() };
    // Each definition with its comment; the last one may still be open.
    let mut definitions: Vec<(String, String, String)> = Vec::new();
    let (mut depth, mut is_open, mut heading, mut was_heading) = (0_i32, false, String::new(), false);
    for line in body {
        let (code, comment) = (code_of(line).trim(), comment_of(line));
        let is_own_line = code.is_empty();
        if !is_own_line {
            if !is_open {
                definitions.push((String::new(), String::new(), heading.clone()));
            }
            let definition = &mut definitions.last_mut().expect("one is open").0;
            continue_with(definition, code);
            depth += parentheses(code);
            is_open = !(depth == 0 && code.ends_with(','));
        }
        let indent = line.len() - line.trim_start().len();
        match comment {
            Some(comment) if is_own_line && definitions.is_empty() => continue_with(&mut entity.about, comment),
            Some(comment) if is_own_line && indent <= COLUMN_INDENT => {
                if !was_heading {
                    heading.clear();
                }
                continue_with(&mut heading, comment);
            }
            Some(comment) => continue_with(&mut definitions.last_mut().expect("a column").1, comment),
            None => {}
        }
        was_heading = is_own_line && indent <= COLUMN_INDENT;
    }
    for (definition, comment, heading) in definitions {
        let definition = definition.trim_end_matches(',');
        let first = definition.split([' ', '(']).next().unwrap_or_default();
        if ["UNIQUE", "PRIMARY", "FOREIGN", "CHECK", "CONSTRAINT"].contains(&first) {
            entity.keys.push(definition.to_owned());
        } else {
            entity.columns.push(column(definition, comment, heading));
        }
    }
    entity
}

/// How many more parentheses a piece of code opens than it closes.
fn parentheses(code: &str) -> i32 {
    code.split('\'')
        .step_by(2)
        .flat_map(str::chars)
        .map(|c| match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        })
        .sum()
}

fn column(definition: &str, comment: String, heading: String) -> Column {
    let mut words = definition.split_whitespace();
    let (name, declared) = (words.next().expect("a name"), words.next().expect("a type"));
    let after = |word: &str| definition.split_once(word).map(|(_, rest)| rest);
    let is_primary_key = definition.contains(" PRIMARY KEY");
    Column {
        name: name.to_owned(),
        declared: declared.to_owned(),
        is_nullable: !definition.contains(" NOT NULL") && !is_primary_key,
        is_primary_key,
        references: after(" REFERENCES ").and_then(|rest| rest.split_whitespace().next()).map(str::to_owned),
        values: after(" CHECK (").map(allowed).unwrap_or_default(),
        heading,
        comment,
        origin: None,
    }
}

/// The values that a CHECK lists, as `x IN (…)` or `x = … OR x = …`; none where it says something else.
fn allowed(check: &str) -> Vec<String> {
    if check.contains(" IN (0, 1)") {
        return vec!["0".to_owned(), "1".to_owned()];
    }
    let lists = check.contains(" IN (") || check.contains(" = '");
    check.split('\'').skip(1).step_by(2).filter(|_| lists).map(str::to_owned).collect()
}

/// What SQLite knows: the columns of each table and view, with whether they may be NULL.
pub(crate) fn as_sqlite_knows_it() -> BTreeMap<String, Vec<(String, String, bool)>> {
    let connection = connection();
    let mut names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'")
        .expect("a query");
    let names: Vec<String> =
        names.query_map([], |row| row.get(0)).expect("rows").map(|name| name.expect("a name")).collect();
    let mut known = BTreeMap::new();
    for name in names {
        let mut select = connection
            .prepare("SELECT name, type, \"notnull\" OR pk FROM pragma_table_xinfo(?1) ORDER BY cid")
            .expect("a query");
        let rows = select.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, bool>(2)?)));
        let columns = rows.expect("rows").map(|row| row.expect("a column")).collect();
        known.insert(name, columns);
    }
    known
}

#[test]
fn the_comments_are_read_into_the_columns_that_sqlite_knows() {
    let known = as_sqlite_knows_it();
    let entities = entities();
    assert_eq!(entities.len(), known.len());
    for entity in &entities {
        let columns: Vec<_> = known[&entity.name].iter().map(|(name, ..)| name.as_str()).collect();
        let read: Vec<_> = entity.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(read, columns, "{}", entity.name);
        if entity.is_view {
            continue;
        }
        for (column, (name, declared, is_set)) in entity.columns.iter().zip(&known[&entity.name]) {
            assert_eq!(&column.declared, declared, "{}.{name}", entity.name);
            assert_eq!(column.is_nullable, !is_set, "{}.{name}", entity.name);
        }
    }
}

#[test]
fn comments_over_several_lines_belong_to_one_column_and_those_above_to_the_next() {
    let body = [
        "    -- One row per thing.",
        "    -- Never deleted.",
        "    thing_id INTEGER PRIMARY KEY,",
        "    state    TEXT NOT NULL CHECK (state IN ('a -- b',",
        "                                            'c')),  -- what is",
        "                                   -- the case; NULL: never",
        "    -- what follows is about the end",
        "    ended_at INTEGER,              -- when",
        "    UNIQUE (state, ended_at)",
    ];
    let read = table("things", &body);
    assert_eq!(read.about, "One row per thing. Never deleted.");
    let [thing_id, state, ended_at] = read.columns.as_slice() else { panic!("{read:#?}") };
    assert!(thing_id.is_primary_key && thing_id.comment.is_empty());
    assert_eq!(state.values, ["a -- b", "c"]);
    assert_eq!((state.comment.as_str(), state.heading.as_str()), ("what is the case; NULL: never", ""));
    assert_eq!((ended_at.comment.as_str(), ended_at.heading.as_str()), ("when", "what follows is about the end"));
    assert_eq!(read.keys, ["UNIQUE (state, ended_at)"]);
}
