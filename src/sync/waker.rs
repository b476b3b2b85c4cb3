//! Telling those who sleep until something is due that something may be.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the loops that bring links up to date. Cheap to clone; clones wake the same loops.
///
/// What is due is in the store: a wake-up that is lost costs time, never work.
#[derive(Clone, Default)]
pub struct Waker(Arc<Vec<Arc<Notify>>>);

impl Waker {
    /// One for `loops` loops.
    pub fn new(loops: usize) -> Self {
        Self(Arc::new((0..loops).map(|_| Arc::new(Notify::new())).collect()))
    }

    /// Makes every loop look now.
    pub fn wake(&self) {
        for notify in self.0.iter() {
            notify.notify_one();
        }
    }

    /// What each loop waits for.
    pub fn sleepers(&self) -> impl Iterator<Item = &Arc<Notify>> {
        self.0.iter()
    }
}
