//! Our side: the machine with the store and the configuration, and the process that lives and dies on it.

mod config;
mod orders;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use passbook::alert::{AlertOptions, Alerts};
use passbook::clock::Clock;
use passbook::config::Config;
use passbook::daemon::{self, Assignment, BuildOptions, Daemon, DaemonOptions};
use passbook::http::Transport;
use passbook::sandbox::Sandbox;
use passbook::secret::{Encryption, Sealer, StoreKey};
use passbook::server::{self, public};
use passbook::store::{self, Access, OpenOptions, RekeyOptions, Store};
use passbook::sync::{Engine, Waker};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::gate::{Deeds, Gate};
use crate::on_call::OnCall;
use crate::plan::Verb;
use config::Knobs;

/// The machine.
pub(crate) struct Host {
    dir: tempfile::TempDir,
    key: StoreKey,
    pub(crate) clock: Clock,
    bank: Sandbox,
    knobs: Knobs,
    seed: u64,
    pub(crate) deeds: Arc<Mutex<Deeds>>,
    /// Where webhooks are delivered; `None`: nobody listens.
    pub(crate) entrance: Arc<Mutex<Option<Router>>>,
    pub(crate) gate: Arc<Gate>,
    /// Who is told of alerts.
    pub(crate) on_call: OnCall,
    life: Option<Life>,
    /// How often a process was started.
    pub(crate) starts: u64,
}

/// A process.
struct Life {
    engine: Arc<Engine>,
    config: Arc<Config>,
    assignment: watch::Sender<Assignment>,
    waker: Waker,
    work: JoinSet<Option<String>>,
    /// What stores webhooks, which ends when nobody can hand any in, and what tells alerts.
    beside: JoinSet<()>,
    /// Ends what tells alerts.
    telling: CancellationToken,
    stop: CancellationToken,
}

