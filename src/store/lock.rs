//! One process at a time works on a store: the daemon, or a command while no daemon runs.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that is held is tried again before it counts as held.
const LOOKS_OF_OTHERS: u32 = 5;

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
    #[error("cannot open the lock file {path}: {source}; its directory must exist and be writable, on a disk that works and has room", path = path.display())]
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
        let io_error = |source| LockError::Io { path: path.clone(), source };
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(io_error)?;
        // Somebody who only looks whether it is held has it for a moment.
        for _ in 0..LOOKS_OF_OTHERS {
            if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(LockError::Held { holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        file.set_len(0).map_err(io_error)?;
        file.rewind().map_err(io_error)?;
        writeln!(file, "{verb}, process {}", std::process::id()).map_err(io_error)?;
        Ok(Self { _file: file })
    }

    /// Tells whether a process holds the lock now, and what it says of itself. Looking changes nothing.
    ///
    /// Shape: `None`: nobody works on the store. A lock file that may not be read was made by somebody who does.
    pub fn holder(store_path: &Path) -> Option<String> {
        let mut file = match File::open(lock_path(store_path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Some("a process of another user".to_owned());
            }
            Err(_) => return None,
        };
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                Some(holder.trim().to_owned())
            }
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

fn lock_path(store_path: &Path) -> PathBuf {
    let mut path = store_path.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}
