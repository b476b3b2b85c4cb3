//! What there is to tell of the process, its store and its alerts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::sheet::Sheet;
use crate::server::Served;
use crate::store::{AlertKind, Figures};

/// Puts the process on the sheet.
pub(super) fn put(sheet: &mut Sheet, served: &Served, figures: &Figures, now: Timestamp) {
    let build = sheet.numbers("passbook_build_info", "The version of Passbook that runs, in a label");
    build.set(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())], 1_i64);
    sheet.number("passbook_process_start_time_seconds", "When the process began", served.started_at.as_second());
    sheet.number(
        "passbook_uptime_seconds",
        "How long the process has been running",
        now.as_second().saturating_sub(served.started_at.as_second()).max(0),
    );
    let size = served.engine.store().size();
    sheet.number("passbook_store_size_bytes", "Size of the store's file", size.file_bytes);
    sheet.number("passbook_store_wal_size_bytes", "Size of the store's write-ahead log", size.wal_bytes);
    sheet.number("passbook_workers_busy", "Steps of links under way", served.busy.load(Ordering::Relaxed));
    sheet.number(
        "passbook_workers",
        "Steps of links that may be under way at once, for each source",
        served.config.schedule.workers,
    );
    let open = sheet.numbers("passbook_alerts_open", "Conditions that somebody is told about and that have not ended");
    for kind in AlertKind::ALL {
        let number = figures.alerts_open.get(kind.as_str()).copied().unwrap_or_default();
        open.set(&vec![("kind", kind.as_str().to_owned())], number);
    }
    sheet.number(
        "passbook_alerts_to_tell",
        "Alerts whose beginning or end is still to be told",
        figures.alerts_to_tell,
    );
}

/// Puts on the sheet how long it took to write it.
pub(super) fn put_duration(sheet: &mut Sheet, took: Duration) {
    sheet.fraction("passbook_scrape_duration_seconds", "How long reading these figures took", took.as_secs_f64());
}
