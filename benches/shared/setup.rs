//! A configuration, a store and an engine for one source, as the daemon has them.

use std::path::Path;
use std::sync::Arc;

use passbook::clock::Clock;
use passbook::config::{Config, SecretReadError, SecretStore};
use passbook::daemon::{self, BuildOptions, DaemonOptions};
use passbook::http::Transport;
use passbook::sandbox::{Sandbox, Served};
use passbook::secret::{Sealer, StoreKey};
use passbook::store::{Access, OpenOptions, Store};
use passbook::sync::Engine;
use zeroize::Zeroizing;

/// What a configuration refers to but does not hold.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) serves: Served,
    pub(crate) client_id: String,
    pub(crate) secret: String,
    pub(crate) store_key: String,
}

impl Keys {
    /// The credentials of a sandbox, and a new key for a store.
    pub(crate) fn of(bank: &Sandbox) -> Self {
        let mut serves = Served::default();
        bank.settings(|settings| serves = settings.serves);
        let (client_id, secret) = match serves {
            Served::Truv => (bank.truv_client_id(), bank.truv_secret()),
            Served::Bridge => (bank.bridge_client_id(), bank.bridge_client_secret()),
        };
        Self { serves, client_id, secret, store_key: StoreKey::generate().expect("randomness").to_text().to_string() }
    }
}

impl SecretStore for Keys {
    fn credential(&self, name: &str) -> Result<Zeroizing<String>, SecretReadError> {
        match name {
            "store-key" => Ok(Zeroizing::new(self.store_key.clone())),
            "secret" => Ok(Zeroizing::new(self.secret.clone())),
            _ => Err(SecretReadError::NotFound),
        }
    }

    fn file(&self, _: &Path) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }

    fn variable(&self, _: &str) -> Result<Zeroizing<String>, SecretReadError> {
        Err(SecretReadError::NotFound)
    }
}

/// A configuration with one source; `source_lines` are added to it.
pub(crate) fn config(dir: &Path, keys: &Keys, base_url: &str, source_lines: &str) -> Config {
    let (word, secret_key) = match keys.serves {
        Served::Truv => ("truv", "access_secret"),
        Served::Bridge => ("bridge", "client_secret"),
    };
    let text = format!(
        "[store]\npath = \"passbook.db\"\nkey = {{ credential = \"store-key\" }}\n[[source]]\nname = \"{word}\"\n\
         aggregator = \"{word}\"\nbase_url = \"{base_url}\"\nclient_id = \"{}\"\n\
         {secret_key} = {{ credential = \"secret\" }}\n{source_lines}\n",
        keys.client_id
    );
    Config::parse(&text, &dir.join("passbook.toml"), keys).expect("a good config")
}

/// The store of a configuration, created if it is not there.
pub(crate) fn open_store(config: &Config, clock: &Clock) -> Store {
    Store::open(OpenOptions {
        path: &config.store.path,
        sealer: Sealer::new(config.store.key.clone()),
        encryption: config.store.encryption,
        keep_raw: config.store.keep_raw,
        access: Access::Create,
        now: clock.now(),
    })
    .expect("a store")
}

/// An engine on a store, as a process that has just started has one.
pub(crate) async fn engine(config: &Config, store: &Store, clock: &Clock, transport: Transport) -> Arc<Engine> {
    let options = BuildOptions { store: store.clone(), clock: clock.clone(), transport, seed: 11 };
    Arc::new(daemon::build(config, options).await.expect("an engine"))
}

/// How the configuration lets the daemon work.
pub(crate) fn daemon_options(config: &Config, once: bool) -> DaemonOptions {
    DaemonOptions {
        workers: config.schedule.workers,
        backfill_share: config.sources[0].backfill_share,
        step_deadline: config.schedule.sync_deadline,
        once,
    }
}
