//! Every column that is sealed, for whoever has to go through all of them.

/// A column of sealed values, bound to the integer id of their row.
pub(super) struct SealedColumn {
    pub(super) table: &'static str,
    pub(super) column: &'static str,
    /// The next values: `row_id` and `sealed` of the rows after `:after`, `:limit` of them, in the order of their ids.
    pub(super) next: &'static str,
    /// Puts `:sealed` in the row `:row_id`.
    pub(super) put: &'static str,
}

macro_rules! sealed_column {
    ($table:literal, $column:literal, $id:literal) => {
        SealedColumn {
            table: $table,
            column: $column,
            next: concat!(
                "SELECT ",
                $id,
                " AS row_id, ",
                $column,
                " AS sealed FROM ",
                $table,
                " WHERE ",
                $column,
                " IS NOT NULL AND ",
                $id,
                " > :after ORDER BY ",
                $id,
                " LIMIT :limit"
            ),
            put: concat!("UPDATE ", $table, " SET ", $column, " = :sealed WHERE ", $id, " = :row_id"),
        }
    };
}

/// All of them but `store_meta.key_check`, which proves the key.
pub(super) const SEALED: &[SealedColumn] = &[
    sealed_column!("links", "access_token_sealed", "link_id"),
    sealed_column!("account_numbers", "account_number_sealed", "account_number_id"),
    sealed_column!("account_numbers", "routing_number_sealed", "account_number_id"),
    sealed_column!("invites", "email_sealed", "invite_id"),
    sealed_column!("erasures", "upstream_id_sealed", "erasure_id"),
    sealed_column!("erasure_keys", "key_sealed", "erasure_key_id"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rusqlite::Connection;

    use super::*;
    use crate::store::migrate::SCHEMA;

    #[test]
    fn every_sealed_column_of_the_schema_is_known_here() {
        let connection = Connection::open_in_memory().expect("memory");
        connection.execute_batch(SCHEMA).expect("schema.sql runs");
        let mut select = connection
            .prepare(
                r"SELECT m.name, c.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c
                  WHERE m.type = 'table' AND c.name LIKE '%\_sealed' ESCAPE '\'",
            )
            .expect("a query");
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        let in_schema: BTreeSet<(String, String)> = rows.collect::<Result<_, _>>().expect("rows");
        let known = SEALED.iter().map(|c| (c.table.to_owned(), c.column.to_owned()));
        assert_eq!(known.collect::<BTreeSet<_>>(), in_schema);
        for column in SEALED {
            connection.prepare(column.next).expect(column.next);
            connection.prepare(column.put).expect(column.put);
        }
    }
}
