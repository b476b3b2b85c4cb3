//! The list of backups: how each went, which are there, and which may go.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, named_params};

use super::backup::instant_of;
use super::{ReadTxn, StoreError, WriteTxn, instant, ms};
use crate::config::BackupConfig;

/// How one attempt went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Our id; 0 before it is noted.
    pub backup_id: i64,
    /// When it was begun; its content is that of an instant soon after.
    pub made_at: Timestamp,
    /// When it had been read back, restored and compared; `None`: it failed.
    pub proved_at: Option<Timestamp>,
    /// The file in the directory of backups; `None`: none was left behind.
    pub file_name: Option<String>,
    /// Its size.
    pub file_bytes: Option<u64>,
    /// Size of the store in it.
    pub store_bytes: Option<u64>,
    /// Rows of all tables in it.
    pub row_count: Option<u64>,
    /// SHA-256 over its content, see [`super::Fingerprint`].
    pub content_hash: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// When its file was removed because newer ones took its place.
    pub removed_at: Option<Timestamp>,
}

impl Backup {
    pub(super) fn begun(made_at: Timestamp) -> Self {
        Self {
            backup_id: 0,
            made_at,
            proved_at: None,
            file_name: None,
            file_bytes: None,
            store_bytes: None,
            row_count: None,
            content_hash: None,
            error: None,
            removed_at: None,
        }
    }
}

/// The state of backups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupGlance {
    /// The last attempt, whatever came of it; `None`: there was none.
    pub last: Option<Backup>,
    /// The last that was proved.
    pub last_proved: Option<Backup>,
    /// Attempts that failed since then.
    pub failures: u64,
}

/// A backup's file, as far as keeping it is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    name: String,
    made_at: Timestamp,
    is_proved: bool,
}

const COLUMNS: &str =
    "backup_id, made_at, proved_at, file_name, file_bytes, store_bytes, row_count, content_hash, error, removed_at";

impl ReadTxn<'_> {
    /// The last attempts, the newest first.
    pub fn backups(&self, limit: usize) -> Result<Vec<Backup>, StoreError> {
        let mut select =
            self.txn.prepare_cached(&format!("SELECT {COLUMNS} FROM backups ORDER BY backup_id DESC LIMIT :limit"))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = select.query_map(named_params! { ":limit": limit }, backup)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How backups stand.
    pub fn backup_glance(&self) -> Result<BackupGlance, StoreError> {
        let mut proved = self.txn.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM backups WHERE proved_at IS NOT NULL ORDER BY backup_id DESC LIMIT 1"
        ))?;
        let last_proved = proved.query_map([], backup)?.next().transpose()?;
        let mut failed = self.txn.prepare_cached("SELECT count(*) FROM backups WHERE backup_id > :proved")?;
        let since = last_proved.as_ref().map_or(0, |backup| backup.backup_id);
        Ok(BackupGlance {
            last: self.backups(1)?.pop(),
            failures: failed.query_row(named_params! { ":proved": since }, |row| row.get(0))?,
            last_proved,
        })
    }
}

impl WriteTxn<'_> {
    /// Notes how an attempt went.
    pub(super) fn add_backup(&self, backup: &Backup) -> Result<i64, StoreError> {
        let mut insert = self.txn.prepare_cached(
            "INSERT INTO backups (made_at, proved_at, file_name, file_bytes, store_bytes, row_count, content_hash, error)
             VALUES (:made_at, :proved_at, :file_name, :file_bytes, :store_bytes, :row_count, :content_hash, :error)",
        )?;
        Ok(insert.insert(named_params! {
            ":made_at": ms(backup.made_at),
            ":proved_at": backup.proved_at.map(ms),
            ":file_name": backup.file_name,
            ":file_bytes": backup.file_bytes,
            ":store_bytes": backup.store_bytes,
            ":row_count": backup.row_count,
            ":content_hash": backup.content_hash,
            ":error": backup.error,
        })?)
    }

    /// Removes the files that `config` does not keep. One that cannot be removed is tried again after the next backup.
    pub(super) fn remove_old_backups(&self, config: &BackupConfig, now: Timestamp) -> Result<(), StoreError> {
        let mut proved = self.txn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM backups WHERE file_name = :name AND proved_at IS NOT NULL) AS is_proved",
        )?;
        let mut candidates = Vec::new();
        for (name, made_at) in files(&config.directory) {
            let is_proved = proved.query_row(named_params! { ":name": name }, |row| row.get("is_proved"))?;
            candidates.push(Candidate { name, made_at, is_proved });
        }
        let keep_for = SignedDuration::try_from(config.keep_for).unwrap_or(SignedDuration::MAX);
        let mut note = self
            .txn
            .prepare_cached("UPDATE backups SET removed_at = :now WHERE file_name = :name AND removed_at IS NULL")?;
        for name in superfluous(candidates, config.keep_last, keep_for, now) {
            match fs::remove_file(config.directory.join(&name)) {
                Ok(()) => {
                    note.execute(named_params! { ":now": ms(now), ":name": name })?;
                }
                Err(error) => tracing::warn!(file = %name, %error, "an old backup cannot be removed"),
            }
        }
        Ok(())
    }
}

