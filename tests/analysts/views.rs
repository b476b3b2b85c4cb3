//! The views of `schema.sql`: what stands in their outermost SELECT, and from which table each column comes.

use std::collections::BTreeMap;

use crate::schema::{Column, Entity, code_of, comment_of, continue_with};

/// Reads the lines behind `CREATE VIEW name AS`; columns that are plain ones of a table or view before it keep what is said there.
pub(crate) fn view(name: &str, body: &[&str], before: &[Entity]) -> Entity {
    let mut about = String::new();
    let mut rest = body;
    while let Some((line, after)) = rest.split_first()
        && code_of(line).trim().is_empty()
    {
        continue_with(&mut about, comment_of(line).unwrap_or_default());
        rest = after;
    }
    let outermost = rest.iter().rposition(|line| code_of(line).starts_with("SELECT")).expect("a SELECT");
    let (list, sources) = split_at_from(&rest[outermost..]);
    let aliases = aliases(&sources);
    let columns = list.into_iter().map(|(expression, comment)| column(&expression, comment, &aliases, before));
    Entity { name: name.to_owned(), is_view: true, about, columns: columns.collect(), ..Entity::default() }
}

/// The expressions of the list with their comments, and the code from FROM on.
///
/// A comment of its own line stands above its expression; one behind code belongs to the expression that ends there.
fn split_at_from(lines: &[&str]) -> (Vec<(String, String)>, String) {
    let mut list: Vec<(String, String)> = Vec::new();
    let (mut open, mut above, mut depth) = (String::new(), String::new(), 0_i32);
    for (at, line) in lines.iter().enumerate() {
        let code = code_of(line).trim().trim_start_matches("SELECT ");
        if depth == 0 && code.starts_with("FROM ") {
            push(&mut list, &mut open, &mut above);
            return (list, lines[at..].iter().map(|line| code_of(line)).collect::<Vec<_>>().join(" "));
        }
        let comment = comment_of(line).unwrap_or_default();
        if code.is_empty() {
            continue_with(&mut above, comment);
            continue;
        }
        let mut is_quoted = false;
        for c in code.chars() {
            is_quoted ^= c == '\'';
            match c {
                '(' if !is_quoted => depth += 1,
                ')' if !is_quoted => depth -= 1,
                _ => {}
            }
            if c == ',' && depth == 0 && !is_quoted {
                push(&mut list, &mut open, &mut above);
            } else {
                open.push(c);
            }
        }
        open.push(' ');
        if !comment.is_empty() {
            let ended = open.trim().is_empty();
            let text = if ended { list.last_mut().map(|(_, text)| text) } else { Some(&mut above) };
            continue_with(text.expect("an expression"), comment);
        }
    }
    panic!("a SELECT without FROM: {lines:?}")
}

fn push(list: &mut Vec<(String, String)>, open: &mut String, above: &mut String) {
    let expression = open.split_whitespace().collect::<Vec<_>>().join(" ");
    open.clear();
    list.push((expression, std::mem::take(above)));
}

/// Which table each name in FROM stands for; the empty name is the only one there is.
fn aliases(from: &str) -> BTreeMap<String, String> {
    let words: Vec<&str> = from.split_whitespace().map(|word| word.trim_end_matches(';')).collect();
    let mut aliases = BTreeMap::new();
    for (at, word) in words.iter().enumerate() {
        if *word != "FROM" && *word != "JOIN" {
            continue;
        }
        let table = words.get(at + 1).copied().unwrap_or_default();
        let alias = words.get(at + 2).copied().unwrap_or_default();
        aliases.insert(if alias.len() <= 1 { alias.to_owned() } else { String::new() }, table.to_owned());
    }
    aliases
}

fn column(expression: &str, comment: String, aliases: &BTreeMap<String, String>, before: &[Entity]) -> Column {
    let (value, name) = match expression.rsplit_once(" AS ") {
        Some((value, name)) => (value, name),
        None => (expression, expression.rsplit('.').next().unwrap_or_default()),
    };
    let (alias, field) = value.split_once('.').unwrap_or(("", value));
    let is_plain = field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let table = aliases.get(alias).filter(|_| is_plain);
    let source = table.and_then(|table| before.iter().find(|entity| entity.name == *table)?.column(field));
    // What stands in a view under the same name as in one before it and is not said anew is the same.
    let namesake = || before.iter().filter(|entity| entity.is_view).find_map(|entity| entity.column(name));
    let is_own_id = name.ends_with("_id") && !name.starts_with("upstream_");
    let told = source
        .filter(|column| !column.comment.is_empty())
        .or_else(|| namesake().filter(|_| !is_own_id))
        .map(|column| column.comment.clone());
    Column {
        name: name.to_owned(),
        comment: if comment.is_empty() { told.unwrap_or_default() } else { comment },
        origin: table.filter(|_| source.is_some()).map(|table| (table.clone(), field.to_owned())),
        declared: declared(value, source, aliases, before),
        ..source.map(|source| Column { heading: String::new(), ..source.clone() }).unwrap_or_default()
    }
}

/// The type of a value: that of the column it is, or of the first one it may be; an expression with text in it is text.
fn declared(value: &str, source: Option<&Column>, aliases: &BTreeMap<String, String>, before: &[Entity]) -> String {
    if let Some(source) = source {
        return source.declared.clone();
    }
    let first = value.strip_prefix("coalesce(").and_then(|rest| rest.split([',', ')']).next());
    let of_first = first.and_then(|first| {
        let (alias, field) = first.split_once('.')?;
        let table = aliases.get(alias)?;
        Some(before.iter().find(|entity| entity.name == *table)?.column(field)?.declared.clone())
    });
    let is_text = value.starts_with("CASE") && value.contains("THEN '")
        || value.contains("printf(")
        || value.starts_with("substr(");
    of_first.unwrap_or_else(|| if is_text { "TEXT" } else { "INTEGER" }.to_owned())
}

#[test]
fn columns_of_a_view_keep_what_their_table_says_and_have_comments_of_their_own() {
    let accounts = Entity {
        name: "accounts".to_owned(),
        columns: vec![Column { name: "mask".to_owned(), comment: "last digits".to_owned(), ..Column::default() }],
        ..Entity::default()
    };
    let body = [
        "-- About it.",
        "WITH x AS (",
        "    SELECT 1 FROM y",
        ")",
        "SELECT a.mask AS digits,",
        "       -- one",
        "       -- of two",
        "       CASE WHEN a.z = ',' THEN (1) END AS chosen, s.name, -- as it is",
        "       count(*) AS rows -- how many",
        "FROM accounts a JOIN sources s ON s.x = a.x",
        "WHERE z;",
    ];
    let view = view("v", &body, &[accounts]);
    assert_eq!(view.about, "About it.");
    let read: Vec<_> = view.columns.iter().map(|c| (c.name.as_str(), c.comment.as_str(), c.origin.is_some())).collect();
    assert_eq!(
        read,
        [
            ("digits", "last digits", true),
            ("chosen", "one of two", false),
            ("name", "as it is", false),
            ("rows", "how many", false)
        ]
    );
}
