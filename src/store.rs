//! The store: one SQLite file, one write connection, any number of readers.
//!
//! All SQL lives in this module and its children. Everything above reaches the file through [`Store::read`] and
//! [`Store::write`], which run a closure on a blocking thread inside a transaction; the write side is immediate and commits
//! when the closure returns `Ok`, so nobody can forget to. What the closures can do are the methods of [`ReadTxn`] and
//! [`WriteTxn`], one file per noun.
//!
//! What must stay true: a cursor moves only in the transaction that stores the rows it covers; a file that is damaged,
//! foreign, sealed with another key or newer than this program is refused and left as it was.

mod accounts;
mod alerts;
mod ask;
mod catalog;
mod changes;
mod config_loads;
mod convert;
mod days;
mod erasures;
mod figures;
mod file;
mod holdings;
mod invites;
mod links;
mod lock;
mod migrate;
mod news;
mod open;
mod query;
mod refreshes;
mod rekey;
mod report;
mod retention;
mod sealed;
mod sources;
mod syncs;
mod transactions;
mod usage;
mod users;
mod verify;
mod webhooks;
mod workplace;

use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::secret::{SealError, Sealer};

pub use accounts::Continued;
pub use alerts::{AlertKind, AlertPolicy, Burst, DueAlert, Settled, Way};
pub use ask::{AnswerSink, AskError, Cell};
pub use changes::{ChangedTransaction, FeedChange, FeedPage};
pub use config_loads::{ConfigLoad, LoadOutcome};
pub use convert::{ConvertError, ConvertOptions, Converted, Progress, convert};
pub use days::SourceDay;
pub use erasures::{ERASED_TABLES, Erased, Erasure, IdKind, PastEvent, UpstreamIds, UpstreamOutcome};
pub use figures::{Figures, OVERDUE, RequestTotals, SourceFigures, StoreSize, SyncTotals};
pub use file::cipher_settings;
pub use invites::{Invite, InviteRow, InviteState, MAX_BEGINNINGS, NewInvite, TokenHash};
pub use links::{Due, DueLink, KnownLink, LinkDetail, LinkState, NewLink, Phase, RemovedBy, Upserted};
pub use lock::{LockError, StoreLock};
pub use news::{NewsLink, NewsRefresh, NewsUser, SETTLE};
pub use open::{Access, OpenError, OpenOptions};
pub use query::QueryAnswer;
pub use refreshes::{NewRefresh, OpenRefresh, RefreshOutcome, RefreshUse};
pub use rekey::{RekeyError, RekeyOptions, Rekeyed, rekey};
pub use report::{
    AccountSummary, BalancePoint, CONSENT_NEAR, ContinuedAccount, EventRow, HealthRow, LinkFilter, LinkOrder, LinkPage,
    LinkTotals, LoanSummary, MAX_WAITING_COUNTED, ReconciledPair, RefreshRow, SourceGlance, SourceLoad, SourceReport,
    StalestLink, Surroundings, SyncRow, UserRow, WebhookGlance,
};
pub use retention::{Kept, OldRows};
pub use sources::{SourceRow, SourceSettings};
pub use syncs::{EndedSync, Outcome, SyncCounts, SyncEnd};
pub use transactions::{AliasRule, Cursor, FeedPosition, KnownRow, PageWriter, RowWrite, StoredRow};
pub use usage::UsageRow;
pub use users::{DueUser, UserAccount};
pub use verify::{Finding, VerifyReport};
pub use webhooks::{EventHour, EventSummary, NewEvent, WaitingEvent};
pub use workplace::{Gate, Moment};

/// Why an operation on an open store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk (or the page limit) is full: nothing of this operation was stored; free space and it goes on.
    #[error("the disk is full: nothing was stored; free some space, the next sync goes on from here")]
    Full,
    /// Another process held the file too long; nothing was stored, try later.
    #[error("the store is locked by another process; try again when it is done")]
    Busy,
    /// The file cannot be written; nothing was stored.
    #[error("the store cannot be written: {0}")]
    ReadOnly(#[source] rusqlite::Error),
    /// The file is damaged: stop, restore a backup.
    #[error("the store is damaged: {0}; stop the daemon and restore a backup")]
    Damaged(#[source] rusqlite::Error),
    /// A sealed value does not open.
    #[error("a sealed value in {table}.{column} row {row_id} does not open: {source}")]
    Sealed {
        /// Its table.
        table: &'static str,
        /// Its column.
        column: &'static str,
        /// Its row.
        row_id: i64,
        /// What failed.
        source: SealError,
    },
    /// A value in the store is none that this program writes.
    #[error("{column} holds {value:?}, which this program does not know")]
    UnknownWord {
        /// Where it stands.
        column: &'static str,
        /// What stands there.
        value: String,
    },
    /// The row asked for is not there.
    #[error("{what} {id} is not in the store")]
    Missing {
        /// What kind of row.
        what: &'static str,
        /// Its id.
        id: i64,
    },
    /// It is a customer's who was forgotten or is being forgotten: nothing of theirs is stored again.
    #[error(
        "this customer was forgotten, and nothing of theirs is stored again; `passbook users erasures` says how far that is"
    )]
    Forgotten,
    /// The closure panicked; its transaction was rolled back.
    #[error("a store operation panicked; nothing of it was stored")]
    Panicked,
    /// Anything else SQLite reports.
    #[error(transparent)]
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Self::Busy,
            Some(Code::ReadOnly) => Self::ReadOnly(error),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Damaged(error),
            _ => Self::Sqlite(error),
        }
    }
}

