//! What the operator wrote: the TOML file, read and checked as a whole.
//!
//! `main` and every command call [`Config::load`]; nothing else in the program reads files of settings or the environment, and
//! there is no global: whoever needs a setting is handed it.
//!
//! What must stay true: every problem in the file is reported at once, with its place, its reason and what would be right; no
//! message holds a source line or a secret, not even when the secret stands where it should not; a [`Config`] that exists
//! is valid, so nothing later checks again.
//!
//! It opens no database and talks to nobody: `passbook check --online` does.
//!
//! The file is walked by hand over the parser's spanned tables rather than deserialized, because serde stops at the first
//! mistake.

pub mod alert;
pub mod backup;
pub mod bridge;
mod changes;
pub mod common;
mod duration;
mod plan;
mod problem;
pub mod readers;
mod reference;
pub mod refresh;
pub mod retention;
mod secrets;
mod section;
pub mod server;
mod size;
pub mod source;
mod suggest;
pub mod truv;
mod value;

pub use crate::telemetry::LogFormat;
pub use alert::AlertConfig;
pub use backup::BackupConfig;
pub use bridge::BridgeConfig;
pub use changes::{changes, unchangeable};
pub use common::{LogConfig, ScheduleConfig, StoreConfig};
pub use plan::{Plan, SourcePlan};
pub use problem::{ConfigErrors, Problem};
pub use readers::ReaderConfig;
pub use refresh::RefreshConfig;
pub use retention::RetentionConfig;
use secrets::StandIns;
pub use secrets::{SecretReadError, SecretStore, SystemSecrets};
pub use server::{AdminConfig, PublicConfig, ServerConfig};
pub use source::{AggregatorConfig, SourceConfig};
pub use truv::TruvConfig;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use toml::de::DeTable;

use problem::{Report, Wrong};
use section::Section;

/// Where the config is read from unless `--config` says otherwise.
pub const DEFAULT_CONFIG_PATH: &str = "/etc/passbook/passbook.toml";

