//! `[store]`, `[log]` and `[schedule]`: what concerns the daemon as a whole.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::DeValue;
use tracing_subscriber::EnvFilter;

use super::Surroundings;
use super::problem::{Problem, Wrong};
use super::readers::{ReaderConfig, read_readers};
use super::reference::read_secret;
use super::section::Section;
use super::suggest::nearest;
use super::value::{boolean, choice, shown_text, text};
use crate::secret::{Encryption, HAS_CIPHER, StoreKey};
use crate::telemetry::LogFormat;

/// `store.path`.
pub const DEFAULT_STORE_PATH: &str = "/var/lib/passbook/passbook.db";
/// `store.encryption`.
pub const DEFAULT_ENCRYPTION: Encryption = Encryption::Secrets;
/// `store.keep_raw`.
pub const DEFAULT_KEEP_RAW: bool = true;
/// `log.level`.
pub const DEFAULT_LOG_LEVEL: &str = "info";
/// `log.format`.
pub const DEFAULT_LOG_FORMAT: LogFormat = LogFormat::Auto;
/// `schedule.timezone`.
pub const DEFAULT_TIMEZONE: &str = "UTC";

/// `schedule.workers`.
pub const DEFAULT_WORKERS: u32 = 8;
/// One worker is a slow daemon, none would be a stopped one.
pub const MIN_WORKERS: u32 = 1;
/// More would only wait for the limits.
pub const MAX_WORKERS: u32 = 64;

/// `schedule.sync_deadline`.
pub const DEFAULT_SYNC_DEADLINE: Duration = Duration::from_mins(15);
/// A sync needs a few requests, each with its own timeout.
pub const MIN_SYNC_DEADLINE: Duration = Duration::from_mins(1);
/// A sync that lasts longer hangs.
pub const MAX_SYNC_DEADLINE: Duration = Duration::from_hours(6);

/// `schedule.spread`.
pub const DEFAULT_SPREAD: Duration = Duration::from_mins(30);
/// Zero: all links at the tick.
pub const MIN_SPREAD: Duration = Duration::ZERO;
/// A quarter of the longest usual interval.
pub const MAX_SPREAD: Duration = Duration::from_hours(6);

pub(super) const STORE_KEYS: &[&str] = &["path", "key", "previous_key", "encryption", "keep_raw"];
pub(super) const LOG_KEYS: &[&str] = &["level", "format"];
pub(super) const SCHEDULE_KEYS: &[&str] = &["timezone", "workers", "sync_deadline", "spread"];

/// Where the store is, and the key to it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// The SQLite file; absolute.
    pub path: PathBuf,
    /// What encrypts it, or the access tokens and account numbers in it.
    pub key: StoreKey,
    /// The key before this one, while `passbook rekey` changes it.
    pub previous_key: Option<StoreKey>,
    /// How much of it is encrypted.
    pub encryption: Encryption,
    /// Whether each transaction keeps the aggregator's own JSON.
    pub keep_raw: bool,
    /// What concerns those who read it.
    pub readers: ReaderConfig,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// A level, or directives as `tracing` filters take them (`info,passbook=debug`); known to parse.
    pub level: String,
    /// The form of a line.
    pub format: LogFormat,
}

/// How work is laid out in time.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleConfig {
    /// The zone in which every cron expression is read.
    pub timezone: TimeZone,
    /// Its IANA name as written.
    pub timezone_name: String,
    /// How many syncs run at once, over all sources.
    pub workers: usize,
    /// How long one sync may work before it is abandoned; waiting for a refresh does not count.
    pub sync_deadline: Duration,
    /// Over how much time the links of one schedule are spread, at most; see [`crate::schedule::spread_span`].
    pub spread: Duration,
}

/// Reads the path of a file, such as `usual`.
pub(super) fn read_file_path<'v>(value: &'v DeValue<'_>, usual: &str) -> Result<&'v str, Wrong> {
    let path = text(value, usual)?;
    if path.ends_with('/') {
        let name = usual.rsplit('/').next().unwrap_or(usual);
        let hint = shown_text(&format!("{path}{name}")).map_or_else(
            || format!("write the name of a file behind it, such as {name}"),
            |file| format!("write {file}"),
        );
        return Err(Wrong::new("it names a directory, and a file is needed", hint));
    }
    if path.contains('\0') {
        return Err(Wrong::new("a path holds no NUL", "remove it"));
    }
    Ok(path)
}

pub(super) fn read_store(section: &Section<'_, '_>, zone: &TimeZone, around: &Surroundings<'_>) -> Option<StoreConfig> {
    let path = section.or_default("path", PathBuf::from(DEFAULT_STORE_PATH), |value| {
        Ok(around.base.join(read_file_path(value, DEFAULT_STORE_PATH)?))
    });
    let readers = read_readers(section, path.as_deref().unwrap_or(Path::new(DEFAULT_STORE_PATH)), zone, around);
    let encryption = read_encryption(section);
    let key = match encryption {
        Some(Encryption::Full) => read_key(section, "key", &around.to_read_store()),
        Some(Encryption::Secrets) | None => read_key(section, "key", around),
    };
    if key.is_none() && encryption == Some(Encryption::Full) && around.secrets.are_stand_ins() {
        let reason = "the whole store is encrypted, so reading it takes its key as well";
        let hint = "run the command as a user who may read store.key";
        section.wrong("encryption", Wrong::new(reason, hint));
    }
    let previous_key = match section.value("previous_key") {
        Some(_) => read_key(section, "previous_key", around).map(Some),
        None => Some(None),
    };
    if let (Some(key), Some(Some(previous))) = (&key, &previous_key) {
        if key.id() == previous.id() {
            let hint = "make a new one with passbook keygen, or remove previous_key";
            section.wrong_secret(
                "previous_key",
                at(section, "previous_key"),
                Wrong::new("it is the same as key", hint),
            );
            return None;
        }
        let hint = "remove it once passbook rekey has said that it is done";
        section.warn("previous_key", Wrong::new("only passbook rekey uses it", hint));
    }
    let keep_raw = section.or_default("keep_raw", DEFAULT_KEEP_RAW, boolean);
    let (key, previous_key) = (key?, previous_key?);
    Some(StoreConfig {
        path: path?,
        key,
        previous_key,
        encryption: encryption?,
        keep_raw: keep_raw?,
        readers: readers?,
    })
}

