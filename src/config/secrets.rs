//! Where secrets come from: a systemd credential, a private file, or the environment.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::secret::StoreKey;

/// No secret is longer; something else was given then.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// Reads secrets by reference. The system's in the program, a table in tests.
///
/// Shape: the text as it is stored; the caller trims the newline at its end.
pub trait SecretStore {
    /// A systemd credential.
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError>;
    /// A file that only its owner can read.
    fn file(&self, path: &Path) -> Result<Zeroizing<String>, SecretReadError>;
    /// An environment variable.
    fn variable(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError>;
    /// Whether they only stand in for the real ones, so that nothing can be said about their form.
    fn are_stand_ins(&self) -> bool {
        false
    }
}

/// Why a secret cannot be read. None of them holds any of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretReadError {
    /// Not started by systemd with credentials: use another reference by hand.
    #[error("$CREDENTIALS_DIRECTORY is not set, so there are no credentials")]
    NoCredentialsDirectory,
    /// A name with a slash and the like.
    #[error("this cannot be the name of a credential or variable")]
    BadName,
    /// There is none.
    #[error("not found")]
    NotFound,
    /// Others than the owner can read the file: take that right away.
    #[error("group or others can read it (mode {mode:04o})")]
    OthersCanRead {
        /// The file's permission bits.
        mode: u32,
    },
    /// A directory or a device.
    #[error("not a regular file")]
    NotAFile,
    /// Bytes that are no UTF-8.
    #[error("not text in UTF-8")]
    NotText,
    /// Something else was given.
    #[error("longer than {MAX_SECRET_BYTES} bytes, so it is no secret")]
    TooLong,
    /// The system refused.
    #[error("cannot be read: {kind}")]
    Unreadable {
        /// What the system said.
        kind: ErrorKind,
    },
}

/// What systemd puts before the names of credentials that it loads from a whole directory, as the unit has it do.
const CREDENTIALS_PREFIX: &str = "passbook_";

/// A new random key in the place of every secret: good for every check of form, and no two are alike.
pub(super) struct StandIns;

impl StandIns {
    fn make() -> Result<Zeroizing<String>, SecretReadError> {
        let key = StoreKey::generate().map_err(|_| SecretReadError::Unreadable { kind: ErrorKind::Other })?;
        Ok(key.to_text())
    }
}

impl SecretStore for StandIns {
    fn are_stand_ins(&self) -> bool {
        true
    }

    fn credential(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Self::make()
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Self::make()
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Self::make()
    }
}

/// The secrets of this machine.
#[derive(Clone, Debug, Default)]
pub struct SystemSecrets {
    /// systemd's `$CREDENTIALS_DIRECTORY`, if it is set.
    pub credentials_directory: Option<PathBuf>,
}

impl SystemSecrets {
    /// As the environment says.
    pub fn from_environment() -> Self {
        Self { credentials_directory: environment("CREDENTIALS_DIRECTORY").map(PathBuf::from) }
    }
}

impl SecretStore for SystemSecrets {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        let directory = self.credentials_directory.as_ref().ok_or(SecretReadError::NoCredentialsDirectory)?;
        if name.contains(['/', '\0']) || matches!(name, "" | "." | "..") {
            return Err(SecretReadError::BadName);
        }
        // systemd gives the directory to the service alone, whatever the modes of the files in it.
        match read_secret_file(&directory.join(name), false) {
            Err(SecretReadError::NotFound) => {
                read_secret_file(&directory.join(format!("{CREDENTIALS_PREFIX}{name}")), false)
            }
            read => read,
        }
    }

    fn file(&self, path: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        read_secret_file(path, true)
    }

    fn variable(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(SecretReadError::BadName);
        }
        let value = environment(name).ok_or(SecretReadError::NotFound)?;
        value.into_string().map(Zeroizing::new).map_err(|_| SecretReadError::NotText)
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn environment(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn read_secret_file(path: &Path, only_private: bool) -> Result<Zeroizing<String>, SecretReadError> {
    let refused = |error: std::io::Error| {
        let kind = error.kind();
        if kind == ErrorKind::NotFound { SecretReadError::NotFound } else { SecretReadError::Unreadable { kind } }
    };
    // Asked before opening, because opening a pipe would wait for its other end.
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Err(SecretReadError::NotAFile);
    }
    let file = File::open(path).map_err(refused)?;
    let mode = file.metadata().map_err(refused)?.permissions().mode() & 0o7777;
    if only_private && mode & 0o077 != 0 {
        return Err(SecretReadError::OthersCanRead { mode });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(SecretReadError::TooLong);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| SecretReadError::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}
