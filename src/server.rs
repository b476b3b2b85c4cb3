//! What listens: the public side, the admin side, and the control socket through which commands reach the running daemon.
//!
//! - **Public**: webhooks of the aggregators and the pages on which customers connect a bank. Everything that comes in is
//!   hostile until a signature or an invite says otherwise.
//! - **Admin**: the dashboard, metrics, health, and control with a token.
//! - **Control socket**: orders of commands on this machine; the file's permissions say who may.
//!
//! Both TCP sides speak plain HTTP/1.1 and belong behind a proxy that speaks TLS. What must stay true: whatever a peer sends,
//! or does not send, costs a bounded amount of memory and time; nothing of it is logged but what it was refused for.

pub mod admin;
pub mod control;
pub mod erasure;
pub mod listen;
mod page;
mod peer;
pub mod public;
pub mod status;
mod tally;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::{AdminConfig, Config, PublicConfig};
use crate::sync::{Engine, Waker};

use admin::SessionSeed;
pub use control::Reloader;
pub use peer::Peer;
pub use tally::{Receipt, Tally};

/// What every request is answered from. Cheap to clone.
#[derive(Clone)]
pub struct Served {
    /// The store, the clock and the sources.
    pub engine: Arc<Engine>,
    /// Wakes whoever does what was asked for.
    pub waker: Waker,
    /// What the operator configured.
    pub config: Arc<Config>,
    /// When the process began to serve.
    pub started_at: Timestamp,
    /// What came in, counted since then.
    pub tally: Arc<Tally>,
    /// Steps of links under way.
    pub busy: Arc<AtomicUsize>,
    /// Cancelled when the process is told to stop.
    pub stop: CancellationToken,
    /// Where a changed configuration is asked for; `None`: nowhere.
    pub reloader: Option<Reloader>,
    /// What the admin side's sessions of this process have in common.
    sessions: Arc<SessionSeed>,
}

impl Served {
    /// Serves `engine` as `config` says.
    pub fn new(engine: Arc<Engine>, waker: Waker, config: Arc<Config>) -> Self {
        let started_at = engine.clock().now();
        Self {
            engine,
            waker,
            config,
            started_at,
            tally: Arc::default(),
            busy: Arc::default(),
            stop: CancellationToken::new(),
            reloader: None,
            sessions: Arc::default(),
        }
    }

    /// The same for a process whose workers count themselves in `busy`, and that ends with `stop`.
    #[must_use]
    pub fn within(self, busy: Arc<AtomicUsize>, stop: CancellationToken) -> Self {
        Self { busy, stop, ..self }
    }

    /// The same where a changed configuration can be asked for.
    #[must_use]
    pub fn reloaded_by(self, reloader: Reloader) -> Self {
        Self { reloader: Some(reloader), ..self }
    }

    /// The same process, serving `engine` as `config` says from now on.
    #[must_use]
    pub fn with(&self, engine: Arc<Engine>, config: Arc<Config>) -> Self {
        Self { engine, config, ..self.clone() }
    }

    /// The public side's settings; `None`: there is no public side.
    pub fn public(&self) -> Option<&PublicConfig> {
        self.config.server.public.as_ref()
    }

    /// The admin side's settings; `None`: there is no admin side.
    pub fn admin(&self) -> Option<&AdminConfig> {
        self.config.server.admin.as_ref()
    }
}
