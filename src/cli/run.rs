//! `passbook run`: the daemon in the foreground, as systemd starts it; or once.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Local, is_under_journald};
use super::progress::{self, Tally};
use super::{Exit, output};
use crate::daemon::{self, Daemon, DaemonOptions, ProcessOptions};
use crate::server::Reloader;
use crate::store::Due;
use crate::telemetry::{self, LevelSwitch};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Discover, sync every link that is due, and exit. Exits with 4 if a link needs a person, 1 if a sync failed.
    #[arg(long)]
    once: bool,
}

pub(super) async fn run(config: &Path, arguments: Arguments) -> anyhow::Result<Exit> {
    let context = Context::load(config)?;
    let log = &context.config.log;
    // A progress bar and lines of log do not share a terminal well; what is worth a warning is shown all the same.
    let shows_bar = arguments.once && std::io::stderr().is_terminal();
    let level = telemetry::init(if shows_bar { "warn" } else { &log.level }, log.format, is_under_journald());
    for warning in &context.config.warnings {
        tracing::warn!("{}: {warning}", config.display());
    }
    let stop = stop_on_signals()?;
    if arguments.once {
        let local = context.take_store("run --once").await?;
        let started = context.clock.now();
        let tally = once(&context, &local, stop).await?;
        let seconds = context.clock.now().as_second() - started.as_second();
        output::print(&format!(
            "{} in {}: {} rows read, {} new, {} changed, {} requests\n",
            tally.outcomes(),
            output::duration(seconds),
            output::count(u64::from(tally.counts.rows_seen)),
            output::count(u64::from(tally.counts.rows_added)),
            output::count(u64::from(tally.counts.rows_changed() - tally.counts.rows_added)),
            output::count(u64::from(tally.counts.requests + tally.discovery_requests)),
        ))?;
        return Ok(exit_of(&tally));
    }
    let local = context.take_store("run").await?;
    serve(&context, &local, config, stop, Extras { level: Some(level), ..Extras::default() }).await?;
    Ok(Exit::Done)
}

fn exit_of(tally: &Tally) -> Exit {
    if tally.failed > 0 || tally.discovery_failed {
        Exit::Failed
    } else if tally.attention > 0 {
        Exit::Attention
    } else {
        Exit::Done
    }
}

/// Discovers, syncs everything that is due, shows progress and adds it up.
pub(super) async fn once(context: &Context, local: &Local, stop: CancellationToken) -> anyhow::Result<Tally> {
    let (events, watched) = mpsc::unbounded_channel();
    let now = context.clock.now();
    let mut due = 0;
    for source in local.engine.sources() {
        let source_id = source.source_id;
        due += local.engine.store().read(move |txn| txn.unfinished_links(source_id, Due::now(now))).await?;
    }
    let daemon = Daemon::new(Arc::clone(&local.engine), DaemonOptions::of(&context.config, true)).watched_by(events);
    let (result, tally) = tokio::join!(daemon.run(stop), progress::watch(watched, due));
    result?;
    Ok(tally)
}

/// Runs the daemon with everything beside it until `stop` is cancelled.
pub(super) async fn serve(
    context: &Context,
    local: &Local,
    config_path: &Path,
    stop: CancellationToken,
    extras: Extras,
) -> anyhow::Result<()> {
    let reloads = Reloader::new();
    let mut signals = JoinSet::new();
    signals.spawn(reload_on_hang_up(signal(SignalKind::hangup())?, reloads.0.clone()));
    let options = ProcessOptions {
        config: context.config.clone(),
        config_path: config_path.to_owned(),
        engine: Arc::clone(&local.engine),
        transport: context.transport(),
        level: extras.level,
        events: extras.events,
        reloads,
    };
    Ok(daemon::serve(options, stop).await?)
}

/// What a serving process may have besides.
#[derive(Default)]
pub(super) struct Extras {
    /// Changes what is logged.
    pub(super) level: Option<LevelSwitch>,
    /// Who is told what happens to links.
    pub(super) events: Option<mpsc::UnboundedSender<daemon::Event>>,
}

async fn reload_on_hang_up(mut hang_up: Signal, reloader: Reloader) {
    while hang_up.recv().await.is_some() {
        if reloader.reload().await.is_none() {
            return;
        }
    }
}

/// A token that is cancelled by SIGTERM, SIGINT, or the end of the terminal.
pub(super) fn stop_on_signals() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let token = stop.clone();
    let was_in_terminal = std::io::stderr().is_terminal();
    #[expect(clippy::disallowed_methods, reason = "listens as long as the process lives; ends with the runtime")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                // Without the terminal we were in, the person is gone. Otherwise it asks a daemon for a reload.
                _ = hang_up.recv() => if was_in_terminal && !std::io::stderr().is_terminal() {
                    break;
                },
            }
        }
        token.cancel();
    });
    Ok(stop)
}
