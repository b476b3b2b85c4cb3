//! Questions to the store, as a person and a script ask them.

use std::io::{Read as _, Write as _};
use std::process::Stdio;

use passbook::sandbox::Served;

use super::desk::{Desk, text};

/// More rows than any pipe holds.
const MANY: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 200000) SELECT i FROM n";

fn desk() -> Desk {
    let desk = Desk::at(Served::Truv, 1);
    desk.ends_with(0, &["run", "--once"]);
    desk
}

#[test]
fn one_question_is_answered_in_three_forms() {
    let desk = desk();
    let sql = "SELECT 9007199254740993 AS n, 'a,b' AS t, NULL AS z, x'00ff' AS b, 0.5 AS r";
    assert_eq!(
        desk.ends_with(0, &["query", "--format", "csv", sql]),
        "n,t,z,b,r\n9007199254740993,\"a,b\",,00ff,0.5\n"
    );
    let expected = "[\n {\"n\": 9007199254740993, \"t\": \"a,b\", \"z\": null, \"b\": \"00ff\", \"r\": 0.5}\n]\n";
    assert_eq!(desk.ends_with(0, &["query", "--json", sql]), expected);
    assert_eq!(desk.ends_with(0, &["query", "--format", "json", sql]), expected);
    let table = desk.ends_with(0, &["query", "SELECT source, count(*) AS links FROM v_link_health GROUP BY 1"]);
    assert!(table.contains("source") && table.contains("bank"), "{table}");
    let rows = desk.json(0, &["query", "--json", "SELECT * FROM v_transactions"]);
    assert_eq!(rows.as_array().map(Vec::len), Some(desk.rows()));
    assert_eq!(desk.ends_with(0, &["query", "--json", "SELECT 1 AS n WHERE 0"]), "[]\n");
    assert_eq!(desk.ends_with(0, &["query", "--format", "csv", MANY]).lines().count(), 200_001);
}

#[test]
fn a_question_may_come_on_standard_input() {
    let desk = desk();
    let mut command = desk.bare();
    command.arg("--config").arg(desk.config()).args(["query", "--json", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("a pipe").write_all(b"SELECT 1 AS n;\n-- nothing more\n").expect("written");
    let output = child.wait_with_output().expect("ends");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "[\n {\"n\": 1}\n]\n".to_owned()));
}

#[test]
fn what_would_do_more_than_read_is_refused() {
    let desk = desk();
    let other = desk.dir.path().join("other.db");
    let attach = format!("ATTACH '{}' AS other", other.display());
    let vacuum = format!("VACUUM INTO '{}'", other.display());
    for sql in [
        "DELETE FROM transactions",
        "INSERT INTO store_meta VALUES ('a', 1)",
        "UPDATE links SET attention = NULL",
        "CREATE TABLE a (b)",
        "CREATE TEMP TABLE a (b)",
        "DROP VIEW v_transactions",
        attach.as_str(),
        vacuum.as_str(),
        "DETACH main",
        "SELECT load_extension('x')",
        "PRAGMA query_only = OFF",
        "PRAGMA user_version = 7",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA key = 'x'",
        "PRAGMA rekey = 'x'",
        "BEGIN IMMEDIATE",
        "SAVEPOINT a",
        "REINDEX",
        "ANALYZE",
        "SELECT 1; SELECT 2",
        "SELECT ?1",
        "",
        "/* nothing */",
    ] {
        let output = desk.passbook(&["query", sql]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{sql}: {said}");
        assert!(said.contains("only questions are answered here"), "{sql}: {said}");
        assert!(!other.exists() && output.stdout.is_empty(), "{sql}");
    }
    let output = desk.passbook(&["query", "SELEC 1"]);
    assert!(text(&output.stderr).contains("syntax error") && output.status.code() == Some(2));
    let output = desk.passbook(&["query", "SELECT nothing FROM nowhere"]);
    assert!(text(&output.stderr).contains("nowhere") && output.status.code() == Some(2));
    for sql in [
        "PRAGMA user_version",
        "PRAGMA table_info(links)",
        "PRAGMA integrity_check",
        "EXPLAIN QUERY PLAN SELECT 1",
        "SELECT name FROM pragma_table_info('links')",
        "SELECT value FROM json_each('[1, 2]')",
    ] {
        desk.ends_with(0, &["query", sql]);
    }
}

#[test]
fn whoever_has_seen_enough_may_go() {
    let desk = desk();
    for format in ["csv", "json"] {
        let mut command = desk.bare();
        command.arg("--config").arg(desk.config()).args(["query", "--format", format, MANY]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut beginning = [0; 10];
        child.stdout.take().expect("a pipe").read_exact(&mut beginning).expect("an answer");
        let output = child.wait_with_output().expect("ends");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()), "{format}");
    }
}
