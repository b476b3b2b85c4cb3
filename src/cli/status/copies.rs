//! The lines of `passbook status` about readers, backups and the published copy.

use jiff::Timestamp;

use super::super::context::Context;
use super::super::output;
use crate::server::status::Seen;
use crate::store::{Store, snapshot_made_at};
use crate::words;

/// Nothing where nothing is configured and nobody holds the log.
pub(super) fn text(context: &Context, store: &Store, seen: &Seen, now: Timestamp) -> String {
    let readers = &context.config.store.readers;
    let mut text = String::new();
    if let Some(held) = seen.wal_held {
        let bytes = store.size().wal_bytes;
        let waits = if held.is_over_limit { "; nothing is synced until it ends" } else { "" };
        let said = format!(
            "a reader holds the write-ahead log ({} bytes){}{waits}: end its query; fuser -v {}-shm names it",
            words::count(bytes),
            words::since(held.since, now),
            store.path().display()
        );
        text.push_str(&output::paragraph("", &output::alarming(&said)));
    }
    if context.config.backup.is_some() || seen.backups.last.is_some() {
        text.push_str(&output::paragraph("", &backups(seen, now)));
    }
    if readers.snapshot_schedule.is_some() {
        let made = snapshot_made_at(&readers.snapshot_path);
        let made = made.map_or_else(|| output::alarming("not yet"), |at| output::relative(at, now));
        text.push_str(&output::paragraph("", &format!("copy for readers {made}")));
    }
    text
}

fn backups(seen: &Seen, now: Timestamp) -> String {
    let proved = seen.backups.last_proved.as_ref().map_or_else(
        || output::alarming("no proved backup yet"),
        |backup| format!("last proved backup {}", output::relative(backup.made_at, now)),
    );
    let error = seen.backups.last.as_ref().and_then(|backup| backup.error.as_ref());
    let failed = error.map_or_else(String::new, |error| {
        let times = words::counted(seen.backups.failures, "failure");
        output::alarming(&format!(" · {times} since: {error}"))
    });
    format!("{proved}{failed}")
}