/// Reads how much of the store is encrypted; this build may be unable to encrypt all of it.
fn read_encryption(section: &Section<'_, '_>) -> Option<Encryption> {
    let words = [Encryption::Secrets, Encryption::Full].map(|encryption| (encryption.word(), encryption));
    section.or_default("encryption", DEFAULT_ENCRYPTION, |value| match choice(value, &words)? {
        Encryption::Full if !HAS_CIPHER => Err(Wrong::new(
            "this build of passbook has no SQLCipher, which encrypts the whole store",
            "install the Debian package, build with cargo build --release --features sqlcipher, or write \"secrets\"",
        )),
        encryption @ (Encryption::Secrets | Encryption::Full) => Ok(encryption),
    })
}

fn read_key(section: &Section<'_, '_>, name: &'static str, around: &Surroundings<'_>) -> Option<StoreKey> {
    match StoreKey::parse(read_secret(section, name, around)?.expose()) {
        Ok(key) => Some(key),
        Err(error) => {
            let hint = "make one with passbook keygen, or restore the one in use from where it is kept";
            section.wrong_secret(name, at(section, name), Wrong::new(error.to_string(), hint));
            None
        }
    }
}

fn at(section: &Section<'_, '_>, name: &'static str) -> usize {
    section.value(name).map_or(0, |value| value.span().start)
}

pub(super) fn read_log(section: &Section<'_, '_>) -> Option<LogConfig> {
    let level = section.or_default("level", DEFAULT_LOG_LEVEL.to_owned(), |value| {
        let level = text(value, DEFAULT_LOG_LEVEL)?;
        check_level(level)?;
        Ok(level.to_owned())
    });
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let format = section.or_default("format", DEFAULT_LOG_FORMAT, |value| choice(value, &formats));
    Some(LogConfig { level: level?, format: format? })
}

pub(super) fn read_schedule(section: &Section<'_, '_>) -> Option<ScheduleConfig> {
    let zone = section.or_default("timezone", (TimeZone::UTC, DEFAULT_TIMEZONE.to_owned()), |value| {
        let name = text(value, "Europe/Berlin")?;
        TimeZone::get(name).map(|zone| (zone, name.to_owned())).map_err(|_| unknown_zone(name))
    });
    let workers = section.number("workers", DEFAULT_WORKERS, MIN_WORKERS..=MAX_WORKERS, "syncs at once");
    let deadlines = MIN_SYNC_DEADLINE..=MAX_SYNC_DEADLINE;
    let sync_deadline = section.span("sync_deadline", DEFAULT_SYNC_DEADLINE, deadlines, "the time one sync may work");
    let spread = section.span("spread", DEFAULT_SPREAD, MIN_SPREAD..=MAX_SPREAD, "");
    let (timezone, timezone_name) = zone?;
    Some(ScheduleConfig {
        timezone,
        timezone_name,
        workers: usize::try_from(workers?).ok()?,
        sync_deadline: sync_deadline?,
        spread: spread?,
    })
}

/// A bare word that is no level would be taken for the name of a module, and silence everything else.
fn check_level(level: &str) -> Result<(), Wrong> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let hint = "write off, error, warn, info, debug or trace, or directives such as \"info,passbook=debug\"";
    for directive in level.split(',').map(str::trim).filter(|directive| !directive.contains(['=', '['])) {
        if !LEVELS.contains(&directive.to_lowercase().as_str()) {
            let hint = nearest(directive, LEVELS).map_or(hint.to_owned(), |near| format!("did you mean {near:?}?"));
            return Err(Wrong::new("not a log level", hint));
        }
    }
    EnvFilter::try_new(level).map(|_| ()).map_err(|_| Wrong::new("not a log filter", hint))
}

fn unknown_zone(name: &str) -> Wrong {
    let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.as_str().to_owned()).collect();
    let hint = nearest(name, zones.iter().map(String::as_str)).map_or_else(
        || "write an IANA name such as \"Europe/Berlin\" or \"UTC\"".to_owned(),
        |near| format!("did you mean {near:?}?"),
    );
    Wrong::new("not a time zone", hint)
}

/// A warning if others than the owner and the group can enter the directory of the store.
pub(super) fn open_directory_warning(store: &Path) -> Option<Problem> {
    let directory = store.parent()?;
    let mode = std::fs::metadata(directory).ok()?.permissions().mode() & 0o7777;
    let open = mode & 0o007 != 0;
    open.then(|| {
        let reason = format!("others can enter its directory {} (mode {mode:04o})", directory.display());
        let hint = format!("chmod o= {}, and add readers to the group", directory.display());
        Problem::whole_file("store.path".to_owned(), Wrong::new(reason, hint))
    })
}
