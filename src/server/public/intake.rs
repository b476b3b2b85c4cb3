//! Storing events before they are acknowledged: one commit for all that wait, so that many a second cost few.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::refusals::Refusals;
use crate::server::Served;
use crate::store::{NewEvent, StoreError};
use crate::sync::{Engine, Waker};

/// Events that may wait for the next commit; as many as there may be connections.
const QUEUE: usize = 1024;
/// Events of one commit.
const MAX_BATCH: usize = 512;
/// How long an event may wait for its commit: the aggregators give up after ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);
/// How often it is told how many requests were refused without a line of their own.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Where events are handed in to be stored. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    queue: mpsc::Sender<Waiting>,
    refusals: Arc<Refusals>,
}

/// An event, and who waits to hear that it is stored.
struct Waiting {
    event: NewEvent,
    answer: oneshot::Sender<Stored>,
}

/// Whether a stored event is new; `None`: it was not stored.
type Stored = Option<bool>;

/// Why an event was not stored; it comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStored {
    /// Too many wait.
    Full,
    /// The store failed, or took too long.
    Store,
}

/// Makes an intake and what stores for it: a loop that ends when every clone of the intake is gone and all is answered.
pub fn intake(served: &Served) -> (Intake, impl Future<Output = ()> + Send + 'static) {
    let (sender, queue) = mpsc::channel(QUEUE);
    let refusals = Arc::new(Refusals::default());
    let intake = Intake { queue: sender, refusals: Arc::clone(&refusals) };
    let storing = store_all(queue, Arc::clone(&served.engine), served.waker.clone(), refusals);
    (intake, storing)
}

impl Intake {
    /// Stores an event and returns when it is committed: whether it is new.
    ///
    /// After a crash: an event is stored if this returned; if not, it may be.
    pub(super) async fn store(&self, event: NewEvent) -> Result<bool, NotStored> {
        let (answer, stored) = oneshot::channel();
        self.queue.try_send(Waiting { event, answer }).map_err(|_| NotStored::Full)?;
        match tokio::time::timeout(PATIENCE, stored).await {
            Ok(Ok(Some(is_new))) => Ok(is_new),
            Ok(Ok(None) | Err(_)) | Err(_) => Err(NotStored::Store),
        }
    }

    pub(super) fn refusals(&self) -> &Refusals {
        &self.refusals
    }
}

async fn store_all(mut queue: mpsc::Receiver<Waiting>, engine: Arc<Engine>, waker: Waker, refusals: Arc<Refusals>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    let mut tell = tokio::time::interval(TELL_EVERY);
    let mut is_failing = false;
    loop {
        let taken = tokio::select! {
            taken = queue.recv_many(&mut batch, MAX_BATCH) => taken,
            _ = tell.tick() => {
                refusals.tell_rest(false);
                continue;
            }
        };
        if taken == 0 {
            break;
        }
        let result = store_batch(&engine, std::mem::take(&mut batch)).await;
        if let Err(error) = &result
            && !is_failing
            && !error.is_told()
        {
            tracing::error!(%error, "webhook events cannot be stored; they are refused, and the aggregators send them again");
        } else if result.is_ok() && is_failing {
            tracing::info!("webhook events are stored again");
        }
        is_failing = result.as_ref().is_err_and(|error| !error.is_told());
        waker.tell_news();
    }
    refusals.tell_rest(true);
}

/// Stores a batch in one commit, then answers each.
async fn store_batch(engine: &Engine, batch: Vec<Waiting>) -> Result<(), StoreError> {
    let (events, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.event, waiting.answer)).unzip();
    let stored = engine
        .store()
        .write(move |txn| events.iter().map(|event| txn.put_event(event)).collect::<Result<Vec<bool>, _>>())
        .await;
    let (stored, result) = match stored {
        Ok(stored) => (stored.into_iter().map(Some).collect(), Ok(())),
        Err(error) => (vec![None; answers.len()], Err(error)),
    };
    for (answer, stored) in answers.into_iter().zip(stored) {
        // Who has gone away is told when the event comes again.
        let _ = answer.send(stored);
    }
    result
}
