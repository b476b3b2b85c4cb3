//! The lanes that run, one for each source worked on; a changed configuration changes which.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::lane::Lane;
use super::{Assignment, Daemon, DaemonOptions};
use crate::store::StoreError;
use crate::sync::Source;

/// The lanes of a daemon.
pub(super) struct Lanes<'a> {
    daemon: &'a Daemon,
    stop: CancellationToken,
    running: BTreeMap<i64, Running>,
    /// What tells that the lane of a source that is gone has ended: the source may be back before.
    leaving: BTreeMap<i64, CancellationToken>,
    tasks: JoinSet<Result<(), StoreError>>,
}

struct Running {
    source: Arc<Source>,
    options: DaemonOptions,
    /// Tells it to start nothing new.
    retire: CancellationToken,
    /// Cancelled when it has ended.
    ended: CancellationToken,
}

impl<'a> Lanes<'a> {
    /// None yet; all of them end with `stop`.
    pub(super) fn new(daemon: &'a Daemon, stop: CancellationToken) -> Self {
        Self { daemon, stop, running: BTreeMap::new(), leaving: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Has exactly the sources of `assignment` worked on.
    ///
    /// A source that is the same as before is not disturbed. One that changed comes to the end of its steps first, and one that
    /// is gone to the end of its steps for good, before it is worked on again if it comes back: no sync is dropped, and no link is
    /// worked on twice.
    pub(super) fn assign(&mut self, assignment: &Assignment) {
        let Assignment { engine, options, .. } = assignment;
        let mut former = std::mem::take(&mut self.running);
        for source in engine.sources() {
            let previous = former.remove(&source.source_id);
            let running = match previous {
                Some(running) if Arc::ptr_eq(&running.source, source) && running.options == *options => running,
                previous => self.start(assignment, source, previous.as_ref()),
            };
            self.running.insert(source.source_id, running);
        }
        self.leaving.retain(|_, ended| !ended.is_cancelled());
        for (source_id, gone) in former {
            gone.retire.cancel();
            self.leaving.insert(source_id, gone.ended);
        }
    }

    fn start(&mut self, assignment: &Assignment, source: &Arc<Source>, previous: Option<&Running>) -> Running {
        let running = Running {
            source: Arc::clone(source),
            options: assignment.options,
            retire: self.stop.child_token(),
            ended: CancellationToken::new(),
        };
        let after = match previous {
            Some(previous) => {
                previous.retire.cancel();
                Some(previous.ended.clone())
            }
            None => self.leaving.remove(&source.source_id),
        };
        let daemon = self.daemon;
        let lane = Lane::new(
            Arc::clone(&assignment.engine),
            Arc::clone(source),
            assignment.options,
            daemon.waker.sleeper(),
            daemon.events.clone(),
            Arc::clone(&daemon.busy),
        );
        let (retire, stop, ended) = (running.retire.clone(), self.stop.clone(), running.ended.clone().drop_guard());
        self.tasks.spawn(async move {
            let _ended = ended;
            if let Some(after) = after {
                after.cancelled().await;
            }
            lane.run(retire, stop).await
        });
        running
    }

    /// Waits for the next lane to end: with the process, because its source is gone, or with nothing left to do.
    ///
    /// Shape: `None` when no lane is left. A daemon without any source waits for one.
    pub(super) async fn next_ended(&mut self) -> Option<Result<(), StoreError>> {
        if self.tasks.is_empty() && self.running.is_empty() {
            self.stop.cancelled().await;
        }
        let joined = self.tasks.join_next().await?;
        Some(joined.unwrap_or_else(|error| {
            tracing::error!(%error, "a lane was lost; its source rests until the daemon is restarted");
            Ok(())
        }))
    }
}
