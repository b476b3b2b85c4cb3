//! What keeps the whole store from working, for as long as it does: known to whoever asks, told to the log once.
//!
//! Every read and write passes here when it fails, so nobody above has to remember what failed before. Trouble begins with the
//! first failure that is about the file rather than about what was asked of it, and ends with the first write that is
//! committed; on a full or failing disk only after some minutes without a failure, because small writes find room there that
//! large ones do not. Two kinds are special: one met while the write-ahead log is moved into the file ends when that works,
//! because commits go on meanwhile; and a damaged file is not written any more, because each write may do more harm, until a check
//! of the whole file finds nothing wrong with it (see `second_look`).

use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::named_params;
use tokio::time::Instant;

use super::second_look::Looks;
use super::{Inner, Store, StoreError};

/// How often the log is reminded of trouble that lasts.
const REMIND_EVERY: Duration = Duration::from_hours(1);
/// How long a disk that was full must not have been so any more: longer than a lane rests.
const CALM: Duration = Duration::from_mins(3);
/// What a try writes: as much as some pages of transactions.
const PROBE_BYTES: u32 = 128 * 1024;

/// What is wrong with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TroubleKind {
    /// No space is left.
    Full,
    /// It may not be written.
    ReadOnly,
    /// The file system does not read or write it.
    Io,
    /// Another process holds its lock.
    Locked,
    /// It is damaged.
    Damaged,
}

impl TroubleKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Full, Self::ReadOnly, Self::Io, Self::Locked, Self::Damaged];

    /// The word for it in logs, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ReadOnly => "read_only",
            Self::Io => "io",
            Self::Locked => "locked",
            Self::Damaged => "damaged",
        }
    }
}

/// Trouble that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub kind: TroubleKind,
    /// When it was first met.
    pub since: Instant,
    /// Whether nothing can be stored; otherwise only the write-ahead log cannot be moved into the file.
    pub stops_writes: bool,
    /// The error as it is told to people.
    pub said: String,
}

/// The trouble there is.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    writing: Option<Episode>,
    checkpointing: Option<Episode>,
}

#[derive(Debug)]
struct Episode {
    trouble: Trouble,
    /// When the log heard of it last.
    told_at: Instant,
    /// When it was met last.
    met_at: Instant,
    /// When a damaged file is checked.
    looks: Looks,
}

impl Troubles {
    /// The checks of a file that is damaged; `None`: it is not known to be.
    pub(super) fn looks(&mut self) -> Option<&mut Looks> {
        let episode = self.writing.as_mut().filter(|episode| episode.trouble.kind == TroubleKind::Damaged)?;
        Some(&mut episode.looks)
    }
}

impl Episode {
    /// Whether a write that was committed ends it.
    fn is_over(&self, now: Instant) -> bool {
        match self.trouble.kind {
            TroubleKind::Damaged => false,
            TroubleKind::Full | TroubleKind::Io => now.duration_since(self.met_at) >= CALM,
            TroubleKind::ReadOnly | TroubleKind::Locked => true,
        }
    }
}

impl StoreError {
    /// What is wrong with the whole store, if this says so; `None`: it is about this operation alone.
    pub fn trouble(&self) -> Option<TroubleKind> {
        match self {
            Self::Full => Some(TroubleKind::Full),
            Self::ReadOnly(_) => Some(TroubleKind::ReadOnly),
            Self::Io(_) => Some(TroubleKind::Io),
            Self::Busy => Some(TroubleKind::Locked),
            Self::Damaged(_) => Some(TroubleKind::Damaged),
            Self::Copy(_)
            | Self::Sealed { .. }
            | Self::UnknownWord { .. }
            | Self::OtherAggregator { .. }
            | Self::Missing { .. }
            | Self::Forgotten
            | Self::Panicked
            | Self::Sqlite(_) => None,
        }
    }

    /// Whether the store has told the log of it already, so that nobody else needs to.
    pub fn is_told(&self) -> bool {
        self.trouble().is_some()
    }
}

impl Store {
    /// What keeps the store from working now; `None`: nothing that is known.
    pub fn trouble(&self) -> Option<Trouble> {
        let troubles = self.0.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let episode = troubles.writing.as_ref().or(troubles.checkpointing.as_ref())?;
        Some(episode.trouble.clone())
    }

