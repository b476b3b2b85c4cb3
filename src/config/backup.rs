//! `[backup]`: where backups go, for whom they are encrypted, how often one is made and how long they are kept.
//!
//! Without the section none is made by itself. Recipients are public keys: this machine cannot read its own backups.

use std::path::PathBuf;
use std::time::Duration;

use age::x25519::Recipient;
use jiff::tz::TimeZone;
use toml::de::DeValue;

use super::Surroundings;
use super::problem::Wrong;
use super::section::{Reported, Section};
use super::source::read_cron;
use super::value::{kind, text};
use crate::schedule::Schedule;

/// `backup.directory`: in the directory that the unit gives the daemon. Better a disk of its own.
pub const DEFAULT_BACKUP_DIRECTORY: &str = "/var/lib/passbook/backups";
/// `backup.schedule`: every night, after most syncs.
pub const DEFAULT_BACKUP_SCHEDULE: &str = "15 3 * * *";

/// `backup.keep_last`: a week of nights.
pub const DEFAULT_KEEP_LAST: u32 = 7;
/// The newest is always kept.
pub const MIN_KEEP_LAST: u32 = 1;
/// Whoever keeps more keeps them elsewhere.
pub const MAX_KEEP_LAST: u32 = 10_000;

/// `backup.keep_for`: a month, so that damage noticed late can be undone.
pub const DEFAULT_KEEP_FOR: Duration = Duration::from_hours(30 * 24);
/// Zero: only their number counts.
pub const MIN_KEEP_FOR: Duration = Duration::ZERO;
/// Ten years, as the books of a company are kept.
pub const MAX_KEEP_FOR: Duration = Duration::from_hours(3_653 * 24);

/// Recipients in the list; each costs a header of 100 bytes.
pub const MAX_RECIPIENTS: usize = 20;
const HOW_TO_NAME: &str = "write [\"age1…\"], as `age-keygen` prints after \"Public key:\"";

pub(super) const BACKUP_KEYS: &[&str] = &["directory", "recipients", "schedule", "keep_last", "keep_for"];

/// How backups are made and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct BackupConfig {
    /// Where they go; absolute.
    pub directory: PathBuf,
    /// Who can read them; at least one, none twice.
    pub recipients: Vec<Recipient>,
    /// When one is made.
    pub schedule: Schedule,
    /// So many of the newest are kept in any case.
    pub keep_last: usize,
    /// Younger ones are kept in any case.
    pub keep_for: Duration,
}

/// Reads the section. `is_there`: it stands in the file.
///
/// Shape: `None` where it does not.
/// Errors: [`Reported`] if it is wrong.
pub(super) fn read_backup(
    section: &Section<'_, '_>,
    is_there: bool,
    zone: &TimeZone,
    around: &Surroundings<'_>,
) -> Result<Option<BackupConfig>, Reported> {
    if !is_there {
        return Ok(None);
    }
    read_section(section, zone, around).map(Some).ok_or(Reported)
}

fn read_section(section: &Section<'_, '_>, zone: &TimeZone, around: &Surroundings<'_>) -> Option<BackupConfig> {
    let directory = section.or_default("directory", PathBuf::from(DEFAULT_BACKUP_DIRECTORY), |value| {
        let path = text(value, DEFAULT_BACKUP_DIRECTORY)?;
        if path.contains('\0') {
            return Err(Wrong::new("a path holds no NUL", "remove it"));
        }
        Ok(around.base.join(path))
    });
    let recipients = section.required("recipients", "recipients = [\"age1…\"]", read_recipients);
    let schedule = read_cron(section, "schedule", DEFAULT_BACKUP_SCHEDULE, zone);
    let keep_last = section.number("keep_last", DEFAULT_KEEP_LAST, MIN_KEEP_LAST..=MAX_KEEP_LAST, "");
    let keep_for = section.span("keep_for", DEFAULT_KEEP_FOR, MIN_KEEP_FOR..=MAX_KEEP_FOR, "");
    Some(BackupConfig {
        directory: directory?,
        recipients: recipients?,
        schedule: schedule?,
        keep_last: usize::try_from(keep_last?).ok()?,
        keep_for: keep_for?,
    })
}

/// Reads public keys. A wrong one is not repeated, because it may be the secret one, put in its place.
fn read_recipients(value: &DeValue<'_>) -> Result<Vec<Recipient>, Wrong> {
    let Some(list) = value.as_array() else {
        return Err(Wrong::new(format!("it is {}, and a list is needed", kind(value)), HOW_TO_NAME));
    };
    if list.is_empty() || list.len() > MAX_RECIPIENTS {
        let reason = format!("there are {}, and 1 to {MAX_RECIPIENTS} are needed", list.len());
        return Err(Wrong::new(reason, HOW_TO_NAME));
    }
    let mut recipients: Vec<Recipient> = Vec::with_capacity(list.len());
    for entry in list {
        let entry = text(entry.get_ref(), "age1…")?.trim();
        if entry.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            let hint = "remove it, make a new pair of keys with age-keygen, and write the public one, age1…, here";
            return Err(Wrong::new("a secret key must not stand in this file, nor be on this machine", hint));
        }
        let Ok(recipient) = entry.parse() else {
            return Err(Wrong::new("an entry is not an age recipient", HOW_TO_NAME));
        };
        if recipients.contains(&recipient) {
            return Err(Wrong::new("a recipient stands there twice", "remove one"));
        }
        recipients.push(recipient);
    }
    Ok(recipients)
}
