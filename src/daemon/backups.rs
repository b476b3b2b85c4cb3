//! The loop that makes backups and publishes copies when their schedules say so.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Assignment;
use crate::schedule::Schedule;
use crate::store::{Backup, StoreError};
use crate::sync::Engine;

/// How often is looked: how late a backup begins at most.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// When one that failed is tried again, if its schedule is not sooner.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The last try of something that has a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tried {
    at: Timestamp,
    is_done: bool,
}

/// Makes backups and publishes copies until `stop` is cancelled. One under way then is not waited for: it is swept up by the next.
pub async fn keep_copies(assigned: watch::Receiver<Assignment>, stop: CancellationToken) {
    let (mut unnoted_at, mut snapshot_failed_at) = (None, None);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let engine = Arc::clone(&assigned.borrow().engine);
        let work = async {
            if let Err(error) = back_up_if_due(&engine, &stop, &mut unnoted_at).await
                && !error.is_told()
            {
                tracing::error!(%error, "it cannot be read whether a backup is due");
            }
            publish_if_due(&engine, &mut snapshot_failed_at).await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = work => {}
        }
    }
}

/// Makes a backup if its time has come. One of which the store cannot be told counts in `unnoted_at`: it may be there, whole,
/// and would be made again with every look.
async fn back_up_if_due(
    engine: &Engine,
    stop: &CancellationToken,
    unnoted_at: &mut Option<Timestamp>,
) -> Result<(), StoreError> {
    let Some(config) = engine.backup() else { return Ok(()) };
    #[expect(clippy::redundant_closure_for_method_calls, reason = "a path is not general over the lifetime")]
    let last = engine.store().read(|txn| txn.backup_glance()).await?.last;
    let noted = last.map(|last| Tried { at: last.made_at, is_done: last.error.is_none() });
    let now = engine.clock().now();
    if !is_due(&config.schedule, last_try(*unnoted_at, noted), now) {
        return Ok(());
    }
    let made = engine.store().back_up(config, engine.clock().clone(), stop.clone()).await;
    *unnoted_at = made.is_err().then_some(now);
    match made {
        Ok(backup) => tell(&backup),
        // Said even where the store's trouble is known: nothing else tells of the file.
        Err(error) => tracing::error!(
            %error,
            "how a backup went could not be noted, and a whole one that no list shows may be in its directory; tried again \
             within an hour"
        ),
    }
    Ok(())
}

/// One line for each backup.
fn tell(backup: &Backup) {
    match &backup.error {
        None => tracing::info!(
            file = backup.file_name,
            file_bytes = backup.file_bytes,
            store_bytes = backup.store_bytes,
            rows = backup.row_count,
            "backup made and proved"
        ),
        Some(error) => tracing::error!(%error, "no backup was made; tried again within an hour"),
    }
}

async fn publish_if_due(engine: &Engine, failed_at: &mut Option<Timestamp>) {
    let (readers, now) = (engine.readers(), engine.clock().now());
    let Some(schedule) = readers.snapshot_schedule else { return };
    let made = crate::store::snapshot_made_at(&readers.snapshot_path);
    let made = made.map(|at| Tried { at, is_done: true });
    if !is_due(&schedule, last_try(*failed_at, made), now) {
        return;
    }
    let published = engine.store().publish_snapshot(readers.snapshot_path, now).await;
    *failed_at = published.is_err().then_some(now);
    match published {
        Ok(bytes) => tracing::info!(bytes, "a copy of the store was published"),
        Err(error) => tracing::error!(%error, "no copy of the store was published; tried again within an hour"),
    }
}

/// The last try: one that failed and is remembered here alone, or the one that left something behind.
fn last_try(failed_at: Option<Timestamp>, known: Option<Tried>) -> Option<Tried> {
    failed_at.map(|at| Tried { at, is_done: false }).or(known)
}

/// Whether a slot of the schedule has come since the last try, or a failure has rested long enough.
///
/// What was never done is due at once: so a mistake in the settings is seen while somebody looks. Slots that were missed are
/// caught up once.
fn is_due(schedule: &Schedule, last: Option<Tried>, now: Timestamp) -> bool {
    let Some(last) = last else { return true };
    // The clock was set back: one too many does no harm, and waiting until it has caught up might.
    if last.at > now {
        return true;
    }
    let has_rested = !last.is_done && now.duration_since(last.at) >= RETRY_AFTER;
    has_rested || schedule.missed_since(last.at, now).is_some()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn a_slot_comes_due_once_and_a_failure_is_tried_again() {
        let schedule = Schedule::parse("15 3 * * *", &TimeZone::UTC).expect("a schedule");
        let at = |text: &str| -> Timestamp { text.parse().expect("an instant") };
        let now = at("2026-03-02T12:00:00Z");
        for (last, is_done, expected) in [
            ("2026-03-02T03:15:04Z", true, false),
            ("2026-03-02T03:14:59Z", true, true),
            ("2026-02-01T03:15:04Z", true, true),
            ("2026-03-02T11:30:00Z", false, false),
            ("2026-03-02T11:00:00Z", false, true),
            ("2026-03-02T11:00:00Z", true, false),
            ("2026-03-03T11:00:00Z", true, true),
        ] {
            assert_eq!(is_due(&schedule, Some(Tried { at: at(last), is_done }), now), expected, "{last} {is_done}");
        }
        assert!(is_due(&schedule, None, now), "what was never done");
    }

    #[test]
    fn a_try_that_could_not_be_noted_rests_like_any_that_failed() {
        let schedule = Schedule::parse("15 3 * * *", &TimeZone::UTC).expect("a schedule");
        let at = |text: &str| -> Timestamp { text.parse().expect("an instant") };
        let noted = Some(Tried { at: at("2026-03-01T03:15:04Z"), is_done: true });
        let unnoted_at = Some(at("2026-03-02T03:15:04Z"));
        for (now, expected) in [
            ("2026-03-02T03:15:19Z", false),
            ("2026-03-02T04:15:03Z", false),
            ("2026-03-02T04:15:04Z", true),
            ("2026-03-03T03:15:04Z", true),
        ] {
            for noted in [noted, None] {
                assert_eq!(is_due(&schedule, last_try(unnoted_at, noted), at(now)), expected, "{now} {noted:?}");
            }
            assert!(is_due(&schedule, last_try(None, noted), at(now)), "{now}: it would be made with every look");
        }
    }
}
