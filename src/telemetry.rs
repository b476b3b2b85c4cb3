//! Logs: where they go and in which shape. Called once, by the commands.
//!
//! Logs go to standard error, so that standard output stays for answers. The HTTP and TLS crates are kept at WARN whatever
//! the level: their TRACE lines would hold headers.

use std::io::{self, IsTerminal as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, reload};

const QUIET_CRATES: [&str; 6] =
    ["hyper=warn", "hyper_util=warn", "h2=warn", "rustls=warn", "reqwest=warn", "tokio_cron_scheduler=warn"];

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, journald's form where systemd listens, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
    /// Text without times and with systemd's priority prefixes.
    Journald,
}

/// Changes what is logged while the process runs.
pub struct LevelSwitch(Box<dyn Fn(&str) + Send + Sync>);

impl LevelSwitch {
    /// Logs by `level` from now on, as [`init`] reads it.
    pub fn set(&self, level: &str) {
        (self.0)(level);
    }
}

impl std::fmt::Debug for LevelSwitch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LevelSwitch")
    }
}

fn filter_of(level: &str) -> EnvFilter {
    let mut filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in QUIET_CRATES.iter().filter_map(|d| d.parse::<Directive>().ok()) {
        filter = filter.add_directive(directive);
    }
    filter
}

/// Starts logging: `level` is a level or a list of directives, as `tracing_subscriber` reads them. A second call changes
/// nothing, and neither does its switch.
///
/// `under_journald` is what the environment says about standard error.
pub fn init(level: &str, format: LogFormat, under_journald: bool) -> LevelSwitch {
    let (filter, handle) = reload::Layer::new(filter_of(level));
    // A terminal that went away must not end the process: what cannot be written is lost.
    let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
    let format = match format {
        LogFormat::Auto if under_journald => LogFormat::Journald,
        LogFormat::Auto if io::stderr().is_terminal() => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        LogFormat::Text | LogFormat::Json | LogFormat::Journald => format,
    };
    let lines = match format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Journald => lines.with_ansi(false).event_format(Journald).boxed(),
        LogFormat::Auto | LogFormat::Text => lines.with_target(false).with_ansi(io::stderr().is_terminal()).boxed(),
    };
    // Failing means that a subscriber is set already, as in tests.
    let _ = tracing_subscriber::registry().with(filter).with(lines).try_init();
    LevelSwitch(Box::new(move |level| {
        if let Err(error) = handle.reload(filter_of(level)) {
            tracing::warn!(%error, "the log level could not be changed");
        }
    }))
}

/// A line as journald reads it from standard error: the priority in front, no time, which journald adds.
struct Journald;

impl<S, N> FormatEvent<S, N> for Journald
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{priority}>")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
