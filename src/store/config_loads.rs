//! The configurations that daemons worked by, and those they refused.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, named_params};

use super::{ReadTxn, StoreError, WriteTxn, instant, ms};

/// Rows that are kept, besides the one in use.
const KEPT: i64 = 100;

/// What became of a configuration that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadOutcome {
    /// A new process works by it.
    Started,
    /// A running process took it over.
    Applied,
    /// A running process kept its former one.
    Refused,
}

impl LoadOutcome {
    const ALL: [Self; 3] = [Self::Started, Self::Applied, Self::Refused];

    /// The word the store keeps.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }

    fn from_word(word: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.as_str() == word)
            .ok_or_else(|| StoreError::UnknownWord { column: "config_loads.outcome", value: word.to_owned() })
    }
}

/// A configuration that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigLoad {
    /// When.
    pub loaded_at: Timestamp,
    /// What became of it.
    pub outcome: LoadOutcome,
    /// What changed, or why it was refused.
    pub summary: String,
    /// What it asks for, as JSON; `None` where it was refused.
    pub plan: Option<String>,
}

fn load_row(row: &Row<'_>) -> rusqlite::Result<(i64, String, String, Option<String>)> {
    Ok((row.get("loaded_at")?, row.get("outcome")?, row.get("summary")?, row.get("plan")?))
}

fn load_of(
    (loaded_at, outcome, summary, plan): (i64, String, String, Option<String>),
) -> Result<ConfigLoad, StoreError> {
    Ok(ConfigLoad { loaded_at: instant(loaded_at), outcome: LoadOutcome::from_word(&outcome)?, summary, plan })
}

impl ReadTxn<'_> {
    /// The configuration that was read last; `None`: no daemon has worked on this store yet.
    pub fn last_config_load(&self) -> Result<Option<ConfigLoad>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT loaded_at, outcome, summary, plan FROM config_loads ORDER BY load_id DESC LIMIT 1",
        )?;
        select.query_row([], load_row).optional()?.map(load_of).transpose()
    }

    /// The configuration that the daemon works by, or worked by last.
    pub fn config_in_use(&self) -> Result<Option<ConfigLoad>, StoreError> {
        let mut select = self.txn.prepare_cached(
            "SELECT loaded_at, outcome, summary, plan FROM config_loads WHERE outcome <> 'refused'
             ORDER BY load_id DESC LIMIT 1",
        )?;
        select.query_row([], load_row).optional()?.map(load_of).transpose()
    }
}

impl WriteTxn<'_> {
    /// Notes that a configuration was read, and forgets those read long before.
    pub fn note_config_load(&self, load: &ConfigLoad) -> Result<(), StoreError> {
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO config_loads (loaded_at, outcome, summary, plan) VALUES (:at, :outcome, :summary, :plan)",
        )?;
        insert.execute(named_params! {
            ":at": ms(load.loaded_at), ":outcome": load.outcome.as_str(), ":summary": load.summary, ":plan": load.plan,
        })?;
        let mut forget = self.txn.prepare_cached(
            "DELETE FROM config_loads WHERE load_id <= :last - :kept
             AND load_id < (SELECT max(load_id) FROM config_loads WHERE outcome <> 'refused')",
        )?;
        forget.execute(named_params! { ":last": self.txn.last_insert_rowid(), ":kept": KEPT })?;
        Ok(())
    }
}
