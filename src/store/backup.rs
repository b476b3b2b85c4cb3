//! Making a backup, and proving it: copy, encrypt, read back from the disk, restore, compare.
//!
//! The daemon holds the recipients' public keys alone, so it could not read what it has written. Therefore each file is
//! encrypted to one more recipient, whose secret key is made for this file, stays in memory and is dropped when the proof is
//! done. What that costs: whoever reads the memory of the process in those seconds can read this one backup, and could read
//! the store beside it as well; afterwards nobody but the recipients can. What it does not prove: that somebody still has the
//! recipients' keys. Only `passbook restore` with them does; practise it.
//!
//! Until it is proved a backup has a temporary name, so that every file with a backup's name was proved.

mod proof;

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::x25519::Identity;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{Advice, fadvise, statvfs};
use tokio_util::sync::CancellationToken;

use super::archive::{self, Note, PackError, UnpackError};
use super::file::{self, StoreFile};
use super::{Backup, Moment, Store, StoreError, lock, ms, snapshot};
use crate::clock::Clock;
use crate::config::BackupConfig;

pub use proof::ContentError;
use proof::read_copy;
pub(super) use proof::{prove, restore_file};

const NAME_BEGINS: &str = "passbook-";
const NAME_ENDS: &str = ".db.zst.age";
/// The instant in a name: sorted by name is sorted by time.
const NAME_INSTANT: &str = "%Y%m%dT%H%M%S%.3fZ";
/// A file that is not a whole backup yet.
const DRAFT_ENDS: &str = ".part";
/// What must stay free beyond what the backup takes, as a part of that: a tenth.
const ROOM_LEFT: u64 = 10;

