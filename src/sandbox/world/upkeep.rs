//! What an aggregator that refreshes by itself keeps of a link, and which versions of rows its readers have seen.
//!
//! Such an aggregator shows when it published a version of a row, and what it no longer shows as deleted. So the
//! instants of publication stay, and so do the last versions of removed rows.

use std::collections::{HashMap, VecDeque};

use super::{FOREVER, Link, Row};

/// Everything is published, however old.
pub(crate) const FROM_EVER: i64 = i64::MIN;

/// One publication: from `at_ms` on, readers saw what the bank held at `version`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publication {
    pub(crate) version: u64,
    pub(crate) at_ms: i64,
    /// Rows that are older were left out.
    pub(crate) from_ms: i64,
}

/// The aggregator's own affairs with a link.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// How the next refreshes end, in order; after the last of them the bank's own state decides.
    pub(crate) results: VecDeque<String>,
    pub(crate) last_try_ms: Option<i64>,
    /// Until when the customer's consent holds.
    pub(crate) consent_until_ms: Option<i64>,
    /// Whether the customer connected every kind of account; told from the accounts when `None`.
    pub(crate) every_kind: Option<bool>,
    pub(crate) publications: Vec<Publication>,
}

/// How readers see a version: since when, and whether as deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) updated_ms: i64,
    pub(crate) deleted: bool,
}

impl Upkeep {
    /// How readers see what is there from version `since` until `until`, dated `dated_ms`; `None` if they never did.
    pub(crate) fn seen(&self, since: u64, until: u64, dated_ms: i64) -> Option<Seen> {
        let first = self.publications.partition_point(|publication| publication.version < since);
        let shown = self.publications[first..].iter().find(|publication| publication.from_ms <= dated_ms)?;
        if until <= shown.version {
            return None;
        }
        if until == FOREVER {
            return Some(Seen { updated_ms: shown.at_ms, deleted: false });
        }
        let gone = self.publications.partition_point(|publication| publication.version < until);
        let gone = self.publications.get(gone);
        Some(Seen { updated_ms: gone.unwrap_or(shown).at_ms, deleted: gone.is_some() })
    }

    /// Notes a publication, unless nothing changed since the last one; tells whether it was noted.
    pub(crate) fn publish(&mut self, publication: Publication, changed: u64) -> bool {
        let is_news =
            self.publications.last().is_none_or(|last| changed > last.version || publication.from_ms < last.from_ms);
        if is_news {
            self.publications.push(publication);
        }
        is_news
    }
}

impl Link {
    /// Positions of the rows that readers have seen, each row once, with its last version.
    pub(crate) fn seen_rows(&self) -> Vec<(usize, Seen)> {
        let mut seen: Vec<(usize, Seen)> = Vec::with_capacity(self.rows.len());
        let mut deleted_ids: HashMap<u128, u64> = HashMap::new();
        for (at, row) in self.rows.iter().enumerate() {
            if let Some(as_seen) = self.upkeep.seen(row.since, row.until, row.transacted_ms) {
                if as_seen.deleted {
                    deleted_ids.entry(row.id).and_modify(|last| *last = row.since.max(*last)).or_insert(row.since);
                }
                seen.push((at, as_seen));
            }
        }
        if deleted_ids.is_empty() {
            return seen;
        }
        // A later version of the same row takes the place of those that went.
        for (at, as_seen) in &seen {
            let row = &self.rows[*at];
            if let Some(last) = deleted_ids.get_mut(&row.id).filter(|_| !as_seen.deleted) {
                *last = row.since.max(*last);
            }
        }
        let is_last = |row: &Row| deleted_ids.get(&row.id).is_none_or(|last| *last == row.since);
        seen.retain(|(at, _)| is_last(&self.rows[*at]));
        seen
    }

    /// Drops versions that no reader will see again, once they are many; the last version of every row stays.
    pub(crate) fn prune_superseded(&mut self) {
        let dead = self.rows.iter().filter(|row| !row.is_live()).count();
        if dead <= 64 || dead * 4 <= self.rows.len() {
            return;
        }
        let kept: Vec<bool> = {
            let mut kept = vec![false; self.rows.len()];
            for (at, _) in self.seen_rows() {
                kept[at] = true;
            }
            kept
        };
        let mut nth = 0;
        self.rows.retain(|row| {
            nth += 1;
            kept[nth - 1] || row.is_live()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_seen_from_the_first_publication_that_holds_it() {
        let mut upkeep = Upkeep::default();
        for (version, at_ms, from_ms) in [(10, 100, 50), (10, 160, FROM_EVER), (20, 200, FROM_EVER)] {
            assert!(upkeep.publish(Publication { version, at_ms, from_ms }, version));
        }
        assert!(!upkeep.publish(Publication { version: 25, at_ms: 300, from_ms: FROM_EVER }, 20));
        let seen = |since, until, dated_ms| upkeep.seen(since, until, dated_ms).map(|s| (s.updated_ms, s.deleted));
        assert_eq!(seen(5, FOREVER, 60), Some((100, false)));
        assert_eq!(seen(5, FOREVER, 40), Some((160, false)));
        assert_eq!(seen(15, FOREVER, 40), Some((200, false)));
        assert_eq!(seen(21, FOREVER, 40), None);
        assert_eq!(seen(5, 15, 60), Some((200, true)));
        assert_eq!(seen(5, 25, 60), Some((100, false)));
        assert_eq!(seen(12, 15, 60), None);
    }
}
