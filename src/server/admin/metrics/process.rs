//! What there is to tell of the process, its store and its alerts.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::sheet::Sheet;
use crate::server::Served;
use crate::store::{AlertKind, Figures, LoadOutcome, TroubleKind};

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
    let trouble = served.engine.store().trouble().map(|trouble| trouble.kind);
    let kinds = sheet.numbers("passbook_store_trouble", "1: this keeps the store from working now");
    for kind in TroubleKind::ALL {
        kinds.set(&vec![("kind", kind.as_str().to_owned())], i64::from(trouble == Some(kind)));
    }
    sheet.number("passbook_workers_busy", "Steps of links under way", served.busy.load(Ordering::Relaxed));
    sheet.number(
        "passbook_workers",
        "Steps of links that may be under way at once, for each source",
        served.config.schedule.workers,
    );
    put_config(sheet, figures);
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

fn put_config(sheet: &mut Sheet, figures: &Figures) {
    let Some(read) = &figures.config_read else { return };
    sheet.number(
        "passbook_config_last_reload_successful",
        "1: the configuration that was read last is in use; 0: it was refused, and the former one still is",
        i64::from(read.outcome != LoadOutcome::Refused),
    );
    if let Some(at) = figures.config_in_use_at {
        sheet.number(
            "passbook_config_last_reload_success_timestamp_seconds",
            "When the configuration in use was taken over",
            at.as_second(),
        );
    }
}

/// Puts on the sheet how long it took to write it.
pub(super) fn put_duration(sheet: &mut Sheet, took: Duration) {
    sheet.fraction("passbook_scrape_duration_seconds", "How long reading these figures took", took.as_secs_f64());
}
