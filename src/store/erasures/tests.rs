//! No table is forgotten when somebody is.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::ERASED_TABLES;
use crate::store::migrate::SCHEMA;

/// Tables that an erasure leaves as they are, and why nothing in them is anybody's.
const KEPT: &[(&str, &str)] = &[
    ("store_meta", "facts about the file"),
    ("config_loads", "what our own configuration said; it names no customer"),
    ("currencies", "codes"),
    ("sources", "our own credentials; a text in discover_error that names the customer is cleared"),
    ("institutions", "banks, which others have too"),
    ("categories", "the aggregator's own list"),
    ("erasures", "the certificates: the sealed id goes when the aggregator has deleted the customer"),
    ("forgotten_ids", "keyed hashes"),
    ("erased_accounts", "our own ids of accounts that are not here any more"),
    ("erasure_keys", "the sealed key of those hashes"),
    ("sync_totals", "sums over a source"),
    ("request_usage", "requests by source and minute"),
    ("request_totals", "requests by source"),
    ("source_days", "sums over a source and day"),
    ("backups", "when backups were made and what they are called; those made before still hold the customer"),
];

/// Columns by which a row could be somebody's.
const OWNERS: &[&str] =
    &["user_id", "link_id", "account_id", "transaction_id", "upstream_id", "external_id", "raw", "body"];

/// Kept tables with such a column, and why that is well.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("institutions", "upstream_id"),
    ("categories", "upstream_id"),
    // While an erasure is under way.
    ("erasures", "user_id"),
    ("erased_accounts", "account_id"),
];

fn schema() -> Connection {
    let connection = Connection::open_in_memory().expect("memory");
    connection.execute_batch(SCHEMA).expect("schema.sql runs");
    connection
}

fn names(connection: &Connection, sql: &str, of: &str) -> Vec<String> {
    let mut select = connection.prepare(sql).expect(sql);
    let rows = select.query_map([of], |row| row.get(0)).expect(sql);
    rows.collect::<Result<_, _>>().expect(sql)
}

#[test]
fn every_table_is_erased_or_nobodys() {
    let connection = schema();
    let tables = names(&connection, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> ?1", "");
    let tables: BTreeSet<&str> = tables.iter().map(String::as_str).collect();
    let known: BTreeSet<&str> = ERASED_TABLES.iter().copied().chain(KEPT.iter().map(|(table, _)| *table)).collect();
    let unknown: Vec<_> = tables.difference(&known).collect();
    assert!(unknown.is_empty(), "does an erasure delete a customer's rows in {unknown:?}? See store/erasures/rows.rs");
    assert_eq!(known.difference(&tables).count(), 0, "{known:?}");
    assert_eq!(known.len(), ERASED_TABLES.len() + KEPT.len(), "no table is in both lists");
}

#[test]
fn nothing_that_stays_leads_to_a_customer() {
    let connection = schema();
    for (table, _) in KEPT {
        for column in names(&connection, "SELECT name FROM pragma_table_info(?1)", table) {
            let is_exception = EXCEPTIONS.contains(&(*table, column.as_str()));
            assert!(is_exception || !OWNERS.contains(&column.as_str()), "{table}.{column}");
        }
        for parent in names(&connection, "SELECT \"table\" FROM pragma_foreign_key_list(?1)", table) {
            assert!(!ERASED_TABLES.contains(&parent.as_str()), "{table} refers to {parent}");
        }
    }
}

#[test]
fn every_reference_among_erased_tables_has_an_index() {
    // Else each row that is deleted has all rows read that might refer to it.
    let connection = schema();
    for table in ERASED_TABLES {
        let parents = names(&connection, "SELECT \"from\" FROM pragma_foreign_key_list(?1)", table);
        for column in parents.iter().filter(|column| !matches!(column.as_str(), "source_id" | "institution_id")) {
            let sql = "SELECT i.name FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) i ON i.seqno = 0
                       JOIN sqlite_schema s ON s.name = l.name WHERE l.partial = 0 OR s.sql LIKE '%WHERE ' || i.name || ' IS NOT NULL'
                       UNION SELECT name FROM pragma_table_info(?1) WHERE pk = 1";
            let indexed = names(&connection, sql, table);
            assert!(indexed.contains(column), "{table}.{column}");
        }
    }
}
