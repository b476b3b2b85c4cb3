//! One process at a time works on a store: the daemon, or a command while no daemon runs.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The right to write a store; given up when dropped or when the process dies.
#[derive(Debug)]
pub struct StoreLock {
    _file: File,
}

/// Why the right was not given.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("another passbook works on this store ({holder}): stop it first, or let it do the work")]
    Held {
        /// What the holder wrote about itself, e.g. `run, process 4242`.
        holder: String,
    },
    /// The lock file cannot be opened.
    #[error("cannot open the lock file {path}: {source}; the directory must exist and be writable", path = path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreLock {
    /// Takes the lock of the store at `store_path` and notes `verb` and the process id for whoever comes next.
    pub fn take(store_path: &Path, verb: &str) -> Result<Self, LockError> {
        let path = lock_path(store_path);
        let io_error = |source| LockError::Io {
            path: path.clone(),
            source,
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::Held {
                    holder: holder.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0).map_err(io_error)?;
        file.rewind().map_err(io_error)?;
        writeln!(file, "{verb}, process {}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }

    /// Tells whether a process holds the lock now, and what it says of itself.
    pub fn holder(store_path: &Path) -> Option<String> {
        match Self::take(store_path, "probe") {
            Err(LockError::Held { holder }) => Some(holder),
            Ok(_) | Err(LockError::Io { .. }) => None,
        }
    }
}

fn lock_path(store_path: &Path) -> PathBuf {
    let mut path = store_path.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}