/// A valid configuration.
///
/// Shape: `sources` has at least one entry, in the order of the file, no two with the same name or the same credential.
/// `warnings` are legal but doubtful settings, to be logged once at start, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[store]`.
    pub store: StoreConfig,
    /// `[log]`.
    pub log: LogConfig,
    /// `[schedule]`.
    pub schedule: ScheduleConfig,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[alert]`.
    pub alert: AlertConfig,
    /// `[retention]`.
    pub retention: RetentionConfig,
    /// `[backup]`; `None`: no backup is made by itself.
    pub backup: Option<BackupConfig>,
    /// Every `[[source]]`.
    pub sources: Vec<SourceConfig>,
    /// What is legal but doubtful.
    pub warnings: Vec<Problem>,
}

/// What every part of the walk is given.
struct Surroundings<'a> {
    secrets: &'a dyn SecretStore,
    /// Where the key of a store is that cannot even be read without.
    store_secrets: &'a dyn SecretStore,
    /// The directory of the config file, which relative paths start from.
    base: PathBuf,
}

impl Surroundings<'_> {
    fn to_read_store(&self) -> Self {
        Self { secrets: self.store_secrets, store_secrets: self.store_secrets, base: self.base.clone() }
    }
}

impl Config {
    /// Reads and checks the file at `path`, with the secrets of this machine.
    ///
    /// Errors: [`ConfigErrors`] with every problem found; a person repairs the file.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let mut config = Self::parse(&read(path)?, path, &SystemSecrets::from_environment())?;
        config.warnings.extend(common::open_directory_warning(&config.store.path));
        Ok(config)
    }

    /// Reads and checks the file at `path` without its secrets, for a command that only reads the store.
    ///
    /// Shape: every secret is a random stand-in, but for the key of a store that is encrypted whole. So whoever may read the
    /// store may ask about it, without the right to read what opens it.
    /// Errors: as for [`Config::load`].
    pub fn load_without_secrets(path: &Path) -> Result<Self, ConfigErrors> {
        Self::parse_with(&read(path)?, path, &StandIns, &SystemSecrets::from_environment())
    }

    /// Checks `text` as if it were the file at `path`, with secrets from `secrets`.
    ///
    /// Errors: as for [`Config::load`].
    pub fn parse(text: &str, path: &Path, secrets: &dyn SecretStore) -> Result<Self, ConfigErrors> {
        Self::parse_with(text, path, secrets, secrets)
    }

    fn parse_with(
        text: &str,
        path: &Path,
        secrets: &dyn SecretStore,
        store_secrets: &dyn SecretStore,
    ) -> Result<Self, ConfigErrors> {
        let report = Report::new(text);
        let (document, syntax_errors) = DeTable::parse_recoverable(text);
        if !syntax_errors.is_empty() {
            // What the parser could save of the rest is full of holes, and complaints about those would mislead.
            for error in &syntax_errors {
                report.syntax(error.span().map_or(0, |span| span.start), error.message());
            }
            return Err(report.into_errors(path));
        }
        let base = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned));
        let around = Surroundings { secrets, store_secrets, base: base.unwrap_or_default() };
        let root = Section::root(&report, document.get_ref(), &[ROOT_KEYS]);
        let config = walk(&root, &around);
        if report.has_problems() {
            return Err(report.into_errors(path));
        }
        match config {
            Some(config) => Ok(Self { warnings: report.into_warnings(), ..config }),
            None => Err(report.into_errors(path)),
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigErrors> {
    std::fs::read_to_string(path).map_err(|error| {
        let wrong = Wrong::new(
            format!("the file cannot be read: {error}"),
            "give the path of a readable file with --config FILE",
        );
        ConfigErrors::whole_file(path, wrong)
    })
}

const ROOT_KEYS: &[&str] = &["store", "server", "alert", "backup", "log", "schedule", "retention", "source"];

/// Settings that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyGroup {
    /// The section they stand in.
    pub section: &'static str,
    /// The aggregator whose sources alone have them; `None` where none is asked for, or every source has them.
    pub aggregator: Option<&'static str>,
    /// Their names, in the order of the documentation.
    pub keys: &'static [&'static str],
}

/// Every setting there is. A name may come again under another aggregator.
pub const SECTION_KEYS: &[KeyGroup] = &[
    KeyGroup { section: "store", aggregator: None, keys: common::STORE_KEYS },
    KeyGroup { section: "store", aggregator: None, keys: readers::READER_KEYS },
    KeyGroup { section: "server", aggregator: None, keys: server::SERVER_KEYS },
    KeyGroup { section: "alert", aggregator: None, keys: alert::ALERT_KEYS },
    KeyGroup { section: "backup", aggregator: None, keys: backup::BACKUP_KEYS },
    KeyGroup { section: "log", aggregator: None, keys: common::LOG_KEYS },
    KeyGroup { section: "schedule", aggregator: None, keys: common::SCHEDULE_KEYS },
    KeyGroup { section: "retention", aggregator: None, keys: retention::RETENTION_KEYS },
    KeyGroup { section: "source", aggregator: None, keys: source::SOURCE_KEYS },
    KeyGroup { section: "source", aggregator: Some("truv"), keys: truv::TRUV_KEYS },
    KeyGroup { section: "source", aggregator: Some("truv"), keys: refresh::REFRESH_KEYS },
    KeyGroup { section: "source", aggregator: Some("bridge"), keys: bridge::BRIDGE_KEYS },
];

fn walk(root: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<Config> {
    root.refuse_unknown(|_| None);
    let schedule = common::read_schedule(&root.table("schedule", &[common::SCHEDULE_KEYS]));
    let zone = schedule.as_ref().map_or(TimeZone::UTC, |schedule| schedule.timezone.clone());
    let store_section = root.table("store", &[common::STORE_KEYS, readers::READER_KEYS]);
    let store = common::read_store(&store_section, &zone, around);
    let server = server::read_server(&root.table("server", &[server::SERVER_KEYS]), around);
    let has_alert = root.value("alert").is_some();
    let alert = alert::read_alert(&root.table("alert", &[alert::ALERT_KEYS]), has_alert, around);
    let has_backup = root.value("backup").is_some();
    let backup = backup::read_backup(&root.table("backup", &[backup::BACKUP_KEYS]), has_backup, &zone, around);
    let log = common::read_log(&root.table("log", &[common::LOG_KEYS]));
    let retention = retention::read_retention(&root.table("retention", &[retention::RETENTION_KEYS]));
    let sources = source::read_sources(root, schedule.as_ref(), around);
    Some(Config {
        store: store?,
        server: server?,
        alert: alert?,
        retention: retention?,
        backup: backup.ok()?,
        log: log?,
        schedule: schedule?,
        sources: sources?,
        warnings: Vec::new(),
    })
}