/// Why there is no new backup. Those made before are still there.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Free some space.
    #[error("{} has {free} bytes free, and a backup may need {needed}", path.display())]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        free: u64,
    },
    /// The file system refused.
    #[error("{}: {source}; look at the disk, its mount and the rights of the directory", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The store could not be copied.
    #[error("the store cannot be copied: {0}")]
    Copy(#[source] StoreError),
    /// The copy could not be packed.
    #[error("the store's copy cannot be packed: {0}; look at the disks of the store and of the backups")]
    Pack(#[from] PackError),
    /// What was written does not read back: look after the disk.
    #[error("what was written to the disk does not read back, look after the disk: {0}")]
    Unpack(#[from] UnpackError),
    /// What was restored for the proof is not what was copied.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The process ends.
    #[error("it was not finished because the process ends")]
    Stopped,
}

/// How far a backup is. After each of these a process may die.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begun,
    Copied,
    Packed,
    Restored,
    Proved,
    Named,
}

impl Store {
    /// Makes a backup, proves it, notes how that went, and removes old ones as `config` says. One at a time: a second waits.
    ///
    /// Shape: the row that was noted, with `error` where it failed; the daemon goes on in any case.
    /// Errors: the store's, where nothing could be noted.
    /// After a crash: a file with a backup's name is whole and proved; what else was begun is removed by the next.
    pub async fn back_up(
        &self,
        config: BackupConfig,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Backup, StoreError> {
        let inner = Arc::clone(&self.0);
        self.0
            .workplace
            .run(Moment::Commit, move || {
                let _one_at_a_time = lock(&inner.copying);
                let made_at = clock.now();
                let work = Work::new(&inner.file, &config.directory, made_at);
                let made = work.make(&config, &mut |_| !stop.is_cancelled());
                if made.is_err() {
                    work.sweep();
                }
                let backup = match made {
                    Ok(made) => Backup { proved_at: Some(clock.now()), ..made },
                    Err(error) => {
                        let failed = Backup { error: Some(error.to_string()), ..Backup::begun(made_at) };
                        if matches!(error, BackupError::Stopped) {
                            // Not tried, as it were: the next process does it at once.
                            return Ok(failed);
                        }
                        failed
                    }
                };
                let (noted, _) = inner.write_now(|txn| {
                    let backup_id = txn.add_backup(&backup)?;
                    if backup.error.is_none() {
                        txn.remove_old_backups(&config, clock.now())?;
                    }
                    Ok(Backup { backup_id, ..backup.clone() })
                });
                noted
            })
            .await
    }
}

/// One backup under way.
struct Work<'a> {
    store: &'a StoreFile,
    directory: &'a Path,
    made_at: Timestamp,
    /// The copy that is packed, and later what is restored for the proof: beside the store, where such content belongs.
    copy: PathBuf,
    draft: PathBuf,
    name: String,
}

impl<'a> Work<'a> {
    fn new(store: &'a StoreFile, directory: &'a Path, made_at: Timestamp) -> Self {
        let name = name_of(made_at);
        let copy = file::beside(store.path(), ".backup");
        let draft = directory.join(format!(".{name}{DRAFT_ENDS}"));
        Self { store, directory, made_at, copy, draft, name }
    }

    /// Makes the backup. `go_on` is asked after each stage; where it says no, everything is left as a kill would leave it.
    fn make(&self, config: &BackupConfig, go_on: &mut dyn FnMut(Stage) -> bool) -> Result<Backup, BackupError> {
        let mut reached = |stage| if go_on(stage) { Ok(()) } else { Err(BackupError::Stopped) };
        make_directory(self.directory, self.store.path()).map_err(at(self.directory))?;
        self.sweep();
        self.look_for_room()?;
        reached(Stage::Begun)?;
        let store_bytes = snapshot::copy(self.store, &self.copy, 0o600).map_err(BackupError::Copy)?;
        let (schema_version, fingerprint) = read_copy(&self.store.at(&self.copy)).map_err(ContentError::from)?;
        reached(Stage::Copied)?;

        let proof = Identity::generate();
        let note = Note::new(ms(self.made_at), schema_version, store_bytes, fingerprint);
        let file_bytes = self.pack(config, &note, &proof)?;
        snapshot::remove(&self.copy);
        reached(Stage::Packed)?;

        let read_back = restore_file(&self.draft, &[proof], &self.copy).map_err(|error| self.not_restored(error))?;
        reached(Stage::Restored)?;
        prove(&self.store.at(&self.copy), &read_back)?;
        if read_back != note {
            return Err(BackupError::Unpack(UnpackError::Foreign));
        }
        snapshot::remove(&self.copy);
        reached(Stage::Proved)?;

        let named = self.directory.join(&self.name);
        fs::rename(&self.draft, &named).and_then(|()| file::sync_directory(&named)).map_err(at(&named))?;
        reached(Stage::Named)?;
        Ok(Backup {
            file_name: Some(self.name.clone()),
            file_bytes: Some(file_bytes),
            store_bytes: Some(store_bytes),
            row_count: Some(note.fingerprint.row_count()),
            content_hash: Some(note.fingerprint.content_hash),
            ..Backup::begun(self.made_at)
        })
    }

    /// Packs the copy into the draft, down to the disk.
    ///
    /// Shape: the draft's bytes.
    fn pack(&self, config: &BackupConfig, note: &Note, proof: &Identity) -> Result<u64, BackupError> {
        file::create_private(&self.draft, 0o640).map_err(at(&self.draft))?;
        give_to_owner(&self.draft, self.store.path()).map_err(at(&self.draft))?;
        let file = File::options().write(true).open(&self.draft).map_err(at(&self.draft))?;
        let copy = File::open(&self.copy).map_err(at(&self.copy))?;
        let recipients: Vec<_> = config.recipients.iter().cloned().chain([proof.to_public()]).collect();
        let mut to = BufWriter::new(&file);
        archive::pack(BufReader::new(copy), note, &recipients, &mut to)?;
        to.flush().map_err(at(&self.draft))?;
        file.sync_all().map_err(at(&self.draft))?;
        // The proof is to read what the disk has, not what memory still has of it. Only a hint: some file systems ignore it.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        Ok(file.metadata().map_err(at(&self.draft))?.len())
    }

    /// What keeps the proof from being restored: the disk that it is restored to, or what was read back.
    fn not_restored(&self, error: UnpackError) -> BackupError {
        let UnpackError::Write(source) = error else {
            return error.into();
        };
        at(&self.copy)(source)
    }

    /// Removes what this or an earlier backup left unfinished. The caller is the only one who makes backups of this store.
    fn sweep(&self) {
        snapshot::remove(&self.copy);
        for entry in fs::read_dir(self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let draft = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(DRAFT_ENDS));
            if draft.is_some_and(|name| instant_of(name).is_some()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Refuses to begin where the disk would be full before the end: that would stop the syncs, too.
    fn look_for_room(&self) -> Result<(), BackupError> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        // A copy never is larger than the file and its log; how far it can be compressed is seen afterwards.
        let needed = length(self.store.path()) + length(&file::wal_path(self.store.path()));
        let home = self.store.path().parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_one_disk = device(home) == device(self.directory);
        for (path, times) in [(home, if is_one_disk { 2 } else { 1 }), (self.directory, 1)] {
            let needed = needed * times;
            let free = free_bytes(path).map_err(at(path))?;
            if !has_room(free, needed) {
                return Err(BackupError::NoRoom { path: path.to_owned(), needed, free });
            }
        }
        Ok(())
    }
}

fn has_room(free: u64, needed: u64) -> bool {
    free >= needed.saturating_add(needed / ROOM_LEFT)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    |source| BackupError::Io { path, source }
}

/// Makes the directory where it is missing, for the owner of the store and the group.
fn make_directory(directory: &Path, store: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match fs::DirBuilder::new().mode(0o750).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Ok(()) => give_to_owner(directory, store),
        other => other,
    }
}

/// Root makes a backup, and the daemon is another user: it could neither write to a directory of root's nor read the file.
///
/// A group that the directory around gives is kept.
fn give_to_owner(made: &Path, store: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let (held, owner) = (fs::metadata(made)?, fs::metadata(store)?);
    if held.uid() != 0 || owner.uid() == 0 {
        return Ok(());
    }
    let group = (held.gid() == 0).then_some(owner.gid());
    match chown(made, Some(owner.uid()), group) {
        // A file system without owners refuses, and there nobody needs it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn device(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata(path).map(|file| file.dev()).ok()
}

/// What a backup begun at an instant is called.
fn name_of(made_at: Timestamp) -> String {
    format!("{NAME_BEGINS}{}{NAME_ENDS}", made_at.to_zoned(TimeZone::UTC).strftime(NAME_INSTANT))
}

/// When the backup with this name was begun; `None`: it is no such name, and the file is none of ours.
pub(super) fn instant_of(name: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(NAME_BEGINS)?.strip_suffix(NAME_ENDS)?;
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S%.fZ", text).ok()?;
    let instant = civil.to_zoned(TimeZone::UTC).ok()?.timestamp();
    (name_of(instant) == name).then_some(instant)
}

#[cfg(test)]
mod tests;
