//! Who is next: three lanes, first come first served within each.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Notify;

/// Whose request it is, which decides its place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// A person or a webhook waits for it: before everything else.
    Person,
    /// The daily syncs.
    Scheduled,
    /// First-time reads of a long history: at most their share while scheduled requests wait.
    Backfill,
}

const WHOLE: u32 = 100;

/// The waiting requests. Which one is the head depends on nothing but what waits and on `credit_percent`.
pub(super) struct Queue {
    person: VecDeque<Waiter>,
    scheduled: VecDeque<Waiter>,
    backfill: VecDeque<Waiter>,
    backfill_share_percent: u32,
    /// The part of an admission that backfills have earned while both lanes waited; always less than a whole one, so
    /// that of n contested admissions they get at most their share of n, and one more.
    credit_percent: u32,
    next_id: u64,
}

/// A request that waits. Ids grow in the order of arrival.
#[derive(Clone)]
pub(super) struct Waiter {
    pub(super) id: u64,
    pub(super) wake: Arc<Notify>,
}

impl Queue {
    pub(super) fn new(backfill_share_percent: u32) -> Self {
        Self {
            person: VecDeque::new(),
            scheduled: VecDeque::new(),
            backfill: VecDeque::new(),
            backfill_share_percent,
            credit_percent: 0,
            next_id: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.person.len() + self.scheduled.len() + self.backfill.len()
    }

    /// Notes the arrival of a request, which stands nowhere yet.
    pub(super) fn arrive(&mut self) -> Waiter {
        let id = self.next_id;
        self.next_id += 1;
        Waiter { id, wake: Arc::new(Notify::new()) }
    }

    /// Puts a request into its lane, behind those that arrived before it.
    pub(super) fn join(&mut self, lane: Lane, waiter: Waiter) {
        let lane = self.lane_mut(lane);
        let index = lane.partition_point(|ahead| ahead.id < waiter.id);
        lane.insert(index, waiter);
    }

    /// Takes a request out, wherever it stands.
    pub(super) fn leave(&mut self, id: u64) {
        for lane in [&mut self.person, &mut self.scheduled, &mut self.backfill] {
            // Ids grow from front to back.
            if let Ok(index) = lane.binary_search_by_key(&id, |waiter| waiter.id) {
                lane.remove(index);
                return;
            }
        }
    }

    pub(super) fn head(&self) -> Option<u64> {
        self.head_waiter().map(|waiter| waiter.id)
    }

    /// Takes the head out and settles the shares.
    pub(super) fn pop_head(&mut self) {
        let Some(lane) = self.next_lane() else { return };
        if lane != Lane::Person && self.is_contested() {
            self.credit_percent += self.backfill_share_percent;
            if lane == Lane::Backfill {
                self.credit_percent = self.credit_percent.saturating_sub(WHOLE);
            }
        }
        self.lane_mut(lane).pop_front();
    }

    /// Tells the head that it is the head. Telling it twice does no harm.
    pub(super) fn wake_head(&self) {
        if let Some(waiter) = self.head_waiter() {
            waiter.wake.notify_one();
        }
    }

    fn head_waiter(&self) -> Option<&Waiter> {
        match self.next_lane()? {
            Lane::Person => self.person.front(),
            Lane::Scheduled => self.scheduled.front(),
            Lane::Backfill => self.backfill.front(),
        }
    }

    fn next_lane(&self) -> Option<Lane> {
        if !self.person.is_empty() {
            return Some(Lane::Person);
        }
        match (self.scheduled.is_empty(), self.backfill.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Lane::Backfill),
            (false, false) if self.credit_percent + self.backfill_share_percent >= WHOLE => Some(Lane::Backfill),
            (false, true | false) => Some(Lane::Scheduled),
        }
    }

    fn is_contested(&self) -> bool {
        !self.scheduled.is_empty() && !self.backfill.is_empty()
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut VecDeque<Waiter> {
        match lane {
            Lane::Person => &mut self.person,
            Lane::Scheduled => &mut self.scheduled,
            Lane::Backfill => &mut self.backfill,
        }
    }
}
