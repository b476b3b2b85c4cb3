//! The ceiling: one prepared upsert in a loop, into the tables of `schema.sql`, with the pragmas of the store.
//!
//! Parts can be left out or added, to tell what each costs.

use std::path::Path;
use std::time::{Duration, Instant};

use passbook::aggregator::TransactionPage;
use passbook::model::{Status, TransactionRecord};
use rusqlite::{Connection, TransactionBehavior, params};

const SCHEMA: &str = include_str!("../../schema.sql");

/// What the loop does, and in which schema.
#[derive(Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each named by what it is")]
pub(crate) struct Parts {
    /// `raw` as JSONB; otherwise NULL.
    pub(crate) raw: bool,
    /// The CHECKs on civil days.
    pub(crate) day_checks: bool,
    /// The index on account and day.
    pub(crate) day_index: bool,
    /// `synchronous = FULL`; otherwise NORMAL.
    pub(crate) full: bool,
    /// A look whether the row is there before it is written.
    pub(crate) find: bool,
    /// A row in `transaction_changes`.
    pub(crate) change: bool,
}

impl Parts {
    /// The ceiling.
    pub(crate) const ALL: Self =
        Self { raw: true, day_checks: true, day_index: true, full: true, find: false, change: false };
}

/// A store that is filled by nothing but the loop.
pub(crate) struct Bare {
    connection: Connection,
    parts: Parts,
    next_change_id: i64,
}

impl Bare {
    #[expect(clippy::disallowed_methods, reason = "the ceiling is measured beside the store, not through it")]
    pub(crate) fn open(path: &Path, parts: Parts) -> Self {
        let connection = Connection::open(path).expect("a file");
        let mut schema = SCHEMA.to_owned();
        if !parts.day_checks {
            for column in ["transacted_on", "posted_on"] {
                schema = without(&schema, &format!("CHECK (date({column}, '+0 days') IS {column})"));
            }
        }
        if !parts.day_index {
            schema = without(&schema, "CREATE INDEX transactions_by_day ON transactions (account_id, transacted_on);");
        }
        connection.execute_batch(&format!("PRAGMA page_size = 8192; {schema}")).expect("the schema");
        let synchronous = if parts.full { "FULL" } else { "NORMAL" };
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).expect("WAL");
        // As src/store/open.rs configures its writer.
        connection
            .execute_batch(&format!(
                "PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;
                 PRAGMA wal_autocheckpoint = 10000; PRAGMA cache_size = -16384; PRAGMA journal_size_limit = 100000000;
                 INSERT INTO sources (source_id, name, aggregator, base_url, request_limit, request_window_ms,
                     refreshes_per_day, refresh_reserve, discover_due_at, first_seen_at)
                 VALUES (1, 'truv', 'truv', 'https://prod.truv.com', 300, 60000, 3, 1, 0, 0);
                 INSERT INTO users (user_id, source_id, upstream_id, first_seen_at) VALUES (1, 1, 'user', 0);"
            ))
            .expect("the pragmas");
        Self { connection, parts, next_change_id: 1 }
    }

    /// Writes a link's pages, each in a transaction of its own. Only that is timed.
    pub(crate) fn fill_link(&mut self, link: usize, pages: &[TransactionPage]) -> Duration {
        let link_id = i64::try_from(link + 1).unwrap_or(i64::MAX);
        self.connection
            .execute(
                "INSERT INTO links (link_id, source_id, user_id, upstream_id, due_at, first_seen_at)
                 VALUES (?1, 1, 1, ?1, 0, 0)",
                params![link_id],
            )
            .expect("a link");
        let mut account_ids = Vec::new();
        for account in &pages[0].accounts {
            self.connection
                .execute(
                    "INSERT INTO accounts (link_id, upstream_id, first_seen_at, changed_at) VALUES (?1, ?2, 0, 0)",
                    params![link_id, account.upstream_id],
                )
                .expect("an account");
            account_ids.push((account.upstream_id.clone(), self.connection.last_insert_rowid()));
        }
        let began = Instant::now();
        for page in pages {
            self.write_page(link_id, &account_ids, page).expect("a page");
        }
        began.elapsed()
    }

    fn write_page(
        &mut self,
        link_id: i64,
        account_ids: &[(String, i64)],
        page: &TransactionPage,
    ) -> rusqlite::Result<()> {
        let txn = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut upsert = txn.prepare_cached(
                "INSERT INTO transactions (link_id, account_id, upstream_id, external_id, status, amount_minor, memo_minor,
                     currency, transacted_at, transacted_on, posted_at, posted_on, description, merchant, category,
                     merchant_code, check_number, memo, latitude, longitude, operation_type, upstream_status,
                     posted_seen_at, first_seen_at, changed_at, content_hash, raw)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22, ?23, ?24, ?24, ?25, jsonb(?26))
                 ON CONFLICT (link_id, upstream_id) DO UPDATE SET status = excluded.status,
                     amount_minor = excluded.amount_minor, content_hash = excluded.content_hash, raw = excluded.raw
                 WHERE excluded.content_hash <> content_hash",
            )?;
            let mut find = txn.prepare_cached(
                "SELECT transaction_id, content_hash, removed_at IS NOT NULL FROM transactions
                 WHERE link_id = ?1 AND upstream_id = ?2",
            )?;
            let mut change = txn.prepare_cached(
                "INSERT INTO transaction_changes (change_id, transaction_id, sync_id, kind, changed_at, before, after)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for row in &page.rows {
                if self.parts.find && find.exists(params![link_id, row.upstream_id])? {
                    continue;
                }
                let account = account_ids.iter().find(|(id, _)| *id == row.upstream_account_id);
                let transaction_id = upsert_row(&mut upsert, link_id, account.map(|a| a.1), row, self.parts.raw)?;
                if self.parts.change {
                    let nothing: Option<&str> = None;
                    change.execute(params![
                        self.next_change_id,
                        transaction_id,
                        1,
                        "added",
                        row.transacted_at.map(jiff::Timestamp::as_millisecond),
                        nothing,
                        nothing
                    ])?;
                    self.next_change_id += 1;
                }
            }
        }
        txn.commit()
    }
}

fn upsert_row(
    upsert: &mut rusqlite::Statement<'_>,
    link_id: i64,
    account_id: Option<i64>,
    row: &TransactionRecord,
    keep_raw: bool,
) -> rusqlite::Result<i64> {
    let seen_at = row.transacted_at.map(jiff::Timestamp::as_millisecond);
    upsert.insert(params![
        link_id,
        account_id,
        row.upstream_id,
        row.external_id,
        row.status.as_str(),
        row.amount_minor,
        row.memo_minor,
        row.currency.as_str(),
        row.transacted_at.map(jiff::Timestamp::as_millisecond),
        row.transacted_on.to_string(),
        row.posted_at.map(jiff::Timestamp::as_millisecond),
        row.posted_on.map(|day| day.to_string()),
        row.description,
        row.merchant,
        row.category,
        row.merchant_code,
        row.check_number,
        row.memo,
        row.latitude,
        row.longitude,
        row.operation_type,
        row.upstream_status,
        (row.status == Status::Posted).then_some(seen_at),
        seen_at,
        row.content_hash,
        keep_raw.then_some(row.raw.as_str()),
    ])
}

/// The schema less one phrase, which must be in it.
fn without(schema: &str, phrase: &str) -> String {
    assert!(schema.contains(phrase), "schema.sql no longer says {phrase:?}");
    schema.replace(phrase, "")
}
