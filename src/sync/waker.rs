//! Telling those who sleep until something is due that something may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

/// Wakes the loops that bring links up to date, and the one that takes news. Cheap to clone; clones wake the same loops.
///
/// What is due is in the store: a wake-up that is lost costs time, never work.
#[derive(Clone, Default)]
pub struct Waker(Arc<Sleepers>);

#[derive(Default)]
struct Sleepers {
    loops: Mutex<Vec<Weak<Notify>>>,
    news: Notify,
}

impl Waker {
    /// What one more loop waits for; it is woken as long as it is kept.
    pub fn sleeper(&self) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut loops = self.loops();
        loops.retain(|notify| notify.strong_count() > 0);
        loops.push(Arc::downgrade(&notify));
        notify
    }

    /// Makes every loop look now.
    pub fn wake(&self) {
        for notify in self.loops().iter().filter_map(Weak::upgrade) {
            notify.notify_one();
        }
    }

    /// Says that events were stored.
    pub fn tell_news(&self) {
        self.0.news.notify_one();
    }

    /// Waits until events were stored.
    pub async fn news(&self) {
        self.0.news.notified().await;
    }

    fn loops(&self) -> MutexGuard<'_, Vec<Weak<Notify>>> {
        self.0.loops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