    /// Writes something and deletes it, to see whether the store can be written again, before a request is spent on an answer
    /// that it may not be able to keep.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut put = txn.txn.prepare_cached(
                "INSERT INTO store_meta (name, value) VALUES ('probe', zeroblob(:bytes))
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?;
            put.execute(named_params! { ":bytes": PROBE_BYTES })?;
            Ok(())
        })
        .await?;
        self.write(|txn| {
            txn.txn.prepare_cached("DELETE FROM store_meta WHERE name = 'probe'")?.execute([])?;
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// Files what became of a read or write: `is_stored` if something was committed.
    pub(super) fn note<T>(&self, result: &Result<T, StoreError>, is_stored: bool) {
        match result {
            Err(error) => self.begin(error, false),
            Ok(_) if is_stored => self.end(false),
            Ok(_) => {}
        }
    }

    /// Files what became of moving the write-ahead log into the file.
    pub(super) fn note_checkpoint<T>(&self, result: &Result<T, StoreError>) {
        match result {
            Err(error) => self.begin(error, true),
            Ok(_) => self.end(true),
        }
    }

    /// Refuses to write a file that is known to be damaged.
    pub(super) fn refuse_damaged(&self) -> Result<(), StoreError> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        match &troubles.writing {
            Some(episode) if episode.trouble.kind == TroubleKind::Damaged => {
                let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
                Err(StoreError::Damaged(rusqlite::Error::SqliteFailure(code, None)))
            }
            _ => Ok(()),
        }
    }

    fn begin(&self, error: &StoreError, in_checkpoint: bool) {
        let Some(kind) = error.trouble() else { return };
        let now = Instant::now();
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        // What is damaged is so whatever was being done.
        let in_checkpoint = in_checkpoint && kind != TroubleKind::Damaged;
        let slot = if in_checkpoint { &mut troubles.checkpointing } else { &mut troubles.writing };
        let Some(episode) = slot else {
            let trouble = Trouble { kind, since: now, stops_writes: !in_checkpoint, said: error.to_string() };
            tell(&trouble);
            *slot = Some(Episode { trouble, told_at: now, met_at: now, looks: Looks::from(now) });
            return;
        };
        let trouble = &mut episode.trouble;
        let is_worse = kind == TroubleKind::Damaged && trouble.kind != kind;
        if is_worse {
            (trouble.kind, trouble.said) = (kind, error.to_string());
            episode.looks = Looks::from(now);
        }
        if is_worse || now.duration_since(episode.told_at) >= REMIND_EVERY {
            episode.told_at = now;
            tell(trouble);
        }
        episode.met_at = now;
    }

    /// Files that nothing is wrong with a file that was found damaged.
    pub(super) fn end_damage(&self) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let is_damage = |episode: &mut Episode| episode.trouble.kind == TroubleKind::Damaged;
        if let Some(Episode { trouble, .. }) = troubles.writing.take_if(is_damage) {
            let lasted_seconds = Instant::now().duration_since(trouble.since).as_secs();
            tracing::warn!(
                lasted_seconds,
                "the whole file was checked and is not damaged, so it had only been read badly: the store works again; look \
                 after the disk"
            );
        }
    }

    fn end(&self, in_checkpoint: bool) {
        let now = Instant::now();
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = if in_checkpoint { &mut troubles.checkpointing } else { &mut troubles.writing };
        let is_over = |episode: &mut Episode| in_checkpoint || episode.is_over(now);
        if let Some(Episode { trouble, .. }) = slot.take_if(is_over) {
            let lasted_seconds = now.duration_since(trouble.since).as_secs();
            tracing::info!(trouble = trouble.kind.as_str(), lasted_seconds, "the store works again");
        }
    }
}

fn tell(trouble: &Trouble) {
    let (kind, reason) = (trouble.kind.as_str(), &trouble.said);
    match (trouble.kind, trouble.stops_writes) {
        (TroubleKind::Damaged, _) => tracing::error!(
            trouble = kind,
            reason,
            "the store is damaged, or its disk does not read it: nothing is written or synced until a check of the whole file \
             finds nothing wrong"
        ),
        (_, true) => tracing::error!(
            trouble = kind,
            reason,
            "the store fails: nothing is synced, and webhooks are refused, until it works again"
        ),
        (_, false) => tracing::error!(
            trouble = kind,
            reason,
            "the write-ahead log cannot be moved into the store's file: it grows until that works again"
        ),
    }
}
