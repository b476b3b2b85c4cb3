//! Where operations run: on a blocking thread each, or where they are awaited.
//!
//! The latter is for simulations. Threads finish in an order that nobody can repeat; one thread alone repeats itself exactly.

use std::sync::{Arc, OnceLock};

use super::StoreError;

/// What a store is about to do, or has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Nothing is changed.
    Read,
    /// Something may be changed, and is committed.
    Commit,
    /// What was asked about before is done.
    Done,
}

/// Says whether an operation may go on; `false`: never again.
pub type Gate = Arc<dyn Fn(Moment) -> bool + Send + Sync>;

/// Where the operations of one store run.
#[derive(Default)]
pub(super) struct Workplace(OnceLock<Gate>);

impl Workplace {
    pub(super) fn work_in_place(&self, gate: Gate) {
        // A second gate would let go on what the first has stopped.
        let _first = self.0.get_or_init(|| gate);
    }

    pub(super) async fn run<T, F>(&self, moment: Moment, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, StoreError> + Send + 'static,
    {
        let Some(gate) = self.0.get() else {
            return tokio::task::spawn_blocking(f).await.unwrap_or(Err(StoreError::Panicked));
        };
        // Others get to run before and after, as they would while a thread works.
        tokio::task::yield_now().await;
        pass(gate, moment).await;
        let result = f();
        pass(gate, Moment::Done).await;
        tokio::task::yield_now().await;
        result
    }
}

async fn pass(gate: &Gate, moment: Moment) {
    if !gate(moment) {
        std::future::pending::<()>().await;
    }
}
