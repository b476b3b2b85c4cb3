//! Telling those who sleep until something is due that something may be.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the loops that bring links up to date, and the one that takes news. Cheap to clone; clones wake the same loops.
///
/// What is due is in the store: a wake-up that is lost costs time, never work.
#[derive(Clone, Default)]
pub struct Waker(Arc<Sleepers>);

#[derive(Default)]
struct Sleepers {
    loops: Vec<Arc<Notify>>,
    news: Notify,
}

impl Waker {
    /// One for `loops` loops.
    pub fn new(loops: usize) -> Self {
        let loops = (0..loops).map(|_| Arc::new(Notify::new())).collect();
        Self(Arc::new(Sleepers { loops, news: Notify::new() }))
    }

    /// Makes every loop look now.
    pub fn wake(&self) {
        for notify in &self.0.loops {
            notify.notify_one();
        }
    }

    /// What each loop waits for.
    pub fn sleepers(&self) -> impl Iterator<Item = &Arc<Notify>> {
        self.0.loops.iter()
    }

    /// Says that events were stored.
    pub fn tell_news(&self) {
        self.0.news.notify_one();
    }

    /// Waits until events were stored.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }
}
