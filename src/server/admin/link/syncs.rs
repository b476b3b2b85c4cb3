//! The latest syncs of a link: a strip of how they ended, and a table of what they did.

use maud::{Markup, html};

use super::LinkPage;
use crate::server::admin::plots::{Mark, strip};
use crate::server::admin::words::{outcome, outcome_class};
use crate::store::SyncRow;
use crate::words::{count, counted, duration};

/// Rows of the table that are shown at once; the others open on demand.
const SHOWN_AT_ONCE: usize = 10;
/// Room in the strip.
const STRIP_ROOM: usize = 50;
/// How a sync may end, and what the legend says of it.
const OUTCOMES: [(&str, &str); 5] = [
    ("ok", "ok"),
    ("partial", "partial"),
    ("deferred", "deferred by a limit"),
    ("failed", "failed"),
    ("attention", "needs a person"),
];

impl LinkPage<'_> {
    pub(super) fn syncs(&self) -> Markup {
        let syncs = &self.shown.syncs;
        let marks: Vec<Mark> = syncs.iter().rev().map(|sync| self.mark(sync)).collect();
        let (first, rest) = syncs.split_at(syncs.len().min(SHOWN_AT_ONCE));
        html! {
            section.card aria-labelledby="syncs" {
                header { h2 #syncs { "Latest syncs" } }
                @if syncs.is_empty() {
                    p.dim { "It has not been synced yet." }
                } @else {
                    (strip(&title(syncs), &marks, STRIP_ROOM))
                    ul.legend {
                        @for (class, words) in OUTCOMES {
                            li { span.swatch.(class) {} (words) }
                        }
                    }
                    (self.sync_table("The latest syncs", first))
                    @if !rest.is_empty() {
                        details {
                            summary { (counted(rest.len() as u64, "earlier sync")) }
                            (self.sync_table("Earlier syncs", rest))
                        }
                    }
                }
            }
        }
    }

    fn mark(&self, sync: &SyncRow) -> Mark {
        let class = outcome_class(sync.outcome.as_deref());
        let height = match class {
            "attention" | "failed" => 3,
            "partial" | "deferred" => 2,
            _ => 1,
        };
        let at = self.watch.time_of_day(sync.started_at);
        let word = sync.outcome.as_deref().unwrap_or("running");
        let title = format!(
            "{} {at}, {}: {word}, {} new, {} changed",
            self.watch.day(sync.started_at),
            sync.cause,
            count(sync.rows_added.into()),
            count(sync.rows_changed.into())
        );
        Mark { title, class, height }
    }

    fn sync_table(&self, caption: &str, syncs: &[SyncRow]) -> Markup {
        html! {
            div.wide tabindex="0" role="region" aria-label=(caption) {
                table {
                    caption.unseen { (caption) }
                    thead {
                        tr {
                            th scope="col" { "Started" }
                            th scope="col" { "Cause" }
                            th scope="col" { "Outcome" }
                            th.number scope="col" { "Took" }
                            th.number scope="col" { "Rows" }
                            th.number scope="col" { "New" }
                            th.number scope="col" { "Changed" }
                            th.number scope="col" { "Requests" }
                            th scope="col" { "What is said" }
                        }
                    }
                    tbody { @for sync in syncs { (self.sync_row(sync)) } }
                }
            }
        }
    }

    fn sync_row(&self, sync: &SyncRow) -> Markup {
        let took = sync.finished_at.map(|end| end.as_second() - sync.started_at.as_second());
        html! {
            tr {
                th scope="row" { (self.watch.instant(sync.started_at)) }
                td { (sync.cause) }
                td { (outcome(sync.outcome.as_deref())) }
                td.number { @if let Some(seconds) = took { (duration(seconds.max(0))) } }
                td.number { (count(sync.rows_seen.into())) }
                td.number { (count(sync.rows_added.into())) }
                td.number { (count(sync.rows_changed.into())) }
                td.number { (count(sync.requests.into())) }
                td.note {
                    @if let Some(word) = &sync.refreshed { span { "refresh " (word) } }
                    @if sync.rows_rejected > 0 { span { (counted(sync.rows_rejected.into(), "row")) " set aside" } }
                    @if let Some(error) = &sync.error { span { (error) } }
                }
            }
        }
    }
}

fn title(syncs: &[SyncRow]) -> String {
    let ended = |word: &str| syncs.iter().filter(|sync| sync.outcome.as_deref() == Some(word)).count();
    let words: Vec<String> = OUTCOMES
        .into_iter()
        .filter(|(word, _)| ended(word) > 0)
        .map(|(word, said)| format!("{} {said}", ended(word)))
        .collect();
    format!("The last {}, the latest on the right: {}", counted(syncs.len() as u64, "sync"), words.join(", "))
}
