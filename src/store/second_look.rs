//! A second look at a file that was found damaged, because it may only have been read badly.
//!
//! SQLite reports a page that the disk does not read (EIO) as it reports one that makes no sense. The first may be over the next
//! moment, and then nobody needs to restore a backup. So the daemon has the whole file checked, again and again at growing
//! distances, and it goes on once nothing is wrong with it. Until then nothing is written.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, Moment, Store, StoreError, fingerprint, lock};

/// How soon after damage was met the file is checked.
const SOONEST: Duration = Duration::from_secs(10);
/// The longest distance between two checks, unless a check itself takes long.
const LATEST: Duration = Duration::from_hours(1);
/// A check reads the whole file: most of the time it is left alone.
const RESTS_PER_CHECK: u32 = 10;

/// When the file is checked next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Looks {
    rest: Duration,
    next_at: Instant,
}

impl Looks {
    pub(super) fn from(now: Instant) -> Self {
        Self { rest: SOONEST, next_at: now + SOONEST }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.next_at <= now
    }

    /// Files a check that found damage.
    fn again(&mut self, began: Instant, now: Instant) {
        self.rest = (self.rest * 2).min(LATEST).max(now.duration_since(began) * RESTS_PER_CHECK);
        self.next_at = now + self.rest;
    }
}

impl Store {
    /// Checks the whole file, if it was found damaged and a check is due; if nothing is wrong with it, it is written again.
    ///
    /// Errors: the store's, where the check does not come to its end; it counts as one that found damage.
    pub async fn look_again(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        if !self.0.looks(|looks| looks.is_due(began)).unwrap_or(false) {
            return Ok(());
        }
        let inner = Arc::clone(&self.0);
        let checked =
            self.0.workplace.run(Moment::Read, move || Ok(fingerprint::problems(&inner.file.reader()?)?)).await;
        if !checked.as_ref().is_ok_and(Vec::is_empty) {
            self.0.looks(|looks| looks.again(began, Instant::now()));
            return checked.map(drop);
        }
        // What was read badly may still be in memory.
        let inner = Arc::clone(&self.0);
        let forgotten = self.0.workplace.run(Moment::Read, move || inner.forget_pages()).await;
        if forgotten.is_ok() {
            self.0.end_damage();
        }
        forgotten
    }
}

impl Inner {
    /// What `f` makes of the checks; `None`: the file is not known to be damaged.
    fn looks<T>(&self, f: impl FnOnce(&mut Looks) -> T) -> Option<T> {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.looks().map(f)
    }

    /// Has every connection read anew what it reads next.
    fn forget_pages(&self) -> Result<(), StoreError> {
        lock(&self.readers).clear();
        if let Some(writer) = lock(&self.writer).as_ref() {
            writer.execute_batch("PRAGMA shrink_memory")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_become_rarer_and_rarer_still_where_they_take_long() {
        let start = Instant::now();
        let (mut looks, mut now) = (Looks::from(start), start);
        assert!(!looks.is_due(now));
        for seconds in [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600] {
            now += Duration::from_secs(seconds);
            assert!(looks.is_due(now) && !looks.is_due(now - Duration::from_secs(1)), "{seconds}");
            looks.again(now, now);
        }
        now += Duration::from_hours(1);
        looks.again(now, now + Duration::from_hours(1));
        assert!(!looks.is_due(now + Duration::from_hours(10)) && looks.is_due(now + Duration::from_hours(11)));
    }
}
