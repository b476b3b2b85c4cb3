//! What is asked for every link, every sync or every few seconds never walks along a table that grows with the customers.

#[path = "shared/sources.rs"]
mod sources;

use std::path::Path;

use rusqlite::Connection;

use sources::files_below;

/// Tables with a row for every source, file or setting, but not for every customer.
const SMALL: [&str; 9] = [
    "sources",
    "store_meta",
    "config_loads",
    "backups",
    "currencies",
    "institutions",
    "source_days",
    "sync_totals",
    "request_totals",
];

/// Where a table is walked along, and why that may be.
const MAY_WALK: [(&str, &str); 12] = [
    ("report.rs", "counts, for people"),
    ("report/", "lists, for people"),
    ("figures.rs", "totals, for monitoring"),
    ("verify.rs", "looks at everything"),
    ("verify/", "looks at everything"),
    ("convert/", "copies everything"),
    ("fingerprint.rs", "reads everything"),
    ("erasures/progress.rs", "one row for each customer who was forgotten"),
    ("erasures/begin.rs", "one row for each customer who was forgotten"),
    ("erasures/tests.rs", "a test"),
    ("accounts/split.rs", "what an operator undoes, once"),
    ("links.rs", "every link was asked for"),
];

#[test]
fn what_is_asked_all_the_time_walks_along_no_table_that_grows() {
    let connection = schema();
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let (mut asked, mut walks) = (0, Vec::new());
    for file in files_below(&store) {
        let path = file.strip_prefix(&store).expect("below").to_string_lossy().into_owned();
        if MAY_WALK.iter().any(|(room, _)| path.starts_with(room)) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source file");
        for sql in statements(&text) {
            match walked(&connection, &sql) {
                Ok(walked) if walked.is_empty() => asked += 1,
                Ok(walked) => walks.push(format!("{path}: {walked:?}: {sql}")),
                // The beginning of one that is put together.
                Err(error) if error.to_string().contains("incomplete input") => {}
                Err(error) => panic!("{path}: {error}\n{sql}"),
            }
        }
    }
    assert!(asked > 120, "only {asked} statements were found");
    assert!(walks.is_empty(), "{}", walks.join("\n\n"));
}

#[test]
fn a_walk_is_seen_as_one() {
    let connection = schema();
    let walked = |sql: &str| walked(&connection, sql).expect("a plan");
    assert_eq!(walked("SELECT 1 FROM accounts a WHERE a.name = :name"), ["accounts"]);
    assert_eq!(walked("UPDATE users SET removed_at = :now WHERE external_id = :id"), ["users"]);
    assert!(walked("SELECT 1 FROM accounts a WHERE a.account_id = :id").is_empty());
    assert!(walked("SELECT 1 FROM webhook_events WHERE handled_at IS NULL ORDER BY webhook_event_id").is_empty());
}

/// Events are kept by the hundred thousand: for a page not all of them are sorted, and for the few that wait not all are read. A
/// link has hundreds of refreshes a year, and each step of a sync asks for the one that is under way.
#[test]
fn of_what_is_kept_for_long_no_more_is_read_than_asked_for() {
    let connection = schema();
    let store = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for (file, begins, way) in [
        ("erasures/rows.rs", "SELECT webhook_event_id, json(body)", "USING INTEGER PRIMARY KEY (rowid>?)"),
        ("webhooks.rs", "SELECT (SELECT max(received_at)", "USING INDEX webhook_events_waiting"),
        ("refreshes.rs", "SELECT refresh_id, sync_id, requested_at", "USING INDEX refreshes_open"),
    ] {
        let text = std::fs::read_to_string(store.join(file)).expect("a source file");
        let sql = statements(&text).into_iter().find(|sql| sql.starts_with(begins)).expect(begins);
        let steps = steps(&connection, &sql).expect("a plan");
        let has = |words: &str| steps.iter().any(|step| step.detail.contains(words));
        assert!(has(way) && !has("TEMP B-TREE"), "{file}: {steps:#?}");
    }
}

