//! What must be true, and how it is found out: the store read as an analyst reads it, the world as its bank knows it, the
//! requests as the aggregators saw them.

mod alerts;
mod forgotten;
mod history;
mod ledger;
mod limits;
mod links;
mod rows;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use passbook::sandbox::World;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

pub(crate) use history::History;
use ledger::Ledger;
pub(crate) use limits::Limits;

use crate::on_call::OnCall;
use crate::plan::MINUTE;
use crate::town::Town;

/// One step of a sync takes this long at most: `sync_deadline`, which no plan changes.
const STEP_WITHIN: i64 = 15 * MINUTE;

/// What was found wrong.
pub(crate) type Verdict = Result<(), String>;

/// Keeps what a later look compares with.
#[derive(Default)]
pub(crate) struct Oracle {
    pub(crate) history: History,
    pub(crate) limits: Limits,
    ledger: Ledger,
    /// Who is told of links that need a person, and how long such a link has; `None`: nobody.
    pub(crate) on_call: Option<(OnCall, i64)>,
    /// How much was looked at.
    pub(crate) checks: u64,
}

/// How much must have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What incremental reads show.
    Incremental,
    /// Everything.
    Reconciled,
}

/// A reader of the store.
pub(crate) struct Book(Connection);

impl Book {
    #[expect(clippy::disallowed_methods, reason = "the oracle reads as an analyst does, with a connection of its own")]
    pub(crate) fn open(path: &std::path::Path) -> Result<Self, String> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags).map(Self).map_err(|error| format!("the store cannot be read: {error}"))
    }

    /// Shows each row of what a query answers.
    fn visit(&self, sql: &str, mut see: impl FnMut(&Row<'_>) -> rusqlite::Result<()>) -> Verdict {
        let explain = |error: rusqlite::Error| format!("{sql}: {error}");
        let mut statement = self.0.prepare(sql).map_err(explain)?;
        let mut rows = statement.query([]).map_err(explain)?;
        while let Some(row) = rows.next().map_err(explain)? {
            see(row).map_err(explain)?;
        }
        Ok(())
    }

    /// What a query answers, each row by `read`.
    fn rows<T>(&self, sql: &str, mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>) -> Result<Vec<T>, String> {
        let mut answer = Vec::new();
        self.visit(sql, |row| read(row).map(|value| answer.push(value)))?;
        Ok(answer)
    }

    /// The same with every value as text.
    fn texts(&self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        self.rows(sql, |row| (0..row.as_ref().column_count()).map(|at| row.get_ref(at).map(text)).collect())
    }

    /// The one number that a query answers.
    pub(crate) fn number(&self, sql: &str) -> Result<i64, String> {
        self.0.query_row(sql, [], |row| row.get(0)).map_err(|error| format!("{sql}: {error}"))
    }

    /// The latest sync.
    pub(crate) fn last_sync(&self) -> Result<i64, String> {
        self.number("SELECT coalesce(max(sync_id), 0) FROM syncs")
    }

    /// Links, by upstream id, that a sync after `sync_id` brought up to date.
    pub(crate) fn read_since(&self, sync_id: i64) -> Result<HashSet<String>, String> {
        let sql = format!(
            "SELECT DISTINCT l.upstream_id FROM syncs s JOIN links l USING (link_id)
             WHERE s.sync_id > {sync_id} AND s.outcome = 'ok'"
        );
        Ok(self.rows(&sql, |row| row.get(0))?.into_iter().collect())
    }

    /// What stands still while nothing is written about the data of a link, by its upstream id.
    pub(crate) fn pulse(&self) -> Result<BTreeMap<String, Vec<i64>>, String> {
        let changes = "JOIN transactions USING (transaction_id) JOIN links USING (link_id)";
        let mut pulse: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (what, of, links) in [
            ("count(*)", "transaction_changes", changes),
            ("sum(changed_at % 1000003)", "transactions", "JOIN links USING (link_id)"),
            ("count(*)", "balances", "JOIN accounts USING (account_id) JOIN links USING (link_id)"),
            ("sum(changed_at % 1000003)", "accounts", "JOIN links USING (link_id)"),
            ("count(*)", "transaction_aliases", "JOIN links USING (link_id)"),
        ] {
            let sql = format!("SELECT links.upstream_id, {what} FROM {of} {links} GROUP BY links.link_id");
            for (link, number) in self.rows(&sql, |row| Ok((row.get(0)?, row.get(1)?)))? {
                pulse.entry(link).or_default().push(number);
            }
        }
        Ok(pulse)
    }
}

impl Oracle {
    /// What must be true at any instant.
    pub(crate) fn look(&mut self, book: &Book, town: &Town) -> Verdict {
        self.limits.look(&town.bank)?;
        self.history.look(book, town)?;
        self.ledger.look(book)?;
        rows::none_twice(book, town)?;
        links::no_panic(book)?;
        self.checks += 5;
        Ok(())
    }

    /// What must be true once nothing has happened for a while; returns the links in order, by upstream id.
    pub(crate) fn look_at_rest(
        &mut self,
        book: &Book,
        town: &Town,
        depth: Depth,
        clock: (i64, i64),
    ) -> Result<HashSet<String>, String> {
        self.look(book, town)?;
        let world: World = town.bank.served();
        forgotten::nothing_left(book, town, &world)?;
        let well = links::states(book, town, clock)?;
        rows::equal(book, town, &world, &well, depth)?;
        rows::removals(book, town)?;
        if depth == Depth::Reconciled {
            rows::continuity(book, town)?;
        }
        limits::refreshes(book, town, &world, &self.limits)?;
        links::none_starved(book, town, &world, &well, clock)?;
        if let Some((on_call, grace_ms)) = &self.on_call {
            alerts::told(book, town, on_call, *grace_ms, clock.0 + clock.1)?;
            self.checks += 1;
        }
        self.checks += 7;
        Ok(well)
    }
}

fn text(value: ValueRef<'_>) -> String {
    let mut text = String::new();
    push_text(&mut text, value);
    text
}

/// Adds a value as text.
fn push_text(to: &mut String, value: ValueRef<'_>) {
    // Writing to a text cannot fail.
    let _ = match value {
        ValueRef::Null => write!(to, "NULL"),
        ValueRef::Integer(number) => write!(to, "{number}"),
        ValueRef::Real(number) => write!(to, "{number}"),
        ValueRef::Text(text) => write!(to, "{}", String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => write!(to, "{} bytes", bytes.len()),
    };
}
