//! What `[store]` says about readers: the copy that is published for them, and how far a reader may let the write-ahead log grow.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;

use super::Surroundings;
use super::common::read_file_path;
use super::problem::Wrong;
use super::section::Section;
use super::size::{read_size, size_text};
use super::source::read_cron_if_there;
use crate::schedule::Schedule;

/// `store.snapshot_path`, where the store is at its default too; else a file of this name beside the store.
pub const DEFAULT_SNAPSHOT_PATH: &str = "/var/lib/passbook/snapshot.db";
/// Its name.
const SNAPSHOT_NAME: &str = "snapshot.db";
/// An expression to show to somebody who wrote a wrong one.
const USUAL_SNAPSHOT_SCHEDULE: &str = "30 5 * * *";

/// `store.wal_warn`: three times what the log has without a reader.
pub const DEFAULT_WAL_WARN_BYTES: u64 = 256_000_000;
/// `store.wal_limit`: months of daily syncs, or one large backfill.
pub const DEFAULT_WAL_LIMIT_BYTES: u64 = 2_000_000_000;
/// Below this the log is as it always is.
pub const MIN_WAL_BYTES: u64 = 128_000_000;
/// A log larger than this takes minutes to work through.
pub const MAX_WAL_BYTES: u64 = 1_000_000_000_000;

pub(super) const READER_KEYS: &[&str] = &["snapshot_path", "snapshot_schedule", "wal_warn", "wal_limit"];

/// What concerns those who read the store.
#[derive(Clone, Debug, PartialEq)]
pub struct ReaderConfig {
    /// Where the copy for heavy work is published; absolute, and not the store itself.
    pub snapshot_path: PathBuf,
    /// When; `None`: only when somebody asks for it.
    pub snapshot_schedule: Option<Schedule>,
    /// A write-ahead log that is larger is told of.
    pub wal_warn_bytes: u64,
    /// With one that is larger nothing new is synced, until it could be cut. At least `wal_warn_bytes`.
    pub wal_limit_bytes: u64,
}

impl ReaderConfig {
    /// The defaults, for the store at `store`.
    pub fn beside(store: &Path) -> Self {
        Self {
            snapshot_path: store.with_file_name(SNAPSHOT_NAME),
            snapshot_schedule: None,
            wal_warn_bytes: DEFAULT_WAL_WARN_BYTES,
            wal_limit_bytes: DEFAULT_WAL_LIMIT_BYTES,
        }
    }
}

/// Reads the settings for the store at `store`.
pub(super) fn read_readers(
    section: &Section<'_, '_>,
    store: &Path,
    zone: &TimeZone,
    around: &Surroundings<'_>,
) -> Option<ReaderConfig> {
    let usual = ReaderConfig::beside(store);
    let snapshot_path = section.or_default("snapshot_path", usual.snapshot_path, |value| {
        let path = around.base.join(read_file_path(value, DEFAULT_SNAPSHOT_PATH)?);
        if path == store {
            return Err(Wrong::new("it is the store itself", "name another file"));
        }
        Ok(path)
    });
    let snapshot_schedule = read_cron_if_there(section, "snapshot_schedule", USUAL_SNAPSHOT_SCHEDULE, zone);
    let wal_warn = read_size(section, "wal_warn", usual.wal_warn_bytes, MIN_WAL_BYTES..=MAX_WAL_BYTES);
    let wal_limit = read_size(section, "wal_limit", usual.wal_limit_bytes, MIN_WAL_BYTES..=MAX_WAL_BYTES);
    if let (Some(warn), Some(limit)) = (wal_warn, wal_limit)
        && limit < warn
    {
        let reason = format!("less than wal_warn ({})", size_text(warn));
        section.wrong("wal_limit", Wrong::new(reason, "a warning comes before the limit"));
        return None;
    }
    Some(ReaderConfig {
        snapshot_path: snapshot_path?,
        snapshot_schedule: snapshot_schedule.ok()?,
        wal_warn_bytes: wal_warn?,
        wal_limit_bytes: wal_limit?,
    })
}
