//! The life of a serving process: what listens and works beside the lanes, and a changed configuration.
//!
//! A configuration is taken over in two halves. The first can fail and changes nothing: the file is read and checked, whatever
//! is new is made, new addresses are bound, the sources are recorded. The second cannot fail: the lanes, both sides, the
//! control socket and the alerts are given what was made. Between the two no step of a link is dropped; sources that did not
//! change notice nothing.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::sides::Sides;
use super::{
    Assignment, BuildError, BuildOptions, Daemon, DaemonOptions, Event, beat, keep_copies, rebuild, tell_alerts,
};
use crate::alert::{AlertOptions, Alerts};
use crate::config::{self, Config, Plan};
use crate::http::{PosterError, Transport};
use crate::server::{self, Reloader, Served, control};
use crate::store::{ConfigLoad, LoadOutcome, StoreError};
use crate::sync::Engine;
use crate::systemd;
use crate::telemetry::LevelSwitch;

/// What a process serves with.
pub struct ProcessOptions {
    /// Its configuration.
    pub config: Config,
    /// Where that was read, and is read again on reload.
    pub config_path: PathBuf,
    /// The engine built of it.
    pub engine: Arc<Engine>,
    /// How requests travel.
    pub transport: Transport,
    /// Changes what is logged; `None`: it stays.
    pub level: Option<LevelSwitch>,
    /// Who is told what happens to links; `None`: nobody.
    pub events: Option<mpsc::UnboundedSender<Event>>,
    /// Asks for reloads; whoever has it may do so.
    pub reloads: (Reloader, mpsc::Receiver<oneshot::Sender<control::Reloaded>>),
}

