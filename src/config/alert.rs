//! `[alert]`: who is told that a link needs a person or that a source stands still, and how soon.
//!
//! Without the section nobody is told; what there would be to tell is noted in the store all the same.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;
use url::{Host, Url};

use super::Surroundings;
use super::problem::Wrong;
use super::reference::read_text_or_reference;
use super::section::Section;
use super::value::{kind, text};
use crate::secret::Secret;

/// `stale_after`: longer than any usual time between two syncs.
pub const DEFAULT_STALE_AFTER: Duration = Duration::from_hours(24);
/// Syncs of one schedule are spread over minutes.
pub const MIN_STALE_AFTER: Duration = Duration::from_hours(1);
/// Whoever waits longer does not want to know.
pub const MAX_STALE_AFTER: Duration = Duration::from_hours(30 * 24);

/// `link_grace`: many links need a person only until the customer has answered the bank's question.
pub const DEFAULT_LINK_GRACE: Duration = Duration::from_mins(10);
/// Zero: at once.
pub const MIN_LINK_GRACE: Duration = Duration::ZERO;
/// A link without data for longer is old news.
pub const MAX_LINK_GRACE: Duration = Duration::from_hours(7 * 24);

/// Arguments of the command, its program included.
const MAX_COMMAND_WORDS: usize = 64;

pub(super) const ALERT_KEYS: &[&str] = &["webhook_url", "command", "stale_after", "link_grace"];

/// Who is told, and how soon.
///
/// Shape: without `webhook_url` and `command` nobody is told.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertConfig {
    /// Where messages are posted: https, or http to this machine. A secret, because whoever knows such an address may post there.
    pub webhook_url: Option<Secret>,
    /// A program and its arguments, started for each message.
    pub command: Option<Command>,
    /// How long a source may go without a success.
    pub stale_after: Duration,
    /// How long a link may need a person before that is told.
    pub link_grace: Duration,
}

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its absolute path.
    pub program: PathBuf,
    /// What it is given.
    pub arguments: Vec<String>,
}

impl Default for AlertConfig {
    fn default() -> Self {
        Self { webhook_url: None, command: None, stale_after: DEFAULT_STALE_AFTER, link_grace: DEFAULT_LINK_GRACE }
    }
}

/// Reads the section. `is_there`: it stands in the file.
pub(super) fn read_alert(section: &Section<'_, '_>, is_there: bool, around: &Surroundings<'_>) -> Option<AlertConfig> {
    if !is_there {
        return Some(AlertConfig::default());
    }
    let webhook_url = match section.value("webhook_url") {
        Some(_) => read_webhook_url(section, around).map(Some),
        None => Some(None),
    };
    let command = section.optional("command", read_command).ok();
    let stale_after =
        section.span("stale_after", DEFAULT_STALE_AFTER, MIN_STALE_AFTER..=MAX_STALE_AFTER, "a schedule may be slow");
    let link_grace = section.span("link_grace", DEFAULT_LINK_GRACE, MIN_LINK_GRACE..=MAX_LINK_GRACE, "");
    if matches!((&webhook_url, &command), (Some(None), Some(None))) {
        section.missing(
            "webhook_url",
            "webhook_url = \"https://hooks.example.com/…\", or command = [\"/path/to/program\"]",
        );
        return None;
    }
    Some(AlertConfig {
        webhook_url: webhook_url?,
        command: command?,
        stale_after: stale_after?,
        link_grace: link_grace?,
    })
}

fn read_webhook_url(section: &Section<'_, '_>, around: &Surroundings<'_>) -> Option<Secret> {
    let address = read_text_or_reference(section, "webhook_url", "https://hooks.example.com/passbook", around)?;
    let is_reference = section.value("webhook_url").is_some_and(|value| value.get_ref().is_table());
    let is_stand_in = is_reference && around.secrets.are_stand_ins();
    match check_webhook_url(&address) {
        Err(wrong) if !is_stand_in => {
            let at = section.value("webhook_url").map_or(0, |value| value.span().start);
            section.wrong_secret("webhook_url", at, wrong);
            None
        }
        Ok(()) | Err(_) => Some(Secret::new(address)),
    }
}

/// Accepts an address with a path and a query, which often hold the right to post there.
fn check_webhook_url(address: &str) -> Result<(), Wrong> {
    let hint = "write an address such as \"https://hooks.example.com/passbook\"";
    let url = Url::parse(address).map_err(|error| Wrong::new(format!("not an address: {error}"), hint))?;
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() == "https" || (url.scheme() == "http" && is_local) {
        return Ok(());
    }
    Err(Wrong::new("https is required; plain http only to this machine (127.0.0.0/8, ::1, localhost)", hint))
}

fn read_command(value: &DeValue<'_>) -> Result<Command, Wrong> {
    const HINT: &str = "write a list such as [\"/usr/local/bin/page-somebody\", \"--urgent\"]";
    let Some(list) = value.as_array() else {
        return Err(Wrong::new(format!("it is {}, and a list is needed", kind(value)), HINT));
    };
    if list.len() > MAX_COMMAND_WORDS {
        return Err(Wrong::new(format!("more than {MAX_COMMAND_WORDS} entries"), "put them in a script"));
    }
    let words: Vec<String> =
        list.iter().map(|word| text(word.get_ref(), "--urgent").map(str::to_owned)).collect::<Result<_, _>>()?;
    let Some((program, arguments)) = words.split_first() else {
        return Err(Wrong::new("empty", HINT));
    };
    // No shell and no search path decide what is started.
    if !program.starts_with('/') || words.iter().any(|word| word.contains('\0')) {
        return Err(Wrong::new("it must begin with the absolute path of a program", HINT));
    }
    Ok(Command { program: PathBuf::from(program), arguments: arguments.to_vec() })
}
