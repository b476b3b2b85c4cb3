//! What every command begins with: the configuration, the clock, the store.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::daemon::{self, BuildOptions};
use crate::http::Transport;
use crate::secret::Sealer;
use crate::server::control::{self, Done, Order};
use crate::store::{Access, OpenError, OpenOptions, Store, StoreLock};
use crate::sync::Engine;

/// A loaded configuration and the means to act on it.
pub(super) struct Context {
    pub(super) config: Config,
    pub(super) clock: Clock,
    transport: Transport,
}

/// An order carried out, and the engine that did it where no daemon runs.
pub(super) struct CarriedOut {
    pub(super) done: Done,
    /// `None`: a daemon did it and goes on with it.
    pub(super) local: Option<Local>,
}

/// The store in our own hands.
pub(super) struct Local {
    pub(super) engine: Arc<Engine>,
    _lock: StoreLock,
}

impl Context {
    /// Loads the configuration at `path`.
    pub(super) fn load(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::new(Config::load(path)?, Transport::network()))
    }

    /// Loads the configuration at `path` without its secrets, for a command that only reads the store.
    pub(super) fn load_to_read(path: &Path) -> anyhow::Result<Self> {
        Ok(Self::new(Config::load_without_secrets(path)?, Transport::network()))
    }

    /// A context over a configuration and a transport of the caller's.
    pub(super) fn new(config: Config, transport: Transport) -> Self {
        Self { config, clock: Clock::system(), transport }
    }

    /// Opens the store.
    pub(super) fn open(&self, access: Access) -> Result<Store, OpenError> {
        let store = &self.config.store;
        Store::open(OpenOptions {
            path: &store.path,
            sealer: Sealer::new(store.key.clone()),
            encryption: store.encryption,
            keep_raw: store.keep_raw,
            access,
            now: self.clock.now(),
        })
    }

    /// Takes the store's lock, opens it for writing and builds the engine.
    pub(super) async fn take_store(&self, verb: &str) -> anyhow::Result<Local> {
        let lock = StoreLock::take(&self.config.store.path, verb)?;
        let store = self.open(Access::Create)?;
        let options =
            BuildOptions { store, clock: self.clock.clone(), transport: self.transport.clone(), seed: rand::random() };
        Ok(Local { engine: Arc::new(daemon::build(&self.config, options).await?), _lock: lock })
    }

    /// Has an order carried out: by the running daemon, or here if there is none.
    pub(super) async fn order(&self, verb: &str, order: Order) -> anyhow::Result<CarriedOut> {
        let path = &self.config.store.path;
        if StoreLock::holder(path).is_some() && control::socket_path(path).exists() {
            return Ok(CarriedOut { done: control::send(path, &order).await?, local: None });
        }
        let local = self.take_store(verb).await?;
        let done = control::carry_out(&local.engine, order).await?;
        Ok(CarriedOut { done, local: Some(local) })
    }

    /// How requests travel.
    pub(super) fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Where an operator sees more, as this machine reaches it; `None` where that is not one address.
    pub(super) fn dashboard(&self) -> Option<String> {
        self.config.server.admin.as_ref()?.address()
    }

    /// Whether a process works on the store now, and what it says of itself.
    pub(super) fn daemon(&self) -> Option<String> {
        StoreLock::holder(&self.config.store.path)
    }
}

/// Whether systemd's journal reads our standard error.
#[expect(clippy::disallowed_methods, reason = "systemd says so in the environment; it is no setting")]
pub(super) fn is_under_journald() -> bool {
    std::env::var_os("JOURNAL_STREAM").is_some()
}