impl Host {
    pub(crate) fn new(setup: &Verb, bank: &Sandbox, clock: Clock) -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let deeds = Arc::default();
        Self {
            dir: dir.expect("a directory for the store"),
            key: StoreKey::generate().expect("randomness"),
            clock,
            bank: bank.clone(),
            knobs: Knobs::new(setup, bank),
            seed: u64::try_from(setup.number("seed")).unwrap_or(0),
            gate: Gate::new(Arc::clone(&deeds)),
            deeds,
            on_call: OnCall::default(),
            entrance: Arc::default(),
            life: None,
            starts: 0,
        }
    }

    /// The store's file.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("passbook.db")
    }

    pub(crate) fn is_up(&self) -> bool {
        self.life.is_some()
    }

    fn options(&self, store: Store, gate: &Arc<Gate>) -> BuildOptions {
        let clock = self.bank.clone();
        let router = gate.of_network(self.bank.router(), move || clock.now().as_millisecond());
        BuildOptions {
            store,
            clock: self.clock.clone(),
            transport: Transport::in_process(router),
            seed: self.seed.wrapping_mul(31).wrapping_add(self.starts),
        }
    }

    /// Starts a process; `false`: it died while it started.
    ///
    /// Errors: the store or the configuration is refused, which never must be.
    pub(crate) async fn start(&mut self) -> Result<bool, String> {
        self.starts += 1;
        let gate = Gate::new(Arc::clone(&self.deeds));
        // What was to kill the process before kills this one.
        self.gate = Arc::clone(&gate);
        let store = self.open()?;
        store.work_in_place(gate.of_store());
        let config = Arc::new(self.knobs.parse(&self.key, self.dir.path())?);
        let built = tokio::select! {
            biased;
            built = daemon::build(&config, self.options(store, &gate)) => built.map_err(|error| error.to_string())?,
            () = gate.died.notified() => return Ok(false),
        };
        let engine = Arc::new(built);
        let daemon = Daemon::new(Arc::clone(&engine), DaemonOptions::of(&config, false)).keeping(config.retention);
        let (assignment, waker, stop) = (daemon.assignment(), daemon.waker(), CancellationToken::new());
        let served = server::Served::new(Arc::clone(&engine), waker.clone(), Arc::clone(&config));
        let (intake, storing) = public::intake(&served);
        self.enter(Some(public::router(&served, intake)));
        let (mut beside, mut work, telling) = (JoinSet::new(), JoinSet::new(), stop.child_token());
        beside.spawn(storing);
        if let Some(alerts) = self.alerts(&engine, &config, &gate)? {
            beside.spawn(daemon::tell_alerts(alerts, telling.clone()));
        }
        let until = stop.clone();
        work.spawn(async move { daemon.run(until).await.err().map(|error| error.to_string()) });
        self.life = Some(Life { engine, config, assignment, waker, work, beside, telling, stop });
        Ok(true)
    }

    fn open(&self) -> Result<Store, String> {
        let path = self.path();
        Store::open(OpenOptions {
            path: &path,
            sealer: Sealer::new(self.key.clone()),
            encryption: Encryption::Secrets,
            keep_raw: true,
            access: Access::Create,
            now: self.clock.now(),
        })
        .map_err(|error| format!("the store does not open: {error}"))
    }

    /// What tells alerts; `None`: nobody is told.
    fn alerts(&self, engine: &Engine, config: &Config, gate: &Arc<Gate>) -> Result<Option<Alerts>, String> {
        if config.alert.webhook_url.is_none() {
            return Ok(None);
        }
        let clock = self.bank.clone();
        let alerts = Alerts::new(AlertOptions {
            store: engine.store().clone(),
            clock: self.clock.clone(),
            config: &config.alert,
            dashboard: None,
            transport: Transport::in_process(
                gate.of_network(self.on_call.router(), move || clock.now().as_millisecond()),
            ),
            seed: self.seed.wrapping_mul(37).wrapping_add(self.starts),
        });
        alerts.map(Some).map_err(|error| error.to_string())
    }

    fn enter(&self, router: Option<Router>) {
        *self.entrance.lock().unwrap_or_else(PoisonError::into_inner) = router;
    }

    /// Kills the process where it is.
    pub(crate) async fn kill(&mut self) {
        self.gate.kill();
        self.enter(None);
        if let Some(life) = self.life.take() {
            dropped(life.work, life.beside).await;
        }
    }

    /// Stops the process as systemd would; it may die over that.
    ///
    /// Errors: how it failed.
    pub(crate) async fn stop(&mut self) -> Result<(), String> {
        let Some(life) = self.life.take() else { return Ok(()) };
        life.stop.cancel();
        self.enter(None);
        let Life { engine, config, assignment, waker, mut work, mut beside, .. } = life;
        drop((engine, config, assignment, waker));
        let ending = async {
            while let Some(ended) = work.join_next().await {
                if let Some(error) = ended.map_err(|error| error.to_string())? {
                    return Err(error);
                }
            }
            while beside.join_next().await.is_some() {}
            Ok(())
        };
        tokio::select! {
            biased;
            ended = ending => return ended,
            () = self.gate.died.notified() => {}
        }
        dropped(work, beside).await;
        Ok(())
    }

    /// Whether the process ended by itself, which it never must, and why.
    pub(crate) fn fate(&mut self) -> Option<String> {
        let ended = self.life.as_mut()?.work.try_join_next()?;
        Some(match ended {
            Ok(Some(error)) => format!("the daemon ended: {error}"),
            Ok(None) => "the daemon ended without being told to".to_owned(),
            Err(error) => format!("the daemon panicked: {error}"),
        })
    }

    /// Applies a changed configuration, as SIGHUP does.
    ///
    /// Errors: a good configuration is refused.
    pub(crate) async fn reload(&mut self, verb: &Verb) -> Result<(), String> {
        self.knobs.change(verb);
        let gate = Arc::clone(&self.gate);
        let Some(life) = &self.life else { return Ok(()) };
        let config = Arc::new(self.knobs.parse(&self.key, self.dir.path())?);
        let options = self.options(life.engine.store().clone(), &gate);
        let succession = tokio::select! {
            biased;
            built = daemon::rebuild(&config, &life.config, &life.engine, options) => built.map_err(|error| error.to_string())?,
            () = gate.died.notified() => {
                gate.died.notify_one();
                return Ok(());
            }
        };
        let engine = succession.take_over();
        let (options, retention) = (DaemonOptions::of(&config, false), config.retention);
        life.assignment.send_replace(Assignment { engine: Arc::clone(&engine), options, retention });
        let served = server::Served::new(Arc::clone(&engine), life.waker.clone(), Arc::clone(&config));
        let (intake, storing) = public::intake(&served);
        self.enter(Some(public::router(&served, intake)));
        let alerts = self.alerts(&engine, &config, &gate)?;
        if let Some(life) = &mut self.life {
            life.telling.cancel();
            life.telling = life.stop.child_token();
            if let Some(alerts) = alerts {
                life.beside.spawn(daemon::tell_alerts(alerts, life.telling.clone()));
            }
            life.engine = engine;
            life.config = config;
            life.beside.spawn(storing);
            life.waker.wake();
        }
        Ok(())
    }

    /// Changes a secret: at the aggregator, or the store's own key, for which the process must rest.
    pub(crate) async fn rotate(&mut self, verb: &Verb) -> Result<(), String> {
        if verb.text("which") == "store-key" {
            self.stop().await?;
            let new = StoreKey::generate().map_err(|error| error.to_string())?;
            let (path, to, from) = (self.path(), Sealer::new(new.clone()), Sealer::new(self.key.clone()));
            store::rekey(
                &RekeyOptions { path: &path, encryption: Encryption::Secrets, to: &to, from: &from },
                &mut |_| {},
            )
            .map_err(|error| format!("rekey: {error}"))?;
            self.key = new;
            return Ok(());
        }
        self.knobs.rotate(verb.text("which"), &self.bank);
        self.reload(&Verb::new("reload")).await?;
        self.knobs.retire(&self.bank);
        Ok(())
    }
}

/// Drops the parts of a process that died.
async fn dropped(mut work: JoinSet<Option<String>>, mut beside: JoinSet<()>) {
    work.shutdown().await;
    beside.shutdown().await;
    // What was spawned below is dropped when its turn comes.
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}