/// An open store. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    file: file::StoreFile,
    /// Dropped without closing: a clean close would delete the WAL, and then a reader of another user, who may not create
    /// files here, could not open the store.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    sealer: Sealer,
    /// Opened for writing, so with the store's own key. Reports are read without any.
    opens_secrets: bool,
    keep_raw: bool,
    workplace: workplace::Workplace,
}

/// A read transaction: one consistent view of the store.
pub struct ReadTxn<'c> {
    txn: Transaction<'c>,
    sealer: &'c Sealer,
    opens_secrets: bool,
    keep_raw: bool,
}

/// An immediate write transaction.
pub struct WriteTxn<'c>(ReadTxn<'c>);

impl<'c> Deref for WriteTxn<'c> {
    type Target = ReadTxn<'c>;

    fn deref(&self) -> &ReadTxn<'c> {
        &self.0
    }
}

impl Store {
    /// The file's path.
    pub fn path(&self) -> &Path {
        self.0.file.path()
    }

    /// Runs every later operation where it is awaited instead of on a thread of its own, and asks `gate` before and after each.
    ///
    /// For simulations: one thread then decides what happens in which order, and where the gate says no, nothing more happens,
    /// as in a process that was killed there. The first gate stays.
    pub fn work_in_place(&self, gate: Gate) {
        self.0.workplace.work_in_place(gate);
    }

    /// Runs `f` on a consistent view of the store.
    ///
    /// Errors: whatever `f` returns, and [`StoreError::Panicked`] if it panics.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTxn<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Read, move || {
                let mut connection = inner.take_reader()?;
                let result = {
                    let txn = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
                    f(&ReadTxn {
                        txn,
                        sealer: &inner.sealer,
                        opens_secrets: inner.opens_secrets,
                        keep_raw: inner.keep_raw,
                    })
                };
                lock(&inner.readers).push(connection);
                result
            })
            .await
    }

    /// Runs `f` in an immediate transaction and commits it if `f` returns `Ok`.
    ///
    /// Errors: whatever `f` returns, and [`StoreError::Panicked`] if it panics; nothing of it is stored then.
    /// After a crash: all of `f`'s writes are there or none.
    pub async fn write<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&WriteTxn<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Commit, move || {
                let mut writer = lock(&inner.writer);
                let connection = writer.as_mut().ok_or_else(|| StoreError::from(rusqlite::Error::InvalidQuery))?;
                let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let txn = WriteTxn(ReadTxn {
                    txn,
                    sealer: &inner.sealer,
                    opens_secrets: inner.opens_secrets,
                    keep_raw: inner.keep_raw,
                });
                let value = f(&txn)?;
                txn.0.txn.commit()?;
                Ok(value)
            })
            .await
    }

    /// Moves the WAL into the file and cuts it, as far as readers allow; called when the daemon is idle and at its end.
    ///
    /// Shape: the bytes the WAL still has afterwards; above zero means that a reader holds it.
    pub async fn checkpoint(&self) -> Result<u64, StoreError> {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Read, move || {
                if let Some(connection) = lock(&inner.writer).as_ref() {
                    file::checkpoint(connection)?;
                }
                Ok(std::fs::metadata(file::wal_path(inner.file.path())).map_or(0, |m| m.len()))
            })
            .await
    }

    /// Limits the file to `pages` pages, so that tests can fill the disk.
    pub async fn limit_pages(&self, pages: u32) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Commit, move || {
                if let Some(connection) = lock(&inner.writer).as_mut() {
                    connection.pragma_update(None, "max_page_count", pages)?;
                }
                Ok(())
            })
            .await
    }
}

impl Inner {
    fn take_reader(&self) -> Result<Connection, StoreError> {
        match lock(&self.readers).pop() {
            Some(connection) => Ok(connection),
            None => self.file.reader().map_err(StoreError::from),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(connection) = lock(&self.writer).take() {
            // Best effort: what stays in the WAL is read from there.
            let _ = file::checkpoint(&connection);
            std::mem::forget(connection);
        }
    }
}

/// A panic under the lock rolled its transaction back; the connection is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// Reads an instant column; a value no clock could have written becomes the end of time.
fn instant(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX)
}
