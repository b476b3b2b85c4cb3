//! `passbook run`: the daemon in the foreground, as systemd starts it; or once.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::context::{Context, Local, is_under_journald};
use super::progress::{self, Tally};
use super::{Exit, output};
use crate::alert::{AlertOptions, Alerts};
use crate::daemon::{self, Daemon};
use crate::server::{self, Served, control, listen};
use crate::store::Due;
use crate::{systemd, telemetry};

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
    telemetry::init(if shows_bar { "warn" } else { &log.level }, log.format, is_under_journald());
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
    serve(&context, &local, stop, None).await?;
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
    let daemon = Daemon::new(Arc::clone(&local.engine), context.daemon_options(true)).watched_by(events);
    let (result, tally) = tokio::join!(daemon.run(stop), progress::watch(watched, due));
    result?;
    Ok(tally)
}

/// Runs the daemon with its heartbeat and control socket until `stop` is cancelled.
pub(super) async fn serve(
    context: &Context,
    local: &Local,
    stop: CancellationToken,
    events: Option<mpsc::UnboundedSender<daemon::Event>>,
) -> anyhow::Result<()> {
    let mut daemon = Daemon::new(Arc::clone(&local.engine), context.daemon_options(false));
    if let Some(events) = events {
        daemon = daemon.watched_by(events);
    }
    let waker = daemon.waker();
    let mut beside: JoinSet<()> = JoinSet::new();
    let served = Served::new(Arc::clone(&local.engine), waker.clone(), Arc::new(context.config.clone()))
        .within(daemon.busy(), stop.clone());
    if let Some(public) = served.public() {
        let listener = listen::bind(public.listen).await?;
        tracing::info!(address = %public.listen, url = %public.url, "the public side listens");
        let (intake, storing) = server::public::intake(&served);
        beside.spawn(storing);
        beside.spawn(listen::serve(listener, server::public::router(&served, intake), stop.clone()));
    }
    if let Some(admin) = served.admin() {
        let listener = listen::bind(admin.listen).await?;
        tracing::info!(address = %admin.listen, "the admin side listens");
        beside.spawn(listen::serve(listener, server::admin::router(&served), stop.clone()));
    }
    let alerts = Alerts::new(AlertOptions {
        store: local.engine.store().clone(),
        clock: context.clock.clone(),
        config: &context.config.alert,
        dashboard: context.dashboard(),
        transport: context.transport(),
        seed: rand::random(),
    })?;
    beside.spawn(daemon::tell_alerts(alerts, stop.clone()));
    beside.spawn(daemon::keep_copies(Arc::clone(&local.engine), stop.clone()));
    beside.spawn(daemon::beat(waker.clone(), stop.clone()));
    let (engine, asked) = (Arc::clone(&local.engine), stop.clone());
    beside.spawn(async move {
        if let Err(error) = control::serve(engine, waker, asked).await {
            tracing::error!(%error, "the control socket failed; commands cannot reach this daemon until it is restarted");
        }
    });
    beside.spawn(watchdog(Arc::clone(&local.engine), stop.clone()));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), store = %context.config.store.path.display(),
        sources = context.config.sources.len(), "ready"
    );
    systemd::ready(&format!("syncing {}", output::counted(context.config.sources.len() as u64, "source")));
    let result = daemon.run(stop.clone()).await;
    stop.cancel();
    systemd::stopping();
    while beside.join_next().await.is_some() {}
    tracing::info!("stopped");
    Ok(result?)
}

/// Feeds systemd's watchdog, each time after the store has answered.
async fn watchdog(engine: Arc<crate::sync::Engine>, stop: CancellationToken) {
    let Some(interval) = systemd::watchdog_interval() else {
        return;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        match engine.store().read(|txn| txn.find_link("0")).await {
            Ok(_) => systemd::alive(),
            Err(error) => tracing::error!(%error, "the store does not answer; systemd will restart us"),
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
    // In a terminal a hang-up means that the person is gone; a service is not in one.
    let is_in_terminal = std::io::stderr().is_terminal();
    #[expect(clippy::disallowed_methods, reason = "listens as long as the process lives; ends with the runtime")]
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hang_up.recv() => {
                    if is_in_terminal {
                        break;
                    }
                    tracing::warn!("SIGHUP: a changed configuration needs a restart in this version");
                }
            }
        }
        token.cancel();
    });
    Ok(stop)
}
