//! What is due, in the order in which workers get it.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;

use super::Lane;
use crate::store::{Agenda, DueLink, DueUser};

/// How many due links are taken from the store at once, per worker.
const QUEUE_PER_WORKER: usize = 16;

/// What one worker works on, and nobody else meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Unit {
    Link(i64),
    /// All links of a user, where they are read together.
    User(i64),
}

/// What waits for a worker.
#[derive(Debug)]
pub(super) enum Work {
    Link { link_id: i64, unit: Unit, is_backfill: bool },
    Look(DueUser),
}

impl Work {
    pub(super) fn unit(&self) -> Unit {
        match self {
            Self::Link { unit, .. } => *unit,
            Self::Look(user) => Unit::User(user.user_id),
        }
    }
}

impl Lane {
    /// How many due links are taken from the store at once.
    pub(super) fn queue_limit(&self) -> usize {
        self.options.workers * QUEUE_PER_WORKER
    }

    /// Files what is due. While others wait, backfills get at most their share of the workers; looks at users take turns with
    /// links.
    pub(super) fn fill_queue(&mut self, agenda: Agenda) {
        self.queue.clear();
        self.queue_filled_at = Instant::now();
        let Agenda { links: others, backfills, users, .. } = agenda;
        let mut taken = self.running.clone();
        let mut others = self.links_to_do(others, false, &mut taken);
        let mut backfills = self.links_to_do(backfills, true, &mut taken);
        let mut looks: VecDeque<Work> =
            users.into_iter().map(Work::Look).filter(|look| taken.insert(look.unit())).collect();
        let share = (self.options.workers * usize::from(self.options.backfill_share)).div_ceil(100).max(1);
        let mut free_for_backfills = share.saturating_sub(self.running_backfills);
        while !others.is_empty() || !looks.is_empty() {
            self.queue.extend(others.pop_front());
            self.queue.extend(looks.pop_front());
            if free_for_backfills > 0
                && let Some(backfill) = backfills.pop_front()
            {
                self.queue.push_back(backfill);
                free_for_backfills -= 1;
            }
        }
        // Only one round ahead: what is due may be more urgent when these are done.
        if self.queue.is_empty() {
            self.queue.extend(backfills);
        }
        self.queue.truncate(self.queue_limit());
    }

    /// One piece of work for each unit that is not `taken` yet.
    fn links_to_do(&self, links: Vec<DueLink>, is_backfill: bool, taken: &mut HashSet<Unit>) -> VecDeque<Work> {
        let by_user = self.source.reads_by_user();
        let unit = |link: &DueLink| if by_user { Unit::User(link.user_id) } else { Unit::Link(link.link_id) };
        let work = |link: DueLink| Work::Link { link_id: link.link_id, unit: unit(&link), is_backfill };
        links.into_iter().map(work).filter(|work| taken.insert(work.unit())).collect()
    }
}
