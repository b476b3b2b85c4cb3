//! Logs: where they go and in which shape. Called once, by the commands.
//!
//! Logs go to standard error, so that standard output stays for answers. The HTTP and TLS crates are kept at WARN whatever
//! the level: their TRACE lines would hold headers.

use std::io::{self, IsTerminal as _};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, fmt};

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

/// Starts logging: `level` is a level or a list of directives, as `tracing_subscriber` reads them. A second call changes nothing.
///
/// `under_journald` is what the environment says about standard error.
pub fn init(level: &str, format: LogFormat, under_journald: bool) {
    let mut filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    for directive in QUIET_CRATES.iter().filter_map(|d| d.parse::<Directive>().ok()) {
        filter = filter.add_directive(directive);
    }
    // A terminal that went away must not end the process: what cannot be written is lost.
    let builder = fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let format = match format {
        LogFormat::Auto if under_journald => LogFormat::Journald,
        LogFormat::Auto if io::stderr().is_terminal() => LogFormat::Text,
        LogFormat::Auto => LogFormat::Json,
        LogFormat::Text | LogFormat::Json | LogFormat::Journald => format,
    };
    // Failing means that a subscriber is set already, as in tests.
    let _ = match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Journald => builder.with_ansi(false).event_format(Journald).try_init(),
        LogFormat::Auto | LogFormat::Text => {
            builder.with_target(false).with_ansi(io::stderr().is_terminal()).try_init()
        }
    };
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
