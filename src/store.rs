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
mod archive;
mod ask;
mod backup;
mod backups;
mod catalog;
mod changes;
mod config_loads;
mod convert;
mod days;
mod erasures;
mod error;
mod figures;
mod file;
mod fingerprint;
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
mod restore;
mod retention;
mod sealed;
mod second_look;
mod snapshot;
mod sources;
mod syncs;
mod transactions;
mod trouble;
mod usage;
mod users;
mod verify;
mod wal;
mod webhooks;
mod workplace;

use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::secret::Sealer;

pub use accounts::Continued;
pub use alerts::{AlertKind, AlertPolicy, Burst, DueAlert, Settled, Way};
pub use archive::{PackError, UnpackError};
pub use ask::{AnswerSink, AskError, Cell};
pub use backup::{BackupError, ContentError};
pub use backups::{Backup, BackupGlance};
pub use changes::{ChangedTransaction, FeedChange, FeedPage};
pub use config_loads::{ConfigLoad, LoadOutcome};
pub use convert::{ConvertError, ConvertOptions, Converted, Progress, convert};
pub use days::SourceDay;
pub use erasures::{Certificate, ERASED_TABLES, Erased, Erasure, IdKind, PastEvent, UpstreamIds, UpstreamOutcome};
pub use error::{StoreError, is_sqlite_code};
pub use figures::{Figures, OVERDUE, RequestTotals, SourceFigures, StoreSize, SyncTotals};
pub use file::cipher_settings;
pub use fingerprint::Fingerprint;
pub use invites::{Invite, InviteRow, InviteState, MAX_BEGINNINGS, NewInvite, TokenHash};
pub use links::{
    Agenda, Due, DueLink, KnownLink, LinkDetail, LinkOutline, LinkState, NewLink, Phase, RemovedBy, Upserted,
};
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
pub use restore::{RestoreError, Restored, restore};
pub use retention::{Kept, OldRows};
pub use snapshot::{SnapshotError, snapshot_made_at};
pub use sources::{SourceRow, SourceSettings};
pub use syncs::{EndedSync, Outcome, SyncCounts, SyncEnd};
pub use transactions::{AliasRule, Cursor, FeedPosition, KnownRow, LikeRow, PageWriter, RowWrite, StoredRow};
pub use trouble::{Trouble, TroubleKind};
pub use usage::UsageRow;
pub use users::{DueUser, UserAccount};
pub use verify::{Finding, VerifyReport};
pub use wal::WalHeld;
pub use webhooks::{EventHour, EventSummary, NewEvent, WaitingEvent};
pub use workplace::{Gate, Moment};

/// An open store. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    file: file::StoreFile,
    /// There until the store is dropped.
    writer: Mutex<Option<Connection>>,
    readers: Mutex<Vec<Connection>>,
    sealer: Sealer,
    /// Opened for writing, so with the store's own key. Reports are read without any.
    opens_secrets: bool,
    keep_raw: bool,
    /// One backup or published copy at a time.
    copying: Mutex<()>,
    /// Readers hold more of the write-ahead log than the operator allows.
    is_wal_over_limit: AtomicBool,
    /// What keeps the file from working.
    troubles: Mutex<trouble::Troubles>,
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

impl WriteTxn<'_> {
    /// Carries out a statement that is compiled once for each connection.
    ///
    /// Shape: how many rows it changed.
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> rusqlite::Result<usize> {
        self.txn.prepare_cached(sql)?.execute(parameters)
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
        let result = self.0.workplace.run(Moment::Read, move || inner.read_now(f)).await;
        self.0.note(&result, false);
        result
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
        let written = self.0.workplace.run(Moment::Commit, move || Ok(inner.write_now(f))).await;
        let (result, is_stored) = written.unwrap_or_else(|error| (Err(error), false));
        self.0.note(&result, is_stored);
        result
    }

    /// Moves the WAL into the file and cuts it, as far as readers allow; called when the daemon is idle and at its end.
    ///
    /// Shape: the bytes the WAL still has afterwards; above zero means that a reader holds it.
    pub async fn checkpoint(&self) -> Result<u64, StoreError> {
        let inner = Arc::clone(&self.0);
        let left = self
            .0
            .workplace
            .run(Moment::Read, move || {
                let wal_bytes = || std::fs::metadata(file::wal_path(inner.file.path())).map_or(0, |m| m.len());
                if let Some(connection) = lock(&inner.writer).as_ref().filter(|_| wal_bytes() > 0) {
                    inner.refuse_damaged()?;
                    file::checkpoint(connection)?;
                }
                Ok(wal_bytes())
            })
            .await;
        self.0.note_checkpoint(&left);
        left
    }

    /// Makes every write fail as where the file system was mounted read-only, so that tests can.
    pub async fn forbid_writes(&self, is_forbidden: bool) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Commit, move || {
                if let Some(connection) = lock(&inner.writer).as_mut() {
                    connection.pragma_update(None, "query_only", is_forbidden)?;
                }
                Ok(())
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
    /// [`Store::read`] for whoever is on a blocking thread already.
    fn read_now<T>(&self, f: impl FnOnce(&ReadTxn<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut connection = self.take_reader()?;
        let result = {
            let txn = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
            f(&ReadTxn { txn, sealer: &self.sealer, opens_secrets: self.opens_secrets, keep_raw: self.keep_raw })
        };
        lock(&self.readers).push(connection);
        result
    }

    /// [`Store::write`] for whoever is on a blocking thread already.
    ///
    /// Shape: with it, whether anything was changed, committed or not.
    fn write_now<T>(&self, f: impl FnOnce(&WriteTxn<'_>) -> Result<T, StoreError>) -> (Result<T, StoreError>, bool) {
        let mut writer = lock(&self.writer);
        let Some(connection) = writer.as_mut() else {
            return (Err(StoreError::from(rusqlite::Error::InvalidQuery)), false);
        };
        let before = connection.total_changes();
        let result = self.refuse_damaged().and_then(|()| self.write_on(connection, f));
        (result, connection.total_changes() != before)
    }

    fn write_on<T>(
        &self,
        connection: &mut Connection,
        f: impl FnOnce(&WriteTxn<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let txn = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let txn =
            WriteTxn(ReadTxn { txn, sealer: &self.sealer, opens_secrets: self.opens_secrets, keep_raw: self.keep_raw });
        let value = f(&txn)?;
        txn.0.txn.commit()?;
        Ok(value)
    }

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
            file::close(connection);
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
