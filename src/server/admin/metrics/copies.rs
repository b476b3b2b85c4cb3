//! What there is to tell of readers, published copies and backups.

use jiff::Timestamp;

use super::sheet::Sheet;
use crate::schedule::Schedule;
use crate::server::Served;
use crate::store::{Figures, snapshot_made_at};

/// Puts them on the sheet. What is not configured is left out.
pub(super) fn put(sheet: &mut Sheet, served: &Served, figures: &Figures, now: Timestamp) {
    let (readers, store) = (served.engine.readers(), served.engine.store());
    sheet.number(
        "passbook_store_wal_held_seconds",
        "How long a reader has kept the large write-ahead log from being cut; 0 if none does",
        figures.wal_held.map_or(0, |held| now.duration_since(held.since).as_secs().max(0)),
    );
    sheet.number(
        "passbook_store_wal_limit_bytes",
        "With a write-ahead log above this nothing is synced until it could be cut",
        readers.wal_limit_bytes,
    );
    sheet.number(
        "passbook_store_wal_over_limit",
        "1 while nothing is synced because a reader holds the write-ahead log",
        i64::from(store.is_wal_over_limit()),
    );
    let snapshot = snapshot_made_at(&readers.snapshot_path);
    if let Some(at) = snapshot {
        sheet.number("passbook_snapshot_timestamp_seconds", "When the published copy was made", at.as_second());
    }
    if let Some(schedule) = &readers.snapshot_schedule {
        sheet.number(
            "passbook_snapshot_overdue_seconds",
            "How long a new copy should have been published by its schedule; 0 if it was",
            overdue(schedule, snapshot.or(figures.created_at), now),
        );
    }
    put_backups(sheet, served, figures, now);
}

fn put_backups(sheet: &mut Sheet, served: &Served, figures: &Figures, now: Timestamp) {
    let Some(config) = served.engine.backup() else { return };
    let (backups, proved) = (&figures.backups, figures.backups.last_proved.as_ref());
    if let Some(proved) = proved {
        sheet.number(
            "passbook_backup_last_proved_timestamp_seconds",
            "When the last backup was made that was restored and compared; left out if none ever was",
            proved.made_at.as_second(),
        );
        sheet.number(
            "passbook_backup_size_bytes",
            "Size of the last proved backup's file",
            proved.file_bytes.unwrap_or_default(),
        );
    }
    sheet.number(
        "passbook_backup_overdue_seconds",
        "How long there should have been a new proved backup by the schedule; 0 if there is",
        overdue(&config.schedule, proved.map(|backup| backup.made_at).or(figures.created_at), now),
    );
    sheet.number("passbook_backup_failures", "Backups that failed since the last that was proved", backups.failures);
}

/// How long ago the first slot after `last` was.
fn overdue(schedule: &Schedule, last: Option<Timestamp>, now: Timestamp) -> i64 {
    let slot = last.and_then(|last| schedule.missed_since(last, now));
    slot.map_or(0, |slot| now.duration_since(slot).as_secs())
}