fn backup(row: &Row<'_>) -> rusqlite::Result<Backup> {
    let at = |column: &str| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(instant));
    Ok(Backup {
        backup_id: row.get("backup_id")?,
        made_at: instant(row.get("made_at")?),
        proved_at: at("proved_at")?,
        file_name: row.get("file_name")?,
        file_bytes: row.get("file_bytes")?,
        store_bytes: row.get("store_bytes")?,
        row_count: row.get("row_count")?,
        content_hash: row.get("content_hash")?,
        error: row.get("error")?,
        removed_at: at("removed_at")?,
    })
}

/// The files with a backup's name in a directory, and when they were begun; in no order.
fn files(directory: &Path) -> Vec<(String, Timestamp)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let regular = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let named = regular.filter_map(|entry| entry.file_name().into_string().ok());
    named.filter_map(|name| instant_of(&name).map(|at| (name, at))).collect()
}

/// Which files may go: those that are neither among the newest `keep_last` nor younger than `keep_for`.
///
/// Shape: the newest proved one is never among them, and nothing is while none is proved.
fn superfluous(mut files: Vec<Candidate>, keep_last: usize, keep_for: SignedDuration, now: Timestamp) -> Vec<String> {
    files.sort_by_key(|file| Reverse(file.made_at));
    let Some(newest_proved) = files.iter().position(|file| file.is_proved) else {
        return Vec::new();
    };
    let is_old = |file: &Candidate| now.duration_since(file.made_at) > keep_for;
    let mut at = 0..;
    files.retain(|file| at.next().is_some_and(|at| at >= keep_last && at != newest_proved && is_old(file)));
    files.into_iter().map(|file| file.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ages in days with whether each is proved, the newest kept, days kept, and the ages that may go.
    type Case<'a> = (&'a [(i64, bool)], usize, i64, &'a [i64]);

    #[test]
    fn what_may_go_is_neither_new_nor_young_nor_the_last_proved() {
        let now: Timestamp = "2026-03-02T12:00:00Z".parse().expect("an instant");
        let (p, u) = (true, false);
        #[rustfmt::skip]
        let cases: &[Case<'_>] = &[
            (&[], 3, 30, &[]),
            (&[(0, p), (1, p), (2, p), (3, p)], 2, 0, &[2, 3]),
            (&[(3, p), (0, p), (2, p), (1, p)], 2, 0, &[2, 3]),
            (&[(0, p), (1, p), (2, p), (3, p)], 2, 2, &[3]),
            (&[(0, p), (40, p), (50, p)], 7, 30, &[]),
            (&[(0, p), (40, p), (50, p)], 1, 30, &[40, 50]),
            (&[(90, p)], 1, 0, &[]),
            // Files that no row tells of, as after a restore: never all of them, nor what alone is known to be good.
            (&[(0, u), (1, u), (2, u), (3, u)], 1, 0, &[]),
            (&[(0, u), (1, u), (2, p), (3, u)], 1, 0, &[1, 3]),
            (&[(0, u), (1, p), (2, p), (3, p)], 1, 0, &[2, 3]),
            // The clock was set back: what seems to come from the future is young.
            (&[(-5, p), (-4, p), (0, p)], 1, 0, &[]),
        ];
        for (files, keep_last, keep_days, expected) in cases {
            let days = |n: i64| SignedDuration::from_hours(24 * n);
            let candidates = files.iter().map(|(age, is_proved)| Candidate {
                name: age.to_string(),
                made_at: now - days(*age),
                is_proved: *is_proved,
            });
            let gone = superfluous(candidates.collect(), *keep_last, days(*keep_days), now);
            let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
            assert_eq!(gone, expected, "{files:?}, the newest {keep_last}, {keep_days} days");
        }
    }
}
