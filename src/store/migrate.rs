//! Migrations: numbered steps from every released schema to `schema.sql`.
//!
//! A step is one immediate transaction with the version bump inside, so a crash leaves the store at a whole version. Steps
//! are never edited after release. A test upgrades every old schema and compares the result with `schema.sql`.

use rusqlite::Connection;

/// The whole current schema.
pub(super) const SCHEMA: &str = include_str!("../../schema.sql");
/// Its version, `PRAGMA user_version`.
pub(super) const SCHEMA_VERSION: u32 = 1;
/// `PRAGMA application_id` of a passbook store: the letters `PBK1`.
pub(super) const APPLICATION_ID: u32 = 0x5042_4B31;

/// The step from version `.0` to the next.
const MIGRATIONS: &[(u32, &str)] = &[];

/// Why a migration stopped.
#[derive(Debug, thiserror::Error)]
#[error("migrating the store from schema version {from} failed: {source}; the store is still at version {from}")]
pub struct MigrateError {
    from: u32,
    source: rusqlite::Error,
}

/// Brings a store at version `found` to [`SCHEMA_VERSION`].
pub(super) fn run(connection: &Connection, found: u32) -> Result<(), MigrateError> {
    run_steps(connection, found, MIGRATIONS)
}

fn run_steps(connection: &Connection, found: u32, steps: &[(u32, &str)]) -> Result<(), MigrateError> {
    for (from, sql) in steps.iter().filter(|(from, _)| *from >= found) {
        let step = format!("BEGIN IMMEDIATE; {sql}; PRAGMA user_version = {}; COMMIT;", from + 1);
        connection.execute_batch(&step).map_err(|source| {
            let _ = connection.execute_batch("ROLLBACK");
            MigrateError { from: *from, source }
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(connection: &Connection) -> u32 {
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version")
    }

    #[test]
    fn steps_run_in_order_and_a_failing_one_leaves_the_version_before_it() {
        let connection = Connection::open_in_memory().expect("memory");
        let steps: &[(u32, &str)] =
            &[(0, "CREATE TABLE a (x)"), (1, "CREATE TABLE b (x)"), (2, "CREATE TABLE c (x); CREATE TABLE b (x)")];
        let error = run_steps(&connection, 1, steps).expect_err("the last step fails");
        assert_eq!(error.from, 2);
        assert_eq!(version(&connection), 2);
        let tables: i64 =
            connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).expect("a count");
        assert_eq!(tables, 1, "only b: step 0 was not due, step 2 rolled back whole");
    }

    #[test]
    fn the_schema_states_its_own_version() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SCHEMA).expect("schema.sql runs");
        assert_eq!(version(&connection), SCHEMA_VERSION);
        let application: u32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).expect("an id");
        assert_eq!(application, APPLICATION_ID);
    }
}