/// Why a process does not serve, or not as its changed configuration says.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// An address cannot be bound.
    #[error(transparent)]
    Listen(#[from] std::io::Error),
    /// Nobody could be told of alerts.
    #[error("[alert]: {0}")]
    Alert(#[from] PosterError),
    /// No engine can be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not good.
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    /// It differs in what only a start can change.
    #[error("{} cannot change while the daemon runs: change it back, or restart the daemon", .0.join(" and "))]
    NeedsRestart(Vec<&'static str>),
    /// The task that reads the file was lost.
    #[error("the configuration could not be read: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

/// Runs the daemon with everything beside it until `stop` is cancelled.
///
/// Errors: what keeps it from starting; and the store's, where the lanes cannot begin.
pub async fn serve(options: ProcessOptions, stop: CancellationToken) -> Result<(), ProcessError> {
    let (reloader, mut reloads) = options.reloads;
    let mut daemon = Daemon::new(Arc::clone(&options.engine), DaemonOptions::of(&options.config, false))
        .keeping(options.config.retention);
    if let Some(events) = options.events {
        daemon = daemon.watched_by(events);
    }
    let served = Served::new(options.engine, daemon.waker(), Arc::new(options.config))
        .within(daemon.busy(), stop.clone())
        .reloaded_by(reloader);
    let (intake, storing) = server::public::intake(&served);
    let mut process = Process {
        config_path: options.config_path,
        transport: options.transport,
        level: options.level,
        assignment: daemon.assignment(),
        sides: Sides::new(intake, stop.clone()),
        alerts: CancellationToken::new(),
        beside: JoinSet::new(),
        served: watch::Sender::new(served.clone()),
        stop: stop.clone(),
    };
    process.start(&served).await?;
    process.beside.spawn(storing);
    process.note(LoadOutcome::Started, String::new()).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), store = %served.config.store.path.display(),
        sources = served.config.sources.len(), "ready"
    );
    systemd::ready(&process.says());
    let mut work = Box::pin(daemon.run(stop.clone()));
    let result = loop {
        tokio::select! {
            result = &mut work => break result,
            Some(asker) = reloads.recv() => {
                // Who has gone away reads in the log and in `status` what came of it.
                let _ = asker.send(process.reload().await);
            }
        }
    };
    stop.cancel();
    systemd::stopping();
    process.end().await;
    tracing::info!("stopped");
    Ok(result?)
}

/// A serving process.
struct Process {
    config_path: PathBuf,
    transport: Transport,
    level: Option<LevelSwitch>,
    assignment: watch::Sender<Assignment>,
    /// What is served now.
    served: watch::Sender<Served>,
    sides: Sides,
    /// Ends the loop that tells alerts.
    alerts: CancellationToken,
    beside: JoinSet<()>,
    stop: CancellationToken,
}

impl Process {
    async fn start(&mut self, served: &Served) -> Result<(), ProcessError> {
        let alerts = self.make_alerts(served)?;
        for bound in self.sides.bind(&served.config.server).await? {
            self.sides.open(bound, served);
        }
        self.tell(alerts);
        self.beside.spawn(beat(served.waker.clone(), self.stop.clone()));
        self.beside.spawn(keep_copies(self.assignment.subscribe(), self.stop.clone()));
        self.beside.spawn(watch_over(self.served.subscribe(), self.stop.clone()));
        let (orders, asked) = (self.served.subscribe(), self.stop.clone());
        self.beside.spawn(async move {
            if let Err(error) = control::serve(orders, asked).await {
                tracing::error!(%error, "the control socket failed; commands cannot reach this daemon until it is restarted");
            }
        });
        Ok(())
    }

    /// Takes over a changed configuration, or keeps the one there is; says in the log, the store and to systemd which.
    async fn reload(&mut self) -> control::Reloaded {
        systemd::reloading();
        let result = self.take_over().await;
        let (outcome, summary) = match &result {
            Ok(changes) => (LoadOutcome::Applied, changes.join("; ")),
            Err(error) => (LoadOutcome::Refused, error.to_string()),
        };
        match outcome {
            LoadOutcome::Refused => {
                tracing::error!(
                    reason = summary,
                    "the changed configuration is refused; the former one stays in force"
                );
                systemd::ready(&format!("reload refused, the former configuration stays: {summary}"));
            }
            LoadOutcome::Started | LoadOutcome::Applied => {
                let changes = if summary.is_empty() { "none" } else { &summary };
                tracing::info!(changes, "the configuration is applied");
                systemd::ready(&self.says());
            }
        }
        if let Err(error) = self.note(outcome, summary.clone()).await {
            tracing::warn!(%error, "what came of the reload could not be noted");
        }
        result.map_err(|_| summary)
    }

    async fn take_over(&mut self) -> Result<Vec<String>, ProcessError> {
        let path = self.config_path.clone();
        let config = tokio::task::spawn_blocking(move || Config::load(&path)).await??;
        let former = self.served.borrow().clone();
        let changes = config::changes(&former.config, &config);
        let unchangeable = config::unchangeable(&former.config, &config);
        if !unchangeable.is_empty() {
            return Err(ProcessError::NeedsRestart(unchangeable));
        }
        for warning in &config.warnings {
            tracing::warn!("{}: {warning}", self.config_path.display());
        }
        if changes.is_empty() {
            return Ok(changes);
        }
        let bound = self.sides.bind(&config.server).await?;
        let options = BuildOptions {
            store: former.engine.store().clone(),
            clock: former.engine.clock().clone(),
            transport: self.transport.clone(),
            seed: rand::random(),
        };
        let served = former.with(Arc::clone(&former.engine), Arc::new(config));
        let alerts = self.make_alerts(&served)?;
        let succession = rebuild(&served.config, &former.config, &former.engine, options).await?;
        // From here on nothing can fail.
        let served = served.with(succession.take_over(), Arc::clone(&served.config));
        self.assignment.send_replace(Assignment {
            engine: Arc::clone(&served.engine),
            options: DaemonOptions::of(&served.config, false),
            retention: served.config.retention,
        });
        self.served.send_replace(served.clone());
        self.sides.update(&served);
        for bound in bound {
            self.sides.open(bound, &served);
        }
        self.tell(alerts);
        if let Some(level) = &self.level {
            level.set(&served.config.log.level);
        }
        served.waker.wake();
        Ok(changes)
    }

    fn make_alerts(&self, served: &Served) -> Result<Alerts, PosterError> {
        Alerts::new(AlertOptions {
            store: served.engine.store().clone(),
            clock: served.engine.clock().clone(),
            config: &served.config.alert,
            dashboard: served.admin().and_then(config::AdminConfig::address),
            transport: self.transport.clone(),
            seed: rand::random(),
        })
    }

    /// Has `alerts` told from now on, instead of those before.
    fn tell(&mut self, alerts: Alerts) {
        self.alerts.cancel();
        self.alerts = self.stop.child_token();
        self.beside.spawn(tell_alerts(alerts, self.alerts.clone()));
    }

    /// Notes in the store what became of a configuration.
    async fn note(&self, outcome: LoadOutcome, summary: String) -> Result<(), StoreError> {
        let served = self.served.borrow().clone();
        let loaded_at = served.engine.clock().now();
        let plan = match outcome {
            LoadOutcome::Refused => None,
            LoadOutcome::Started | LoadOutcome::Applied => {
                serde_json::to_string(&Plan::of(&served.config, loaded_at)).ok()
            }
        };
        let load = ConfigLoad { loaded_at, outcome, summary, plan };
        served.engine.store().write(move |txn| txn.note_config_load(&load)).await
    }

    /// What systemd shows of us.
    fn says(&self) -> String {
        let number = self.served.borrow().config.sources.len();
        format!("syncing {number} source{}", if number == 1 { "" } else { "s" })
    }

    /// Waits for everything beside the lanes. The process was told to stop.
    async fn end(mut self) {
        self.sides.end().await;
        while self.beside.join_next().await.is_some() {}
    }
}

/// Feeds systemd's watchdog, each time after the store has answered.
async fn watch_over(served: watch::Receiver<Served>, stop: CancellationToken) {
    let Some(interval) = systemd::watchdog_interval() else {
        return;
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(interval) => {}
        }
        let store = served.borrow().engine.store().clone();
        match store.read(|txn| txn.find_link("0")).await {
            Ok(_) => systemd::alive(),
            Err(error) => tracing::error!(%error, "the store does not answer; systemd will restart us"),
        }
    }
}
