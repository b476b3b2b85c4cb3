//! Progress of a sync: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::output;
use crate::daemon::Event;
use crate::store::{Outcome, SyncCounts};
use crate::sync::Step;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// What a run did, added up from its events.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) syncs: u64,
    pub(super) ok: u64,
    pub(super) partial: u64,
    pub(super) deferred: u64,
    pub(super) attention: u64,
    pub(super) failed: u64,
    pub(super) counts: SyncCounts,
    pub(super) discovery_requests: u32,
    pub(super) discovery_failed: bool,
}

impl Tally {
    /// Adds an event.
    pub(super) fn add(&mut self, event: &Event) {
        match event {
            Event::Discovered { found: Some(found), .. } => self.discovery_requests += found.requests,
            Event::Discovered { found: None, .. } => self.discovery_failed = true,
            Event::Stepped { step: Step::Ended(reports), .. } => reports.iter().for_each(|report| {
                self.syncs += 1;
                self.counts.add(&report.counts);
                *match report.outcome {
                    Outcome::Ok => &mut self.ok,
                    Outcome::Partial => &mut self.partial,
                    Outcome::Deferred => &mut self.deferred,
                    Outcome::Attention => &mut self.attention,
                    Outcome::Failed => &mut self.failed,
                } += 1;
            }),
            Event::Stepped { .. } => {}
        }
    }

    /// How the syncs ended, in words.
    pub(super) fn outcomes(&self) -> String {
        let parts = [
            (self.ok, "ok"),
            (self.partial, "partial"),
            (self.deferred, "deferred"),
            (self.attention, "attention"),
            (self.failed, "failed"),
        ];
        let words: Vec<String> = parts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, word)| format!("{} {}", output::count(*number), output::state(word)))
            .collect();
        if words.is_empty() { "nothing was due".to_owned() } else { words.join(", ") }
    }
}

/// Shows the events of a run until their sender is gone, and adds them up.
///
/// `total` is the number of links, as far as it is known; it grows with what discovery finds.
pub(super) async fn watch(mut events: mpsc::UnboundedReceiver<Event>, total: u64) -> Tally {
    let bar = ProgressBar::new(total);
    if io::stderr().is_terminal() {
        let template = "{bar:32} {pos}/{len} links  {msg}  {elapsed}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("looking for links");
        bar.enable_steady_tick(Duration::from_millis(200));
    } else {
        bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
    }
    let mut tally = Tally::default();
    let mut last_line = Instant::now();
    while let Some(event) = events.recv().await {
        tally.add(&event);
        if let Event::Discovered { found: Some(found), .. } = &event {
            bar.set_length(total.max(u64::from(found.links)));
        }
        bar.set_position(tally.syncs);
        bar.set_message(format!("{} rows", output::count(u64::from(tally.counts.rows_seen))));
        if bar.is_hidden() && last_line.elapsed() >= LINE_EVERY {
            eprintln!("{} links, {} rows", tally.syncs, output::count(u64::from(tally.counts.rows_seen)));
            last_line = Instant::now();
        }
    }
    bar.finish_and_clear();
    tally
}
