//! Who works on a customer: any number of steps and looks, or one who deletes them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The customers that are worked on, by our user id. Clones are of the same customers.
#[derive(Clone, Default)]
pub(super) struct Presences(Arc<Mutex<HashMap<i64, Arc<RwLock<()>>>>>);

/// Kept by whoever works on a customer beside others.
pub(super) type Presence = OwnedRwLockReadGuard<()>;

/// Kept by whoever has a customer to themselves.
pub(super) type Alone = OwnedRwLockWriteGuard<()>;

impl Presences {
    /// Works on a customer beside others; waits while somebody has them to themselves.
    ///
    /// To be taken once in one piece of work: a second time it would wait for whoever waits for the first to end.
    pub(super) async fn enter(&self, user_id: i64) -> Presence {
        self.of(user_id).read_owned().await
    }

    /// Has a customer to oneself once everybody who works on them is done.
    pub(super) async fn alone_with(&self, user_id: i64) -> Alone {
        self.of(user_id).write_owned().await
    }

    fn of(&self, user_id: i64) -> Arc<RwLock<()>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that nobody has or waits for are dropped, so that there are never more than workers.
        known.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(known.entry(user_id).or_default())
    }
}
