//! Settings that refer to a secret: where one must be, where one may be, and what a mistaken reference is told.
//!
//! What must stay true: nothing that might be the secret itself, put where its name belongs, is shown.

use std::path::Path;

use super::Surroundings;
use super::problem::Wrong;
use super::secrets::SecretReadError;
use super::section::{Section, Value};
use super::value::{kind, looks_like_token, wrong_kind};
use crate::secret::Secret;

const HOW_TO_REFER: &str = "write { credential = \"name\" }, { file = \"path\" } or { env = \"NAME\" }";

/// Reads a setting that must be a secret, by reference.
///
/// Shape: `None` if it is missing or wrong, which has been reported then, without its value.
pub(super) fn read_secret(section: &Section<'_, '_>, key: &'static str, around: &Surroundings<'_>) -> Option<Secret> {
    let Some(value) = section.value(key) else {
        section.missing(key, &format!("{key} = {{ credential = \"name\" }}"));
        return None;
    };
    read_reference(section, key, value, around)
}

/// Reads a list of secrets, each by reference.
///
/// Shape: in the order of the file; empty if it is left out; `None` if there are more than `at_most` or one is wrong, which
/// has been reported then, without its value.
pub(super) fn read_secrets(
    section: &Section<'_, '_>,
    key: &'static str,
    at_most: usize,
    around: &Surroundings<'_>,
) -> Option<Vec<Secret>> {
    let Some(value) = section.value(key) else {
        return Some(Vec::new());
    };
    let refuse = |reason: String, hint: &str| {
        section.wrong_secret(key, value.span().start, Wrong::new(reason, hint));
        None
    };
    let Some(list) = value.get_ref().as_array() else {
        let reason = format!("it is {}, and a list of references to secrets is needed", kind(value.get_ref()));
        return refuse(reason, "write [{ credential = \"name\" }], in brackets");
    };
    if list.len() > at_most {
        let reason = format!("there are {}, and no more than {at_most} are ever in use", list.len());
        return refuse(reason, "keep the newest");
    }
    let read: Vec<_> = list.iter().map(|value| read_reference(section, key, value, around)).collect();
    read.into_iter().collect()
}

fn read_reference(
    section: &Section<'_, '_>,
    key: &'static str,
    value: &Value<'_>,
    around: &Surroundings<'_>,
) -> Option<Secret> {
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
            "systemd sets it from LoadCredential= in the unit; by hand, set it to /etc/passbook/credentials, or use \
             { file = \"path\" } or { env = \"NAME\" }"
                .to_owned()
        }
        SecretReadError::NotFound => match source {
            "credential" if named => {
                format!("put it into /etc/passbook/credentials/{text}, or add LoadCredential={text}:PATH to the unit")
            }
            "credential" => {
                "put it into /etc/passbook/credentials, or add it with LoadCredential= to the unit".to_owned()
            }
            "file" => "create the file, or correct the path".to_owned(),
            _ => "set the variable for the process".to_owned(),
        },
        SecretReadError::BadName => "write the plain name, without a path".to_owned(),
        SecretReadError::NotAFile => "name a regular file".to_owned(),
        SecretReadError::NotText | SecretReadError::TooLong => "keep the secret alone there, as text".to_owned(),
        SecretReadError::Unreadable { .. } => "let the user that runs passbook read it".to_owned(),
    }
}
