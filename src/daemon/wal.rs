//! How far a reader may let the write-ahead log grow.
//!
//! SQLite cannot start the log anew while somebody reads from it, and cannot end another process's query either. What is in
//! the log is safe there; the harm of one that is held is the disk it fills and the time each query takes to look through it.
//! So:
//!
//! - Up to `[store] wal_warn` nothing happens: a query of some minutes is what readers are for.
//! - Above it the log is moved into the file and cut, if that can be, every minute, also while links are worked on; and it is told
//!   once for as long as it lasts: in the log, in `status` and in the metrics.
//! - Above `[store] wal_limit` no lane starts anything, whoever asked for it, until the log could be cut. What is due stays due,
//!   and no cursor moves, so nothing is lost: the aggregators hold the rows meanwhile. Webhooks, invites and counters are
//!   stored on; what they add is small. The log stays within the limit, the steps that ran when it was reached, and those.
//!
//! A store that stands still for a reader is seen within a day; a disk that is full stops the syncs too, and more besides.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::{Daemon, FLUSHES_PER_CHECKPOINT};
use crate::config::ReaderConfig;
use crate::store::{Store, StoreError, WalHeld};
use crate::words;

/// A log that is held, from when that was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Episode {
    since: Timestamp,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Small: not worth a word.
    Silent,
    /// Above `wal_warn`.
    Told,
    /// Above `wal_limit`: lanes wait.
    Over,
}

/// What follows for an episode from what a try to cut the log left of it.
fn next(episode: Option<Episode>, left_bytes: u64, limits: &ReaderConfig, now: Timestamp) -> Option<Episode> {
    let stage = match left_bytes {
        0 => return None,
        left if left > limits.wal_limit_bytes => Stage::Over,
        left if left > limits.wal_warn_bytes => Stage::Told,
        _ => Stage::Silent,
    };
    let since = episode.map_or(now, |episode| episode.since);
    Some(Episode { since, stage })
}

/// What is known of readers who hold the log.
#[derive(Debug, Default)]
pub(super) struct WalWatch {
    episode: Option<Episode>,
    /// Looks since the log was last moved into the file.
    looks: u32,
    /// Whether the store says of the log what is the case; a process before this one may have noted something else.
    is_noted: bool,
}

impl WalWatch {
    /// Moves the log into the file, where it is large or nothing else goes on, and draws the consequences.
    pub(super) async fn look(&mut self, daemon: &Daemon) {
        let engine = daemon.engine();
        let (store, limits) = (engine.store(), engine.readers());
        self.looks += 1;
        let is_idle = daemon.busy.load(Ordering::Relaxed) == 0;
        if self.looks < FLUSHES_PER_CHECKPOINT || (!is_idle && store.size().wal_bytes <= limits.wal_warn_bytes) {
            return;
        }
        self.looks = 0;
        let left = match store.checkpoint().await {
            Ok(left) => left,
            Err(error) if error.is_told() => return,
            Err(error) => return tracing::warn!(%error, "checkpoint failed"),
        };
        let now = engine.clock().now();
        let (was, before) = (stage(self.episode), self.episode);
        self.episode = next(before, left, &limits, now);
        let is = stage(self.episode);
        store.set_wal_over_limit(is == Stage::Over);
        if was == Stage::Over && is < Stage::Over {
            daemon.waker.wake();
        }
        if was != is {
            say(was, is, left, self.episode, now);
            self.is_noted = false;
        }
        if !self.is_noted {
            let told = self.episode.filter(|episode| episode.stage > Stage::Silent);
            let told = told.map(|Episode { since, stage }| WalHeld { since, is_over_limit: stage == Stage::Over });
            self.is_noted = note(store, told).await.is_ok();
        }
    }
}

/// Notes for whoever asks the store whether the log is held.
async fn note(store: &Store, told: Option<WalHeld>) -> Result<(), StoreError> {
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
    let noted = store.read(|txn| txn.wal_held()).await?;
    if noted == told {
        return Ok(());
    }
    store.write(move |txn| txn.set_wal_held(told)).await
}

fn stage(episode: Option<Episode>) -> Stage {
    episode.map_or(Stage::Silent, |episode| episode.stage)
}

/// Once for each step of an episode.
fn say(was: Stage, is: Stage, wal_bytes: u64, episode: Option<Episode>, now: Timestamp) {
    let held_for = episode.map_or_else(String::new, |episode| words::age(episode.since, now));
    match (was, is) {
        (Stage::Silent | Stage::Told, Stage::Over) => tracing::error!(
            wal_bytes,
            held_for,
            "a reader holds the write-ahead log, which has reached [store] wal_limit: nothing is synced until its query \
             ends; fuser -v on the store's -shm file names it"
        ),
        (Stage::Silent, Stage::Told) => tracing::warn!(
            wal_bytes,
            held_for,
            "a reader holds the write-ahead log: end long queries on the store; fuser -v on its -shm file names them"
        ),
        (Stage::Over, Stage::Told) => tracing::warn!(wal_bytes, "the write-ahead log is below its limit; syncs go on"),
        (Stage::Told | Stage::Over, Stage::Silent) => {
            tracing::info!(wal_bytes, "no reader holds the write-ahead log any more");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_episode_lasts_from_the_first_failed_cut_to_the_one_that_worked() {
        let at = |second| Timestamp::from_second(second).expect("an instant");
        let limits = ReaderConfig::beside(Path::new("passbook.db"));
        let (small, large, huge) = (1, limits.wal_warn_bytes + 1, limits.wal_limit_bytes + 1);
        // What a cut leaves each minute, and since when which stage is the case then.
        let steps = [
            (0, None),
            (small, Some((60, Stage::Silent))),
            (large, Some((60, Stage::Told))),
            (huge, Some((60, Stage::Over))),
            (huge, Some((60, Stage::Over))),
            (large, Some((60, Stage::Told))),
            (0, None),
            (huge, Some((420, Stage::Over))),
            (small, Some((420, Stage::Silent))),
        ];
        let mut episode = None;
        for (minute, (left, expected)) in (0_i64..).zip(steps) {
            episode = next(episode, left, &limits, at(60 * minute));
            let expected = expected.map(|(since, stage)| Episode { since: at(since), stage });
            assert_eq!(episode, expected, "minute {minute}");
        }
    }
}
