//! One line in the log for each refused request, but never so many that a flood fills the disk.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines about one reason within [`WINDOW`]; further ones are counted. Each reason has its own, so that a flood of one kind
/// hides no other.
const MAX_LINES: u32 = 5;
const WINDOW: Duration = Duration::from_mins(1);

/// Tells the log about refused requests.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<HashMap<&'static str, Count>>);

#[derive(Debug)]
struct Count {
    began: Instant,
    refused: u32,
}

impl Refusals {
    /// Notes a refusal: a line in the log, or one more of those that are only counted.
    ///
    /// Shape: `source` is a configured one's name; nothing that a stranger can choose is shown, their address excepted.
    pub(super) fn note(&self, source: Option<&str>, reason: &'static str, client: Option<IpAddr>) {
        if self.is_shown(reason, Instant::now()) {
            let client = client.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
            tracing::warn!(source = source.unwrap_or("unknown"), client, reason, "a webhook was refused");
        }
    }

    fn is_shown(&self, reason: &'static str, now: Instant) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(reason).or_insert(Count { began: now, refused: 0 });
        if now.duration_since(count.began) >= WINDOW {
            tell(reason, count);
            *count = Count { began: now, refused: 0 };
        }
        count.refused = count.refused.saturating_add(1);
        count.refused <= MAX_LINES
    }

    /// Tells how many were only counted, where that is long enough ago; with `all` of every one.
    pub(super) fn tell_rest(&self, all: bool) {
        let now = Instant::now();
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.retain(|reason, count| {
            let is_over = all || now.duration_since(count.began) >= WINDOW;
            if is_over {
                tell(reason, count);
            }
            !is_over
        });
    }
}

fn tell(reason: &'static str, count: &Count) {
    if count.refused > MAX_LINES {
        tracing::warn!(reason, number = count.refused - MAX_LINES, "more webhooks were refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_one_kind_is_told_in_a_few_lines_and_hides_no_other() {
        let refusals = Refusals::default();
        let shown = |reason| (0..1000).filter(|_| refusals.is_shown(reason, Instant::now())).count();
        assert_eq!(shown("one"), 5);
        assert_eq!(shown("other"), 5);
        tokio::time::advance(WINDOW).await;
        assert_eq!(shown("one"), 5);
        refusals.tell_rest(false);
        assert_eq!(refusals.0.lock().expect("no panic").len(), 1, "only what is over is forgotten");
        refusals.tell_rest(true);
        assert!(refusals.0.lock().expect("no panic").is_empty());
    }
}
