//! Where secrets come from: a systemd credential, a private file, or the environment.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::Surroundings;
use super::problem::Wrong;
use super::section::{Section, Value};
use super::value::{kind, looks_like_token, wrong_kind};
use crate::secret::{Secret, StoreKey};

/// No secret is longer; something else was given then.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

const HOW_TO_REFER: &str = "write { credential = \"name\" }, { file = \"path\" } or { env = \"NAME\" }";

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

/// A new random key in the place of every secret: good for every check of form, and no two are alike.
pub(super) struct StandIns;

impl StandIns {
    fn make() -> Result<Zeroizing<String>, SecretReadError> {
        let key = StoreKey::generate().map_err(|_| SecretReadError::Unreadable { kind: ErrorKind::Other })?;
        Ok(key.to_text())
    }
}

impl SecretStore for StandIns {
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
        read_secret_file(&directory.join(name), false)
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

/// Reads a setting that must be a secret, by reference.
///
/// Shape: `None` if it is missing or wrong, which has been reported then, without its value.
pub(super) fn read_secret(section: &Section<'_, '_>, key: &'static str, around: &Surroundings<'_>) -> Option<Secret> {
    let Some(value) = section.value(key) else {
        section.missing(key, &format!("{key} = {{ credential = \"name\" }}"));
        return None;
    };
    if value.get_ref().is_table() {
        return resolve(section, key, value, around);
    }
    let reason = if value.get_ref().is_str() {
        "a secret must not stand in this file".to_owned()
    } else {
        format!("it is {}, and a reference to a secret is needed", kind(value.get_ref()))
    };
    section.wrong_secret(key, value.span().start, Wrong::new(reason, HOW_TO_REFER));
    None
}

/// Reads a setting that is no secret and may yet be kept where secrets are.
pub(super) fn read_text_or_reference(
    section: &Section<'_, '_>,
    key: &'static str,
    example: &str,
    around: &Surroundings<'_>,
) -> Option<String> {
    let value = section.value(key);
    if let Some(value) = value.filter(|value| value.get_ref().is_table()) {
        return resolve(section, key, value, around).map(|secret| secret.expose().to_owned());
    }
    section.required(key, &format!("{key} = {example:?}"), |value| {
        let text = value.as_str().ok_or_else(|| wrong_kind(value, "text or a reference", HOW_TO_REFER))?;
        sound(text).map(str::to_owned)
    })
}

fn resolve(
    section: &Section<'_, '_>,
    key: &'static str,
    reference: &Value<'_>,
    around: &Surroundings<'_>,
) -> Option<Secret> {
    let entries: Vec<_> = reference.get_ref().as_table().into_iter().flatten().collect();
    let [(source, name)] = entries.as_slice() else {
        let wrong = Wrong::new("a reference has exactly one of credential, file and env", HOW_TO_REFER);
        section.wrong_secret(key, reference.span().start, wrong);
        return None;
    };
    let refuse = |wrong| {
        section.wrong_secret(key, name.span().start, wrong);
        None
    };
    let Some(text) = name.get_ref().as_str() else {
        return refuse(Wrong::new(format!("it refers to {}, and text is needed", kind(name.get_ref())), HOW_TO_REFER));
    };
    let source: &str = source.get_ref();
    let path = around.base.join(text);
    let found = match source {
        "credential" => around.secrets.credential(text),
        "file" => around.secrets.file(&path),
        "env" => around.secrets.variable(text),
        _ => {
            let wrong = Wrong::new("a reference has exactly one of credential, file and env", HOW_TO_REFER);
            section.wrong_secret(key, reference.span().start, wrong);
            return None;
        }
    };
    let place = place(source, text, &path);
    match found {
        Err(error) => refuse(Wrong::new(format!("{place}: {error}"), hint(&error, source, text, &path))),
        Ok(secret) => match sound(secret.trim_end_matches(['\n', '\r'])) {
            Ok(secret) => Some(Secret::new(secret)),
            Err(wrong) => refuse(Wrong::new(format!("{place}: {}", wrong.reason), wrong.hint)),
        },
    }
}

/// Refuses texts that cannot be sent as they are.
fn sound(text: &str) -> Result<&str, Wrong> {
    if text.trim().is_empty() {
        return Err(Wrong::new("empty", "put the value there"));
    }
    if text.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(text);
    }
    let reason = "it holds a space, a line break or another character that no key has";
    Err(Wrong::new(reason, "keep the value alone there, on one line"))
}

/// Names where a secret was looked for, unless the name might be the secret itself, put in the wrong place.
fn place(source: &str, text: &str, path: &Path) -> String {
    match (source, is_name(source, text)) {
        ("file", true) => path.display().to_string(),
        (_, true) => format!("{source} {text}"),
        (_, false) => source.to_owned(),
    }
}

fn is_name(source: &str, text: &str) -> bool {
    let allowed = |c: char| match source {
        "env" => c.is_ascii_alphanumeric() || c == '_',
        "file" => !c.is_control(),
        _ => c.is_ascii_alphanumeric() || "._-@".contains(c),
    };
    let pathlike = source != "file" || text.contains(['/', '.']);
    text.len() <= 255 && pathlike && text.chars().all(allowed) && !looks_like_token(text)
}

fn hint(error: &SecretReadError, source: &str, text: &str, path: &Path) -> String {
    let named = is_name(source, text);
    match error {
        SecretReadError::OthersCanRead { .. } if named => format!("chmod 600 {}", path.display()),
        SecretReadError::OthersCanRead { .. } => "chmod 600 the file".to_owned(),
        SecretReadError::NoCredentialsDirectory => {
            "systemd sets it from LoadCredential= in the unit; by hand, use { file = \"path\" } or { env = \"NAME\" }"
                .to_owned()
        }
        SecretReadError::NotFound => match source {
            "credential" if named => format!("add LoadCredential={text}:PATH to the unit"),
            "credential" => "add it with LoadCredential= to the unit".to_owned(),
            "file" => "create the file, or correct the path".to_owned(),
            _ => "set the variable for the process".to_owned(),
        },
        SecretReadError::BadName => "write the plain name, without a path".to_owned(),
        SecretReadError::NotAFile => "name a regular file".to_owned(),
        SecretReadError::NotText | SecretReadError::TooLong => "keep the secret alone there, as text".to_owned(),
        SecretReadError::Unreadable { .. } => "let the user that runs passbook read it".to_owned(),
    }
}
