//! Asking the running daemon to read its configuration anew.

use tokio::sync::{mpsc, oneshot};

use super::{Done, OrderError};

/// What came of reading the configuration anew: what changed, or why the former one stays.
pub type Reloaded = Result<Vec<String>, String>;

/// Where a reload is asked for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reloader(mpsc::Sender<oneshot::Sender<Reloaded>>);

impl Reloader {
    /// One whose requests arrive at the receiver, each with whom to answer.
    pub fn new() -> (Self, mpsc::Receiver<oneshot::Sender<Reloaded>>) {
        let (sender, requests) = mpsc::channel(1);
        (Self(sender), requests)
    }

    /// Asks, and waits for what came of it.
    ///
    /// Shape: `None`: the daemon is on its way out.
    pub async fn reload(&self) -> Option<Reloaded> {
        let (sender, answer) = oneshot::channel();
        self.0.send(sender).await.ok()?;
        answer.await.ok()
    }
}

/// Carries the order out.
pub(super) async fn reload(reloader: Option<&Reloader>) -> Result<Done, OrderError> {
    let asked = match reloader {
        Some(reloader) => reloader.reload().await,
        None => None,
    };
    match asked {
        Some(Ok(changes)) if changes.is_empty() => {
            Ok(said("nothing changed; the configuration is as it was".to_owned()))
        }
        Some(Ok(changes)) => Ok(said(format!("the configuration is applied: {}", changes.join("; ")))),
        Some(Err(reason)) => Err(OrderError::NotReloaded(reason)),
        None => Err(OrderError::NoDaemon),
    }
}

fn said(message: String) -> Done {
    Done { message, ..Done::default() }
}