/// A check may read every table from end to end, but none for each row of another: that takes hours where there are millions.
#[test]
fn a_check_of_everything_walks_along_each_table_once() {
    let connection = schema();
    let again = |sql: &str| walked_again(&connection, sql).expect("a plan");
    let text = include_str!("../src/store/verify/checks.rs");
    let checks: Vec<String> = statements(text);
    assert!(checks.len() >= 20, "{} of them", checks.len());
    for sql in checks {
        assert_eq!(again(&sql), [""; 0], "{sql}");
    }
    let latest = "SELECT (SELECT c.kind FROM transaction_changes c WHERE c.transaction_id = t.transaction_id \
                  ORDER BY c.change_id DESC LIMIT 1) FROM transactions t";
    assert_eq!(again(latest), ["transaction_changes"]);
    assert_eq!(again("SELECT 1 FROM accounts a JOIN accounts b ON b.name > a.name"), ["accounts"]);
}

fn schema() -> Connection {
    let connection = Connection::open_in_memory().expect("memory");
    connection.execute_batch(include_str!("../schema.sql")).expect("the schema");
    connection
}

/// Every statement that a file holds as one literal; those put together when they run are left out.
fn statements(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('"') {
        let literal = &rest[start + 1..];
        let mut end = 0;
        while let Some(quote) = literal[end..].find(['"', '\\']) {
            end += quote;
            if literal[end..].starts_with('"') {
                break;
            }
            end += 2;
        }
        let sql = &literal[..end];
        let verb = sql.split_whitespace().next().unwrap_or_default();
        let is_whole = !sql.contains(['{', '\\']) && sql.split_whitespace().count() > 3;
        if ["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"].contains(&verb) && is_whole {
            found.push(sql.to_owned());
        }
        rest = literal.get(end + 1..).unwrap_or_default();
    }
    found
}

/// A step of a statement's plan.
#[derive(Debug)]
struct PlanStep {
    id: i64,
    parent: i64,
    detail: String,
}

fn steps(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<PlanStep>> {
    let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(PlanStep { id: row.get("id")?, parent: row.get("parent")?, detail: row.get("detail")? });
    }
    Ok(steps)
}

/// The tables that grow and that a statement walks along; a partial index is short by its making.
fn walked(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let steps = steps(connection, sql)?;
    Ok(steps.iter().filter_map(|step| walks_along(connection, sql, step)).map(str::to_owned).collect())
}

/// Those that a statement walks along for each row of something else.
fn walked_again(connection: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let steps = steps(connection, sql)?;
    let reads = |step: &PlanStep| step.detail.starts_with("SCAN ") || step.detail.starts_with("SEARCH ");
    let is_correlated = |step: &PlanStep| {
        let parent = |of: &PlanStep| steps.iter().find(|step| step.id == of.parent);
        std::iter::successors(parent(step), |step| parent(step)).any(|step| step.detail.starts_with("CORRELATED"))
    };
    let again = steps.iter().enumerate().filter(|(nth, step)| {
        let is_inner = steps[..*nth].iter().any(|outer| outer.parent == step.parent && reads(outer));
        is_inner || is_correlated(step)
    });
    Ok(again.filter_map(|(_, step)| walks_along(connection, sql, step)).map(str::to_owned).collect())
}

/// The table that grows and that a step walks along.
fn walks_along<'s>(connection: &Connection, sql: &'s str, step: &'s PlanStep) -> Option<&'s str> {
    let words: Vec<&str> = step.detail.split_whitespace().collect();
    let ["SCAN", of, how @ ..] = words.as_slice() else { return None };
    let table = table_of(of, sql);
    let index = how.iter().position(|word| *word == "INDEX").and_then(|at| how.get(at + 1));
    let is_partial = index.is_some_and(|index| is_partial(connection, index));
    (!is_partial && !SMALL.contains(&table) && has_table(connection, table)).then_some(table)
}

/// The table that a name stands for in a statement.
fn table_of<'a>(name: &'a str, sql: &'a str) -> &'a str {
    let words: Vec<&str> = sql.split(|c: char| c.is_whitespace() || "(),;".contains(c)).collect();
    let named = words.windows(3).find(|w| ["FROM", "JOIN"].contains(&w[0]) && w[2] == name && !w[1].is_empty());
    named.map_or(name, |w| w[1])
}

fn is_partial(connection: &Connection, index: &str) -> bool {
    let sql = "SELECT sql LIKE '% WHERE %' FROM sqlite_schema WHERE type = 'index' AND name = ?1";
    connection.query_row(sql, [index], |row| row.get(0)).unwrap_or(false)
}

fn has_table(connection: &Connection, name: &str) -> bool {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.prepare_cached(sql).and_then(|mut select| select.exists([name])).unwrap_or(false)
}
